"""The WSGI application of the web process."""

from envoi.app import boot

boot.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
