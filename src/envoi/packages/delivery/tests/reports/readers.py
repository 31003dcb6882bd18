"""A delivery that was sent for a test, and readers who open and click at random; what they do is known in
plain Python.
"""

import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from envoi.kernel import clock
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, Device, TrackingStats, TrackingUrl, UrlType, UserAgent
from envoi.packages.delivery.services import analysis, log_tables
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.testing import make_delivery

HTML = """<html><body><p>Dear {{ recipient.firstName }},</p>
<p><a href="https://shop.example/coats" title="Coats">Coats</a> and
<a href="https://shop.example/shoes"><img src="https://shop.example/shoes.png" alt="Shoes"></a></p>
<!--[if mso]><a href="https://shop.example/outlook">x</a><![endif]-->
<p><a href="https://shop.example/sale?who={{ recipient.email|urlencode }}">Sale</a></p>
<p><a href="{{ message.mirrorUrl }}">Read it on the web</a> <a href="{{ message.unsubscribeUrl
}}">Leave</a></p> </body></html>"""
DOMAINS = ("gmail.com", "hotmail.fr", "free.fr", "shop.example")


@dataclass(frozen=True)
class Hit:
    """One hit: whose message, on what, when, by which browser."""

    message: int
    provider: str
    url: int
    type: int
    at: datetime
    source: uuid.UUID | None = None
    agent: int | None = None
    automatic: int = 0
    flags: int = 0

    @property
    def counts(self) -> bool:
        """A reader did it, on a message that counts."""
        return self.automatic <= 0 and not self.flags & 3


@dataclass
class Sent:
    """A delivery, its messages (number -> domain), its links (address or type -> number), and hits."""

    delivery: Delivery
    messages: dict[int, str] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)


def sent(**values: Any) -> Sent:
    """Analyse a delivery to everybody and let all its messages arrive; needs an address for readers."""
    given = {"html_source": HTML, "text_source": "Read https://shop.example/coats", **values}
    delivery = make_delivery(**given)
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    made = Sent(delivery)
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_broad_log_rcp SET status = 1, event_date = %s,
                 address = 'p' || id || '@' || (%s::text[])[1 + mod(id, %s)]
               WHERE run_id = %s AND status = 6 RETURNING id, split_part(address, '@', 2)""",
            [clock.now(), list(DOMAINS), len(DOMAINS), run.pk],
        )
        made.messages = dict(cursor.fetchall())
    count = len(made.messages)
    Delivery.objects.filter(pk=delivery.pk).update(
        state=95, success=count, processed=count, error=0, to_deliver=count, broad_start=clock.now(),
        validity=clock.now() + timedelta(days=5),
    )  # fmt: skip
    delivery.refresh_from_db()
    for each in TrackingUrl.objects.filter(delivery=delivery):
        made.links[each.url or UrlType(each.type).name] = each.pk
    made.links["OPEN"] = tags.OPEN
    return made


def read(made: Sent, seed: int, *, hours: int = 60, most: int = 6) -> list[Hit]:
    """Let readers open and click at random; returns what they did, nothing of it written yet."""
    drawn = random.Random(seed)
    own = {number: name for name, number in made.links.items()}
    kinds = {each.pk: each.type for each in TrackingUrl.objects.filter(pk__in=own)}
    agents = [each.pk for each in programs()]
    found: list[Hit] = []
    for number, domain in made.messages.items():
        if drawn.random() < 0.4:
            continue
        browser = uuid.UUID(int=drawn.getrandbits(128))
        at = clock.now() + timedelta(seconds=drawn.randrange(3600 * hours))
        agent = drawn.choice([*agents, None])
        flags = drawn.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
        maker = drawn.choice((0, 0, 0, 0, -1, -2))
        found.append(Hit(number, domain, tags.OPEN, int(UrlType.OPEN), at, None, agent, maker, flags))
        for _ in range(drawn.randrange(most)):
            url = drawn.choice(sorted(own))
            at += timedelta(seconds=drawn.randrange(90, 5000))
            maker = drawn.choice((0, 0, 0, 0, 0, 0, 2, 5))
            found.append(Hit(number, domain, url, kinds[url], at, browser, agent, maker, flags))
    return found


def write(made: Sent, hits: list[Hit]) -> None:
    """Put hits into the tracking log as they are, and those that count into slices of five minutes."""
    run = made.delivery.run_id or 0
    table = log_tables.partition("tracking_log", "rcp", run)
    ids = list(reserve_ids(len(hits)))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""INSERT INTO {table} (id, target_id, run_id, broad_log_id, delivery_id, url_id, type, log_date,
                  source_id, user_agent_id, automatic, flags)
                SELECT %s, target_id, run_id, id, delivery_id, %s, %s, %s, %s, %s, %s, %s
                FROM nms_broad_log_rcp
                WHERE run_id = %s AND id = %s""",
            [
                (
                    number,
                    hit.url,
                    hit.type,
                    hit.at,
                    hit.source,
                    hit.agent,
                    hit.automatic,
                    hit.flags,
                    run,
                    hit.message,
                )
                for number, hit in zip(ids, hits, strict=True)
            ],
        )
    made.hits += hits
    slices = Counter(
        (hit.url, hit.at.replace(minute=hit.at.minute // 5 * 5, second=0, microsecond=0))
        for hit in hits
        if hit.counts
    )
    TrackingStats.objects.bulk_create(
        TrackingStats(delivery_id=made.delivery.pk, url_id=url, start=start, total_clicks=count)
        for (url, start), count in slices.items()
    )


def programs() -> list[UserAgent]:
    """Return some programs that people read with."""
    known = (
        ("Chrome", "118", "Windows", "10", Device.DESKTOP),
        ("Chrome", "119", "Android", "14", Device.PHONE),
        ("Safari", "17", "iOS", "17", Device.PHONE),
        ("Firefox", "120", "Linux", "", Device.DESKTOP),
    )
    return [
        UserAgent.objects.get_or_create(
            digest=f"{at:032x}",
            defaults={
                "name": browser, "browser": browser, "browser_version": version, "os": system,
                "os_version": of_it, "device": device, "created_at": clock.now(),
            },
        )[0]
        for at, (browser, version, system, of_it, device) in enumerate(known)
    ]  # fmt: skip
