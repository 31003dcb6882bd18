"""Forms in which mails come back: reports, letters of many servers, broken ones, and what is none."""

import json
import time
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.packages.delivery.services.bounces import by_message_id, by_return_address, classify
from envoi.packages.delivery.services.bounces.parse import parse

DAEMON = "From: MAILER-DAEMON@mx.example.net\nTo: bounces@example.org\nReturn-Path: <>\n"
ORIGINAL = """\
Received: from mx.example.org by mx.example.net; Thu, 29 Apr 2021 12:00:00 +0000
Return-Path: <news-7f3a@bounce.example.org>
From: News <news@example.org>
To: someone@example.com
Subject: Offers
Message-ID: <d12.7f3a@example.org>

Hello
"""


def mail(text, headers=DAEMON, subject="failure notice"):
    return f"{headers}Subject: {subject}\n\n{text}".encode()


def report(fields, notice="It failed.", charset="us-ascii"):
    text = (
        f"{DAEMON}Subject: Undelivered\nContent-Type: multipart/report; report-type=delivery-status; "
        f"boundary=b\n\n--b\nContent-Type: text/plain; charset={charset}\n\n{notice}\n\n--b\n"
        f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n{fields}\n\n--b\n"
        f"Content-Type: message/rfc822\n\n{ORIGINAL}\n--b--\n"
    )
    return text.encode()


def summary(data):
    verdict = classify(data)
    return verdict.kind, [(one.address, one.error_type, one.reason_code) for one in verdict.recipients]


# --- reports


def test_each_recipient_of_a_report_has_its_own_result():
    fields = (
        "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n"
        "Final-Recipient: rfc822; b@example.com\nAction: failed\nStatus: 5.2.2\n\n"
        "Final-Recipient: rfc822; c@example.com\nAction: delivered\nStatus: 2.0.0"
    )
    assert summary(report(fields)) == (
        "bounce",
        [("a@example.com", "hard", 1), ("b@example.com", "soft", 5), ("c@example.com", "ignored", None)],
    )


def test_blocks_that_run_together_are_told_apart():
    fields = (
        "Original-Recipient: rfc822; a@example.com\nFinal-Recipient: rfc822; a@example.com\nStatus: 5.1.1\n"
        "Final-Recipient: rfc822; b@example.com\nStatus: 5.2.2"
    )
    assert summary(report(fields))[1] == [("a@example.com", "hard", 1), ("b@example.com", "soft", 5)]


def test_the_address_that_was_written_to_is_kept_beside_the_final_one():
    fields = (
        "Original-Recipient: rfc822;shop@example.com\nFinal-Recipient: rfc822; Anna <anna@other.example>\n"
        "Action: failed\nStatus: 5.1.1"
    )
    (one,) = classify(report(fields)).recipients
    assert (one.address, one.sent_to) == ("anna@other.example", "shop@example.com")


def test_a_success_is_no_failure():
    fields = "Final-Recipient: rfc822; a@example.com\nAction: relayed\nStatus: 2.1.9"
    assert summary(report(fields)) == ("other", [("a@example.com", "ignored", None)])


def test_a_report_in_a_plain_text_is_read_too():
    text = "It failed.\n\nFinal-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n"
    assert summary(mail(text)) == ("bounce", [("a@example.com", "hard", 1)])


def test_a_report_says_which_status_the_server_gave():
    fields = (
        "Final-Recipient: rfc822; a@example.com\nStatus: 5.0.0\nDiagnostic-Code: smtp; 552 5.2.2 Over\n quota"
    )
    (one,) = classify(report(fields)).recipients
    assert (one.status, one.text, one.normalised) == ("5.2.2", "552 5.2.2 Over quota", "552 5.2.2 Over quota")


# --- letters


