"""MJML of the visual editor: kept in one form, and compiled to HTML on the server (delivery.md §2.9).

Marks of templates pass through the compiler as words of their own, so that nothing of them is read as MJML,
in text and in attributes. In MJML that is kept their `<`, `>`, `&` and quotation marks are entities: it is
XML, whatever a mark says. Two attributes are our own:

    <mj-section envoi-if="recipient.age &gt; 18">                  {% if recipient.age > 18 %} … {% endif %}
    <mj-section envoi-each="purchase in recipient.purchases">      {% for purchase in … %} … {% endfor %}
"""

import io
import re
from html import escape, unescape
from html.entities import html5
from typing import Any
from xml.etree.ElementTree import ParseError

import mjml
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from django.conf import settings as django_settings
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import images, plain, settings, translating

MOST = 1_000_000
"""Characters of a source."""
DEEPEST = 60
"""Elements within each other. The compiler calls itself for each, and a stack has an end."""
_MARK = re.compile(
    r"(?:<|&lt;)%--.*?--%(?:>|&gt;)|\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}"
    r"|(?:<|&lt;)%(?:(?!(?:<|&lt;)%).)*?%(?:>|&gt;)",
    re.S,
)
_ENTITY = re.compile(r"&(?:#\d+|#x[\da-fA-F]+|\w+);")
_OF_XML = frozenset(("&amp;", "&lt;", "&gt;", "&quot;", "&apos;"))
_LONE = re.compile(r"&(?!#\d+;|#x[\da-fA-F]+;|\w+;)")
_VOID = re.compile(
    r"<(area|base|br|col|hr|img|input|link|meta|source|track|wbr)((?:\s(?:\"[^\"]*\"|'[^']*'|[^\"'<>])*?)?)\s*/?>",
    re.I,
)
_SHEET = re.compile(r"(<(mj-style|style)\b[^>]*>)(.*?)(</\2>)", re.S)
_PROLOGUE = re.compile(r"\A\ufeff?\s*(?:<\?xml.*?\?>\s*)?(?:<!--.*?-->\s*)*", re.S)
_TAG = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<(?P<end>/)?(?P<name>[A-Za-z][\w:.-]*)"
    r"(?P<rest>(?:\"[^\"]*\"|'[^']*'|[^\"'>])*?)(?P<closed>/)?>",
    re.S,
)
_OWN = re.compile(r"\s+envoi-(if|each)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_ELEMENTS = frozenset(
    (
        "mj-accordion", "mj-accordion-element", "mj-accordion-text", "mj-accordion-title", "mj-all",
        "mj-attributes", "mj-body", "mj-breakpoint", "mj-button", "mj-carousel", "mj-carousel-image",
        "mj-class", "mj-column", "mj-divider", "mj-font", "mj-group", "mj-head", "mj-hero", "mj-image",
        "mj-navbar", "mj-navbar-link", "mj-preview", "mj-raw", "mj-section", "mj-social",
        "mj-social-element", "mj-spacer", "mj-style", "mj-table", "mj-text", "mj-title", "mj-wrapper",
    )
)  # fmt: skip
_WRAPPED = {"if": ("{%% if %s %%}", "{% endif %}"), "each": ("{%% for %s %%}", "{% endfor %}")}
_PLACE = re.compile(r"(?:at position |in \S+ template at )?(\d+):(\d+)")


class Mistake(Invalid):
    """A mistake in a source, with its line, from 1; 0 for one that has no place."""

    def __init__(self, said: str, line: int = 0) -> None:
        super().__init__(said)
        self.line = line


def kept(source: str) -> str:
    """Return MJML as it is kept: our marks in place of the product's, well-formed XML. Safe to repeat.

    Raises Mistake, with its line, for what is no MJML, is too large, or includes files.
    """
    if len(source) > MOST:
        raise Mistake(_("The message is larger than 1 MB of MJML: make it of fewer blocks."))
    text = _PROLOGUE.sub("", translating.translated(source, html=True).source.replace("\r\n", "\n"))
    text = _MARK.sub(lambda mark: _in_xml(mark[0]), text.strip())
    text = _ENTITY.sub(lambda found: _character(found[0]), text)
    text = _VOID.sub(r"<\1\2/>", _LONE.sub("&amp;", text))
    _require_mjml(text)
    return text


def compiled(source: str, *, language: str = "") -> str:
    """Return the HTML of MJML, its marks as they are written. `language`: of its words, unless it says so
    itself. Raises Invalid.
    """
    text = _unfolded(kept(source))
    if language:
        text = re.sub(r"\A<mjml(?![^>]*\slang=)", f'<mjml lang="{escape(language)}"', text)
    marks: list[str] = []
    word = "mark"
    while word in text:
        word += "k"

    def cut(mark: str) -> str:
        marks.append(mark)
        return f"{word}{len(marks) - 1}z"

    text = _MARK.sub(lambda found: cut(unescape(found[0])), text)
    # The compiler writes style sheets as they stand, and they know no entities.
    text = _SHEET.sub(lambda found: found[1] + unescape(found[3]).replace("<", "") + found[4], text)
    try:
        # Without a list of fonts none is fetched from anywhere by those who read.
        html = mjml.mjml2html(text, fonts={}, social_icon_origin=images.social_address())
    except ValueError as error:
        raise _mistake(str(error), text) from error
    except BaseException as error:
        # What the compiler did not foresee ends in a panic, which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise Invalid(_("This MJML cannot be compiled: %(error)s") % {"error": error}) from error
    return re.sub(rf"{word}(\d+)z", lambda found: marks[int(found[1])], html)


