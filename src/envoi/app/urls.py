"""The URL map of the web process: health and metrics, the API, then the console (architecture §5.3)."""

from django.urls import include, path

urlpatterns = [
    path("", include("envoi.web.urls")),
    path("", include("envoi.console.urls")),
]
