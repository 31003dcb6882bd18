INSERT INTO nms_recipient (recipient_id, email, account, last_name, first_name, salutation, company, language,
  phone, mobile_phone, address1, address2, zip_code, city, country_code, origin, text1, folder_id, created_at,
  modified_at)
SELECT %(first)s + row_number() OVER (), email, account, last_name, first_name, salutation, company, language,
  phone, mobile_phone, address1, address2, zip_code, city, country_code, origin, text1, %(folder)s, %(now)s,
  %(now)s
FROM limit_staging s WHERE NOT EXISTS (SELECT 1 FROM nms_recipient r WHERE r.email = s.email)
