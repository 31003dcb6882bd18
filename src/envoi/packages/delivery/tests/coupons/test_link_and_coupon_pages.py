"""Links and coupon of a content, and the page of coupons."""

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envoi.kernel.config import TrackingConfig
from envoi.kernel.errors import Invalid
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Coupon, DeliveryContent, TrackingUrl, UrlType
from envoi.packages.delivery.services import analysis, coupons, deliveries
from envoi.packages.delivery.services.content import link_settings
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")
A, B = "https://shop.example/a?x=1#top", "https://shop.example/b"


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), "django.contrib.auth.backends.ModelBackend")
    return client


def frozen(delivery: Any) -> str:
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    return DeliveryContent.objects.get(run=run).templates["html"]


def test_links_are_named_left_alone_remembered_and_get_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    make_recipients(1, black_list=0)
    html = f'<a href="{A}">A</a><a href="{B}">B</a>unsubscribe'
    delivery = make_delivery(html_source=html, text_source="")
    client = signed_in("sofia", "PREPARE DELIVERIES")
    page = f"/deliveries/{delivery.pk}/content/links"
    assert B in client.get(page).content.decode()
    form = {
        "url": [A, B], "tracked0": "1", "label0": "Shoes", "category0": "shop", "remembered1": "1",
        "params": "?utm_source=mail&utm_medium=e", "coupon": "0",
    }  # fmt: skip
    assert client.post(page, form).status_code == 302
    delivery.refresh_from_db()
    made = frozen(delivery)
    row = TrackingUrl.objects.get(delivery=delivery, type=UrlType.CLICK)
    assert row.url == "https://shop.example/a?x=1&utm_source=mail&utm_medium=e#top"
    assert (row.label, row.category) == ("Shoes", "shop")
    assert 'href="https://shop.example/b?utm_source=mail&amp;utm_medium=e"' in made
    # What is remembered holds for a content that says nothing of its own.
    other = make_delivery(html_source=f'<a href="{B}">B</a>unsubscribe', text_source="")
    assert B in frozen(other)
    assert not TrackingUrl.objects.filter(delivery=other, type=UrlType.CLICK).exists()
    link_settings.forget(B)
    assert B not in frozen(make_delivery(html_source=f'<a href="{B}">B</a>unsubscribe', text_source=""))
    assert client.post(page, {**form, "params": "a b"}).status_code == 400


def test_settings_of_links_are_checked() -> None:
    delivery = make_delivery()
    for wrong in (
        {"links": {"x": {"y": 1}}},
        {"links": []},
        {"params": "<x>"},
        {"links": {"x": {"tracked": 1}}},
    ):
        with pytest.raises(Invalid):
            deliveries.change(delivery, {"content": wrong}, actor=admin_actor())


def test_coupons_are_made_filled_chosen_and_deleted() -> None:
    client = signed_in("sofia", "PREPARE DELIVERIES")
    page = "/deliveries/coupons"
    client.post(page, {"do": "make", "name": "may", "label": "May", "type": "1"})
    coupon = Coupon.objects.get()
    file = SimpleUploadedFile("values.txt", b"A1\r\nA2\nA2\n")
    client.post(page, {"do": "add", "number": str(coupon.pk), "file": file})
    client.post(page, {"do": "generate", "number": str(coupon.pk), "count": "3"})
    assert coupons.counts(coupon) == coupons.Counts(5, 5)
    assert "May" in client.get(page).content.decode()
    assert client.post(page, {"do": "make", "name": "x", "label": "X", "type": "0"}).status_code == 400
    delivery = make_delivery()
    links = f"/deliveries/{delivery.pk}/content/links"
    assert client.post(links, {"params": "", "coupon": str(coupon.pk)}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.content["coupon"] == coupon.pk
    assert client.post(links, {"params": "", "coupon": "999"}).status_code == 400
    assert client.post(page, {"do": "delete", "number": str(coupon.pk)}).status_code == 400
    client.post(links, {"params": "", "coupon": "0"})
    client.post(page, {"do": "delete", "number": str(coupon.pk)})
    assert not Coupon.objects.exists()
