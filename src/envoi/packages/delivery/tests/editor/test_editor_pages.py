"""The pages of pictures, and the previews of a content."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Image
from envoi.packages.delivery.services.content import images
from envoi.packages.delivery.testing import make_delivery
from envoi.packages.delivery.tests.editor.pictures import png

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(make_operator("sofia", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend")
    return made


def _file(name: str = "sea.png", content: bytes = b"") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content or png())


def test_pictures_are_added_described_and_removed_on_their_page(client: Client) -> None:
    delivery = make_delivery(html_source="<p>x</p>")
    address = f"/deliveries/{delivery.pk}/content/images"
    assert client.post(address, {"do": "upload", "file": _file(), "alt": "The sea"}).status_code == 302
    image = Image.objects.get()
    page = client.get(f"{address}?q=SEA").content.decode()
    assert images.path(image) in page
    assert 'value="The sea"' in page
    assert images.path(image) not in client.get(f"{address}?q=mountain").content.decode()
    client.post(address, {"do": "describe", "number": image.pk, "alt": "Waves"})
    assert Image.objects.get().alt == "Waves"
    delivery.html_source = images.address(image)
    delivery.save()
    refused = client.post(address, {"do": "remove", "number": image.pk})
    assert refused.status_code == 400
    assert delivery.label in client.get(f"{address}?users={image.pk}").content.decode()
    delivery.html_source = ""
    delivery.save()
    client.post(address, {"do": "remove", "number": image.pk})
    assert not Image.objects.exists()


def test_the_picker_takes_what_is_a_picture_and_says_what_is_none(client: Client) -> None:
    delivery = make_delivery()
    address = f"/deliveries/{delivery.pk}/content/images?pick=1"
    answer = client.post(address, {"do": "upload", "file": [_file(), _file("no.svg", b"<svg/>")]})
    assert "no.svg is no PNG" in answer.content.decode()
    assert not Image.objects.exists() or "data-picture" in answer.content.decode()
    answer = client.post(address, {"do": "upload", "file": _file()})
    assert images.address(Image.objects.get()) in answer.content.decode()


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    reader = Client()
    reader.force_login(make_operator("reader"), "django.contrib.auth.backends.ModelBackend")
    delivery = make_delivery()
    images.add("sea.png", png(), actor=admin_actor())
    for part in ("visual", "images", "import"):
        answer = reader.get(f"/deliveries/{delivery.pk}/content/{part}")
        assert answer.status_code in (200, 403, 404)
        assert 'value="upload"' not in answer.content.decode()
    before = delivery.html_source
    reader.post(f"/deliveries/{delivery.pk}/content/visual", {"do": "start", "starter": "letter"})
    delivery.refresh_from_db()
    assert (delivery.html_source, Image.objects.count()) == (before, 1)


@pytest.mark.parametrize("view", ["phone", "desktop", "dark", "text", "nonsense"])
def test_each_view_of_the_preview(client: Client, view: str) -> None:
    delivery = make_delivery(html_source="<p>Hello</p>", text_source="Hello in text")
    image, _new = images.add("sea.png", png(), actor=admin_actor())
    page = client.post(
        f"/deliveries/{delivery.pk}/preview",
        {"view": view, "html_source": f'<p>Hello</p><img src="{images.address(image)}">'},
    ).content.decode()
    assert f'class="pvbody {view if view != "nonsense" else "phone"}"' in page
    assert ("Hello in text" in page) == (view == "text")
    assert ("invert" in page) == (view == "dark")
    if view != "text":
        assert f"src=&quot;{images.path(image)}&quot;" in page


def test_what_is_drawn_is_previewed_before_it_is_kept(client: Client) -> None:
    delivery = make_delivery(html_source="<p>kept</p>")
    inner = "<mj-section><mj-column><mj-text>Drawn</mj-text></mj-column></mj-section>"
    source = f"<mjml><mj-body>{inner}</mj-body></mjml>"
    page = client.post(f"/deliveries/{delivery.pk}/preview", {"view": "desktop", "mjml_source": source})
    assert "Drawn" in page.content.decode()
    wrong = client.post(f"/deliveries/{delivery.pk}/preview", {"mjml_source": "<mjml><mj-x/></mjml>"})
    assert (wrong.status_code, "mj-x" in wrong.content.decode()) == (400, True)
    delivery.refresh_from_db()
    assert delivery.html_source == "<p>kept</p>"
