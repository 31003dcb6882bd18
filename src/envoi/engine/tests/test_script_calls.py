"""What scripts may ask of the platform: commands, queries, approvals, programs (engine.md §3, §5.8)."""

import pytest

from envoi.engine import commands, instances
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import Approval, QueuedCommand, State, Workflow
from envoi.engine.testing import chain, lines, make_workflow, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import end, js, scheduler, start, way
from envoi.kernel import options
from envoi.kernel.models import AuditEntry, Folder
from envoi.kernel.models.option import DataType
from envoi.kernel.testing import admin_actor, make_actor, make_operator


def says(script, actor=None, **properties):
    """Run one script and return what it said."""
    workflow = begin(make_workflow(chain(start(), js("code", script), end()), **properties), actor)
    return lines(workflow)


def reload(workflow):
    workflow.refresh_from_db()
    return workflow


def test_a_script_steers_another_workflow(db, clock):
    other = make_workflow(
        chain(scheduler(), js("read", "logInfo('x is ' + instance.vars.x)"), end()), name="other"
    )
    says("xtk.workflow.StartWithParameters('other', {variables: {x: 'abc'}})")
    assert reload(other).state == State.STARTED
    says("xtk.workflow.Wakeup('other')")
    assert "x is abc" in lines(other)
    for call, state in (
        ("Pause", State.PAUSED),
        ("Start", State.STARTED),
        ("Restart", State.STARTED),
        ("Stop", State.FINISHED),
    ):
        says(f"xtk.workflow.{call}({other.pk})")
        assert reload(other).state == state, call
    says("xtk.workflow.Cleanup('other')")
    assert lines(other) == []
    trail = AuditEntry.objects.filter(entity_id=other.pk).order_by("pk").values_list("action", flat=True)
    assert list(trail)[1:] == ["Start", "Wakeup", "Pause", "Start", "Restart", "Stop", "Cleanup"]


def test_a_state_that_forbids_it_is_an_error_in_the_journal_of_the_other(db, clock):
    other = make_workflow(chain(start(), end()), name="other")
    assert "went on" in says("xtk.workflow.Pause('other'); logInfo('went on')")
    assert "Command Pause failed: the state of the workflow is editing." in lines(other)
    says("xtk.workflow.Kill('other')")
    assert (reload(other).state, other.failed) == (State.EDITION, False)


@pytest.mark.parametrize("call", ["Stop", "Restart", "Kill", "Pause"])
def test_a_script_may_stop_its_own_workflow(db, clock, call):
    """The command comes into effect after the activity, whose work stays."""
    once = f"if (!instance.vars.done) {{ instance.vars.done = true; xtk.workflow.{call}(instance.id) }}"
    later = Activity("wait", "later", parameters={"duration_s": 60}, transitions=(way("transition", "end"),))
    workflow = begin(make_workflow(chain(start(), js("code", once), later, end())))
    state = {"Pause": State.PAUSED, "Restart": State.STARTED}.get(call, State.FINISHED)
    assert (workflow.state, workflow.failed) == (state, False)
    assert workflow.variables == {"done": True}
    assert ("code", "completed") in tasks(workflow)


def test_an_event_reaches_the_own_signal(db, clock):
    workflow = begin(
        make_workflow(
            (
                Activity("fork", "fork", transitions=(way("one", "signal"), way("two", "code"))),
                Activity("signal", "signal", transitions=(way("transition", "got"),)),
                js("code", "xtk.workflow.PostEvent(instance.id, 'signal', '', {n: 7}, true)"),
                js("got", "logInfo('got ' + vars.n)"),
            )
        )
    )
    assert "got 7" in lines(workflow)
    assert workflow.state in (State.FINISHED, State.PAUSED)


