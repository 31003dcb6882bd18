"""Traces by OpenTelemetry, for who configures `[telemetry] endpoint`; nothing of it is imported otherwise."""

import importlib.util
import socket

from envoi import __version__
from envoi.kernel.config import Config
from envoi.kernel.errors import Refused


def require(config: Config) -> None:
    """Raise Refused when traces are wanted and the extra that makes them is not installed."""
    if config.telemetry.endpoint and not _is_installed():
        raise Refused(
            f"[telemetry] endpoint is set in {config.file} (or ENVOI_TELEMETRY_ENDPOINT), but the extra "
            '`telemetry` is not installed. Run: pip install "envoi[telemetry]", or empty the key.'
        )


def configure(config: Config, process: str) -> None:
    """Send the spans of this process to `[telemetry] endpoint` (OTLP over HTTP), if there is one.

    To be called in the process that makes them, since it starts a thread. Raises Refused like `require`.
    """
    require(config)
    if not config.telemetry.endpoint:
        return
    from opentelemetry import trace  # pyright: ignore[reportMissingImports]
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # pyright: ignore[reportMissingImports]
    from opentelemetry.sdk.resources import Resource  # pyright: ignore[reportMissingImports]
    from opentelemetry.sdk.trace import TracerProvider  # pyright: ignore[reportMissingImports]
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # pyright: ignore[reportMissingImports]

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": "envoi",
                "service.version": __version__,
                "service.namespace": config.instance.name,
                "service.instance.id": f"{process}@{socket.gethostname()}",
            }
        )
    )
    endpoint = f"{config.telemetry.endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
