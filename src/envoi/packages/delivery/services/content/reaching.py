"""Whether the links of a content lead somewhere: each is asked for once, none of a private network."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.web import opened
from envoi.packages.delivery.services.content import links

MOST, AT_ONCE = 40, 8
_NOT_ASKED_SO = frozenset({403, 405, 501})
"""Answers of servers that do not answer HEAD: nothing is said about the page."""


def addresses(html: str, text: str) -> list[str]:
    """Return the addresses of a content that are the same for everybody, each once."""
    found = [*links.in_html(html), *links.in_text(text)]
    return list(dict.fromkeys(each.address for each in found if "{" not in each.address))


def dead(asked: Sequence[str]) -> list[tuple[str, str]]:
    """Return those of the first `MOST` addresses that do not answer, with the reason."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(_problem, asked[:MOST]))
    return [(address, problem) for address, problem in zip(asked, answers, strict=False) if problem]


def _problem(address: str) -> str:
    try:
        with opened("HEAD", address, headers={}) as answer:
            wrong = answer.status >= 400 and answer.status not in _NOT_ASKED_SO
            return f"{answer.status} {answer.reason}" if wrong else ""
    except Failed as error:
        return str(error)
