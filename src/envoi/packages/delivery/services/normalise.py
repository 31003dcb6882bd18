"""Brings addresses into the one form in which they are kept and compared (delivery.md §1.1).

Functions take one value and what they need to know, so that a batch asks the database once: `characters`,
`region` and `countries` read it. The e-mail address is kept in small letters, its domain as the network
writes it (`xn--…`); a phone number in E.164; a country by its two letters.
"""

import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from django.utils.translation import gettext as _

from envoi.kernel import options
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor
from envoi.kernel.writing import WrongValues
from envoi.packages.delivery.models import Country, Recipient
from envoi.packages.delivery.models.country import UNSET

CHARACTERS = "XtkEmail_Characters"
REGION = "NmsRecipient_DefaultRegion"
_EUROPEAN = "A-Za-z0-9!#$%&'*+/=?^_`{|}~.-"
_LONGEST, _LONGEST_LOCAL, _LONGEST_LABEL = 254, 64, 63
_OTHER_NAMES = {
    "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB",
    "northern ireland": "GB", "usa": "US", "u.s.a.": "US", "u.s.": "US", "united states of america": "US",
    "america": "US", "etats unis d amerique": "US", "deutschland": "DE", "espana": "ES", "italia": "IT",
    "osterreich": "AT", "schweiz": "CH", "svizzera": "CH", "nederland": "NL", "holland": "NL",
    "the netherlands": "NL", "belgie": "BE", "belgien": "BE", "danmark": "DK", "norge": "NO", "suomi": "FI",
    "polska": "PL", "portugal": "PT", "hellas": "GR", "eire": "IE", "republic of ireland": "IE",
    "czech republic": "CZ", "republique tcheque": "CZ", "korea": "KR", "republic of korea": "KR",
    "russian federation": "RU", "brasil": "BR", "turkey": "TR", "viet nam": "VN", "cote d ivoire": "CI",
    "ivory coast": "CI", "macedonia": "MK", "swaziland": "SZ", "cape verde": "CV", "burma": "MM",
}  # fmt: skip
"""What people also write, folded."""


def characters(*, actor: Actor) -> str:
    """Return the option that says which characters the local part of an address may have."""
    return str(options.get(CHARACTERS, actor=actor, default=_EUROPEAN) or _EUROPEAN)


def region(*, actor: Actor) -> str:
    """Return the country by which a phone number without a prefix is read; "" for none."""
    return str(options.get(REGION, actor=actor, default="") or "")


def countries() -> dict[str, str]:
    """Return folded names and codes, in every language of the product, to two-letter codes."""
    found: dict[str, str] = {}
    for country in Country.objects.exclude(pk=UNSET):
        texts = (country.iso_a2, country.iso_a3, country.iso_num, country.label, *country.labels.values())
        for text in texts:
            if text:
                found.setdefault(folded(str(text)), country.iso_a2)
    return found | {name: code for name, code in _OTHER_NAMES.items() if code in found.values()}


def email(text: str, allowed: str = _EUROPEAN) -> str:
    """Return an address in its kept form; "" stays "". `allowed` is what `characters` gives.

    It looks like `x@y.z` and no part of it is empty. Raises Invalid saying what is wrong with it.
    """
    given = unicodedata.normalize("NFC", text).strip()
    if not given:
        return ""
    if len(given) > _LONGEST:
        raise Invalid(_("An e-mail address has at most %(longest)s characters.") % {"longest": _LONGEST})
    local, at, domain = given.rpartition("@")
    if not at:
        raise Invalid(_("“%(text)s” is no e-mail address: it has no @.") % {"text": given})
    local = local.lower()
    if not local or local.startswith(".") or local.endswith(".") or ".." in local:
        raise Invalid(_("“%(text)s” is no e-mail address: a part before the @ is empty.") % {"text": given})
    known = _ranges(allowed)
    # In small letters already: a set of capitals alone means small ones as well.
    strange = next((each for each in local if each not in known and each.upper() not in known), None)
    if strange is not None:
        raise Invalid(
            _("“%(text)s” is no e-mail address: it may not have the character “%(strange)s”.")
            % {"text": given, "strange": strange}
        )
    if len(local.encode()) > _LONGEST_LOCAL:
        raise Invalid(_("“%(text)s” is no e-mail address: its local part is too long.") % {"text": given})
    found = f"{local}@{_domain(domain, given)}"
    if len(found) > _LONGEST:
        raise Invalid(_("An e-mail address has at most %(longest)s characters.") % {"longest": _LONGEST})
    return found


