"""Set activities on recipients: what each gives, run by the engine."""

from datetime import timedelta

import pytest
from django.db import connection

from envoi.engine import commands, editing, population, targets
from envoi.engine.definition import Activity, Definition, Transition
from envoi.engine.models import Event, History, State, Workflow
from envoi.engine.testing import lines, make_workflow, run_to, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel import clock as kernel_clock
from envoi.kernel import query
from envoi.kernel.models import Folder, Operator
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_operator
from envoi.packages.delivery.activities import merge_profiles
from envoi.packages.delivery.models import Group, Recipient, Subscription
from envoi.packages.delivery.services import chosen, lists
from envoi.packages.delivery.testing import make_recipients, make_service

HERE = "text1 = 'here'"


def make(*rows, folder="recipients", **more):
    """Make recipients of these (email, first name, last name); return their ids."""
    ids = list(make_recipients(len(rows), folder=folder, text1="here", **more))
    for key, (email, first, last) in zip(ids, rows, strict=True):
        Recipient.objects.filter(pk=key).update(email=email, first_name=first, last_name=last)
    return ids


def ask(name, filter="@text1 = 'here'", to="", **more):
    return Activity(
        "query",
        name,
        parameters={"targetingDimension": "nms:recipient", "filter": filter, **more},
        transitions=(Transition("result", to, kind="result"),),
    )


def fork(*to):
    return Activity("fork", "fork", transitions=tuple(Transition(f"t{n}", each) for n, each in enumerate(to)))


def step(kind, name, *ways, to="end", **parameters):
    drawn = tuple(
        Transition(way.partition(":")[0], to, kind=way.partition(":")[2] or way)
        for way in ways or ("result",)
    )
    return Activity(kind, name, parameters=parameters, transitions=drawn)


END = Activity("end", "end")


def run(*activities, actor=None, **properties):
    workflow = make_workflow((*activities, END), keep_results=True, **properties)
    found = begin(workflow, actor)
    assert (found.state, found.failed) == (State.FINISHED, False), lines(found)
    return found


def carried(workflow, source, transition="result"):
    event = Event.objects.filter(workflow=workflow, source=source, transition=transition).last()
    found = population.stored(event.variables["tableName"], event.variables["targetSchema"])
    assert found is not None
    return event, found[0]


def rows(workflow, source, transition="result", *attributes):
    """The rows that a transition carried: ids, or tuples with these attributes."""
    event, found = carried(workflow, source, transition)
    select = (Field("@id"), *(Field(each) for each in attributes))
    asked = QueryDef(found.schema, select=select, order_by=(Field("@id"),), line_count=10_000)
    got = query.run(asked, actor=admin_actor(), within=population.registry([found])).rows
    assert event.variables["recCount"] == str(len(got))
    return [row if attributes else row[0] for row in got]


@pytest.fixture
def people(db):
    return make(
        ("a@x.org", "Ann", "One"), ("b@x.org", "Bob", "Two"), ("a@x.org", "Ada", "Three"), ("", "Cid", "Four")
    )


def test_a_query_gives_its_rows_and_data_about_them(people):
    workflow = run(
        ask(
            "query",
            "@text1 = 'here' AND @firstName LIKE 'A%'",
            to="end",
            columns=[{"expr": "Upper(@lastName)", "alias": "name"}, {"expr": "[folder/@name]"}, "@gender"],
            segmentCode="vip",
        )
    )
    a, _, c, _ = people
    assert rows(workflow, "query", "result", "@name", "[@segmentCode]") == [
        (a, "ONE", "vip"),
        (c, "THREE", "vip"),
    ]
    event, found = carried(workflow, "query")
    assert event.variables["schema"] == "nms:recipient"
    assert event.variables["targetSchema"] == "temp:query"
    assert [each.attribute for each in found.columns] == ["name", "name2", "gender", "segmentCode"]


def test_a_query_without_anything_said_fails_with_its_code(db):
    workflow = begin(
        make_workflow((Activity("query", "query", transitions=(Transition("result", "end"),)), END))
    )
    assert workflow.failed
    assert any("WKF-560016" in line for line in lines(workflow))


def test_an_empty_population_fires_all_the_same(db):
    workflow = run(ask("query", "@text1 = 'nobody'", to="dedup"), step("dedup", "dedup", keys=["@email"]))
    assert rows(workflow, "query") == []
    assert rows(workflow, "dedup") == []


