"""Delivery, exclusion and tracking logs of every target mapping as schemas, made like those of recipients.

A row is bound by the folder of its target; where targets lie in none, or there are none (external files), by
that of the delivery.
"""

from collections.abc import Iterable
from dataclasses import replace

from django.db import connection

from envoi.kernel.registry import Attribute, Link, Registry, Schema
from envoi.kernel.registry.further import Further, brings
from envoi.packages.delivery.services import log_tables

KINDS = {
    "broad_log": "nms:broadLogRcp",
    "excl_log": "nms:exclLogRcp",
    "tracking_log": "nms:trackingLogRcp",
}
"""Kind of a log table -> the schema that the others are made like."""
LABELS = {
    "broad_log": "Delivery logs: %s",
    "excl_log": "Exclusion logs: %s",
    "tracking_log": "Tracking logs: %s",
}
SINGULAR = {"broad_log": "Message", "excl_log": "Excluded target", "tracking_log": "Hit of a target"}
BACK = {"broad_log": "broadLog", "excl_log": "exclLog", "tracking_log": "trackingLog"}
"""Link from the dimension to its logs."""
_OF_TARGET = "target_id"


@brings
def logs(registry: Registry) -> Iterable[Further]:
    """Return the schemas of the logs of all mappings but that of recipients."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('nms_delivery_mapping') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return
        cursor.execute(
            """SELECT schema, storage, label, broad_log_schema, broad_log_excl_schema, tracking_log_schema
               FROM nms_delivery_mapping WHERE storage <> '' ORDER BY delivery_mapping_id"""
        )
        found = cursor.fetchall()
    for dimension, storage, label, *named in found:
        if dimension and dimension not in registry:
            continue  # its package is not installed any more
        for kind, name in zip(KINDS, named, strict=True):
            if name and name not in registry:
                yield _further(registry, kind, name, dimension, storage, label)


def names(registry: Registry) -> list[str]:
    """Return the names of all log schemas of a registry."""
    tables = tuple(f"nms_{kind}_" for kind in KINDS)
    return [each.name for each in registry if each.table.startswith(tables) and _OF_TARGET in _columns(each)]


def _columns(schema: Schema) -> set[str]:
    return {each.column for each in schema.attributes.values()}


def _further(registry: Registry, kind: str, name: str, dimension: str, storage: str, label: str) -> Further:
    like = registry[KINDS[kind]]
    target = registry[dimension] if dimension else None
    link = target.local_name if target else ""
    attributes: dict[str, Attribute] = {}
    for each in like.attributes.values():
        if each.column == _OF_TARGET:
            text = target.singular if target else "Target"
            each = replace(each, name=f"{link or 'target'}-id", label=text)
        attributes[each.name] = each
    local = name.partition(":")[2]
    links = {way: each for way, each in like.links.items() if each.target != "nms:recipient"}
    links = {
        way: replace(each, reverse=local if each.target in ("nms:delivery", "nms:trackingUrl") else "")
        for way, each in links.items()
    }
    ways: list[tuple[str, Link]] = []
    shown = LABELS[kind] % label
    if target is not None:
        back = BACK[kind]
        links[link] = Link(link, dimension, ((_OF_TARGET, target.key[0]),), target.singular, reverse=back)
        turned = ((target.key[0], _OF_TARGET),)
        ways.append((dimension, Link(back, name, turned, shown, collection=True, reverse=link)))
    for each in links.values():
        if each.target in ("nms:delivery", "nms:trackingUrl"):
            turned = tuple((there, here) for here, there in each.join)
            ways.append((each.target, Link(local, name, turned, shown, collection=True, reverse=each.name)))
    in_folders = target is not None and target.folder is not None
    schema = replace(
        like,
        name=name,
        table=log_tables.table(kind, storage),
        label=shown,
        singular=SINGULAR[kind],
        attributes=attributes,
        links=links,
        folder=(link, *(target.folder or ()))
        if target is not None and in_folders
        else ("delivery", "folder"),
        reading=target.reading if target is not None else "",
        writing=target.reading if target is not None else "",
        place=f"the target mapping of {storage}",
    )
    return Further(schema, tuple(ways))
