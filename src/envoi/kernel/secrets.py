"""The instance key and what is derived from it; encryption of stored secrets (architecture §2.9).

The key is 32 random bytes in HOME/secrets/instance.key (mode 0600), made on first use. Keys for single
purposes are derived with HKDF-SHA256 (RFC 5869), so that the key itself is never used twice. Secrets at rest
are AES-256-GCM.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from envoi.kernel.errors import Broken

KEY_FILE = "secrets/instance.key"
_NONCE = 12


def instance_key(home: Path, *, purpose: str) -> bytes:
    """Return 32 bytes derived for `purpose` from the key of the instance in `home`, making that key if there
    is none.
    """
    return _derive(_load(home / KEY_FILE), purpose)


def fingerprint(key: bytes) -> str:
    """Return a text by which a database recognises its key; the key cannot be told from it."""
    return _derive(key, "fingerprint").hex()


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of a key file. Raises Broken when it is missing or of another size."""
    try:
        return _checked(path, path.read_bytes())
    except OSError as error:
        raise Broken(f"The key file {path} cannot be read ({error.strerror}).") from error


def store_key(home: Path, key: bytes) -> None:
    """Make `key` the key of the instance in `home`. Raises Broken when it has another one."""
    if _create(home / KEY_FILE, key) != key:
        raise Broken(f"{home / KEY_FILE} holds another key already. Use an empty folder.")


def encrypt(home: Path, plain: str, *, purpose: str) -> bytes:
    """Encrypt a text for storage; the result begins with a version byte and its nonce."""
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(instance_key(home, purpose=purpose)).encrypt(nonce, plain.encode(), purpose.encode())
    return b"\x01" + nonce + sealed


def decrypt(home: Path, sealed: bytes, *, purpose: str) -> str:
    """Undo `encrypt`. Raises Broken when the value was not made with this instance's key and purpose."""
    if sealed[:1] != b"\x01":
        raise Broken(f"The stored secret ({purpose}) is of an unknown version. Enter it again.")
    try:
        plain = AESGCM(instance_key(home, purpose=purpose)).decrypt(
            sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], purpose.encode()
        )
    except InvalidTag as error:
        raise Broken(
            f"The stored secret ({purpose}) does not fit the key in {home / KEY_FILE}. "
            "Put the key back that belongs to this database, or enter the secret again."
        ) from error
    return plain.decode()


@lru_cache(maxsize=64)
def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"envoi", info=purpose.encode()).derive(key)


def _load(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = _create(path, secrets.token_bytes(32))
    return _checked(path, key)


def _checked(path: Path, key: bytes) -> bytes:
    if len(key) != 32:
        raise Broken(
            f"{path} must hold 32 bytes and holds {len(key)}. Restore it from a backup of the folder."
        )
    return key


def _create(path: Path, key: bytes) -> bytes:
    """Write the file unless it is there; return what it then holds."""
    home = path.parent.parent
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _hand_over(home, path.parent)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        _hand_over(home, descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        # A hard link fails when another process was first: its key is then the key.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(fresh)
    return path.read_bytes()


def _hand_over(home: Path, made: Path | int) -> None:
    """What root makes in the folder of another user belongs to that user, who could not read it otherwise."""
    if os.geteuid() == 0:
        owner = home.stat()
        if owner.st_uid:
            os.chown(made, owner.st_uid, owner.st_gid)
