"""People and machines: what was left out because no reader did it, and how it is told (delivery.md §4.6)."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Figure, Row, Share
from envoi.packages.delivery.models import Automatic
from envoi.packages.delivery.services.reports import machines
from envoi.packages.delivery.services.reports.machines import Makers

TOLD = {
    Automatic.ROBOT: lazy("It calls itself a robot, a script or a library."),
    Automatic.SCANNER: lazy("It calls itself a scanner of a security product."),
    Automatic.GATEWAY: lazy("It comes from the network of a security gateway."),
    Automatic.EARLY: lazy("It came before the server had accepted the message: nobody can have read it."),
    Automatic.BURST: lazy("It followed several links of one message within seconds."),
    Automatic.HIDDEN: lazy("It followed a link that no reader sees."),
    Automatic.PROXY_APPLE: lazy("Apple loads pictures of all mails ahead, read or not."),
    Automatic.PROXY_GMAIL: lazy("Gmail loads pictures for its readers when they open a mail."),
    Automatic.PROXY_YAHOO: lazy("Yahoo loads pictures for its readers."),
    Automatic.PROXY_OTHER: lazy("A proxy loads pictures for its readers."),
}
"""How each maker is told."""


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    found = reading.kept("makers", asked.scope, lambda: machines.makers(asked.scope))
    whole = found.readers + found.machines
    opens = sum(count for maker, count in found.opens.items() if maker <= Automatic.READER)
    return [
        Block(
            "makers",
            _("Who did it"),
            [
                Figure(_("Hits of readers"), Share(found.readers, whole), "readerHits", found.readers),
                Figure(_("Hits of machines"), Share(found.machines, whole), "automatic", found.machines),
                Figure(
                    _("Opens through privacy proxies"),
                    Share(found.proxied, opens),
                    "proxyOpen",
                    found.proxied,
                ),
            ]
            if whole
            else (),
            note=_("Hits of machines stay in the log with their reason and count in no other report."),
            empty=reading.nothing_yet(_("Nothing was opened or clicked yet."), asked.scope),
        ),
        _makers(
            found,
            "machines",
            _("Machines: left out"),
            sorted(maker for maker in found.hits if maker > Automatic.READER),
            _("No hit was told to be of a machine."),
        ),
        _makers(
            found,
            "proxies",
            _("Privacy proxies: counted"),
            sorted((maker for maker in found.hits if maker < Automatic.READER), reverse=True),
            _("No open came through a privacy proxy that is known."),
        ),
    ]


def _makers(found: Makers, name: str, title: str, makers: list[int], empty: str) -> Block:
    whole = sum(found.hits[maker] for maker in makers)
    return Block(
        name,
        title,
        columns=(
            Column(_("How it is told")),
            Column(_("Hits"), "automatic" if name == "machines" else "proxyOpen"),
            Column(_("Share"), "", "k6"),
            Column(_("Opens")),
            Column(_("Clicks")),
            Column(_("Messages")),
        ),
        rows=[
            Row(
                (
                    timeline.spoken("nms:trackingLogRcp", "automatic", maker),
                    found.hits[maker],
                    Share(found.hits[maker], whole),
                    found.opens[maker],
                    found.clicks[maker],
                    found.messages[maker],
                ),
                below=str(TOLD.get(Automatic(maker), "")),
            )
            for maker in makers
        ],
        empty=empty,
    )
