"""Traces: refused without the extra, sent with it."""

import importlib.util
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from envoi.app import telemetry
from envoi.kernel.config import Config, TelemetryConfig
from envoi.kernel.errors import Refused

WITHOUT = Config(home=Path("/nowhere"))


def test_nothing_is_needed_where_nothing_is_configured(monkeypatch):
    monkeypatch.setattr(telemetry, "_is_installed", lambda: False)
    telemetry.configure(WITHOUT, "web")
    assert "opentelemetry.sdk" not in sys.modules


def test_an_endpoint_without_the_extra_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(telemetry, "_is_installed", lambda: False)
    wanted = replace(WITHOUT, telemetry=TelemetryConfig(endpoint="http://127.0.0.1:4318"))
    with pytest.raises(Refused) as error:
        telemetry.configure(wanted, "web")
    assert 'pip install "envoi[telemetry]"' in str(error.value)
    assert "/nowhere/envoi.toml" in str(error.value)


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry") is None, reason="the extra `telemetry` is not installed"
)
def test_a_request_arrives_as_a_span_named_after_its_view():
    from django.test import RequestFactory
    from django.urls import resolve
    from opentelemetry import trace

    from envoi.web import tracing

    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}/"
        telemetry.configure(replace(WITHOUT, telemetry=TelemetryConfig(endpoint=endpoint)), "web")

        def view(request):
            request.resolver_match = resolve("/nl/jsp/ping.jsp")
            return request.resolver_match.func(request)

        request = RequestFactory().get("/nl/jsp/ping.jsp?who=jane")
        assert tracing.Trace(view)(request).status_code == 200
        trace.get_tracer_provider().shutdown()
        server.shutdown()
    (path, body), *more = received
    assert (path, more) == ("/v1/traces", [])
    assert b"GET ping" in body
    assert b"/nl/jsp/ping.jsp" in body
    assert b"jane" not in body
