"""The templates that the product ships, one for each channel (delivery.md §2.5)."""

from typing import Any

from envoi.kernel import clock
from envoi.kernel.models import Folder
from envoi.packages.delivery.models import Channel, Delivery, DeliveryMapping, DeliveryMode

SHIPPED: tuple[tuple[str, str, Channel, DeliveryMode], ...] = (
    ("mail", "E-mail delivery", Channel.EMAIL, DeliveryMode.BULK),
    ("sms", "SMS delivery", Channel.SMS, DeliveryMode.BULK),
    ("phone", "Phone delivery", Channel.PHONE, DeliveryMode.EXTERNAL),
    ("paper", "Direct mail delivery", Channel.DIRECT_MAIL, DeliveryMode.EXTERNAL),
    ("fax", "Fax delivery", Channel.FAX, DeliveryMode.EXTERNAL),
)


def plant() -> None:
    """Plant those that are not there; one that an operator has changed stays as it is."""
    folder = Folder.objects.get(name="deliveryTemplates")
    mapping = DeliveryMapping.objects.get(name="mapRecipient")
    now = clock.now()
    for name, label, channel, mode in SHIPPED:
        fields: dict[str, Any] = {
            "label": label,
            "is_model": True,
            "built_in": True,
            "message_type": channel,
            "delivery_mode": mode,
            "mapping": mapping,
            "folder": folder,
            "created_at": now,
            "modified_at": now,
        }
        Delivery.objects.get_or_create(internal_name=name, defaults=fields)