def test_a_filter_on_another_dimension(people):
    a, b, c, _ = people
    one, two = (
        Group.objects.create(
            name=f"g{n}", label=f"g{n}", folder=Folder.objects.first(), created_at="2026-01-01T00:00Z",
            modified_at="2026-01-01T00:00Z",
        )
        for n in (1, 2)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id) VALUES (%s, %s, %s)",
            [(1, one.pk, a), (2, two.pk, a), (3, one.pk, b)],
        )
    workflow = run(
        ask("query", "[group/@name] = 'g1'", to="end", filteringDimension="nms:rcpGrpRel", link="recipient")
    )
    assert rows(workflow, "query") == [a, b]
    workflow = run(
        ask(
            "query",
            "",
            to="end",
            filteringDimension="nms:rcpGrpRel",
            link="recipient",
            having="CountAll() >= 2",
        )
    )
    assert rows(workflow, "query") == [a]
    workflow = run(ask("query", "[rcpGrpRel/group/@name] LIKE 'g%' AND @text1 = 'here'", to="end"))
    assert rows(workflow, "query") == [a, b]
    collections = [
        {"kind": "aggregates", "link": "rcpGrpRel",
         "aggregates": [{"function": "count", "expr": "@id", "alias": "n"}]},
        {"kind": "single", "link": "rcpGrpRel", "columns": [{"expr": "[group/@name]", "alias": "g"}],
         "sort": [{"expr": "[group/@name]", "descending": True}]},
        {"kind": "lines", "name": "lists", "link": "rcpGrpRel",
         "columns": [{"expr": "[group/@name]", "alias": "g"}]},
    ]  # fmt: skip
    workflow = run(
        ask("query", to="enrich"),
        step("enrichment", "enrich", to="split", collections=collections),
        step(
            "extract", "split", "some:extractOutput",
            extractOutput=[{"name": "some", "filter": "@n >= 1 AND [lists/@g] = 'g2'"}],
        ),
    )  # fmt: skip
    assert rows(workflow, "enrich", "result", "@n", "@g")[:3] == [(a, 2, "g2"), (b, 1, "g1"), (c, 0, None)]
    assert rows(workflow, "split", "some", "@n") == [(a, 2)]


def test_union_intersection_exclusion(people):
    a, b, c, _d = people
    one = ask("one", f"@id IN ({a}, {b})", to="{}", columns=["@email", {"expr": "1", "alias": "n"}])
    two = ask("two", f"@id IN ({b}, {c})", to="{}", columns=["@email", {"expr": "'x'", "alias": "m"}])

    def drawn(kind, **parameters):
        from dataclasses import replace

        parts = [
            replace(each, transitions=(Transition("result", kind, kind="result"),)) for each in (one, two)
        ]
        ways = ("result",) if kind == "union" else ("result", "remainder")
        return run(*parts, step(kind, kind, *ways, **parameters))

    found = drawn("union")
    assert rows(found, "union", "result", "@email", "@n", "@m") == [
        (a, "a@x.org", 1, None), (b, "b@x.org", 1, None), (c, "a@x.org", None, "x"),
    ]  # fmt: skip
    assert rows(drawn("union", order=["two"], maxSize=2), "union", "result", "@m") == [(b, "x"), (c, "x")]
    assert rows(drawn("union", reconcile="columns", commonOnly=True), "union", "result", "@email") == [
        (a, "a@x.org"), (b, "b@x.org"),
    ]  # fmt: skip
    found = drawn("intersection")
    assert rows(found, "intersection", "result", "@n", "@m") == [(b, 1, "x")]
    assert rows(found, "intersection", "remainder") == [a, c]
    found = drawn("intersection", reconcile=["email"])
    assert rows(found, "intersection") == [a, b]
    assert rows(found, "intersection", "remainder") == []
    found = drawn("exclusion", mainSet="two")
    assert rows(found, "exclusion", "result", "@m") == [(c, "x")]
    assert rows(found, "exclusion", "remainder") == [b]
    rules = [{"set": "two", "kind": "join", "joins": [{"source": "@email", "destination": "Lower(@email)"}]}]
    assert rows(drawn("exclusion", mainSet="one", rules=rules), "exclusion") == []


def test_exclusion_by_another_dimension(people):
    a, b, c, d = people
    other = make_folder("elsewhere", "recipients", model="nms:recipient")
    Recipient.objects.filter(pk=b).update(folder_id=other.pk)
    folders = Activity(
        "query",
        "folders",
        parameters={"targetingDimension": "xtk:folder", "filter": "@name = 'elsewhere'"},
        transitions=(Transition("result", "exclude", kind="result"),),
    )
    workflow = run(
        ask("query", to="exclude"),
        folders,
        step(
            "exclusion",
            "exclude",
            mainSet="query",
            rules=[{"set": "folders", "kind": "dimension", "link": "folder"}],
        ),
    )
    assert rows(workflow, "exclude") == [a, c, d]
    workflow = begin(make_workflow((ask("query", to="exclude"), folders, step("exclusion", "exclude"), END)))
    assert workflow.failed
    assert any("needs a link or a pair of fields" in line for line in lines(workflow))


def test_deduplication_keeps_one_and_merges(people):
    a, b, c, d = people

    def kept(**parameters):
        return run(
            ask("query", to="dedup", columns=["@email", "@firstName", "@lastName"]),
            step("dedup", "dedup", "result", "remainder", **parameters),
        )

    workflow = kept(keys=["@email"])
    assert rows(workflow, "dedup") == [a, b, d]
    assert rows(workflow, "dedup", "remainder") == [c]
    assert rows(kept(keys=["@email"], method="min", expr="@firstName"), "dedup") == [b, c, d]
    assert rows(kept(keys=["@email"], method="max", expr="@lastName"), "dedup") == [b, c, d]
    assert rows(kept(keys=["@email"], method="list", expr="@firstName", values=["Ada"]), "dedup") == [b, c, d]
    assert rows(kept(keys=["@email"], keep=2), "dedup") == people
    assert len(rows(kept(keys=["@email"], method="random"), "dedup")) == 3
    merge = [{"columns": ["lastName"], "sort": [{"expr": "@firstName"}]}]
    found = kept(keys=["@email"], merge=merge)
    assert rows(found, "dedup", "result", "@firstName", "@lastName")[0] == (a, "Ann", "Three")
    merge = [{"columns": ["lastName"], "filter": "@firstName = 'nobody'"}]
    found = kept(keys=["@email"], merge=merge)
    assert rows(found, "dedup", "result", "@lastName")[0] == (a, "One")


