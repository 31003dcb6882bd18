"""Control rules: they look at a delivery in the phases of its analysis, and keep it from being confirmed.

A rule of the product names a check; others are a script, the body of a function in JavaScript: `delivery`
is what it looks at, `return` gives true or false, logInfo and logWarning write to the log of the delivery.
A script may read by the product's names what the operator may who analyses; it changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from envoi.engine.scripting import (
    EXPRESSION_LIMITS,
    Closed,
    Kind,
    Level,
    ScriptFailed,
    ScriptStopped,
    Value,
    Variables,
    run_script,
)
from envoi.kernel import options, query
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import ControlPhase, JobLevel, TypologyRule
from envoi.packages.delivery.services.deliveries import job_log
from envoi.packages.delivery.services.typologies import definitions
from envoi.packages.delivery.services.typologies.checks import CHECKS, Look
from envoi.packages.delivery.services.typologies.selection import Rules

_QUERY = "xtk.queryDef.ExecuteQuery"
_FIELDS = (
    "internal_name", "label", "code", "description", "message_type", "delivery_mode", "fcp", "priority",
    "validation_mode", "contact_date", "subject", "from_name", "from_address", "reply_to", "html_source",
    "text_source", "validity", "web_validity", "weight",
)  # fmt: skip


def look(rules: Rules, phase: ControlPhase, at: Look, *, actor: Actor) -> JobLevel:
    """Apply the control rules of a phase and write what they find into the log, in the caller's transaction;
    returns the worst level of what they found.
    """
    worst = JobLevel.INFO
    for rule in rules.controls(phase):
        said = definitions.control(rule.definition, tuple(CHECKS))
        found = _checked(rule, said.check, at, actor) if said.check else _run(rule, said.script, at, actor)
        worst = max(worst, found)
    return JobLevel(worst)


def _checked(rule: TypologyRule, check: str, at: Look, actor: Actor) -> JobLevel:
    worst = JobLevel.INFO
    for found in CHECKS[check](at):
        level = JobLevel(max(rule.level, found.level or 0))
        job_log.write(at.delivery, found.code, actor=actor, run=at.run, level=level, **found.detail)
        worst = max(worst, level)
    return worst


def _run(rule: TypologyRule, script: str, at: Look, actor: Actor) -> JobLevel:
    host, level = _Host(actor), JobLevel(rule.level)
    try:
        # On the first line, so that errors name the lines of the rule.
        result = run_script(
            f"const delivery = activity; {script}",
            host=host,
            variables=Variables(activity=_facts(at)),
            limits=EXPRESSION_LIMITS,
            kind=Kind.FUNCTION,
        )
        holds, problem = result.truth, ""
    except (ScriptFailed, ScriptStopped) as error:
        # A rule that cannot say whether it holds does not, whatever its level.
        holds, problem, level = False, str(error), JobLevel.ERROR
    worst = JobLevel.INFO
    for line_level, text in host.lines:
        job_log.write(at.delivery, "rule_said", actor=actor, run=at.run, level=line_level,
                      rule=rule.label, text=text)  # fmt: skip
        worst = max(worst, line_level)
    if not holds:
        code, detail = ("rule_failed", {"error": problem}) if problem else ("rule_broken", {})
        job_log.write(at.delivery, code, actor=actor, run=at.run, level=level, rule=rule.label, **detail)
        worst = max(worst, level)
    return worst


def _facts(at: Look) -> dict[str, Any]:
    """Return what a script sees of a delivery, in plain values; dates are texts in ISO 8601."""
    delivery = at.delivery
    facts = {_camel(name): _plain(getattr(delivery, name)) for name in _FIELDS}
    return {
        "id": delivery.pk, **facts, "count": at.count, "variables": delivery.variables,
        "sending": delivery.sending, "targeting": delivery.targeting,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


class _Host(Closed):
    """Answers a script that looks, and keeps the lines that it writes."""

    def __init__(self, actor: Actor) -> None:
        super().__init__("in a control rule")
        self.actor = actor
        self.lines: list[tuple[JobLevel, str]] = []

    @property
    def functions(self) -> frozenset[str]:
        """Queries."""
        return frozenset({_QUERY})

    def log(self, level: Level, message: str) -> None:
        """Keep a line; an error ends the script and is told by its failure."""
        if level is not Level.ERROR:
            kept = JobLevel.WARNING if level is Level.WARNING else JobLevel.INFO
            self.lines.append((kept, message[:1000]))

    def get_option(self, name: str) -> Value:
        """Return an option."""
        return cast("Value", options.get(name, actor=self.actor))

    def call(self, name: str, arguments: Sequence[Value]) -> Value:
        """Answer a query with the rights of the operator: rows as objects by the expressions selected."""
        given = arguments[0] if arguments else None
        if not isinstance(given, Mapping):
            raise Invalid("A query is an object such as {schema: 'nms:recipient', operation: 'count', …}.")
        found = query.run(query.from_json(given), actor=self.actor)
        names = [column.name for column in found.columns]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in found.rows]
