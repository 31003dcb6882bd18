"""What scripts of workflows may ask of the platform by the product's names (engine.md §3, §5.8; ADR 0007).

Where the product takes or gives an XML element, a plain object stands: `xtk.workflow.PostEvent(id, "signal",
"", {n: 1}, false)`. Everything is done with the rights of the workflow. Commands are queued and come into
effect after the activity; what locks the row of a workflow waits for the end of the script, since others
would wait for as long as the script runs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import cast
from uuid import UUID

from envoi.engine import access, approvals, commands, instances, programs
from envoi.engine.activities.base import Failed
from envoi.engine.activities.js import limit_of
from envoi.engine.approvals import Question
from envoi.engine.commands import Command
from envoi.engine.scripting import Value
from envoi.engine.scripting.values import encode
from envoi.engine.scripts import Function, TaskHost, script_functions
from envoi.kernel import query, registry, writing
from envoi.kernel.errors import Invalid
from envoi.kernel.query import Operation

_PATH = re.compile(r"^\[?[\w@/:-]+\]?$")
ROOTS = {"queryDef", "document"}
"""Names under which a definition may be wrapped."""


# --- workflows


def _command(command: Command, *names: str) -> Callable[[TaskHost, Sequence[Value]], Value]:
    """Return a call that queues a command; its first argument is the workflow, `names` are those after
    it.
    """

    def ask(host: TaskHost, given: Sequence[Value]) -> Value:
        readers = {"variables": _variables, "complete": _truth}
        parameters = {
            name: readers.get(name, _text)(value) for name, value in zip(names, given[1:], strict=False)
        }
        commands.post_later(host.ctx.actor, _text(given[0]), command, **parameters)
        return None

    return ask


def _spawn(host: TaskHost, given: Sequence[Value]) -> Value:
    # The product merges a patch with the template; without XML there is nothing to merge.
    if len(given) > 1 and given[1]:
        raise Invalid("xtk.workflow.Spawn takes no patch here. Use SpawnWithParameters and variables.")
    return _instance(host, given[0], {}, simulation=False)


def _spawn_with(host: TaskHost, given: Sequence[Value]) -> Value:
    return _instance(host, given[0], given[1], simulation=False)


def _spawn_ex(host: TaskHost, given: Sequence[Value]) -> Value:
    return _instance(host, given[0], given[2], simulation=_truth(given[1]))


def _instance(host: TaskHost, template: Value, variables: Value, *, simulation: bool) -> Value:
    actor = host.ctx.actor
    # Nobody sees the new workflow before the activity commits, so its lock is in nobody's way.
    name = instances.spawn(actor, _text(template), variables=_variables(variables), simulation=simulation)
    return access.find(actor, name).workflow_id


def _get_login(host: TaskHost, given: Sequence[Value]) -> Value:
    return instances.login_of(host.ctx.actor, _text(given[0]))


def _set_login(host: TaskHost, given: Sequence[Value]) -> Value:
    instances.set_login(host.ctx.actor, _text(given[0]), _text(given[1]))
    return None


def _delete_result(host: TaskHost, given: Sequence[Value]) -> Value:
    actor, name = host.ctx.actor, access.find(host.ctx.actor, _text(given[0])).internal_name
    host.after.append(lambda: instances.delete_results(actor, name))
    return None


def _reply(host: TaskHost, given: Sequence[Value]) -> Value:
    question = _question(host, given)
    actor, comment, choice = host.ctx.actor, _text(given[2]), _text(given[3])
    if choice not in [each.name for each in question.choices]:
        raise Invalid(f"{choice!r} is no answer of {question.activity}.")
    host.after.append(lambda: approvals.answer(actor, question.approval_id, choice, comment))
    return None


def _validation(host: TaskHost, given: Sequence[Value]) -> Value:
    question = _question(host, given)
    return {
        "title": question.title,
        "message": question.message,
        "creationDate": question.asked_at,
        "timeout": question.expires_at,
        "choices": [each.name for each in question.choices],
        "isAssignee": True,
        "hasResponded": bool(question.answer),
        "canReply": not question.closed,
    }


def _question(host: TaskHost, given: Sequence[Value]) -> Question:
    workflow, task = _text(given[0]), _text(given[1])
    if not task.isdecimal():
        raise Invalid(f"{task!r} is no task of a workflow.")
    return approvals.question_of_task(host.ctx.actor, workflow, int(task))


# --- data


def _execute_query(host: TaskHost, given: Sequence[Value]) -> Value:
    definition = query.from_json(_unwrapped(given[0]))
    result = query.run(definition, actor=host.ctx.actor, zone=str(host.ctx.zone))
    names = [column.name for column in result.columns]
    found = [_document(names, row) for row in result.rows]
    match definition.operation:
        case Operation.SELECT:
            return {registry.find(definition.schema).local_name: found}
        case Operation.COUNT | Operation.EXISTS:
            return found[0]
        case Operation.GET | Operation.GET_IF_EXISTS:
            return found[0] if found else None


def _document(names: Sequence[str], row: Sequence[object]) -> dict[str, Value]:
    """Return a row as the product's documents have it: `[folder/@name]` is `name` inside of `folder`."""
    found: dict[str, Value] = {}
    for name, value in zip(names, row, strict=True):
        way = name.strip("[]").split("/") if _PATH.match(name) else [name]
        *steps, last = [step.removeprefix("@") for step in way]
        place = found
        for step in steps:
            inside = place.setdefault(step, {})
            if not isinstance(inside, dict):
                raise Invalid(f"{step} is selected both as a value and as a way to {name}. Give an alias.")
            place = inside
        place[last] = _plain(value)
    return found


