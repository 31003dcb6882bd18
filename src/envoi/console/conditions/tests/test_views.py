"""What the editor asks the server, through HTTP: rows, fields, checks, numbers, previews, and who may."""

import json
import re
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.console.conditions import asking
from envoi.console.conditions.asking import Asker
from envoi.kernel.errors import Conflict, Invalid, Refused
from envoi.kernel.expression import FUNCTIONS
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_operator

BACKEND = "django.contrib.auth.backends.ModelBackend"
SCHEMA = "xtk:operator"


def signed_in(*rights: str, name: str = "mary") -> Client:
    client = Client()
    client.force_login(make_operator(name, rights, language="en"), BACKEND)
    return client


@pytest.fixture
def admin(db: None) -> Client:
    return signed_in("ADMINISTRATION")


def post(client: Client, what: str, text: str = "", status: int = 200, **more: str) -> str:
    given = {"_schema": SCHEMA, "_name": "where", "_key": "k1", "where": text, **more}
    answer = client.post(f"/conditions/{what}", given)
    assert answer.status_code == status, answer.content.decode()[:500]
    return answer.content.decode()


def fields_of(client: Client, status: int = 200, **more: str) -> str:
    answer = client.get("/conditions/fields", {"_schema": SCHEMA, "_name": "where", **more})
    assert answer.status_code == status
    return answer.content.decode()


def text_in(page: str) -> Any:
    import html

    found = re.search(r"<textarea[^>]*-text\"[^>]*>(.*?)</textarea>", page, re.DOTALL)
    assert found
    return html.unescape(found[1])


def test_rows_are_added_changed_and_removed(admin):
    page = post(admin, "edit", _do="add", _at="", _field="@email")
    assert 'data-part="field" value="@email"' in page
    assert re.search(r'id="c-where-0-v0"[^>]* data-focus', page)
    page = post(admin, "edit", text_in(page), _do="group", _at="")
    page = post(admin, "edit", text_in(page), _do="add", _at="1", _field="@createdAt")
    rows = json.loads(text_in(page))
    assert [each.get("field") for each in rows["rows"]] == ["@email", None]
    assert rows["rows"][1]["join"] == "any"
    assert rows["rows"][1]["rows"][0] == {"field": "@createdAt", "op": "on", "values": ["date", ""]}
    page = post(admin, "edit", text_in(page), _do="field", _at="0", _field="@label")
    page = post(admin, "edit", text_in(page), _do="remove", _at="1")
    assert [each.get("field") for each in json.loads(text_in(page))["rows"]] == ["@label"]


def test_a_text_written_by_hand_becomes_rows_or_stays_with_its_reason(admin):
    page = post(admin, "edit", "@label = 'a' AND NOT @disabled = true", _do="text")
    assert page.count('data-row="line"') == 2
    assert '<option value="none" selected>' in page
    page = post(admin, "edit", "@label = ", _do="text")
    assert "expected a value, found the end" in page
    assert text_in(page) == "@label = "


def test_fields_are_offered_by_level_and_found_by_name(admin):
    page = fields_of(admin, _at="", _do="add")
    assert page.index("Email") < page.index("Label") < page.index("Root folder")
    assert "folder-id" not in page
    assert "@password" not in page
    page = fields_of(admin, _path="folder", _at="", _do="add")
    assert '"_field":"[folder/@label]"' in page
    assert '"_field":"[folder]"' in page
    page = fields_of(admin, _q="nothing such", _at="", _do="add")
    assert "No field has “nothing such” in its name." in page
    page = fields_of(admin, _q="full", _at="", _do="add")
    assert "[folder/@fullName]" in page
    fields_of(admin, _path="nothing", status=400)


def test_fields_that_take_a_right_are_not_offered(db):
    plain = signed_in()
    assert "@email" not in fields_of(plain, _at="", _do="add")
    assert "may not" in post(plain, "estimate", "@email = 'x'")
    assert "may not" in post(plain, "preview", "@label = 'x'", columns="@email")


def test_a_schema_that_takes_a_right_is_not_asked(db):
    plain = signed_in()
    answer = plain.post("/conditions/estimate", {"_schema": "nms:extAccount", "_key": "k"})
    assert answer.status_code == 403
    assert (
        plain.get("/conditions/fields", {"_schema": "xtk:folder", "_base": "nms:extAccount"}).status_code
        == 403
    )
    assert plain.get("/data/query", {"schema": "nms:extAccount"}).status_code == 403
    page = plain.get("/data/query").content.decode()
    assert "xtk:folder" in page
    assert "nms:extAccount" not in page


def test_an_expression_is_checked_with_its_place(admin):
    page = post(admin, "check", _expr="Lenght(@label) > 3")
    assert "did you mean Length?" in page
    assert "\n^</pre>" in page
    page = post(admin, "check", _expr="@label = @nmae")
    assert "did you mean @name?" in page
    assert "queryDef" not in page
    assert 'data-caret="9"' in page
    assert "The expression is right." in post(admin, "check", _expr="Length(@label) > 3")


def test_numbers_and_rows_are_those_of_the_conditions(admin):
    for name in ("ana", "ben", "cleo"):
        make_operator(name, email=f"{name}@example.com")
    where = "@email LIKE '%example.com'"
    assert "<b>3</b> counted" in post(admin, "estimate", where)
    assert "<b>3</b> counted" in post(admin, "count", where)
    page = post(admin, "preview", where, columns="@name\n@email", order="@name desc")
    assert page.index("cleo@example.com") < page.index("ben@example.com") < page.index("ana@example.com")
    assert "3 in all" in page
    assert "The conditions hold for nothing." in post(admin, "preview", "@label = ' OR 1=1 --'")
    rows = json.dumps(
        {"schema": SCHEMA, "join": "all", "rows": [{"field": "@label", "op": "eq", "values": [""]}]}
    )
    assert "Label: fill in the value." in post(admin, "estimate", rows)


