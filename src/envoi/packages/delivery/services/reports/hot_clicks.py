"""Hot clicks: the message as it was sent, with the share of clicks over each of its links (delivery.md §11).

Shares are of all clicks. Those on links of personalization blocks, on the opt-out and on the mirror page
are in the whole, but are not drawn.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape

from django.utils.translation import gettext as _

from envoi.kernel.errors import NotFound, Refused
from envoi.packages.delivery.models import Delivery, DeliveryContent, UrlType
from envoi.packages.delivery.services import variants
from envoi.packages.delivery.services.content import frozen, links
from envoi.packages.delivery.services.content.addresses import Addresses
from envoi.packages.delivery.services.reports.clicks import Link

_SCHEME = "envoi-link:"
_IN_HTML = re.compile(rf"<a\b[^<>]*?\bhref\s*=\s*[\"']?\s*({_SCHEME}(\d+))", re.I)
_ANYWHERE = re.compile(rf"{_SCHEME}(\d+)")
_NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_STYLE = """<style>
.envoi-at{position:relative!important;display:inline-block!important;width:0!important;height:0!important;
overflow:visible!important;vertical-align:top!important}
.envoi-hot{position:absolute!important;left:-3px!important;top:-15px!important;z-index:2147483000!important;
padding:1px 6px!important;border:1px solid
#fff!important;border-radius:9px!important;background:#9a3d05!important; color:#fff!important;font:700
12px/16px system-ui,sans-serif!important;letter-spacing:0!important;
white-space:nowrap!important;text-decoration:none!important;box-shadow:0 1px 3px rgba(0,0,0,.45)!important}
.envoi-hot.h2{background:#7d4b00!important}.envoi-hot.h1{background:#3d5470!important}
.envoi-hot.h0{background:#4f5868!important} .envoi-at:target .envoi-hot{outline:3px solid #1a5fd0!important}
</style>"""


class _Named(Addresses):
    """Addresses by which the links of a message are found again; none of them leads anywhere."""

    def __init__(
        self, delivery_id: int, numbers: Sequence[int], own: Mapping[str, int], made: object
    ) -> None:
        super().__init__(delivery_id, numbers, own, None)
        self._numbers = tuple(numbers)

    def page(self, name: str, form: str = "h") -> str:
        return "#"

    def functions(self) -> Mapping[str, Callable[..., str]]:
        def link(number: int, *_params: object) -> str:
            return f"{_SCHEME}{self._numbers[number]}"

        return {
            "_html": link,
            "_text": link,
            "_html_page": self.page,
            "_text_page": self.page,
            "_open": lambda: _NOTHING,
        }


def own_links(delivery: Delivery) -> set[str]:
    """Return where the links lead that stand in the delivery itself, in any of its languages: those of its
    blocks are not among them.
    """
    of = variants.read(delivery.variants).of.values()
    texts = [
        (delivery.html_source, delivery.text_source),
        *((each.get("html_source", ""), each.get("text_source", "")) for each in of),
    ]
    found = [
        links.target(each) for html, text in texts for each in (*links.in_html(html), *links.in_text(text))
    ]
    return {each.url for each in found if each is not None}


def drawable(delivery: Delivery, found: Sequence[Link]) -> set[int]:
    """Return the numbers of the links that are drawn."""
    own = own_links(delivery)
    clickable = [each for each in found if each.type == int(UrlType.CLICK)]
    inside = {each.number for each in clickable if each.url in own}
    # Content that was imported or made anew since says nothing about blocks.
    return inside or {each.number for each in clickable}


def languages(delivery: Delivery) -> list[str]:
    """Return the languages of the variants that the latest analysis has, beside its own content."""
    kept = DeliveryContent.objects.filter(run_id=delivery.run_id).first()
    return list(variants.languages(kept.templates)) if kept is not None else []


def message(delivery: Delivery, badges: Mapping[int, tuple[str, float]], language: str = "") -> str:
    """Return the HTML of the latest analysis, as somebody sees it of whom nothing is known, with a badge
    over each link of `badges`: its text, and its heat from 0 to 1. It holds no link that leads anywhere and
    must be shown where no script runs. Raises NotFound when there is nothing to show.
    """
    kept = DeliveryContent.objects.select_related("run").filter(run_id=delivery.run_id).first()
    if kept is None:
        raise NotFound(_("There is no content of this delivery to show."))
    content = frozen.Content(kept, most=1.0, addresses=_Named, variant=language)
    row = content.of_nobody(0)
    html = content.page(row) if variants.sources(kept.templates, language).get("html") else ""
    if html:
        return _over(html, badges)
    return _in_text(content.render(row).text, badges)


def can_show(delivery: Delivery) -> bool:
    """Return whether the message can be drawn."""
    try:
        message(delivery, {})
    except Refused:
        return False
    return True


def _over(html: str, badges: Mapping[int, tuple[str, float]]) -> str:
    seen: set[int] = set()

    def at(found: re.Match[str]) -> str:
        number = int(found[2])
        whole = found[0].replace(found[1], "#")
        if number not in badges:
            return whole
        return f"{_badge(number, badges[number], seen)}{whole}"

    made = _ANYWHERE.sub("#", _IN_HTML.sub(at, html))
    return links.before_end(made, _STYLE)


def _in_text(text: str, badges: Mapping[int, tuple[str, float]]) -> str:
    seen: set[int] = set()

    def at(found: re.Match[str]) -> str:
        number = int(found[1])
        return f"[{_badge(number, badges[number], seen)}&emsp;&emsp;&emsp;]" if number in badges else "[…]"

    return f"<!doctype html><meta charset=utf-8>{_STYLE}<pre style='white-space:pre-wrap;line-height:1.8'>{_ANYWHERE.sub(at, escape(text))}</pre>"  # noqa: E501


def _badge(number: int, said: tuple[str, float], seen: set[int]) -> str:
    text, heat = said
    place = "" if number in seen else f' id="l{number}"'
    seen.add(number)
    step = 3 if heat >= 0.66 else 2 if heat >= 0.33 else 1 if heat > 0 else 0
    return f'<span class="envoi-at"{place}><span class="envoi-hot h{step}">{escape(text)}</span></span>'