@pytest.fixture
def crowd(db):
    return list(make_recipients(40, text1="here"))


def subset(name, **more):
    return {"name": name, **more}


def test_split_takes_shares_in_order(crowd):
    subsets = [
        subset("first", code="F",
               limiter={"type": "count", "count": 3, "sort": [{"expr": "@account", "descending": True}]}),
        subset("ten", limiter={"type": "percent", "percent": 10, "random": True}),
        subset("men", filter="@id % 2 = 0",
               limiter={"type": "percent", "percent": 50, "ofSegment": True, "random": True}),
        subset("each", limiter={"type": "count", "count": 1, "groupBy": "@id % 3"}),
        subset("rest"),
    ]  # fmt: skip
    names = [each["name"] for each in subsets]
    workflow = run(
        ask("query", to="split"),
        step(
            "extract",
            "split",
            *(f"{name}:extractOutput" for name in names),
            "remainder",
            extractOutput=subsets,
        ),
    )
    found = {name: rows(workflow, "split", name) for name in (*names, "remainder")}
    assert rows(workflow, "split", "first", "@segmentCode") == [
        (key, "F") for key in sorted(Recipient.objects.order_by("-account").values_list("pk", flat=True)[:3])
    ]
    assert [len(found[name]) for name in ("first", "ten", "each", "remainder")] == [3, 4, 3, 0]
    everything = [key for name in names for key in found[name]]
    assert sorted(everything) == crowd
    assert {key % 3 for key in found["each"]} == {0, 1, 2}
    assert all(key % 2 == 0 for key in found["men"])
    even_left = sum(key % 2 == 0 for key in set(crowd) - set(found["first"]) - set(found["ten"]))
    assert len(found["men"]) == (even_left + 1) // 2


def test_subsets_may_overlap_or_lie_in_one_table(crowd):
    subsets = [subset("a", code="A", filter="@id % 2 = 0"), subset("b", code="B", filter="@id % 3 = 0")]
    workflow = run(
        ask("query", to="split"),
        step("extract", "split", "a:extractOutput", "b:extractOutput", extractOutput=subsets, overlap=True),
    )
    assert rows(workflow, "split", "b") == [key for key in crowd if key % 3 == 0]
    workflow = run(
        ask("query", to="split"),
        step("extract", "split", "result", "remainder", extractOutput=subsets, oneTable=True),
    )
    assert rows(workflow, "split", "result", "@segmentCode") == [
        (key, "B" if key % 2 else "A") for key in crowd if key % 2 == 0 or key % 3 == 0
    ]
    assert rows(workflow, "split", "remainder") == [key for key in crowd if key % 2 and key % 3]
    cells = [subset("a", filter="@id % 2 = 0"), subset("b", filter="@id % 3 = 0")]
    workflow = run(ask("query", to="cells"), step("cells", "cells", "a:cell", "b:cell", cell=cells))
    assert rows(workflow, "cells", "b") == [key for key in crowd if key % 2 and key % 3 == 0]


@pytest.mark.case("E24")
def test_an_initialization_script_sets_the_share_of_a_subset(crowd):
    from dataclasses import replace

    split = step(
        "extract", "split", "part:extractOutput",
        extractOutput=[subset("part", limiter={"type": "percent", "percent": 50, "random": True})],
    )  # fmt: skip
    split = replace(
        split, init_script="activity.transitions.extractOutput[0].limiter.percent = instance.vars.p"
    )
    workflow = make_workflow((ask("query", to="split"), split, END), keep_results=True)
    begin(workflow, variables={"p": 10})
    assert len(rows(workflow, "split", "part")) == 4
    stored = {a["name"]: a for a in Workflow.objects.get(pk=workflow.pk).definition["activities"]}
    assert stored["split"]["parameters"]["extractOutput"][0]["limiter"]["percent"] == 50


@pytest.mark.case("E21")
def test_an_and_join_passes_the_main_set_and_all_variables(people):
    a, b, _c, _d = people
    joined = (Transition("done", "join"),)
    both = [
        ask("one", f"@id = {a}", to="note1"),
        Activity("js", "note1", parameters={"script": "vars.a = 1"}, transitions=joined),
        ask("two", f"@id = {b}", to="note2"),
        Activity("js", "note2", parameters={"script": "vars.b = 2"}, transitions=joined),
    ]  # fmt: skip
    for main, kept in (("note1", [a]), ("note2", [b]), ("", None)):
        join = Activity(
            "andjoin", "join", parameters={"mainSet": main} if main else {},
            transitions=(Transition("transition", "end"),),
        )  # fmt: skip
        workflow = run(*both, join)
        found = rows(workflow, "join", "transition")
        assert found == kept if kept else found in ([a], [b])
        events = Event.objects.filter(workflow=workflow, source="join")
        assert len(events) == 1
        assert (events[0].variables["a"], events[0].variables["b"]) == (1, 2)


