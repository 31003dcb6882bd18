"""Pages of administrators: options, operators, groups, audit trail."""

import json
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from envoi.console import explorer, second_factor
from envoi.console.access import administrators_only
from envoi.console.folder_kinds import FolderKind, own
from envoi.console.navigation import Word, under
from envoi.kernel import folders, groups, operators, options
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models import AuditEntry, Folder, Group, NamedRight, Operator
from envoi.kernel.models.option import DataType
from envoi.kernel.rights import Actor, Right

PAGE = 50


def options_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the options; the filter looks at names and descriptions."""
    actor = administrators_only(request, to=_("see the options"))
    query = request.GET.get("q", "").strip()
    found = [
        option
        for option in options.list_all(actor=actor)
        if query.lower() in option.name.lower() or query.lower() in option.description.lower()
    ]
    context = {"options": found, "query": query, **explorer.frame(request, folder)}
    return render(request, "console/administration/options.html", context)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def option_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one option and set it."""
    actor = administrators_only(request, to=_("see the options"))
    option = options.describe(name, actor=actor)
    error = ""
    if request.method == "POST":
        try:
            options.set(name, request.POST.get("value", ""), actor=actor)
            messages.success(request, _("%(name)s is set.") % {"name": name})
            return redirect("console:option", name=name)
        except Invalid as refusal:
            error = str(refusal)
    context = {
        "option": option,
        "kind": DataType(option.data_type),
        "value": request.POST.get("value", _typed(option.value)),
        "error": error,
        "trail": trail_of(actor, "xtk:option", name),
        **explorer.frame(request, _folder(actor, "xtk:option")),
    }
    context["crumbs"] = explorer.crumbs(request, _folder(actor, "xtk:option"), whole=True)
    return render(request, "console/administration/option.html", context, status=400 if error else 200)


