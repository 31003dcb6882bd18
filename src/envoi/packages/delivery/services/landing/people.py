"""What pages say of a reader: the address masked, the language."""

from __future__ import annotations

from django.conf import settings


def masked(address: str) -> str:
    """Return an address as only its owner recognises it: `m…@example.org`."""
    local, _at, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if domain else "…"


def language(*wanted: str) -> str:
    """Return the first of these languages (`fr`, `fr-CA`, `zh_TW`) that we speak, else the instance's."""
    known = {code for code, _name in settings.LANGUAGES}
    for each in wanted:
        code = each.strip().lower().replace("_", "-")
        if code in ("zh-tw", "zh-hk", "zh-mo"):
            code = "zh-hant"
        for tried in (code, code.partition("-")[0]):
            if tried and tried in known:
                return tried
    return settings.ENVOI.config.instance.language
