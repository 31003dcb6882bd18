import socket
from ipaddress import ip_address
from typing import Any

import pytest

from envoi.kernel import addresses
from envoi.kernel.errors import Invalid, Retry


def answers(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """Let the resolver answer these addresses for any name."""

    def fake(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",  # noqa: S104
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_an_inner_address_is_refused_though_a_public_one_stands_beside(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    answers(monkeypatch, "93.184.216.34", text)
    with pytest.raises(Invalid, match="private network"):
        addresses.check_host("example.com", 443)


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:4700:4700::1111", "64:ff9b::5db8:d822", "1.1.1.1"])
def test_a_public_address_is_returned_to_connect_to(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    answers(monkeypatch, text, text)
    assert addresses.check_host("example.com", 443) == (ip_address(text),)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "[::1]"])
def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    with pytest.raises(Invalid):
        addresses.check_host(host, 80)


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "a\nb", "a%00b", "a\\b"])
def test_what_is_no_name_never_reaches_the_resolver(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked the resolver"))
    with pytest.raises(Invalid, match="not the name of a host"):
        addresses.check_host(host, 80)


def test_the_configuration_can_allow_networks_and_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "10.1.2.3")
    assert addresses.check_host("crm.internal", 80, allowed=("10.1.0.0/16",)) == (ip_address("10.1.2.3"),)
    assert addresses.check_host("CRM.internal.", 80, allowed=("crm.internal",)) == (ip_address("10.1.2.3"),)
    with pytest.raises(Invalid):
        addresses.check_host("other.internal", 80, allowed=("crm.internal", "10.2.0.0/16"))
    with pytest.raises(Invalid, match="allow_private"):
        addresses.check_host("crm.internal", 80, allowed=("10.1.2.3/16",))


def test_a_resolver_that_is_down_is_not_a_wrong_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(code: int) -> Any:
        def fake(*_: Any, **__: Any) -> None:
            raise socket.gaierror(code, "no")

        return fake

    monkeypatch.setattr(socket, "getaddrinfo", fails(socket.EAI_AGAIN))
    with pytest.raises(Retry):
        addresses.check_host("example.com", 80)
    monkeypatch.setattr(socket, "getaddrinfo", fails(socket.EAI_NONAME))
    with pytest.raises(Invalid, match="no host"):
        addresses.check_host("example.com", 80)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.com",
        "https://",
        "https://a:b@example.com/",
        "https://x:port/",
        "example.com",
    ],
)
def test_urls_of_another_form_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    answers(monkeypatch, "93.184.216.34")
    with pytest.raises(Invalid):
        addresses.check_url(url)


def test_a_plain_url_is_resolved_with_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fake(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    for url in ("https://example.com/x", "http://example.com", "https://example.com:8443/"):
        assert addresses.check_url(url) == (ip_address("1.1.1.1"),)
    assert asked == [443, 80, 8443]