@pytest.mark.parametrize(
    ("text", "address", "meaning"),
    [
        # qmail
        ("Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your "
         "message to the following addresses.\n\n<a@example.com>:\nSorry, no mailbox here by that name. "
         "(#5.1.1)\n\n--- Below this line is a copy of the message.\n\n" + ORIGINAL,
         "a@example.com", ("hard", 1)),
        # Exim
        ("This message was created automatically by mail delivery software.\n\nA message that you sent could "
         "not be delivered to one or more of its\nrecipients. This is a permanent error. The following "
         "address(es) failed:\n\n  a@example.com\n    host mx.example.com [192.0.2.1]\n    SMTP error from "
         "remote mail server after RCPT TO:<a@example.com>:\n    552 5.2.2 mailbox full\n\n------ This is a "
         "copy of the message, including all the headers. ------\n\n" + ORIGINAL,
         "a@example.com", ("soft", 5)),
        # Exim, a delay
        ("A message that you sent has not yet been delivered to one or more of its\nrecipients after more "
         "than 24 hours on the queue on mx.example.net.\n\nThe address to which the message has not yet been "
         "delivered is:\n\n  a@example.com\n    Delay reason: unknown user\n", "a@example.com", ("soft", 3)),
        # Sendmail
        ("   ----- The following addresses had permanent fatal errors -----\n<a@example.com>\n    (reason: "
         "550 5.7.1 Client host blocked)\n\n   ----- Transcript of session follows -----\n... while talking "
         "to mx.example.com.:\n>>> DATA\n<<< 550 5.7.1 Client host blocked\n", "a@example.com", ("soft", 20)),
        # Postfix, without a report
        ("I'm sorry to have to inform you that your message could not\nbe delivered to one or more "
         "recipients.\n\n<a@example.com>: host mx.example.com[192.0.2.1] said: 550\n    5.1.1 "
         "<a@example.com>: Recipient address rejected: User unknown (in reply\n    to RCPT TO command)\n",
         "a@example.com", ("hard", 1)),
        # Gmail
        ("Delivery to the following recipient failed permanently:\n\n     a@example.com\n\nTechnical details "
         "of permanent failure:\nGoogle tried to deliver your message, but it was rejected by the server for "
         "the recipient domain example.com by mx.example.com. [192.0.2.1].\n\nThe error that the other "
         "server returned was:\n550 5.1.1 <a@example.com>... User Unknown\n\n----- Original message -----\n\n"
         + ORIGINAL, "a@example.com", ("hard", 1)),
        # Yahoo
        ("Sorry, we were unable to deliver your message to the following address.\n\n<a@example.com>:\n554: "
         "delivery error: dd This user doesn't have a yahoo.com account\n\n--- Below this line is a copy of "
         "the message.\n\n" + ORIGINAL, "a@example.com", ("hard", 1)),
        # Exchange
        ("Your message\n\n  To:      Somebody\n  Subject: Offers\n\ndid not reach the following recipient(s):"
         "\n\na@example.com on Thu, 29 Apr 2021 12:00:00\n    The recipient name is not recognized\n",
         "a@example.com", ("hard", 1)),
        # Microsoft 365
        ("Delivery has failed to these recipients or groups:\n\na@example.com<mailto:a@example.com>\nThe "
         "recipient's mailbox is full and can't accept messages now.\n\nDiagnostic information for "
         "administrators:\n\nRemote Server returned '554 5.2.2 mailbox full'\n",
         "a@example.com", ("soft", 5)),
        # Lotus Notes: the reason stands above the address
        ("------- Failure Reasons  --------\n\nUser not listed in public Name & Address Book\na@example.com"
         "\n\n\n------- Returned Message --------\n\n" + ORIGINAL, "a@example.com", ("hard", 1)),
        # Lotus Domino in Japanese
        ("ユーザーAnna (a@example.com) は Domino ディレクトリには見つかりません。メールを配信できません。",
         "a@example.com", ("hard", 1)),
        # 1&1 / GMX
        ("A message that you sent could not be delivered to one or more of\nits recipients. The following "
         'address\nfailed:\n\n"a@example.com":\nSMTP error from remote server after RCPT command:\nhost: '
         "mx.example.com\n5.2.2 <a@example.com>... Mailbox Full\n", "a@example.com", ("soft", 5)),
        # IMail
        ("Unknown user: a@example.com\n\nOriginal message follows.\n\n" + ORIGINAL,
         "a@example.com", ("hard", 1)),
        # OpenSMTPD
        ("    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this e-mail.\n\n    An error has "
         "occurred while attempting to deliver a message for\n    the following list of recipients:\n\n"
         "a@example.com: 550 5.1.1 no such user\n\n    Below is a copy of the original message:\n\n"
         + ORIGINAL, "a@example.com", ("hard", 1)),
        # a server of French tongue
        ("Votre message n'a pas pu être remis au destinataire suivant :\n\n<a@example.com>:\n550 Boîte aux "
         "lettres pleine\n", "a@example.com", ("soft", 5)),
        # a server of Russian tongue
        ("Ваше письмо не может быть доставлено одному или нескольким получателям:\n\n  a@example.com\n"
         "    Почтовый ящик переполнен\n", "a@example.com", ("soft", 5)),
    ],
)  # fmt: skip
def test_a_letter_is_read(text, address, meaning):
    assert summary(mail(text)) == ("bounce", [(address, *meaning)])


