"""Messages from a skeleton: what a standard parser reads is what was put in."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending import dkim
from envoi.packages.delivery.services.sending.identity import Identity, Log
from envoi.packages.delivery.services.sending.mime import Attachment, Head, Skeleton

WHEN = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
IDENTITY = Identity("bounces.example.org", b"secret")
FREE = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)


def head(**changes: Any) -> Head:
    values: dict[str, Any] = {
        "message_id": IDENTITY.message_id(5, 77),
        "date": WHEN,
        "from_name": "Mode & Cie",
        "from_address": "news@example.org",
        "to_name": "Ana",
        "to_address": "ana@there.example",
        "subject": "Hello",
    }
    return Head(**values | changes)


def read(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def check_lines(data: bytes) -> None:
    assert data.endswith(b"\r\n")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998


def plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=FREE, subject=FREE, text=FREE, html=FREE)
def test_whatever_a_profile_holds_stays_in_its_place(name: str, subject: str, text: str, html: str) -> None:
    for encoding in ("quoted-printable", "base64"):
        skeleton = Skeleton(text=True, html=True, encoding=encoding)
        data = skeleton.build(head(to_name=name, subject=subject), text=text, html=html)
        check_lines(data)
        assert data.isascii()
        message = read(data)
        assert message.keys() == [
            "Date",
            "From",
            "To",
            "Subject",
            "Message-ID",
            "MIME-Version",
            "Content-Type",
        ]
        assert message["To"].addresses[0].addr_spec == "ana@there.example"
        assert len(message["To"].addresses) == 1
        parts = list(message.iter_parts())
        assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
        for part, meant in zip(parts, (text, html), strict=True):
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            assert plain(payload.decode()) == plain(text=meant)


@pytest.mark.parametrize(
    "value",
    [
        "x\r\nBcc: all@example.org",
        "x\nBcc: all@example.org",
        "x\rBcc: all@example.org",
        "x\u2028Bcc: a",
        "x\x85Bcc: a",
        "é\r\n\r\n<script>",
        '" <evil@example.org>, "',
        "=?utf-8?q?=0D=0ABcc:_x?=",
    ],
)
def test_a_name_or_subject_cannot_make_a_header(value: str) -> None:
    data = Skeleton(text=True, html=False).build(
        head(to_name=value, from_name=value, subject=value), text="hi"
    )
    check_lines(data)
    message = read(data)
    assert "Bcc" not in message
    assert [each.addr_spec for each in message["To"].addresses] == ["ana@there.example"]
    assert [each.addr_spec for each in message["From"].addresses] == ["news@example.org"]
    assert message.get_content().strip() == "hi"


@pytest.mark.parametrize("address", ["a@b\r\nBcc: x@y", "a b@c", "<a@b>", "", "a@", "@b", "a@bücher.example"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Invalid, match="not an e-mail address"):
        Skeleton(text=True, html=False).build(head(to_address=address), text="x")


@pytest.mark.parametrize(
    "subject",
    [
        "Grüße aus Köln",
        "x" * 300,
        "word " * 400,
        "x" * 2000,
        "日本語の件名" * 30,
        "",
        " ",
        "a=?b",
        "😀" * 100,
    ],
)
def test_subjects_come_through(subject: str) -> None:
    data = Skeleton(text=True, html=False).build(head(subject=subject, to_name=subject[:120]), text="x")
    check_lines(data)
    assert read(data)["Subject"].strip() == subject.strip()


def test_long_lines_and_odd_text_come_through() -> None:
    text = "x" * 5000 + "\n.\n..\nFrom here\ntrailing \nblanks\t\n=3D\n--boundary\n\n\nend"
    html = "<p>" + "é" * 3000 + "</p>"
    for encoding in ("quoted-printable", "base64"):
        data = Skeleton(text=True, html=True, encoding=encoding).build(head(), text=text, html=html)
        check_lines(data)
        parts = list(read(data).iter_parts())
        contents = [part.get_content() for part in parts]  # type: ignore[union-attr]
        assert [each.replace("\r\n", "\n").removesuffix("\n") for each in contents] == [text, html]


def test_files_inside_and_beside() -> None:
    logo = Attachment("logo.png", "image/png", b"\x89PNG\r\n" * 100, content_id="logo")
    terms = Attachment('Bedingungen "neu" für Käufer ' + "x" * 80 + ".pdf", "application/pdf", b"%PDF" * 999)
    data = Skeleton(text=True, html=True, attachments=[logo, terms]).build(
        head(), text="text", html='<img src="cid:logo">'
    )
    check_lines(data)
    message = read(data)
    assert message.get_content_type() == "multipart/mixed"
    alternative, pdf = message.iter_parts()
    assert pdf.get_filename() == terms.name
    assert pdf.get_payload(decode=True) == terms.content
    assert isinstance(alternative, EmailMessage)
    text, related = alternative.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert isinstance(related, EmailMessage)
    page, image = related.iter_parts()
    assert page.get_content_type() == "text/html"
    assert image["Content-ID"] == "<logo>"
    assert image.get_payload(decode=True) == logo.content
    assert data.count(b"multipart/") == 3


def test_unsubscription_in_one_click_only_where_a_post_is_answered() -> None:
    skeleton = Skeleton(text=True, html=False)
    web = read(skeleton.build(head(unsubscribe="https://e.example/u?id=1"), text="x"))
    assert web["List-Unsubscribe"] == "<https://e.example/u?id=1>"
    assert web["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    mail = read(skeleton.build(head(unsubscribe_mail="u@e.example"), text="x"))
    assert mail["List-Unsubscribe"] == "<mailto:u@e.example?subject=unsubscribe>"
    assert "List-Unsubscribe-Post" not in mail


def test_addresses_beyond_ascii_are_written_as_they_are() -> None:
    data = Skeleton(text=True, html=False).build(head(to_address="jörg@there.example"), text="x")
    assert "To: Ana <jörg@there.example>\r\n".encode() in data


@given(run=st.integers(0, 2**63 - 1), id=st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_return_address_tells_its_log(run: int, id: int) -> None:
    address = IDENTITY.return_address(run, id)
    assert len(address.split("@")[0]) <= 64
    assert IDENTITY.read(address) == Log(run, id)
    assert IDENTITY.read(address.upper()) == Log(run, id)
    assert IDENTITY.read(f"<{IDENTITY.message_id(run, id)}>") == Log(run, id)
    assert Identity("bounces.example.org", b"other").read(address) is None


def test_others_cannot_speak_for_a_log() -> None:
    address = IDENTITY.return_address(1, 2)
    assert IDENTITY.read(address.replace("b-1-2", "b-1-3")) is None
    assert IDENTITY.read("ana@there.example") is None
    assert IDENTITY.read("b-1-2-0000000000@x") is None
    assert "secret" not in repr(IDENTITY)


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=120), st.sampled_from([".", "..a", " ", "a \t", "=", "é" * 40, "x" * 75 + ".y"])
    )
).map("\n".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, page=TEXTS)
def test_lines_encoded_once_are_what_the_whole_would_be(text: str, page: str) -> None:
    skeleton = Skeleton(text=True, html=True)
    key = dkim.read_key("example.org", "s", KEY)
    for _time in range(2):  # the second time from what is kept
        made = skeleton.make(head(), text=text, html=page, keys=[key], at=1)
        plain = skeleton.build(head(), text=text, html=page)
        assert made.data == dkim.sign(plain, [key], at=1)
        assert made.dotted == (b"\r\n." in made.data)
        check_lines(made.data)
        parts = [part.get_payload(decode=True) for part in email.message_from_bytes(made.data).walk()][1:]
        for part, wanted in zip(parts, (text, page), strict=True):
            assert isinstance(part, bytes)
            lines = wanted.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            assert part.replace(b"\r\n", b"\n").rstrip(b"\n") == lines.rstrip(b"\n")


KEY = dkim.new_key("ed25519")
