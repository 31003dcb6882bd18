"""What comes from elsewhere and goes there: other databases, services that speak SOAP, groups."""

import contextlib
import resource
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection

from envoi.engine import commands, runner
from envoi.engine.activities import load_soap
from envoi.engine.models import State, Task
from envoi.engine.testing import in_thread, lines, make_workflow, run_one
from envoi.engine.testing import start as begin
from envoi.engine.transfers import soap
from envoi.kernel import accounts
from envoi.kernel import clock as kernel_clock
from envoi.kernel.config import NetworkConfig
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor, make_actor
from envoi.packages.delivery.models import Subscription
from envoi.packages.delivery.services import chosen, lists
from envoi.packages.delivery.testing import make_service
from envoi.packages.delivery.tests.test_targeting import END, ask, carried, make, rows, run, step


@pytest.fixture(autouse=True)
def base(request):
    """One that is rolled back, unless a test asks for one with commits."""
    request.getfixturevalue("committed_db" if "committed_db" in request.fixturenames else "db")


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings):
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig(allow_private=("127.0.0.0/8",)))


@pytest.fixture
def people(base):
    return make(
        ("a@x.org", "Ann", "One"), ("b@x.org", "Bob", "Two"), ("a@x.org", "Ada", "One"), ("", "Cid", "Four")
    )


def failure(*activities, actor=None):
    workflow = begin(make_workflow((*activities, END)), actor)
    assert workflow.failed, lines(workflow)
    return lines(workflow)[-1]


# --- another database


class _Relay(socketserver.BaseRequestHandler):
    """Passes a connection on to the socket on which alone the server of the run listens."""

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(self.server.goal)  # pyright: ignore[reportAttributeAccessIssue]
            back = threading.Thread(target=_pump, args=(behind, self.request))
            back.start()
            _pump(self.request, behind)
            back.join()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def served():
    """Server and port of the server of the run, by an address of this host."""
    asked = connection.get_connection_params()
    folder = str(asked["host"])
    if not folder.startswith("/"):
        yield folder, int(asked["port"])
        return
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Relay) as server:
        server.daemon_threads = True
        server.goal = f"{folder}/.s.PGSQL.{asked['port']}"  # pyright: ignore[reportAttributeAccessIssue]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def shop(base):
    """A schema that is committed, behind the account `shop`; gives a connection to it."""
    asked = connection.get_connection_params()
    known = ("host", "port", "dbname", "user", "password")
    own = psycopg.connect(**{name: asked[name] for name in known if asked.get(name)}, autocommit=True)
    with own, served() as (server, port):
        own.execute("CREATE SCHEMA shop")
        own.execute("SET search_path = shop")
        accounts.create(
            "shop", actor=admin_actor(), type="database",
            values={
                "server": server, "port": port, "database": asked["dbname"], "account": asked["user"],
                "password": asked["password"], "schema": "shop", "sslmode": "disable",
            },
        )  # fmt: skip
        try:
            yield own
        finally:
            own.execute("DROP SCHEMA shop CASCADE")


def load(**more):
    return step("loadrdbms", "load", "transition", **{"account": "shop", **more})


def test_a_table_of_another_database_becomes_a_population(shop):
    shop.execute(
        """CREATE TABLE "Orders" (no bigint, "E-mail" text, total numeric, at timestamptz, paid boolean);
           INSERT INTO "Orders" VALUES (7, E'a\\tb\\n\\\\é@x.org', 12.5, '2026-02-03 04:05+01', true),
             (9, NULL, NULL, 'infinity', false)"""
    )
    workflow = run(load(table='"Orders"'))
    got = rows(workflow, "load", "transition", "@no", "@E_mail", "@total", "@paid", "Year(@at)")
    assert got == [(1, 7, "a\tb\n\\é@x.org", 12.5, True, 2026), (2, 9, None, None, False, None)]
    columns = [{"name": "who", "source": "E-mail"}, {"name": "total", "type": "string"}]
    workflow = run(load(table="shop.\"<%= 'Orders' %>\"", columns=columns, key="no", segmentCode="o"))
    got = rows(workflow, "load", "transition", "@who", "@total", "@segmentCode")
    assert got == [(7, "a\tb\n\\é@x.org", "12.5", "o"), (9, None, None, "o")]
    assert lines(workflow).count("2 row(s) loaded from ") == 0
    assert any(line.startswith("2 row(s) loaded from ") for line in lines(workflow))


