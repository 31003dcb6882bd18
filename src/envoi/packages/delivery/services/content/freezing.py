"""Freezes the content of a delivery when its analysis ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext as _

from envoi.engine.population import Population
from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryContent,
    DeliveryRun,
    DeliverySeed,
    Format,
    JobLevel,
)
from envoi.packages.delivery.services import coupons, file_target, variants
from envoi.packages.delivery.services.content import (
    addresses,
    attachments,
    blocks,
    frozen,
    keeping,
    loops,
    reading,
    settings,
    templates,
    tracking,
)
from envoi.packages.delivery.services.content.findings import Weight
from envoi.packages.delivery.services.deliveries import job_log, sending
from envoi.packages.delivery.services.variants import counting

_FOREIGN = re.compile(r"<%(?!--).*?%>", re.S)


def freeze(run: DeliveryRun, delivery: Delivery, *, actor: Actor) -> None:
    """Check the content of a delivery and keep it for the run, in the transaction that ends the analysis.

    What may surprise stands in the delivery's log: data that the workflow does not give, links that cannot be
    tracked. Safe to repeat. Only e-mail has content so far. Raises Invalid, naming part and line, for what
    cannot be sent: no subject, no body, no sender, a template that is wrong, a field that is unknown;
    NotAllowed for a field that the actor may not read.
    """
    if Channel(delivery.message_type) is not Channel.EMAIL:
        return
    now = clock.now()
    said = settings.read(delivery.content)
    spoken = variants.read(delivery.variants)
    said = replace(said, language=said.language or spoken.language)
    sources = blocks.expanded(parts(delivery, said) | variants.parts(delivery))
    complete(sources)
    for each in attachments.findings(delivery):
        if each.weight is Weight.STOPS:
            raise Invalid(f"{each.title}. {each.text}")
    if Format(delivery.content_format) is Format.TEXT and not sources["text"].strip():
        raise Invalid(
            _("The messages are to be text only, and there is no text: write it, or make it of the HTML.")
        )
    sources = tracking.with_parameters(sources, said.params)
    paths = templates.fields(sources | ({"by": spoken.by} if spoken.of else {}))
    config = django_settings.ENVOI.config
    tracked = tracking.Tracked(sources)
    if config.tracking.url and said.tracking:
        tracked = tracking.track(
            delivery, sources, opens=said.opens, now=now, said=said.links, params=said.params
        )
    finished = tracking.own_pages(tracked.sources)
    if file_target.concerns(delivery.mapping) or said.mirror in (settings.NEVER, settings.BY_ID):
        # A mirror page is made of a row of the target, which a file has not (delivery.md §2.10).
        tracked.own.pop(addresses.MIRROR, None)
    data = keeping.keep_data(run, delivery, paths)
    coupon = coupons.assign(run, delivery, said.coupon) if "coupon.value" in paths else None
    found, missing = reading.prepare(
        paths,
        delivery.mapping,
        actor=actor,
        now=now,
        data=data,
        further=wanted_format(delivery),
        coupon=coupon,
        loops=loops.of(sources),
    )
    kept, _new = DeliveryContent.objects.update_or_create(
        run=run,
        defaults={
            "delivery": delivery,
            "templates": finished,
            "query": found.kept(),
            "settings": {
                "said": said.said(),
                "format": delivery.content_format,
                "limit": sending.read(delivery.sending).personalisation,
                "constants": constants(delivery),
                "own": tracked.own,
                "by": spoken.by,
                "used": [each for each in addresses.PAGES if f"message.{each}" in paths],
            },
            "links": tracked.links,
            "frozen_at": now,
        },
    )
    keeping.keep_seeds(run, delivery, found, actor=actor)
    slow = _try_one(kept)
    _count_languages(run, delivery, spoken, data, actor=actor)
    many = [each for each in attachments.findings(delivery) if each.weight is Weight.LOOK]
    warned = {
        "attachments": {"count": len(said.attachments) if many else 0},
        "slow": {"error": slow},
        "data_missing": {"names": ", ".join(missing)},
        "untracked": {"links": ", ".join(tracked.untracked)},
    }
    for code, detail in warned.items():
        if any(detail.values()):
            job_log.write(delivery, code, actor=actor, run=run, level=JobLevel.WARNING, **detail)


def _count_languages(
    run: DeliveryRun, delivery: Delivery, said: variants.Variants, data: Population | None, *, actor: Actor
) -> None:
    """Count the messages of each variant, for the delivery's log and for reports."""
    if not said.of:
        return
    found = counting.count(run, delivery.mapping, said, actor=actor, now=clock.now(), data=data)
    if found is None:
        return
    run.counts = {**run.counts, "variants": {k or said.language: v for k, v in found.of.items()}}
    run.save(update_fields=["counts"])
    nothing = _("no language")
    job_log.write(
        delivery, "languages", actor=actor, run=run, languages=counting.spoken(found.of, said.language or "–")
    )
    if found.without:
        job_log.write(
            delivery, "untranslated", actor=actor, run=run, level=JobLevel.WARNING,
            count=found.without.total(), languages=counting.spoken(found.without, nothing),
        )  # fmt: skip


