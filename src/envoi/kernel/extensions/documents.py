"""Schema documents that an instance brings: `<srcSchema extendedSchema="nms:recipient">` adds to a schema,
one without it makes a table.

Read as data only: no DTD, no entities, bounded in size, depth and number of parts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as Safe
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.kernel.extensions.additions import Additions, Member, NewField, NewLink, NewTable
from envoi.kernel.registry import Enumeration, EnumValue, Registry, Schema, Type

LARGEST = 1_000_000
"""Bytes of a document."""
DEEPEST = 12
MOST = 5_000
"""Elements of a document."""
_TYPES = {
    **{each.value: each for each in Type if each not in (Type.UUID, Type.JSON)},
    "": Type.STRING,
    "html": Type.MEMO,
    "CDATA": Type.MEMO,
    "percent": Type.DOUBLE,
    "datetimetz": Type.DATETIME,
    "datetimenotz": Type.DATETIME,
}
_TRUTHS = {"true", "1"}
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


@dataclass(frozen=True)
class Reading:
    """What a document comes to: what is to be added, and what stands in it that the instance has already."""

    name: str
    """Schema that it extends or makes."""
    additions: Additions
    known: tuple[str, ...] = ()

    @property
    def adds(self) -> bool:
        """Whether anything is to be added."""
        return bool(self.additions.tables or self.additions.members)


def read(text: str | bytes, registry: Registry) -> Reading:
    """Return what a document adds to the schemas of a registry.

    Raises Invalid with the place for what is no such document, is too large, has a DTD, says what is not
    known here, or says of a member that is there already something else.
    """
    return _Reader(_parsed(text), registry).whole()


def _parsed(text: str | bytes) -> ET.Element:
    size = len(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    if size > LARGEST:
        raise Invalid(_("The document has %(n)d bytes; %(most)d are allowed.") % {"n": size, "most": LARGEST})
    try:
        root = Safe.fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Invalid(_("The document has a DTD or entities; take them out.")) from error
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise Invalid(_("The document is no XML: %(reason)s.") % {"reason": error}) from error
    waiting, count = [(root, 1)], 0
    while waiting:
        element, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > MOST:
            raise Invalid(
                _("The document is nested more than %(deepest)d deep, or has more than %(most)d elements.")
                % {"deepest": DEEPEST, "most": MOST}
            )
        waiting += [(each, depth + 1) for each in element]
    return root


class _Reader:
    def __init__(self, root: ET.Element, registry: Registry) -> None:
        self.root, self.registry = root, registry
        self.enumerations: dict[str, ET.Element] = {}
        self.known: list[str] = []

    def whole(self) -> Reading:
        root = self.root
        if root.tag not in ("srcSchema", "schema"):
            raise Invalid(
                _("The document begins with <%(tag)s>; expected <srcSchema>.") % {"tag": root.tag[:40]}
            )
        extended = root.get("extendedSchema", "")
        own = f"{root.get('namespace', '')}:{root.get('name', '')}"
        name = extended or own
        local = name.partition(":")[2]
        for each in root.findall("enumeration"):
            self.enumerations[each.get("name", "")] = each
        body = next((each for each in root.findall("element") if each.get("name") == local), None)
        if body is None:
            raise Invalid(
                _("The document has no <element name=%(name)s> with the fields of %(schema)s.")
                % {"name": f'"{local[:40]}"', "schema": name[:80]}
            )
        for each in root:
            if each.tag not in ("element", "enumeration", "createdBy", "modifiedBy", "help"):
                raise Invalid(_("<%(tag)s> has no meaning here; take it out.") % {"tag": each.tag[:40]})
        if extended or name in self.registry:
            return self.extension(self.registry[name], body)
        return self.table(name, body)

    def extension(self, schema: Schema, body: ET.Element) -> Reading:
        found: list[tuple[str, Member]] = []
        for member in self.members(schema.name, body):
            if _is_there(schema, member):
                self.known.append(member.name)
                self.same(schema, member)
            else:
                found.append((schema.name, member))
        return Reading(schema.name, Additions(members=tuple(found)), tuple(self.known))

    def table(self, name: str, body: ET.Element) -> Reading:
        members = tuple(each for each in self.members(name, body) if each.name != "id")
        label = self.root.get("label", "") or body.get("label", "")
        links = {each.name: each for each in members if isinstance(each, NewLink)}
        parent = "folder" if "folder" in links and links["folder"].target == "xtk:folder" else ""
        if not parent:
            # Rows belong to what they are first linked to, as far as not everyone reads that.
            parent = next((each.name for each in links.values() if self.is_bounded(each.target)), "")
        made = NewTable(
            name,
            label,
            self.root.get("labelSingular", "") or label,
            members,
            dict(self.keys(name, body)),
            parent,
        )
        return Reading(name, Additions(tables=(made,)))

    def is_bounded(self, schema: str) -> bool:
        found = self.registry.schemas.get(schema)
        return found is not None and found.bounded

    # --- members

    def members(self, schema: str, body: ET.Element) -> Iterator[Member]:
        seen: set[str] = set()
        for each in body:
            place = f"{schema} {each.get('name', '')[:80]}"
            if each.tag == "attribute":
                found: Member = self.field(place, each)
            elif each.tag == "element" and each.get("type") == "link":
                if each.get("unbound", "") in _TRUTHS:
                    continue  # the way back of another schema's link
                found = self.link(place, each)
            elif each.tag == "element" and each.get("type", "") in ("memo", "html", "CDATA", "string"):
                found = self.field(place, each)
            elif each.tag in ("key", "compute-string", "dbindex", "sysFilter", "condition"):
                continue
            else:
                raise Invalid(
                    _("%(place)s: <%(tag)s> has no meaning here; fields are attributes or links.")
                    % {"place": place, "tag": each.tag[:40]}
                )
            if found.name in seen:
                raise Invalid(_("%(place)s stands in the document twice.") % {"place": place})
            seen.add(found.name)
            yield found

    def field(self, place: str, element: ET.Element) -> NewField:
        said = element.get("type", "")
        if said not in _TYPES:
            raise Invalid(
                _("%(place)s: no field has the type %(type)s. Known are %(known)s.")
                % {"place": place, "type": said[:40], "known": ", ".join(filter(None, _TYPES))}
            )
        if element.get("expr"):
            raise Invalid(_("%(place)s is calculated; only stored fields can be added.") % {"place": place})
        kind = _TYPES[said]
        enumeration = self.enumeration(place, element.get("enum", ""), kind)
        return NewField(
            element.get("name", ""),
            element.get("label", ""),
            kind,
            _number(place, element.get("length")) if kind is Type.STRING else None,
            self.default(place, element.get("default"), enumeration),
            element.get("userEnum", ""),
            enumeration,
        )

    def default(self, place: str, text: str | None, enumeration: Enumeration | None) -> str | None:
        """Return the constant: a text in quotes, a number, a truth, or the name of a value."""
        if text is None or text == "":
            return None
        match = _QUOTED.fullmatch(text)
        if match:
            return re.sub(r"\\(.)", r"\1", match[1])
        if "(" in text or text.startswith("@"):
            raise Invalid(
                _("%(place)s: the default %(text)s is no constant; take it out.")
                % {"place": place, "text": text[:80]}
            )
        named = enumeration.named(text) if enumeration else None
        return text if named is None else str(named.value)

    def enumeration(self, place: str, name: str, kind: Type) -> Enumeration | None:
        """Return the values that a field is confined to: those of the document, or of a schema there is."""
        if not name:
            return None
        space, _colon, local = name.rpartition(":")
        if local in self.enumerations and not (
            space in self.registry and local in self.registry[space].enumerations
        ):
            said = self.enumerations[local]
            values = tuple(
                EnumValue(
                    _number(place, each.get("value")) or 0
                    if kind is not Type.STRING
                    else each.get("value", ""),
                    each.get("name", ""),
                    each.get("label", "") or each.get("name", ""),
                )
                for each in said.findall("value")
            )
            return Enumeration(local, kind, values)
        schema = self.registry.schemas.get(space)
        found = schema.enumerations.get(local) if schema else None
        if found is None:
            raise Invalid(
                _("%(place)s: there is no enumeration %(name)s, neither in the document nor in a schema.")
                % {"place": place, "name": name[:80]}
            )
        return found

    def link(self, place: str, element: ET.Element) -> NewLink:
        target = element.get("target", "")
        if not target:
            raise Invalid(_("%(place)s: a link names its target.") % {"place": place})
        if any(each.tag == "join" and each.get("xpath-dst", "@id") != "@id" for each in element):
            raise Invalid(
                _("%(place)s: a link leads to the primary key of its target; take the join out.")
                % {"place": place}
            )
        return NewLink(
            element.get("name", ""),
            target,
            element.get("label", ""),
            element.get("revLink", ""),
            element.get("noDbIndex", "") not in _TRUTHS,
        )

    def keys(self, schema: str, body: ET.Element) -> Iterator[tuple[str, tuple[str, ...]]]:
        for key in body.findall("key"):
            if key.get("internal", "") in _TRUTHS:
                continue
            paths = [each.get("xpath", "") for each in key.findall("keyfield")]
            parts = tuple(path.strip("[]").removeprefix("@").removesuffix("-id") for path in paths)
            if parts != ("id",):
                yield key.get("name", "") or "-".join(parts), parts

    def same(self, schema: Schema, member: Member) -> None:
        """Refuse a member that is there otherwise: the document would be read as if it had changed it."""
        if isinstance(member, NewLink):
            agrees = member.name in schema.links and schema.links[member.name].target == member.target
        else:
            found = schema.attributes.get(member.name)
            agrees = found is not None and found.type is member.type
            if agrees and found is not None and member.length is not None:
                agrees = found.length == member.length
        if not agrees:
            raise Invalid(
                _("%(schema)s has %(name)s already, and otherwise than the document says. Take it out there.")
                % {"schema": schema.name, "name": member.name}
            )


def _is_there(schema: Schema, member: Member) -> bool:
    return member.name in schema.links or member.name in schema.attributes


def _number(place: str, text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise Invalid(_("%(place)s: %(text)r is no whole number.") % {"place": place, "text": text[:40]})
    return int(text)
