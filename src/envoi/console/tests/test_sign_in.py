"""Who gets in, what they are told, and where they go on to."""

import re
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from envoi.kernel import operators
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import PASSWORD, make_operator

pytestmark = pytest.mark.django_db


def sign_in(client: Client, name: str = "sofia", password: str = PASSWORD, **more: str):
    return client.post("/sign-in", {"username": name, "password": password, **more})


def code_of(device: TOTPDevice, *, later: int = 0) -> str:
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
    totp.time = totp.time + later * device.step
    return f"{totp.token():0{device.digits}}"


def unthrottle() -> None:
    """Let the second pass that django-otp asks for between a wrong code and the next try."""
    for device in (TOTPDevice, StaticDevice):
        device.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)


@pytest.fixture
def sofia():
    return make_operator("sofia", password=PASSWORD, email="sofia@alpage.example")


@pytest.mark.parametrize("name", ["sofia", "SOFIA", "sofia@alpage.example"])
def test_name_in_any_case_or_e_mail_opens_the_console(client: Client, sofia, name: str):
    answer = sign_in(client, name)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/account").status_code == 200


def test_every_page_asks_to_sign_in_and_comes_back(client: Client, sofia):
    answer = client.get("/account?x=1")
    assert answer["Location"] == "/sign-in?next=/account%3Fx%3D1"
    assert sign_in(client, next="/account?x=1")["Location"] == "/account?x=1"


def test_no_page_is_public_by_oversight(client: Client):
    from envoi.console.urls import own

    public = {"sign-in", "language", "approve"}  # the last one is signed itself
    for pattern in own:
        places = {
            name: 1 if "[0-9]" in kind.regex else "x" for name, kind in pattern.pattern.converters.items()
        }
        address = reverse(f"console:{pattern.name}", kwargs=places)
        answer = client.get(address)
        if pattern.name in public:
            assert answer.status_code in (200, 403, 405), pattern.name
        else:
            assert answer.status_code == 302, pattern.name
            assert answer["Location"].startswith("/sign-in"), pattern.name


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_after_sign_in_nobody_is_sent_to_another_site(client: Client, sofia, elsewhere: str):
    assert sign_in(client, next=elsewhere)["Location"] == "/"


def test_the_answer_does_not_tell_whether_a_name_exists(client: Client, sofia):
    def shown(name: str) -> str:
        text = sign_in(Client(REMOTE_ADDR=f"10.0.0.{len(name)}"), name, "wrong").content.decode()
        return re.sub(r'csrfmiddlewaretoken" value="[^"]+"|value="(sofia|stranger)"', "", text)

    assert shown("sofia") == shown("stranger")
    assert "Name, password or code do not match." in shown("sofia")


def test_tries_are_counted_down_then_sign_in_pauses_even_for_the_right_password(client: Client, sofia):
    left = [
        re.search(r"(\d+) tr(?:y|ies) left", sign_in(client, password="no").content.decode())
        for _n in range(4)
    ]
    assert [found and found[1] for found in left] == ["4", "3", "2", "1"]
    assert sign_in(client, password="no").status_code == 429
    paused = sign_in(client)
    assert paused.status_code == 429
    assert "Sign-in is paused until" in paused.content.decode()


def test_a_change_of_case_wins_no_fresh_tries(sofia):
    for name in ("Sofia", "sOfia", "soFia", "sofIa", "sofiA"):
        answer = sign_in(Client(), name, "no")
    assert answer.status_code == 429


def test_the_pause_ends(client: Client, sofia):
    for _n in range(5):
        sign_in(client, password="no")
    for attempt in AccessAttempt.objects.all():
        attempt.attempt_time -= timedelta(minutes=16)
        attempt.save()
    assert sign_in(client).status_code == 302


def test_a_disabled_operator_is_told_nothing_special(client: Client, sofia):
    sofia.disabled = True
    sofia.save()
    assert "Name, password or code do not match." in sign_in(client).content.decode()


def test_secrets_of_a_failed_sign_in_are_not_stored(client: Client, sofia):
    sign_in(client, password="my secret word")
    assert "my secret word" not in str(list(AccessAttempt.objects.values()))


def test_authenticator_from_enrolment_to_recovery(client: Client, sofia):
    client.force_login(sofia, "django.contrib.auth.backends.ModelBackend")
    page = client.get("/account/authenticator").content.decode()
    device = TOTPDevice.objects.get(user=sofia)
    assert "<svg" in page
    assert not device.confirmed
    assert client.post("/account/authenticator", {"token": "000000"}).status_code == 400
    unthrottle()
    codes = re.findall(
        r"<li>(\w{10})</li>",
        client.post("/account/authenticator", {"token": code_of(device)}).content.decode(),
    )
    assert len(set(codes)) == 10

    fresh = Client()
    assert sign_in(fresh).status_code == 401
    assert sign_in(fresh, token="123456").status_code == 401
    unthrottle()
    assert sign_in(fresh, token=codes[0]).status_code == 302
    again = Client()
    assert sign_in(again, token=codes[0]).status_code == 401, "a recovery code works once"
    unthrottle()
    assert sign_in(again, token=code_of(device, later=1)).status_code == 302


def test_the_authenticator_goes_off_only_with_the_password(client: Client, sofia):
    client.force_login(sofia, "django.contrib.auth.backends.ModelBackend")
    TOTPDevice.objects.create(user=sofia, confirmed=True)
    assert client.post("/account/authenticator/off", {"password": "no"}).status_code == 400
    assert TOTPDevice.objects.filter(user=sofia).exists()
    client.post("/account/authenticator/off", {"password": PASSWORD})
    assert not TOTPDevice.objects.filter(user=sofia).exists()


