"""The engine: activities a second next to bare jobs, from due to started, and what idle workflows cost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import frame

CHAINS, LENGTH = 300, 10
CONCURRENCIES = (1, 5, 10)
IDLE = 10_000


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure the lines that are asked for, on one instance."""
    with frame.instance("core_default"):
        measured: list[frame.Line] = []
        if params.wants("activities"):
            measured.append(activities(params))
        if params.wants("latency"):
            measured += latency(params)
        if params.wants("idle"):
            measured.append(idle(params))
        return measured


def activities(params: frame.Params) -> frame.Line:
    """No-op activities a second, with two workers, against chains of bare jobs of the same shape."""
    chains = CHAINS // 5 if params.quick else CHAINS
    return frame.against(
        "activities",
        "activities/s",
        lambda: _our_chains(chains),
        lambda: max(_bare_chains(chains, n) for n in CONCURRENCIES),
        what="procrastinate jobs that do nothing and defer their successor, best of concurrency 1, 5, 10",
        params=params,
    )


def latency(params: frame.Params) -> list[frame.Line]:
    """From due to started with free workers: quiet, and while a transaction of 60 s is open."""
    count = 60 if params.quick else 300
    with _workers(2):
        time.sleep(5)  # they are to be free, not starting
        quiet = _latencies(count)
        with _open_transaction():
            disturbed = _latencies(count)
    return [
        frame.Line(f"latency {name} {part}", "ms", _percentile(figures, share), None, None, "", 0.0)
        for name, figures in (("quiet", quiet), ("beside an open transaction", disturbed))
        for part, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]


def idle(params: frame.Params) -> frame.Line:
    """CPU of all processes with idle workflows, less the same without them, as a share of one core."""
    count, seconds = (1_000, 20.0) if params.quick else (IDLE, 120.0)
    with _workers(1) as processes:
        time.sleep(3)
        without = _cpu_share(processes, seconds)
    _make_idle(count)
    with _workers(1) as processes:
        time.sleep(3)
        with_them = _cpu_share(processes, seconds)
    return frame.Line("idle", "% of a core", 100 * (with_them - without), None, None, "", 0.0)


# --- ours


def _our_chains(chains: int) -> float:
    from envoi.engine import commands, sql
    from envoi.engine.definition import Activity, Transition
    from envoi.engine.testing import make_workflow
    from envoi.kernel.testing import admin_actor

    parameters = {"function": "envoi.engine.testing:nothing"}
    names = [f"step{n}" for n in range(LENGTH)]
    drawn = tuple(
        Activity(
            "call",
            name,
            transitions=(Transition("done", following, kind="done"),) if following else (),
            parameters=parameters,
        )
        for name, following in zip(names, [*names[1:], ""], strict=True)
    )
    actor = admin_actor()
    ids = []
    for _ in range(chains):
        workflow = make_workflow(drawn, actor=actor)
        ids.append(workflow.pk)
        commands.post(actor, workflow.internal_name, commands.Command.START)
        commands.apply_queued(workflow.pk)
    sql.run("DELETE FROM procrastinate_jobs WHERE task_name = 'envoi.commands'")
    with _workers(2):
        _until(
            lambda: (
                sql.one(
                    "SELECT 1 FROM xtk_workflow WHERE workflow_id = ANY(%(ids)s) AND state <> 20 LIMIT 1",
                    {"ids": ids},
                )
                is None
            )
        )
    row = sql.one(
        """SELECT count(*) AS done, extract(epoch FROM max(completed_at) - min(started_at)) AS seconds
           FROM xtk_workflow_task WHERE workflow_id = ANY(%(ids)s) AND status = 1""",
        {"ids": ids},
    )
    if row["done"] != chains * LENGTH:
        raise RuntimeError(f"{row['done']} activities were done instead of {chains * LENGTH}")
    return row["done"] / float(row["seconds"])


