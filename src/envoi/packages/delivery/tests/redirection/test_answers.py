"""What is answered, without a process: hostile tags, hostile requests, links, ids, cookies, lines."""

import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.packages.delivery.services.redirection import cookies, links, proxies, tags, web_tags
from envoi.packages.delivery.services.redirection.answering import Places, Redirection
from envoi.packages.delivery.services.redirection.http import Connection, Front
from envoi.packages.delivery.services.redirection.ids import PROCESSES, Ids
from envoi.packages.delivery.services.redirection.lines import COLUMNS, plain
from envoi.packages.delivery.services.redirection.moments import Moments
from envoi.packages.delivery.services.redirection.segments import Segments

MADE = tags.Tags("http://t.example", b"k" * 32)
TARGET = MADE.make("h", "617791", "a1", "2", ("C1", "é&=")).removeprefix(MADE.address)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Known(links.Links):
    """One delivery, a1, with one link; the database is never asked."""

    def __init__(self):
        super().__init__(self.fails, fresh=1e9)
        found = {"1": links.Link(links.OPENED), "2": links.link(1, "https://shop.example/a?x=$(p1)")}
        self._known["a1"] = links.Known(found, float("inf"), "", 0.0)

    def fails(self):
        raise AssertionError

    def of(self, delivery, wanted, came=None):
        return self._known.get(delivery)


class Transport:
    """Keeps what a connection writes."""

    def __init__(self):
        self.written, self.closed = b"", False

    def write(self, data):
        assert not self.closed
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def get_extra_info(self, _name):
        return ("127.0.0.1", 1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracking")
    written = Segments(folder, Ids(1))
    site = Redirection(
        MADE,
        Known(),
        lambda: written,
        Places("https://console.example"),
        setting=cookies.Setting(secure=False, elsewhere=False),
        trusted=proxies.Trusted(),
        moments=Moments(lambda: NOON),
    )

    def lines():
        return [line for path in sorted(folder.iterdir()) for line in path.read_bytes().split(b"\n") if line]

    return SimpleNamespace(site=site, lines=lines, segments=written, folder=folder)


def said(site, *pieces):
    transport = Transport()
    connection = Connection(Front(site, lambda flush: flush()))
    connection.connection_made(transport)
    for piece in pieces:
        if not transport.closed:
            connection.data_received(piece)
    return transport


def get(target):
    return b"GET " + target + b" HTTP/1.1\r\nHost: t.example\r\n\r\n"


def statuses(written):
    """Return the status of each response; fails unless they are whole and nothing stands between them."""
    found = []
    while written:
        head, mark, rest = written.partition(b"\r\n\r\n")
        assert mark
        assert head.startswith(b"HTTP/1.1 ")
        sizes = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        found.append(int(head[9:12]))
        written = rest[int(sizes[0].partition(b":")[2]) :] if sizes else rest
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(TARGET) - 1),
    st.integers(0, len(TARGET)),
    st.one_of(
        st.text(st.characters(codec="latin-1"), max_size=20),
        st.sampled_from(["", "&s=1", "%00", "\t", "&p1=", ",", "h", "\0"]),
    ),
)
def test_a_tag_that_was_touched_is_404_and_leaves_no_line(stage, start, length, put):
    touched = TARGET[:start] + put + TARGET[start + length :]
    if touched == TARGET or any(letter in touched for letter in " \r\n") or "tagid=" in touched:
        return
    if not touched.startswith("/"):
        touched = "/" + touched
    before = len(stage.lines())
    written = said(stage.site, get(touched.encode("latin-1"))).written
    assert statuses(written) == [404], touched
    assert b"ocation:" not in written
    assert b"ookie:" not in written
    assert len(stage.lines()) == before


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    get(TARGET.encode()),
                    b"GET " + TARGET.encode() + b" HTTP/1.0\r\n",
                    b"\r\n\r\n",
                    b"Host: x\r\n",
                    b"Content-Length: 5\r\n",
                    b"Content-Length: +5\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Expect: 100-continue\r\n",
                    b"POST /r/u/? HTTP/1.1\r\n",
                    b"Connection: close\r\n",
                    b"Cookie: nlid=\xff|; uuid230=x\r\n",
                    b"\0",
                ]
            ),
        ),
        max_size=8,
    )
)
def test_bytes_of_any_kind_get_whole_answers_and_whole_lines(stage, pieces):
    written = said(stage.site, *pieces).written.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert set(statuses(written)) <= {200, 302, 400, 404, 405, 411, 413, 414, 431}
    for line in stage.lines():
        assert len(line.split(b"\t")) == len(COLUMNS)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /r/u/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /r/u/ HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\n", 400),
        (b"POST /r/u/ HTTP/1.1\r\nHost: x\r\nX: a\n content-length: 1\r\n\r\n", 400),
        (b"POST /r/u/ HTTP/1.1\r\nHost: x\r\nX: a\r\n Content-Length: 1\r\n\r\n", 400),
        (b"POST /r/u/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /r/u/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000, 431),
    ],
)
def test_what_could_be_read_in_two_ways_closes_the_connection(stage, request_, status):
    found = said(stage.site, request_, get(b"/healthz"))
    assert (statuses(found.written), found.closed) == ([status], True)


