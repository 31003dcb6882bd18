"""The web tracking tag (delivery.md §4.4): what the pages of a shop tell of their visitors.

    /r/<random>?tagid=<page>[|w or t|<folder>]&jobid=<delivery>&rcpid=<field>=<value>&amount=…&article=…

Nothing of it is signed: it comes from other sites. Each value is cut to the product's 64 letters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

SIZE: Final = 64
_DELIVERY = re.compile(r"[0-9a-fA-F]{1,15}")
_FIELD = re.compile(r"[\w.@:/\[\]-]+=.*", re.S)
_AMOUNT = re.compile(r"-?\d{1,15}(?:[.,]\d{1,6})?")
_ARTICLE = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class WebTag:
    """What a tag says, as far as it makes sense. `delivery` is hexadecimal, 0 when it names none."""

    delivery: str
    said: Mapping[str, object]

    def extra(self, **cookies: str) -> str:
        """Return it as JSON, with what cookies tell beside."""
        return json.dumps({**self.said, **{name: each for name, each in cookies.items() if each}},
                          ensure_ascii=False, separators=(",", ":"))  # fmt: skip


def read(query: str) -> WebTag | None:
    """Return what the query of a tag says, None when it names no page."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, errors="replace")
    except ValueError:
        return None
    given: dict[str, str] = {}
    for name, value in pairs:
        given.setdefault(name, "".join(each for each in value if each.isprintable()).strip()[:SIZE])
    page, _, rest = given.get("tagid", "").partition("|")
    kind, _, folder = rest.partition("|")
    if not page:
        return None
    job = given.get("jobid", "")
    job = job.lower() if _DELIVERY.fullmatch(job) else ""
    said: dict[str, object] = {"tag": page}
    if kind in ("w", "t"):
        said["type"] = kind
    if folder:
        said["folder"] = folder
    if job:
        said["job"] = job
    if _FIELD.fullmatch(given.get("rcpid", "")):
        said["rcpid"] = given["rcpid"]
    if _AMOUNT.fullmatch(given.get("amount", "")):
        said["amount"] = float(given["amount"].replace(",", "."))
    if _ARTICLE.fullmatch(given.get("article", "")):
        said["article"] = int(given["article"])
    return WebTag(job or "0", said)
