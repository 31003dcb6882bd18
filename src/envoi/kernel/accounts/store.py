"""Accounts in the database: who sees, makes and changes them, and how their secrets are kept."""

import base64
import difflib
import re
from collections.abc import Mapping
from typing import cast

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from envoi.kernel import audit, clock, folders, secrets
from envoi.kernel.accounts.declare import COLUMNS, AccountType, Kind, Value
from envoi.kernel.accounts.opened import Credentials
from envoi.kernel.accounts.types import by_name, type_of
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import ExternalAccount, Folder, Operator
from envoi.kernel.rights import Actor, Right

ENTITY = "nms:extAccount"
_NAME = re.compile(r"^[A-Za-z][\w.-]{0,63}$", re.ASCII)


def list_all(*, actor: Actor, type: str = "") -> QuerySet[ExternalAccount]:
    """Return the accounts in folders that the actor may read, by name; with `type` those of one type."""
    found = ExternalAccount.objects.filter(folder_id__in=folders.readable(actor).queryset())
    if type:
        found = found.filter(type=by_name(type).code)
    return found.select_related("folder").order_by("name")


def find(name: str, *, actor: Actor) -> ExternalAccount:
    """Return an account. Raises NotFound, naming the nearest that the actor may see."""
    seen = list_all(actor=actor)
    found = seen.filter(name=name).first()
    if found is None:
        close = difflib.get_close_matches(name, seen.values_list("name", flat=True), n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise NotFound(f"There is no external account {name!r}.{hint}")
    return found


def credentials(name: str, *, actor: Actor) -> Credentials:
    """Return an enabled account with its secrets opened, for code that connects to its server.

    Raises NotFound, Conflict for a disabled account, Broken when a secret was sealed with another key.
    """
    account = find(name, actor=actor)
    if not account.active:
        raise Conflict(f"The external account {name} is disabled. An administrator can enable it.")
    return opened(account)


def opened(account: ExternalAccount) -> Credentials:
    """Return an account with its secrets opened, whether it is enabled or not."""
    kind = type_of(account.type)
    sealed = cast("Mapping[str, str]", account.secrets)
    return Credentials(
        name=account.name,
        type=kind.name,
        values=values_of(account),
        secrets={field: _open(account, field, text) for field, text in sealed.items()},
    )


def values_of(account: ExternalAccount) -> dict[str, Value]:
    """Return what is no secret, by the names of the fields, each with its default."""
    kind = type_of(account.type)
    given = cast("Mapping[str, Value]", account.parameters)
    found: dict[str, Value] = {}
    for field in kind.fields:
        if field.secret:
            continue
        value: Value = getattr(account, field.name) if field.name in COLUMNS else given.get(field.name)
        found[field.name] = field.empty if value in (None, "") else value
    return found


def create(
    name: str,
    *,
    actor: Actor,
    type: str,
    label: str = "",
    active: bool = True,
    folder: Folder | None = None,
    values: Mapping[str, object] | None = None,
) -> ExternalAccount:
    """Create an account; `values` holds what its type asks for, secrets among them.

    Raises NotAllowed without ADMINISTRATION, NotFound for an unknown type, Conflict for a name that is taken,
    Invalid for a wrong value.
    """
    actor.require(Right.ADMINISTRATION, to="create an external account")
    if not _NAME.match(name):
        raise Invalid(
            f"{name!r} cannot name an external account: begin with a letter; letters, digits, '.', '-' and "
            "'_' may follow, 64 characters in all."
        )
    kind, now = by_name(type), clock.now()
    place = folder or _home(actor)
    folders.require(actor, place, folders.Access.WRITE)
    account = ExternalAccount(
        name=name, label=_label(label or name), type=kind.code, active=active, folder=place, created_at=now
    )
    with transaction.atomic():
        if ExternalAccount.objects.filter(name=name).exists():
            raise Conflict(f"There is already an external account {name}. Choose another name.")
        given, sealed = _sorted(kind, values or {})
        _fill(account, kind, {**{f.name: f.empty for f in kind.fields if not f.secret}, **given})
        _save(account, actor)
        # A secret is bound to its row, whose number is known only now.
        _seal(account, sealed)
        account.save(update_fields=("secrets",))
        audit.record(actor, ENTITY, name, audit.CREATED, account.ext_account_id, {"type": kind.name})
    return account


def update(
    name: str,
    *,
    actor: Actor,
    label: str | None = None,
    active: bool | None = None,
    values: Mapping[str, object] | None = None,
) -> ExternalAccount:
    """Change what is given. An empty secret keeps the one there is; None forgets it.

    Name and type stay. Raises NotAllowed without ADMINISTRATION, NotFound, Invalid for a wrong value.
    """
    actor.require(Right.ADMINISTRATION, to="change an external account")
    with transaction.atomic():
        account = ExternalAccount.objects.select_for_update().get(pk=find(name, actor=actor).pk)
        folders.require(actor, account.folder, folders.Access.WRITE)
        kind, before = type_of(account.type), (account.label, account.active, values_of(account))
        sealed_before = dict(account.secrets)
        if label is not None:
            account.label = _label(label)
        if active is not None:
            account.active = active
        given, sealed = _sorted(kind, values or {})
        _fill(account, kind, {**before[2], **given})
        _seal(account, sealed)
        after = (account.label, account.active, values_of(account))
        changed = sorted(
            {
                key
                for key, old, new in zip(("label", "active"), before[:2], after[:2], strict=True)
                if old != new
            }
            | {key for key, old in before[2].items() if after[2][key] != old}
            | {
                key
                for key in {*sealed_before, *account.secrets}
                if sealed_before.get(key) != account.secrets.get(key)
            }
        )
        if changed:
            _save(account, actor)
            audit.record(actor, ENTITY, name, audit.MODIFIED, account.ext_account_id, {"changed": changed})
    return account


def delete(name: str, *, actor: Actor) -> None:
    """Delete an account with its secrets.

    Raises NotAllowed without ADMINISTRATION, NotFound, Conflict while another account refers to it.
    """
    actor.require(Right.ADMINISTRATION, to="delete an external account")
    with transaction.atomic():
        account = ExternalAccount.objects.select_for_update().get(pk=find(name, actor=actor).pk)
        folders.require(actor, account.folder, folders.Access.DELETE)
        users = ExternalAccount.objects.filter(parameters__fda_account=name).values_list("name", flat=True)
        if users:
            raise Conflict(f"{name} is used by {', '.join(users)}. Choose another account there first.")
        audit.record(actor, ENTITY, name, audit.DELETED, account.ext_account_id)
        account.delete()


def _sorted(
    kind: AccountType, values: Mapping[str, object]
) -> tuple[dict[str, Value], dict[str, str | None]]:
    """Check what was given; return what is open, and the secrets (None: to be forgotten)."""
    given: dict[str, Value] = {}
    sealed: dict[str, str | None] = {}
    for name, value in values.items():
        field = kind.field(name)
        if not field.secret:
            given[name] = field.clean(value)
        elif value is None:
            sealed[name] = None
        elif text := field.clean(value):
            sealed[name] = str(text)
    return given, sealed


def _fill(account: ExternalAccount, kind: AccountType, values: Mapping[str, Value]) -> None:
    """Put all open values into the row, having seen that none is missing."""
    for field in kind.fields:
        if field.secret:
            continue
        counts = field.only is None or values.get(field.only[0]) == field.only[1]
        value = values.get(field.name)
        if field.required and counts and value in (None, ""):
            raise Invalid(f"{field.label} is missing. An account of type {kind.label} needs it.")
        if field.kind is Kind.ACCOUNT and counts and value:
            _check_reference(account, str(value))
    place(account, values)


def place(account: ExternalAccount, values: Mapping[str, Value]) -> None:
    """Put open values into their columns and the rest into the document; checks and saves nothing."""
    columns = {name: values[name] for name in COLUMNS if name in values}
    account.server, account.account = str(columns.get("server") or ""), str(columns.get("account") or "")
    port = columns.get("port")
    account.port = port if isinstance(port, int) else None
    account.parameters = {
        name: value for name, value in values.items() if name not in COLUMNS and value is not None
    }


def _check_reference(account: ExternalAccount, name: str) -> None:
    if name == account.name or not ExternalAccount.objects.filter(name=name).exists():
        raise Invalid(f"There is no other external account {name!r}. Create it first.")


def _seal(account: ExternalAccount, given: Mapping[str, str | None]) -> None:
    sealed = dict(cast("Mapping[str, str]", account.secrets))
    for field, text in given.items():
        sealed.pop(field, None)
        if text is not None:
            made = secrets.encrypt(settings.CONFIG.home, text, purpose=_purpose(account, field))
            sealed[field] = base64.b64encode(made).decode()
    account.secrets = sealed


def _open(account: ExternalAccount, field: str, sealed: str) -> str:
    home = settings.CONFIG.home
    return secrets.decrypt(home, base64.b64decode(sealed), purpose=_purpose(account, field))


def _purpose(account: ExternalAccount, field: str) -> str:
    return f"{ENTITY}/{account.ext_account_id}/{field}"


def _save(account: ExternalAccount, actor: Actor) -> None:
    account.modified_at = clock.now()
    account.modified_by = Operator.objects.filter(pk=actor.operator_id).first()
    account.save()


def _home(actor: Actor) -> Folder:
    found = folders.readable_folders(actor).filter(model=ENTITY).order_by("path").first()
    if found is None:
        raise NotFound("There is no folder of external accounts that you may see.")
    return found


def _label(label: str) -> str:
    label = label.strip()
    if not label or len(label) > 128 or not label.isprintable():
        raise Invalid("A label has 1 to 128 printable characters.")
    return label