def test_the_rights_are_those_of_the_workflow(db, clock):
    make_workflow(chain(start(), end()), name="technical", folder="nmsTechnicalWorkflow")
    make_workflow(chain(start(), end()), name="other")
    ina = make_actor("ina", rights=("WORKFLOW",))
    caught = "try {{ xtk.workflow.{} }} catch (error) {{ logInfo(error.message) }}"
    for call, text in (
        ("Start('technical')", "may not start technical workflows"),
        ("Kill('other')", "ADMINISTRATION is missing"),
        ("SetLogin('other', 'ina')", "ADMINISTRATION"),
        ("Start('nobody')", "There is no workflow 'nobody'"),
        ("Start()", "at least 1 argument"),
        ("StartWithParameters('other', [1])", "Variables are an object"),
    ):
        assert any(text in line for line in says(caught.format(call), ina)), call
    assert not QueuedCommand.objects.filter(workflow__internal_name__in=("technical", "other")).exists()


def test_a_script_makes_workflows_from_templates(db, clock):
    pattern = chain(start(), js("read", "logInfo('x is ' + instance.vars.x)"), end())
    make_workflow(pattern, name="pattern", folder="workflowTemplates", is_model=True)
    said = says("logInfo(xtk.workflow.SpawnWithParameters('pattern', {x: 5}))")
    made = Workflow.objects.get(model_name="pattern")
    assert str(made.pk) in said
    assert (made.state, "x is 5" in lines(made)) == (State.FINISHED, True)
    says("xtk.workflow.SpawnWithParametersEx('pattern', true, {})")
    assert Workflow.objects.latest("pk").pk != made.pk
    assert Workflow.objects.filter(model_name="pattern", simulation=True).count() == 1


def test_the_execution_account_is_read_and_set(db, clock):
    make_operator("sam", rights=("WORKFLOW",))
    make_workflow(chain(start(), end()), name="other")
    assert "now sam" in says(
        "xtk.workflow.SetLogin('other', 'sam'); logInfo('now ' + xtk.workflow.GetLogin('other'))"
    )
    assert instances.login_of(admin_actor(), "other") == "sam"


def test_a_script_answers_an_approval_in_the_name_of_its_account(db, clock):
    make_operator("ann", rights=("WORKFLOW",))
    asking = begin(
        make_workflow(
            (
                Activity(
                    "validation",
                    "ask",
                    parameters={"assignee": {"operator": "ann"}, "title": "Send it?"},
                    transitions=(way("yes", "end", kind="answer"), way("no", "end", kind="answer")),
                ),
                end(),
            ),
            name="asking",
        )
    )
    task = Approval.objects.get(workflow=asking).task_id
    assert any(
        "asks nothing of" in line for line in says(f"xtk.workflow.Reply('asking', '{task}', 'fine', 'yes')")
    )
    replying = make_workflow(
        chain(
            start(),
            js(
                "code",
                f"const p = xtk.workflow.GetValidationParameters('asking', '{task}');"
                "logInfo(p.title + p.choices.join());"
                f"xtk.workflow.Reply('asking', '{task}', 'fine', 'yes')",
            ),
            end(),
        ),
        name="replying",
    )
    instances.set_login(admin_actor(), "replying", "ann")
    assert "Send it?yes,no" in lines(begin(replying))
    assert reload(asking).state == State.FINISHED
    assert Approval.objects.get(workflow=asking).comment == "fine"


