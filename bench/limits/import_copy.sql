COPY limit_staging FROM STDIN (FORMAT csv)