def operators_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List who signs in and in whose name the instance works."""
    administrators_only(request, to=_("see the operators"))
    query = request.GET.get("q", "").strip()
    found = Operator.objects.prefetch_related("operator_groups").order_by("technical", "name")
    if query:
        found = found.filter(Q(name__icontains=query) | Q(label__icontains=query) | Q(email__icontains=query))
    context = {"operators": found, "query": query, **explorer.frame(request, folder)}
    return render(request, "console/administration/operators.html", context)


@under(Word.EXPLORER)
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def operator_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one operator; change who they are, their groups and their rights."""
    actor = administrators_only(request, to=_("see the operators"))
    operator = operators.find(name)
    problem = ""
    if request.method == "POST":
        try:
            _change_operator(request, actor, operator)
            messages.success(request, _("%(name)s is changed.") % {"name": operator.name})
            return redirect("console:operator", name=operator.name)
        except Invalid as refusal:
            problem = str(refusal)
    mine = set(NamedRight.objects.filter(operator=operator).values_list("name", flat=True))
    member = set(Group.objects.filter(members=operator).values_list("name", flat=True))
    folder = _folder(actor, "xtk:operator")
    context = {
        "operator": operator,
        "problem": problem,
        "groups": [(group, group.name in member) for group in Group.objects.order_by("name")],
        "rights": [(right.value, right.value in mine) for right in Right],
        "factor": second_factor.state(operator),
        "trail": trail_of(actor, "xtk:operator", operator.name),
        **explorer.frame(request, folder),
        "crumbs": explorer.crumbs(request, folder, whole=True),
    }
    return render(request, "console/administration/operator.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def new_operator(request: HttpRequest) -> HttpResponse:
    """Create an operator."""
    actor = administrators_only(request, to=_("create an operator"))
    problem = ""
    if request.method == "POST":
        try:
            made = operators.create(
                request.POST.get("name", "").strip(),
                actor=actor,
                label=request.POST.get("label", "").strip(),
                email=request.POST.get("email", "").strip(),
                password=request.POST.get("password") or None,
                groups=request.POST.getlist("groups"),
            )
            messages.success(request, _("%(name)s can sign in now.") % {"name": made.name})
            return redirect("console:operator", name=made.name)
        except Invalid as refusal:
            problem = str(refusal)
    folder = _folder(actor, "xtk:operator")
    context = {
        "problem": problem,
        "given": request.POST,
        "groups": [(g, g.name in request.POST.getlist("groups")) for g in Group.objects.order_by("name")],
        **explorer.frame(request, folder),
        "crumbs": explorer.crumbs(request, folder, whole=True),
    }
    return render(
        request, "console/administration/new_operator.html", context, status=400 if problem else 200
    )


@require_POST
def disable_operator(request: HttpRequest, name: str) -> HttpResponse:
    """Shut an operator out, or let them in again."""
    actor = administrators_only(request, to=_("disable or enable an operator"))
    disabled = request.POST.get("disabled") == "1"
    operators.set_disabled(name, disabled, actor=actor)
    text = _("%(name)s can no longer sign in.") if disabled else _("%(name)s can sign in again.")
    messages.success(request, text % {"name": name})
    return redirect("console:operator", name=name)


def groups_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the groups with their rights and members."""
    administrators_only(request, to=_("see the groups"))
    found = Group.objects.prefetch_related("members", "named_rights").order_by("name")
    context = {"groups": found, **explorer.frame(request, folder)}
    return render(request, "console/administration/groups.html", context)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def group_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one group; change the rights that its members share, or delete it."""
    actor = administrators_only(request, to=_("see the groups"))
    group = groups.find(name)
    if request.method == "POST" and request.POST.get("delete"):
        groups.delete(name, actor=actor)
        messages.success(request, _("The group %(name)s is deleted.") % {"name": name})
        return redirect("console:groups")
    if request.method == "POST":
        groups.set_rights(name, request.POST.getlist("rights"), actor=actor)
        messages.success(request, _("%(name)s is changed.") % {"name": group})
        return redirect("console:group", name=name)
    mine = set(NamedRight.objects.filter(group=group).values_list("name", flat=True))
    folder = _folder(actor, "xtk:opGroup")
    context = {
        "group": group,
        "members": group.members.order_by("name"),
        "rights": [(right.value, right.value in mine) for right in Right],
        "trail": trail_of(actor, "xtk:opGroup", name),
        **explorer.frame(request, folder),
        "crumbs": explorer.crumbs(request, folder, whole=True),
    }
    return render(request, "console/administration/group.html", context)


@require_POST
def new_group(request: HttpRequest) -> HttpResponse:
    """Create a group; its rights are set on its page."""
    actor = administrators_only(request, to=_("create a group"))
    made = groups.create(request.POST.get("name", "").strip(), actor=actor)
    return redirect("console:group", name=made.name)


def audit_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """Show who changed what, newest first; `before` pages on by key."""
    administrators_only(request, to=_("see the audit trail"))
    query = {key: request.GET.get(key, "").strip() for key in ("entity", "key", "operator", "action")}
    found = AuditEntry.objects.order_by("-audit_id")
    if query["entity"]:
        found = found.filter(entity=query["entity"])
    if query["key"]:
        found = found.filter(entity_key__icontains=query["key"])
    if query["operator"]:
        found = found.filter(operator_name__icontains=query["operator"])
    if query["action"]:
        found = found.filter(action=query["action"])
    before = request.GET.get("before", "")
    if before.isdigit():
        found = found.filter(audit_id__lt=int(before))
    entries = list(found[: PAGE + 1])
    context = {
        "entries": [(entry, written(entry.detail)) for entry in entries[:PAGE]],
        "more": entries[PAGE - 1].audit_id if len(entries) > PAGE else None,
        "query": query,
        "entities": AuditEntry.objects.order_by("entity").values_list("entity", flat=True).distinct(),
        "actions": AuditEntry.objects.order_by("action").values_list("action", flat=True).distinct(),
        **explorer.frame(request, folder),
    }
    return render(request, "console/administration/audit.html", context)


def trail_of(actor: Actor, entity: str, key: str) -> list[tuple[AuditEntry, str]]:
    """Return the latest lines of the audit trail about one object."""
    found = AuditEntry.objects.filter(entity=entity, entity_key=key).order_by("-audit_id")[:10]
    return [(entry, written(entry.detail)) for entry in found]


def written(detail: dict[str, Any]) -> str:
    """Return the detail of a line as one short text."""
    return " · ".join(
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else _plain(value)}"
        for key, value in sorted(detail.items(), key=_place)
        if value not in ([], "")
    )


def _place(part: tuple[str, Any]) -> tuple[int, str]:
    """JSON forgets the order of its keys; "from" reads before "to"."""
    return ({"changed": 0, "from": 1, "to": 2}.get(part[0], 3), part[0])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _change_operator(request: HttpRequest, actor: Actor, operator: Operator) -> None:
    from django.db import transaction

    with transaction.atomic():
        operators.update(
            operator.name,
            actor=actor,
            label=request.POST.get("label", "").strip(),
            email=request.POST.get("email", "").strip(),
        )
        if request.POST.get("password"):
            operators.set_password(operator.name, request.POST["password"], actor=actor)
        operators.set_groups(operator.name, request.POST.getlist("groups"), actor=actor)
        operators.set_rights(operator.name, request.POST.getlist("rights"), actor=actor)
        if request.POST.get("factor_off"):
            second_factor.switch_off(operator)


def _folder(actor: Actor, schema: str) -> Folder:
    found = folders.readable_folders(actor).filter(model=schema).order_by("path").first()
    if found is None:
        raise NotFound(_("There is nothing here."))
    return found


def _typed(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)  # pyright: ignore[reportAttributeAccessIssue]


own("xtk:option", FolderKind(options_page, "list"))
own("xtk:operator", FolderKind(operators_page, "user"))
own("xtk:opGroup", FolderKind(groups_page, "user"))
own("xtk:auditTrail", FolderKind(audit_page, "list"))
