"""The page of updates of rules, and the commands of who offers a feed."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from envoi.engine.models import QueuedCommand, State, Workflow
from envoi.engine.testing import lines, run_until_passive
from envoi.kernel import options
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.services.deliverability import feed, updating

BACKEND = "django.contrib.auth.backends.ModelBackend"
ADDRESS = "/sending/rule-updates"
PUBLIC = base64.b64encode(
    Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
).decode()


@pytest.fixture
def visitor(client, db):
    client.force_login(make_operator("sofia", ("ADMINISTRATION",)), BACKEND)
    return client


@pytest.mark.django_db
def test_a_feed_is_kept_and_what_is_none_refused(visitor):
    assert "No feed was carried out" in visitor.get(ADDRESS).content.decode()
    form = {"do": "save", "url": "http://rules.example/feed", "key": PUBLIC}
    refused = visitor.post(ADDRESS, form)
    assert refused.status_code == 400
    assert "must begin with https://" in refused.content.decode()
    assert visitor.post(ADDRESS, {**form, "url": "https://rules.example/feed", "key": "x"}).status_code == 400
    assert options.get(updating.URL, actor=admin_actor()) == ""
    assert (
        visitor.post(ADDRESS, {**form, "url": "https://rules.example/feed", "share": "on"}).status_code == 302
    )
    assert options.get(updating.URL, actor=admin_actor()) == "https://rules.example/feed"
    assert options.get(updating.SHARE, actor=admin_actor()) is True
    assert "https://rules.example/feed" in visitor.get(ADDRESS).content.decode()


@pytest.mark.django_db
def test_the_next_update_comes_at_once(visitor):
    workflow = Workflow.objects.get(internal_name="deliverabilityUpdate")
    assert visitor.post(ADDRESS, {"do": "now"}).status_code == 302
    run_until_passive()
    workflow.refresh_from_db()
    assert workflow.state == State.STARTED
    assert "No feed is configured: the rules of the product are kept up to date" in lines(workflow)
    assert visitor.post(ADDRESS, {"do": "now"}).status_code == 302
    assert QueuedCommand.objects.filter(workflow_id=workflow.pk, command="Wakeup").exists()


@pytest.mark.django_db
def test_it_is_for_administrators(client):
    client.force_login(make_operator("noah"), BACKEND)
    assert client.get(ADDRESS).status_code == 403


def test_a_feed_is_made_and_signed_on_the_command_line(committed_db, run_envoi, tmp_path):
    key = run_envoi("deliverability", "key", str(tmp_path / "feed.pem"), "--json", code=0).json
    run_envoi("deliverability", "key", str(tmp_path / "feed.pem"), code=3)
    document = tmp_path / "feed.json"
    document.write_text(json.dumps({"format": 1, "version": 1, "issued": "2026-11-23T12:00:00+00:00"}))
    where = str(tmp_path / "feed")
    signing = ("--key", str(tmp_path / "feed.pem"))
    run_envoi("deliverability", "sign", str(document), where, *signing, code=0)
    assert feed.verified((tmp_path / "feed").read_bytes(), key["public_key"]).version == 1
    document.write_text('{"format": 1, "version": 0}')
    refused = run_envoi("deliverability", "sign", str(document), where, *signing)
    assert refused.code in (1, 3)
    assert "cannot be read" in refused.err