def _try_one(kept: DeliveryContent) -> str:
    """Make the first message, so that what is wrong with all of them is known before any is sent; returns
    what is said when that takes too long: whether the others do is known when they are sent. Raises
    CannotRender.
    """
    made = frozen.Content(kept, most=templates.UNASKED)
    for row in made.first():
        try:
            for each in (made, *made.variants.values()):
                each.render(row)
        except templates.TooLong as error:
            return str(error)
    return ""


def forget(run: DeliveryRun) -> None:
    """Remove the content of a run with its data, in the caller's transaction; links stay for their clicks."""
    keeping.drop_data(run)
    coupons.release(run)
    DeliveryContent.objects.filter(run=run).delete()
    DeliverySeed.objects.filter(run=run).delete()


def parts(delivery: Delivery, said: settings.ContentSettings) -> dict[str, str]:
    """Return the templates of a delivery by the names of `templates.PARTS`."""
    to_name = said.to_name
    if "recipient.fullName" in to_name:
        # Not every dimension knows how its people are called.
        person = reading.person_schema(delivery.mapping)
        if person is None or "fullName" not in person.attributes:
            to_name = ""
    texts = variants.whole(delivery)
    return {
        "subject": texts["subject"],
        "html": texts["html_source"],
        "text": texts["text_source"],
        "from_name": texts["from_name"],
        "from_address": delivery.from_address or django_settings.ENVOI.config.sending.sender,
        "reply_to": delivery.reply_to,
        "to_name": to_name,
    }


def expanded(delivery: Delivery, said: settings.ContentSettings) -> dict[str, str]:
    """Return the templates that a delivery holds, of its own content or of a variant, with their blocks put
    in. Raises Invalid.
    """
    start = f"{delivery.variant}/" if delivery.variant else ""
    made = blocks.expanded({f"{start}{name}": text for name, text in parts(delivery, said).items()})
    return {name.removeprefix(start): text for name, text in made.items()}


def written(delivery: Delivery) -> dict[str, str]:
    """Return HTML and text of a delivery with their blocks put in; as they are when a block is not there."""
    sources = {"html": delivery.html_source, "text": delivery.text_source}
    try:
        return blocks.expanded(sources)
    except Invalid:
        return sources


def complete(sources: Mapping[str, str]) -> None:
    """Raise Invalid when something is missing without which no message can be sent, or is not understood."""
    if not sources["subject"].strip():
        raise Invalid(_("The message has no subject: write one."))
    if not (sources["html"].strip() or sources["text"].strip()):
        raise Invalid(_("The message is empty: write its HTML or its text."))
    if not sources["from_address"].strip():
        raise Invalid(_("The message has no sender: give its address, or set [sending] sender."))
    for name, source in sources.items():
        if mark := _FOREIGN.search(source):
            raise Invalid(
                _("%(part)s: the mark %(mark)s cannot be carried out: write it with {{ … }} or {%% … %%}.")
                % {"part": templates.spoken(name), "mark": mark[0][:80]}
            )


def wanted_format(delivery: Delivery) -> dict[str, str]:
    """Return where it stands which format a reader wants, when the delivery asks for that."""
    expr = delivery.mapping.addresses.get("format", "")
    texts = [{"html": delivery.html_source, "text": delivery.text_source}]
    of = variants.parts(delivery)
    texts += [variants.sources(of, each) for each in variants.languages(of)]
    both = any(each.get("html") and each.get("text") for each in texts)
    return (
        {reading.FORMAT: expr}
        if both and expr and Format(delivery.content_format) is Format.PREFERENCE
        else {}
    )


def constants(delivery: Delivery) -> dict[str, Any]:
    """Return what templates see that is the same in all messages."""
    by = delivery.created_by
    return {
        "delivery": {
            "id": delivery.pk,
            "internalName": delivery.internal_name,
            "label": delivery.label,
            "code": delivery.code,
            "description": delivery.description,
        },
        "operator": {"name": by.name, "label": by.label, "email": by.email} if by else {},
        "variables": delivery.variables,
        "coupon": coupons.shown(settings.read(delivery.content).coupon),
    }
