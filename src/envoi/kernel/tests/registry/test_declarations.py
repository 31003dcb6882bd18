import pytest
from django.apps import apps
from django.db import connection, models

from envoi.kernel import registry
from envoi.kernel.big_tables import BIG_TABLES
from envoi.kernel.errors import Broken, NotFound
from envoi.kernel.registry import Computed, Declaration, Incoming, Type

SCHEMAS = sorted(registry.current().schemas)


def test_the_names_are_those_of_the_tables() -> None:
    for schema in registry.current():
        namespace, _, local = schema.name.partition(":")
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in local)
        assert schema.table == f"{namespace}_{snake}"


def leads_an_index(schema: registry.Schema) -> bool:
    """Return whether an index begins with the key, or with the run that a table is cut by and the key."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT 1 FROM pg_index i LEFT JOIN pg_partitioned_table p ON p.partrelid = i.indrelid
               JOIN pg_attribute a ON a.attrelid = i.indrelid
                 AND (a.attnum = i.indkey[0] OR (i.indkey[0] = p.partattrs[0] AND a.attnum = i.indkey[1]))
               WHERE i.indrelid = %s::regclass AND a.attname = %s AND i.indpred IS NULL""",
            [schema.table, *schema.key],
        )
        return cursor.fetchone() is not None


@pytest.mark.django_db
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_its_table(name: str) -> None:
    """Column by column: each attribute stands in the database with its type, and whether it may be empty."""
    schema = registry.find(name)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT column_name, data_type, character_maximum_length FROM information_schema.columns
               WHERE table_schema = current_schema() AND table_name = %s""",
            [schema.table],
        )
        real = {column: (kind, length) for column, kind, length in cursor.fetchall()}
        cursor.execute(
            """SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
               WHERE indrelid = %s::regclass AND indisprimary""",
            [schema.table],
        )
        key = tuple(column for (column,) in cursor.fetchall())
    # The key of a big table holds what it is distributed by; its id is unique by the way ids are handed out.
    assert schema.key == key or (schema.table in BIG_TABLES and leads_an_index(schema))
    declared = {a.column: (a.type.sql, a.length) for a in schema.attributes.values() if a.column}
    assert {column: real.get(column) for column in declared} == declared
    model = next(m for m in apps.get_models() if m._meta.db_table == schema.table)
    left = set(real) - set(declared)
    assert left == {model._meta.get_field(n).column for n in vars(model)["SCHEMA"].private}


def test_links_are_closed_and_lead_back() -> None:
    for schema in registry.current():
        for link in schema.links.values():
            target = registry.find(link.target)
            for own, theirs in link.join:
                assert schema.attribute_of(own) is not None, (schema.name, link.name)
                assert target.attribute_of(theirs) is not None, (schema.name, link.name)
            if link.reverse:
                back = target.links[link.reverse]
                assert (back.target, back.reverse) == (schema.name, link.name)
                assert back.join == tuple((b, a) for a, b in link.join)


def test_a_workflow_is_described_as_clients_know_it() -> None:
    schema = registry.find("xtk:workflow")
    assert schema.key == ("workflow_id",)
    assert schema.attributes["id"].type is Type.INT64
    assert schema.attributes["internalName"].length == 128
    assert schema.attributes["internalName"].label == "Internal name"
    assert schema.attributes["folder-id"].xpath == "[@folder-id]"
    state = schema.attributes["state"].enumeration
    assert state is not None
    assert state.name == "state"
    assert [(v.value, v.name) for v in state.values][:3] == [
        (0, "editing"),
        (10, "starting"),
        (11, "started"),
    ]
    assert schema.links["folder"].target == "xtk:folder"
    assert schema.links["task"].collection
    assert schema.keys["internalName"] == ("internalName",)
    assert schema.folder == ("folder",)


def test_every_entity_has_a_declaration_or_says_why_not() -> None:
    silent = [
        model.__name__
        for model in apps.get_models()
        if model.__module__.startswith("envoi.") and "SCHEMA" not in vars(model) and model._meta.managed
    ]
    reasons = {name: getattr(apps_model(name), "NO_SCHEMA", "") for name in silent}
    assert [name for name, reason in reasons.items() if len(reason) < 20] == []


def apps_model(name: str) -> type[models.Model]:
    return next(model for model in apps.get_models() if model.__name__ == name)


def test_no_schema_shows_a_secret() -> None:
    found = {f"{s.name} {a.column}" for s in registry.current() for a in s.attributes.values()}
    assert not {each for each in found if "password" in each or "payload" in each or "lease_token" in each}


def test_an_unknown_schema_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="Did you mean xtk:workflow"):
        registry.find("xtk:worflow")
    assert "xtk:workflow" in registry.current()


def model(label: str, named: str, declaration: Declaration, **fields: object) -> type[models.Model]:
    """Make a model that no application owns."""
    meta = type("Meta", (), {"app_label": label, "db_table": declaration.name.replace(":", "_").lower()})
    body = {"__module__": f"tests.{label}", "Meta": meta, "SCHEMA": declaration, **fields}
    return type(named, (models.Model,), body)


@pytest.fixture
def apart():
    """Forget the models that a test makes."""
    before = set(apps.all_models)
    yield
    for label in set(apps.all_models) - before:
        del apps.all_models[label]
    apps.clear_cache()


def things(**more: object) -> Declaration:
    return Declaration("tst:thing", label="Things", singular="Thing", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("declaration", "said"),
    [
        (things(labels={"nmae": "Name"}), "speaks of 'nmae'"),
        (things(folder="folder"), "no link 'folder'"),
        (things(reading="ADMIN"), "no named right 'ADMIN'"),
        (things(computed={"name": Computed(Type.STRING, "@id")}), "computed @name is a field"),
        (Declaration("thing", label="Things", singular="Thing"), "no schema name"),
        (things(incoming=(Incoming("tst:thing", "owner", "owner_id"),)), "no column 'owner_id'"),
    ],
)
@pytest.mark.usefixtures("apart")
def test_a_wrong_declaration_is_refused_with_its_place(declaration: Declaration, said: str) -> None:
    made = model("tstwrong", "Thing", declaration, name=models.CharField(max_length=10))
    with pytest.raises(Broken, match=said) as refused:
        registry.build([made])
    assert "tests.tstwrong.Thing" in str(refused.value)


@pytest.mark.usefixtures("apart")
def test_a_link_to_a_package_that_is_not_installed_is_absent_and_comes_with_it() -> None:
    below = model(
        "tstbelow",
        "Mailing",
        Declaration("tst:mailing", label="Mailings", singular="Mailing"),
        operation_id=models.BigIntegerField(null=True),
    )
    above = model(
        "tstabove",
        "Operation",
        Declaration(
            "tst:operation",
            label="Operations",
            singular="Operation",
            incoming=(Incoming("tst:mailing", "operation", "operation_id", "mailing"),),
        ),
    )
    alone = registry.build([below])
    assert alone["tst:mailing"].links == {}
    both = registry.build([below, above])
    assert both["tst:mailing"].links["operation"].target == "tst:operation"
    assert both["tst:operation"].links["mailing"].collection
    assert registry.build([above])["tst:operation"].links == {}
