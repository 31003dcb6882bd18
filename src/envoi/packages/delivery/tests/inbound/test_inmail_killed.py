"""`envoi inmail` as a process, killed in the middle: each mail has its effect once."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from envoi.packages.delivery.models import Address, BroadLogMsg, InboundMail
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.tests.inbound.mail_servers import wait
from envoi.packages.delivery.tests.inbound.sent_mail import make_sent, report

MAILS = 400


@pytest.mark.chaos
def test_killed_in_the_middle_it_has_done_everything_once_in_the_end(
    committed_db: Any, run_envoi: Any, tmp_path: Path
) -> None:
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    environment = {**os.environ, **committed_db.env, "ENVOI_INBOUND_MAILDIR": str(tmp_path)}
    sent, identity = make_sent(MAILS), routing.identity(settings.CONFIG)
    for number in range(MAILS):
        mail = report(sent.return_address(number, identity), sent.address(number))
        (tmp_path / "new" / str(number)).write_bytes(mail)
    process = subprocess.Popen([sys.executable, "-P", "-m", "envoi.cli", "inmail"], env=environment)
    try:
        wait(InboundMail.objects.exists, 60)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    left, done = len(list((tmp_path / "new").iterdir())), InboundMail.objects.count()
    assert left > 0, "it was killed too late to show anything"
    assert left + done >= MAILS
    run_envoi("inmail", "--once", env=environment, code=0)
    assert list((tmp_path / "new").iterdir()) == []
    assert sent.figures() == (MAILS, 0, MAILS, MAILS)
    assert InboundMail.objects.count() == MAILS
    assert set(Address.objects.values_list("error_count", "status")) == {(1, 4)}
    assert BroadLogMsg.objects.get().occurrences == MAILS
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM nms_broad_log_rcp WHERE status = 2")
        assert cursor.fetchone() == (MAILS,)
