"""The channels that there are: those of delivery, and what other packages bring (architecture §3.10)."""

from django.utils.translation import gettext_lazy as lazy

from envoi.kernel.errors import NotFound
from envoi.packages.delivery.hookspecs import ChannelKind, channels
from envoi.packages.delivery.models import Channel, DeliveryMode

_PERSON = (("@salutation", "Salutation"), ("@firstName", "First name"), ("@lastName", "Last name"))
_LETTER = tuple((f"postalAddress/@line{number}", f"Address line {number}") for number in range(1, 7))
OWN = (
    ChannelKind(
        Channel.EMAIL, "email", lazy("E-mail"), "mail", "email", DeliveryMode.BULK,
        (*_PERSON, ("@email", "E-mail")),
    ),
    ChannelKind(
        Channel.PHONE, "phone", lazy("Telephone"), "phone", "phone", DeliveryMode.EXTERNAL,
        (*_PERSON, ("@phone", "Phone")),
    ),
    ChannelKind(
        Channel.DIRECT_MAIL, "paper", lazy("Direct mail"), "paper", "postal", DeliveryMode.EXTERNAL, _LETTER,
    ),
    ChannelKind(
        Channel.FAX, "fax", lazy("Fax"), "fax", "fax", DeliveryMode.EXTERNAL, (*_PERSON, ("@fax", "Fax")),
    ),
    ChannelKind(
        Channel.SMS, "sms", lazy("SMS"), "sms", "mobile", DeliveryMode.BULK,
        (*_PERSON, ("@mobilePhone", "Mobile")),
    ),
)  # fmt: skip


def known() -> dict[int, ChannelKind]:
    """Return the channels by their codes; the first that is answered for a code counts."""
    found: dict[int, ChannelKind] = {}
    for answer in channels.ask():
        for each in answer:
            found.setdefault(int(each.code), each)
    return found


def of(code: int) -> ChannelKind:
    """Return a channel. Raises NotFound for one that no package brings."""
    kind = known().get(code)
    if kind is None:
        raise NotFound(f"No package brings a channel with the code {code}.")
    return kind


@channels.answer
def own() -> list[ChannelKind]:
    """Return the channels of delivery."""
    return list(OWN)
