UPDATE nms_recipient r SET account = s.account, last_name = s.last_name, first_name = s.first_name,
  salutation = s.salutation, company = s.company, language = s.language, phone = s.phone,
  mobile_phone = s.mobile_phone, address1 = s.address1, address2 = s.address2, zip_code = s.zip_code,
  city = s.city, country_code = s.country_code, origin = s.origin, text1 = s.text1, modified_at = %(now)s
FROM limit_staging s WHERE r.email = s.email
  AND (r.account, r.last_name, r.first_name, r.salutation, r.company, r.language, r.phone, r.mobile_phone,
    r.address1, r.address2, r.zip_code, r.city, r.country_code, r.origin, r.text1)
  IS DISTINCT FROM (s.account, s.last_name, s.first_name, s.salutation, s.company, s.language, s.phone,
    s.mobile_phone, s.address1, s.address2, s.zip_code, s.city, s.country_code, s.origin, s.text1)