def test_a_random_draw_is_the_same_when_the_task_is_repeated(crowd):
    draw = {"extractOutput": [subset("part", limiter={"type": "count", "count": 7, "random": True})]}
    workflow = run(ask("query", to="split"), step("extract", "split", "part:extractOutput", **draw))
    first = rows(workflow, "split", "part")
    commands.post(admin_actor(), workflow.internal_name, commands.Command.RESTART_TASK, activity="split")
    run_until_passive()
    assert Event.objects.filter(workflow=workflow, source="split").count() == 2
    assert rows(workflow, "split", "part") == first
    commands.post(admin_actor(), workflow.internal_name, commands.Command.START)
    run_until_passive()
    assert rows(workflow, "split", "part") != first
    assert len(first) == 7


def test_what_the_operator_may_not_read_is_not_selected(people):
    closed = make_folder("closedOnes", "recipients", model="nms:recipient")
    allow(closed, make_operator("owner"))
    Recipient.objects.filter(pk=people[0]).update(folder_id=closed.pk)
    ina = make_actor("ina", rights=("WORKFLOW",))
    assert rows(run(ask("query", to="end"), actor=ina), "query") == people[1:]
    assert rows(run(ask("query", to="end")), "query") == people


@pytest.mark.case("E32")
def test_a_simulation_selects_and_changes_nothing(people):
    parts = (
        ask("one", f"@id = {people[0]}", to="union"),
        ask("two", f"@id = {people[1]}", to="union"),
        step("union", "union", to="update"),
        step("writer", "update", to="alert", columns=[{"destination": "@text2", "expr": "'changed'"}]),
        Activity(
            "alert",
            "alert",
            parameters={"assignee": {"operator": "admin"}, "title": "t"},
            transitions=(Transition("done", "end", kind="done"),),
        ),
    )
    workflow = make_workflow((*parts, END), keep_results=True)
    commands.post(admin_actor(), workflow.internal_name, commands.Command.SIMULATE)
    run_until_passive()
    workflow.refresh_from_db()
    assert workflow.simulation
    assert rows(workflow, "union") == people[:2]
    assert not Event.objects.filter(workflow=workflow, source__in=("update", "alert")).exists()
    assert not Recipient.objects.filter(text2="changed").exists()


def made_list(name, *keys, **more):
    folder = Folder.objects.get(name="lists")
    found = lists.create(name, actor=admin_actor(), folder=folder, name=name, **more)
    lists.add(found, chosen.ids(keys), actor=admin_actor())
    return found


def read(name, to, **more):
    return Activity(
        "readList",
        "read",
        parameters={"list": name, **more},
        transitions=(Transition("result", to, kind="result"),),
    )


def test_a_list_is_read_and_changed(people):
    a, b, c, d = people
    made_list("some", a, b)
    workflow = run(read("some", "end", filter="@lastName = 'Two'"))
    assert rows(workflow, "read") == [b]
    update = Activity(
        "listUpdate", "update", parameters={"list": "some"}, transitions=(Transition("transition", "end"),)
    )
    workflow = run(ask("query", f"@id IN ({b}, {c})", to="update"), update)
    assert rows(run(read("some", "end")), "read") == [a, b, c]
    event = Event.objects.get(workflow=workflow, source="update")
    assert event.variables["groupId"] == str(Group.objects.get(name="some").pk)
    assert event.variables["recCount"] == "2"
    purging = Activity("listUpdate", "update", parameters={"list": "some", "purge": True})
    run(ask("query", f"@id = {d}", to="update"), purging)
    assert rows(run(read("some", "end")), "read") == [d]
    removing = Activity("listUpdate", "update", parameters={"list": "some", "remove": True})
    run(ask("query", to="update"), removing)
    assert rows(run(read("some", "end")), "read") == []


def test_a_list_with_a_table_of_its_own_is_made_once_and_keeps_columns(people):
    update = Activity("listUpdate", "update", parameters={"label": "Of <%= 1 + 1 %>", "ownTable": True})
    columns = [{"expr": "Upper(@lastName)", "alias": "bigName", "label": "Big name"}]
    for _round in range(2):
        run(ask("query", to="update", columns=columns), update)
    found = Group.objects.get(label="Of 2")
    assert (found.member_count, found.columns[0]["label"]) == (4, "Big name")
    workflow = run(read(found.name, "end"))
    assert rows(workflow, "read", "result", "@big_name")[0] == (people[0], "ONE")


def test_subscriptions_of_a_population(people):
    service = make_service("news")
    change = Activity("subscription", "change", parameters={"service": "news"})
    run(ask("query", f"@id IN ({people[0]}, {people[1]})", to="change"), change)
    assert set(
        Subscription.objects.filter(service_id=service.pk).values_list("recipient_id", flat=True)
    ) == set(people[:2])
    leaving = Activity("subscription", "change", parameters={"service": "news", "operation": "unsubscribe"})
    run(ask("query", f"@id = {people[0]}", to="change"), leaving)
    assert list(
        Subscription.objects.filter(service_id=service.pk).values_list("recipient_id", flat=True)
    ) == [people[1]]


HOURLY = {"frequency": "several", "every_seconds": 3600}


