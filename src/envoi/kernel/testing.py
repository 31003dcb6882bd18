"""Factories for tests of every room: operators, groups, folders, with unobtrusive defaults."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from envoi.kernel import clock
from envoi.kernel.models import Folder, FolderRight, Group, GroupMember, NamedRight, Operator
from envoi.kernel.rights import Actor, Right, actor_of, internal

PASSWORD = "a long enough passphrase"  # noqa: S105
"""What operators of `make_operator` sign in with, when a test asks for it."""


def make_operator(
    name: str,
    rights: Iterable[Right | str] = (),
    groups: Iterable[Group | str] = (),
    *,
    email: str = "",
    password: str | None = None,
    folder: Folder | None = None,
    disabled: bool = False,
    language: str = "",
    timezone: str = "",
) -> Operator:
    """Create an operator. Groups may be given by name, and are made when they do not exist."""
    now = clock.now()
    operator = Operator(
        name=name,
        label=name.capitalize(),
        email=email,
        folder=folder,
        disabled=disabled,
        language=language,
        timezone=timezone,
        created_at=now,
        modified_at=now,
    )
    if password is None:
        operator.set_unusable_password()
    else:
        operator.set_password(password)
    operator.save()
    for right in rights:
        NamedRight.objects.create(name=Right(right).value, operator=operator)
    for group in groups:
        GroupMember.objects.create(group=_group(group), operator=operator)
    return operator


def make_group(name: str, rights: Iterable[Right | str] = ()) -> Group:
    """Create a group."""
    group = Group.objects.create(name=name, label=name)
    for right in rights:
        NamedRight.objects.create(name=Right(right).value, group=group)
    return group


def make_actor(name: str, rights: Iterable[Right | str] = (), groups: Iterable[Group | str] = ()) -> Actor:
    """Create an operator and return its actor."""
    return actor_of(make_operator(name, rights, groups))


def admin_actor() -> Actor:
    """Return an actor that may do everything: the built-in `admin` when it is there, else a fresh
    administrator.
    """
    found = Operator.objects.filter(name="admin").first()
    return actor_of(found or make_operator("admin", rights=(Right.ADMINISTRATION,)))


def internal_actor() -> Actor:
    """Return the actor of the instance itself."""
    return internal()


def make_folder(
    name: str, parent: Folder | str | None = None, *, model: str = "", label: str = "", is_view: bool = False
) -> Folder:
    """Create a folder; the parent may be given by name."""
    above = Folder.objects.get(name=parent) if isinstance(parent, str) else parent
    path = f"{above.path if above else '/'}{name}/"
    return Folder.objects.create(
        name=name, label=label or name, model=model, parent=above, path=path, is_view=is_view
    )


def allow(
    folder: Folder, to: Operator | Group, *, read: bool = True, write: bool = False, delete: bool = False
) -> FolderRight:
    """Give rights on a folder to an operator or a group."""
    holder = {"operator": to} if isinstance(to, Operator) else {"group": to}
    return FolderRight.objects.create(
        folder=folder, can_read=read, can_write=write, can_delete=delete, **holder
    )


def _group(group: Group | str) -> Group:
    if isinstance(group, Group):
        return group
    return Group.objects.filter(name=group).first() or make_group(group)


def make_certificate(file: Path, host: str = "127.0.0.1") -> Path:
    """Write a key and a certificate for a host, or an address, that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    try:
        who: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        who = x509.DNSName(host)
    now = datetime.now(UTC)  # TLS compares with the real clock
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([who]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(pem)
    )
    return file


def wait_until(done: Callable[[], object], seconds: float = 80, why: Callable[[], str] = str) -> None:
    """Wait until `done()` gives something. Raises AssertionError after `seconds`, with what `why()` tells."""
    deadline = clock.monotonic() + seconds
    while not done():
        if clock.monotonic() >= deadline:
            raise AssertionError(f"not done after {seconds} s {why()}")
        time.sleep(0.03)
