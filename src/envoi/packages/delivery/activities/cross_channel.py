"""Cross-channel deliveries: a delivery by one channel, for the population that comes in (engine.md §6.3).

XML tags: deliveryEmail, deliverySms, deliveryPaper, deliveryPhone, deliveryFax (our choice).
"""

from collections.abc import Mapping
from typing import ClassVar

from django.utils.translation import gettext_lazy as lazy

from envoi.engine.activities.base import Misconfigured, TaskContext
from envoi.packages.delivery.activities.delivery import DeliveryActivity
from envoi.packages.delivery.models import Channel, Delivery
from envoi.packages.delivery.services import channels

_DEFAULTS: Mapping[str, str] = {"source": "template", "recipients": "transition", "action": "start"}


class EmailDelivery(DeliveryActivity):
    """Parameters: those of a delivery; the template is that of its channel, unless another one is named."""

    type = "deliveryEmail"
    label = lazy("E-mail delivery")
    icon = "mail"
    channel: ClassVar[Channel] = Channel.EMAIL
    defaults: ClassVar[Mapping[str, str]] = _DEFAULTS

    @property
    def template(self) -> str:
        """The template that the product ships for the channel."""
        return channels.of(self.channel).template

    def begin(self, ctx: TaskContext) -> Delivery:
        """Choose or make the delivery, of this channel."""
        delivery = super().begin(ctx)
        if delivery.message_type != self.channel:
            raise Misconfigured(
                f"The delivery {delivery.label} of {ctx.activity.name} is of another channel."
            )
        return delivery


class SmsDelivery(EmailDelivery):
    """As the others, by SMS."""

    type = "deliverySms"
    label = lazy("SMS delivery")
    icon = "sms"
    channel: ClassVar[Channel] = Channel.SMS


class PaperDelivery(EmailDelivery):
    """As the others, by direct mail: a file goes to a provider."""

    type = "deliveryPaper"
    label = lazy("Direct mail delivery")
    icon = "file"
    channel: ClassVar[Channel] = Channel.DIRECT_MAIL


class PhoneDelivery(EmailDelivery):
    """As the others, by telephone: a file goes to a call centre."""

    type = "deliveryPhone"
    label = lazy("Phone delivery")
    icon = "phone"
    channel: ClassVar[Channel] = Channel.PHONE


class FaxDelivery(EmailDelivery):
    """As the others, by fax: a file goes to a provider."""

    type = "deliveryFax"
    label = lazy("Fax delivery")
    icon = "file"
    channel: ClassVar[Channel] = Channel.FAX
