"""Frozen content: loaded by senders, its data read part by part, rendered for each message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, NamedTuple, cast

from django.conf import settings as django_settings
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.expression import Kind
from envoi.packages.delivery.models import (
    DeliveryContent,
    DeliveryRun,
    DeliverySeed,
    EmailFormat,
    Flag,
    Format,
)
from envoi.packages.delivery.services import routing, variants
from envoi.packages.delivery.services.content import attachments, reading, settings
from envoi.packages.delivery.services.content.addresses import Addresses
from envoi.packages.delivery.services.content.plan import Plan, Whole
from envoi.packages.delivery.services.content.templates import PARTS, Templates, bounded
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.sending import mime

logger = logging.getLogger(__name__)
_PROVED = 3
"""So many messages of a run are made in both ways before the quick one is trusted."""


class Row(NamedTuple):
    """A message to be made: `raw` is what was read of its reader."""

    id: int
    target_id: int
    address: str
    flags: int
    raw: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message that is made, but for its date and its Message-ID. `text` or `html` is empty when the reader
    wants, or the delivery has, only the other.
    """

    subject: str
    text: str
    html: str
    from_name: str
    from_address: str
    to_name: str
    reply_to: str
    unsubscribe: str
    unsubscribe_mail: str


class Sendable(NamedTuple):
    """A message as `Rendered` has it, for the wire: with lines that were encoded beforehand."""

    subject: str
    text: mime.Text
    html: mime.Text
    from_name: str
    from_address: str
    to_name: str
    reply_to: str
    unsubscribe: str
    unsubscribe_mail: str


def load(run: DeliveryRun | int) -> Content:
    """Return the frozen content of a run. Raises NotFound when it has none."""
    number = run if isinstance(run, int) else run.pk
    found = DeliveryContent.objects.select_related("run").filter(run_id=number).first()
    if found is None:
        raise NotFound(
            _("Analysis %(number)d has no content: analyse the delivery again.") % {"number": number}
        )
    return Content(found)


