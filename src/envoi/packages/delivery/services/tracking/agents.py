"""Programs that ask, by what they call themselves: each such text is looked at once (delivery.md §4.5)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection
from ua_parser import Result, parse

from envoi.packages.delivery.models import Automatic, Device
from envoi.packages.delivery.services.tracking.machines import Rules

MOST: Final = 500
"""New texts that are looked at in one batch; hits of others are logged without a program. Each takes a few
milliseconds, and whoever sends hits can invent as many as he likes.
"""
_DESKTOP: Final = frozenset(
    {"Windows", "Mac OS X", "Linux", "Ubuntu", "Chrome OS", "Fedora", "Debian", "FreeBSD"}
)
_PHONE: Final = frozenset({"iPhone", "iPod"})


@dataclass(frozen=True)
class Program:
    """What a text says. Empty where it says nothing."""

    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    device: Device = Device.UNKNOWN


def read(text: str) -> Program:
    """Return what a program says of itself."""
    found = parse(text[:512])
    browser, system = found.user_agent, found.os
    return Program(
        (browser.family if browser else "")[:64],
        ((browser.major if browser else None) or "")[:16],
        (system.family if system else "")[:64],
        ((system.major if system else None) or "")[:16],
        _device(found, text),
    )


def resolve(table: str, rules: Rules, *, now: datetime) -> None:
    """Look at the texts of a table (`name`, `id`, `automatic`) and fill in the other two, in the caller's
    transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT t.name FROM {table} t LEFT JOIN nms_user_agent u ON u.digest = md5(t.name)
                WHERE u.digest IS NULL OR u.rules <> %s ORDER BY t.name LIMIT %s""",  # noqa: S608 ours
            [rules.digest, MOST],
        )
        names = [row[0] for row in cursor.fetchall()]
        if names:
            _keep(names, rules, now)
        cursor.execute(
            f"""UPDATE {table} t SET id = u.user_agent_id, automatic = u.automatic
                FROM nms_user_agent u WHERE u.digest = md5(t.name)"""  # noqa: S608 ours
        )


def _keep(names: Sequence[str], rules: Rules, now: datetime) -> None:
    found = [(read(name), rules.of(name)) for name in names]
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_user_agent (digest, name, browser, browser_version, os, os_version, device,
                 automatic, rules, created_at)
               SELECT *, %s, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                 %s::text[], %s::smallint[], %s::smallint[])
               ON CONFLICT (digest) DO UPDATE SET browser = EXCLUDED.browser,
                 browser_version = EXCLUDED.browser_version, os = EXCLUDED.os,
                 os_version = EXCLUDED.os_version, device = EXCLUDED.device,
                 automatic = EXCLUDED.automatic, rules = EXCLUDED.rules""",
            [
                rules.digest,
                now,
                [hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in names],
                list(names),
                [each.browser for each, _ in found],
                [each.browser_version for each, _ in found],
                [each.os for each, _ in found],
                [each.os_version for each, _ in found],
                [int(Device.MACHINE if made > Automatic.READER else each.device) for each, made in found],
                [int(made) for _, made in found],
            ],
        )


def _device(found: Result, text: str) -> Device:
    family = found.device.family if found.device else ""
    brand = (found.device.brand if found.device else None) or ""
    system = found.os.family if found.os else ""
    if family == "Spider":
        return Device.MACHINE
    if family == "iPad" or "Tablet" in brand or "Tablet" in text or "Kindle" in family:
        return Device.TABLET
    if "TV" in text:
        return Device.TELEVISION
    if family in _PHONE or "Mobile" in text or system in ("iOS", "Windows Phone"):
        return Device.PHONE
    if system == "Android":
        return Device.TABLET
    return Device.DESKTOP if system in _DESKTOP else Device.UNKNOWN
