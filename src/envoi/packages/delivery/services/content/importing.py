"""Messages made elsewhere, taken in: an HTML page, a ZIP file with its pictures, MJML, from a file or an
address (delivery.md §2.9).

A page stays as it is but for the product's marks, which are translated, and for the addresses of pictures
that came with it. What was done, and what could not be, is told with its line.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape, unescape
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import unquote, urljoin, urlsplit

from charset_normalizer import from_bytes
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.content import fetching, images, plain, templates, translating, visual
from envoi.packages.delivery.services.content.checking import Weight
from envoi.packages.delivery.services.deliveries import records, states

MOST = 20 * 1024 * 1024
"""Bytes of a file that is imported."""
_PAGE = 2_000_000
"""Characters of a page."""
_FILES = 500
_UNPACKED = 60 * 1024 * 1024
_RATIO = 200
"""How many times larger than it is in the archive a file may be."""
_PICTURES = 200
_FETCHED = 60
_UNCLOSED = 20
_PAIRS = (
    ("{{", "}}"), ("{%", "%}"), ("<%", "%>"), ("<!--", "-->"), ("<![CDATA[", "]]>"), ("<style", "</style"),
    ("<script", "</script"),
)  # fmt: skip
_PAGES = (".html", ".htm", ".mjml")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]+)", re.I)
_REFERENCE = re.compile(
    r"(?:\b(?:src|background|poster|background-url)\s*=\s*(?:\"(?P<double>[^\"<>{}]{1,500})\""
    r"|'(?P<single>[^'<>{}]{1,500})'|(?P<bare>[^\s\"'<>{}]{1,500}))"
    r"|\burl\(\s*(?P<quote>&quot;|&\#39;|[\"']?)(?P<url>[^\"'()<>{}]{1,500}?)(?P=quote)\s*\))",
    re.I,
)
_LINK = re.compile(
    r"<(?:a|area)\b[^>]{0,500}?\bhref\s*=\s*(?:\"(?P<double>[^\"<>{}]{1,1000})\"|'(?P<single>[^'<>{}]{1,1000})')",
    re.I,
)
_SHEET = re.compile(r"\.(?:css|js|woff2?|ttf|otf|eot)$", re.I)
_EXTERNAL = re.compile(r"<link\b[^>]{0,500}?\bhref\s*=\s*[\"']?([^\"'\s>]{1,300})", re.I)
_RUNNING = re.compile(r"<(script|form|iframe|object|embed|video|audio)\b", re.I)
_MARK = re.compile(r"\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}", re.S)
_ANY_MARK = re.compile(
    r"<%(?!--)(?:(?!<%).)*?%>|\{\{\{[^{}]*\}\}\}|\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}", re.S
)
_DATA = re.compile(r"\bsrc\s*=\s*[\"']data:image/", re.I)


@dataclass(frozen=True)
class Line:
    """One line of a report, with the places that it is about."""

    weight: Weight
    title: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What became of a file; `drawn`: the visual editor can change it."""

    name: str
    drawn: bool
    lines: tuple[Line, ...]


@dataclass
class _Source:
    """A page with what lies beside it."""

    name: str
    text: str
    beside: dict[str, bytes] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    base: str = ""
    """The address that it was fetched from: what it shows lies there, and `beside` holds it by address."""
    absent: dict[str, str] = field(default_factory=dict)
    """Why pictures at an address could not be fetched."""


def imported(delivery: Delivery, name: str, content: bytes, *, actor: Actor, as_text: bool = False) -> Report:
    """Make a file the content of a delivery: all of it, or nothing. With `as_text` marks of other programs
    are words like others: readers, or the program behind us, get them as they are written.

    Raises Invalid for a file that is none of the known ones, damaged, too large, or made to do harm;
    NotAllowed, Conflict as for any change.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("import a content"))
    return _taken(delivery, _source(name, content), actor=actor, as_text=as_text)


def imported_from(
    delivery: Delivery, url: str, *, actor: Actor, pictures: bool = True, as_text: bool = False
) -> Report:
    """The same with what lies at an https address. With `pictures` those that the page shows are fetched and
    kept; without, the page gets whole addresses of them. Raises Invalid also for an address of a private
    network, or one that does not answer.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("import a content"))
    states.require_unbegun(delivery)
    found = fetching.page(url.strip(), most=MOST)
    name = found.name
    if PurePosixPath(name.lower()).suffix not in (*_PAGES, ".xml", ".txt", ".zip"):
        name = f"{name}.html"
    source = _source(name, found.content, charset=found.charset)
    if not _packed(found.content):
        source.base = found.url
        if pictures:
            _fetch_beside(source)
    return _taken(delivery, source, actor=actor, as_text=as_text)