@pytest.mark.case("E30")
def test_an_incremental_query_gives_what_it_has_not_given(db, clock):
    one = make(*[(f"{n}@x.org", "n", "n") for n in range(3)])

    def drawn():
        query_ = Activity(
            "incremental",
            "new",
            parameters={
                "targetingDimension": "nms:recipient", "filter": HERE.replace("text1", "@text1"),
                "schedule": HOURLY, "history": 2,
            },
            transitions=(Transition("result", "end", kind="result"),),
        )  # fmt: skip
        return begin(make_workflow((query_, END), keep_results=True))

    def after(**step):
        run_to(kernel_clock.now() + timedelta(**step), clock)
        return rows(workflow, "new"), Event.objects.filter(workflow=workflow, source="new").count()

    workflow = drawn()
    assert after(hours=1) == (one, 1)
    two = make(*[(f"{n}@x.org", "n", "n") for n in range(3, 5)], start=100)
    assert after(hours=1) == (two, 2)
    assert after(hours=1) == (two, 2)
    ended = Event.objects.filter(workflow=workflow, target="end").count()
    assert ended == 2
    other, workflow = workflow, drawn()
    assert after(hours=1) == ([*one, *two], 1)
    workflow = other
    assert after(hours=44)[1] == 2
    assert after(hours=1) == (one, 3)


def test_a_memory_can_be_emptied_at_each_start_and_goes_with_its_workflow(db):
    one = make(("1@x.org", "n", "n"))

    def drawn(**more):
        query_ = Activity(
            "incremental",
            "new",
            parameters={"targetingDimension": "nms:recipient", "filter": "@text1 = 'here'", **more},
            transitions=(Transition("result", "end", kind="result"),),
        )
        return make_workflow((query_, END), keep_results=True)

    for keep, again in ((True, 1), (False, 2)):
        workflow = drawn(keepHistory=keep)
        begin(workflow)
        assert rows(workflow, "new") == one
        begin(workflow)
        assert Event.objects.filter(workflow=workflow, source="new").count() == again
        history = History.objects.get(workflow=workflow).name
        assert history in connection.introspection.table_names()
        editing.remove(workflow)
        assert history not in connection.introspection.table_names()


def test_the_dimension_changes_to_what_rows_lead_to(people):
    a, b, _c, _d = people
    inside = Recipient.objects.get(pk=a).folder_id
    other = make_folder("elsewhere", "recipients", model="nms:recipient")
    Recipient.objects.filter(pk=b).update(folder_id=other.pk)
    workflow = run(
        ask("query", to="change", columns=["@firstName"]),
        step(
            "changeDimension", "change", targetingDimension="xtk:folder", records="people",
            sort=[{"expr": "@firstName", "descending": True}], columns=["@name"],
        ),
    )  # fmt: skip
    assert rows(workflow, "change", "result", "@firstName", "@name") == [
        (inside, "Cid", "recipients"), (other.pk, "Bob", "elsewhere"),
    ]  # fmt: skip
    _event, found = carried(workflow, "change")
    asked = QueryDef(found.schema, select=(Field("[people/@firstName]"),))
    names = query.run(asked, actor=admin_actor(), within=population.registry([found])).rows
    assert sorted(name for (name,) in names) == ["Ada", "Ann", "Bob", "Cid"]


def test_a_schema_is_edited_without_touching_the_table(people):
    a = people[0]
    workflow = run(
        ask("query", to="fork", columns=["@firstName", "@email"]),
        fork("edit", "dedup"),
        step(
            "editSchema", "edit", to="split",
            rename=[{"attribute": "firstName", "name": "called"}], remove=["email"],
        ),
        step("extract", "split", "some:extractOutput",
             extractOutput=[{"name": "some", "filter": "@called = 'Ann' AND @email LIKE 'a@%'"}]),
        step("dedup", "dedup", keys=["@firstName"]),
    )  # fmt: skip
    assert rows(workflow, "split", "some", "@called") == [(a, "Ann")]
    assert len(rows(workflow, "dedup", "result", "@firstName", "@email")) == 4
    names = {
        Event.objects.get(workflow=workflow, source=each).variables["tableName"] for each in ("query", "edit")
    }
    assert len(names) == 1
    workflow = run(
        ask("query", to="edit", columns=["@firstName"]),
        step("editSchema", "edit", to="dedup", compute=[{"expr": "Length(@firstName)", "alias": "size"}]),
        step("dedup", "dedup", keys=["@size"]),
    )
    assert rows(workflow, "dedup", "result", "@size") == [(a, 3)]


def test_data_of_other_sets_are_linked(people):
    a, b, c, d = people
    enrich = step(
        "enrichment", "enrich", to="split", mainSet="one",
        links=[
            {"name": "twin", "set": "two", "joins": [{"source": "@email", "destination": "@email"}],
             "columns": [{"expr": "@firstName", "alias": "twinName"}]},
            {"name": "all", "set": "two", "cardinality": "1-N",
             "joins": [{"source": "@email", "destination": "@email"}], "columns": ["@firstName"]},
        ],
    )  # fmt: skip
    workflow = run(
        ask("one", f"@id IN ({a}, {b}, {d})", to="enrich", columns=["@email"]),
        ask("two", f"@id IN ({a}, {c})", to="enrich", columns=["@email", "@firstName"]),
        enrich,
        step("extract", "split", "some:extractOutput",
             extractOutput=[
                 {"name": "some", "filter": "[twin/@firstName] = 'Ann' AND [all/@firstName] = 'Ada'"}
             ]),
    )  # fmt: skip
    assert rows(workflow, "enrich", "result", "@twinName", "[@twin-id]") == [
        (a, "Ann", a), (b, None, None), (d, None, None),
    ]  # fmt: skip
    assert rows(workflow, "split", "some") == [a]


