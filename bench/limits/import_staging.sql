CREATE UNLOGGED TABLE limit_staging (
  email text, account text, last_name text, first_name text, salutation text, company text, language text,
  phone text, mobile_phone text, address1 text, address2 text, zip_code text, city text, country_code text,
  origin text, text1 text)
