"""What happened to a delivery, line by line (the product's XtkJobLog)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from babel import Locale
from babel.numbers import format_decimal
from django.utils import formats, timezone
from django.utils.translation import get_language, gettext_noop, to_locale
from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.errors import Broken
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import (
    ApprovalStep,
    Delivery,
    DeliveryRun,
    FailureReason,
    JobLevel,
    JobLog,
)
from envoi.packages.delivery.services.deliveries import states

TEXTS: Mapping[str, str] = {
    "created": gettext_noop("Made from the template %(template)s."),
    "analysis": gettext_noop("Analysis started."),
    "target": gettext_noop("Target: %(count)s."),
    "excluded": gettext_noop("Excluded: %(count)s (%(reason)s)."),
    "control": gettext_noop("Control group: %(count)s get no message."),
    "seeds": gettext_noop("Seed addresses added: %(count)s."),
    "ready": gettext_noop("Analysis ended: %(count)s messages to deliver."),
    "confirmed": gettext_noop("Confirmed."),
    "waves": gettext_noop("Waves: %(count)s; the last one starts at %(start)s."),
    "local_date": gettext_noop("Sending at the local time of recipients needs a contact date."),
    "pause": gettext_noop("Pause asked."),
    "resumed": gettext_noop("Resumed."),
    "stop": gettext_noop("Stop asked."),
    "reset": gettext_noop("Back to being edited."),
    "scheduled": gettext_noop("The analysis is scheduled for %(start)s."),
    "missed_ready": gettext_noop("The contact date has passed: the delivery does not start by itself."),
    "missed_pause": gettext_noop("The contact date passed before it could start: the delivery is paused."),
    "missed_stop": gettext_noop("The contact date passed before it could start: the delivery is stopped."),
    "proof_made": gettext_noop("A proof is on its way: %(label)s."),
    "resent": gettext_noop("Made for those who did not get %(label)s."),
    "submitted": gettext_noop("Submitted for approval: %(step)s."),
    "approved": gettext_noop("Approved: %(step)s."),
    "rejected": gettext_noop("Not approved: %(step)s. %(comment)s"),
    "past": gettext_noop("The contact date is in the past: the messages go out at once."),
    "unaddressed": gettext_noop(
        "Seed addresses without an address for this channel are left out: %(count)s."
    ),
    "nobody": gettext_noop(
        "There is nobody to deliver to: look at the target and at the causes of exclusions."
    ),
    "proof": gettext_noop("The target of a proof is %(count)s; at most %(most)s are possible."),
    "estimated": gettext_noop("Target estimated: %(count)s messages to deliver."),
    "extracted": gettext_noop("File %(file)s made: %(count)s rows."),
    "unextracted": gettext_noop("The file for the provider could not be made: %(error)s"),
    "file_rejected": gettext_noop("File %(file)s rejected."),
    "handed_over": gettext_noop("File %(file)s handed over to the provider."),
    "doubt_sent": gettext_noop("Messages in doubt that are taken as sent: %(count)s."),
    "doubt_repeat": gettext_noop("Messages in doubt that are sent again: %(count)s."),
    "failed": gettext_noop("The analysis failed: %(error)s"),
    "slow": gettext_noop("A message that was tried: %(error)s"),
    "data_missing": gettext_noop("The workflow gives no %(names)s: it stays empty in the messages."),
    "untracked": gettext_noop(
        "Not tracked, since more than the parameters of the address is personal: %(links)s"
    ),
    "attachments": gettext_noop("Many files go with each message: %(count)s."),
    "languages": gettext_noop("Messages by variant: %(languages)s."),
    "untranslated": gettext_noop(
        "There is no variant in the language of %(count)s readers, who get the default: %(languages)s."
    ),
    "sent": gettext_noop("Sending ended."),
    "expired": gettext_noop("The validity has ended: what was still pending is not sent."),
    "unsendable": gettext_noop("The messages cannot be sent: %(error)s"),
    "content": gettext_noop("The content cannot be sent: %(error)s"),
    "ruled": gettext_noop("Excluded: %(count)s (%(reason)s: %(rule)s)."),
    "rule_elsewhere": gettext_noop("%(rule)s is about other rows than the target, and is not applied."),
    "rule_said": gettext_noop("%(rule)s: %(text)s"),
    "rule_broken": gettext_noop("The control rule does not hold: %(rule)s."),
    "rule_failed": gettext_noop("The control rule %(rule)s failed: %(error)s"),
    "special_subject": gettext_noop("Special characters in the subject: %(found)s."),
    "special_sender": gettext_noop("Special characters in the name of the sender: %(found)s."),
    "weak_sender": gettext_noop(
        "DNS does not say all it should of the sender’s domain %(domain)s: %(found)s. See Sending domains."
    ),
    "special_address": gettext_noop("Special characters in the address of the sender: %(found)s."),
    "unlabelled": gettext_noop("Links without a label: %(found)s."),
    "ampersand": gettext_noop("In links an & should be written &amp;: %(found)s."),
    "no_opt_out_html": gettext_noop("The HTML content has no link to unsubscribe."),
    "no_opt_out_text": gettext_noop("The text content has no link to unsubscribe."),
    "sms_long": gettext_noop("The text takes %(length)s characters: it goes as %(parts)s SMS."),
    "validity_over": gettext_noop("The validity ends at %(until)s, before the delivery starts."),
    "validity_short": gettext_noop(
        "The validity ends at %(until)s: too soon to try a message again that is deferred."
    ),
    "wave_late": gettext_noop("The last wave starts at %(start)s, and the validity ends at %(until)s."),
}
"""Code -> English text; a text is made when somebody reads it, in the reader's language."""
STEPS: Mapping[ApprovalStep, str] = {
    ApprovalStep.TARGET: gettext_noop("Target"),
    ApprovalStep.CONTENT: gettext_noop("Content"),
    ApprovalStep.EXTRACTION: gettext_noop("Extraction"),
    ApprovalStep.PROOF: gettext_noop("Proof"),
    ApprovalStep.START: gettext_noop("Start"),
}
"""What is approved, in English."""


