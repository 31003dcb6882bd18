"""Inbound email: messages of a mailbox, each looked at by a script (engine.md §6.4, §6.5).

XML tag (chosen): inmail. Bounces have a process of their own.
"""

import json
from collections.abc import Iterable, Mapping
from email import message_from_bytes, policy
from typing import Any, cast

from django.utils.translation import gettext_noop as _

from envoi.engine import local_files, scripts, timetable
from envoi.engine.activities.base import ActivityType, Failed, Fired, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.scripting import Kind
from envoi.engine.transfers.mailbox import opened
from envoi.kernel import accounts
from envoi.kernel.errors import Refused

DELETE_FIRE, KEEP_FIRE, DELETE, KEEP = 1, 2, 3, 4
MOST = 200
"""Messages of one round; further ones follow at once."""
REMEMBERED = 20_000
"""Messages that were kept in the mailbox and are not looked at again."""
LONGEST_TEXT = 256 << 10


class InboundMail(ActivityType):
    """Parameters: `account` (POP3 or IMAP), `script` (the body of a function that finds `mailMessage` and
    returns 1 delete and fire, 2 keep and fire, 3 delete, 4 keep), `stopAfterFirst`, `schedule`,
    `expirations`.

    `mailMessage` has `from`, `to`, `cc`, `subject`, `date`, `messageId`, `text`, `html` and `headers`. Each
    firing carries `filename`, the message as it came, and what the script put into `vars`. A message is
    deleted only after its firing is committed, and a kept one is not looked at twice.
    """

    type = "inmail"
    family = "event"
    ways = (("transition", "transition"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there are a mailbox and a script."""
        if not activity.parameters.get("account"):
            yield _("Activity %(activity)s has no external account"), {}
        if not str(activity.parameters.get("script", "")).strip():
            yield _("Activity %(activity)s has no script"), {}
        yield from timetable.check(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Delete what the last round is through with; look at what waits."""
        account = _account(ctx)
        over = bool(ctx.memory.pop("over", False))
        turn = None
        if not ctx.memory.get("delete"):
            turn = timetable.begin(ctx)
            if not turn.looks:
                return turn.after()
        with opened(account) as mailbox:
            for each in cast("list[str]", ctx.memory.pop("delete", None) or []):
                mailbox.delete(each)
            if turn is None:
                upcoming = timetable.next_date(ctx)
                return Outcome(due=None if over else upcoming, dropped=over or upcoming is None)
            waiting = mailbox.ids()
            seen = [each for each in cast("list[str]", ctx.memory.get("seen") or []) if each in set(waiting)]
            known = set(seen)
            fired: list[Fired] = []
            gone: list[str] = []
            for each in [each for each in waiting if each not in known][:MOST]:
                raw = mailbox.message(each)
                code = KEEP if raw is None else _judged(ctx, raw)
                (gone if code in (DELETE_FIRE, DELETE) else seen).append(each)
                if raw is not None and code in (DELETE_FIRE, KEEP_FIRE):
                    fired.append(_firing(ctx, each, raw))
                    if ctx.parameters.get("stopAfterFirst"):
                        over = True
                        break
        ctx.memory["seen"] = seen[-REMEMBERED:]
        if gone:
            ctx.memory.update(delete=gone, over=over)
            return turn.after(*fired, again=True)
        return turn.after(*fired, over=over)


def _account(ctx: TaskContext) -> accounts.Credentials:
    try:
        found = accounts.credentials(str(ctx.parameters.get("account", "")), actor=ctx.actor)
    except Refused as error:
        raise Misconfigured(str(error)) from error
    if found.type not in ("pop3", "imap"):
        raise Misconfigured(f"The account {found.name} is no mailbox.")
    return found


def _judged(ctx: TaskContext, raw: bytes) -> int:
    """Return what the script says of a message; what it put into `vars` is in the context."""
    given = json.dumps(described(raw), ensure_ascii=True)
    source = f"var mailMessage = {given};{ctx.parameters['script']}"
    result, _host = scripts.run(ctx, source, kind=Kind.FUNCTION)
    code = result.returned
    if code not in (DELETE_FIRE, KEEP_FIRE, DELETE, KEEP):
        raise Failed(f"The script of {ctx.activity.name} must return 1, 2, 3 or 4, not {code!r}.")
    return int(cast("int", code))


def _firing(ctx: TaskContext, id: str, raw: bytes) -> Fired:
    name = local_files.safe_name(f"{ctx.task_id}_{id}.eml")
    path = local_files.own_folder(ctx) / name
    part = path.with_name(f".{name}.part")
    part.write_bytes(raw)
    part.replace(path)
    return Fired("transition", {**ctx.variables, **local_files.carried(path)})


def described(raw: bytes) -> dict[str, Any]:
    """Return a message as a script finds it; what cannot be decoded is replaced, long texts are cut."""
    message = message_from_bytes(raw, policy=policy.default)

    def header(name: str) -> str:
        try:
            return str(message.get(name, ""))
        except (ValueError, LookupError, IndexError, AttributeError):
            return ""

    found: dict[str, Any] = {
        "from": header("From"),
        "to": header("To"),
        "cc": header("Cc"),
        "subject": header("Subject"),
        "date": header("Date"),
        "messageId": header("Message-ID"),
        "headers": {name.lower(): header(name) for name in dict.fromkeys(message.keys())},
    }
    for name, kind in (("text", "plain"), ("html", "html")):
        found[name] = ""
        try:
            body = message.get_body(preferencelist=(kind,))
            if body is not None:
                found[name] = str(body.get_content())[:LONGEST_TEXT]
        except (KeyError, ValueError, LookupError, AttributeError):
            continue
    return found
