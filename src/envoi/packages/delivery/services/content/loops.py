"""Loops over collections: which rows a template reads of each reader, and what of them.

    {% for each in recipient.subscription %}{{ each.service.label }}{% endfor %}
    {% for each in (recipient.subscription|sort(attribute="created", reverse=true))[:3] %}…{% endfor %}

What is sorted and cut off in the template is so in the database; without it the last `MOST` rows are read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST, LIMIT = 100, 1000
"""Rows of a reader that are read when nothing is said, and at most."""
_FOR = re.compile(
    r"\{%-?\s*for\s+(?P<each>\w+)\s+in\s+\(?\s*(?P<path>\w+(?:\.\w+)+)\s*"
    r"(?:\|\s*sort\(\s*attribute\s*=\s*[\"'](?P<by>[\w.]+)[\"']\s*"
    r"(?:,\s*reverse\s*=\s*(?P<down>true|false)\s*)?\)\s*)?\)?\s*(?:\[\s*:\s*(?P<most>\d{1,4})\s*\])?"
    r"[^%]*?-?%\}"
)
_NAMED = re.compile(r"\{%-?\s*for\s+(\w+)\b")
_EDGE = re.compile(r"\{%-?\s*(?P<what>for|endfor)\b")


@dataclass
class Loop:
    """What is read of a collection: `fields` of its rows, the first `most` by `order` (or the last ones)."""

    fields: set[str] = field(default_factory=set[str])
    order: str = ""
    down: bool = False
    most: int = MOST


def of(sources: Mapping[str, str]) -> dict[str, Loop]:
    """Return the loops of templates by the path that they go through."""
    found: dict[str, Loop] = {}
    for source in sources.values():
        inner = set(_NAMED.findall(source))
        for start in _FOR.finditer(source):
            if start["path"].partition(".")[0] in inner:
                continue
            order, down = start["by"] or "", start["down"] == "true"
            most = min(int(start["most"]), LIMIT) if start["most"] else MOST
            known = found.get(start["path"])
            if known is None:
                known = found[start["path"]] = Loop(set(), order, down, most)
            elif (known.order, known.down) != (order, down):
                known.order, known.most = "", max(known.most, most, MOST)
            else:
                known.most = max(known.most, most)
            inside = source[start.end() : _end(source, start.end())]
            used = re.compile(rf"\b{start['each']}\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
            known.fields |= set(used.findall(inside)) | ({order} if order else set())
    return found


def _end(source: str, place: int) -> int:
    depth = 1
    for edge in _EDGE.finditer(source, place):
        depth += 1 if edge["what"] == "for" else -1
        if not depth:
            return edge.start()
    return len(source)
