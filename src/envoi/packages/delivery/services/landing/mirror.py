"""Mirror pages: a message that was sent, as a page (delivery.md §2.10).

Nothing is kept for it beside the content that is frozen anyway: the page is made when it is asked for, of the
reader's data as they are then. When these are gone, with the profile or the data of a workflow, there is no
page, rather than one with holes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import registry
from envoi.kernel.errors import NotFound, Refused
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import (
    DeliveryContent,
    DeliveryRun,
    DeliveryState,
    Flag,
    TrackingUrl,
)
from envoi.packages.delivery.services import content
from envoi.packages.delivery.services.content import settings as content_settings
from envoi.packages.delivery.services.content.addresses import (
    MIRROR,
    REGISTRATION,
    SHARE,
    SHARED,
    Addresses,
)
from envoi.packages.delivery.services.landing.messages import Message
from envoi.packages.delivery.services.redirection import tags

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline' https: http:; img-src https: http: data:; "
    "font-src https: http: data:; media-src https: http:; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""What the HTML of a message may do in a browser: show itself with its pictures, and lead elsewhere."""
MOST_SECONDS = 5.0
_OVER = (DeliveryState.FINISHED, DeliveryState.STOPPED, DeliveryState.FAILED, DeliveryState.DELETED)
_PARAMETER = re.compile(r"\$\((p\d{1,2})\)")


class Shared(Addresses):
    """Addresses for anybody: links count for who has shared them, but none of our pages is that reader's."""

    def functions(self) -> Mapping[str, Callable[..., str]]:
        """Return what templates call; see `Addresses.functions`."""
        return {**super().functions(), "_open": lambda: "data:,"}

    def unsubscribe(self) -> str:
        """Return no address: nobody leaves for another."""
        return ""

    def page(self, name: str, form: str = "h") -> str:
        """Return the address of what anybody may see."""
        return super().page(name, form) if name in (SHARE, REGISTRATION) else ""


class Untracked(Addresses):
    """Addresses for an operator's eyes: links lead where they lead in the end, and nothing is counted."""

    def functions(self) -> Mapping[str, Callable[..., str]]:
        """Return what templates call; see `Addresses.functions`."""
        numbers = [int(each, 16) for each in self._links]
        known = dict(TrackingUrl.objects.filter(pk__in=numbers).values_list("pk", "url"))

        def text(number: int, *params: object) -> str:
            values = {f"p{at}": "" if each is None else str(each) for at, each in enumerate(params, 1)}
            return _PARAMETER.sub(lambda found: values.get(found[1], ""), known.get(numbers[number], ""))

        def html(number: int, *params: object) -> str:
            return text(number, *params).replace("&", "&amp;").replace('"', "&quot;")

        return {
            **super().functions(), "_html": html, "_text": text, "_html_page": self.page,
            "_text_page": self.page, "_open": lambda: "data:,",
        }  # fmt: skip

    def unsubscribe(self) -> str:
        """Return no address: nobody leaves by what an operator looks at."""
        return ""

    def page(self, name: str, form: str = "h") -> str:
        """Return no address of a page that is its reader's own."""
        return "#"


def for_reader(message: Message, *, shared: bool, now: datetime) -> str:
    """Return the page of a message, with nothing personal when it is `shared`. Raises NotFound when there is
    none, or its time is over.
    """
    mode = _mode(message)
    if mode not in (content_settings.LINK, content_settings.ALWAYS):
        raise NotFound(_("This message has no page."))
    over = message.delivery.web_validity
    if over is not None and over <= now:
        raise NotFound(_("The time of this page is over."))
    return _made(message, Addresses, shared=shared)


def for_operator(message: Message) -> str:
    """Return the page of a message for somebody who may see it in the delivery log. Raises NotFound."""
    if _mode(message) == content_settings.NEVER:
        raise NotFound(_("This message has no page."))
    return _made(message, Untracked, shared=False)


def shared_address(message: Message) -> str:
    """Return the address of the page that anybody may see, counted for who has passed it on."""
    kept = DeliveryContent.objects.get(run_id=message.run_id)
    config = settings.ENVOI.config
    made = tags.tags(config.home, config.tracking.url or config.web.address)
    numbers = (f"{message.id:x}", f"{message.delivery.pk:x}", f"{kept.settings['own'][MIRROR]:x}")
    return made.make("h", *numbers, (SHARED,))


def purge(*, now: datetime, limit: int = 100) -> int:
    """Forget the contents of analyses whose pages are over, of deliveries that are; returns how many.

    For the nightly cleanup, which calls it until it returns 0.
    """
    with transaction.atomic():
        runs = DeliveryRun.objects.filter(
            pk__in=DeliveryContent.objects.filter(
                delivery__web_validity__lte=now, delivery__state__in=_OVER
            ).values("run_id")
        ).order_by("run_id")[:limit]
        found = list(runs)
        for run in found:
            content.forget(run)
        return len(found)


def _mode(message: Message) -> str:
    kept = DeliveryContent.objects.filter(run_id=message.run_id).first()
    delivery = message.delivery
    whole = kept is not None and kept.templates.get("html") and delivery.mapping.schema
    if kept is None or not whole or delivery.delete_status:
        raise NotFound(_("This message has no page."))
    return content_settings.read(kept.settings.get("said", {})).mirror


def _made(message: Message, addresses: type[Addresses], *, shared: bool) -> str:
    kept = DeliveryContent.objects.select_related("run").get(run_id=message.run_id)
    gone = NotFound(_("This message can no longer be shown."))
    try:
        if shared:
            made = content.Content(kept, most=MOST_SECONDS, addresses=Shared)
            return made.page(made.sent(message.id) or made.of_nobody(message.id), anybody=True)
        made = content.Content(kept, most=MOST_SECONDS, addresses=addresses)
        if not message.flags & Flag.SEED and not _is_there(message):
            raise gone
        row = made.sent(message.id)
        if row is None:
            raise gone
        return made.page(row)
    except NotFound:
        raise
    except Refused as error:
        raise gone from error


def _is_there(message: Message) -> bool:
    """Return whether the row that a message went to still is."""
    known = registry.fresh()
    schema = known[message.delivery.mapping.schema]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT 1 FROM {quoted(schema.table)} WHERE {quoted(schema.key[0])} = %s)",  # noqa: S608
            [message.target_id],
        )
        return bool((cursor.fetchone() or (False,))[0])
