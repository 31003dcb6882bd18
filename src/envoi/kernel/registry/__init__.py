"""The schema registry: every entity under its product name, from one declaration beside its Django model.

A model says with `SCHEMA = Declaration("xtk:workflow", …)` what Django does not know; everything else
(columns, types, keys, links, enumerations) is read from the model. A model that is no entity says why in
`NO_SCHEMA`. `current()` is the whole of the installed packages, closed and checked; `fresh()` is the same
with what the instance has added at run time until now.
"""

from envoi.kernel.registry.collect import build, current, find, fresh, reset
from envoi.kernel.registry.declare import Computed, Declaration, Incoming
from envoi.kernel.registry.labels import translate
from envoi.kernel.registry.schema import Attribute, Enumeration, EnumValue, Link, Registry, Schema
from envoi.kernel.registry.types import Type

__all__ = [
    "Attribute",
    "Computed",
    "Declaration",
    "EnumValue",
    "Enumeration",
    "Incoming",
    "Link",
    "Registry",
    "Schema",
    "Type",
    "build",
    "current",
    "find",
    "fresh",
    "reset",
    "translate",
]
