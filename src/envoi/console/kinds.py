"""Activity types as people see them: name, icon, shape (families of the palette, engine.md §6)."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from envoi.engine.activities import kind_of


@dataclass(frozen=True)
class Kind:
    """How a type of activity shows."""

    label: Any
    icon: str
    family: str
    """Shape: flow is a pill, targeting a rounded box, action a sharp box with a bar, event a hexagon."""


KINDS = {
    "start": Kind(_("Start"), "run", "flow"),
    "end": Kind(_("End"), "end", "flow"),
    "schedule": Kind(_("Scheduler"), "cal", "flow"),
    "fork": Kind(_("Fork"), "fork", "flow"),
    "andjoin": Kind(_("AND-join"), "join", "flow"),
    "jstest": Kind(_("Test"), "test", "flow"),
    "wait": Kind(_("Wait"), "wait", "flow"),
    "timeconstraint": Kind(_("Time constraint"), "wait", "flow"),
    "subworkflow": Kind(_("Sub-workflow"), "split", "flow"),
    "jumpin": Kind(_("Jump (start point)"), "chev", "flow"),
    "jumpout": Kind(_("Jump (end point)"), "chev", "flow"),
    "signal": Kind(_("External signal"), "sig", "event"),
    "validation": Kind(_("Approval"), "ask", "event"),
    "alert": Kind(_("Alert"), "alert", "action"),
    "call": Kind(_("Processing"), "cube", "action"),
    "js": Kind(_("JavaScript code"), "script", "action"),
    "jsadvanced": Kind(_("Advanced JavaScript code"), "script", "action"),
    "sql": Kind(_("SQL code"), "db", "action"),
    "nlmodule": Kind(_("Server module"), "cube", "action"),
    "externaltask": Kind(_("External task"), "code", "action"),
    "query": Kind(_("Query"), "query", "targeting"),
    "dedup": Kind(_("Deduplication"), "dedup", "targeting"),
    "union": Kind(_("Union"), "join", "targeting"),
    "exclusion": Kind(_("Exclusion"), "excl", "targeting"),
    "extract": Kind(_("Split"), "split", "targeting"),
    "enrichment": Kind(_("Enrichment"), "enrich", "targeting"),
    "incremental": Kind(_("Incremental query"), "query", "targeting"),
    "intersection": Kind(_("Intersection"), "join", "targeting"),
    "cells": Kind(_("Cells"), "split", "targeting"),
    "changeDimension": Kind(_("Change of dimension"), "xfer", "targeting"),
    "editSchema": Kind(_("Edit schema"), "draft", "targeting"),
    "writer": Kind(_("Update data"), "db", "action"),
    "sqlDataManagement": Kind(_("SQL data management"), "db", "action"),
    "loadfile": Kind(_("Data loading (file)"), "load", "action"),
    "extractfile": Kind(_("Data extraction (file)"), "dl", "action"),
    "directorywatcher": Kind(_("File collector"), "file", "event"),
    "filetransfer": Kind(_("File transfer"), "xfer", "event"),
    "webdownload": Kind(_("Web download"), "dl", "event"),
    "inmail": Kind(_("Inbound e-mail"), "mail", "event"),
    "delivery": Kind(_("Delivery"), "mail", "action"),
}


def kind(type_name: str) -> Kind:
    """Return how a type shows; a type of a package may say so itself (`label`, `icon`, `family`)."""
    own = kind_of(type_name)
    known = KINDS.get(type_name)
    if known:
        return known
    return Kind(
        getattr(own, "label", type_name), getattr(own, "icon", "cube"), getattr(own, "family", "action")
    )
