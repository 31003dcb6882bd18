"""Texts without what differs from mail to mail, so that equal reasons are equal texts (delivery.md §3.3).

`factorised` is the text that `NmsBroadLogMsg` keeps one row for: addresses become `*`, other variable parts a
token such as `#ID#`. `plain` is what qualification rules are compared with: the same, in lower case and
without codes, since those are looked at apart.
"""

import re
import unicodedata
from hashlib import md5

LENGTH = 4_000
"""Characters of a text that are looked at."""

_TOKENS = re.compile(
    r"""
    (?<![a-z])(?=[\w<"\[!\#$%&'*+/=?^{|}~-])(?:
    (?P<url>\bhttps?://(?P<site>[^\s/<>"'\]),]{1,255})[^\s<>"'\])]{0,500})
    |(?P<address><?(?:"[^"\n@]{1,64}"|[^\s<>()\[\]"',;:@]{1,64})@(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}>?)
    |(?P<code>(?<![\w.])[245]\d\d(?:[ -]+\#?[245]\.\d{1,3}\.\d{1,3}(?![\w.]))?(?![\w.]|:\d)
       |(?<![\w.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\w))
    |(?P<date>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[ ]?[+-]\d{4})?)?
       |\b(?:(?:mon|tue|wed|thu|fri|sat|sun)\w*,?\ )?\d{1,2}[ ]
        (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*[ ]\d{4}
        (?:\ \d\d:\d\d(?::\d\d)?(?:\ [+-]\d{4})?)?
       |\b\d{1,2}:\d\d(?::\d\d)?\b)
    |(?P<ip>(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]\w)
       |(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4}){0,5}(?![\w:]))
    |(?P<domain>(?<![\w.-])(?!(?:resolver|queue|smtpsend|storedrv|routing)\.)(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,12}(?![\w-]|\.\w)\.?)
    |(?P<id>(?<!\w)(?=[\w+/=-]{0,60}\d)[a-z0-9_+/=-]{5,80}(?:\.[a-z0-9_+/=-]{1,40}){0,4}(?!\w))
    |(?P<number>\d+)
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FACTORISED = {
    "url": "#URL#",
    "address": "*",
    "date": "#DATE#",
    "ip": "#IP#",
    "domain": "#DOMAIN#",
    "id": "#ID#",
    "number": "#NUMBER#",
}
_BLANKS = re.compile(r"\s+")
_QUOTES = str.maketrans({**dict.fromkeys("'’‘´`"), "“": '"', "”": '"'})
_RELAYED = re.compile(r"\b[245]\d\d-?\s?'(.+)'", re.DOTALL)


def factorised(text: str) -> str:
    """Return the text that all messages of this kind have in common.

    Reply codes stay, since they are the kind; one that each line of an answer repeats stays once.
    """
    codes: set[str] = set()

    def token(found: re.Match[str]) -> str:
        kind = str(found.lastgroup)
        if kind == "id" and found[0].isdigit():
            return _FACTORISED["number"]  # however long it is
        if kind != "code":
            return _FACTORISED[kind]
        code = found[0].replace("-", " ")
        if code in codes:
            return " "
        codes.add(code)
        return code

    return _BLANKS.sub(" ", _TOKENS.sub(token, text[:LENGTH])).strip()


def key(normalised: str) -> str:
    """Return the key of a factorised text: its MD5, as `NmsBroadLogMsg` has it."""
    return md5(normalised.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def plain(text: str) -> str:
    """Return the text that rules are compared with, with a blank at both ends and without apostrophes."""
    masked = _TOKENS.sub(_bare, unicodedata.normalize("NFKC", text[:LENGTH]).translate(_QUOTES))
    return f" {_BLANKS.sub(' ', masked).strip().lower()} "


def relayed(text: str) -> str:
    """Return what the other server said where a relay quotes it behind words of its own (`550-'…'`)."""
    found = _RELAYED.search(text) if "'" in text else None
    return found[1] if found else text


def _bare(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind == "code":
        return " "
    if kind == "address":
        return "*"
    if kind == "url":
        return f"url:{found['site']}"
    return "#dom" if kind == "domain" else "#"