@pytest.mark.parametrize("behind", ["", "\n" + ORIGINAL], ids=["alone", "with the mail"])
def test_letters_of_many_servers_are_read(pytestconfig, behind):
    letters = json.loads((pytestconfig.rootpath / "tests/data/bounces/letters.json").read_text("utf-8"))
    assert len(letters) > 20
    for letter in letters:
        headers = f"From: {letter['from']}\nTo: news@bounce.example.org\nReturn-Path: <>\n"
        headers += "Content-Type: text/plain; charset=utf-8\n"
        kind, found = summary(mail("\n".join(letter["text"]) + behind, headers, letter["subject"]))
        assert (kind, [(one[0], one[2]) for one in found]) == (
            "bounce", [(letter["address"], letter["reason_code"])]
        ), letter["subject"]  # fmt: skip


def test_several_addresses_of_a_letter_have_their_own_reasons():
    text = (
        "I wasn't able to deliver your message to the following addresses.\n\n"
        "<a@example.com>:\n550 5.1.1 no such user\n\n<b@example.com>:\n552 mailbox full\n\n"
        "--- Below this line is a copy of the message.\n\n" + ORIGINAL
    )
    assert summary(mail(text)) == (
        "bounce", [("a@example.com", "hard", 1), ("b@example.com", "soft", 5)]
    )  # fmt: skip


def test_a_letter_that_names_nobody_is_about_the_mail_that_came_back():
    text = "Your message could not be delivered: user unknown\n\n" + ORIGINAL
    assert summary(mail(text)) == ("bounce", [("someone@example.com", "hard", 1)])


def test_a_notification_of_a_sending_service_is_read():
    text = (
        '{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"a@example.com",'
        '"action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}]}}'
    )
    headers = "From: no-reply@sns.amazonaws.com\nTo: bounces@example.org\n"
    assert summary(mail(text, headers, "Notification")) == ("bounce", [("a@example.com", "hard", 1)])
    complaint = (
        '{"notificationType":"Complaint","complaint":{"complainedRecipients":'
        '[{"emailAddress":"a@example.com"}]}}'
    )
    assert summary(mail(complaint, headers, "Notification")) == (
        "complaint", [("a@example.com", "hard", 20)]
    )  # fmt: skip


def test_a_bounce_that_is_passed_on_is_read_inside():
    outer = (
        b"From: Forwarder <mailer-daemon@list.example>\nTo: bounces@example.org\nSubject: Fwd\n"
        b"Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: text/plain\n\nsee below\n--o\n"
        b"Content-Type: message/rfc822\n\n"
    )
    inside = report("Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1")
    assert summary(outer + inside + b"\n--o--\n") == ("bounce", [("a@example.com", "hard", 1)])


def test_a_mailbox_file_gives_what_all_its_mails_say():
    one = b"From MAILER-DAEMON Thu Apr 29 12:00:00 2021\n" + mail("<a@example.com>:\n550 unknown user")
    two = b"From MAILER-DAEMON Thu Apr 29 12:01:00 2021\n" + mail("<b@example.com>:\n552 mailbox full")
    assert summary(one + b"\n\n" + two) == (
        "bounce", [("a@example.com", "hard", 1), ("b@example.com", "soft", 5)]
    )  # fmt: skip


