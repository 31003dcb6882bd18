"""Which column of a file most likely goes where, by its header: names, labels in every language, synonyms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from envoi.engine import files
from envoi.engine.files import Format, Source
from envoi.kernel import registry
from envoi.kernel.errors import Refused
from envoi.kernel.registry.types import Type
from envoi.packages.delivery.services.imports.plan import Operation, Plan, Target, targets_of

LOOKED = 200
"""Rows that are looked at for the form of dates and numbers."""
_DATE = re.compile(r"^(\d{1,2})[-/. ](\d{1,2})[-/. ]\d{4}\b")
SYNONYMS: dict[str, tuple[str, ...]] = {
    "email": (
        "mail", "emailaddress", "mailaddress", "courriel", "adressemail", "adresseemail",
        "adresseelectronique", "epost", "epostadress", "이메일", "電子郵件", "emailadresse", "correo",
    ),
    "firstName": ("givenname", "forename", "prenom", "fornamn", "vorname", "이름", "名字", "名"),
    "lastName": ("surname", "familyname", "name", "nom", "nomdefamille", "efternamn", "nachname", "성", "姓"),
    "middleName": ("secondname", "deuxiemeprenom"),
    "salutation": ("title", "civilite", "titre", "anrede", "titel"),
    "company": ("companyname", "organisation", "organization", "societe", "entreprise", "foretag", "firma"),
    "birthDate": ("birthday", "dateofbirth", "dob", "datedenaissance", "naissance", "nele", "neele",
        "fodelsedatum"),
    "gender": ("sex", "sexe", "genre", "kon", "geschlecht"),
    "language": ("lang", "locale", "langue", "sprak", "sprache"),
    "phone": ("telephone", "tel", "phonenumber", "landline", "telefon", "fixe", "전화"),
    "mobilePhone": (
        "mobile", "cell", "cellphone", "gsm", "sms", "portable", "telephoneportable", "mobil", "handy",
        "휴대전화", "手機",
    ),
    "fax": ("telecopie", "faxnumber"),
    "location/address1": ("address", "street", "addressline1", "adresse", "rue", "adress", "gata"),
    "location/address2": ("addressline2", "adresse2", "complement"),
    "location/address3": ("addressline3", "adresse3"),
    "location/address4": ("addressline4", "adresse4"),
    "location/zipCode": ("zip", "postcode", "postalcode", "codepostal", "cp", "postnummer", "plz"),
    "location/city": ("town", "ville", "stad", "ort", "commune", "도시", "城市"),
    "location/stateCode": ("state", "province", "region", "departement"),
    "location/countryCode": ("country", "pays", "land", "countrycode", "codepays", "국가", "國家"),
    "account": ("accountnumber", "customernumber", "customerid", "externalid", "numeroclient", "kundnummer"),
    "folder/@name": ("folder", "dossier", "mapp"),
    "blackList": ("optout", "unsubscribed", "desinscrit", "nolongercontact"),
}  # fmt: skip
"""Attribute to what headers call it; spelled as `folded` does."""


def propose(columns: Sequence[str], schema: str = "nms:recipient") -> Plan:
    """Return a plan: each column goes to the attribute that its header names, none where two would fit."""
    known = _names(schema)
    taken: set[str] = set()
    targets: list[Target] = []
    for number, column in enumerate(columns):
        attribute = known.get(folded(column), "")
        if attribute and attribute not in taken:
            taken.add(attribute)
            targets.append(Target(number, attribute))
    key = next((name for name in ("email", "account", "mobilePhone") if name in taken), "")
    operation = Operation.BOTH if key else Operation.INSERT
    return Plan(tuple(targets), operation, (key,) if key else ())


def propose_for(source: Source, form: Format, schema: str = "nms:recipient") -> Plan:
    """Return the same, with the form of dates and numbers as the first rows have them."""
    plan = propose(form.columns, schema)
    try:
        rows, _bad = files.first_rows(source, form, LOOKED)
    except Refused:
        return plan  # what is wrong with the file is told when it is read
    types = registry.current()[schema].attributes
    targets: list[Target] = []
    for target in plan.targets:
        attribute = types.get(target.attribute)
        cells = [cells[target.source].strip() for _line, cells in rows]
        if attribute is not None and attribute.type in (Type.DATE, Type.DATETIME):
            target = replace(target, date=date_form(cells))
        elif attribute is not None and attribute.type in (Type.FLOAT, Type.DOUBLE):
            comma = any("," in cell for cell in cells) and not any(
                "." in cell.partition(",")[2] for cell in cells
            )
            target = replace(target, decimal="," if comma else ".")
        targets.append(target)
    return replace(plan, targets=tuple(targets))


def date_form(cells: Sequence[str]) -> str:
    """Return how dates are written: year first, else day or month first by the number that is no month."""
    found = [match for cell in cells if (match := _DATE.match(cell))]
    if not found:
        return "ymd"
    return "mdy" if any(int(match[2]) > 12 for match in found) else "dmy"


def folded(text: str) -> str:
    """Return a header without case, accents, spaces and punctuation."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", plain))


def _names(schema_name: str) -> dict[str, str]:
    """Return folded name -> attribute: exact names first, then labels, then synonyms."""
    schema = registry.current()[schema_name]
    names = [name for name, _label in targets_of(schema_name)]
    found: dict[str, str] = {}
    for name in names:
        attribute = schema.attributes.get(name)
        found.setdefault(folded(name.rpartition("/")[2]), name)
        found.setdefault(folded(name), name)
        if attribute is not None:
            found.setdefault(folded(attribute.column), name)
    for name in names:
        attribute = schema.attributes.get(name)
        if attribute is not None:
            for language in ("en", "fr", "sv", "ko", "zh-hant"):
                found.setdefault(folded(registry.translate(attribute.label, language)), name)
    for name in names:
        for synonym in SYNONYMS.get(name, ()):
            found.setdefault(folded(synonym), name)
    return found
