"""Options of the product, under their product names (`NmsCleanup_…`); type codes as in soap-api.md §10."""

from django.db import models


class DataType(models.IntegerChoices):
    """Codes of an option's type, as clients of the product read them."""

    BYTE = 1, "byte"
    SHORT = 2, "short"
    LONG = 3, "long"
    DOUBLE = 5, "double"
    STRING = 6, "string"
    DATETIME = 7, "datetime"
    DATE = 10, "date"
    MEMO = 12, "memo"
    TIMESPAN = 14, "timespan"
    BOOLEAN = 15, "boolean"


class Option(models.Model):
    """One option; the value stands in the column that its type names, the others are empty."""

    option_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=128, unique=True)
    data_type = models.SmallIntegerField(choices=DataType.choices)
    string_value = models.CharField(max_length=512, blank=True, default="")
    long_value = models.BigIntegerField(default=0)
    double_value = models.FloatField(default=0)
    time_stamp_value = models.DateTimeField(null=True)
    memo_value = models.TextField(blank=True, default="")
    description = models.TextField(blank=True, default="")
    package = models.CharField(max_length=64, blank=True, default="")
    modified_at = models.DateTimeField()
    modified_by = models.ForeignKey("kernel.Operator", null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        db_table = "xtk_option"
        ordering = ("name",)