# --- complaints and answers


def feedback(kind, extra="Original-Rcpt-To: a@example.com\n"):
    return (
        "From: fbl@example.net\nSubject: FW: Offers\nContent-Type: multipart/report; "
        "report-type=feedback-report; boundary=b\n\n--b\nContent-Type: text/plain\n\nA report.\n--b\n"
        f"Content-Type: message/feedback-report\n\nFeedback-Type: {kind}\nVersion: 1\n{extra}\n--b\n"
        f"Content-Type: message/rfc822\n\n{ORIGINAL}\n--b--\n"
    ).encode()


def test_a_feedback_report_is_a_complaint():
    assert summary(feedback("abuse")) == ("complaint", [("a@example.com", "hard", 20)])
    assert summary(feedback("opt-out", "Removal-Recipient: a@example.com\n")) == (
        "complaint", [("a@example.com", "hard", 20)]
    )  # fmt: skip
    assert summary(feedback("abuse", "")) == ("complaint", [("someone@example.com", "hard", 20)])


@pytest.mark.parametrize("kind", ["auth-failure", "not-spam", "dmarc"])
def test_other_feedback_is_held_against_nobody(kind):
    verdict = classify(feedback(kind))
    assert verdict.kind == "other"
    assert {one.error_type for one in verdict.recipients} == {"ignored"}


def test_a_mail_program_that_unsubscribes_is_heard():
    headers = "From: Anna <anna@example.com>\nTo: unsubscribe-x@example.org\nAuto-Submitted: auto-replied\n"
    assert summary(mail("Sent by a program.", headers, "unsubscribe")) == (
        "complaint", [("anna@example.com", "hard", 20)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "extra", "text"),
    [
        ("Out of Office: Offers", "", "I am away until Monday."),
        ("Automatic reply: Offers", "", "I will be traveling."),
        ("Offers", "Auto-Submitted: auto-replied\n", "Thank you."),
        ("Offers", "X-Autoreply: yes\n", "Thank you."),
        ("Offers", "Precedence: auto_reply\n", "Thank you."),
        ("Re: Offers", "Return-Path: <>\n", "I am out of the office this week."),
        ("Réponse automatique : Offres", "", "Je suis en congé."),
        ("Abwesenheitsnotiz: Angebote", "", "Ich bin nicht im Büro."),
        ("Respuesta automática: Ofertas", "", "Fuera de la oficina."),
        ("=?utf-8?b?" + b64encode("自動応答: 件".encode()).decode() + "?=", "", "不在です"),
        ("自动回复：你好", "", "我在休假"),
        ("부재중 자동응답", "", "휴가 중입니다"),
    ],
)
def test_an_automatic_answer_changes_nothing(subject, extra, text):
    headers = f"From: Anna <anna@example.com>\nTo: news@example.org\n{extra}"
    assert summary(mail(text, headers, subject)) == ("auto-reply", [("anna@example.com", "ignored", 3)])


def test_a_failure_that_calls_itself_an_answer_is_a_failure():
    headers = "From: gateway@example.net\nTo: b@example.org\nReturn-Path: <>\nAuto-Submitted: auto-replied\n"
    text = "Your message could not be delivered to a@example.com: mailbox is full"
    assert summary(mail(text, headers, "Undelivered mail")) == ("bounce", [("a@example.com", "soft", 5)])
    assert summary(mail(text, headers, "Out of office"))[0] == "auto-reply"


