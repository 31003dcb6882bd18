"""Links are found by their place: whatever is none stays byte for byte."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from envoi.packages.delivery.services.content import links
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.redirection.tags import Tag, Tags

KEY = Tags("https://t.example", b"k" * 32)


class Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = (dict(attrs).get("href") or "").strip()
        if tag in ("a", "area") and address.lower().startswith(("http://", "https://")):
            self.found.append(address)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("konsav__promotional", 5),
        ("mailgun__inlined-billing", 1),
        ("sendgrid__paste-templates-digest", 3),
        ("wildbit__basic-full-receipt", 2),
    ],
)
def test_real_messages_change_in_their_links_only(name: str, count: int, pytestconfig: pytest.Config) -> None:
    path: Path = pytestconfig.rootpath / "tests/data/email_templates" / f"{name}.html"
    source = path.read_bytes().decode()
    found = list(links.in_html(source))
    parser = Anchors()
    parser.feed(source)
    assert [each.address for each in found] == parser.found
    assert len(found) == count
    changed = links.replaced(source, iter(found), lambda link: f"\ue000{link.start}\ue001")
    for each in found:
        raw = source[each.start : each.end]
        assert changed.count(f"\ue000{each.start}\ue001") == 1
        changed = changed.replace(f"\ue000{each.start}\ue001", raw)
    assert changed.encode() == path.read_bytes()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('<a class=x href = "http://a.example/?q=1&amp;r=2">', ["http://a.example/?q=1&r=2"]),
        ("<A\nHREF='HTTPS://a.example' >", ["HTTPS://a.example"]),
        ("<a href=http://a.example/b>c</a>", ["http://a.example/b"]),
        ('<a href=" http://a.example ">', ["http://a.example"]),
        ('<a {% if x > 3 %}href="http://a.example"{% endif %}>', ["http://a.example"]),
        ('<a href="http://a.example/?n={{ f("q>") }}">', ['http://a.example/?n={{ f("q>") }}']),
        ('<area href="http://a.example">', ["http://a.example"]),
        ('<a data-href="http://no.example" title="href=http://no.example">', []),
        ('<!--[if mso]><a href="http://no.example"><![endif]-->', []),
        ("<style>a[href='http://no.example']{}</style><script>'<a href=\"http://no\">'</script>", []),
        (
            '<abbr href="http://no"><img src="http://no"><a href="#"><a href="mailto:a@b.example">',
            [],
        ),
    ],
)
def test_links_of_html(source: str, found: list[str]) -> None:
    assert [each.address for each in links.in_html(source)] == found
    assert links.replaced(source, links.in_html(source), lambda link: None) == source


def test_links_of_text_leave_punctuation_out() -> None:
    source = (
        "See (https://a.example/x). Or <http://b.example>, https://c.example/?n={{ recipient.id|urlencode }}!"
    )
    found = [each.address for each in links.in_text(source)]
    assert found == [
        "https://a.example/x",
        "http://b.example",
        "https://c.example/?n={{ recipient.id|urlencode }}",
    ]
    assert links.replaced(source, links.in_text(source), lambda link: "L") == "See (L). Or <L>, L!"


@pytest.mark.parametrize(
    ("address", "url", "params"),
    [
        ("http://a.example/b?c=d#e", "http://a.example/b?c=d#e", ()),
        (
            "http://a.example/?n={{ x.y|urlencode }}&m={{ z }}",
            "http://a.example/?n=$(p1)&m=$(p2)",
            ("x.y", "z"),
        ),
        ("http://{{ x.host }}/", None, ()),
        ("{{ x.url }}", None, ()),
        ("http://a.example/{{ x.y }}?z=1", None, ()),
        ("http://a.example/?a=1#{{ x.y }}", None, ()),
        ("http://a.example/{% if x %}b{% endif %}", None, ()),
    ],
)
def test_only_parameters_may_be_personal(address: str, url: str | None, params: tuple[str, ...]) -> None:
    made = links.target(links.Link(0, 0, address))
    assert (made and made.url, made.params if made else ()) == (url, params)


def test_tags_are_ours_or_none() -> None:
    made = KEY.make("h", "617791", "71ffa3", "71ffa8", ["O’Neil & Co"])
    assert made.startswith("https://t.example/r/?id=h617791,71ffa3,71ffa8&p1=O%E2%80%99Neil%20%26%20Co&s=1")
    target = made.removeprefix("https://t.example")
    assert KEY.read(target) == Tag("/r/", True, 0x617791, 0x71FFA3, 0x71FFA8, ("O’Neil & Co",))
    one_click = KEY.make("t", "a", "b", "c", path=tags.UNSUBSCRIBE).removeprefix(KEY.address)
    assert KEY.read(one_click) == Tag("/r/u/", False, 10, 11, 12, ())
    assert Tags("", b"x" * 32).read(target) is None
    for wrong in (
        target[:-1],
        target + "A",
        target.replace("617791", "617792"),
        target.replace("=h", "=t"),
        target.replace("O%E2", "O%E3"),
        target.replace("&s=1", "&s=2"),
        one_click.replace("/r/u/", "/r/"),
        target.replace("71ffa3", "71FFA3"),
        f"{target}&p2=x",
        "/r/?id=h1,2,3",
        "",
    ):
        assert KEY.read(wrong) is None, wrong
