"""Factories for tests of delivery and of others."""

from typing import Any

from django.db import connection

from envoi.engine import worktable
from envoi.engine.definition import Activity
from envoi.engine.models import State, Workflow
from envoi.engine.testing import chain, make_workflow, start
from envoi.kernel import clock
from envoi.kernel.big_tables import Ids, reserve_ids
from envoi.kernel.models import Folder
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import make_operator
from envoi.packages.delivery.models import Service


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Marie Camille Léa Florian Henry John Aïcha Noémie Paul Inès Lucas Hugo Emma Chloé Jules Anna Björn Åsa "
    "Erik Ingrid 민준 서연 Wei Mei Giulia Marco Sofía Javier Olga Piotr Zoë Siobhán Mohamed Fatima Yuki "
    "Haruto Nguyễn Priya Arjun Aleksander"
)
LAST_NAMES = _words(
    "Martin Bernard Dubois Durand Leroy Moreau Simon Laurent Lefèvre Michel García Roux David Bertrand "
    "Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Müller Faure Andersson Johansson "
    "Lindqvist Kim Park Chen Wang Rossi Ferrari O’Brien Nowak Smith Jones Khan Silva"
)
# City, postcode without its last two digits, country, prefix of mobiles and how many digits follow it.
PLACES = (
    ("Paris", "750", "FR", "+336", 8),
    ("Lyon", "690", "FR", "+336", 8),
    ("Marseille", "130", "FR", "+337", 8),
    ("Lille", "590", "FR", "+336", 8),
    ("Nantes", "440", "FR", "+337", 8),
    ("Berlin", "101", "DE", "+4915", 9),
    ("München", "803", "DE", "+4917", 8),
    ("London", "SW1", "GB", "+447", 9),
    ("Madrid", "280", "ES", "+346", 8),
    ("Milano", "201", "IT", "+3934", 8),
    ("Stockholm", "111", "SE", "+467", 8),
    ("New York", "100", "US", "+1917", 7),
    ("Seoul", "045", "KR", "+8210", 8),
)
DOMAINS = (
    *("gmail.com",) * 6,
    *("hotmail.com",) * 3,
    *("orange.fr",) * 2,
    "yahoo.com",
    "free.fr",
    "aol.com",
    "icloud.com",
    "example.org",
    "laposte.net",
    "shop.example",
)
ORIGINS = ("form", "shop", "import", "event", "partner")
COMPANIES = ("", "", "", "", "", "Acme", "Globex", "Initech", "Umbrella", "Hooli")