def test_rows_of_closed_folders_are_neither_shown_nor_counted(db):
    closed = make_folder("tClosed")
    allow(closed, make_operator("owner"))
    client, given = signed_in(), {"_schema": "xtk:folder", "_key": "k", "where": "@name = 'tClosed'"}
    for what, said in (("estimate", "<b>0</b>"), ("count", "<b>0</b>"), ("preview", "hold for nothing")):
        assert said in client.post(f"/conditions/{what}", given).content.decode()


def test_the_query_page_works_without_script(admin):
    page = admin.get(
        "/data/query", {"schema": SCHEMA, "where": "@name = 'mary'", "columns": "@name\n@label", "do": "rows"}
    )
    assert "Mary</bdi>" in page.content.decode()
    page = admin.get(
        "/data/query", {"schema": SCHEMA, "where": "@name = 'mary'", "do": "sql"}
    ).content.decode()
    assert "FROM &quot;xtk_operator&quot; t1" in page
    assert "mary" in page
    assert (
        "may not see the SQL"
        in signed_in(name="plain").get("/data/query", {"schema": "xtk:folder", "do": "sql"}).content.decode()
    )
    assert (
        "expected a value"
        in admin.get("/data/query", {"schema": SCHEMA, "where": "@name =", "do": "rows"}).content.decode()
    )


WORDS = st.sampled_from(
    ["@label", "@name", "@createdAt", "[folder/@label]", "folder", "AND", "OR", "NOT", "=", "<", "LIKE", "IN",
     "(", ")", ",", "'x'", "3", "#2026-11-24#", "IS NULL", "BETWEEN", "-", "+", "/", "0", "%", "'", "[",
     "$(vars/@a)", "\\", *list(FUNCTIONS)[::9]]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=10).map(" ".join) | st.text(max_size=30)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["rows", "schema", "join", "field", "op", "values", "has", "expr", "kept", "condition"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


def test_no_text_breaks_an_endpoint(admin):
    @given(
        TEXTS
        | JSONS.map(json.dumps)
        | JSONS.map(lambda found: json.dumps({"schema": SCHEMA, "rows": [found]}))
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def holds(text: str) -> None:
        post(admin, "edit", text, _do="text")
        post(admin, "check", _expr=text)
        post(admin, "estimate", text)
        post(admin, "preview", text, columns=text[:50], order=text[:20])

    holds()


@pytest.mark.parametrize(
    "given", [{"_at": "x"}, {"_at": "9"}, {"_at": "0.0.0"}, {"_field": "@x"}, {"_key": "'"}]
)
def test_wrong_requests_are_told(admin, given):
    assert post(admin, "edit", "", _do="add", **given)


# --- stopping


def query() -> QueryDef:
    return QueryDef("xtk:option", select=(Field("@name"),), where=(Condition("@name LIKE 'a%'"),))


class Waiting:
    """A count in a thread of its own, which waits for a table that the test has locked."""

    def __init__(self, asker: Asker) -> None:
        self.outcome: object = None
        self.thread = threading.Thread(target=self.run, args=(asker,))
        self.thread.start()

    def run(self, asker: Asker) -> None:
        try:
            self.outcome = asking.exactly(query(), asker)
        except Refused as refusal:
            self.outcome = refusal
        finally:
            connection.close()

    def end(self) -> object:
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.outcome


@pytest.fixture
def locked(committed_db):
    """A table that nobody can read, by a transaction beside the test's own."""
    import psycopg

    with psycopg.connect(committed_db.url) as other:
        other.execute("LOCK TABLE xtk_option IN ACCESS EXCLUSIVE MODE")
        yield other


def waits(asker: Asker) -> None:
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = %s AND wait_event_type = 'Lock'""",
                [asker.mark],
            )
            if cursor.fetchone() == (1,):
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_a_query_is_stopped_wherever_it_runs(locked):
    asker = Asker(admin_actor(), "editor1")
    waiting = Waiting(asker)
    waits(asker)
    assert not asking.stop(Asker(admin_actor(), "editor2"))
    assert not asking.stop(Asker(make_actor("other"), "editor1"))
    assert asking.stop(asker)
    outcome = waiting.end()
    assert isinstance(outcome, Conflict)
    assert "stopped" in str(outcome)
    assert not asking.stop(asker)


def test_the_next_request_of_an_editor_ends_the_one_before(locked):
    asker = Asker(admin_actor(), "editor1")
    first = Waiting(asker)
    waits(asker)
    second = Waiting(asker)
    assert isinstance(first.end(), Conflict)
    locked.rollback()
    assert isinstance(second.end(), int)


def test_a_query_is_given_up_after_its_time_and_leaves_no_bounds(locked, monkeypatch):
    monkeypatch.setattr(asking, "COUNT_SECONDS", 0.2)
    asker = Asker(admin_actor(), "editor1")
    with pytest.raises(asking.TookTooLong, match="given up"):
        asking.exactly(query(), asker)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')"
        )
        assert cursor.fetchone()[1] == "off"
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [asker.mark])
        assert cursor.fetchone() == (0,)


def test_what_is_asked_cannot_write(db):
    with suppress(Exception), asking._bounded(Asker(admin_actor(), "k"), 5), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tst_written (a int)")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('tst_written')")
        assert cursor.fetchone() == (None,)
        cursor.execute("CREATE TABLE tst_written (a int)")
    with pytest.raises(Invalid):
        Asker(admin_actor(), "not a key")