def writer(*ways, **parameters):
    return Activity(
        "writer",
        "write",
        parameters=parameters,
        transitions=tuple(
            Transition(each, "end", kind="rejects" if each == "rejects" else "transition") for each in ways
        ),
    )


def writes(destination, expr, **more):
    return {"destination": destination, "expr": expr, **more}


def test_data_are_updated_where_they_differ(people, clock):
    a, b = people[:2]
    before = Recipient.objects.get(pk=b).modified_at
    clock.step(hours=1)
    columns = [
        writes("@text2", "Upper(@firstName)"),
        writes("@text3", "'only a'", enabledIf=f"@id = {a}"),
        writes("@lastName", "Iif(@firstName = 'Bob', 'Two', 'New')"),
    ]
    workflow = run(
        ask("query", f"@id IN ({a}, {b})", to="write"), writer(columns=columns, operation="update")
    )
    found = Recipient.objects.in_bulk(people)
    assert [(each.text2, each.text3, each.last_name) for _key, each in sorted(found.items())] == [
        ("ANN", "only a", "New"),
        ("BOB", "", "Two"),
        ("", "", "Three"),
        ("", "", "Four"),
    ]
    assert found[b].modified_at > before
    assert "nms:recipient: 0 inserted, 2 updated, 0 deleted, 0 rejected" in lines(workflow)
    workflow = run(ask("query", f"@id IN ({a}, {b})", to="write"), writer(columns=columns))
    assert "nms:recipient: 0 inserted, 0 updated, 0 deleted, 0 rejected" in lines(workflow)


def test_rows_are_found_by_keys_and_made_when_they_are_not_there(people):
    _a, b, c, d = people
    source = ask(
        "query",
        to="write",
        columns=[
            {"expr": "Iif(@firstName = 'Bob', 'b@x.org', @firstName + '@new.org')", "alias": "address"},
            {"expr": "Iif(@firstName = 'Cid', 'nowhere', 'recipients')", "alias": "place"},
        ],
    )
    columns = [
        writes("@email", "@address"),
        writes("@text2", "'written'"),
        writes("[folder/@name]", "@place"),
        writes("@gender", "Iif(@firstName = 'Ada', 9, 1)"),
    ]
    workflow = run(
        source,
        writer(
            "transition",
            "rejects",
            columns=columns,
            joins=[{"source": "@address", "destination": "@email"}],
            batch=2,
        ),
    )
    assert "nms:recipient: 1 inserted, 1 updated, 0 deleted, 2 rejected" in lines(workflow)
    made = Recipient.objects.get(email="ann@new.org")
    assert (made.text2, made.folder.name, made.gender) == ("written", "recipients", 1)
    assert Recipient.objects.get(pk=b).text2 == "written"
    assert rows(workflow, "write", "rejects", "@reason") == [
        (c, "@gender: this is no value of the enumeration"),
        (d, "[folder/@name]: nothing has this value"),
    ]


def test_rows_that_the_operator_may_not_write_are_rejected_and_deletion_takes_the_right(people):
    a, b, c, d = people
    ina = make_actor("ina", rights=("WORKFLOW",))
    folder = make_folder("shown", "recipients", model="nms:recipient")
    allow(folder, Operator.objects.get(name="ina"), read=True, write=False)
    Recipient.objects.filter(pk=a).update(folder_id=folder.pk)
    own = make_folder("own", "recipients", model="nms:recipient")
    allow(own, Operator.objects.get(name="ina"), read=True, write=True, delete=True)
    Recipient.objects.filter(pk=b).update(folder_id=own.pk)
    both = f"@id IN ({a}, {b})"
    workflow = run(
        ask("query", both, to="write"),
        writer("rejects", columns=[writes("@text2", "'x'")], operation="update"),
        actor=ina,
    )
    assert rows(workflow, "write", "rejects") == [a]
    assert [each.text2 for each in Recipient.objects.filter(pk__in=(a, b)).order_by("pk")] == ["", "x"]
    run(ask("query", both, to="write"), writer(operation="delete"), actor=ina)
    assert set(Recipient.objects.filter(pk__in=people).values_list("pk", flat=True)) == {a, c, d}
    refused = begin(
        make_workflow(
            (
                ask("query", both, to="write"),
                writer(schema="nms:group", operation="update", columns=[writes("@label", "'x'")]),
                END,
            )
        )
    )
    assert refused.failed


def test_addresses_are_written_in_their_form(people):
    columns = [writes("@email", "Iif(@firstName = 'Ann', ' ANN@X.org ', 'no address')")]
    workflow = run(
        ask("query", f"@id IN ({people[0]}, {people[1]})", to="write"),
        writer("rejects", columns=columns, operation="update"),
    )
    assert Recipient.objects.get(pk=people[0]).email == "ann@x.org"
    assert rows(workflow, "write", "rejects") == [people[1]]


def tables():
    return {name for name in connection.introspection.table_names() if name.startswith("wkf")}