@pytest.mark.parametrize(
    ("sender", "subject", "text"),
    [
        ("anna@example.com", "Re: Offers", "Thanks, I like the blue one."),
        ("anna@example.com", "Undeliverable parcel", "The parcel could not be delivered to a@example.com."),
        ("anna@example.com", "Mail problem", "My mails to a@example.com fail: 550 5.1.1 User unknown. Help!"),
        (
            "anna@example.com",
            "Delivery failure of order 7",
            "Your driver did not deliver. user unknown to me",
        ),
        ("shop@example.com", "Your order was delivered", "Delivered to the neighbour."),
        ("root@host.example", "Cron <root@host> backup", "Backup failed: disk full"),
        ("noreply-dmarc@example.com", "Report domain: example.org Submitter: example.com", "Attached."),
        ("calendar@example.com", "Invitation: meeting", "You are invited."),
        ("list@example.com", "[list] How do I read bounces?", "It says 550 mailbox full."),
        ("anna@example.com", "About the spam filter", "Your mails are blocked as spam, please stop."),
        ("hr@example.com", "I have moved", "My new address is b@example.com."),
        ("anna@example.com", "にゃんこ", "メールを配信できません、と言われました"),
        ("postmaster@example.com", "Maintenance on Sunday", "Mail will be slow from 02:00 to 04:00."),
    ],
)
def test_ordinary_mail_is_no_bounce(sender, subject, text):
    headers = f"From: {sender}\nTo: news@example.org\nReturn-Path: <{sender}>\n"
    assert summary(mail(text, headers, subject)) == ("other", [])


@pytest.mark.parametrize("kind", ["disposition-notification", "tlsrpt"])
def test_other_reports_are_no_bounces(kind):
    part = "message/disposition-notification" if kind.startswith("d") else "application/tlsrpt+gzip"
    text = (
        "From: postmaster@example.com\nSubject: Read: Offers\n"
        f"Content-Type: multipart/report; report-type={kind}; boundary=b\n\n--b\nContent-Type: text/plain\n\n"
        f"Your message was read.\n--b\nContent-Type: {part}\n\n"
        "Final-Recipient: rfc822;a@example.com\nDisposition: manual-action/MDN-sent-manually; displayed\n"
        "\n--b--\n"
    )
    assert summary(text.encode()) == ("other", [])


# --- broken and strange


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("utf-8", "utf-8"), ("iso-2022-jp", "iso2022_jp"), ("shift_jis", "cp932"), ("euc-jp", "euc_jp"),
        ("iso-2022-jp", "euc_jp"), ("us-ascii", "utf-8"), ("UFT-8", "utf-8"), ("unicode-escape", "utf-8"),
        ("", "iso2022_jp"),
    ],
)  # fmt: skip
def test_the_label_of_a_text_may_lie(charset, codec):
    text = "宛先のユーザーが見つかりませんでした。配信できません。\n\n<a@example.com>\n"
    headers = f"{DAEMON}Content-Type: text/plain; charset={charset}\nSubject: failure notice\n\n"
    assert summary(headers.encode() + text.encode(codec)) == ("bounce", [("a@example.com", "hard", 1)])


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("gb2312", "收件人不存在"), ("big5", "信箱容量已滿"), ("euc-kr", "존재하지 않는 사용자"),
        ("koi8-r", "пользователь не найден"), ("iso-8859-1", "Boîte aux lettres pleine"),
        ("windows-1252", "Empfänger unbekannt"),
    ],
)  # fmt: skip
def test_charsets_of_many_countries_are_read(charset, text):
    body = f"Undelivered mail\n\n<a@example.com>:\n{text}\n"
    headers = f"{DAEMON}Content-Type: text/plain; charset={charset}\nSubject: failure notice\n\n"
    kind, (one,) = summary(headers.encode() + body.encode(charset))
    assert (kind, one[0]) == ("bounce", "a@example.com")
    assert one[2] == (5 if text[0] in "信B" else 1)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_transfer_encodings_are_undone(encoding):
    text = b"<a@example.com>:\n552 5.2.2 mailbox full = quota\n"
    packed = b64encode(text)[:-1] if encoding == "base64" else text.replace(b"=", b"=3D")
    head = f"{DAEMON}Subject: failure notice\nContent-Transfer-Encoding: {encoding}\n\n".encode()
    assert summary(head + packed) == ("bounce", [("a@example.com", "soft", 5)])


