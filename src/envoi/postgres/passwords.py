"""Passwords of the three roles, kept in HOME/secrets/postgres.json."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from envoi.postgres.errors import NotRunning
from envoi.postgres.files import read_json, write_json

OWNER = "envoi_owner"
USER = "envoi"
READER = "envoi_read"
ROLES = (OWNER, USER, READER)
ROUNDS = 4096


def password_file(home: Path) -> Path:
    """Where the passwords of an instance lie (mode 0600)."""
    return home / "secrets" / "postgres.json"


def ensure_passwords(home: Path) -> dict[str, str]:
    """Role -> password; made (43 random characters each) when there are none yet."""
    found = _read(home)
    if found is None:
        found = {role: secrets.token_urlsafe(32) for role in ROLES}
        write_json(home, password_file(home), dict(found), 0o600)
    return found


def read_passwords(home: Path) -> dict[str, str]:
    """Role -> password. Raises NotRunning when the instance has none, ForeignInstance when unreadable."""
    found = _read(home)
    if found is None:
        raise NotRunning(
            f"{password_file(home)}: no passwords yet; the database of this instance never started. Start it."
        )
    return found


def _read(home: Path) -> dict[str, str] | None:
    document = read_json(password_file(home))
    if document is None or any(not isinstance(document.get(role), str) for role in ROLES):
        return None
    return {role: str(document[role]) for role in ROLES}


def fingerprint(passwords: dict[str, str]) -> str:
    """Hash by which a cluster remembers its passwords (they are long and random: the hash tells nothing)."""
    return hashlib.sha256("\n".join(passwords[role] for role in ROLES).encode()).hexdigest()


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password (RFC 5803).

    Statements carry it in place of the password, which so never reaches a log. The password must be ASCII, as
    `ensure_passwords` makes them: no SASLprep is done.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${ROUNDS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
