"""Factories for tests of every room: operators, groups, folders, with unobtrusive defaults."""

from collections.abc import Iterable

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
