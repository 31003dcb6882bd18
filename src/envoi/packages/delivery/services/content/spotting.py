"""Checks that look at the texts of a content alone: links, pictures, words and shape of spam, subject."""

import csv
import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from importlib.resources import files
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.packages.delivery.services.content import contrast, links, plain
from envoi.packages.delivery.services.content.findings import Finding, Weight, line_of

CLIPPED = 102 * 1024
"""Bytes of HTML above which Gmail cuts a message off."""
LONG_SUBJECT = 70
"""Characters of a subject that most programs still show."""
WORDS, MARKS = 2, 3
"""So many words of spam, or exclamation marks in one text, are too many."""
LITTLE_TEXT = 80
"""Characters beside pictures: with less a message is taken for pictures only."""
_IMAGE = re.compile(r"<img\b[^>]*>", re.I)
_ALT = re.compile(r"\balt\s*=", re.I)
_RELATIVE = re.compile(r"\bsrc\s*=\s*[\"'](?!https?:|cid:|data:|//|\{)[^\"']", re.I)
_DATA = re.compile(r"\bsrc\s*=\s*[\"']data:", re.I)
_EMPTY_LINK = re.compile(r"<a\b[^>]*\bhref\s*=\s*[\"']#?[\"']", re.I)
_ANCHOR = re.compile(r"<a\b[^>]*?\bhref\s*=\s*[\"']([^\"']+)[\"'][^>]*>(.*?)</a\s*>", re.I | re.S)
_TAG = re.compile(r"<[^>]+>")
_SHOWN_URL = re.compile(r"^\s*(?:https?://|www\.)\S+\s*$", re.I)
_SCHEME_ONLY = re.compile(r"^https?://\s*(?:\{\{|\{%|<%)", re.I)
_MARK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>", re.S)
_LEAVING = re.compile(r"unsubscribe|d[ée]sinscri|opt-?out", re.I)
_PREHEADER = re.compile(r"preheader|mso-hide|display\s*:\s*none", re.I)


def in_links(html: str) -> Iterator[Finding]:
    """Yield what is wrong with links of HTML."""
    for found in _EMPTY_LINK.finditer(html):
        yield _at(html, found.start(), _("A link leads nowhere"), _("Its address is empty or only a #."))
    for link in links.in_html(html):
        address = link.address
        if _SCHEME_ONLY.match(address):
            text = _(
                "Whoever fills in the field decides where readers are led: write the host, and let only "
                "parameters be personal."
            )
            yield _at(html, link.start, _("The host of a link is personal"), text)
            continue
        if problem := _malformed(address):
            yield _at(html, link.start, _("A link is malformed"), f"{problem}: {address[:120]}")
        elif links.target(link) is None:
            text = _("Only the parameters of an address may be personal: %(link)s") % {"link": address[:120]}
            yield _at(html, link.start, _("A link cannot be tracked"), text)
    for found in _ANCHOR.finditer(html):
        shown = unescape(_TAG.sub("", found[2]))
        if _SHOWN_URL.match(shown) and "{" not in shown:
            text = _(
                "A tracked link leads elsewhere than its text says, and filters take that for phishing: "
                "write words in place of %(link)s."
            )
            yield _at(
                html,
                found.start(),
                _("The text of a link is an address"),
                text % {"link": shown.strip()[:80]},
            )


def in_pictures(html: str) -> Iterator[Finding]:
    """Yield what is wrong with pictures."""
    pictures = list(_IMAGE.finditer(html))
    silent = [each for each in pictures if not _ALT.search(each[0])]
    if silent:
        title = ngettext(
            "%(n)d image has no text alternative", "%(n)d images have no text alternative", len(silent)
        )
        text = _('People who block images see nothing there: add alt="…", empty for decoration.')
        yield _at(html, silent[0].start(), title % {"n": len(silent)}, text)
    if local := [each for each in pictures if _RELATIVE.search(each[0])]:
        title = ngettext(
            "%(n)d image has no complete address", "%(n)d images have no complete address", len(local)
        )
        text = _("A mail program cannot find it: write it with https:// and the host.")
        yield _at(html, local[0].start(), title % {"n": len(local)}, text)
    if inside := [each for each in pictures if _DATA.search(each[0])]:
        text = _("Most mail programs do not show it, and it counts for the size: put it among the pictures.")
        yield _at(html, inside[0].start(), _("A picture stands in the HTML itself"), text)
    words = plain.of_html(_MARK.sub("x", html))
    if pictures and len(words.strip()) < LITTLE_TEXT:
        text = _("Filters distrust pictures without words, and whoever blocks them sees nothing.")
        yield _at(html, pictures[0].start(), _("The message is pictures only"), text)


