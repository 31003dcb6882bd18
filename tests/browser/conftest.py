"""A server on a database of its own, and a browser that looks at it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from envoi.app import peers

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request, whose database connection ends with it."""

    daemon_threads = False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        from django.db import connections

        try:
            super().process_request_thread(request, client_address)
        finally:
            connections.close_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up in the middle is no failure."""


class _Quiet(WSGIRequestHandler):
    timeout = 2  # a browser opens connections ahead of need

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Site:
    """The running server; `stop` and `start` again to try what a page does without it."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from django.core.wsgi import get_wsgi_application

        self.server = make_server(
            "127.0.0.1", self.port, get_wsgi_application(), server_class=_Server, handler_class=_Quiet
        )
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    # While it runs, its loop lives in this thread, and Django would refuse the database to the tests, which
    # touch it only between the browser's calls.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=peers.find("chromium"), args=FLAGS)
            yield browser
            browser.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(chromium: Browser, committed_db: Any) -> Iterator[Site]:
    """A server thread on the database of this test, with a signed-in-able administrator."""
    from envoi.kernel.testing import PASSWORD, make_operator

    make_operator("sofia", ("ADMINISTRATION",), password=PASSWORD, timezone="Europe/Paris")
    site = Site()
    try:
        yield site
    finally:
        site.stop()


Open = Callable[..., Page]


@pytest.fixture
def visit(site: Site, chromium: Browser) -> Iterator[Open]:
    """Open a page in a context of its own: `visit("/workflows/", width=390, dark=True, language="fr")`.

    Errors on the browser's console, and uncaught ones of scripts, fail the test.
    """
    from envoi.kernel.testing import PASSWORD as password  # noqa: N811 it is no constant of this file

    contexts: list[Any] = []
    complaints: list[str] = []

    def visit(
        address: str,
        *,
        width: int = 1280,
        dark: bool = False,
        language: str = "en",
        script: bool = True,
        signed_in: bool = True,
    ) -> Page:
        context = chromium.new_context(
            base_url=site.address,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            locale={"en": "en-GB", "fr": "fr-FR"}[language],
            reduced_motion="reduce",
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if signed_in:
            page.goto("/sign-in")
            page.fill("#u", "sofia")
            page.fill("#p", password)
            page.click("button.pri")
            page.wait_for_url(f"{site.address}/")
        page.goto(address)
        return page

    visit.complaints = complaints  # type: ignore[attr-defined]
    yield visit
    for context in contexts:
        context.close()
    assert [line for line in complaints if not line.startswith("Failed to load resource")] == []
