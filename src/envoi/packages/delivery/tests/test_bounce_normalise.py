"""Texts without what differs from mail to mail (delivery.md §3.3)."""

import pytest

from envoi.packages.delivery.services.bounces import factorised, key
from envoi.packages.delivery.services.bounces.normalise import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("550 5.1.1 <anna@example.com>: User unknown", "550 5.1.1 *: User unknown"),
        ("550 user 123 at x@y.example", "550 user #NUMBER# at *"),
        ("452 4.2.2 The account is over quota. Try https://support.example/x?y=1 - gsmtp",
         "452 4.2.2 The account is over quota. Try #URL# - gsmtp"),
        ("421 4.7.0 [192.0.2.1] deferred at 2021-04-29T10:11:12Z", "421 4.7.0 [#IP#] deferred at #DATE#"),
        ("connect to mx.example.com[2001:db8:0:1:2:3:4:5]:25: timed out",
         "connect to #DOMAIN#[#IP#]:#NUMBER#: timed out"),
        ("queued as 4N1jYH5mF8z1wYv2 on Thu, 29 Apr 2021 12:00:00 +0000", "queued as #ID# on #DATE#"),
        ("550-5.1.1 The account that you tried\n550-5.1.1 to reach does not exist",
         "550 5.1.1 The account that you tried to reach does not exist"),
        ("  many \n   blanks  ", "many blanks"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_varies_becomes_a_token(text, expected):
    assert factorised(text) == expected


def test_equal_reasons_have_one_key():
    one = factorised("550 5.1.1 <a@example.com>... User unknown (id 4N1jYH5mF8)")
    other = factorised("550 5.1.1 <bob.x@mail.example.org>...  User unknown (id 7XbbQ2kkL9)")
    assert key(one) == key(other)
    assert key(one) != key(factorised("550 5.1.2 <a@example.com>... User unknown (id 4N1jYH5mF8)"))
    assert len(key(one)) == 32


def test_rules_see_words_only():
    text = "550-5.1.1 <mailbox-full@full.example>: User doesn’t exist. See http://x.example/mailbox/full"
    assert plain(text) == " *: user doesnt exist. see url:x.example "
