"""What this instance calls itself to others."""

import socket

from envoi.kernel import secrets
from envoi.kernel.config import Config
from envoi.packages.delivery.services.sending.identity import Identity

PURPOSE = "return address"
"""What the instance's key is used for here: tags of Message-IDs and return addresses."""


def identity(config: Config) -> Identity:
    """Return how this instance names what it sends; `inmail` reads with the same what comes back."""
    return Identity(bounce_domain(config), secrets.instance_key(config.home, purpose=PURPOSE))


def bounce_domain(config: Config) -> str:
    """Return the domain of return addresses."""
    sending = config.sending
    return (sending.bounce_domain or sending.sender.rpartition("@")[2] or helo(config)).lower()


def helo(config: Config) -> str:
    """Return the name by which this host greets."""
    if config.sending.helo:
        return config.sending.helo.lower()
    name = socket.gethostname()
    return (name if "." in name else socket.getfqdn()).lower()
