"""Phone numbers in the form E.164, many at a time.

The library takes 60 µs for a number. What is written plainly is recognised here by the library's own
patterns, compiled once for a country; everything else is given to the library. Both ways give the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata

_NOISE = str.maketrans("", "", " \t\u00a0\u2009\u202f.-()/")
_DIGITS = re.compile(r"^\d{6,15}$", re.ASCII)
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager",
    "uan", "voicemail",
)  # fmt: skip


@dataclass(frozen=True)
class _Country:
    code: str
    trunk: str
    """Prefix of national numbers, "" for none."""
    valid: re.Pattern[str]
    general: re.Pattern[str]


def e164(text: str, region: str) -> str | None:
    """Return a number as "+…", or None for what is no valid number. `region` (ISO 3166-1) reads one without
    a country prefix; without a region such a number is not valid.
    """
    plain = text.translate(_NOISE)
    if region and plain.startswith("+"):
        country = _country(region)
        if country is not None and plain.startswith(f"+{country.code}"):
            rest = plain[1 + len(country.code) :]
            if not (country.trunk and rest.startswith(country.trunk)) and country.valid.fullmatch(rest):
                return plain
    if region and not plain.startswith("+") and not plain.startswith("00"):
        country = _country(region)
        if country is not None and _DIGITS.match(plain):
            rest = plain.removeprefix(country.trunk) if country.trunk else plain
            if rest is not plain or not plain.startswith(country.code):
                general = country.general.fullmatch(plain) is None or rest is plain
                if general and country.valid.fullmatch(rest):
                    return f"+{country.code}{rest}"
    return by_library(text, region)


def by_library(text: str, region: str) -> str | None:
    """The same by the library alone."""
    given = text.strip()
    if given.startswith("00"):
        given = f"+{given[2:]}"
    try:
        number = phonenumbers.parse(given, region or None)
    except NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def _country(region: str) -> _Country | None:
    metadata = PhoneMetadata.metadata_for_region(region.upper(), None)
    if metadata is None or metadata.general_desc is None:
        return None
    trunk = metadata.national_prefix_for_parsing or ""
    pattern = metadata.general_desc.national_number_pattern
    if (trunk and not trunk.isdigit()) or metadata.national_prefix_transform_rule or not pattern:
        return None
    kinds = [getattr(metadata, kind) for kind in _KINDS]
    patterns = [k.national_number_pattern for k in kinds if k is not None and k.national_number_pattern]
    if not patterns or metadata.leading_digits or (not metadata.main_country_for_code and _shared(metadata)):
        return None
    valid = re.compile("|".join(f"(?:{each})" for each in patterns), re.ASCII)
    return _Country(str(metadata.country_code), trunk, valid, re.compile(pattern, re.ASCII))


def _shared(metadata: PhoneMetadata) -> bool:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(metadata.country_code or 0))
    return regions is not None and len(regions) > 1
