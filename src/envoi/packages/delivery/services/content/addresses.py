"""Addresses within one message: its tracked links, our own pages, how to unsubscribe."""

from collections.abc import Callable, Mapping, Sequence

from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.redirection.tags import Tags

UNSUBSCRIBE, MIRROR = "unsubscribeUrl", "mirrorUrl"
PREFERENCES, FORWARD, SHARE = "preferencesUrl", "forwardUrl", "shareUrl"
REGISTRATION = "registrationUrl"
PAGES = (UNSUBSCRIBE, MIRROR, PREFERENCES, FORWARD, SHARE, REGISTRATION)
"""Our own pages, as templates call them."""
SHARED = "share"
"""The parameter of a mirror page that anybody may see: nothing in it is personal."""
_PLACES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    UNSUBSCRIBE: (UNSUBSCRIBE, tags.PATH, ()),
    MIRROR: (MIRROR, tags.PATH, ()),
    PREFERENCES: (UNSUBSCRIBE, tags.PREFERENCES, ()),
    FORWARD: (MIRROR, tags.FORWARD, ()),
    SHARE: (MIRROR, tags.PATH, (SHARED,)),
    REGISTRATION: (UNSUBSCRIBE, tags.SUBSCRIBE, ()),
}
"""Of each page the link that must be there, its path, and what its address says beside. The link is counted
where the path is that of links: to prefer is not to leave.
"""


class Addresses:
    """Those of the message that `of` has named last. Without `made`, nothing is tracked: there is no mirror
    page then, and who unsubscribes writes a mail.
    """

    def __init__(
        self, delivery_id: int, links: Sequence[int], own: Mapping[str, int], made: Tags | None
    ) -> None:
        self.mail = ""
        self._log = ""
        self._delivery = f"{delivery_id:x}"
        self._links = [f"{each:x}" for each in links]
        self._own = {name: f"{number:x}" for name, number in own.items()}
        self._tags = made

    def of(self, log_id: int, mail: str) -> None:
        """Speak of this message from now on; `mail` is where it is unsubscribed by mail."""
        self._log, self.mail = f"{log_id:x}", mail

    def unsubscribe(self) -> str:
        """Return the address where one request unsubscribes (RFC 8058); empty when nothing is tracked."""
        if self._tags is None:
            return ""
        link = self._own[UNSUBSCRIBE]
        return self._tags.make("h", self._log, self._delivery, link, path=tags.UNSUBSCRIBE)

    def page(self, name: str, form: str = "h") -> str:
        """Return the address of one of our pages."""
        if self._tags is not None:
            link, path, params = _PLACES[name]
            own = self._own.get(link)
            counted = own if own and path == tags.PATH else "0"
            return self._tags.make(form, self._log, self._delivery, counted, params, path=path) if own else ""
        return f"mailto:{self.mail}?subject=unsubscribe" if name == UNSUBSCRIBE else ""

    def functions(self) -> Mapping[str, Callable[..., str]]:
        """Return what templates call: links and pages, in HTML as values of attributes."""

        def html(number: int, *params: object) -> str:
            return self._link("h", number, params).replace("&", "&amp;")

        def text(number: int, *params: object) -> str:
            return self._link("t", number, params)

        def html_page(name: str) -> str:
            return self.page(name).replace("&", "&amp;")

        def text_page(name: str) -> str:
            return self.page(name, "t")

        def opened() -> str:
            return self._made("h", f"{tags.OPEN:x}").replace("&", "&amp;")

        return {
            "_html": html,
            "_text": text,
            "_html_page": html_page,
            "_text_page": text_page,
            "_open": opened,
        }

    def _link(self, form: str, number: int, params: Sequence[object]) -> str:
        link = self._links[number]
        if not params:
            return self._made(form, link)
        return self._made(form, link, ["" if each is None else str(each) for each in params])

    def _made(self, form: str, link: str, params: Sequence[str] = ()) -> str:
        assert self._tags is not None  # noqa: S101 templates with links are made with tags
        return self._tags.make(form, self._log, self._delivery, link, params)
