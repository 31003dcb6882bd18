"""Read the notifications that a sending service mails as JSON instead of a report (Amazon SES over SNS).

Mail servers on the way may have broken the lines, so that it is no JSON any more; what is needed is found in
what is left of it.
"""

import re
from dataclasses import dataclass

from envoi.packages.delivery.services.bounces.parse import Fields

BOUNCE, COMPLAINT, DELIVERY = "bounce", "complaint", "delivery"

_KIND = re.compile(r'"(?:notificationType|eventType)"\s*:\s*"(Bounce|Complaint|Delivery)"')
_LISTED = re.compile(r'"(?:bouncedRecipients|complainedRecipients)"\s*:\s*\[([^\]]*)\]')
_ONE = re.compile(r"\{([^{}]*)\}")
_PAIR = re.compile(r'"(\w+)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_DELIVERED = re.compile(r'"recipients"\s*:\s*\[([^\]]*)\]')
_BROKEN = re.compile(r"!?\n[ \t]+")
_NAMES = {
    "emailAddress": "final-recipient",
    "action": "action",
    "status": "status",
    "diagnosticCode": "diagnostic-code",
}


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification. `blocks`: one a recipient, as in a delivery report."""

    kind: str
    blocks: list[Fields]


def read(text: str) -> Notification | None:
    """Return what a notification says, or None when a text is none."""
    if "notificationType" not in text and "eventType" not in text:
        return None
    text = _BROKEN.sub("", text).replace('\\"', '"')
    kind = _KIND.search(text)
    if not kind:
        return None
    if kind[1] == "Delivery":
        found = _DELIVERED.search(text)
        addresses = re.findall(r'"([^"]+)"', found[1]) if found else []
        blocks: list[Fields] = [{"final-recipient": [each], "action": ["delivered"]} for each in addresses]
    else:
        listed = _LISTED.search(text)
        blocks = [_block(one[1]) for one in _ONE.finditer(listed[1])] if listed else []
    return Notification(kind[1].lower(), blocks) if blocks else None


def _block(text: str) -> Fields:
    pairs = {_NAMES[name]: [value] for name, value in _PAIR.findall(text) if name in _NAMES}
    pairs.setdefault("final-recipient", [""])
    pairs.setdefault("action", ["failed"])
    return pairs