def test_html_alone_is_read():
    text = (
        "<html><head><title>user unknown</title><style>p{color:red}</style></head><body>"
        "<p>Your message could not be delivered to <b>a@example.com</b></p><p>The mailbox is&nbsp;full</p>"
    )
    headers = DAEMON + "Content-Type: text/html\n"
    assert summary(mail(text, headers)) == ("bounce", [("a@example.com", "soft", 5)])


def test_a_multipart_that_never_closes_is_read():
    whole = report("Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1")
    assert summary(whole[: whole.index(b"Message-ID: <d12")]) == ("bounce", [("a@example.com", "hard", 1)])


def test_a_boundary_that_is_not_the_announced_one_is_found():
    whole = report("Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1")
    assert summary(whole.replace(b"boundary=b", b"boundary=other")) == (
        "bounce", [("a@example.com", "hard", 1)]
    )  # fmt: skip


def test_nested_parts_are_found():
    inner = report("Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1").partition(b"\n\n")
    head = f"{DAEMON}Subject: Undelivered\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n".encode()
    data = head + b"Content-Type: multipart/report; boundary=b\n\n" + inner[2] + b"\n--bb--\n"
    assert summary(data) == ("bounce", [("a@example.com", "hard", 1)])


@pytest.mark.parametrize(
    "body",
    [
        b"<" * 200_000, b"a@" * 100_000, b"> \n" * 60_000, b" " * 200_000, b"\n" * 200_000, b"1.2." * 50_000,
        b"<!-- " * 40_000, b"&" * 200_000, b"X-a: b\n" * 30_000,
        b"Final-Recipient: rfc822; a@b.com\n" * 6_000,
        b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 4_000, b"user " * 40_000, b"\x1b$B" * 60_000,
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "multipart/mixed; boundary=b"])
def test_no_mail_takes_long(body, kind):
    head = f"{DAEMON}Subject: failure notice\nContent-Type: {kind}\n\n".encode()
    started = time.process_time()
    classify(head + body)
    assert time.process_time() - started < 2


@given(st.binary(max_size=2_000))
@settings(max_examples=300, deadline=None)
def test_any_bytes_have_a_verdict(data):
    assert classify(data).kind in ("bounce", "complaint", "auto-reply", "other")


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mails_in_pieces_have_a_verdict(pytestconfig, data):
    names = sorted((pytestconfig.rootpath / "tests/data/bounces/mail").iterdir())
    whole = data.draw(st.sampled_from(names)).read_bytes()
    start, end = data.draw(st.integers(0, 3_000)), data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(max_size=20))
    at = data.draw(st.integers(0, len(whole)))
    verdict = classify((whole[:at] + noise + whole[at:])[start if data.draw(st.booleans()) else 0 : end])
    for one in verdict.recipients:
        assert one.error_type in ("hard", "soft", "ignored")
        assert (verdict.kind == "other") <= (one.error_type == "ignored")


# --- which mail of ours


def test_a_return_address_is_read_by_whoever_knows_its_form():
    def read(address):
        local, _at, domain = address.partition("@")
        return int(local.rpartition("-")[2], 16) if domain == "bounce.example.org" else None

    arrived = mail("<a@example.com>:\n550 unknown user", DAEMON.replace("bounces@", "news-1f@bounce."))
    assert by_return_address(arrived, read) == 0x1F
    assert by_return_address(report("Final-Recipient: rfc822; a@example.com"), read) == 0x7F3A
    assert by_return_address(mail("<a@example.com>:\n550 unknown user"), read) is None


def test_the_message_id_of_the_mail_that_came_back_is_read():
    def read(message_id):
        return message_id if message_id.endswith("@example.org") else None

    assert by_message_id(report("Final-Recipient: rfc822; a@example.com"), read) == "d12.7f3a@example.org"
    assert by_message_id(mail("It failed\n\n" + ORIGINAL), read) == "d12.7f3a@example.org"
    answer = mail("Away", "From: a@example.com\nIn-Reply-To: <d9.1@example.org>\n", "Re: Offers")
    assert by_message_id(answer, read) == "d9.1@example.org"
    assert by_message_id(mail("nothing"), read) is None


def test_parts_are_limited():
    data = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 1_000
    assert parse(data).text.count("x") == 100
