"""The page of web tracking."""

import pytest
from django.conf import settings

from envoi.kernel import options
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.services.tracking import visits

BACKEND = "django.contrib.auth.backends.ModelBackend"
ADDRESS = "/web-tracking"


@pytest.fixture
def visitor(client, db):
    client.force_login(make_operator("sofia", ("ADMINISTRATION",)), BACKEND)
    return client


@pytest.mark.django_db
def test_modes_are_kept_and_what_does_not_exist_is_refused(visitor):
    assert visitor.get(ADDRESS).status_code == 200
    refused = visitor.post(ADDRESS, {"mode": "anonymous", "delivery": "DM404"})
    assert refused.status_code == 400
    assert "DM404" in refused.content.decode()
    assert visitor.post(ADDRESS, {"mode": "all"}).status_code == 400
    assert options.get(visits.MODE, actor=admin_actor()) == "session"
    assert visitor.post(ADDRESS, {"mode": "anonymous", "visitors": "on"}).status_code == 302
    assert options.get(visits.MODE, actor=admin_actor()) == "anonymous"
    assert options.get(visits.VISITORS, actor=admin_actor()) is True
    assert options.get(visits.FORCED, actor=admin_actor()) is False


@pytest.mark.django_db
def test_tags_lead_to_the_address_for_readers(visitor, monkeypatch):
    assert "Nothing is tracked" in visitor.get(ADDRESS).content.decode()
    monkeypatch.setattr(
        "envoi.packages.delivery.console.web_tracking.settings.ENVOI",
        _tracked(),
    )
    page = visitor.get(ADDRESS).content.decode()
    assert "https://t.example.org/r/1?tagid=home" in page
    assert "data-tracking=&quot;https://t.example.org&quot;" in page


def _tracked():
    from dataclasses import replace

    config = settings.ENVOI.config
    return replace(
        settings.ENVOI,
        config=replace(config, tracking=replace(config.tracking, url="https://t.example.org/")),
    )


@pytest.mark.django_db
def test_it_is_for_administrators(client):
    client.force_login(make_operator("noah"), BACKEND)
    assert client.get(ADDRESS).status_code == 403
