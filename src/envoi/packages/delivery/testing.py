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


CONTENT = {
    "subject": "News",
    "from_name": "Shop",
    "from_address": "news@shop.example",
    "text_source": "Good morning.\nTo leave: https://shop.example/unsubscribe\n",
}
"""Content of an e-mail about which an analysis says nothing."""


def make_delivery(targeting: Any = None, *, template: str = "mail", **values: Any) -> Any:
    """Make a delivery of a template, to everybody unless `targeting` says to whom.

    `values` are those of `deliveries.create`; what they do not say of the content is as in `CONTENT`.
    """
    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.services import deliveries

    actor = admin_actor()
    said = {"filter": "@id > 0"} if targeting is None else targeting
    found = deliveries.find(template, actor=actor)
    given: dict[str, Any] = CONTENT | values
    return deliveries.create(found, actor=actor, targeting=said, **given)


SERVERS_SAY = (
    ("550 5.1.1 The account does not exist", 3, 1, "gmail.com"),
    ("552 5.2.2 Mailbox full", 2, 5, "orange.fr"),
    ("554 5.7.1 Message refused: it looks like spam", 2, 20, "yahoo.com"),
    ("451 4.4.1 No answer from host", 2, 3, ""),
)
"""What servers say of messages that fail: text, failure type, reason, the domain it is typical of."""


