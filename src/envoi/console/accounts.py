"""Pages of external accounts; a form is what the declaration of the type asks for. No page holds a secret."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from envoi.console import explorer
from envoi.console.access import administrators_only
from envoi.console.administration import trail_of
from envoi.console.folder_kinds import FolderKind, own
from envoi.console.navigation import Word, under
from envoi.kernel import accounts, folders
from envoi.kernel.accounts import TYPES, AccountType, Field, Kind
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import ExternalAccount, Folder
from envoi.kernel.rights import Actor

ENTITY = "nms:extAccount"


@dataclass(frozen=True)
class Entry:
    """A field as the form shows it."""

    field: Field
    value: Any
    stored: bool
    """There is a secret already."""
    only: str
    """For which choice the field counts; empty: for all."""
    options: list[tuple[str, Any]]


def accounts_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the accounts, of all types or of one."""
    actor = administrators_only(request, to=_("see the external accounts"))
    kind = request.GET.get("type", "")
    known = {each.name for each in TYPES.values()}
    found = accounts.list_all(actor=actor, type=kind if kind in known else "").filter(folder=folder)
    context = {
        "found": [(account, accounts.type_of(account.type).label) for account in found],
        "kind": kind,
        "types": _types(),
        **explorer.frame(request, folder),
    }
    return render(request, "console/accounts/list.html", context)


@under(Word.EXPLORER)
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def new_account(request: HttpRequest) -> HttpResponse:
    """Choose a type, then fill in what it asks for."""
    actor = administrators_only(request, to=_("create an external account"))
    chosen = request.POST.get("type") or request.GET.get("type", "")
    kind = accounts.by_name(chosen) if chosen else None
    problem = ""
    if request.method == "POST" and kind is not None:
        name = request.POST.get("name", "").strip()
        try:
            accounts.create(
                name,
                actor=actor,
                type=kind.name,
                label=request.POST.get("label", ""),
                active="active" in request.POST,
                values=_given(request.POST, kind),
            )
            messages.success(request, _("%(name)s is created. Test it now.") % {"name": name})
            return redirect("console:external-account", name=name)
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    context = {
        "kind": kind,
        "types": _types(),
        "problem": problem,
        "given": request.POST,
        "active": "active" in request.POST or request.method == "GET",
        "entries": _entries(kind, actor, given=request.POST if problem else None) if kind else [],
        **_frame(request, actor),
    }
    return render(request, "console/accounts/new.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def account_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one account and change it."""
    actor = administrators_only(request, to=_("see the external accounts"))
    account = accounts.find(name, actor=actor)
    kind = accounts.type_of(account.type)
    problem = ""
    if request.method == "POST":
        try:
            accounts.update(
                name,
                actor=actor,
                label=request.POST.get("label", ""),
                active="active" in request.POST,
                values=_given(request.POST, kind),
            )
            messages.success(request, _("%(name)s is changed.") % {"name": name})
            return redirect("console:external-account", name=name)
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    context = {
        "account": account,
        "kind": kind,
        # A template would call the function itself.
        "testable": kind.probe is not None,
        "problem": problem,
        "label": request.POST.get("label", "") if problem else account.label,
        "active": "active" in request.POST if problem else account.active,
        "entries": _entries(kind, actor, account=account, given=request.POST if problem else None),
        "trail": trail_of(actor, ENTITY, name),
        **_frame(request, actor),
    }
    return render(request, "console/accounts/page.html", context, status=400 if problem else 200)


@require_POST
def test_account(request: HttpRequest, name: str) -> HttpResponse:
    """Try an account on its server, as it is stored, and show what came of it."""
    actor = administrators_only(request, to=_("test an external account"))
    outcome = accounts.test(name, actor=actor)
    level = {True: messages.SUCCESS, False: messages.ERROR, None: messages.INFO}[outcome.ok]
    messages.add_message(request, level, outcome.text)
    return redirect("console:external-account", name=name)


@require_POST
def delete_account(request: HttpRequest, name: str) -> HttpResponse:
    """Delete an account."""
    actor = administrators_only(request, to=_("delete an external account"))
    accounts.delete(name, actor=actor)
    messages.success(request, _("%(name)s is deleted.") % {"name": name})
    return redirect("console:external-accounts")


def _given(post: QueryDict, kind: AccountType) -> dict[str, object]:
    """Return what the form says. An empty secret keeps the one there is, unless it is to be forgotten."""
    found: dict[str, object] = {}
    for field in kind.fields:
        if field.kind is Kind.SWITCH:
            found[field.name] = f"f-{field.name}" in post
        elif field.secret and f"forget-{field.name}" in post:
            found[field.name] = None
        else:
            found[field.name] = post.get(f"f-{field.name}", "")
    return found


def _entries(
    kind: AccountType, actor: Actor, *, account: ExternalAccount | None = None, given: QueryDict | None = None
) -> list[Entry]:
    values = accounts.values_of(account) if account else {}
    others = [
        (name, name)
        for name in accounts.list_all(actor=actor, type="database").values_list("name", flat=True)
    ]
    return [
        Entry(
            field=field,
            value=_shown(field, values.get(field.name, field.empty), given),
            stored=bool(account and field.name in account.secrets),
            only=_only(kind, field),
            options=[("", "—"), *others] if field.kind is Kind.ACCOUNT else list(field.choices.items()),
        )
        for field in kind.fields
    ]


def _shown(field: Field, value: Any, given: QueryDict | None) -> Any:
    if field.secret:
        return ""
    if given is None:
        return value
    return f"f-{field.name}" in given if field.kind is Kind.SWITCH else given.get(f"f-{field.name}", "")


def _only(kind: AccountType, field: Field) -> str:
    if field.only is None:
        return ""
    decides = kind.field(field.only[0])
    return _("for %(field)s: %(choice)s") % {"field": decides.label, "choice": decides.choices[field.only[1]]}


def _types() -> list[tuple[str, Any]]:
    """Return the types by name, in the order of their labels."""
    return sorted(((each.name, each.label) for each in TYPES.values()), key=lambda pair: str(pair[1]).lower())


def _frame(request: HttpRequest, actor: Actor) -> dict[str, object]:
    folder = folders.readable_folders(actor).filter(model=ENTITY).order_by("path").first()
    if folder is None:
        raise NotFound(_("There is nothing here."))
    return {**explorer.frame(request, folder), "crumbs": explorer.crumbs(request, folder, whole=True)}


own(ENTITY, FolderKind(accounts_page, "key"))
