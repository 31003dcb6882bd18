"""Trials of external databases."""

import psycopg
from django.utils.translation import gettext as _

from envoi.kernel import addresses
from envoi.kernel.accounts.network import STEP, cut_off, printable
from envoi.kernel.accounts.opened import Credentials, Failed, allowed


def postgresql(account: Credentials) -> str:
    """Sign in, ask for the version, and look for the schema."""
    host, port = account.text("server"), account.number("port")
    place, who = f"{host}:{port}", account.text("account")
    found = addresses.check_host(host, port, allowed=allowed())
    try:
        with (
            psycopg.connect(
                host=host,
                hostaddr=str(found[0]),
                port=port,
                dbname=account.text("database"),
                user=who,
                password=account.secret("password"),
                sslmode=account.text("sslmode"),
                gssencmode="disable",
                # Without this, an empty password would be looked for in a file of the instance's user.
                passfile="/dev/null",
                connect_timeout=int(STEP),
                options=f"-c statement_timeout={int(STEP * 1000)}",
                application_name="envoi",
            ) as session,
            cut_off(session.fileno()),
        ):
            version = session.execute("SELECT current_setting('server_version')").fetchone()
            schema = account.text("schema")
            if schema:
                row = session.execute(
                    "SELECT 1 FROM pg_namespace WHERE nspname = %s AND has_schema_privilege(oid, 'USAGE')",
                    [schema],
                ).fetchone()
                if row is None:
                    raise Failed(
                        _("%(place)s has no schema %(schema)s for %(account)s. Check name and rights.")
                        % {"place": place, "schema": schema, "account": who}
                    )
    except psycopg.Error as error:
        # libpq gives no code for what fails before the session stands; its text speaks the server's language.
        said = printable(str(error).rpartition("FATAL:")[2])
        raise Failed(
            _(
                "The database on %(place)s cannot be used (%(said)s). "
                "Check server, port, database, account and password."
            )
            % {"place": place, "said": said}
        ) from error
    return _("%(place)s lets %(account)s in: PostgreSQL %(version)s.") % {
        "place": place,
        "account": who,
        "version": version[0] if version else "?",
    }