def test_a_query_of_another_database(shop):
    workflow = run(load(query="SELECT n, 'x' || n AS name FROM generate_series(1, 3) n -- all"))
    assert rows(workflow, "load", "transition", "@name") == [(1, "x1"), (2, "x2"), (3, "x3")]
    writer = make_actor("ina", rights=("WORKFLOW",))
    assert "USE SQL DATA MANAGEMENT ACTIVITY" in failure(load(query="SELECT 1 AS n"), actor=writer)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"query": "SELECT 1 AS a) TO PROGRAM 'true' --"}, "syntax error"),
        ({"query": "SELECT 1 AS a; DROP TABLE kept"}, "syntax error"),
        ({"query": "SELECT 1 AS a) q; DROP TABLE kept; SELECT 1 FROM (SELECT 1"}, "multiple commands"),
        ({"query": "DELETE FROM kept RETURNING n"}, "syntax error"),
        ({"query": "SELECT lo_create(0) AS n"}, "read-only"),
        ({"query": "SELECT"}, "gives no columns"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, "two columns of one name"),
        ({"query": "SELECT 'x' AS n", "columns": [{"name": "n", "type": "long"}]}, "invalid input syntax"),
        ({"query": "SELECT 1 AS n FROM generate_series(1, 2)", "key": "n"}, "gives a row twice"),
        ({"query": "SELECT 1 AS n", "key": "m"}, "gives no column 'm'"),
        ({"table": "nowhere"}, "does not exist"),
        ({"table": "a b; c"}, "names no table"),
        ({"table": "kept", "columns": ["m"]}, "gives no column 'm'"),
        ({"table": "kept", "account": "none"}, "no external account"),
    ],
)
def test_what_another_database_does_not_give_is_told(shop, said, told):
    shop.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    assert told in failure(load(**said))
    assert shop.execute("SELECT n FROM kept").fetchall() == [(1,)]


def test_a_database_is_not_reached_on_a_private_address_or_by_another_kind_of_account(shop, settings):
    shop.execute("CREATE TABLE kept (n int)")
    accounts.create("web", actor=admin_actor(), type="http", values={"server": "https://127.0.0.1/"})
    assert "is not of the type External database" in failure(load(table="kept", account="web"))
    settings.CONFIG = replace(settings.CONFIG, network=NetworkConfig())
    assert "allow_private" in failure(load(table="kept"))


def test_rows_pass_through_without_being_held(shop):
    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak_mb()
    workflow = run(load(query="SELECT n, repeat('x', 300) AS text FROM generate_series(1, 300000) n"))
    event, found = carried(workflow, "load", "transition")
    assert event.variables["recCount"] == "300000"
    assert peak_mb() - before < 40, "90 MB went through this process"
    assert found.dimension == ""


ASLEEP = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@contextlib.contextmanager
def slow_load(shop):
    """A workflow and the number of its task, which waits for another database."""
    workflow = make_workflow((load(query="SELECT 1 AS n, pg_sleep(60)::text AS late"), END))
    commands.post(admin_actor(), workflow.internal_name, commands.Command.START)
    assert run_one()
    task = Task.objects.get(workflow=workflow, activity="load").pk
    with in_thread(task):
        while not shop.execute(ASLEEP).fetchall():
            time.sleep(0.02)
        yield workflow, task
    workflow.refresh_from_db()


def test_a_stop_ends_what_another_database_works_on(committed_db, shop):
    with slow_load(shop) as (workflow, task):
        commands.post(admin_actor(), workflow.internal_name, commands.Command.STOP)
        commands.apply_queued(workflow.pk)
        runner.running[task].request()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    assert shop.execute(ASLEEP).fetchall() == []


def test_another_database_that_goes_away_is_a_failure_of_the_activity(committed_db, shop):
    with slow_load(shop) as (workflow, task):
        shop.execute(f"SELECT pg_terminate_backend(pid) FROM ({ASLEEP}) q")
    assert workflow.failed, lines(workflow)
    assert "does not do it" in lines(workflow)[-1]
    assert Task.objects.get(pk=task).attempts == 1


# --- groups


def test_a_population_is_grouped(people):
    workflow = run(
        ask("query", to="group", columns=["@lastName", "@email"]),
        step(
            "aggregate", "group", keys=["@lastName"],
            aggregates=[
                {"function": "count", "alias": "n"},
                {"function": "distinct", "expr": "@email", "alias": "addresses"},
                {"expr": "Max([target/@firstName])", "alias": "last"},
            ],
            having="CountAll() < 5", segmentCode="names",
        ),
    )  # fmt: skip
    assert rows(workflow, "group", "result", "@lastName", "@n", "@addresses", "@last", "@segmentCode") == [
        (1, "Four", 1, 1, "Cid", "names"), (2, "One", 2, 1, "Ann", "names"), (3, "Two", 1, 1, "Bob", "names"),
    ]  # fmt: skip
    workflow = run(
        ask("query", to="group"),
        step("aggregate", "group", aggregates=[{"function": "count"}], filter="@lastName = 'One'"),
    )
    assert rows(workflow, "group", "result", "@count") == [(1, 2)]
    workflow = run(ask("query", to="group"), step("aggregate", "group", keys=["@lastName"]))
    assert rows(workflow, "group", "result", "@lastName") == [(1, "Four"), (2, "One"), (3, "Two")]
    with pytest.raises(Invalid, match="the unknown function median"):
        run(ask("query", to="group"), step("aggregate", "group", aggregates=[{"function": "median"}]))