def in_colours(html: str) -> Iterator[Finding]:
    """Yield what is hard to read."""
    found = contrast.weak(html)
    if found:
        first = found[0]
        title = ngettext(
            "%(n)d text has too little contrast", "%(n)d texts have too little contrast", len(found)
        ) % {"n": len(found)}
        text = _("“%(text)s” has %(ratio)s : 1, and 4.5 is needed (3 where it is large).") % {
            "text": first.text, "ratio": f"{first.ratio:.1f}",
        }  # fmt: skip
        yield Finding(Weight.LOOK, title, text, "html", first.line)


def in_words(subject: str, html: str, text: str) -> Iterator[Finding]:
    """Yield what looks like spam, in words and in shape."""
    bare = _MARK.sub(" ", subject)
    body = plain.of_html(_MARK.sub(" ", html)) if html.strip() else _MARK.sub(" ", text)
    said = f"{bare}\n{body}".lower()
    words = [word for word in spam_words() if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said)]
    if len(words) >= WORDS:
        yield Finding(
            Weight.LOOK,
            _("Words that filters look for"),
            _("Say it in other words: %(words)s.") % {"words": ", ".join(words[:8])},
        )
    letters = [each for each in bare if each.isalpha()]
    if len(letters) > 8 and sum(each.isupper() for each in letters) > 0.7 * len(letters):
        yield Finding(
            Weight.LOOK,
            _("The subject is in capitals"),
            _("Filters and readers take it for shouting."),
            "subject",
            1,
        )
    if bare.count("!") > 1 or body.count("!") > MARKS * 2 or "!!!" in said:
        yield Finding(Weight.LOOK, _("There are many exclamation marks"), _("One is enough."), "subject", 1)


def in_subject(subject: str, html: str) -> Iterator[Finding]:
    """Yield what is wrong with the subject and what stands beside it in a list of mails."""
    bare = _MARK.sub("x" * 6, subject)
    if len(bare) > LONG_SUBJECT:
        text = _("It has about %(n)d characters; what is beyond %(most)d is often cut off.")
        yield Finding(
            Weight.LOOK, _("The subject is long"), text % {"n": len(bare), "most": LONG_SUBJECT}, "subject", 1
        )
    if html.strip() and not _PREHEADER.search(html[:6000]):
        text = _(
            "Programs show the first words of the message beside the subject: begin with a hidden line that "
            "says more."
        )
        yield Finding(Weight.LOOK, _("There is no preheader"), text, "html", 1)


def in_parts(html: str, text: str, size: int) -> Iterator[Finding]:
    """Yield what is missing or too much."""
    if size > CLIPPED:
        said = _("Gmail cuts a message off after 102 KB; this one has %(size)d KB.") % {"size": size // 1024}
        yield Finding(Weight.LOOK, _("The HTML is long"), said, "html")
    if html.strip() and not text.strip():
        said = _("Readers without HTML see nothing, and filters distrust such mail. Make one of it.")
        yield Finding(Weight.LOOK, _("There is no text part"), said, "text")
    named = [("html", _("HTML content"), html), ("text", _("Text content"), text)]
    without = [label for _part, label, source in named if source.strip() and not _LEAVING.search(source)]
    if without:
        said = _("Put the block “Unsubscription link” into: %(parts)s.") % {"parts": ", ".join(without)}
        yield Finding(Weight.LOOK, _("No way to unsubscribe"), said)
    else:
        yield Finding(Weight.GOOD, _("There is a way to unsubscribe"))
    for link in links.in_text(text):
        if _SCHEME_ONLY.match(link.address) or links.target(link) is None:
            said = _("Only the parameters of an address may be personal: %(link)s") % {
                "link": link.address[:120]
            }
            yield Finding(
                Weight.LOOK,
                _("A link of the text cannot be tracked"),
                said,
                "text",
                line_of(text, link.start),
            )


@cache
def spam_words() -> tuple[str, ...]:
    """Return the words and phrases that are looked for, in small letters."""
    text = (files("envoi.packages.delivery") / "data" / "spam_words.tsv").read_text(encoding="utf-8")
    return tuple(dict.fromkeys(row[1] for row in csv.reader(text.splitlines(), delimiter="\t")))


def _malformed(address: str) -> str:
    fixed = _MARK.sub("x", address)
    if re.search(r"\s", fixed):
        return _("it has a blank")
    try:
        parts = urlsplit(fixed)
        host = parts.hostname or ""
        _port = parts.port
    except ValueError:
        return _("it cannot be read")
    if not host or ("." not in host and host != "localhost") or ".." in host:
        return _("its host is none")
    if fixed.count("://") > 1 and "?" not in fixed.split("://", 2)[1]:
        return _("it holds two addresses")
    return ""


def _at(html: str, place: int, title: str, text: str) -> Finding:
    return Finding(Weight.LOOK, title, text, "html", line_of(html, place))