def test_requests_come_in_pieces_and_several_at_a_time(stage):
    one = get(TARGET.encode())
    found = said(stage.site, one[:7], one[7:40], one[40:] + one + one[:5], one[5:])
    assert (statuses(found.written), found.closed) == ([302, 302, 302], False)
    posted = (
        b"POST " + MADE.make("h", "1", "a1", "3", path=tags.UNSUBSCRIBE).removeprefix(MADE.address).encode()
    )
    form = posted + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n"
    found = said(stage.site, form, b"List-Unsubscribe=One-Click" + get(b"/healthz"))
    assert statuses(found.written) == [200, 200]
    asked = said(stage.site, form.replace(b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n"), b"x" * 26)
    assert asked.written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    old = said(stage.site, get(b"/healthz").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert old.closed
    proxied = said(stage.site, get(b"http://t.example" + TARGET.encode()))
    assert statuses(proxied.written) == [302]


def test_a_connection_that_says_nothing_whole_is_closed(stage):
    transport = Transport()
    connection = Connection(Front(stage.site, lambda flush: flush()))
    connection.connection_made(transport)
    connection.wait(60)
    assert not transport.closed
    connection.data_received(b"GET /heal")
    connection.wait(10)
    connection.data_received(b"t")
    assert not transport.closed
    connection.wait(10)
    assert transport.closed, "bytes that trickle in are no request"


@pytest.mark.parametrize(
    ("stored", "params", "address"),
    [
        ("https://a.example/?x=$(p1)&y=$(p2)", "p1=a%26b&p2=c", "https://a.example/?x=a%26b&y=c"),
        ("https://a.example/?x=$(p1)&y=$(p2)#$(p1)", "p1=a", "https://a.example/?x=a&y=#$(p1)"),
        ("https://$(p1).example/$(p1)?x=1", "p1=evil", "https://$(p1).example/$(p1)?x=1"),
        ("https://a.example/#?x=$(p1)", "p1=evil", "https://a.example/#?x=$(p1)"),
        ("https://a.example/é ?q=ü\r\nX: y", "", "https://a.example/%C3%A9%20?q=%C3%BC%0D%0AX:%20y"),
        ("javascript:alert(1)", "", None),
        ("//a.example/", "", None),
    ],
)
def test_parameters_are_filled_in_the_query_alone(stored, params, address):
    found = links.link(links.CLICK, stored)
    assert (found and found.address(params)) == address


def test_ids_are_never_given_twice_and_rise():
    mine, other = Ids(7), Ids(7 + PROCESSES + 1)
    made = [number for _ in range(20) for number in mine.take(100)]
    assert made == sorted(set(made))
    assert not set(made) & set(other.take(2000))
    assert 0 < made[0] < made[-1] < 2**63


def test_segments_close_by_age_and_size_and_carry_their_name(tmp_path):
    old = Segments(tmp_path, Ids(1), seconds=0.0)
    old.append(["x"])
    old.close_old()
    (closed,) = tmp_path.glob("*.ready")
    assert closed.read_bytes().endswith(f"\tx\t{closed.stem}\n".encode())
    full = Segments(tmp_path, Ids(2), size=100)
    for _ in range(10):
        full.append(["y" * 40, "z"])
    assert len(list(tmp_path.glob("*.ready"))) >= 5
    full.close()
    assert not list(tmp_path.glob("*.open"))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_a_text_never_leaves_its_field(text):
    found = plain(text)
    assert found.isprintable() or not found
    assert "\t" not in found
    assert "\n" not in found
    assert found.count("\\") % 2 == 0


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="latin-1"), max_size=300))
def test_web_tags_are_short_and_printable_whatever_they_say(text):
    found = web_tags.read(f"tagid=home&{text}")
    if found is not None:
        assert len(found.extra(session="1,2", last="3")) < 2048
        assert found.extra().isprintable()


def test_a_refusal_is_heard_among_other_cookies():
    found = cookies.read("a=b; acoptout=1; nlid=1f|2e; nllastdelid=2e; uuid230=; x")
    assert found == cookies.Cookies("", "1f,2e", "2e", True)
    assert cookies.read("nlid=<script>|1; nllastdelid=zz; uuid230='; acoptout=0") == cookies.NONE


def test_the_process_that_answers_has_no_django():
    done = subprocess.run(
        [
            sys.executable, "-P", "-c",
            "import sys, envoi.app.track, envoi.cli.track\n"
            "print([name for name in sys.modules if name.split('.')[0] == 'django'])",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
