"""Scripts: what they see, what they may do, and that nothing they do harms who runs them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.engine.scripting import (
    Closed,
    Kind,
    Level,
    Limits,
    ScriptCancelled,
    ScriptFailed,
    ScriptStopped,
    Variables,
    evaluate,
    holds,
    render,
    run_script,
    server,
    stop,
    values,
)
from envoi.kernel import clock
from envoi.kernel.errors import Invalid, Refused, Retry
from envoi.kernel.testing import wait_until

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOTHING = Variables()
SMALL = Limits(wall_seconds=60, cpu_seconds=1, memory_bytes=32 * 1024 * 1024)


class Recorder(Closed):
    """Answers from memory and keeps what was asked."""

    functions = frozenset({"xtk.session.Write", "execCommand", "boom"})

    def __init__(self):
        super().__init__("in a test")
        self.lines, self.options, self.events, self.calls = [], {"known": "yes"}, [], []
        self.completed, self.next_date = False, None

    def log(self, level, message):
        self.lines.append((level, message))

    def get_option(self, name):
        if name not in self.options:
            raise Refused(f"There is no option {name}.")
        return self.options[name]

    def set_option(self, name, value):
        self.options[name] = value

    def load_file(self, path):
        return f"text of {path}"

    def set_completed(self):
        self.completed = True

    def post_event(self, transition, variables):
        self.events.append((transition, dict(variables)))

    def set_next_processing_date(self, moment):
        self.next_date = moment

    def call(self, name, arguments):
        if name == "boom":
            raise ZeroDivisionError(name)
        self.calls.append((name, list(arguments)))
        return {"done": True, "of": list(arguments)}


def run(source, **given):
    host = given.pop("host", None) or Recorder()
    limits = given.pop("limits", SMALL)
    kind, zone = given.pop("kind", Kind.ACTIVITY), given.pop("zone", "UTC")
    return run_script(source, host=host, variables=Variables(**given), limits=limits, kind=kind, zone=zone)


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def fork_server() -> int:
    assert server._running is not None
    return server._running[0].pid


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# What a script sees


def test_three_scopes_cross_both_ways_with_their_types():
    result = run(
        """
        vars.text += "é 😀"; vars.count = vars.count * 2; vars.half = vars.count / 8;
        vars.yes = !vars.no; vars.when = new Date(vars.when.getTime() + 86400000);
        instance.vars.x = 1; task.vars.y = "z"; delete vars.no; vars.nothing = undefined; vars.empty = null;
        """,
        vars={"text": "a\u2028\"'", "count": 2, "no": False, "when": NOON, "nothing": 1},
        instance_vars={"x": 0},
    )
    assert result.vars == {
        "text": "a\u2028\"'é 😀",
        "count": 4,
        "half": 0.5,
        "yes": True,
        "when": NOON + timedelta(days=1),
        "empty": None,
    }
    assert type(result.vars["count"]) is int
    assert result.instance_vars == {"x": 1}
    assert result.task_vars == {"y": "z"}


def test_whole_numbers_beyond_a_double_stay_exact():
    big = 9007199254740993
    assert run("vars.x += 1n", vars={"x": big}).vars == {"x": big + 1}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    st.datetimes(timezones=st.just(UTC)).map(
        lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000)
    ),
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), scalars))
def test_untouched_variables_come_back_as_they_went(given_vars):
    assert run("0", vars=given_vars).vars == given_vars


def test_what_a_database_cannot_keep_is_replaced():
    assert run(r'vars.x = "a\ud800b\u0000"').vars == {"x": "a\ufffdb\ufffd"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("vars.list = [1, 2]", r"vars\.list is an object"),
        ("instance.vars.o = {}", r"instance\.vars\.o is an object"),
        ("vars.f = function() {}", r"vars\.f is a function"),
        ("vars.n = 0 / 0", r"vars\.n is NaN"),
        ("vars.d = new Date(NaN)", r"vars\.d is not a date"),
        ("vars.d = new Date(8.64e15)", r"vars\.d is not a date"),
        ("vars = {}", "vars cannot be replaced"),
        ("instance.label = 'x'", r"instance\.label is read-only"),
        ("delete instance.label", r"instance\.label is read-only"),
        ("task.id = 1", r"task\.id is read-only"),
        ("event.vars2 = 1", r"event|events\[0\]"),
        ("activity.limiter.percent = 10", r"activity\.limiter\.percent is read-only"),
        ("vars.x = 1; throw 'plain'", "^plain$"),
        ("getOption()", "getOption was called with arguments"),
        ("getOption('unknown')", "There is no option unknown"),
        ("logInfo(Symbol())", "TypeError"),
        ("(async () => { await null; throw new Error('late') })()", "late"),
        ("new Promise(() => 0)", "waits for a promise"),
    ],
)
def test_refusals(source, message):
    with pytest.raises(ScriptFailed, match=message):
        run(
            source,
            instance={"label": "L"},
            task={"id": 7},
            events=[{"id": 1}],
            activity={"limiter": {"percent": 50}},
        )


def test_reading_of_what_is_given():
    result = run(
        """
        [instance.id, instance.internalName, task.id, event.tableName, events.length, activity.name,
         task.transitionByName("b").label, task.doneTransition().name, task.transitionByType("none"),
         task.incomingTransitionByName("in").tableName, typeof vars.missing, "constructor" in vars].join("|")
        """,
        instance={"id": 12, "internalName": "WKF12"},
        task={"id": 7},
        events=[{"tableName": "wkf12_1"}],
        activity={"name": "js"},
        transitions=[{"name": "a", "type": "done"}, {"name": "b", "type": "answer", "label": "B"}],
        incoming=[{"name": "in", "tableName": "wkf12_1"}],
    )
    assert result.returned == "12|WKF12|7|wkf12_1|1|js|B|a||wkf12_1|undefined|false"


def test_event_is_undefined_when_several_came():
    assert run("typeof event + events.length", events=[{"id": 1}, {"id": 2}]).returned == "undefined2"


def test_initialization_script_changes_a_copy_of_the_activity():
    stored = {"transitions": {"extractOutput": [{"limiter": {"percent": 50}}]}}
    result = run(
        "activity.transitions.extractOutput[0].limiter.percent = instance.vars.p",
        kind=Kind.INIT,
        activity=stored,
        instance_vars={"p": 10},
    )
    assert result.activity == {"transitions": {"extractOutput": [{"limiter": {"percent": 10}}]}}
    assert stored == {"transitions": {"extractOutput": [{"limiter": {"percent": 50}}]}}


def test_calls_reach_the_host_in_order():
    host = Recorder()
    result = run(
        """
        logInfo("one " + 1); logWarning("two");
        setOption("set", getOption("known") + "!");
        vars.text = loadFile("a.txt");
        vars.of = xtk.session.Write({schema: "nms:recipient", ids: [1, 2], at: vars.when}).of[0].ids[1];
        task.postEvent(task.transitionByName("ok")); vars.later = true; task.postEvent("");
        task.setNextProcessingDate(vars.when); task.setCompleted();
        """,
        host=host,
        vars={"when": NOON},
        transitions=[{"name": "ok", "type": "done"}],
    )
    assert host.lines == [(Level.INFO, "one 1"), (Level.WARNING, "two")]
    assert host.options["set"] == "yes!"
    assert result.vars == {"when": NOON, "text": "text of a.txt", "of": 2, "later": True}
    assert host.calls == [("xtk.session.Write", [{"schema": "nms:recipient", "ids": [1, 2], "at": NOON}])]
    sent = {"when": NOON, "text": "text of a.txt", "of": 2}
    assert host.events == [("ok", sent), ("", sent | {"later": True})]
    assert host.next_date == NOON
    assert host.completed


def test_log_error_stops_the_script_even_when_it_catches():
    host = Recorder()
    with pytest.raises(ScriptFailed, match=r"^bad$"):
        run("logInfo('a'); try { logError('bad') } catch (e) {} logInfo('b')", host=host)
    assert host.lines == [(Level.INFO, "a"), (Level.ERROR, "bad")]


def test_refusal_of_the_host_can_be_caught_and_other_errors_cannot():
    assert run("try { getOption('none') } catch (e) { e.message }").returned == "There is no option none."
    with pytest.raises(ZeroDivisionError):
        run("try { boom() } catch (e) {}")
    assert run("1").returned == 1


def test_function_body_returns_its_result():
    assert run("if (vars.x) return 0;\nreturn 1 // end", kind=Kind.FUNCTION, vars={"x": True}).returned == 0
    with pytest.raises(ScriptFailed) as failed:
        run("\n  null.x", kind=Kind.FUNCTION)
    assert (failed.value.line, failed.value.column) == (2, 3)


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("\n\n  null.x", 3, "TypeError: cannot read property 'x' of null"),
        ("let a;\nlet b = ;", 2, "SyntaxError"),
        ("function f() {\n  missing()\n}\nf()", 2, "ReferenceError: missing is not defined"),
        ("1;\nvars.x = 1; getOption('none')", 2, "There is no option none"),
        ("\n(function f() { f() })()", 2, "Maximum call stack"),
    ],
)
def test_errors_name_their_line(source, line, message):
    with pytest.raises(ScriptFailed, match=message) as failed:
        run(source)
    assert failed.value.line == line


def test_long_texts_come_back_whole():
    result = run('let r = ""; for (let i = 0; i < 400000; i++) r += "abcé"; vars.r = r; r + r')
    assert result.vars["r"] == "abcé" * 400_000
    assert result.returned == "abcé" * 800_000


def test_conditions_and_expressions():
    assert holds("vars.recCount > 0", variables=Variables(vars={"recCount": 3}))
    assert not holds("''", variables=NOTHING)
    assert evaluate("({a: [1, new Date(0)]})", variables=NOTHING) == {
        "a": [1, datetime(1970, 1, 1, tzinfo=UTC)]
    }
    with pytest.raises(ScriptFailed, match="setOption cannot be used in a condition"):
        holds("setOption('x', 1)", variables=NOTHING)


def test_texts():
    variables = Variables(vars={"name": "<b>", "n": 2})
    assert render("no code\n", variables=variables) == "no code\n"
    text = (
        'Dear <%= vars.name %>,\n<% for (let i = 0; i < vars.n; i++) { %>"<%= i %>"\\ <% } %><%-- gone\n --%>'
        "<%= null %>."
    )
    assert render(text, variables=variables) == 'Dear <b>,\n"0"\\ "1"\\ .'
    assert render("<%= 1 // one %>", variables=variables) == "1"
    with pytest.raises(ScriptFailed) as failed:
        render("a\nb <%= 1 %>\n<%= nope %>", variables=variables)
    assert failed.value.line == 3
    with pytest.raises(Invalid, match="Line 2: a <% is not closed"):
        render("a\n<%= 1", variables=variables)
    with pytest.raises(Invalid, match="directive"):
        render("<%@ include view='x' %>", variables=variables)


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("%4Y/%2M/%2D", "2000/01/24"),
        ("%A %D %B %4Y", "Mon 24 Jan 2000"),
        ("%Al %D %Bl %2Y", "Monday 24 January 00"),
        ("%02H:%02N:%02S %I%P", "05:07:09 5AM"),
        ("%J %W 100%%", "24 4 100%"),
    ],
)
def test_format_date(format_, text):
    when = datetime(2000, 1, 24, 4, 7, 9, tzinfo=UTC)
    source = f"formatDate(vars.d, {json.dumps(format_)})"
    assert evaluate(source, variables=Variables(vars={"d": when}), zone="Europe/Paris") == text


def test_zones():
    variables = Variables(vars={"d": datetime(2026, 7, 1, 22, 30, tzinfo=UTC)})
    assert evaluate("vars.d.getHours()", variables=variables, zone="Europe/Paris") == 0
    assert evaluate("formatDate(vars.d, '%H:%02N', 'Asia/Kolkata')", variables=variables) == "4:00"
    assert evaluate("formatDate(vars.d, '%H', 'UTC')", variables=variables, zone="Europe/Paris") == "22"
    with pytest.raises(Invalid, match="Mars/Olympus"):
        evaluate("1", variables=variables, zone="Mars/Olympus")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24 12:00:00.000Z", NOON),
        ("2026-11-24T13:00:00+01:00", NOON),
        ("2026/11/24 13:00:00", NOON),
        ("2026-11-24", datetime(2026, 11, 23, 23, tzinfo=UTC)),
    ],
)
def test_parse_time_stamp(text, moment):
    assert evaluate(f"parseTimeStamp({text!r})", variables=NOTHING, zone="Europe/Paris") == moment


def test_dates_follow_the_clock_of_the_product():
    with clock.frozen(NOON):
        found = evaluate(
            "[new Date(), getCurrentDate(), new Date(Date.now()), new Date(0)]", variables=NOTHING
        )
        text = evaluate("Date() + (new Date() instanceof Date)", variables=NOTHING)
    assert all(NOON <= each < NOON + timedelta(minutes=5) for each in found[:3])
    assert found[3] == datetime(1970, 1, 1, tzinfo=UTC)
    assert text.startswith("Tue Nov 24 2026 12:0")
    assert text.endswith("true")


def test_unknown_values_are_refused_on_the_way_in():
    with pytest.raises(Invalid, match=r"vars\.x is a date without a zone"):
        run("1", vars={"x": datetime(2026, 1, 1)})  # noqa: DTZ001
    with pytest.raises(Invalid, match=r"vars\.x is a set"):
        run("1", vars={"x": {1}})
    assert values.decode(values.encode(float("-inf"), "x")) == float("-inf")


# That nothing a script does harms who runs it


@pytest.mark.parametrize(
    ("source", "limits", "limit"),
    [
        ("while (true);", SMALL, "time"),
        ("while (true) { try { while (true); } catch (e) {} }", Limits(wall_seconds=0.3), "time"),
        ("/(a+)+b/.test('a'.repeat(40))", SMALL, "time"),
        ("while (true) logInfo('again')", Limits(wall_seconds=0.5), "time"),
        ("Array(1e6).fill().map(() => Promise.resolve().then(function f() { return f() }))", SMALL, "memory"),
        ("const all = []; while (true) all.push('x'.repeat(1000) + all.length)", SMALL, "memory"),
        ("const all = []; while (true) all.push(new Uint8Array(1e6))", SMALL, "memory"),
    ],
    ids=["loop", "stubborn", "expression", "calls", "promises", "texts", "arrays"],
)
def test_limits_stop_a_script_and_the_next_one_runs(source, limits, limit):
    with pytest.raises(ScriptStopped) as stopped:
        run(source, limits=limits)
    assert stopped.value.limit == limit
    assert run("6 * 7").returned == 42
    wait_until(lambda: not children_of(fork_server()))


def test_script_that_computes_is_allowed_up_to_its_wall_limit():
    assert run(
        "let n = 0; const end = Date.now() + 1500; while (Date.now() < end) n++; n > 0", limits=Limits()
    ).truth


def test_no_door_leads_out_of_the_engine():
    result = run(
        """
        ["std", "os", "require", "process", "print", "console", "load", "read", "fetch", "XMLHttpRequest",
         "WebAssembly", "__host", "scriptArgs", "setTimeout"].filter(name => name in
         globalThis).join()
        """
    )
    assert result.returned == ""
    with pytest.raises(ScriptFailed):
        run("import('fs')")


def test_child_holds_nothing_of_its_parent(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_OF_A_TEST", "hush")
    stop()
    held = (tmp_path / "open").open("w")
    peer = socket.socketpair()
    for each in (held.fileno(), *(end.fileno() for end in peer)):
        os.set_inheritable(each, True)
    seen = {}

    class Looker(Closed):
        def log(self, level, message):
            (pid,) = children_of(fork_server())
            for name in ("environ", "status", "limits"):
                seen[name] = Path(f"/proc/{pid}/{name}").read_bytes().decode()
            seen["files"] = os.listdir(f"/proc/{pid}/fd")
            seen["server"] = Path(f"/proc/{fork_server()}/environ").read_bytes().decode()

    run("logInfo('look')", host=Looker())
    held.close()
    for end in peer:
        end.close()
    assert "hush" not in seen["environ"] + seen["server"]
    assert seen["files"] == ["0"]
    assert "NoNewPrivs:\t1" in seen["status"]
    if os.getuid() == 0:
        assert "Uid:\t65534\t65534\t65534\t65534" in seen["status"]
    limits = {line[:25].strip(): line[25:].split()[0] for line in seen["limits"].splitlines()[1:]}
    for name in ("Max open files", "Max processes", "Max file size", "Max core file size"):
        assert limits[name] == "0", name


def test_tampering_with_the_builtins_hurts_the_script_only():
    result = run(
        "JSON.stringify = JSON.parse = Object.keys = () => 'x'; Array.prototype.push = null;"
        "vars.x = 1; logInfo('y')"
    )
    assert result.vars == {"x": 1}
    with pytest.raises(ScriptFailed, match=r"changed the functions|object"):
        run("Object.prototype.toJSON = () => 'x'; logInfo('y')")
    assert run("Math.random() >= 0").truth


def test_two_scripts_share_nothing():
    run("globalThis.left = 1; Array.prototype.left = 1")
    assert run("typeof left + typeof [].left").returned == "undefinedundefined"
    assert run("Math.random()").returned != run("Math.random()").returned


def test_many_threads_at_once_and_threads_that_end():
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: run("vars.n * 2", vars={"n": n}).returned, range(60)))
    assert found == [2 * n for n in range(60)]
    pids = []
    thread = threading.Thread(target=lambda: (stop(), run("1"), pids.append(fork_server())))
    thread.start()
    thread.join()
    assert run("2").returned == 2
    assert fork_server() == pids[0]


def test_dead_fork_server_is_replaced():
    run("1")
    os.kill(fork_server(), signal.SIGKILL)
    wait_until(lambda: not alive(fork_server()))
    assert run("2").returned == 2


class KillOnLog(Closed):
    """Kills the fork server while a script runs under it."""

    def log(self, level, message):
        self.pid = fork_server()
        self.children = children_of(self.pid)
        os.kill(self.pid, signal.SIGKILL)


@pytest.mark.chaos
def test_script_under_a_dying_fork_server_is_to_be_run_again_and_leaves_no_process():
    host = KillOnLog()
    with pytest.raises(Retry):
        run("logInfo('now'); while (true) ;", host=host)
    assert host.children
    wait_until(lambda: not any(alive(pid) for pid in host.children))
    assert run("3").returned == 3


@pytest.mark.chaos
def test_dead_caller_leaves_no_process():
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from envoi.engine.scripting import Closed, Variables, run_script, server\n"
        "class Tell(Closed):\n"
        "    def log(self, level, message): print(server._running[0].pid, flush=True)\n"
        "run_script('logInfo(1); while (true);', host=Tell(), variables=Variables())\n"
    )
    source = str(Path(server.__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", program, source], stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        forks = int(caller.stdout.readline())
        (child,) = children_of(forks)
        caller.kill()
    wait_until(lambda: not alive(forks) and not alive(child))


def test_a_script_that_computes_is_ended_from_another_thread():
    ends = []
    reached = threading.Event()

    class Speaks(Recorder):
        def log(self, level, message):
            reached.set()

    def cut_when_it_computes():
        reached.wait(10)
        ends[0]()

    helper = threading.Thread(target=cut_when_it_computes)
    helper.start()
    began = time.monotonic()
    with pytest.raises(ScriptCancelled):
        run_script("logInfo('in'); for (;;);", host=Speaks(), variables=NOTHING, on_cancel=ends.append)
    helper.join()
    assert time.monotonic() - began < 20
    ends[0]()  # nothing is left to end
    assert evaluate("1 + 1", variables=NOTHING, on_cancel=lambda cut: None) == 2
    with pytest.raises(ScriptCancelled):
        evaluate("1 + 1", variables=NOTHING, on_cancel=lambda cut: cut())