def test_sign_out_takes_a_post_and_ends_the_session(client: Client, sofia):
    sign_in(client)
    assert client.get("/sign-out").status_code == 405
    client.post("/sign-out")
    assert client.get("/account").status_code == 302


def test_sign_out_everywhere_ends_the_other_sessions(sofia):
    here, there, other = Client(), Client(), Client()
    make_operator("other", password=PASSWORD)
    sign_in(here)
    sign_in(there)
    sign_in(other, "other")
    here.post("/account/sessions/end")
    assert [c.get("/account").status_code for c in (here, there, other)] == [302, 302, 200]


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(sofia):
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there)
    assert here.post("/account/password", {"old": "no", "new": "another good phrase"}).status_code == 400
    assert here.post("/account/password", {"old": PASSWORD, "new": "short"}).status_code == 400
    assert here.post("/account/password", {"old": PASSWORD, "new": "another good phrase"}).status_code == 302
    assert [c.get("/account").status_code for c in (here, there)] == [200, 302]


def test_language_and_zone_of_the_operator_rule_the_page(client: Client, sofia):
    sign_in(client)
    client.post("/account/preferences", {"language": "fr", "timezone": "Asia/Tokyo", "theme": "dark"})
    page = client.get("/account")
    assert '<html lang="fr" data-theme="dark"' in page.content.decode()
    assert page["Content-Language"] == "fr"
    sofia.refresh_from_db()
    assert sofia.timezone == "Asia/Tokyo"


def test_language_before_sign_in_is_kept_in_a_cookie(client: Client):
    client.post("/language", {"language": "fr", "next": "/sign-in"})
    assert '<html lang="fr"' in client.get("/sign-in").content.decode()


def test_a_language_of_labels_alone_does_not_pretend_to_be_that_of_the_page():
    client = Client()
    client.force_login(make_operator("min", language="ko"), "django.contrib.auth.backends.ModelBackend")
    assert '<html lang="en"' in client.get("/account").content.decode()


def test_an_administrator_sets_a_password_and_old_sessions_end(client: Client, sofia):
    sign_in(client)
    admin = actor_of(make_operator("root", ("ADMINISTRATION",)))
    operators.set_password("sofia", "set by somebody else", actor=admin)
    assert client.get("/account").status_code == 302


def test_forms_need_their_token(sofia):
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/sign-in", {"username": "sofia", "password": PASSWORD})
    assert answer.status_code == 403
    assert "This form is no longer valid" in answer.content.decode()


def test_pages_carry_no_inline_script_or_style_and_are_not_stored(client: Client, sofia):
    sign_in(client)
    for address in ("/", "/account", "/account/authenticator", "/search", "/explorer/", "/nothing"):
        page = client.get(address)
        text = page.content.decode()
        assert " style=" not in text, address
        assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>|\son\w+=", text), address
        assert "no-store" in page["Cache-Control"], address
        assert "script-src 'self'" in page["Content-Security-Policy"], address


def test_wrong_passwords_in_the_account_pause_as_at_the_door(client: Client, sofia):
    sign_in(client)
    for _n in range(4):
        assert (
            client.post("/account/password", {"old": "no", "new": "another good phrase"}).status_code == 400
        )
    paused = client.post("/account/authenticator/off", {"password": "no"})
    assert paused.status_code == 429
    assert "Passwords are looked at again from" in paused.content.decode()
    right = {"old": PASSWORD, "new": "another good phrase"}
    assert client.post("/account/password", right).status_code == 429
    sofia.refresh_from_db()
    assert sofia.check_password(PASSWORD)
    assert client.get("/account").status_code == 200, "the session goes on"


def test_a_right_password_in_the_account_forgets_the_wrong_ones(client: Client, sofia):
    sign_in(client)
    for phrase in ("another good phrase", "a third good phrase"):
        for _n in range(3):
            client.post("/account/password", {"old": "no", "new": phrase})
        old = PASSWORD if phrase.startswith("another") else "another good phrase"
        assert client.post("/account/password", {"old": old, "new": phrase}).status_code == 302


def test_what_was_typed_is_kept_with_no_failed_try(client: Client, sofia):
    sign_in(client, password="secret guess", token="123456")
    sign_in(client)
    client.post("/account/password", {"old": "secret guess", "new": "another good phrase"})
    kept = " ".join(AccessAttempt.objects.values_list("post_data", flat=True))
    assert "*****" in kept
    for secret in ("secret guess", "123456", "another good phrase"):
        assert secret not in kept


@pytest.mark.parametrize(
    ("https", "forwarded", "counted"),
    [
        (True, "203.0.113.9", "203.0.113.9"),
        (True, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (True, "[2001:db8::1]", "2001:db8::1"),
        (True, "nonsense", "10.0.0.1"),
        (True, "", "10.0.0.1"),
        (False, "203.0.113.9", "10.0.0.1"),
    ],
)
def test_tries_are_counted_for_the_address_that_the_proxy_saw(
    rf, settings, https: bool, forwarded: str, counted: str
):
    from dataclasses import replace

    from envoi.console.sign_in import client_address

    settings.CONFIG = replace(settings.CONFIG, web=replace(settings.CONFIG.web, https=https))
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == counted


def test_wrong_recovery_codes_are_slowed_down_as_codes_are(client: Client, sofia):
    from django_otp import match_token

    device = StaticDevice.objects.create(user=sofia, name="recovery codes", confirmed=True)
    device.token_set.create(token="rightright")
    assert match_token(sofia, "wrongwrong") is None
    assert match_token(sofia, "rightright") is None, "not even the right one, so soon"
    unthrottle()
    assert match_token(sofia, "rightright") is not None
