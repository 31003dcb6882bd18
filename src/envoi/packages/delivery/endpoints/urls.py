"""Addresses of the pages of readers (architecture §5.3); `track` leads to them too."""

from django.urls import path

from envoi.packages.delivery.endpoints import confirming, friends, leaving, mirror, preferring, subscribing

app_name = "readers"
urlpatterns = [
    path("r/m/", mirror.page, name="mirror"),
    path("r/u/", leaving.page, name="unsubscribe"),
    path("r/b/", leaving.undo, name="undo"),
    path("r/p/", preferring.page, name="preferences"),
    path("r/f/", friends.page, name="forward"),
    path("r/c/", confirming.page, name="confirm"),
    path("r/s/", subscribing.all_services, name="registration"),
    path("r/s/<str:name>", subscribing.page, name="subscribe"),
]
