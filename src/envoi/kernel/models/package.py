"""Which packages the instance has."""

from django.db import models


class InstalledPackage(models.Model):
    """One package. `installed_at` stays empty until the whole installation has gone through."""

    package_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    version = models.CharField(max_length=32)
    installed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "xtk_package"
        ordering = ("package_id",)
