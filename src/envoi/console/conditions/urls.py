"""Addresses of the editor of conditions, and of the page that is nothing but it."""

from django.urls import path

from envoi.console.conditions import query_page, views

urlpatterns = [
    path("conditions/edit", views.edit, name="conditions-edit"),
    path("conditions/fields", views.choose, name="conditions-fields"),
    path("conditions/check", views.check, name="conditions-check"),
    path("conditions/estimate", views.estimate, name="conditions-estimate"),
    path("conditions/count", views.count, name="conditions-count"),
    path("conditions/preview", views.preview, name="conditions-preview"),
    path("conditions/stop", views.stop, name="conditions-stop"),
    path("data/query", query_page.query_page, name="data-query"),
]
