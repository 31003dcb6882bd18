"""Whoever has to choose a version is asked by mail, and reminded (docs/adr/0033)."""

from datetime import datetime

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from envoi.kernel.mail import system_mail
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import AbTest

REMINDERS = (1, 3, 7)
"""Days after the question."""


def ask(test: AbTest, *, of: Actor, asked_at: datetime, now: datetime) -> None:
    """Post the mails that are due by now to those who answer for the test: `of`, with whose rights it runs,
    and who made the delivery. In the caller's transaction; safe to call again.
    """
    days = [0, *(each for each in REMINDERS if (now - asked_at).days >= each)][-1]
    maker = test.delivery.created_by
    numbers = {of.operator_id, maker.pk if maker else 0}
    people = Operator.objects.filter(pk__in=numbers, disabled=False)
    for person in people.exclude(email="").order_by("pk"):
        with translation.override(person.language or settings.LANGUAGE_CODE):
            _mail(test, person, days)


def _mail(test: AbTest, person: Operator, days: int) -> None:
    config, label = settings.CONFIG, test.delivery.label
    said = (
        _("%(instance)s: choose a version of %(label)s")
        if not days
        else _("%(instance)s: a version of %(label)s still waits to be chosen")
    ) % {"instance": config.instance.name, "label": label}
    text = _(
        "The versions of %(label)s have been tested, and somebody has to choose the one that goes to the "
        "rest. Nothing is sent to them before that.\n\n%(link)s"
    ) % {"label": label, "link": f"{config.web.address}/deliveries/{test.delivery_id}/versions"}
    key = f"ab-test:{test.pk}:{days}:{person.pk}"
    system_mail(person.email, " ".join(said.split()), text, key)
