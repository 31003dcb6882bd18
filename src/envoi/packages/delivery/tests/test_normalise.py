import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.kernel import enumerations, options, writing
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Recipient
from envoi.packages.delivery.services import normalise

LOCAL = st.text(string.ascii_letters + string.digits + "+_-", min_size=1, max_size=20)
LABEL = st.text(string.ascii_letters + string.digits, min_size=2, max_size=20)


@given(
    LOCAL, LOCAL, LABEL, st.sampled_from(["fr", "com", "museum", "co.uk"]), st.sampled_from(["", " ", "\t"])
)
def test_an_address_is_kept_in_small_letters_and_stays_as_it_is_kept(
    first: str, second: str, label: str, end: str, space: str
) -> None:
    found = normalise.email(f"{space}{first}.{second}@{label}.{end}{space}")
    assert found == f"{first}.{second}@{label}.{end}".lower()
    assert normalise.email(found) == found


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = normalise.email(text)
    except Invalid:
        return
    assert found == "" or found.count("@") >= 1
    assert normalise.email(found) == found
    assert found == found.lower()
    assert " " not in found


@pytest.mark.parametrize(
    "text",
    [
        "ann", "@example.org", "ann@", "ann@example", "ann@example.", "ann@.org", "ann@exa..org",
        ".ann@example.org", "ann.@example.org", "a..n@example.org", "a nn@example.org", "ann@-example.org",
        "ann@example.123", "ann@example.c", "é@example.org", "a@b@example.org", '"ann lee"@example.org',
        "ann@exam_ple.org",
        "a" * 65 + "@example.org", "ann@" + "a" * 64 + ".org", "ann\x00@example.org", "ann@exa mple.org",
    ],
)  # fmt: skip
def test_what_does_not_look_like_an_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        normalise.email(text)
    assert normalise.email_or_none(text) is None


def test_a_domain_is_kept_as_the_network_writes_it() -> None:
    assert normalise.email("Ann@Bücher.Example") == "ann@xn--bcher-kva.example"
    assert normalise.email("ann@例え.jp") == "ann@xn--r8jz45g.jp"
    assert normalise.domain("@Bücher.Example") == "xn--bcher-kva.example"


def test_the_option_says_which_characters_an_address_may_have() -> None:
    assert normalise.email("Élodie@example.org", "A-Za-zÀ-ÖØ-öø-ÿ") == "élodie@example.org"
    with pytest.raises(Invalid, match="“1”"):
        normalise.email("ann1@example.org", "A-Z")
    assert normalise.email("a-b@example.org", "a-z-") == "a-b@example.org"


@pytest.mark.parametrize(
    ("text", "region", "kept"),
    [
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("+33 (0)6 12 34 56 78", "", "+33612345678"),
        ("0033612345678", "FR", "+33612345678"),
        ("(917) 555-2671", "US", "+19175552671"),
        ("０７０−１２３ ４５ ６７", "SE", "+46701234567"),
        ("", "FR", ""),
    ],
)
def test_a_phone_number_is_kept_in_e164(text: str, region: str, kept: str) -> None:
    assert normalise.phone(text, region) == kept
    assert normalise.phone(kept, "") == kept


@pytest.mark.parametrize(
    ("text", "region"), [("12", "FR"), ("0612345678", ""), ("call me", "FR"), ("+999123", "FR")]
)
def test_what_is_no_phone_number_is_refused(text: str, region: str) -> None:
    with pytest.raises(Invalid):
        normalise.phone(text, region)


@pytest.mark.django_db
def test_a_country_is_known_by_its_codes_and_its_names_in_every_language() -> None:
    known = normalise.countries()
    for text in ("FR", "fra", "250", "France", " FRANCE ", "Frankrike", "프랑스", "法國"):
        assert normalise.country(text, known) == "FR", text
    for text, code in {
        "Deutschland": "DE", "États-Unis": "US", "usa": "US", "UK": "GB", "Côte d’Ivoire": "CI", "": "XX",
        "xx": "XX",
    }.items():  # fmt: skip
        assert normalise.country(text, known) == code, text
    with pytest.raises(Invalid, match="Freedonia"):
        normalise.country("Freedonia", known)


@pytest.mark.django_db
def test_a_recipient_that_is_written_gets_its_addresses_normalised() -> None:
    actor = admin_actor()
    folder = Folder.objects.get(name="recipients").folder_id
    made = writing.write(
        "nms:recipient",
        {
            "email": " Ann@Example.ORG",
            "mobilePhone": "0151 23456789",
            "location/countryCode": "de",
            "folder-id": folder,
        },
        actor=actor,
        operation="insert",
    )
    ann = Recipient.objects.get(pk=made.key)
    assert (ann.email, ann.mobile_phone, ann.country_code) == ("ann@example.org", "+4915123456789", "DE")
    assert ann.domain == "example.org"
    writing.write("nms:recipient", {"phone": "030 901820"}, actor=actor, key=made.key)
    ann.refresh_from_db()
    assert ann.phone == "+4930901820"  # read by the country of the profile
    with pytest.raises(writing.WrongValues) as refused:
        writing.write("nms:recipient", {"email": "ann", "phone": "1"}, actor=actor, key=made.key)
    assert set(refused.value.problems) == {"email", "phone"}
    options.set("NmsRecipient_DefaultRegion", "SE", actor=actor)
    lars = writing.write(
        "nms:recipient",
        {"mobilePhone": "070-123 45 67", "folder-id": folder},
        actor=actor,
        operation="insert",
    )
    assert Recipient.objects.get(pk=lars.key).mobile_phone == "+46701234567"


@pytest.mark.django_db
@pytest.mark.case("D4")
def test_a_closed_list_refuses_a_new_value_in_a_profile() -> None:
    actor = admin_actor()
    enumerations.create("company", actor=actor, label="Companies", type="closed")
    enumerations.add_value("company", "NIELSEN Ltd", actor=actor)
    values = {"lastName": "Lee", "folder-id": Folder.objects.get(name="recipients").folder_id}
    with pytest.raises(writing.WrongValues) as refused:
        writing.write("nms:recipient", {**values, "company": "ACMEE"}, actor=actor, operation="insert")
    assert "company" in refused.value.problems
    assert not Recipient.objects.filter(last_name="Lee").exists()
    made = writing.write(
        "nms:recipient", {**values, "company": "NIELSEN Ltd"}, actor=actor, operation="insert"
    )
    assert Recipient.objects.get(pk=made.key).company == "NIELSEN Ltd"