class Content:
    """The content of one run. It belongs to one thread."""

    def __init__(
        self,
        kept: DeliveryContent,
        *,
        most: float = 0,
        addresses: type[Addresses] = Addresses,
        variant: str = "",
    ) -> None:
        """`most` seconds bound the limit of the delivery; `variant` is the language of one of its variants,
        whatever that of the reader. Raises Invalid when a template can no longer be read.
        """
        config = django_settings.ENVOI.config
        said = settings.read(kept.settings.get("said", {}))
        self.run_id, self.storage, self.delivery_id = kept.run_id, kept.run.storage, kept.delivery_id
        self._identity = routing.identity(config)
        self._query = reading.Statement.of(kept.query)
        columns = self._query.columns
        self._build = builder(columns)
        self._format_at = next((at for at, each in enumerate(columns) if each.path == reading.FORMAT), None)
        self._format = Format(kept.settings.get("format", Format.PREFERENCE))
        sources = variants.sources(kept.templates, variant)
        self._text, self._html = bool(sources.get("text")), bool(sources.get("html"))
        self._files = said.attachments
        self._skeletons: dict[tuple[bool, bool], mime.Skeleton] = {}
        self._addresses = addresses(
            kept.delivery_id,
            kept.links,
            kept.settings.get("own", {}),
            tags.tags(config.home, config.tracking.url) if kept.settings.get("own") else None,
        )
        self._used = kept.settings.get("used", ())
        make = partial(
            Templates,
            language=variant or said.language or config.instance.language,
            zone=config.instance.timezone,
            limit=bounded(float(kept.settings.get("limit", 5)), most),
            constants=kept.settings.get("constants", {}),
            functions=self._addresses.functions(),
        )
        self._templates = make(sources)
        self.variants: dict[str, Content] = {}
        """What readers of other languages get."""
        self._choice: variants.Choice | None = None
        if not variant and (others := variants.languages(kept.templates)):
            self._choice = variants.Choice(make({"subject": kept.settings.get("by", variants.BY)}), others)
            self.variants = {
                each: Content(kept, most=most, addresses=addresses, variant=each) for each in others
            }
        self._plan: Plan | None = None
        self._proved = 0
        self._take_apart(sources)

    def rows(self, storage: str, first_id: int, last_id: int) -> list[Row]:
        """Return the pending messages from one number to another, with their data: one statement, and one
        more where there are seeds. Raises Conflict when a field of the templates was taken away.
        """
        most = last_id - first_id + 1
        which = "id >= %(envoi_first)s AND id <= %(envoi_last)s"
        return self._read(storage, which, envoi_first=first_id, envoi_last=last_id, envoi_most=most)

    def first(self) -> list[Row]:
        """Return the first message that is pending, if there is one."""
        return self._read(self.storage, "true", envoi_most=1)

    def rows_of(self, ids: Sequence[int]) -> list[Row]:
        """Return those messages of some numbers that are pending, as `rows`."""
        return self._read(self.storage, "id = ANY(%(envoi_ids)s)", envoi_ids=list(ids), envoi_most=len(ids))

    def sent(self, number: int) -> Row | None:
        """Return one message, whatever became of it, with the data of its reader as they are now."""
        found = self._read(self.storage, "id = %(envoi_id)s", pending=False, envoi_id=number, envoi_most=1)
        return found[0] if found else None

    def of_nobody(self, number: int) -> Row:
        """Return a message with empty fields, so that it can be shown to anybody."""
        columns = self._query.columns
        empty = tuple("" if each.kind == Kind.TEXT.name else None for each in columns)
        return Row(number, 0, "", 0, empty)

    def page(self, row: Row, *, anybody: bool = False) -> str:
        """Return the HTML of a message, also of one whose reader wants text; for `anybody` in the reader's
        language, and empty otherwise. Raises as `render`.
        """
        if (other := self._other(row)) is not None:
            return other.page(row, anybody=anybody)
        return self._made(self.of_nobody(row.id) if anybody else row)["html"]

    def render(self, row: Row) -> Rendered:
        """Return a message. Raises CannotRender for one whose data do not fit, TooLong when it takes longer
        than the delivery allows: then the delivery fails.
        """
        if (other := self._other(row)) is not None:
            return other.render(row)
        addresses = self._addresses
        made = self._made(row)
        text, html = made["text"], made["html"]
        if text and html and self._wants_text(row):
            html = ""
        return Rendered(
            made["subject"],
            text,
            html,
            made["from_name"],
            made["from_address"],
            made["to_name"],
            made["reply_to"],
            addresses.unsubscribe(),
            addresses.mail,
        )

    def sendable(self, row: Row) -> Sendable:
        """Return a message for the wire. Raises as `render`."""
        if (other := self._other(row)) is not None:
            return other.sendable(row)
        plan = self._plan
        if plan is None:
            return Sendable(*astuple(self.render(row)))
        addresses = self._addresses
        addresses.of(row.id, self._identity.unsubscribe_address(self.run_id, row.id))
        try:
            text, html, part = plan.fill(row.raw, lambda name: self._templates.piece(name, self._seen(row)))
        except Exception:  # noqa: BLE001 what is wrong is said by the way that knows part and line
            return Sendable(*astuple(self.render(row)))
        if text and html and self._wants_text(row):
            html = ""
        made = Sendable(
            part["subject"],
            text,
            html,
            part["from_name"],
            part["from_address"],
            part["to_name"],
            part["reply_to"],
            addresses.unsubscribe(),
            addresses.mail,
        )
        return made if self._proved >= _PROVED else self._compared(made, row)

    def _other(self, row: Row) -> Content | None:
        """Return the variant that a reader gets in place of this one."""
        if self._choice is None:
            return None
        return self.variants.get(self._choice.language(self._build(row.raw)))

    def _compared(self, made: Sendable, row: Row) -> Sendable:
        """Return a message that is what the templates give; from one that is not on, all are made by them."""
        whole = Sendable(*astuple(self.render(row)))
        same = made._replace(text="", html="") == whole._replace(text="", html="") and all(
            mime.decoded(one).rstrip(b"\n") == mime.decoded(other).rstrip(b"\n")
            for one, other in ((made.text, whole.text), (made.html, whole.html))
        )
        if same:
            self._proved += 1
            return made
        logger.error("delivery %d: its templates cannot be taken apart", self.delivery_id)
        self._plan = None
        return whole

    def _take_apart(self, sources: Mapping[str, str]) -> None:
        columns = [(each.path, each.kind) for each in self._query.columns]
        try:
            plan = Plan({name: sources.get(name, "") for name in PARTS}, columns, self._addresses.functions())
            self._templates.add(plan.foreign)
        except (Whole, Invalid):
            return
        self._plan = plan

    def skeleton(self, rendered: Rendered | Sendable | None = None) -> mime.Skeleton:
        """Return the frame of messages with all that the delivery has, or of this one."""
        text, html = (
            (self._text, self._html) if rendered is None else (bool(rendered.text), bool(rendered.html))
        )
        kind = (text or not html, html)
        if kind not in self._skeletons:
            files = attachments.carried(self._files) if self._files else ()
            self._skeletons[kind] = mime.Skeleton(text=kind[0], html=kind[1], attachments=files)
        return self._skeletons[kind]

    def _wants_text(self, row: Row) -> bool:
        match self._format:
            case Format.TEXT:
                return True
            case Format.MULTIPART:
                return False
            case Format.PREFERENCE:
                return self._format_at is not None and row.raw[self._format_at] == EmailFormat.TEXT

    def _made(self, row: Row) -> dict[str, str]:
        self._addresses.of(row.id, self._identity.unsubscribe_address(self.run_id, row.id))
        return self._templates.render(self._seen(row))

    def _seen(self, row: Row) -> dict[str, Any]:
        """Return what templates see."""
        return {**self._build(row.raw), "message": self._message(row)}

    def _message(self, row: Row) -> dict[str, Any]:
        return {
            "id": f"{row.id:x}",
            "broadLogId": row.id,
            "deliveryId": self.delivery_id,
            "address": row.address,
            **{name: self._addresses.page(name) for name in self._used},
        }

    def _read(self, storage: str, which: str, *, pending: bool = True, **params: Any) -> list[Row]:
        found = reading.fetch(self._query, storage, self.run_id, which, params, pending=pending)
        own = len(reading.OWN)
        rows = [Row(each[0], each[1], each[2], each[3], each[own:]) for each in found]
        if any(each.flags & Flag.SEED for each in rows):
            rows = self._with_seeds(rows)
        return rows

    def _with_seeds(self, rows: list[Row]) -> list[Row]:
        wanted = [each.id for each in rows if each.flags & Flag.SEED]
        kept = dict(DeliverySeed.objects.filter(broad_log_id__in=wanted).values_list("broad_log_id", "data"))
        return [
            Row(
                each.id,
                each.target_id,
                each.address,
                each.flags,
                tuple(reading.unpacked(value) for value in kept[each.id]),
            )
            if each.id in kept
            else each
            for each in rows
        ]


def builder(columns: Sequence[reading.Column]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Return a function from the values of the columns to what templates see: objects in objects."""
    tree: dict[str, Any] = {}
    for index, column in enumerate(columns):
        place = tree
        *steps, last = column.path.split(".")
        for step in steps:
            # The value of a link itself (`recipient.folder`) gives way to what is read behind it.
            if not isinstance(place.get(step), dict):
                place[step] = {}
            place = place[step]
        if not isinstance(place.get(last), dict):
            place[last] = (index, column.kind)
    return lambda values: _filled(tree, values)


def _filled(tree: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, leaf in tree.items():
        if isinstance(leaf, tuple):
            index, kind = cast("tuple[int, str]", leaf)
            value = reading.plain(values[index], kind)
            if value is not None:
                made[name] = value
        else:
            made[name] = _filled(leaf, values)
    return made
