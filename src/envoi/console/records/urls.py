"""Addresses of lists and forms: `data/<namespace>/<name>/…`, inside of the console's own."""

from django.urls import path, register_converter

from envoi.console.records import bulk, cells, export, folders, forms, history, lists, views


class Key:
    """The number of a row; those of seeds are below 0."""

    regex = "-?[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """Return it as a number."""
        return int(value)

    def to_url(self, value: int) -> str:
        """Return it as it stands in an address."""
        return str(value)


register_converter(Key, "rowkey")
OF = "data/<slug:namespace>/<slug:name>/"
urlpatterns = [
    path(OF, lists.schema_list, name="records-list"),
    path(f"{OF}count", lists.count, name="records-count"),
    path(f"{OF}count/stop", lists.stop_count, name="records-count-stop"),
    path(f"{OF}bulk", bulk.bulk, name="records-bulk"),
    path(f"{OF}export.<slug:format>", export.export, name="records-export"),
    path(f"{OF}new", forms.new, name="records-new"),
    path(f"{OF}view", views.save, name="records-view"),
    path("folders/<int:number>", folders.folder, name="folder-properties"),
    path("views/<int:number>", views.change, name="saved-view"),
    path(f"{OF}<rowkey:key>", forms.record, name="record-page"),
    path(f"{OF}<rowkey:key>/history", history.history, name="record-history"),
    path(f"{OF}<rowkey:key>/delete", forms.delete, name="record-delete"),
    path(f"{OF}<rowkey:key>/cell/<path:attribute>", cells.cell, name="record-cell"),
]
