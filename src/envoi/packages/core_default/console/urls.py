"""Addresses of core_default."""

from django.urls import path

from envoi.packages.core_default.console import heat_map

app_name = "core_default"
urlpatterns = [
    path("monitoring/heat-map", heat_map.page, name="heat-map"),
]
