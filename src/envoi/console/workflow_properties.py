"""The properties of a workflow: shown in a tab of its page, changed on a page of their own (engine.md §4)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import explorer, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.engine import access, editing, instances
from envoi.engine.models import ErrorPolicy, Severity, Workflow
from envoi.kernel import folders, registry
from envoi.kernel.errors import Conflict, Refused
from envoi.kernel.models import Group, Operator
from envoi.kernel.rights import Actor

INHERITED = ("", "_inherit_")
ACCOUNT = "login"
"""Name of the field of the execution account, which is no property of the row."""


@dataclass
class Field:
    """One field of the form. `kind`: text, long, number, choice or switch."""

    name: str
    kind: str
    label: str
    value: str
    unit: str = ""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    stored: str = ""
    """What is stored, while `value` is what was typed."""

    @property
    def changed(self) -> bool:
        """What was typed is not what is stored."""
        return self.value != self.stored

    @property
    def stored_words(self) -> str:
        """What is stored, as people read it."""
        if self.kind == "switch":
            return _("yes") if self.stored else _("no")
        return dict(self.choices).get(self.stored, self.stored) or words.NONE


@under(Word.WORKFLOWS)
@require_http_methods(["GET", "POST"])
def properties(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form, and store what was changed in it; each refusal stands beside its field."""
    actor = actor_of_request(request)
    found = access.find(actor, name)
    require_change(actor, found)
    fields = _fields(actor, found)
    problem = ""
    if request.method == "POST":
        for field in fields:
            field.value = _given(request, field)
        problem = _store(request, actor, found, fields)
        if not problem:
            return redirect(f"{reverse('console:workflow', args=[found.internal_name])}?tab=properties")
    context = {
        "workflow": found,
        "label": found.label_in(translation.get_language() or "en"),
        "fields": fields,
        "problem": problem,
        "overtaken": bool(problem) and request.POST.get("seen") != found.modified_at.isoformat(),
        "seen": found.modified_at.isoformat(),
        "by": shown_who(found.modified_at, found.modified_by),
        "crumbs": explorer.crumbs(request, found.folder, whole=True),
    }
    return render(request, "console/workflows/properties.html", context, status=400 if problem else 200)


def require_change(actor: Actor, found: Workflow) -> None:
    """Raise NotAllowed unless the actor may change this workflow."""
    access.require_operate(actor, found, to=_("change"))
    folders.require(actor, found.folder, folders.Access.WRITE)


def may_change(actor: Actor, found: Workflow) -> bool:
    """Return whether the actor may change this workflow."""
    return access.may_operate(actor, technical=access.is_technical(found)) and folders.may(
        actor, found.folder, folders.Access.WRITE
    )


def rows(actor: Actor, found: Workflow) -> list[tuple[str, Any]]:
    """Return the properties as the tab shows them."""
    supervisors = [str(who) for who in (found.supervisor_operator, found.supervisor_group) if who]
    shown = [
        (_("Description"), found.description),
        (_("Severity"), dict(_severities())[str(found.production)]),
        (_("Supervisors"), ", ".join(supervisors)),
        (_("When an activity fails"), dict(_policies())[str(found.on_error)]),
        (_("Consecutive errors"), words.number(found.consecutive_errors)),
        (_("Time zone"), dict(_zones(found.timezone))[_zone(found)]),
        (_("Affinity"), found.affinity),
        (
            _("History"),
            ngettext("%(n)d day", "%(n)d days", found.history) % {"n": found.history}
            if found.history
            else _("kept for ever"),
        ),
        (_("Interim results"), _("kept") if found.keep_results else _("dropped")),
        (_("SQL in the journal"), _("yes") if found.show_sql else _("no")),
        (_("Targeting dimension"), found.schema),
        *(
            [(_("Execution folder"), folders.label_of(found.process_folder))]
            if found.is_model and found.process_folder
            else []
        ),
        (_("Made from"), found.model_name),
        (_("Package"), found.package),
        (_("Created"), shown_who(found.created_at, found.created_by)),
        (_("Last change"), shown_who(found.modified_at, found.modified_by)),
    ]
    if actor.is_administrator:
        account = instances.login_of(actor, found.internal_name)
        shown.insert(5, (_("Execution account"), account or _("whoever starts it")))
    return shown


def shown_who(at: datetime, who: Operator | None) -> str:
    """Write when something was done, and by whom if that is known."""
    moment = words.moment(at)
    return _("%(when)s by %(who)s") % {"when": moment, "who": who} if who else moment


def _store(request: HttpRequest, actor: Actor, found: Workflow, fields: list[Field]) -> str:
    """Store the changed fields; return what stood in the way, having noted it beside its field."""
    changed = {field.name: field for field in fields if field.changed}
    account = changed.pop(ACCOUNT, None)
    values = {name: _typed(field) for name, field in changed.items()}
    wrong = editing.problems(values)
    for name, reason in wrong.items():
        changed[name].problem = reason
    if wrong:
        return ngettext(
            "%(n)d field cannot be stored as it is.", "%(n)d fields cannot be stored as they are.", len(wrong)
        ) % {"n": len(wrong)}
    try:
        with transaction.atomic():
            seen = datetime.fromisoformat(request.POST.get("seen", ""))
            if values or account is not None:
                editing.save(actor, found.internal_name, seen_at=seen, **values)
            if account is not None:
                instances.set_login(actor, found.internal_name, account.value)
    except Refused as refusal:
        if account is not None and not isinstance(refusal, Conflict):
            account.problem = str(refusal)
        return str(refusal)
    except ValueError:
        return _("The form is not whole. Open it again.")
    if values or account is not None:
        messages.success(request, _("The properties are stored."))
    else:
        messages.info(request, _("Nothing was changed."))
    return ""


