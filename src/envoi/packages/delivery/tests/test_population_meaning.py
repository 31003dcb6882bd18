"""Random small diagrams of set activities over random people agree, row by row, with a plain model of each.

The model knows lists, dicts and sets, nothing of SQL. A population is {id: {attribute: value}}.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.engine import population, testing
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Event
from envoi.engine.population import column_name
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import RcpGrpRel, Recipient
from envoi.packages.delivery.services import chosen, lists
from envoi.packages.delivery.testing import make_recipients

EMAILS = ("a@x.org", "b@x.org", "c@x.org", "")
WORDS = ("alpha", "beta", "gamma", "")
# Attribute -> expression on a recipient, and what the model says it is.
DATA = {
    "email": ("@email", lambda row: row["email"]),
    "text2": ("@text2", lambda row: row["text2"]),
    "gender": ("@gender", lambda row: row["gender"]),
    "n": ("@gender + @emailFormat", lambda row: row["gender"] + row["emailFormat"]),
}
FILTERS = {
    "@gender = 1": lambda row: row["gender"] == 1,
    "@gender > 0": lambda row: row["gender"] > 0,
    "@email IS NOT NULL": lambda row: row["email"] != "",
    "@text2 = 'alpha' OR @text2 = 'beta'": lambda row: row["text2"] in ("alpha", "beta"),
    "@emailFormat <> 2 AND @gender < 2": lambda row: row["emailFormat"] != 2 and row["gender"] < 2,
    "1 = 1": lambda row: True,
    "1 = 0": lambda row: False,
}
Rows = dict[int, dict[str, Any]]


# --- what is drawn


@dataclass
class Node:
    """An activity: its type, name, parameters, ways out, and the outputs that feed it."""

    kind: str
    name: str
    ways: tuple[tuple[str, str], ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: list[tuple[str, str]] = field(default_factory=list)


@st.composite
def people(draw):
    row = st.fixed_dictionaries(
        {
            "email": st.sampled_from(EMAILS),
            "text2": st.sampled_from(WORDS),
            "gender": st.integers(0, 2),
            "emailFormat": st.integers(0, 2),
            "lists": st.sets(st.integers(0, 2)),
        }
    )
    return draw(st.lists(row, min_size=0, max_size=14))


@st.composite
def diagrams(draw):
    nodes: list[Node] = []
    open_ways: list[tuple[str, str]] = []
    for number in range(draw(st.integers(3, 9))):
        kinds = ["query", "readList"]
        if open_ways:
            kinds += [
                "dedup",
                "extract",
                "enrichment",
                "cells",
                "editSchema",
                "changeDimension",
                "listUpdate",
            ]
        if open_ways and not any(node.kind == "writer" for node in nodes):
            kinds.append("writer")
        if len(open_ways) > 1:
            kinds += ["union", "intersection", "exclusion", "exclusion"]
        kind = draw(st.sampled_from(kinds))
        name = f"{kind}{number}"
        several = kind in ("union", "intersection", "exclusion")
        count = (
            0
            if kind in ("query", "readList")
            else draw(st.integers(2, min(3, len(open_ways))))
            if several
            else 1
        )
        taken = draw(st.permutations(open_ways))[:count]
        open_ways = [each for each in open_ways if each not in taken]
        node = _DRAWN[kind](draw, name)
        node.inputs = list(taken)
        nodes.append(node)
        if kind != "changeDimension":  # what follows would mix dimensions
            open_ways += [(name, way) for way, _kind in node.ways]
    return nodes


def _query(draw, name):
    chosen = draw(st.lists(st.sampled_from(sorted(DATA)), unique=True))
    columns = [{"expr": DATA[each][0], "alias": each} for each in chosen]
    said = {"targetingDimension": "nms:recipient", "filter": draw(st.sampled_from(sorted(FILTERS)))}
    return Node("query", name, (("result", "result"),), {**said, "columns": columns})


def _union(draw, name):
    return Node(
        "union",
        name,
        (("result", "result"),),
        _reconciled(draw) | {"maxSize": draw(st.sampled_from([0, 0, 3]))},
    )


def _intersection(draw, name):
    return Node("intersection", name, (("result", "result"), ("remainder", "remainder")), _reconciled(draw))


def _reconciled(draw):
    return {"reconcile": draw(st.sampled_from(["id", "id", "columns"])), "commonOnly": draw(st.booleans())}


def _exclusion(draw, name):
    ways = (("result", "result"), ("remainder", "remainder"))
    return Node("exclusion", name, ways, {"join": draw(st.booleans())})


def _split(draw, name):
    subsets = []
    for number in range(draw(st.integers(1, 3))):
        limiter = draw(
            st.sampled_from(
                [
                    {},
                    {"type": "count", "count": 2, "sort": [{"expr": "@email"}]},
                    {"type": "count", "count": 1, "sort": [{"expr": "@text2", "descending": True}]},
                    {"type": "percent", "percent": 30, "random": False},
                    {"type": "percent", "percent": 50, "random": False, "ofSegment": True},
                    {"type": "count", "count": 1, "groupBy": "@gender"},
                ]
            )
        )
        subsets.append(
            {"name": f"s{number}", "code": draw(st.sampled_from(["", "x"])),
             "filter": draw(st.sampled_from(sorted(FILTERS))), "limiter": limiter}
        )  # fmt: skip
    ways = tuple((each["name"], "extractOutput") for each in subsets)
    said = {"extractOutput": subsets, "overlap": draw(st.booleans())}
    return Node("extract", name, (*ways, ("remainder", "remainder")), said)


def _dedup(draw, name):
    method = draw(st.sampled_from(["first", "min", "max", "nonEmpty", "list"]))
    said = {
        "keys": draw(st.sampled_from([["@email"], ["@gender"], ["@email", "@gender"]])),
        "method": method,
        "expr": "@text2",
        "values": ["beta", "alpha"],
        "keep": draw(st.sampled_from([1, 1, 2])),
        "merges": draw(st.booleans()),
    }
    return Node("dedup", name, (("result", "result"), ("remainder", "remainder")), said)


def _enrichment(draw, name):
    collections = [
        {"kind": "aggregates", "link": "rcpGrpRel", "filter": "[group/@name] <> 'm0'",
         "aggregates": [{"function": "count", "expr": "@id", "alias": f"{name}count"}]},
        {"kind": "single", "link": "rcpGrpRel", "sort": [{"expr": "[group/@name]", "descending": True}],
         "columns": [{"expr": "[group/@name]", "alias": f"{name}top"}]},
    ]  # fmt: skip
    columns = [
        {"expr": DATA[each][0], "alias": f"{name}{each}", "of": each}
        for each in draw(st.lists(st.sampled_from(sorted(DATA)), unique=True))
    ]
    chosen = [each for each in collections if draw(st.booleans())]
    return Node("enrichment", name, (("result", "result"),), {"columns": columns, "collections": chosen})


def _read_list(draw, name):
    return Node("readList", name, (("result", "result"),), {"list": f"m{draw(st.integers(0, 2))}"})


def _cells(draw, name):
    cells = [
        {
            "name": f"s{number}",
            "code": draw(st.sampled_from(["", "x"])),
            "filter": draw(st.sampled_from(sorted(FILTERS))),
        }
        for number in range(draw(st.integers(1, 3)))
    ]
    ways = tuple((each["name"], "cell") for each in cells)
    return Node("cells", name, (*ways, ("remainder", "remainder")), {"cell": cells})


def _edit_schema(draw, name):
    # Which of the data that come in: the model says, when it knows them.
    return Node(
        "editSchema",
        name,
        (("result", "result"),),
        {"at": draw(st.integers(0, 5)), "drops": draw(st.booleans())},
    )


def _change_dimension(draw, name):
    sort = draw(st.sampled_from([[], [{"expr": "@gender", "descending": True}], [{"expr": "@email"}]]))
    said = {"targetingDimension": "nms:group", "link": "rcpGrpRel/group", "sort": sort}
    return Node("changeDimension", name, (("result", "result"),), said)


def _list_update(draw, name):
    return Node("listUpdate", name, (), {"label": name, "purge": draw(st.booleans())})


def _writer(draw, name):
    said = {
        "operation": "update",
        "enabledIf": draw(st.sampled_from(sorted(FILTERS))),
        "columns": [
            {"destination": "@text3", "expr": "'written'"},
            {
                "destination": "@company",
                "expr": "@email",
                "enabledIf": draw(st.sampled_from(sorted(FILTERS))),
            },
        ],
    }
    return Node("writer", name, (), said)


_DRAWN = {
    "readList": _read_list,
    "cells": _cells,
    "editSchema": _edit_schema,
    "changeDimension": _change_dimension,
    "listUpdate": _list_update,
    "writer": _writer,
    "query": _query,
    "union": _union,
    "intersection": _intersection,
    "exclusion": _exclusion,
    "extract": _split,
    "dedup": _dedup,
    "enrichment": _enrichment,
}


# --- the plain model


class Model:
    """Evaluates a diagram. `world` is {id: all that is known of a person}."""

    def __init__(self, world: Rows, groups: list[int]) -> None:
        self.world, self.groups = world, groups
        self.made: dict[tuple[str, str], Rows] = {}
        self.lists: dict[str, set[int]] = {}
        self.written: dict[int, dict[str, str]] = {}
        self.attributes: dict[tuple[str, str], list[str]] = {}

    def put(self, name: str, way: str, attributes: list[str], rows: Rows) -> None:
        self.made[name, way] = {key: {each: row[each] for each in attributes} for key, row in rows.items()}
        self.attributes[name, way] = attributes

    def value(self, key: int, row: dict[str, Any], attribute: str) -> Any:
        """An attribute as an expression reads it: the population's own, else the person's."""
        return row[attribute] if attribute in row else self.world[key][attribute]

    def holds(self, text: str, key: int, row: dict[str, Any]) -> bool:
        return FILTERS[text](_Seen(self, key, row))

    def query(self, node: Node) -> None:
        names = [each["alias"] for each in node.parameters["columns"]]
        rows = {
            key: {each: DATA[each][1](person) for each in names}
            for key, person in self.world.items()
            if FILTERS[node.parameters["filter"]](person)
        }
        self.put(node.name, "result", names, rows)

    def _united(self, inputs, keys, common, most=0):
        shared = [
            each for each in self.attributes[inputs[0]] if all(each in self.attributes[i] for i in inputs)
        ]
        names = shared if common else list(dict.fromkeys(each for i in inputs for each in self.attributes[i]))
        found: list[tuple[int, int, dict[str, Any]]] = []
        seen: set[int] = set()
        for place, each in enumerate(inputs):
            for key, row in self.made[each].items():
                if key not in seen:
                    found.append((place, key, {name: row.get(name) for name in names}))
            seen |= set(self.made[each])
        found.sort(key=lambda each: each[:2])
        if keys:
            first: dict[tuple[Any, ...], tuple[int, int, dict[str, Any]]] = {}
            for each in found:
                first.setdefault(tuple(each[2][key] for key in keys), each)
            found = list(first.values())
        return names, {key: row for _place, key, row in (found[:most] if most else found)}

    def _keys(self, node: Node):
        if node.parameters["reconcile"] == "id":
            return []
        return [
            each
            for each in self.attributes[node.inputs[0]]
            if all(each in self.attributes[i] for i in node.inputs)
        ]

    def union(self, node: Node) -> None:
        names, rows = self._united(
            node.inputs, self._keys(node), node.parameters["commonOnly"], node.parameters["maxSize"]
        )
        self.put(node.name, "result", names, rows)

    def intersection(self, node: Node) -> None:
        keys, common = self._keys(node), node.parameters["commonOnly"]
        main, others = node.inputs[0], node.inputs[1:]
        shared = [each for each in self.attributes[main] if all(each in self.attributes[i] for i in others)]
        if keys:
            names = self.attributes[main]
            sets = [{tuple(row[key] for key in keys) for row in self.made[each].values()} for each in others]
            rows = {
                key: row for key, row in self.made[main].items()
                if all(tuple(row[each] for each in keys) in found for found in sets)
            }  # fmt: skip
        else:
            names = list(dict.fromkeys(each for i in node.inputs for each in self.attributes[i]))
            rows = {}
            for key in self.made[main]:
                if all(key in self.made[each] for each in others):
                    whole: dict[str, Any] = {}
                    for each in node.inputs:
                        whole = {**self.made[each][key], **whole}
                    rows[key] = whole
        names = [each for each in names if not common or each in shared]
        self.put(node.name, "result", names, rows)
        every, united = self._united(node.inputs, keys, common)
        self.put(node.name, "remainder", every, {key: row for key, row in united.items() if key not in rows})

    def exclusion(self, node: Node) -> None:
        main, others = self.made[node.inputs[0]], node.inputs[1:]
        gone: set[int] = set()
        for each in others:
            if node.parameters["join"]:
                emails = {self.value(key, row, "email") for key, row in self.made[each].items()} - {"", None}
                gone |= {key for key, row in main.items() if self.value(key, row, "email") in emails}
            else:
                gone |= set(self.made[each])
        names = self.attributes[node.inputs[0]]
        self.put(node.name, "result", names, {key: row for key, row in main.items() if key not in gone})
        self.put(node.name, "remainder", names, {key: row for key, row in main.items() if key in gone})

    def extract(self, node: Node) -> None:
        source, names = self.made[node.inputs[0]], self.attributes[node.inputs[0]]
        taken: set[int] = set()
        for subset in node.parameters["extractOutput"]:
            free = {
                key: row for key, row in sorted(source.items())
                if (node.parameters["overlap"] or key not in taken) and self.holds(subset["filter"], key, row)
            }  # fmt: skip
            limiter = subset["limiter"]
            ordered = sorted(free)
            for each in limiter.get("sort", ()):
                name = each["expr"].lstrip("@")
                ordered = self._sorted(ordered, source, name, falling=each.get("descending", False))
            most = len(ordered)
            if limiter.get("type") == "count":
                most = limiter["count"]
            elif limiter.get("type") == "percent":
                total = len(ordered) if limiter.get("ofSegment") else len(source)
                most = (2 * total * limiter["percent"] + 100) // 200
            if limiter.get("groupBy"):
                groups: dict[Any, list[int]] = defaultdict(list)
                for key in ordered:
                    groups[self.value(key, source[key], "gender")].append(key)
                ordered = [key for found in groups.values() for key in found[:most]]
                most = len(ordered)
            chosen = ordered[:most]
            taken |= set(chosen)
            code = {"segmentCode": subset["code"]} if subset["code"] else {}
            with_code = [*(each for each in names if each not in code), *code]
            self.put(node.name, subset["name"], with_code, {key: {**source[key], **code} for key in chosen})
        self.put(node.name, "remainder", names, {key: row for key, row in source.items() if key not in taken})

    def _sorted(self, keys, source, name, *, falling=False):
        """In the order of an attribute, those without a value last either way."""
        there = [key for key in keys if self.value(key, source[key], name) is not None]
        there.sort(key=lambda key: self.value(key, source[key], name), reverse=falling)
        return [*there, *(key for key in keys if key not in there)]

    def read_list(self, node: Node) -> None:
        number = int(node.parameters["list"][1:])
        rows: Rows = {key: {} for key, person in self.world.items() if number in person["lists"]}
        self.put(node.name, "result", [], rows)

    def cells(self, node: Node) -> None:
        subsets = [{**each, "limiter": {}} for each in node.parameters["cell"]]
        said = {"extractOutput": subsets, "overlap": False}
        self.extract(Node("extract", node.name, node.ways, said, node.inputs))

    def edit_schema(self, node: Node) -> None:
        names, source = self.attributes[node.inputs[0]], self.made[node.inputs[0]]
        chosen = names[node.parameters["at"] % len(names)] if names else ""
        node.parameters["chosen"] = chosen
        new = {each: each for each in names}
        if chosen and node.parameters["drops"]:
            del new[chosen]
        elif chosen:
            new[chosen] = f"{node.name}new"
        rows = {key: {after: row[before] for before, after in new.items()} for key, row in source.items()}
        self.put(node.name, "result", list(new.values()), rows)

    def change_dimension(self, node: Node) -> None:
        source, names = self.made[node.inputs[0]], self.attributes[node.inputs[0]]
        ordered = sorted(source)
        for each in node.parameters["sort"]:
            name = each["expr"][1:]
            ordered = self._sorted(ordered, source, name, falling=each.get("descending", False))
        rows: Rows = {}
        for key in ordered:
            for number in self.world[key]["lists"]:
                rows.setdefault(self.groups[number], source[key])
        self.put(node.name, "result", names, rows)

    def list_update(self, node: Node) -> None:
        self.lists[node.name] = set(self.made[node.inputs[0]])

    def writer(self, node: Node) -> None:
        for key, row in self.made[node.inputs[0]].items():
            if self.holds(node.parameters["enabledIf"], key, row):
                self.written[key] = {"text3": "written"}
                if self.holds(node.parameters["columns"][1]["enabledIf"], key, row):
                    self.written[key]["company"] = self.value(key, row, "email") or ""

    def dedup(self, node: Node) -> None:
        said, source = node.parameters, self.made[node.inputs[0]]
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for key in sorted(source):
            groups[tuple(self.value(key, source[key], each[1:]) for each in said["keys"])].append(key)
        rows: Rows = {}
        for keys in groups.values():
            if said["method"] in ("min", "max"):
                ranked = self._sorted(keys, source, "text2", falling=said["method"] == "max")
            else:
                ranked = sorted(keys, key=lambda key: self._rank(said, key, source[key]))
            for key in ranked[: said["keep"]]:
                row = dict(source[key])
                if said["merges"] and said["keep"] == 1 and "text2" in row:
                    giving = [each for each in keys if source[each]["text2"] not in ("", None)]
                    giving = self._sorted(giving, source, "gender")
                    row["text2"] = source[giving[0]]["text2"] if giving else row["text2"]
                rows[key] = row
        names = self.attributes[node.inputs[0]]
        self.put(node.name, "result", names, rows)
        self.put(node.name, "remainder", names, {key: row for key, row in source.items() if key not in rows})

    def _rank(self, said, key, row):
        value = self.value(key, row, "text2")
        match said["method"]:
            case "nonEmpty":
                return value in ("", None)
            case "list":
                return said["values"].index(value) if value in said["values"] else len(said["values"])
            case _:
                return 0

    def enrichment(self, node: Node) -> None:
        source = self.made[node.inputs[0]]
        names = list(self.attributes[node.inputs[0]])
        rows = {key: dict(row) for key, row in source.items()}
        for each in node.parameters["columns"]:
            names.append(each["alias"])
            for key in rows:
                value = DATA[each["of"]][1](_Seen(self, key, source[key]))
                rows[key][each["alias"]] = None if isinstance(value, _Nothing) else value
        for each in node.parameters["collections"]:
            counts = each["kind"] == "aggregates"
            name = f"{node.name}count" if counts else f"{node.name}top"
            for key, row in rows.items():
                lists = self.world[key]["lists"]
                row[name] = len(lists - {0}) if counts else f"m{max(lists)}" if lists else None
            names.append(name)
        self.put(node.name, "result", names, rows)


class _Seen:
    """A row as expressions see it."""

    def __init__(self, model: Model, key: int, row: dict[str, Any]) -> None:
        self.model, self.key, self.row = model, key, row

    def __getitem__(self, name: str) -> Any:
        value = self.model.value(self.key, self.row, name)
        # What a population has lost in a union compares with nothing.
        return _Nothing() if value is None else value


class _Nothing:
    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: object) -> bool:
        return False

    __gt__ = __lt__

    def __add__(self, other: object) -> "_Nothing | None":
        return None

    __radd__ = __add__


# --- the engine


def activities(nodes, model):
    """The diagram as the engine takes it; ways that feed nothing lead to the end."""
    feeds = {way: node.name for node in nodes for way in node.inputs}
    made = [Activity("end", "end")]
    for node in nodes:
        said = dict(node.parameters)
        if node.kind in ("union", "intersection") and not model._keys(node):
            said["reconcile"] = "id"
        if node.kind == "editSchema":
            chosen = said.pop("chosen")
            if chosen and said["drops"]:
                said["remove"] = [chosen]
            elif chosen:
                said["rename"] = [{"attribute": chosen, "name": f"{node.name}new"}]
        if node.kind == "exclusion" and said.pop("join"):
            said["rules"] = [
                {
                    "set": "/".join(each),
                    "kind": "join",
                    "joins": [{"source": "@email", "destination": "@email"}],
                }
                for each in node.inputs[1:]
            ]
        merges = node.kind == "dedup" and said.pop("merges") and said["keep"] == 1
        if merges and "text2" in model.attributes[node.inputs[0]]:
            said["merge"] = [{"columns": ["text2"], "nonEmpty": True, "sort": [{"expr": "@gender"}]}]
        ways = tuple(
            Transition(way, feeds.get((node.name, way), "end"), kind=kind) for way, kind in node.ways
        )
        made.append(Activity(node.kind, node.name, transitions=ways, parameters=said))
    return made


def world_of(rows):
    """Make these people; return {id: what is known of each}, and the numbers of the lists."""
    ids = list(make_recipients(len(rows))) if rows else []
    with connection.cursor() as cursor:
        for key, row in zip(ids, rows, strict=True):
            cursor.execute(
                """UPDATE nms_recipient SET email = %s, text2 = %s, gender = %s, email_format = %s
                   WHERE recipient_id = %s""",
                [row["email"], row["text2"], row["gender"], row["emailFormat"], key],
            )
    actor, folder = admin_actor(), Folder.objects.get(name="lists")
    groups: list[int] = []
    for number in range(3):
        made = lists.create(f"m{number}", actor=actor, folder=folder, name=f"m{number}")
        members = [key for key, row in zip(ids, rows, strict=True) if number in row["lists"]]
        lists.add(made, chosen.ids(members), actor=actor)
        groups.append(made.pk)
    return dict(zip(ids, rows, strict=True)), groups


def carried(workflow, source, way):
    """The rows that a transition carried."""
    variables = Event.objects.get(workflow=workflow, source=source, transition=way).variables
    stored = population.stored(variables["tableName"], variables["targetSchema"])
    assert stored is not None
    found = stored[0]
    with connection.cursor() as cursor:
        columns = ", ".join(f'"{name}"' for name, _type in found.sql_columns)
        cursor.execute(f'SELECT {columns} FROM "{found.table}"')
        rows = cursor.fetchall()
    assert variables["recCount"] == str(len(rows))
    names = [each.attribute for each in found.columns]
    return {key: dict(zip(names, values, strict=True)) for key, *values in rows}


@given(rows=people(), nodes=diagrams())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_set_activities_mean_what_the_model_says(db, rows, nodes):
    places = {(node.name, way): (at, number) for at, node in enumerate(nodes)
              for number, (way, _kind) in enumerate(node.ways)}  # fmt: skip
    for node in nodes:
        node.inputs.sort(key=places.__getitem__)
    with transaction.atomic():
        model = Model(*world_of(rows))
        for node in nodes:
            getattr(model, column_name(node.kind))(node)
        workflow = testing.start(testing.make_workflow(activities(nodes, model), keep_results=True))
        assert (workflow.get_state_display(), workflow.failed) == ("finished", False), testing.lines(workflow)
        for (source, way), expected in model.made.items():
            assert carried(workflow, source, way) == expected, (source, way)
        for name, members in model.lists.items():
            found = RcpGrpRel.objects.filter(group__name=name).values_list("recipient_id", flat=True)
            assert set(found) == members, name
        for person in Recipient.objects.filter(text3="written"):
            expected = model.written.pop(person.pk)
            assert person.company == expected.get("company", person.company)
        assert not model.written
        transaction.set_rollback(True)
