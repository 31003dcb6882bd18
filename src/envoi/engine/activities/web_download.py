"""Web download: a file from an address, by GET or POST (engine.md §6.4).

XML tag (chosen): webdownload.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlencode, urljoin, urlsplit

from django.utils.translation import gettext_noop as _

from envoi.engine import local_files, scripts, timetable
from envoi.engine.activities.base import ActivityType, Failed, Fired, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.transfers.web import opened, refused, signed_in
from envoi.kernel import accounts
from envoi.kernel.errors import Refused


class WebDownload(ActivityType):
    """Parameters: `url` (may hold `<%= … %>`; with `account`, of type HTTP, a path below its address),
    `method` (GET), `fields` (of a POST), `headers`, `follow` (on), `withHeaders` (the answer's, before the
    body), `ignoreStatus`, `schedule`, `historyFiles`, `historyMb`. Fires `filename`.
    """

    type = "webdownload"
    family = "event"
    ways = (("transition", "transition"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is an address."""
        if not activity.parameters.get("url") and not activity.parameters.get("account"):
            yield _("Activity %(activity)s has no address"), {}
        if activity.parameters.get("method", "GET") not in ("GET", "POST"):
            yield _("Activity %(activity)s asks neither by GET nor by POST"), {}
        yield from timetable.check(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Fetch it once."""
        turn = timetable.begin(ctx)
        if not turn.looks:
            return turn.after()
        folder = local_files.own_folder(ctx)
        local_files.purge_history(ctx, folder)
        url, headers, verify = _address(ctx)
        method = str(ctx.parameters.get("method") or "GET")
        fields = {
            str(name): scripts.text(ctx, str(value))
            for name, value in cast("Mapping[str, Any]", ctx.parameters.get("fields") or {}).items()
        }
        body = urlencode(fields).encode() if method == "POST" else b""
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        name = local_files.safe_name(urlsplit(url).path.rpartition("/")[2] or "download")
        # A name of this round: a repetition after a crash writes the same file again.
        goal = folder / f"{ctx.task_id}_{int(ctx.memory.get('fired', 0))}_{name}"
        follow = bool(ctx.parameters.get("follow", True))
        with opened(method, url, headers=headers, body=body, verify=verify, follow=follow) as answer:
            if answer.status >= 300 and not ctx.parameters.get("ignoreStatus"):
                raise refused(answer)
            head = ""
            if ctx.parameters.get("withHeaders"):
                lines = "".join(f"{key}: {value}\r\n" for key, value in answer.headers.items())
                head = f"HTTP/1.1 {answer.status} {answer.reason}\r\n{lines}\r\n"
            answer.save(goal, head.encode())
        ctx.info(_("%(url)s downloaded, status %(status)d"), url=url.partition("?")[0], status=answer.status)
        return turn.after(Fired("transition", local_files.carried(goal, httpStatus=str(answer.status))))


def _address(ctx: TaskContext) -> tuple[str, dict[str, str], bool]:
    """Return address, headers, and whether the certificate is checked."""
    url = scripts.text(ctx, str(ctx.parameters.get("url", ""))).strip()
    given = cast("Mapping[str, Any]", ctx.parameters.get("headers") or {})
    headers = {str(name): str(value) for name, value in given.items()}
    if any(sign in text for text in (url, *headers, *headers.values()) for sign in "\r\n\0"):
        raise Misconfigured("Address and headers have no line breaks.")
    name = str(ctx.parameters.get("account", ""))
    if not name:
        return url, headers, True
    try:
        account = accounts.credentials(name, actor=ctx.actor)
    except Refused as error:
        raise Misconfigured(str(error)) from error
    if account.type != "http":
        raise Misconfigured(f"The account {name} is not of the type HTTP.")
    base = account.text("server")
    whole = urljoin(base.rstrip("/") + "/", url.lstrip("/")) if url else base
    if urlsplit(whole).netloc != urlsplit(base).netloc:
        raise Failed(f"{url} leads away from the address of the account {name}.")
    return whole, {**headers, **signed_in(account)}, account.on("verify")