def _source(name: str, content: bytes, *, charset: str = "") -> _Source:
    if not 0 < len(content) <= MOST:
        raise Invalid(_("%(name)s is empty or larger than 20 MB.") % {"name": name})
    if _packed(content):
        source = _unpacked(name, content)
    elif PurePosixPath(name.lower()).suffix in (*_PAGES, ".xml", ".txt", ""):
        source = _Source(name, "")
        source.text = _decoded(content, source.lines, charset=charset)
    else:
        raise Invalid(
            _("%(name)s cannot be imported: give an HTML page, a ZIP file or MJML.") % {"name": name[:128]}
        )
    require_sane(source.text)
    return source


def _packed(content: bytes) -> bool:
    return content[:2] == b"PK" and zipfile.is_zipfile(io.BytesIO(content))


def _taken(delivery: Delivery, source: _Source, *, actor: Actor, as_text: bool) -> Report:
    with transaction.atomic():
        text = _with_pictures(source, actor)
        if source.base:
            text = _with_whole_links(text, source)
        drawn = "<mjml" in text[:4000].lower()
        translated = translating.translated(text, html=True)
        if as_text:
            translated = replace(translated, source=_spoken_for(translated.source), left=())
        if drawn:
            values = visual.values(delivery, translated.source)
        elif "<" not in text:
            raise Invalid(_("%(name)s holds no HTML.") % {"name": source.name[:128]})
        else:
            values = {"html_source": translated.source, "mjml_source": ""}
        values["text_source"] = _beside_text(source) or plain.of_html(values["html_source"])
        records.change(delivery, values, actor=actor)
    return Report(
        source.name, drawn, (*source.lines, *_about_marks(translated), *_about(values["html_source"]))
    )


def require_sane(text: str) -> None:
    """Raise Invalid for a page that is too large, is no text, or is made to be read for ever."""
    if len(text) > _PAGE:
        raise Invalid(_("The page is larger than 2 MB; mail programs cut off what is above 102 KB."))
    if "\0" in text:
        raise Invalid(_("The page is no text."))
    for opening, closing in _PAIRS:
        left = text.count(opening, text.rfind(closing) + 1)
        if left > _UNCLOSED:
            raise Invalid(
                _("%(n)d times %(opening)s stands without %(closing)s after it.")
                % {"n": left, "opening": opening, "closing": closing}
            )