@pytest.mark.case("E33")
def test_populations_and_their_lines_live_as_long_as_they_are_needed(people, clock):
    later = Activity(
        "wait", "later", parameters={"duration_s": 3600}, transitions=(Transition("transition", "split"),)
    )
    collections = [{"kind": "lines", "name": "lists", "link": "rcpGrpRel", "columns": ["@id"]}]
    drawn = (
        ask("query", to="enrich"),
        step("enrichment", "enrich", to="later", collections=collections),
        later,
        step(
            "extract",
            "split",
            "some:extractOutput",
            extractOutput=[{"name": "some", "filter": "[lists/@id] IS NULL"}],
        ),
        END,
    )
    for kept, left in ((False, 0), (True, 4)):
        workflow = begin(make_workflow(drawn, keep_results=kept))
        event, found = carried(workflow, "enrich")
        # What waits has its population and the lines beside it; that of the query was let go.
        assert tables() >= {found.table, *found.beside.values()}
        assert kept or tables() == {found.table, *found.beside.values()}
        commands.post(admin_actor(), workflow.internal_name, commands.Command.PAUSE)
        run_until_passive()
        assert tables() >= {found.table, *found.beside.values()}
        commands.post(admin_actor(), workflow.internal_name, commands.Command.START)
        run_to(kernel_clock.now() + timedelta(hours=2), clock)
        workflow.refresh_from_db()
        assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
        assert event.variables["recCount"] == "4"
        assert len(tables()) == left


def test_what_an_edited_schema_carries_is_shown_as_it_was_edited(people):
    workflow = run(
        ask("query", to="edit", columns=["@firstName"]),
        step("editSchema", "edit", rename=[{"attribute": "firstName", "name": "called"}]),
    )
    shown = targets.page(admin_actor(), workflow.internal_name, "edit", "result")
    assert "called" in shown.columns
    assert "firstName" in targets.page(admin_actor(), workflow.internal_name, "query", "result").columns


def test_a_script_of_sql_makes_a_population_for_those_who_may(people):
    columns = [{"name": "firstName", "type": "string"}, {"name": "size", "type": "long"}]
    script = """
        INSERT INTO <%= activity.tableName %> (id, first_name, size)
        SELECT r.recipient_id, r.first_name, length(r.first_name)
        FROM <%= task.incomingTransitionByName('result').tableName %> i
        JOIN nms_recipient r ON r.recipient_id = i.id
        WHERE i.email <> '';
    """

    def drawn(text, **more):
        return (
            ask("query", to="sql", columns=["@email"]),
            step(
                "sqlDataManagement",
                "sql",
                script=text,
                columns=columns,
                targetingDimension="nms:recipient",
                **more,
            ),
        )

    workflow = run(*drawn(script))
    assert rows(workflow, "sql", "result", "@firstName", "@size")[0] == (people[0], "Ann", 3)
    assert len(rows(workflow, "sql")) == 3
    making = """CREATE TABLE <%= activity.tableName %> AS SELECT id, email AS first_name, '1' AS size
                FROM <%= task.incomingTransitionByName('result').tableName %>"""
    wrong = begin(make_workflow((*drawn(making, createTable=False), END)))
    assert any("has left no table" in line for line in lines(wrong))
    workflow = run(*drawn(making.replace("'1'", "1"), createTable=False))
    assert len(rows(workflow, "sql", "result", "@size")) == 4
    ina = make_actor("ina", rights=("WORKFLOW",))
    refused = begin(make_workflow((*drawn(script), END)), ina)
    assert any("USE SQL DATA MANAGEMENT ACTIVITY" in line for line in lines(refused))


@pytest.mark.parametrize(
    ("activity", "problem"),
    [
        (Activity("query", "a", parameters={"targetingDimension": "nms:nobody"}), "no schema nms:nobody"),
        (Activity("dedup", "a"), "no field by which rows are doubles"),
        (Activity("dedup", "a", parameters={"keys": ["@email"], "method": "min"}), "no expression"),
        (
            Activity("extract", "a", parameters={"extractOutput": [{"name": "x"}]}),
            "Subset x of activity a has no",
        ),
        (Activity("exclusion", "a", parameters={"rules": [{"kind": "join"}]}), "without a pair of fields"),
        (Activity("union", "a", parameters={"order": ["b"]}), "names b, which does not lead to it"),
        (
            Activity("incremental", "a", parameters={"schedule": {"frequency": "never"}}),
            "schedule of activity a",
        ),
        (Activity("listUpdate", "a"), "does not say which list"),
        (
            Activity("subscription", "a", parameters={"service": "s", "operation": "x"}),
            "neither subscribes nor",
        ),
        (Activity("writer", "a", parameters={"operation": "merge"}), "cannot do merge"),
        (Activity("changeDimension", "a"), "does not say to which dimension"),
        (Activity("readList", "a"), "does not say which list"),
    ],
)
def test_settings_that_cannot_work_are_named(db, activity, problem):
    found = [str(each) for each in Definition((activity,)).check()]
    assert any(problem in each for each in found), found


