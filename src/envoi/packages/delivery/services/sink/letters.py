"""What comes back from addresses that have taken their mail: notifications, automatic replies, complaints."""

import random
from datetime import datetime
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from email.utils import format_datetime

from envoi.packages.delivery.services.sink.fates import Fate


def letter(fate: Fate, address: str, to: str, original: bytes, moment: datetime) -> bytes | None:
    """Return what an address sends to a return address, None when nothing. `original` is the mail it got."""
    heads = original.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if fate is Fate.BOUNCES:
        return _notification(address, to, heads, moment)
    if fate is Fate.AWAY:
        return _reply(address, to, heads, moment)
    if fate is Fate.COMPLAINS:
        return _complaint(address, to, heads, moment)
    return None


def _notification(address: str, to: str, heads: bytes, moment: datetime) -> bytes:
    """A delivery status notification (RFC 3464)."""
    domain = address.rpartition("@")[2]
    chance = random.Random(address)  # noqa: S311 the same each time
    status, said = chance.choice(
        (
            ("5.1.1", f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"),
            ("5.2.2", f"552 5.2.2 <{address}>: mailbox full"),
            ("5.7.1", f"554 5.7.1 <{address}>: message refused by the filter of the recipient"),
        )
    )
    text = (
        f"This is the mail system at host mx.{domain}.\r\n\r\n"
        "I'm sorry to have to inform you that your message could not\r\n"
        "be delivered to one or more recipients. It's attached below.\r\n\r\n"
        f"<{address}>: host store.{domain} said:\r\n    {said} (in reply to end of DATA command)\r\n"
    )
    report = (
        f"Reporting-MTA: dns; mx.{domain}\r\nArrival-Date: {format_datetime(moment)}\r\n\r\n"
        f"Final-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Remote-MTA: dns; store.{domain}\r\nDiagnostic-Code: smtp; {said}\r\n"
    )
    return _multipart(
        f"Mail Delivery System <MAILER-DAEMON@mx.{domain}>",
        to,
        "Undelivered Mail Returned to Sender",
        moment,
        "delivery-status",
        [
            ("text/plain; charset=us-ascii", text.encode()),
            ("message/delivery-status", report.encode()),
            ("text/rfc822-headers", heads),
        ],
    )


def _complaint(address: str, to: str, heads: bytes, moment: datetime) -> bytes:
    """A report of abuse (RFC 5965)."""
    domain = address.rpartition("@")[2]
    report = (
        f"Feedback-Type: abuse\r\nUser-Agent: feedback/1.0\r\nVersion: 1\r\nOriginal-Rcpt-To: {address}\r\n"
        f"Original-Mail-From: {to}\r\nArrival-Date: {format_datetime(moment)}\r\nSource-IP: 127.0.0.1\r\n"
        f"Reporting-MTA: dns; fbl.{domain}\r\n"
    )
    return _multipart(
        f"<feedback@{domain}>",
        to,
        "Abuse report",
        moment,
        "feedback-report",
        [
            (
                "text/plain; charset=us-ascii",
                f"This is an abuse report for a message from {to} received by {address}.\r\n".encode(),
            ),
            ("message/feedback-report", report.encode()),
            ("message/rfc822", heads),
        ],
    )


def _reply(address: str, to: str, heads: bytes, moment: datetime) -> bytes:
    """An automatic reply (RFC 3834)."""
    got: Message = BytesHeaderParser(policy=policy.compat32).parsebytes(heads)
    reply = EmailMessage(policy=policy.SMTP)
    reply["From"] = address
    reply["To"] = to
    reply["Subject"] = "Out of office"
    reply["Date"] = format_datetime(moment)
    reply["Auto-Submitted"] = "auto-replied"
    reply["X-Autoreply"] = "yes"
    identity = " ".join(str(got.get("Message-ID", "")).split())
    if identity:
        reply["In-Reply-To"] = identity
        reply["References"] = identity
    reply.set_content("Thank you for your message. I am out of the office and back on Monday.\r\n")
    return reply.as_bytes()


def _multipart(
    sender: str, to: str, subject: str, moment: datetime, kind: str, parts: list[tuple[str, bytes]]
) -> bytes:
    boundary = f"=_{random.Random(to).getrandbits(64):016x}"  # noqa: S311 the same each time
    lines = [
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Date: {format_datetime(moment)}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind}; boundary="{boundary}"',
        "",
        "",
    ]
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {name}\r\n\r\n".encode() + content + b"\r\n"
        for name, content in parts
    )
    return "\r\n".join(lines).encode() + body + f"--{boundary}--\r\n".encode()