def test_queries_give_plain_objects_within_the_rights_of_the_workflow(db, clock):
    make_workflow(chain(start(), end()), name="hidden", folder="nmsTechnicalWorkflow")
    make_workflow(chain(start(), end()), name="shown")
    ask = """
      const q = xtk.queryDef.create({queryDef: {schema: 'xtk:workflow', operation: OP,
        select: {node: [{expr: '@internalName'}, {expr: '[folder/@name]'}, {expr: '@createdAt'}]},
        where: {condition: {expr: "@internalName = 'shown'"}}}})
      const found = q.ExecuteQuery()
      logInfo(JSON.stringify(found))"""
    at = "2026-11-24T09:00:00.000Z"
    row = f'{{"internalName":"shown","folder":{{"name":"targetingWorkflows"}},"createdAt":"{at}"}}'
    for operation, text in (("select", f'{{"workflow":[{row}]}}'), ("get", row), ("count", '{"count":1}')):
        assert text in says(f"const OP = '{operation}'; {ask}"), operation
    none = ask.replace("'shown'", "'nobody'")
    assert "null" in says(f"const OP = 'getIfExists'; {none}")
    assert any("no xtk:workflow with these" in line for line in says(f"const OP = 'get'; {none}"))
    logins = "xtk.queryDef.create({schema: 'xtk:workflowLogin', operation: 'count'}).ExecuteQuery()"
    refused = says(logins, make_actor("ina", rights=("WORKFLOW",)))
    assert any("may not read xtk:workflowLogin" in line for line in refused)


def test_a_script_writes_an_entity_by_its_key(db, clock):
    folder = Folder.objects.get(name="recipients")
    entity = f"""{{recipient: {{xtkschema: 'nms:recipient', _key: '@email', email: 'ada@example.org',
      firstName: NAME, 'folder-id': {folder.pk}}}}}"""
    for name in ("Ada", "Augusta"):
        says(f"const NAME = '{name}'; xtk.session.Write({entity})")
    ask = """xtk.queryDef.create({schema: 'nms:recipient', operation: 'select',
      select: {node: [{expr: '@firstName'}]}, where: {condition: {expr: "@email = 'ada@example.org'"}}})"""
    assert '{"recipient":[{"firstName":"Augusta"}]}' in says(f"logInfo(JSON.stringify({ask}.ExecuteQuery()))")
    for wrong, text in (
        ("{email: 'x'}", "xtkschema"),
        ("{xtkschema: 'nms:recipient', folder: {name: 'x'}}", "folder is an element"),
        ("{xtkschema: 'nms:nobody', a: 1}", "nms:nobody"),
    ):
        assert any(text in line for line in says(f"xtk.session.Write({wrong})")), wrong


def test_conditions_may_ask_but_not_act(db, clock):
    make_workflow(chain(start(), end()), name="other")
    count = "xtk.queryDef.create({schema: 'xtk:workflow', operation: 'count'}).ExecuteQuery().count > 0"
    for condition, works in ((count, True), ("xtk.workflow.Start('other')", False)):
        test = Activity("jstest", "test", transitions=(way("test", "end", kind="test", condition=condition),))
        workflow = begin(make_workflow((start(to="test"), test, end())))
        assert (workflow.state == State.FINISHED) is works
    assert not QueuedCommand.objects.filter(workflow__internal_name="other").exists()


def test_a_program_is_run_under_the_same_switch_as_the_external_task(db, clock):
    call = "const [code, text] = execCommand('/bin/echo \\'a  b\\' $HOME', true); logInfo(code + text)"
    assert any("XtkWorkflow_Programs" in line for line in says(call))
    options.set("XtkWorkflow_Programs", "/bin/echo /bin/false", actor=admin_actor(), data_type=DataType.MEMO)
    assert "0a  b $HOME\n" in says(call)
    assert any("PROGRAM EXECUTION" in line for line in says(call, make_actor("ina", rights=("WORKFLOW",))))
    assert "/bin/false ended with 1." in says("execCommand('/bin/false')")
    assert "1" in says("logInfo(execCommand('/bin/false', true)[0])")


def test_what_a_failed_script_asked_for_is_not_done(db, clock):
    other = make_workflow(chain(start(), end()), name="other")
    says("xtk.workflow.Start('other'); throw new Error('no')")
    run_until_passive()
    assert reload(other).state == State.EDITION
    commands.post(admin_actor(), "other", Command.START)
    run_until_passive()
    assert reload(other).state == State.FINISHED
