"""What is remembered of an address, for the next content that links to it (delivery.md §4.1)."""

from django.db import models

from envoi.packages.delivery.models.person import text


class UrlMemory(models.Model):
    """An address that is always or never tracked, and how it is called."""

    url_memory_id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=32, unique=True)
    url = models.TextField()
    tracked = models.BooleanField(default=True)
    label = text(128)
    category = text(64)
    modified_at = models.DateTimeField()

    NO_SCHEMA = "It is set on the page of a content, which shows it."

    class Meta:
        db_table = "nms_url_memory"
