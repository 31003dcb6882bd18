"""The feed: a JSON document behind a line with its Ed25519 signature (RFC 8032), in base64.

    <signature of everything behind this line's end>
    {"format": 1, "version": 12, "issued": "2026-11-01T00:00:00+00:00", "report": "https://…",
     "bounceRules": {"version": 7, "rules": [… as in services/bounces/data/rules.json]},
     "mxRules": [{"name": …, "mask": …, "connections": …, "per_connection": …, "per_hour": …, "shared": …}],
     "suppression": {"addresses": [SHA-256 in hexadecimal, …], "domains": […]},
     "texts": [{"text": normalised, "type": "hard", "reason": 1, "changed": "2026-10-30T…"}]}

Each section may be missing: what it would say then stays as it is. It holds no rule that leads mail elsewhere
(domain rules of an instance do): a feed may slow mail down, never divert it.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import FailureReason
from envoi.packages.delivery.services.bounces import rules as bounce_rules
from envoi.packages.delivery.services.routing import masks

FORMAT: Final = 1
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a feed."""
TYPES: Final = ("hard", "soft", "ignored")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
_MX: Final = {"connections": 1000, "per_connection": 100_000, "per_hour": 100_000_000}


@dataclass(frozen=True)
class Feed:
    """A document that is what it claims to be. `sections` holds those that it has."""

    version: int
    issued: datetime
    report: str
    sections: Mapping[str, Any]


def sign(document: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return a document as it is offered. Raises Invalid for one that would be refused."""
    read(document)
    return base64.b64encode(key.sign(document)) + b"\n" + document


def verified(content: bytes, public_key: str) -> Feed:
    """Return a feed that was signed by the owner of a public key (base64 of its 32 bytes). Raises Invalid."""
    signature, _end, document = content.partition(b"\n")
    try:
        key(public_key).verify(base64.b64decode(signature, validate=True), document)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise Invalid(_("The feed is not signed by its key, or was changed on its way.")) from error
    return read(document)


def key(text: str) -> Ed25519PublicKey:
    """Return a public key from its base64. Raises Invalid."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError) as error:
        raise Invalid(_("The key of the feed is no Ed25519 public key: 32 bytes in base64.")) from error


def read(document: bytes) -> Feed:
    """Return what a document says, checked to the last value. Raises Invalid, naming the place."""
    try:
        said: Any = json.loads(document)
        if said["format"] != FORMAT:
            raise Invalid(
                _("The feed has the format %(format)s, this version reads %(known)s.")
                % {"format": said["format"], "known": FORMAT}
            )
        version, issued = said["version"], datetime.fromisoformat(said["issued"])
        if type(version) is not int or not 0 < version < 2**62 or issued.tzinfo is None:
            raise ValueError("version")
        report = said.get("report", "")
        if not isinstance(report, str) or (report and not report.startswith("https://")):
            raise ValueError("report")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(_("The feed cannot be read: %(what)s.") % {"what": str(error)[:200]}) from error
    sections: dict[str, Any] = {}
    for name, checked in _SECTIONS.items():
        if name in said:
            try:
                sections[name] = checked(said[name])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Invalid(
                    _("The feed cannot be read: %(what)s.") % {"what": f"{name}: {str(error)[:200]}"}
                ) from error
    return Feed(version, issued, report, sections)


def _bounce_rules(said: Any) -> Any:
    for rule in said["rules"]:
        if rule["type"] not in TYPES or (rule["reason"] is not None and rule["reason"] not in _REASONS):
            raise ValueError(f"rule {rule['id']}")
        if len(rule["id"]) > 64 or len(rule["kind"]) > 8:
            raise ValueError(f"rule {rule['id'][:64]}")
    if type(said["version"]) is not int or "end" not in bounce_rules.read(said).by_kind:
        raise ValueError("version, or no last rule")
    return said


def _mx_rules(said: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for rule in said:
        kept: dict[str, Any] = {"name": str(rule["name"])[:64], "mask": masks.mask(str(rule["mask"]))}
        for name, most in _MX.items():
            if type(rule[name]) is not int or not 1 <= rule[name] <= most:
                raise ValueError(f"{rule['name']}: {name}")
            kept[name] = rule[name]
        made.append({**kept, "shared": bool(rule["shared"])})
    if len({each["name"] for each in made}) != len(made):
        raise ValueError("a name stands twice")
    return made


def _suppression(said: Any) -> dict[str, list[str]]:
    addresses, domains = list(said.get("addresses", ())), list(said.get("domains", ()))
    for texts, form in ((addresses, _DIGEST), (domains, _DOMAIN)):
        for each in texts:
            if not form.fullmatch(each):
                raise ValueError(str(each)[:64])
    return {"addresses": addresses, "domains": domains}


def _texts(said: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for each in cast("list[dict[str, Any]]", said):
        if each["type"] not in TYPES or each["reason"] not in _REASONS or not each["text"].strip():
            raise ValueError(str(each["text"])[:64])
        changed = datetime.fromisoformat(each["changed"])
        if changed.tzinfo is None or "\0" in each["text"]:
            raise ValueError(str(each["text"])[:64])
        made.append(
            {"text": each["text"], "type": each["type"], "reason": each["reason"], "changed": each["changed"]}
        )
    return made


_REASONS: Final = frozenset(int(each) for each in FailureReason)
_SECTIONS: Final = {
    "bounceRules": _bounce_rules,
    "mxRules": _mx_rules,
    "suppression": _suppression,
    "texts": _texts,
}