def make_sent(
    recipients: Ids,
    *,
    label: str = "Early access",
    state: int = 55,
    sent: float = 0.6,
    failed: float = 0.02,
    excluded: int = 0,
    minutes: int = 60,
    folder: Folder | str = "deliveries",
    **columns: Any,
) -> Any:
    """Make a delivery by e-mail to recipients as it is after a while of sending; returns it.

    Of the messages `sent` have gone and `failed` have failed (shares), in the last `minutes`; the rest waits.
    `excluded` of the recipients, the last ones, are left out. Throughput and indicators agree with the log.
    """
    from datetime import timedelta

    from envoi.kernel.testing import admin_actor
    from envoi.packages.delivery.models import BroadLogMsg, Delivery, DeliveryRun, DlvExclusion, JobLog
    from envoi.packages.delivery.services import deliveries, log_tables

    where = Folder.objects.get(name=folder) if isinstance(folder, str) else folder
    actor, now = admin_actor(), clock.now()
    begin = now - timedelta(minutes=minutes)
    made = deliveries.create(
        deliveries.find("mail", actor=actor),
        actor=actor,
        label=label,
        folder=where,
        targeting={"filter": "@id > 0"},
    )
    ids = list(recipients)
    run = DeliveryRun.objects.create(
        delivery=made, storage="rcp", step=10, batch_quantity=256, started_at=begin - timedelta(minutes=9),
        ended_at=begin - timedelta(minutes=6), counts={"total": len(ids), "deliver": len(ids) - excluded},
    )  # fmt: skip
    said: list[int] = []
    for at, (text, kind, reason, _domain) in enumerate(SERVERS_SAY):
        fields: dict[str, Any] = {
            "text": text, "first_text": text, "failure_type": kind, "failure_reason": reason,
            "qualification": 1, "modified_at": now,
        }  # fmt: skip
        said.append(BroadLogMsg.objects.get_or_create(md5=f"{at:032x}", defaults=fields)[0].pk)
    into = log_tables.partition("broad_log", "rcp", run.pk)
    number, blocks = reserve_ids(len(ids)).in_block("n")
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {quote(into)} (id, target_id, run_id, delivery_id, address, status,
                  failure_reason, msg_id, event_date, modified_at)
                SELECT {number}, recipient_id, %s, %s, email, status,
                  CASE status WHEN 2 THEN (%s::int[])[1 + why] WHEN 0 THEN 8 + mod(n, 3) ELSE 0 END,
                  CASE WHEN status = 2 THEN (%s::bigint[])[1 + why] ELSE 0 END,
                  CASE WHEN status IN (1, 2) THEN %s::timestamptz + %s * interval '1 minute' * happens END,
                  %s
                FROM (SELECT *, CASE WHEN n > %s THEN 0 WHEN drawn < %s THEN 2 WHEN drawn < %s THEN 1
                          ELSE 6 END AS status,
                        CASE WHEN email LIKE %s THEN mod(n, 10) / 8 WHEN email LIKE %s THEN 1 + mod(n, 7) / 6
                             WHEN email LIKE %s THEN 2 ELSE 3 * mod(n, 2) END AS why
                      FROM (SELECT recipient_id, CASE WHEN email = '' THEN 'c' || recipient_id || '@aol.com'
                                ELSE email END AS email, row_number() OVER (ORDER BY recipient_id) AS n,
                              (hashint8extended(recipient_id, 7) & 1048575) / 1048576.0 AS drawn,
                              (hashint8extended(recipient_id, 8) & 1048575) / 1048576.0 AS happens
                            FROM nms_recipient WHERE recipient_id = ANY(%s)) AS few) AS person""",  # noqa: S608 quoted
            [
                *blocks, run.pk, made.pk, [each[2] for each in SERVERS_SAY], said,
                begin, minutes, now,
                len(ids) - excluded, failed, sent + failed, "%@gmail.com", "%@orange.fr", "%@yahoo.com", ids,
            ],
        )  # fmt: skip
        cursor.execute(
            f"""INSERT INTO nms_delivery_stat
                  (delivery_id, slice, mx, public_id, domain, sent, failed, deferred, bytes)
                SELECT delivery_id, date_bin('5 minutes', event_date, '2000-01-01Z'),
                  'mx1.' || split_part(address, '@', 2), 1, split_part(address, '@', 2),
                  count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 2), count(*) / 20,
                  18000 * count(*) FILTER (WHERE status = 1)
                FROM {quote(into)} WHERE run_id = %s AND event_date IS NOT NULL GROUP BY 1, 2, 3, 5""",  # noqa: S608
            [run.pk],
        )
        cursor.execute(
            f"""SELECT count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 2), min(id),
                  count(*) FILTER (WHERE status = 6) FROM {quote(into)} WHERE run_id = %s""",  # noqa: S608 quoted
            [run.pk],
        )
        success, error, first, pending = cursor.fetchone() or (0, 0, 0, 0)
        cursor.execute(
            f"""INSERT INTO nms_dlv_exclusion (delivery_id, run_id, failure_reason, rule, count)
                SELECT delivery_id, run_id, failure_reason, '', count(*) FROM {quote(into)}
                WHERE run_id = %s AND status = 0 GROUP BY 1, 2, 3""",  # noqa: S608 quoted
            [run.pk],
        )
        if pending:
            cursor.execute(
                """INSERT INTO nms_delivery_part (delivery_id, run_id, first_id, last_id, quantity)
                   VALUES (%s, %s, %s, %s, %s)""",
                [made.pk, run.pk, first, first + len(ids), pending],
            )
    JobLog.objects.filter(delivery=made).update(at=begin - timedelta(minutes=30))
    for code, at in (
        ("analysis", run.started_at),
        ("ready", run.ended_at),
        ("confirmed", begin - timedelta(minutes=2)),
    ):
        JobLog.objects.create(
            delivery=made,
            run=run,
            code=code,
            at=at,
            operator_name="sofia",
            detail={"count": len(ids) - excluded},
        )
    for each in DlvExclusion.objects.filter(run=run):
        detail = {"count": each.count, "reason": each.failure_reason}
        JobLog.objects.create(delivery=made, run=run, code="excluded", at=run.ended_at, detail=detail)
    Delivery.objects.filter(pk=made.pk).update(
        state=state, run_id=run.pk, total_target=len(ids), reject=excluded, to_deliver=len(ids) - excluded,
        success=success, error=error, processed=success + error, new_quarantine=error // 3, broad_start=begin,
        contact_date=begin, validity=begin + timedelta(days=5), modified_at=now,
        created_at=begin - timedelta(minutes=30), **columns,
    )  # fmt: skip
    made.refresh_from_db()
    return made


AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0"
    " Safari/537.36"
)
"""What the browser of a reader calls itself."""


def make_hits(*hits: dict[str, Any]) -> list[int]:
    """Put hits into the inbox, as they come from `track`; returns their log ids.

    Keys are columns of the inbox: `broad_log_id`, `delivery_id`, `url_id`, `received_at` (now), `source_id`,
    `user_agent` (`AGENT`), `address`, `kind` (0), `extra`. An id may be given, else one is made.
    """
    from envoi.packages.delivery.models import TrackingInbox

    ids = [
        hit.get("tracking_inbox_id") or number
        for hit, number in zip(hits, reserve_ids(len(hits)), strict=True)
    ]
    rows = [
        TrackingInbox(
            **{"received_at": clock.now(), "kind": 0, "user_agent": AGENT, "address": "192.0.2.7", **hit}
            | {"tracking_inbox_id": number, "segment": "test"}
        )
        for hit, number in zip(hits, ids, strict=True)
    ]
    TrackingInbox.objects.bulk_create(rows)
    return ids
