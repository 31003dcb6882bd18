"""A delivery that was sent, and mails about it."""

from dataclasses import dataclass

from envoi.kernel import clock
from envoi.packages.delivery.models import BroadLogRcp, Delivery, DeliveryRun, Recipient, RunStep
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.sending.identity import Identity
from envoi.packages.delivery.testing import make_delivery, make_recipients

IDENTITY = Identity("bounces.example.org", b"secret")


@dataclass
class Sent:
    """A delivery all of whose messages arrived, as far as anybody knows."""

    delivery: Delivery
    run_id: int
    targets: list[int]

    def id(self, number: int) -> int:
        return self.run_id * 1000 + number

    def address(self, number: int) -> str:
        return f"a{number}@example.net"

    def log(self, number: int) -> BroadLogRcp:
        return BroadLogRcp.objects.get(run_id=self.run_id, target_id=self.targets[number])

    def figures(self) -> tuple[int, int, int, int]:
        self.delivery.refresh_from_db()
        each = self.delivery
        return each.processed, each.success, each.error, each.new_quarantine

    def return_address(self, number: int, identity: Identity = IDENTITY) -> str:
        return identity.return_address(self.run_id, self.id(number))


def make_sent(count: int = 5) -> Sent:
    delivery = make_delivery()
    targets = list(make_recipients(count, black_list=0, black_list_email=0))
    now = clock.now()
    run = DeliveryRun.objects.create(
        delivery=delivery, storage="rcp", step=RunStep.READY, started_at=now, ended_at=now
    )
    log_tables.partition("broad_log", "rcp", run.pk)
    people = [Recipient(pk=target, email=f"a{number}@example.net") for number, target in enumerate(targets)]
    Recipient.objects.bulk_update(people, ["email"])
    BroadLogRcp.objects.bulk_create(
        BroadLogRcp(
            pk=run.pk * 1000 + number, target_id=target, run_id=run.pk, delivery_id=delivery.pk,
            address=f"a{number}@example.net", msg_id=0, status=1, modified_at=now, event_date=now,
        )
        for number, target in enumerate(targets)
    )  # fmt: skip
    Delivery.objects.filter(pk=delivery.pk).update(processed=count, success=count)
    return Sent(delivery, run.pk, targets)


def report(
    to: str, address: str, diagnostic: str = "smtp; 550 5.1.1 user unknown", action: str = "failed",
    status: str = "5.1.1", **headers: str,
) -> bytes:  # fmt: skip
    """Return a delivery report (RFC 3464) to a return address."""
    more = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"""\
Return-Path: <>
Delivered-To: {to}
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
{more}Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I could not deliver your message.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Diagnostic-Code: {diagnostic}

--b--
""".encode()