def make_recipients(
    count: int, *, folder: Folder | str = "recipients", seed: int = 0, start: int = 1, **columns: Any
) -> Ids:
    """Make recipients by one statement, the same for the same `seed` and `start`; a million takes seconds.

    Names, places, phone numbers, domains and birth dates vary with uneven frequencies; row `n` has the
    address `p<n>@…` and the account `C<n>`, numbered from `start`, so that addresses differ between rows.
    About one in twenty has no e-mail address, one in twenty refuses all contact. `columns` sets columns to
    one value for every row. Returns the ids in the order of the numbers.
    """
    where = Folder.objects.get(name=folder) if isinstance(folder, str) else folder
    now = clock.now()
    ids = reserve_ids(count)
    number, blocks = ids.in_block("n")

    def pick(values: tuple[Any, ...], salt: int, kind: str = "text") -> tuple[str, list[Any]]:
        # The lesser of two draws: the first values are the frequent ones.
        sql = f"(%s::{kind}[])[1 + least(mod(hash_{salt}, %s), mod(hash_{salt} / 8191, %s))::int]"
        return sql, [list(values), len(values), len(values)]

    def evenly(values: tuple[Any, ...], salt: int) -> tuple[str, list[Any]]:
        return f"(%s::text[])[1 + mod(hash_{salt}, %s)::int]", [list(values), len(values)]

    place = "place"
    chosen: dict[str, tuple[str, list[Any]]] = {
        "recipient_id": (number, blocks),
        "folder_id": ("%s::bigint", [where.folder_id]),
        "first_name": ("first_name", []),
        "last_name": ("last_name", []),
        "salutation": ("(ARRAY['', 'Mr', 'Ms'])[1 + mod(hash_3, 3)::int]", []),
        "gender": ("mod(hash_3, 3)::smallint", []),
        "company": evenly(COMPANIES, 4),
        "birth_date": ("%s::date - (18 * 365 + mod(hash_5, 62 * 365)::int)", [now.date()]),
        "language": (
            f"CASE WHEN (%s::text[])[{place}] = 'FR' THEN 'fr' WHEN (%s::text[])[{place}] = 'SE' THEN 'sv'"
            f" WHEN (%s::text[])[{place}] = 'KR' THEN 'ko' ELSE 'en' END",
            [[each[2] for each in PLACES]] * 3,
        ),
        "email": (
            "CASE WHEN mod(hash_6, 20) = 0 THEN '' ELSE 'p' || (n + %s) || '@' || domain END",
            [start - 1],
        ),
        "email_format": ("(ARRAY[0, 0, 0, 2, 2, 1])[1 + mod(hash_7, 6)::int]::smallint", []),
        "mobile_phone": (
            f"CASE WHEN mod(hash_8, 3) = 0 THEN '' ELSE (%s::text[])[{place}]"
            f" || lpad(mod(hash_9, 10000000)::text, (%s::int[])[{place}], '4') END",
            [[each[3] for each in PLACES], [each[4] for each in PLACES]],
        ),
        "address1": ("(1 + mod(hash_10, 199)) || ' rue de la Paix'", []),
        "zip_code": (
            f"(%s::text[])[{place}] || lpad(mod(hash_11, 100)::text, 2, '0')",
            [[each[1] for each in PLACES]],
        ),
        "city": (f"(%s::text[])[{place}]", [[each[0] for each in PLACES]]),
        "country_code": (f"(%s::text[])[{place}]", [[each[2] for each in PLACES]]),
        "account": ("'C' || (n + %s)", [start - 1]),
        "black_list": ("(mod(hash_12, 20) = 0)::int::smallint", []),
        "black_list_email": ("(mod(hash_13, 50) = 0)::int::smallint", []),
        "origin": evenly(ORIGINS, 14),
        "created_at": ("%s::timestamptz - (mod(hash_15, 1000 * 86400)) * interval '1 second'", [now]),
        "modified_at": ("%s::timestamptz - (mod(hash_15, 30 * 86400)) * interval '1 second'", [now]),
        **{name: ("%s", [value]) for name, value in columns.items()},
    }
    first, last = pick(FIRST_NAMES, 1), pick(LAST_NAMES, 2)
    domain = evenly(DOMAINS, 16)
    quote = connection.ops.quote_name
    hashes = ", ".join(
        f"(hashint8extended(n + %s, {salt}) & 4611686018427387903) AS hash_{salt}" for salt in range(1, 18)
    )
    statement = f"""INSERT INTO nms_recipient ({", ".join(map(quote, chosen))})
        SELECT {", ".join(sql for sql, _ in chosen.values())}
        FROM (SELECT *, {first[0]} AS first_name, {last[0]} AS last_name, {domain[0]} AS domain,
                1 + least(mod(hash_17, %s), mod(hash_17 / 8191, %s))::int AS place
              FROM (SELECT n, {hashes} FROM generate_series(1, %s) AS n) AS drawn) AS person"""  # noqa: S608
    salted = seed * 1_000_003 + start - 1
    params = [
        *(value for _, values in chosen.values() for value in values),
        *first[1], *last[1], *domain[1], len(PLACES), len(PLACES),
        *[salted] * 17, count,
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
    return ids


def make_service(name: str, *, folder: Folder | str = "services", **columns: Any) -> Service:
    """Make a service without a limit, or as `columns` say."""
    where = Folder.objects.get(name=folder) if isinstance(folder, str) else folder
    now = clock.now()
    given = {"label": name.capitalize(), "created_at": now, "modified_at": now, **columns}
    return Service.objects.create(name=name, folder=where, **given)


def make_paused_workflow(name: str = "WKF_spring", **properties: Any) -> Workflow:
    """Make a workflow that has paused before its last activity and holds a work table.

    Its creator is an operator of its own, `creator-<name>`, who has an address.
    """
    creator = make_operator(f"creator-{name}", rights=(Right.ADMINISTRATION,), email="creator@example.org")
    diagram = chain(Activity("start", "start"), Activity("end", "last", execution="hold"))
    found = start(make_workflow(diagram, name=name, actor=actor_of(creator), **properties))
    if found.state != State.PAUSED:
        raise AssertionError(f"{name} is {State(found.state).label}, not paused")
    worktable.create(found.pk, found.run_number, [worktable.Column("id", "bigint")], "id")
    return found
