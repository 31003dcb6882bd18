"""Trials of directories."""

from django.utils.translation import gettext as _

from envoi.kernel.accounts.network import reach
from envoi.kernel.accounts.opened import Credentials


def connect(account: Credentials) -> str:
    """Connect, encrypted when asked; the sign-in is not tried."""
    host, port = account.text("server"), account.number("port")
    with reach(host, port) as line:
        if account.text("security") == "tls":
            line.encrypt(verify=account.on("verify"))
    return _("%(place)s takes the connection. The sign-in is not tried.") % {"place": f"{host}:{port}"}