def values(delivery: Delivery, source: str) -> dict[str, Any]:
    """Return what of a delivery changes when MJML is kept in it: it, its HTML, and the text if that was made
    of the HTML. Raises Invalid.
    """
    text = kept(source)
    language = settings.read(delivery.content).language or django_settings.ENVOI.config.instance.language
    html = compiled(text, language=language)
    changed = {"mjml_source": text, "html_source": html}
    written = delivery.text_source.strip()
    if not written or written == plain.of_html(delivery.html_source):
        changed["text_source"] = plain.of_html(html)
    return changed


def _in_xml(mark: str) -> str:
    """Return a mark with what XML would read as its own written as entities."""
    return escape(unescape(mark).replace("\xa0", " ").replace("\u200b", "").replace("\ufeff", ""))


def _character(entity: str) -> str:
    """Return the character of an entity that XML does not know."""
    if entity in _OF_XML or entity.startswith("&#"):
        return entity
    return html5.get(entity[1:], entity.replace("&", "&amp;", 1))


def _require_mjml(text: str) -> None:
    depth = 0
    try:
        for event, element in ElementTree.iterparse(io.BytesIO(text.encode()), ("start", "end")):
            depth += 1 if event == "start" else -1
            if depth > DEEPEST:
                raise Mistake(
                    _("The message has more than %(n)d elements within each other.") % {"n": DEEPEST}
                )
            if event == "start":
                if depth == 1 and element.tag != "mjml":
                    raise Mistake(_("This is no MJML: it begins with <%(tag)s>.") % {"tag": element.tag}, 1)
                if element.tag == "mj-include":
                    raise Mistake(
                        _(
                            "<mj-include> is not carried out: put what it stands for in its place, or a "
                            "block."
                        ),
                        _line(text, element.tag),
                    )
                if element.tag.startswith("mj-") and element.tag not in _ELEMENTS:
                    raise Mistake(
                        _("There is no MJML element <%(tag)s>.") % {"tag": element.tag},
                        _line(text, element.tag),
                    )
    except ParseError as error:
        line, column = error.position
        raise Mistake(
            _("MJML, line %(line)d, column %(column)d: %(reason)s")
            % {"line": line, "column": column + 1, "reason": _reason(error.code)},
            line,
        ) from error
    except DefusedXmlException as error:
        raise Mistake(_("This MJML declares entities or documents of its own: take that away.")) from error


def _line(text: str, tag: str) -> int:
    """Return the line of the first element of a name."""
    found = re.search(rf"<{re.escape(tag)}[\s/>]", text)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _reason(code: int) -> str:
    """Return what is wrong with XML by the code of expat."""
    match code:
        case 3:
            return _("the source ends before every element is closed.")
        case 7:
            return _("this end belongs to no element that is open: one before it is not closed.")
        case 8:
            return _("an attribute stands there twice.")
        case 9:
            return _("something stands behind the end of the message.")
        case _:
            return _("an element is not closed, or a value not in quotes.")


def _unfolded(text: str) -> str:
    """Return MJML with our own attributes as marks around their elements."""
    pieces: list[str] = []
    open_: list[list[str]] = []
    place = 0
    for found in _TAG.finditer(text):
        if not found["name"]:
            continue
        pieces.append(text[place : found.start()])
        place = found.end()
        if found["end"]:
            pieces += [found[0], *(open_.pop() if open_ else [])]
            continue
        ends: list[str] = []
        for kind, double, single in _OWN.findall(found["rest"]):
            said = unescape(double or single).strip()
            if not said:
                continue
            if "%}" in said or "{{" in said or "{%" in said:
                raise Invalid(_("A condition is written without braces: %(said)s") % {"said": said[:80]})
            begin, end = _WRAPPED[kind]
            pieces.append(f"<mj-raw>{escape(begin % said)}</mj-raw>")
            ends.insert(0, f"<mj-raw>{end}</mj-raw>")
        rest = _OWN.sub("", found["rest"])
        pieces.append(f"<{found['name']}{rest}{found['closed'] or ''}>")
        if found["closed"]:
            pieces += ends
        else:
            open_.append(ends)
    return "".join([*pieces, text[place:]])


def _mistake(error: str, text: str) -> Mistake:
    place = _PLACE.search(error)
    if place is None:
        return Mistake(_("This MJML cannot be compiled: %(error)s") % {"error": error})
    start = min(int(place[1]), len(text))
    line = text.count("\n", 0, start) + 1
    said = _("MJML, line %(line)d: this cannot be compiled, near %(near)s") % {
        "line": line,
        "near": text[start : start + 60].partition("\n")[0],
    }
    return Mistake(said, line)
