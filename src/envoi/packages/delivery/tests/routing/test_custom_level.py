"""What a new version of the shipped rules changes where the level of throughput is *custom*."""

from dataclasses import replace

import pytest

from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import MailRule, MxRule
from envoi.packages.delivery.services.bounces.rules import shipped
from envoi.packages.delivery.services.qualification import rule_sets
from envoi.packages.delivery.services.routing import mx_rules

pytestmark = pytest.mark.django_db


@pytest.mark.case("D86")
def test_mx_rules_stay_and_bounce_rules_are_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = admin_actor()
    mx_rules.plant(actor=actor)
    rule_sets.plant()
    mx_rules.set_level("custom", actor=actor)
    limits = dict(MxRule.objects.values_list("shipped", "per_hour"))
    newer = [dict(each, per_hour=24) for each in mx_rules._shipped()]
    monkeypatch.setattr(mx_rules, "_shipped", lambda: newer)
    known = shipped()
    first, *others = known.by_kind["text"]
    renamed = replace(first, texts=(("letterbox has left town",), *first.texts))
    rules = replace(known, version=known.version + 1, by_kind={**known.by_kind, "text": (renamed, *others)})
    monkeypatch.setattr(rule_sets, "shipped", lambda: rules)

    mx_rules.plant(actor=actor)
    rule_sets.plant()

    assert dict(MxRule.objects.values_list("shipped", "per_hour")) == limits
    assert MailRule.objects.filter(patterns__contains=["letterbox has left town"]).count() == 1
    mx_rules.set_level("normal", actor=actor)
    mx_rules.plant(actor=actor)
    assert set(MxRule.objects.values_list("per_hour", flat=True)) == {24}