# --- from one database to the other


def move(name, to="end", **parameters):
    return step("changeDataSource", name, to=to, **parameters)


def test_a_population_goes_to_another_database_and_comes_back(shop, people):
    workflow = run(
        ask("query", to="out", columns=["@firstName", {"expr": "Length(@email)", "alias": "size"}]),
        move("out", to="on", account="shop"),
        move("on", to="back", account="shop", table="moved"),
        move("back", to="split"),
        step(
            "extract", "split", "some:extractOutput",
            extractOutput=[{"name": "some", "filter": "@size > 0 AND @lastName = 'One'"}],
        ),
    )  # fmt: skip
    a, b, c, d = people
    assert shop.execute("SELECT id, first_name, size FROM moved ORDER BY id").fetchall() == [
        (a, "Ann", 7), (b, "Bob", 7), (c, "Ada", 7), (d, "Cid", 0),
    ]  # fmt: skip
    assert rows(workflow, "split", "some", "@firstName") == [(a, "Ann"), (c, "Ada")]
    shop.execute("CREATE TABLE theirs (n int)")
    told = failure(ask("query", to="out"), move("out", account="shop", table="theirs"))
    assert "is not of this activity" in told
    told = failure(
        ask("query", to="out"),
        move("out", to="dedup", account="shop"),
        step("dedup", "dedup", keys=["@email"]),
    )
    assert "brings no population" in told
    ina = make_actor("ina", rights=("WORKFLOW",))
    told = failure(ask("query", to="out"), move("out", account="shop"), actor=ina)
    assert "USE SQL DATA MANAGEMENT ACTIVITY" in told


# --- services