def email_or_none(text: str, allowed: str = _EUROPEAN) -> str | None:
    """Return the same, or None for what is no address."""
    try:
        return email(text, allowed)
    except Invalid:
        return None


def domain(text: str) -> str:
    """Return an e-mail domain in its kept form, with or without "@" before it. Raises Invalid."""
    given = unicodedata.normalize("NFC", text).strip().removeprefix("@")
    return _domain(given, given)


def phone(text: str, of: str) -> str:
    """Return a phone number as "+33612345678"; "" stays "". `of` is the country that reads one without its
    prefix, "" for none. Raises Invalid.
    """
    from envoi.packages.delivery.services.imports import phones

    given = unicodedata.normalize("NFKC", text).strip()
    if not given:
        return ""
    found = phones.e164(given, "" if of == UNSET else of.upper())
    if found is None:
        raise Invalid(
            _("“%(text)s” is no phone number. Write it with the prefix of its country: +33 6 12 34 56 78.")
            % {"text": given}
        )
    return found


def country(text: str, known: Mapping[str, str]) -> str:
    """Return the two-letter code of a country given by a code or a name; `known` is what `countries` gives.

    Nothing is `XX`, as is `XX` itself. Raises Invalid.
    """
    name = folded(text)
    if not name or name == UNSET.lower():
        return UNSET
    found = known.get(name)
    if found is None:
        raise Invalid(
            _("“%(text)s” is no country. Write its name or its two letters: FR.") % {"text": text.strip()}
        )
    return found


def folded(text: str) -> str:
    """Return a name without case, accents and signs, for comparing names of countries."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(" " if each in "-'’.,()&" else each for each in plain if not unicodedata.combining(each))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def person(values: Mapping[str, Any], key: int | None, actor: Actor) -> dict[str, Any]:
    """Bring the addresses among the values of a person into their form; a `Preparer` of `kernel.writing`.

    A phone number without prefix is read by the country among the values, else by that of the recipient
    `key`, else by the default. Raises WrongValues with a text for each attribute.
    """
    found, problems = dict(values), dict[str, str]()

    def settle(name: str, of: Callable[[str], str]) -> None:
        try:
            found[name] = of(str(found[name] or ""))
        except Invalid as refusal:
            problems[name] = str(refusal)

    if "email" in found:
        settle("email", partial(email, allowed=characters(actor=actor)))
    if "location/countryCode" in found:
        settle("location/countryCode", partial(country, known=countries()))
    numbers = [name for name in ("phone", "mobilePhone", "fax") if found.get(name)]
    if numbers:
        home = found.get("location/countryCode") or (_home(key) if key is not None else "")
        of = home if home and home != UNSET else region(actor=actor)
        for name in numbers:
            settle(name, partial(phone, of=of))
    if problems:
        raise WrongValues(problems)
    return found


def _home(key: int) -> str:
    found = Recipient.objects.filter(pk=key).values_list("country_code", flat=True).first()
    return str(found or "")


def _domain(text: str, given: str) -> str:
    wrong = _("“%(text)s” is no e-mail address: its domain is not of the form name.end.") % {"text": given}
    try:
        found = text.lower().encode("ascii").decode("ascii")
    except UnicodeEncodeError:
        import idna

        try:
            found = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise Invalid(wrong) from error
    labels = found.split(".")
    if len(labels) < 2 or len(labels[-1]) < 2 or labels[-1].isdigit() or len(found) > _LONGEST - 2:
        raise Invalid(wrong)
    for label in labels:
        plain = label.replace("-", "")
        if not plain.isalnum() or label[0] == "-" or label[-1] == "-" or len(label) > _LONGEST_LABEL:
            raise Invalid(wrong)
    return found


@lru_cache(maxsize=8)
def _ranges(allowed: str) -> frozenset[str]:
    """Return the characters of "A-Za-z.-": a hyphen between two others makes a range."""
    found: set[str] = set()
    at = 0
    while at < len(allowed):
        if at + 2 < len(allowed) and allowed[at + 1] == "-" and allowed[at] <= allowed[at + 2]:
            found.update(chr(code) for code in range(ord(allowed[at]), ord(allowed[at + 2]) + 1))
            at += 3
        else:
            found.add(allowed[at])
            at += 1
    return frozenset(found)
