"""How the content of a delivery is made, as it is kept with it: JSON outside, checked values inside.

    {"tracking": true, "opens": true, "language": "fr", "toName": "{{ recipient.fullName }}",
     "attachments": [12], "mirror": "link", "coupon": 3}

How long making a message may take is said with the sending (`personalisation`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.content import link_settings

_NAMES = {
    "tracking": "tracking", "opens": "opens", "language": "language", "toName": "to_name",
    "attachments": "attachments", "mirror": "mirror", "coupon": "coupon",
    "params": "params", "links": "links",
}  # fmt: skip
LINK, ALWAYS, NEVER, BY_ID = MIRRORS = ("link", "always", "never", "id")
"""Whether there is a mirror page (delivery.md §2.10): where a link leads to it, always, never, or only from
the delivery log.
"""


@dataclass(frozen=True)
class ContentSettings:
    """All of it. Links are tracked only where the instance has an address for readers to reach."""

    tracking: bool = True
    opens: bool = True
    language: str = ""
    """Of dates and numbers; empty: the instance's."""
    to_name: str = "{{ recipient.fullName }}"
    attachments: tuple[int, ...] = ()
    """Numbers of files, in their order."""
    mirror: str = LINK
    """One of `MIRRORS`."""
    coupon: int = 0
    """Number of the coupon that `coupon.value` shows; 0 for none."""
    params: str = ""
    """Parameters that are appended to every link."""
    links: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """What is said about single links; see `link_settings.py`."""

    def said(self) -> dict[str, Any]:
        """Return it as it is kept."""
        values = asdict(self) | {"attachments": list(self.attachments)}
        return {outside: values[inside] for outside, inside in _NAMES.items()}


def read(said: Mapping[str, Any]) -> ContentSettings:
    """Return what is said. Raises Invalid, naming what is wrong."""
    if strange := sorted(set(said) - set(_NAMES)):
        raise Invalid(
            _("The content of a delivery has no %(name)r; known are %(known)s.")
            % {"name": strange[0], "known": ", ".join(_NAMES)}
        )
    for name in ("tracking", "opens"):
        if not isinstance(said.get(name, True), bool):
            raise Invalid(_("%(place)s is true or false.") % {"place": name})
    for name in ("language", "toName"):
        if not isinstance(said.get(name, ""), str):
            raise Invalid(_("%(place)s must be a text.") % {"place": name})
    if said.get("mirror", LINK) not in MIRRORS:
        raise Invalid(_("%(place)s is one of %(known)s.") % {"place": "mirror", "known": ", ".join(MIRRORS)})
    if type(said.get("coupon", 0)) is not int:
        raise Invalid(_("%(place)s is a whole number.") % {"place": "coupon"})
    if not isinstance(said.get("params", ""), str):
        raise Invalid(_("%(place)s must be a text.") % {"place": "params"})
    files: Any = said.get("attachments", [])
    if not isinstance(files, list) or not all(type(each) is int for each in cast("list[Any]", files)):
        raise Invalid(_("%(place)s must be a list of numbers.") % {"place": "attachments"})
    values: dict[str, Any] = {_NAMES[name]: value for name, value in said.items()}
    values["params"] = link_settings.parameters(said.get("params", ""))
    values["links"] = link_settings.read(said.get("links", {}))
    values["attachments"] = tuple(cast("list[int]", files))
    return ContentSettings(**values)