class _Shop(BaseHTTPRequestHandler):
    """Gives five products, two at a time: `<get from="n"/>`."""

    def log_message(self, format, *args):
        pass

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(
            (self.path, self.headers["SOAPAction"], self.headers["Authorization"], asked)
        )
        status, body = 200, self.server.body
        if body is None:
            first = int(asked.partition('from="')[2].partition('"')[0])
            products = "".join(
                f'<s:product no="{n}"><s:name>n&#233;{n}</s:name><s:price currency="EUR">{n}.5</s:price>'
                "</s:product>"
                for n in range(first, min(first + 2, 5))
            )
            body = f'<s:list xmlns:s="urn:s"><s:next token="{first + 2}"/>{products}</s:list>'
            body = f'<E:Envelope xmlns:E="{soap.ENVELOPE}"><E:Body>{body}</E:Body></E:Envelope>'
        elif body.startswith("<Fault"):
            status = 500
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def service(base, tmp_path):
    """A service behind the account `web`; what it is asked stands in `asked`, `body` is answered if given."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    day = datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day.replace(year=2040))
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "both.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.asked, server.body = [], None
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        accounts.create(
            "web", actor=admin_actor(), type="http",
            values={
                "server": f"https://127.0.0.1:{server.server_address[1]}/soap", "verify": False,
                "account": "me", "password": "s3cret!x",
            },
        )  # fmt: skip
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


COLUMNS = [
    {"name": "no", "path": "@no", "type": "long"},
    {"name": "name"},
    {"name": "price", "type": "double"},
    {"name": "currency", "path": "price/@currency"},
    {"name": "missing", "path": "price/vat"},
]


def call(**more):
    said = {
        "account": "web",
        "path": "products",
        "action": "urn:get",
        "initialise": "vars.token = '0';",
        "iterate": """if (vars.rowCount == '0') return null;
            return '<get xmlns="urn:s" from="' + vars.token + '"/>';""",
        "finalise": "vars.done = 'yes';",
        "rows": "list/product",
        "carry": {"token": "list/next/@token"},
        "columns": COLUMNS,
    }
    return step("loadsoap", "call", "transition", **{**said, **more})


def test_a_service_is_called_until_the_script_has_enough(service):
    workflow = run(call())
    got = rows(workflow, "call", "transition", "@no", "@name", "@price", "@currency", "@missing")
    assert got == [(n + 1, n, f"né{n}", n + 0.5, "EUR", None) for n in range(5)]
    event, _found = carried(workflow, "call", "transition")
    assert event.variables["done"] == "yes"
    assert "rowCount" not in event.variables
    assert [each[0] for each in service.asked] == ["/soap/products"] * 4
    assert service.asked[0][1:3] == ('"urn:get"', "Basic bWU6czNjcmV0IXg=")
    assert service.asked[1][3].startswith("<soap:Envelope")
    assert 'from="2"' in service.asked[1][3]
    assert any(line.startswith("5 row(s) loaded by 4 call(s)") for line in lines(workflow))


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb">]><a><product no="1">&b;</product></a>'


@pytest.mark.parametrize(
    ("body", "more", "told"),
    [
        (BOMB, {}, "not XML that can be read"),
        ("<a><product>", {}, "not XML that can be read"),
        ("<a>" * 200, {}, "nested more than"),
        ("<Fault><faultstring>no s3cret!x\nhere</faultstring></Fault>", {}, "a fault: no ••• here"),
        (None, {"iterate": "return '<get'"}, "not the XML of a request"),
        (None, {"iterate": "return 7"}, "must return the XML"),
        (None, {"account": "plain"}, "an address of https://"),
    ],
)
def test_what_a_service_does_wrong_is_told(service, body, more, told):
    service.body = body
    accounts.create("plain", actor=admin_actor(), type="http", values={"server": "http://127.0.0.1:1/"})
    assert told in failure(call(**more))


def test_an_answer_is_bounded(service, monkeypatch):
    monkeypatch.setattr(soap, "LARGEST", 100_000)
    service.body = "x" * 200_000
    assert "answers with more than" in failure(call())
    service.body = None
    monkeypatch.setattr(load_soap, "MOST_CALLS", 2)
    assert "more than 2 calls" in failure(call())


# --- data distributions


def distributed(type, *lines_, dimension="nms:recipient"):
    said = {
        "targetingDimension": dimension,
        "field": "@lastName",
        "type": type,
        "lines": [{"value": value, "limit": limit, "label": value} for value, limit in lines_],
    }
    limiter = {"type": "distribution", "distribution": said}
    return step(
        "extract", "split", "some:extractOutput", "remainder",
        extractOutput=[{"name": "some", "limiter": limiter}],
    )  # fmt: skip


def test_a_subset_follows_a_data_distribution(people):
    a, b, c, d = people
    workflow = run(ask("query", to="split"), distributed("set", ("One", 1), ("Four", 5)))
    assert rows(workflow, "split", "some") == [a, d]
    assert rows(workflow, "split", "remainder") == [b, c]
    workflow = run(ask("query", to="split"), distributed("percentage", ("One", 50), ("Two", 100)))
    assert sorted(name for _, name in rows(workflow, "split", "some", "@lastName")) == ["One", "Two"]
    told = failure(ask("query", to="split"), distributed("set", ("One", 1), dimension="nms:service"))
    assert "is one of nms:service" in told
    with pytest.raises(Invalid, match="names a value twice"):
        run(ask("query", to="split"), distributed("set", ("One", 1), ("One", 2)))


# --- ready-made filters


def test_a_query_by_ready_made_filters(people):
    a, b, c, _d = people
    news = make_service("news")
    now = kernel_clock.now()
    for number, (key, ends) in enumerate(((a, None), (b, now - timedelta(days=1)), (c, None)), 1):
        Subscription.objects.create(
            subscription_id=number,
            recipient_id=key,
            service=news,
            created_at=now,
            expiration_date=ends,
        )
    folder = Folder.objects.get(name="lists")
    made = lists.create("L", actor=admin_actor(), folder=folder, name="l")
    picked = "SELECT recipient_id AS id FROM nms_recipient WHERE recipient_id = ANY(%s)"
    lists.add(made, chosen.Chosen(picked, ([b, c],)), actor=admin_actor())

    def found(*ready, **more):
        return rows(run(ask("query", to="end", ready=list(ready), **more)), "query")

    subscribers, members = {"filter": "subscribers", "service": "news"}, {"filter": "list", "list": "l"}
    assert found(subscribers) == [a, c]
    assert found(members) == [b, c]
    assert found(subscribers, members) == [c]
    assert found(subscribers, filter="@lastName = 'Two' OR @firstName = 'Ann'") == [a]
    assert found({"filter": "recipient", "recipient": "B@x.org"}) == [b]
    assert found({"filter": "recipient", "recipient": str(a)}) == [a]
    known = "there are deliveryFailed, deliveryRecipients, deliverySent, list, recipient, subscribers"
    assert known in failure(ask("query", to="end", ready=["friends"]))
    assert "needs service" in failure(ask("query", to="end", ready=["subscribers"]))