def _given(request: HttpRequest, field: Field) -> str:
    if field.kind == "switch":
        return "1" if request.POST.get(field.name) else ""
    # A browser sends line ends of its own.
    return request.POST.get(field.name, "").replace("\r\n", "\n").strip()


def _typed(field: Field) -> Any:
    match field.kind:
        case "switch":
            return bool(field.value)
        case "number":
            return int(field.value) if field.value.lstrip("-").isdecimal() else field.value
        case "choice" if field.name in ("timezone", "schema"):
            return field.value
        case "choice":
            return int(field.value) if field.value.isdecimal() else None
        case _:
            return field.value


def _initial(found: Workflow, field: Field) -> str:
    if field.name == "label":
        return found.label_in(translation.get_language() or "en")
    if field.name == "timezone":
        return _zone(found)
    value = getattr(found, field.name)
    if isinstance(value, bool):
        return "1" if value else ""
    return "" if value is None else str(value).strip()


def _fields(actor: Actor, found: Workflow) -> list[Field]:
    operators = Operator.objects.filter(disabled=False).order_by("name")
    nobody = (("", _("nobody")),)
    fields = [
        Field("label", "text", _("Label"), ""),
        Field("description", "long", _("Description"), ""),
        Field(
            "production",
            "choice",
            _("Severity"),
            "",
            hint=_("Stopped workflows of severity Production or Critical are reported."),
            choices=_severities(),
        ),
        Field("history", "number", _("History"), "", unit=_("days, 0: kept for ever")),
        Field(
            "supervisor_operator_id",
            "choice",
            _("Supervisor"),
            "",
            choices=nobody + tuple((str(each.pk), str(each)) for each in operators),
        ),
        Field(
            "supervisor_group_id",
            "choice",
            _("Supervising group"),
            "",
            hint=_("Supervisors are mailed when it fails or stays paused."),
            choices=nobody + tuple((str(each.pk), str(each)) for each in Group.objects.order_by("name")),
        ),
        Field("on_error", "choice", _("When an activity fails"), "", choices=_policies()),
        Field(
            "consecutive_errors",
            "number",
            _("Consecutive errors"),
            "",
            hint=_("How many are ignored in a row before it pauses after all; only when errors are ignored."),
        ),
        Field("timezone", "choice", _("Time zone"), "", choices=_zones(found.timezone)),
        Field(
            "affinity",
            "text",
            _("Affinity"),
            "",
            hint=_("Only workers that serve this name take its work; empty: any worker."),
        ),
        Field(
            "schema",
            "choice",
            _("Targeting dimension"),
            "",
            hint=_("What new activities look for, unless they say so themselves."),
            choices=(("", _("none")), *_dimensions(found.schema)),
        ),
        Field("keep_results", "switch", _("Keep the result of interim populations"), ""),
        Field("show_sql", "switch", _("Log SQL queries in the journal"), ""),
        Field(
            "script",
            "long",
            _("Script of the workflow"),
            "",
            hint=_("JavaScript. It may define onStart, which runs before the first activity."),
        ),
    ]
    if found.is_model:
        fields.insert(
            2,
            Field(
                "process_folder_id",
                "choice",
                _("Execution folder"),
                "",
                hint=_("Where the workflows go that are made from this template."),
                choices=(("", _("the usual one")), *_folders(actor)),
            ),
        )
    for field in fields:
        field.value = field.stored = _initial(found, field)
    if actor.is_administrator:
        stored = instances.login_of(actor, found.internal_name)
        names = [each.name for each in operators]
        fields.append(
            Field(
                ACCOUNT,
                "choice",
                _("Execution account"),
                stored,
                stored=stored,
                hint=_("It then runs with the rights of this operator, whoever starts it."),
                choices=(
                    ("", _("whoever starts it")),
                    *((each, each) for each in names),
                    *(((stored, stored),) if stored and stored not in names else ()),
                ),
            )
        )
    return fields


def _dimensions(stored: str) -> tuple[tuple[str, str], ...]:
    """Return the schemas that can be targeted: those of one whole number as key."""
    known = sorted(each.name for each in registry.current() if len(each.key) == 1)
    return tuple((name, name) for name in known) + (
        ((stored, stored),) if stored and stored not in known else ()
    )


def _folders(actor: Actor) -> tuple[tuple[str, str], ...]:
    """Return the folders of workflows that the actor sees, each with the way to it."""
    found = folders.readable_folders(actor).filter(model="xtk:workflow").order_by("path")
    return tuple((str(each.pk), f"{folders.label_of(each)} ({each.path.strip('/')})") for each in found)


def _severities() -> tuple[tuple[str, str], ...]:
    return (
        (str(int(Severity.NORMAL)), _("Normal")),
        (str(int(Severity.PRODUCTION)), _("Production")),
        (str(int(Severity.CRITICAL)), _("Critical")),
    )


def _policies() -> tuple[tuple[str, str], ...]:
    return (
        (str(int(ErrorPolicy.SUSPEND)), _("the workflow pauses")),
        (str(int(ErrorPolicy.IGNORE)), _("the error is ignored, the branch ends")),
        (str(int(ErrorPolicy.ABORT)), _("the workflow ends")),
    )


def _zones(stored: str) -> tuple[tuple[str, str], ...]:
    known = sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")
    return (
        ("_inherit_", _("that of the instance")),
        ("server", _("that of the server")),
        ("operator", _("that of the operator who starts it")),
        ("database", _("that of the database")),
        *((zone, zone) for zone in known),
        *(
            ((stored, stored),)
            if stored and stored not in {*known, "_inherit_", "server", "operator", "database"}
            else ()
        ),
    )


def _zone(found: Workflow) -> str:
    return "_inherit_" if found.timezone in INHERITED else found.timezone
