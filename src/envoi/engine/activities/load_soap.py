"""Loading (SOAP): what a service answers becomes a population without a dimension (engine.md §6.3, §6.5).

XML tag: loadsoap (our choice). An enrichment reconciles the rows with profiles afterwards.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import external, files, scripts, targeting
from envoi.engine.activities import file_loading
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext
from envoi.engine.activities.file_loading import STAGING
from envoi.engine.activities.load_database import way
from envoi.engine.conversion import I, S
from envoi.engine.definition import Activity, Definition
from envoi.engine.files.copying import Cursor, copy_rows
from envoi.engine.population import fired
from envoi.engine.scripting import Kind
from envoi.engine.scripting.values import keepable
from envoi.engine.transfers import soap
from envoi.kernel import accounts
from envoi.kernel.errors import Refused

MOST_CALLS = 10_000
BATCH = 1000
LONGEST_CELL = 10_000_000


class SoapLoading(ActivityType):
    """Parameters: `account` (of type HTTP, its address begins with https), `path` (below that address),
    `action` (the SOAPAction), `initialise`, `iterate`, `finalise` (function bodies in JavaScript), `rows`
    (path of the element that is a row: `product`, `list/product`; the last names count, without name
    spaces), `columns` (`{"name", "path", "type", "label", …}`, further as in the loading of files; the path
    begins at the row: `name`, `price/@currency`, `@id`), `carry` (`{variable: path}`: what the next iteration
    finds in `vars`, such as a token; the first element of that path).

    `iterate` returns the XML of a request (its body, or the whole envelope); it is called again after each
    answer, of which `vars.rowCount` says how many rows it had (-1 before the first), until it returns null.
    `initialise` runs before, `finalise` after it. The number of a row is its id. An answer has 64 MB at most
    and comes within ten minutes; an activity makes 10,000 calls at most. Rejected rows are told as in the
    loading of files. A restart makes all calls again.
    """

    type = "loadsoap"
    family = "action"
    label = lazy("Loading (SOAP)")
    icon = "load"
    ways = (("transition", "transition"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that account and script are there, and that paths can be read."""
        if not activity.parameters.get("account"):
            yield _("Activity %(activity)s names no external account"), {}
        if not str(activity.parameters.get("iterate") or "").strip():
            yield _("Activity %(activity)s has no script"), {}
        try:
            _wanted(activity.parameters)
        except Misconfigured as error:
            yield _("The columns of activity %(activity)s are wrong: %(error)s"), {"error": str(error)}

    def run(self, ctx: TaskContext) -> Outcome:
        """Call until the script has had enough."""
        account, url = _service(ctx)
        rows, columns, paths, carry = _wanted(ctx.parameters)
        before = dict(ctx.variables)
        action = str(ctx.parameters.get("action") or "")
        if any(sign in action for sign in '\r\n\0"'):
            raise Misconfigured("A SOAPAction has neither line breaks nor quotes.")
        _said(ctx, "initialise")
        ctx.variables["rowCount"] = "-1"
        count = calls = 0
        with Cursor(external.ours()) as cursor:
            cursor.execute(S("DROP TABLE IF EXISTS {}").format(S("pg_temp." + STAGING)))
            cursor.execute(
                S("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(I(STAGING), files.columns(len(columns)))
            )
            while body := _said(ctx, "iterate"):
                calls += 1
                if calls > MOST_CALLS:
                    raise Failed(f"The script of {ctx.activity.name} wants more than {MOST_CALLS} calls.")
                request = soap.enveloped(body)
                with soap.answer(account, url, action, request, cancelled=ctx.cancelled) as file:
                    had = 0
                    batch: list[tuple[int, tuple[str, ...]]] = []
                    for element in soap.elements(file, rows):
                        had += 1
                        batch.append((count + had, _cells(element, paths)))
                        if len(batch) == BATCH:
                            copy_rows(cursor, STAGING, len(columns), batch)
                            batch = []
                    copy_rows(cursor, STAGING, len(columns), batch)
                    for name, path in carry.items():
                        ctx.variables[name] = _first(file, path)
                count += had
                ctx.variables["rowCount"] = str(had)
        _said(ctx, "finalise")
        made, rejected, warned = file_loading.loaded(ctx, columns)
        for name in {"rowCount", *carry} - set(before):
            ctx.variables.pop(name, None)
        ctx.info(
            _("%(count)d row(s) loaded by %(calls)d call(s) of %(place)s, %(rejected)d row(s) rejected"),
            count=made.count,
            calls=calls,
            place=urlsplit(url).hostname,
            rejected=rejected,
        )
        more = {"rejectCount": str(rejected), "warningCount": str(warned)}
        return Outcome((fired(way(ctx), made, **more),))


def _said(ctx: TaskContext, name: str) -> str:
    """Run one of the scripts and return the text that it returns, "" for null."""
    source = str(ctx.parameters.get(name) or "")
    if not source.strip():
        return ""
    result, _host = scripts.run(ctx, source, kind=Kind.FUNCTION)
    if name != "iterate" or result.returned is None:
        return ""
    if not isinstance(result.returned, str) or not result.returned.strip():
        raise Failed(f"The iteration of {ctx.activity.name} must return the XML of a request, or null.")
    return result.returned


def _service(ctx: TaskContext) -> tuple[accounts.Credentials, str]:
    name = str(ctx.parameters.get("account") or "")
    try:
        account = accounts.credentials(name, actor=ctx.actor)
    except Refused as error:
        raise Misconfigured(str(error)) from error
    base = account.text("server")
    if account.type != "http" or not base.startswith("https://"):
        raise Misconfigured(f"The account {name} is not of the type HTTP with an address of https://.")
    path = scripts.text(ctx, str(ctx.parameters.get("path") or "")).strip()
    whole = urljoin(base.rstrip("/") + "/", path.lstrip("/")) if path else base
    if urlsplit(whole)[:2] != urlsplit(base)[:2] or any(ord(sign) <= 32 for sign in whole):
        raise Failed(f"{path} leads away from the address of the account {name}.")
    return account, whole


def _wanted(
    said: Mapping[str, Any],
) -> tuple[soap.Read, list[file_loading.Cells], list[soap.Read], dict[str, soap.Read]]:
    """Return path of the rows, columns, their paths, and what is carried. Raises Misconfigured."""
    lines = cast("list[Mapping[str, Any]]", targeting.listed(said.get("columns"), "columns"))
    if not lines or not all(isinstance(each, Mapping) for each in cast("list[Any]", lines)):
        raise Misconfigured("columns needs one line at least, each with a name and a path.")
    plain = [
        {**{name: value for name, value in each.items() if name != "path"}, "source": number}
        for number, each in enumerate(lines)
    ]
    columns = file_loading.cells_of({"columns": plain}, ())
    try:
        rows = soap.Read.of(str(said.get("rows") or ""))
        paths = [soap.Read.of(str(each.get("path") or each.get("name") or "")) for each in lines]
        given = cast("Mapping[str, Any]", said.get("carry") or {})
        carry = {str(name): soap.Read.of(str(path)) for name, path in given.items()}
    except ValueError as error:
        raise Misconfigured(f"{error}.") from error
    if rows.attribute or not rows.steps:
        raise Misconfigured("rows must be the path of an element.")
    if any(not path.steps for path in carry.values()):
        raise Misconfigured("carry needs paths that begin with an element.")
    return rows, columns, paths, carry


def _cells(element: Any, paths: list[soap.Read]) -> tuple[str, ...]:
    found: list[str] = []
    for path in paths:
        text = keepable(path.text(element) or "")
        if len(text) > LONGEST_CELL:
            raise Failed(f"A value of the answer has more than {LONGEST_CELL} characters.")
        found.append(text)
    return tuple(found)


def _first(file: Any, path: soap.Read) -> str:
    """Return what the first element of a path says in a whole answer, "" for none."""
    for element in soap.elements(file, soap.Read(path.steps)):
        return keepable(soap.Read((), path.attribute).text(element) or "")
    return ""