def test_every_step_is_bound_by_what_the_operator_may_read(people):
    a, b, c, d = people
    closed = make_folder("closedOnes", "recipients", model="nms:recipient")
    allow(closed, make_operator("owner"))
    ina = make_actor("ina", rights=("WORKFLOW",))
    made_list("some", *people)
    chain = (
        ask("query", to="stop"),
        Activity(
            "wait", "stop", parameters={"duration_s": 60}, transitions=(Transition("transition", "enrich"),)
        ),
        step(
            "enrichment",
            "enrich",
            to="split",
            columns=["@firstName"],
            collections=[
                {"kind": "aggregates", "link": "rcpGrpRel", "aggregates": [{"expr": "@id", "alias": "lists"}]}
            ],
        ),
        step(
            "extract",
            "split",
            "named:extractOutput",
            "remainder",
            to="dedup",
            extractOutput=[
                {"name": "named", "filter": "@lastName IS NOT NULL", "limiter": {"type": "count", "count": 9}}
            ],
        ),
        step("dedup", "dedup", keys=["@email"]),
        END,
    )
    workflow = begin(make_workflow(chain, keep_results=True), ina)
    # What was selected stays selected, but nothing more is learned of it when a folder is closed meanwhile.
    Recipient.objects.filter(pk=a).update(folder_id=closed.pk)
    commands.post(admin_actor(), workflow.internal_name, commands.Command.WAKEUP)
    run_until_passive()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    found = {key: rest for key, *rest in rows(workflow, "enrich", "result", "@firstName", "@lists")}
    assert found == {a: [None, 0], b: ["Bob", 1], c: ["Ada", 1], d: ["Cid", 1]}
    assert rows(workflow, "split", "named") == [b, c, d]
    assert rows(workflow, "split", "remainder") == [a]


def file(*lines_, name="file", to):
    """Data without a dimension, as a loaded file brings them: (address, note) a line."""
    values = ", ".join(f"({n}, '{address}', '{note}')" for n, (address, note) in enumerate(lines_, 1))
    return step(
        "sqlDataManagement",
        name,
        to=to,
        script=f"INSERT INTO <%= activity.tableName %> (id, address, note) VALUES {values}",
        columns=[{"name": "address"}, {"name": "note"}],
    )


def test_data_of_a_file_find_their_rows(people):
    b = people[1]
    loaded = (("b@x.org", "second"), ("nobody@x.org", "lost"), ("b@x.org", "again"), ("", "empty"))
    joins = [{"source": "Lower(@address)", "destination": "@email"}]
    reconciliation = {"dimension": "nms:recipient", "joins": joins}
    workflow = run(
        file(*loaded, to="enrich"),
        step("enrichment", "enrich", to="split", reconciliation=reconciliation),
        step(
            "extract",
            "split",
            "some:extractOutput",
            extractOutput=[{"name": "some", "filter": "@firstName = 'Bob' AND @note = 'second'"}],
        ),
    )
    event, _found = carried(workflow, "enrich")
    assert event.variables["schema"] == "nms:recipient"
    assert rows(workflow, "enrich", "result", "@note") == [(b, "second")]
    assert rows(workflow, "split", "some") == [b]
    workflow = run(
        file(*loaded, to="enrich"),
        step(
            "enrichment",
            "enrich",
            to="split",
            reconciliation={**reconciliation, "keepUnreconciled": True, "name": "who"},
            columns=[{"expr": "Length(@note)", "alias": "size"}],
        ),
        step(
            "extract",
            "split",
            "found:extractOutput",
            "remainder",
            extractOutput=[{"name": "found", "filter": "[who/@id] IS NOT NULL"}],
        ),
    )
    assert rows(workflow, "enrich", "result", "@size", "[who/@firstName]") == [
        (1, 6, "Bob"), (2, 4, None), (3, 5, "Bob"), (4, 5, None),
    ]  # fmt: skip
    assert rows(workflow, "split", "found") == [1, 3]
    assert rows(workflow, "split", "remainder") == [2, 4]
    workflow = run(
        file(*loaded, to="union"),
        file(("b@x.org", "second"), ("c@x.org", "third"), name="more", to="union"),
        step("union", "union", to="single"),
        step("dedup", "single", to="write", keys=["@address", "@note"]),
        writer(
            "transition",
            schema="nms:recipient",
            joins=[{"source": "@address", "destination": "@email"}],
            folder="recipients",
            columns=[writes("@email", "@address"), writes("@text1", "@note")],
            enabledIf="@address IS NOT NULL",
        ),
    )
    assert len(rows(workflow, "union")) == 6
    assert len(rows(workflow, "single")) == 5
    # Of two lines for one profile the first is written.
    assert "nms:recipient: 2 inserted, 1 updated, 0 deleted, 0 rejected" in lines(workflow)
    assert Recipient.objects.get(pk=b).text1 == "second"
    assert Recipient.objects.get(email="c@x.org").text1 == "third"


def test_profiles_of_one_person_become_one(people, monkeypatch):
    a, _b, c, d = people
    monkeypatch.setattr(merge_profiles, "BATCH", 1)
    more = make(("b@x.org", "Bert", ""))
    made_list("some", c, *more)
    Recipient.objects.filter(pk=a).update(first_name="")
    merge = Activity("mergeProfiles", "merge", parameters={"keys": ["@email"], "sort": ["Length(@lastName)"]})
    workflow = run(ask("query", to="merge"), merge)
    assert "2 profile(s) merged into others" in lines(workflow)
    left = Recipient.objects.in_bulk([*people, *more])
    # The one with the shortest name stays; what it lacks comes from the other.
    assert set(left) == {a, d, *more}
    assert (left[a].first_name, left[more[0]].last_name) == ("Ada", "Two")
    assert set(rows(run(read("some", "end")), "read")) == {a, *more}
    ina = make_actor("ina", rights=("WORKFLOW",))
    make(("z@x.org", "Z", "Z"), ("z@x.org", "Z", "Z"))
    refused = begin(make_workflow((ask("query", to="merge"), merge, END)), ina)
    assert any("MERGE" in line for line in lines(refused))
