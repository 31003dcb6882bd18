"""Operators, their passwords, rights and groups (delivery.md §1.5)."""

import re
from collections.abc import Iterable
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, locks
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder, Group, GroupMember, NamedRight, Operator
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:operator"
_NAME = re.compile(r"^[^\W_][\w.@+-]{0,63}$")


def find(name: str) -> Operator:
    """Return the operator called `name`, whatever its case. Raises NotFound."""
    operator = Operator.objects.filter(name__iexact=name).first()
    if operator is None:
        raise NotFound(_("There is no operator %(name)r.") % {"name": name})
    return operator


def administrators() -> QuerySet[Operator]:
    """Return those who can sign in and have ADMINISTRATION, by themselves or through a group."""
    holds = Q(named_rights__name=Right.ADMINISTRATION.value) | Q(
        operator_groups__named_rights__name=Right.ADMINISTRATION.value
    )
    able = Operator.objects.filter(disabled=False, technical=False).exclude(
        Q(password="") | Q(password__startswith="!")  # noqa: S106 Django marks an unusable password so
    )
    return able.filter(holds).distinct()


def create(
    name: str,
    *,
    actor: Actor,
    label: str = "",
    email: str = "",
    password: str | None = None,
    rights: Iterable[Right | str] = (),
    groups: Iterable[str] = (),
    language: str = "",
    timezone: str = "",
    folder: Folder | None = None,
) -> Operator:
    """Create an operator. Without a password nobody can sign in as it.

    Raises NotAllowed without ADMINISTRATION, Conflict for a name that is taken (case does not count), Invalid
    for a wrong value.
    """
    actor.require(Right.ADMINISTRATION, to=_("create an operator"))
    if not _NAME.match(name):
        raise Invalid(
            _(
                "%(name)r cannot name an operator: begin with a letter or digit; letters, "
                "digits and . _ @ + - may follow, 64 characters in all."
            )
            % {"name": name}
        )
    now = clock.now()
    operator = Operator(name=name, folder=folder, created_at=now, modified_at=now)
    _fill(operator, label=label, email=email, language=language, timezone=timezone)
    _put_password(operator, password)
    with transaction.atomic():
        locks.in_transaction(locks.Lock.ADMINISTRATORS)
        if Operator.objects.filter(name__iexact=name).exists():
            raise Conflict(_("There is already an operator %(name)r. Choose another name.") % {"name": name})
        operator.save()
        for right in known_rights(rights):
            NamedRight.objects.create(name=right.value, operator=operator)
        for group in _known_groups(groups):
            GroupMember.objects.create(group=group, operator=operator)
        audit.record(actor, ENTITY, operator.name, audit.CREATED, operator.operator_id)
    return operator


def update(
    name: str,
    *,
    actor: Actor,
    label: str | None = None,
    email: str | None = None,
    language: str | None = None,
    timezone: str | None = None,
    theme: str | None = None,
) -> Operator:
    """Change how an operator is called, reached and spoken to; None leaves a value. Operators may change
    their own.
    """
    operator = _own_or_administered(name, actor, _("change another operator"))
    given = {"label": label, "email": email, "language": language, "timezone": timezone, "theme": theme}
    changes = {key: value for key, value in given.items() if value is not None}
    _fill(operator, **changes)
    with transaction.atomic():
        operator.modified_at = clock.now()
        operator.save(update_fields=(*changes, "modified_at"))
        audit.record(
            actor, ENTITY, operator.name, audit.MODIFIED, operator.operator_id, {"changed": sorted(changes)}
        )
    return operator


def set_password(name: str, password: str, *, actor: Actor) -> None:
    """Set a password; all sessions of the operator end. Operators may set their own.

    Raises Invalid with what the validators say, Conflict for a technical operator.
    """
    operator = _own_or_administered(name, actor, _("set another operator's password"))
    if operator.technical:
        raise Conflict(
            _("Nobody signs in as %(operator)s: the instance works in this name. It has no password.")
            % {"operator": operator.name}
        )
    _put_password(operator, password)
    with transaction.atomic():
        operator.modified_at = clock.now()
        operator.save(update_fields=("password", "modified_at"))
        audit.record(
            actor, ENTITY, operator.name, audit.MODIFIED, operator.operator_id, {"changed": ["password"]}
        )


def set_disabled(name: str, disabled: bool, *, actor: Actor) -> Operator:
    """Shut an operator out, or let it in again. Its notices still go out until its address is removed.

    Raises Conflict for the last administrator and for `internal`, in whose name the instance works.
    """
    actor.require(Right.ADMINISTRATION, to=_("disable or enable an operator"))
    operator = find(name)
    if disabled and operator.technical and operator.built_in:
        raise Conflict(
            _("%(operator)s cannot be disabled: the instance works in this name.")
            % {"operator": operator.name}
        )
    with (
        transaction.atomic(),
        administrators_stay(_("%(name)s cannot be disabled") % {"name": operator.name}),
    ):
        if operator.disabled != disabled:
            operator.disabled, operator.modified_at = disabled, clock.now()
            operator.save(update_fields=("disabled", "modified_at"))
            detail = {"disabled": disabled}
            audit.record(actor, ENTITY, operator.name, audit.MODIFIED, operator.operator_id, detail)
    return operator