def _decoded(content: bytes, lines: list[Line], *, charset: str = "") -> str:
    """Return the text of a page, by what its server (`charset`) or itself says of its encoding, else by what
    it looks like.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise Invalid(_("The page is damaged: its characters cannot be read.")) from error
    said = _CHARSET.search(content[:4096])
    declared = charset or (said[1].decode("ascii", "replace").lower() if said else "utf-8")
    for encoding in dict.fromkeys((declared, "utf-8")):
        try:
            text = content.decode("cp1252" if encoding in ("iso-8859-1", "latin-1") else encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if encoding != "utf-8":
            lines.append(
                Line(
                    Weight.GOOD,
                    _("The page was written in %(encoding)s; messages go out in UTF-8.")
                    % {"encoding": encoding},
                )
            )
        return text
    guess = from_bytes(content[:200_000]).best()
    if guess is None:
        raise Invalid(_("The page is no text."))
    lines.append(
        Line(
            Weight.LOOK,
            _("The page does not say how it is written; it was read as %(encoding)s. Look at its accents.")
            % {"encoding": guess.encoding},
        )
    )
    return content.decode(guess.encoding, "replace")


def _unpacked(name: str, content: bytes) -> _Source:
    """Return the page of an archive with the files beside it. No file is written anywhere."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = [each for each in archive.infolist() if not each.is_dir() and not _hidden(each.filename)]
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise Invalid(_("%(name)s is no ZIP file, or it is damaged.") % {"name": name[:128]}) from error
    if len(entries) > _FILES:
        raise Invalid(
            _("The ZIP file holds %(n)d files; at most %(most)d.") % {"n": len(entries), "most": _FILES}
        )
    if sum(each.file_size for each in entries) > _UNPACKED:
        raise Invalid(_("The ZIP file is larger than 60 MB once it is unpacked."))
    pages = [each for each in entries if each.filename.lower().endswith(_PAGES)]
    if not pages:
        raise Invalid(_("The ZIP file holds no HTML and no MJML page."))
    chosen = min(
        pages,
        key=lambda each: (
            each.filename.count("/"),
            PurePosixPath(each.filename).stem.lower() != "index",
            each.filename,
        ),
    )
    source = _Source(_safe(chosen.filename), "")
    left = _UNPACKED
    for each in entries:
        known = _safe(each.filename)
        if each is chosen or not each.filename.lower().endswith(_PAGES):
            data = _read(archive, each, left)
            left -= len(data)
            source.beside[known] = data
    source.text = _decoded(source.beside.pop(source.name), source.lines)
    if len(pages) > 1:
        others = tuple(each.filename for each in pages if each is not chosen)
        source.lines.append(
            Line(
                Weight.LOOK,
                _("The ZIP file has several pages: %(name)s was taken.") % {"name": source.name},
                others,
            )
        )
    return source


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Return the bytes of a file, however large the archive says that it is."""
    if entry.flag_bits & 1:
        raise Invalid(_("The ZIP file is locked by a password."))
    stream: IO[bytes]
    try:
        with archive.open(entry) as stream:
            data = stream.read(most + 1)
    except Exception as error:  # each way of packing has errors of its own
        raise Invalid(_("%(name)s in the ZIP file is damaged.") % {"name": entry.filename[:128]}) from error
    if len(data) > most:
        raise Invalid(_("The ZIP file is larger than 60 MB once it is unpacked."))
    if len(data) > 1_000_000 and len(data) > _RATIO * max(1, entry.compress_size):
        raise Invalid(
            _("%(name)s in the ZIP file grows to much more than it is packed: it is refused.")
            % {"name": entry.filename[:128]}
        )
    return data


def _safe(name: str) -> str:
    """Return a name inside the archive. Raises Invalid for one that leads out of it."""
    plain_name = posixpath.normpath(name.replace("\\", "/"))
    if plain_name.startswith(("/", "..")) or ":" in plain_name or not plain_name.isprintable():
        raise Invalid(_("The ZIP file has a file name that leads out of it: %(name)r.") % {"name": name[:80]})
    return plain_name


def _hidden(name: str) -> bool:
    """Return whether a file is what systems leave in archives."""
    return any(part.startswith(("__MACOSX", "._", ".DS_Store", "Thumbs.db")) for part in name.split("/"))


def _with_pictures(source: _Source, actor: Actor) -> str:
    """Return a page with the addresses of the pictures that came with it; they are kept."""
    folder = posixpath.dirname(source.name)
    addresses: dict[str, str] = {}
    missing: dict[str, int] = {}
    broken: list[str] = []
    kept: list[str] = []
    left: list[str] = []
    pieces: list[str] = []
    place = 0
    for found in _REFERENCE.finditer(source.text):
        kind = next(each for each in ("double", "single", "bare", "url") if found[each] is not None)
        reference = unescape(found[kind])
        path = _whole(reference, source.base) if source.base else _relative(reference, folder)
        if path is None:
            continue
        if path not in addresses:
            data = source.beside.get(path)
            if data is None and source.base:
                # It stays where it is, under its whole address.
                addresses[path] = escape(path)
                left.append(path)
            elif data is None:
                missing.setdefault(found[kind], source.text.count("\n", 0, found.start()) + 1)
                continue
            elif len(addresses) >= _PICTURES:
                raise Invalid(_("The page shows more than %(n)d pictures.") % {"n": _PICTURES})
            else:
                try:
                    name = unquote(urlsplit(path).path) if source.base else path
                    image, _new = images.add(name, data, actor=actor)
                except Invalid as refusal:
                    broken.append(str(refusal))
                    addresses[path] = escape(path) if source.base else ""
                else:
                    addresses[path] = escape(images.address(image))
                    kept.append(path)
        if not addresses[path]:
            continue
        pieces += [source.text[place : found.start(kind)], addresses[path]]
        place = found.end(kind)
    if kept:
        source.lines.append(
            Line(
                Weight.GOOD,
                ngettext(
                    "%(n)d picture is kept, and the page shows it from here.",
                    "%(n)d pictures are kept, and the page shows them from here.",
                    len(kept),
                )
                % {"n": len(kept)},
                tuple(kept),
            )
        )
    if left:
        source.lines.append(
            Line(
                Weight.LOOK,
                ngettext(
                    "%(n)d picture stays where it is: readers get it from that server.",
                    "%(n)d pictures stay where they are: readers get them from those servers.",
                    len(left),
                )
                % {"n": len(left)},
                tuple(f"{each} ({source.absent[each]})" if each in source.absent else each for each in left),
            )
        )
    if broken:
        source.lines.append(
            Line(Weight.STOPS, _("These pictures cannot be shown by mail programs."), tuple(broken))
        )
    if missing:
        source.lines.append(
            Line(
                Weight.STOPS,
                ngettext(
                    "%(n)d picture is not in the file: readers would see a hole.",
                    "%(n)d pictures are not in the file: readers would see holes.",
                    len(missing),
                )
                % {"n": len(missing)},
                tuple(
                    _("line %(line)d: %(what)s") % {"line": line, "what": what}
                    for what, line in missing.items()
                ),
            )
        )
    return "".join([*pieces, source.text[place:]])


def _fetch_beside(source: _Source) -> None:
    """Fetch the pictures that a page from an address shows."""
    wanted: list[str] = []
    for found in _REFERENCE.finditer(source.text):
        reference = next(
            unescape(found[each]) for each in ("double", "single", "bare", "url") if found[each] is not None
        )
        address = _whole(reference, source.base)
        if address and not _SHEET.search(urlsplit(address).path):
            wanted.append(address)
    asked = list(dict.fromkeys(wanted))
    if len(asked) > _FETCHED:
        raise Invalid(
            _("The page shows %(n)d pictures; at most %(most)d are fetched along.")
            % {"n": len(asked), "most": _FETCHED}
        )
    for address, got in fetching.pictures(asked, each=images.MOST, together=MOST).items():
        if isinstance(got, bytes):
            source.beside[address] = got
        else:
            source.absent[address] = got


def _with_whole_links(text: str, source: _Source) -> str:
    """Return a page from an address with the whole addresses of its links."""
    made = 0

    def one(found: re.Match[str]) -> str:
        nonlocal made
        kind = "double" if found["double"] is not None else "single"
        reference = unescape(found[kind])
        whole = None if reference.startswith("#") else _whole(reference, source.base)
        if whole is None or whole == reference:
            return found[0]
        made += 1
        return text[found.start() : found.start(kind)] + escape(whole) + text[found.end(kind) : found.end()]

    linked = _LINK.sub(one, text)
    if made:
        source.lines.append(
            Line(
                Weight.GOOD,
                ngettext("%(n)d link gets its whole address.", "%(n)d links get their whole addresses.", made)
                % {"n": made},
            )
        )
    return linked


def _whole(reference: str, base: str) -> str | None:
    """Return the whole address that a reference of a page means; None for what is none of the web."""
    try:
        whole = urljoin(base, reference.strip())
        parts = urlsplit(whole)
    except ValueError:
        return None
    return whole if parts.scheme in ("https", "http") and parts.netloc else None


def _relative(reference: str, folder: str) -> str | None:
    """Return which file of an archive a reference means; None for one to somewhere else."""
    reference = reference.strip()
    try:
        parts = urlsplit(reference)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path or reference.startswith(("//", "#", "/")):
        return None
    return posixpath.normpath(posixpath.join(folder, unquote(parts.path).replace("\\", "/")))


def _beside_text(source: _Source) -> str:
    """Return the text part that came with a page: a file of its name."""
    stem = posixpath.splitext(source.name)[0]
    data = source.beside.get(f"{stem}.txt")
    if data is None or len(data) > _PAGE:
        return ""
    text = translating.translated(_decoded(data, []).replace("\r\n", "\n"), html=False).source
    return "" if "\0" in text else text


def _about_marks(translated: translating.Translated) -> Sequence[Line]:
    lines: list[Line] = []
    if translated.made:
        lines.append(
            Line(
                Weight.GOOD,
                ngettext("%(n)d mark is translated.", "%(n)d marks are translated.", len(translated.made))
                % {"n": len(translated.made)},
                tuple(
                    _("line %(line)d: %(what)s")
                    % {"line": each.line, "what": f"{_short(each.source)} → {_short(each.made)}"}
                    for each in translated.made
                ),
            )
        )
    if translated.left:
        lines.append(
            Line(
                Weight.STOPS,
                ngettext(
                    "%(n)d mark is not understood: write it anew before the delivery is sent.",
                    "%(n)d marks are not understood: write them anew before the delivery is sent.",
                    len(translated.left),
                )
                % {"n": len(translated.left)},
                tuple(
                    _("line %(line)d: %(what)s") % {"line": each.line, "what": _short(each.source)}
                    for each in translated.left
                ),
            )
        )
    return lines


def _about(html: str) -> Sequence[Line]:
    """Return what of a page does not work in a message."""
    lines = [Line(Weight.GOOD, _("The page is kept, and a text part is made of it.")), *_foreign(html)]
    sheets = tuple(dict.fromkeys(_EXTERNAL.findall(html)))
    if sheets:
        lines.append(
            Line(Weight.LOOK, _("Mail programs do not fetch style sheets and fonts from elsewhere."), sheets)
        )
    running = tuple(dict.fromkeys(f"<{each.lower()}>" for each in _RUNNING.findall(html)))
    if running:
        lines.append(Line(Weight.LOOK, _("Mail programs take these elements away."), running))
    if held := len(_DATA.findall(html)):
        lines.append(
            Line(
                Weight.LOOK,
                ngettext(
                    "%(n)d picture stands in the page itself; Gmail and Outlook do not show it.",
                    "%(n)d pictures stand in the page itself; Gmail and Outlook do not show them.",
                    held,
                )
                % {"n": held},
            )
        )
    return lines


def _foreign(html: str) -> Sequence[Line]:
    """Return what is said about marks of other programs: of a language that is not ours, or about what
    nobody here knows.
    """
    try:
        roots = {path.partition(".")[0] for path in templates.fields({"html": html})}
    except Invalid as refusal:
        return [
            Line(
                Weight.STOPS,
                _("A mark of another program cannot be carried out: write it anew, or take it away."),
                (str(refusal),),
            )
        ]
    strange = sorted(roots - set(templates.RESERVED) - {"block"})
    found = [
        (html.count("\n", 0, mark.start()) + 1, mark[0])
        for mark in _MARK.finditer(html)
        if any(re.search(rf"(?<![\w.]){re.escape(each)}\b", mark[0]) for each in strange)
    ]
    if not strange:
        return []
    return [
        Line(
            Weight.STOPS,
            ngettext(
                "%(n)d mark names what nobody here knows: choose a field in its place.",
                "%(n)d marks name what nobody here knows: choose fields in their place.",
                len(found),
            )
            % {"n": len(found)},
            tuple(
                _("line %(line)d: %(what)s") % {"line": line, "what": _short(what)} for line, what in found
            ),
        )
    ]


def _spoken_for(html: str) -> str:
    """Return a page whose marks of other programs are kept from being read as ours."""

    def one(mark: re.Match[str]) -> str:
        if not mark[0].startswith("<%"):
            try:
                roots = {path.partition(".")[0] for path in templates.fields({"html": mark[0]})}
            except Invalid:
                roots = {""} if mark[0].startswith("{{") else set[str]()
            if not roots - set(templates.RESERVED):
                return mark[0]
        return f"{{% raw %}}{mark[0]}{{% endraw %}}"

    return _ANY_MARK.sub(one, html)


def _short(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= 90 else f"{said[:89]}…"
