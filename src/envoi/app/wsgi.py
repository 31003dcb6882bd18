"""The WSGI application of the web process."""

from envoi.app import boot, logs, telemetry

_instance = boot.setup()
logs.configure_from_environment(_instance.config.log, _instance.home, process="web")
telemetry.configure(_instance.config, "web")

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from envoi.web import static  # noqa: E402

static.collect()
application = get_wsgi_application()
# Load every page's code now: the first request must not wait for it, and what is broken must show here.
_patterns = get_resolver().url_patterns