def set_rights(name: str, rights: Iterable[Right | str], *, actor: Actor) -> Operator:
    """Make `rights` the operator's own named rights, in place of those it had; groups are not touched."""
    actor.require(Right.ADMINISTRATION, to=_("change the rights of an operator"))
    operator, wanted = find(name), {right.value for right in known_rights(rights)}
    with (
        transaction.atomic(),
        administrators_stay(_("%(name)s cannot lose ADMINISTRATION") % {"name": operator.name}),
    ):
        before = set(NamedRight.objects.filter(operator=operator).values_list("name", flat=True))
        if operator.name == "internal" and Right.ADMINISTRATION.value not in wanted:
            raise Conflict(_("internal needs ADMINISTRATION: the instance works in this name."))
        NamedRight.objects.filter(operator=operator, name__in=before - wanted).delete()
        NamedRight.objects.bulk_create(NamedRight(name=right, operator=operator) for right in wanted - before)
        if before != wanted:
            detail = {"added": sorted(wanted - before), "removed": sorted(before - wanted)}
            audit.record(actor, ENTITY, operator.name, audit.MODIFIED, operator.operator_id, detail)
    return operator


def set_root(name: str, folder: Folder | None, *, actor: Actor) -> Operator:
    """Confine an operator to a folder and those below it; None lifts that. Raises NotAllowed or NotFound."""
    actor.require(Right.ADMINISTRATION, to=_("confine an operator to a folder"))
    operator = find(name)
    with transaction.atomic():
        operator.folder, operator.modified_at = folder, clock.now()
        operator.save(update_fields=("folder", "modified_at"))
        detail = {"root": folder.path if folder else "/"}
        audit.record(actor, ENTITY, operator.name, audit.MODIFIED, operator.operator_id, detail)
    return operator


def set_groups(name: str, groups: Iterable[str], *, actor: Actor) -> Operator:
    """Make the operator a member of these groups, by name, and of no other."""
    actor.require(Right.ADMINISTRATION, to=_("change the groups of an operator"))
    operator, wanted = find(name), {group.name: group for group in _known_groups(groups)}
    with (
        transaction.atomic(),
        administrators_stay(_("%(name)s cannot leave its group") % {"name": operator.name}),
    ):
        before = set(Group.objects.filter(members=operator).values_list("name", flat=True))
        GroupMember.objects.filter(operator=operator, group__name__in=before - set(wanted)).delete()
        GroupMember.objects.bulk_create(
            GroupMember(group=wanted[group], operator=operator) for group in set(wanted) - before
        )
        if before != set(wanted):
            detail = {"joined": sorted(set(wanted) - before), "left": sorted(before - set(wanted))}
            audit.record(actor, ENTITY, operator.name, audit.MODIFIED, operator.operator_id, detail)
    return operator


class administrators_stay:  # noqa: N801 used as a statement
    """Refuses the change made in its block when nobody could administer afterwards.

    Such changes wait for each other. It stands inside of a transaction that the refusal undoes.
    """

    def __init__(self, refusal: str) -> None:
        self.refusal = refusal
        self.before = False

    def __enter__(self) -> None:
        locks.in_transaction(locks.Lock.ADMINISTRATORS)
        self.before = administrators().exists()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None and self.before and not administrators().exists():
            raise Conflict(
                _(
                    "%(refusal)s: it is the last administrator who can sign in. Give "
                    "ADMINISTRATION to another first."
                )
                % {"refusal": self.refusal}
            )


def _own_or_administered(name: str, actor: Actor, doing: str) -> Operator:
    operator = find(name)
    if operator.operator_id != actor.operator_id:
        actor.require(Right.ADMINISTRATION, to=doing)
    elif operator.disabled:
        raise NotAllowed(_("%(operator)s is disabled.") % {"operator": operator.name})
    return operator


def _put_password(operator: Operator, password: str | None) -> None:
    if password is None:
        operator.set_unusable_password()
        return
    try:
        validate_password(password, operator)
    except ValidationError as error:
        raise Invalid(
            _("This password cannot be taken. %(why)s") % {"why": " ".join(error.messages)}
        ) from error
    operator.set_password(password)


def _fill(operator: Operator, **values: str) -> None:
    if email := values.get("email"):
        try:
            validate_email(email)
        except ValidationError as error:
            raise Invalid(_("%(email)r is not an e-mail address.") % {"email": email}) from error
    if language := values.get("language"):
        try:
            Locale.parse(language, sep="-")
        except (ValueError, UnknownLocaleError) as error:
            raise Invalid(
                _("%(language)r is not a language. Use a code such as en or zh-hant.")
                % {"language": language}
            ) from error
    timezone = values.get("timezone")
    if timezone and timezone not in available_timezones():
        raise Invalid(
            _("%(timezone)r is not a time zone. Use a name such as Europe/Paris.") % {"timezone": timezone}
        )
    if values.get("theme", "") not in ("", "light", "dark"):
        raise Invalid(_("%(theme)r is not a theme. Use light, dark or nothing.") % {"theme": values["theme"]})
    for key, value in values.items():
        longest = Operator._meta.get_field(key).max_length or 0
        if len(value) > longest:
            raise Invalid(
                _("The %(key)s has %(count)s characters; %(longest)s are allowed.")
                % {"key": key, "count": len(value), "longest": longest}
            )
        setattr(operator, key, value)


def known_rights(rights: Iterable[Right | str]) -> set[Right]:
    """Return the rights meant by these names, whatever their case. Raises Invalid, listing the known."""
    found: set[Right] = set()
    for right in rights:
        try:
            found.add(Right(right.upper()))
        except ValueError as error:
            known = ", ".join(each.value for each in Right)
            raise Invalid(
                _("%(right)r is not a named right. Known are %(known)s.") % {"right": right, "known": known}
            ) from error
    return found


def _known_groups(names: Iterable[str]) -> list[Group]:
    wanted = set(names)
    found = list(Group.objects.filter(name__in=wanted))
    if absent := sorted(wanted - {group.name for group in found}):
        known = ", ".join(Group.objects.values_list("name", flat=True))
        raise NotFound(
            _("There is no group %(names)s. Known are %(known)s.")
            % {"names": ", ".join(absent), "known": known}
        )
    return found