@contextmanager
def _workers(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run workers of ours for a while."""
    command = [sys.executable, "-P", "-m", "envoi.cli", "worker"]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(30)


def _latencies(count: int) -> list[float]:
    """Start workflows one after the other, each of which has one date soon; return how late each ran (ms)."""
    from datetime import timedelta

    from envoi.engine import sql
    from envoi.engine.definition import Activity, Transition
    from envoi.engine.testing import make_workflow
    from envoi.kernel import clock

    wait = Activity(
        "wait", "wait", parameters={"duration_s": 3600}, transitions=(Transition("transition", "end"),)
    )
    workflow = make_workflow((wait, Activity("end", "end")))
    sql.run(
        "UPDATE xtk_workflow SET state = 11, run_number = 1 WHERE workflow_id = %(id)s", {"id": workflow.pk}
    )
    due = [clock.now() + timedelta(seconds=1 + 0.05 * n) for n in range(count)]
    sql.run(
        """INSERT INTO xtk_workflow_task (workflow_id, run_number, activity, status, created_at, due_at,
        queued,
             affinity, attempts, woken, cancel_requested, forced, variables, memory, message)
           SELECT %(workflow)s, 1, 'wait', 0, d - interval '1 hour', d, false, '', 0, false, false, false,
           '{}',
             '{}', '' FROM unnest(%(due)s::timestamptz[]) AS d""",
        {"workflow": workflow.pk, "due": due},
    )
    sql.run("SELECT pg_notify('envoi_tick', '')")
    query = """SELECT extract(epoch FROM started_at - created_at) * 1000 - 3600000 AS late FROM
    xtk_workflow_task
               WHERE workflow_id = %(workflow)s AND activity = 'wait' AND status = 1"""
    _until(lambda: len(sql.rows(query, {"workflow": workflow.pk})) == count)
    return [float(row["late"]) for row in sql.rows(query, {"workflow": workflow.pk})]


@contextmanager
def _open_transaction() -> Iterator[None]:
    """Keep a transaction with a snapshot open beside."""
    import psycopg

    from envoi.app import boot

    with psycopg.connect(boot.current().lease.dsn()) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM procrastinate_jobs")
        yield


def _make_idle(count: int) -> None:
    """Make started workflows that wait for tomorrow, by copying one."""
    from envoi.engine import sql
    from envoi.engine.definition import Activity, Transition
    from envoi.engine.testing import make_workflow, start

    daily = {"frequency": "daily", "at": "04:00"}
    drawn = (
        Activity(
            "schedule",
            "schedule",
            parameters={"schedule": daily},
            transitions=(Transition("transition", "end"),),
        ),
        Activity("end", "end"),
    )
    first = start(make_workflow(drawn))
    columns = [
        row["name"]
        for row in sql.rows(
            """SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'xtk_workflow'
               AND column_name NOT IN ('workflow_id', 'internal_name')"""
        )
    ]
    listed = ", ".join(columns)
    sql.run(
        f"""INSERT INTO xtk_workflow (internal_name, {listed}) SELECT 'idle' || n, {listed}
            FROM xtk_workflow, generate_series(1, %(count)s) n WHERE workflow_id = %(id)s""",
        {"count": count, "id": first.pk},
    )
    sql.run(
        """INSERT INTO xtk_workflow_version (workflow_id, number, definition, comment, created_at)
           SELECT workflow_id, definition_number, definition, '', created_at FROM xtk_workflow
           WHERE internal_name LIKE 'idle%%'"""
    )
    sql.run(
        """INSERT INTO xtk_workflow_task (workflow_id, run_number, activity, status, created_at, due_at,
        queued,
             affinity, attempts, woken, cancel_requested, forced, variables, memory, message)
           SELECT w.workflow_id, t.run_number, t.activity, 0, t.created_at, t.due_at, false, '', 1, false,
           false,
             false, t.variables, t.memory, ''
           FROM xtk_workflow_task t, xtk_workflow w WHERE t.workflow_id = %(id)s AND w.internal_name LIKE
           'idle%%'""",
        {"id": first.pk},
    )
    sql.run("ANALYZE")


def _cpu_share(processes: list[subprocess.Popen[bytes]], seconds: float) -> float:
    """Return the CPU of the workers and of the server's processes over a while, as a share of one core."""
    before = _cpu(processes)
    started = time.monotonic()
    time.sleep(seconds)
    return (_cpu(processes) - before) / (time.monotonic() - started)


def _cpu(processes: list[subprocess.Popen[bytes]]) -> float:
    from envoi.engine import sql

    servers = [
        row["pid"] for row in sql.rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    ]
    pids = [*(process.pid for process in processes), *servers]
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# --- the limit


def _bare_chains(chains: int, concurrency: int) -> float:
    import psycopg

    from envoi.app import boot

    dsn = boot.current().lease.dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """SELECT procrastinate_defer_jobs_v1(array_agg(ROW('bare', 'bare', 0, NULL, NULL,
                 jsonb_build_object('left', %s), NULL)::procrastinate_job_to_defer_v1))
               FROM generate_series(1, %s)""",
            (LENGTH - 1, chains),
        )
        command = [sys.executable, "-P", "-c", "from bench.engine import bare_worker; bare_worker()"]
        environment = os.environ | {
            "ENVOI_BENCH_DSN": dsn,
            "ENVOI_BENCH_CONCURRENCY": str(concurrency),
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }
        workers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
        _until(
            lambda: (
                connection.execute(
                    "SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'bare' LIMIT 1"
                ).fetchone()
                is None
            )
        )
        ended = time.monotonic()
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        firsts = [float(worker.communicate(timeout=30)[0] or "inf") for worker in workers]
    return chains * LENGTH / (ended - min(firsts))


def bare_worker() -> None:
    """One worker of the limit: prints when its first job began."""
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=os.environ["ENVOI_BENCH_DSN"]))
    began: list[float] = []

    @app.task(name="bare", queue="bare")
    async def bare(left: int) -> None:
        began[:] = began or [time.monotonic()]
        if left:
            await bare.defer_async(left=left - 1)

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(
                queues=["bare"],
                concurrency=int(os.environ["ENVOI_BENCH_CONCURRENCY"]),
                delete_jobs="always",
            )

    asyncio.run(work())
    print(*began[:1])


def _until(done: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark did not come to its end")
        time.sleep(0.02)


def _percentile(figures: list[float], share: float) -> float:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * share))]
