"""What the read-only role may not see: password hashes, sealed secrets, sessions, second factors, texts
of system mail.

The embedded server lets `envoi_read` read each new table. These are closed again after every migration; a
table of which only some columns are private stays readable by its other columns. A server of the user's own
has no such role: there `envoi sql` reads with the instance's own rights.
"""

from django.db import connection

ROLE = "envoi_read"
PRIVATE: dict[str, frozenset[str]] = {
    "xtk_operator": frozenset({"password"}),
    "xtk_outbox": frozenset({"payload"}),
    "nms_ext_account": frozenset({"secrets"}),
    "django_session": frozenset(),
    "otp_totp_totpdevice": frozenset(),
    "otp_static_staticdevice": frozenset(),
    "otp_static_statictoken": frozenset(),
}
"""Table to its private columns; none named means the whole table."""


def withhold() -> None:
    """Close what is private to the read-only role; does nothing where there is no such role."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
        if cursor.fetchone() is None:
            return
        for table, private in PRIVATE.items():
            cursor.execute(
                """SELECT attname FROM pg_attribute
                   WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
                [table],
            )
            columns = [name for (name,) in cursor.fetchall()]
            if not columns:
                continue
            cursor.execute(f"REVOKE SELECT ON {quote(table)} FROM {ROLE}")  # noqa: S608 quoted names
            if private:
                seen = ", ".join(quote(name) for name in columns if name not in private)
                cursor.execute(f"GRANT SELECT ({seen}) ON {quote(table)} TO {ROLE}")
