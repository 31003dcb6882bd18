"""What is added to a schema is there in every process at once: no restart, no waiting."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

PLACE = "/data/nms/extAccount/"
ASKER = """
import sys
from envoi.app import boot
boot.setup()
from envoi.kernel import query
from envoi.kernel.errors import Refused
from envoi.kernel.rights import internal
for line in sys.stdin:
    asked = query.QueryDef("nms:extAccount", select=(query.Field(line.strip()),))
    try:
        print(len(query.run(asked, actor=internal()).rows), flush=True)
    except Refused as refusal:
        print(str(refusal).replace(chr(10), " "), flush=True)
"""


class Web:
    """A web process of its own, with a session of an administrator."""

    def __init__(self, env: dict[str, str], cookie: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.cookie = cookie
        command = [sys.executable, "-m", "envoi.cli", "web", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def page(self) -> str:
        """Load the list, waiting for the process to answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{PLACE}?c=@label", headers={"Cookie": self.cookie}
        )
        for _ in range(300):
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                    return answer.read().decode()
            except ConnectionError:
                time.sleep(0.1)
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionError):
                    raise
                time.sleep(0.1)
        raise AssertionError("the web process does not answer")


@pytest.fixture
def webs(committed_db, tmp_path: Path) -> Iterator[list[Web]]:
    from django.conf import settings
    from django.test import Client

    from envoi.kernel.testing import make_operator

    client = Client()
    client.force_login(
        make_operator("sofia", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend"
    )
    assert isinstance(client.cookies, SimpleCookie)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    env = os.environ | committed_db.env
    found = [Web(env, cookie) for _ in range(2)]
    try:
        yield found
    finally:
        for web in found:
            web.process.terminate()
        for web in found:
            web.process.wait(20)


def test_a_field_added_while_a_list_is_open_appears_in_every_process(webs, committed_db):
    from envoi.kernel import extensions
    from envoi.kernel.extensions import NewField
    from envoi.kernel.testing import admin_actor

    with subprocess.Popen(
        [sys.executable, "-c", ASKER],
        env=os.environ | committed_db.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as asker:

        def ask() -> str:
            assert asker.stdin is not None
            assert asker.stdout is not None
            asker.stdin.write("@region\n")
            asker.stdin.flush()
            return asker.stdout.readline().strip()

        assert "no attribute @region" in ask()
        for web in webs:
            assert "Sales region" not in web.page()
        extensions.add_field("nms:extAccount", NewField("region", "Sales region"), actor=admin_actor())
        for web in webs:
            assert "Sales region" in web.page()
        assert ask().isdigit()
        extensions.remove_field("nms:extAccount", "region", actor=admin_actor())
        for web in webs:
            assert "Sales region" not in web.page()
        assert "no attribute @region" in ask()