def _plain(value: object) -> Value:
    match value:
        case datetime():
            return value
        case date() | UUID():
            return str(value)
        case _:
            encode(value, "A value")
            return cast("Value", value)


def _write(host: TaskHost, given: Sequence[Value]) -> Value:
    entity = given[0]
    if not isinstance(entity, Mapping):
        raise Invalid("xtk.session.Write takes an object such as {xtkschema: 'nms:recipient', email: '…'}.")
    inside = next(iter(entity.values())) if len(entity) == 1 else entity
    values = {**cast("Mapping[str, Value]", inside if isinstance(inside, Mapping) else entity)}
    schema = _text(values.pop("xtkschema", ""))
    operation = _text(values.pop("_operation", "insertOrUpdate"))
    names = [each.strip(" []").removeprefix("@") for each in _text(values.pop("_key", "")).split(",")]
    wrong = [name for name, value in values.items() if isinstance(value, Mapping | list | tuple)]
    if not schema or wrong:
        raise Invalid(
            f"xtk.session.Write: {wrong[0]} is an element. Give the key of what it links to, as “folder-id”."
            if wrong
            else "xtk.session.Write: say which schema is meant, as “xtkschema”."
        )
    key = [name for name in names if name] or None
    return writing.write(
        schema, values, actor=host.ctx.actor, operation=operation, key=key, zone=str(host.ctx.zone)
    ).key


# --- programs


def _exec_command(host: TaskHost, given: Sequence[Value]) -> Value:
    """`execCommand(command, silent)`: [status, output]. There is no shell: no pipe, no `*`, no `$`."""
    try:
        program, *arguments = shlex.split(_text(given[0]))
    except ValueError as error:
        raise Invalid(f"execCommand: the command cannot be read ({error}).") from error
    ended = programs.execute(host.ctx, program, arguments, limit_s=limit_of(host.ctx.activity))
    if ended.status and not (len(given) > 1 and _truth(given[1])):
        raise Failed(f"{program} ended with {ended.status}.")
    return [ended.status, ended.output]


# --- arguments


def _unwrapped(given: Value) -> Mapping[str, object]:
    if isinstance(given, Mapping) and len(given) == 1 and set(given) <= ROOTS:
        given = next(iter(given.values()))
    if not isinstance(given, Mapping):
        raise Invalid("A query is an object such as {schema: 'xtk:workflow', operation: 'select', …}.")
    return cast("Mapping[str, object]", given)


def _variables(given: Value) -> dict[str, object]:
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise Invalid("Variables are an object such as {foo: 'abc'}.")
    entries = cast("Mapping[str, Value]", given)
    if len(entries) == 1 and isinstance(inside := entries.get("variables"), Mapping):
        entries = cast("Mapping[str, Value]", inside)
    for name, value in entries.items():
        if isinstance(value, Mapping | list | tuple):
            raise Invalid(f"{name} is an object. A variable is a text, a number, true or false, or a date.")
    return {name: encode(value, name) for name, value in entries.items()}


def _text(value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Invalid(f"Expected a text or a whole number, found {value!r}.")
    return str(value)


def _truth(value: Value) -> bool:
    return value not in (None, False, 0, "", "0", "false")


def _of(command: Command, *names: str) -> Function:
    least = 2 if "activity" in names else 1
    return Function(_command(command, *names), least)


FUNCTIONS = {
    "execCommand": Function(_exec_command),
    "xtk.queryDef.ExecuteQuery": Function(_execute_query, reads=True),
    "xtk.session.Write": Function(_write),
    "xtk.workflow.Start": _of(Command.START),
    "xtk.workflow.StartWithParameters": _of(Command.START, "variables"),
    "xtk.workflow.Simulate": _of(Command.SIMULATE),
    "xtk.workflow.SimulateWithParameters": _of(Command.SIMULATE, "variables"),
    "xtk.workflow.Pause": _of(Command.PAUSE),
    "xtk.workflow.Resume": _of(Command.START),
    "xtk.workflow.Stop": _of(Command.STOP),
    "xtk.workflow.Kill": _of(Command.KILL),
    "xtk.workflow.Restart": _of(Command.RESTART),
    "xtk.workflow.RestartTask": _of(Command.RESTART_TASK, "activity"),
    "xtk.workflow.Wakeup": _of(Command.WAKEUP),
    "xtk.workflow.Cleanup": _of(Command.CLEANUP),
    "xtk.workflow.PostEvent": _of(Command.POST_EVENT, "activity", "transition", "variables", "complete"),
    "xtk.workflow.Spawn": Function(_spawn),
    "xtk.workflow.SpawnWithParameters": Function(_spawn_with, 2),
    "xtk.workflow.SpawnWithParametersEx": Function(_spawn_ex, 3),
    "xtk.workflow.DeleteResult": Function(_delete_result),
    "xtk.workflow.GetLogin": Function(_get_login, reads=True),
    "xtk.workflow.SetLogin": Function(_set_login, 2),
    "xtk.workflow.GetValidationParameters": Function(_validation, 2, reads=True),
    "xtk.workflow.Reply": Function(_reply, 4),
}


@script_functions.answer
def functions() -> Mapping[str, Function]:
    """Return what every script of a workflow may call."""
    return FUNCTIONS
