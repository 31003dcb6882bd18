"""The mail of the demonstration: drawn in the visual editor, in English and French, with a code for each
reader.
"""

import csv
import re
from html import escape
from importlib.resources import files as resources

from envoi.kernel import folders
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import CouponType, Delivery
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.content import images, starters, visual
from envoi.packages.delivery.services.coupons import records, values
from envoi.packages.delivery.services.variants.definition import Variants

TEMPLATE = "demoAutumnMail"
COUPON = "demoAutumnCode"
PREFIX = "AUT"
SUBJECTS = {
    "A": {
        "en": "{{ recipient.firstName }}, autumn is here",
        "fr": "{{ recipient.firstName }}, l’automne est là",
    },
    "B": {
        "en": "€10 for the long evenings, {{ recipient.firstName }}",
        "fr": "10 € pour les longues soirées, {{ recipient.firstName }}",
    },
}
"""What is tested: of each version the subject by language."""
LINKS = {
    "autumn?country=$(p1)": "The collection",
    "autumn/lamp": "Oak lamp",
    "autumn/chair": "Reading chair",
    "autumn/vase": "Stoneware vase",
    "autumn/code?value=$(p1)": "The code",
    "workshop": "How we work",
}
"""What reports call the links."""
SHOP = "https://atelier-nord.example"
FOLDER = resources("envoi.app") / "story_mail"
_PLACE = re.compile(r"@(image:)?([\w.-]+)@")


def template(actor: Actor, sender: str, codes: int) -> Delivery:
    """Make the template of the mail with its pictures, and a coupon with so many codes. What a server puts
    off is tried again within seconds, not hours.
    """
    coupon = records.create(
        COUPON,
        actor=actor,
        folder=folders.find("deliveries", actor=actor),
        label="€10 for autumn",
        type=CouponType.INDIVIDUAL,
    )
    if codes:
        values.generate(coupon, codes, actor=actor, prefix=f"{PREFIX}-")
    made = deliveries.create(
        deliveries.find("mail", actor=actor),
        actor=actor,
        name=TEMPLATE,
        label="Autumn collection",
        as_template=True,
        from_name="Atelier Nord",
        from_address=sender,
        reply_to="hello@atelier-nord.example",
        content={
            "language": "en",
            "coupon": coupon.pk,
            "links": {f"{SHOP}/{path}": {"label": label} for path, label in LINKS.items()},
        },
        sending={"retry": {"count": 5, "period": "5s"}},
    )
    drawn = {language: visual.values(made, _mjml(language, actor)) for language in ("en", "fr")}
    french = {**drawn["fr"], "subject": SUBJECTS["A"]["fr"]}
    return deliveries.change(
        made,
        {
            **drawn["en"],
            "subject": SUBJECTS["A"]["en"],
            "variants": Variants(language="en", of={"fr": french}).said(),
        },
        actor=actor,
    )


def under_subject(delivery: Delivery, version: str, *, actor: Actor) -> None:
    """Let a delivery of the template have the subjects of a version."""
    subjects = SUBJECTS[version]
    french = {**delivery.variants["of"]["fr"], "subject": subjects["fr"]}
    variants = {**delivery.variants, "of": {"fr": french}}
    deliveries.change(delivery, {"subject": subjects["en"], "variants": variants}, actor=actor)


def _mjml(language: str, actor: Actor) -> str:
    """Return the source in a language, its pictures taken into the public resources."""
    lines = (FOLDER / "texts.tsv").read_text(encoding="utf-8").splitlines()
    texts = {
        row["key"]: row[language] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    }

    def one(found: re.Match[str]) -> str:
        if not found[1]:
            return texts[found[2]]
        picture = (starters.PICTURES / found[2]).read_bytes()
        return escape(images.address(images.add(found[2], picture, actor=actor)[0]))

    return _PLACE.sub(one, (FOLDER / "autumn.mjml").read_text(encoding="utf-8"))