def write(
    delivery: Delivery,
    code: str,
    *,
    actor: Actor,
    run: DeliveryRun | None = None,
    level: JobLevel = JobLevel.INFO,
    **detail: Any,
) -> JobLog:
    """Write a line, in the caller's transaction. `detail` fills the text of `code` in `TEXTS`."""
    if code not in TEXTS:
        raise Broken(f"The log of deliveries has no line {code!r}.")
    return JobLog.objects.create(
        delivery=delivery,
        run=run,
        level=level,
        code=code,
        detail=detail,
        at=clock.now(),
        operator_name=actor.name[:64],
    )


def text(line: JobLog) -> str:
    """Return a line in the reader's language."""
    detail = dict(line.detail)
    if "reason" in detail:
        detail["reason"] = states.spoken(FailureReason(detail["reason"]).label)
    if "step" in detail:
        detail["step"] = _(STEPS[ApprovalStep(detail["step"])])
    if "count" in detail:
        locale = Locale.parse(to_locale(get_language() or "en"))
        detail["count"] = format_decimal(detail["count"], locale=locale)
    for name in ("start", "until"):
        if name in detail:
            detail[name] = _moment(detail[name])
    return _(TEXTS[line.code]) % detail


def _moment(said: str) -> str:
    """Return a date in ISO 8601 on the reader's wall, to the minute."""
    return formats.date_format(timezone.localtime(datetime.fromisoformat(said)), "SHORT_DATETIME_FORMAT")


def worst(run: DeliveryRun) -> JobLevel:
    """Return the highest level among the lines of an analysis."""
    found = JobLog.objects.filter(run=run).order_by("-level").values_list("level", flat=True).first()
    return JobLevel(found or 0)
