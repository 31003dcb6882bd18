"""Trials of file servers: FTP and FTPS (RFC 959, 4217) as far as the folder, SFTP as far as its greeting."""

import ftplib

from django.utils.translation import gettext as _

from envoi.kernel.accounts.network import STEP, context, printable, reach, refused
from envoi.kernel.accounts.opened import Credentials, Failed


def ftp(account: Credentials) -> str:
    """Sign in and go to the folder; nothing is transferred."""
    host, port = account.text("server"), account.number("port")
    place, who = f"{host}:{port}", account.text("account") or "anonymous"
    with reach(host, port) as line:
        connection = line.socket
        if account.on("tls"):
            session = ftplib.FTP_TLS(timeout=STEP, context=context(verify=account.on("verify")))  # noqa: S321
        else:
            session = ftplib.FTP(timeout=STEP)  # noqa: S321
        # The library would look the name up again; so its `connect` is done here, on the connection there is.
        session.host, session.port, session.sock, session.af = host, port, connection, connection.family
        session.file = connection.makefile("r", encoding=session.encoding)
        try:
            session.welcome = session.getresp()
            if isinstance(session, ftplib.FTP_TLS):
                session.auth()
            session.login(who, account.secret("password"))
            if folder := account.text("folder"):
                _enter(session, place, folder)
            session.quit()
        except ftplib.error_perm as error:
            if str(error)[:3] in ("430", "530", "532"):
                raise refused(place, who, error) from error
            raise _answered(place, error) from error
        except ftplib.Error as error:
            raise _answered(place, error) from error
        finally:
            session.close()
    text = _("%(place)s lets %(account)s in.") % {"place": place, "account": who}
    return text if account.on("tls") else f"{text} {_('The password is sent unencrypted.')}"


def sftp(account: Credentials) -> str:
    """Read the greeting of an SSH server (RFC 4253 §4.2); the sign-in is not tried."""
    host, port = account.text("server"), account.number("port")
    place = f"{host}:{port}"
    with reach(host, port) as connection, connection.socket.makefile("rb") as lines:
        # Other lines may come before the greeting.
        for _number in range(20):
            line = lines.readline(256)
            if line.startswith(b"SSH-"):
                return _(
                    "%(place)s answers as an SSH server (%(said)s). Sign-in and folder are not tried."
                ) % {"place": place, "said": printable(line)}
            if not line:
                break
    raise Failed(_("%(place)s answers, but not as an SSH server. Check the port.") % {"place": place})


def _enter(session: ftplib.FTP, place: str, folder: str) -> None:
    try:
        session.cwd(folder)
    except ftplib.error_perm as error:
        raise Failed(
            _("%(place)s does not open %(folder)s (%(said)s). Check the name of the folder and the rights.")
            % {"place": place, "folder": folder, "said": printable(error)}
        ) from error


def _answered(place: str, said: object) -> Failed:
    return Failed(
        _("%(place)s answers, but not as it should (%(said)s). Check port and encryption.")
        % {"place": place, "said": printable(said)}
    )
