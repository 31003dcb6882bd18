"""The pages of pictures, and the previews of a content."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envoi.kernel.models import Folder
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import Image
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.content import images, versions
from envoi.packages.delivery.testing import make_delivery
from envoi.packages.delivery.tests.editor.pictures import gif, png

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


def test_a_source_is_checked_before_it_is_applied(client: Client) -> None:
    delivery = make_delivery(html_source="<p>kept</p>")
    address = f"/deliveries/{delivery.pk}/content/visual"

    def asked(source: str) -> dict[str, Any]:
        return client.post(
            address, {"do": "check", "mjml_source": source}, headers={"Accept": "application/json"}
        ).json()

    good = asked("<mjml>\n<mj-body><mj-section><mj-column><mj-text>{{ recipient.email }}</mj-text>"
                 "</mj-column></mj-section></mj-body></mjml>")  # fmt: skip
    assert "{{ recipient.email }}" in good["html"]
    assert good["mjml"].startswith("<mjml>")
    unknown = asked("<mjml>\n<mj-body>\n<mj-x/></mj-body></mjml>")
    assert (unknown["line"], "mj-x" in unknown["problem"]) == (3, True)
    assert asked("<mjml>\n<mj-body>\n</mj-section></mjml>")["problem"].startswith(
        "MJML, line 3, column 3: this"
    )
    assert "before every element is closed" in asked("<mjml>\n<mj-body>")["problem"]
    assert "stands there twice" in asked("<mjml a='1' a='2'></mjml>")["problem"]
    delivery.refresh_from_db()
    assert delivery.html_source == "<p>kept</p>"


def test_nobody_overwrites_a_version_that_they_have_not_seen(client: Client) -> None:
    delivery = make_delivery(html_source="<p>first</p>", text_source="first")
    address = f"/deliveries/{delivery.pk}/content"
    seen = versions.version(delivery)
    mary = make_operator("mary", ("ADMINISTRATION",))
    deliveries.change(delivery, {"html_source": "<p>hers</p>"}, actor=actor_of(mary))
    # What is no content makes no other version.
    now = versions.version(delivery)
    deliveries.change(delivery, {"label": "Renamed"}, actor=admin_actor())
    delivery.refresh_from_db()
    assert versions.version(delivery) == now
    mine = {"do": "content", "html_source": "<p>mine</p>", "version": seen}
    refused = client.post(address, mine)
    page = refused.content.decode()
    assert refused.status_code == 400
    assert "Mary has kept another version of this content at" in page
    assert "&lt;p&gt;mine&lt;/p&gt;" in page
    assert f'name="version" value="{now}"' in page
    delivery.refresh_from_db()
    assert delivery.html_source == "<p>hers</p>"
    # The text that is made of the HTML is no way around it.
    page = client.post(address, mine | {"do": "text"}).content.decode()
    assert f'name="version" value="{seen}"' in page
    assert client.post(address, mine | {"version": now}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.html_source == "<p>mine</p>"
    again = client.post(address, mine | {"version": now, "html_source": "<p>later</p>"})
    assert "You have kept another version" in again.content.decode()


def test_another_variant_is_no_newer_version(client: Client) -> None:
    delivery = make_delivery(
        html_source="<p>first</p>", variants={"of": {"fr": {"html_source": "<p>un</p>"}}}
    )
    seen = versions.version(delivery)
    address = f"/deliveries/{delivery.pk}/content"
    assert client.post(f"{address}?variant=fr", {"html_source": "<p>deux</p>"}).status_code == 302
    assert client.post(address, {"html_source": "<p>x</p>", "version": seen}).status_code == 302
    delivery.refresh_from_db()
    assert (delivery.html_source, "deux" in str(delivery.variants)) == ("<p>x</p>", True)


def test_pictures_lie_in_folders_with_their_rights(client: Client) -> None:
    root = Folder.objects.get(name="publicResources")
    made = [make_folder(name, root, model=images.ENTITY) for name in ("Spring", "Shut")]
    delivery = make_delivery()
    address = f"/deliveries/{delivery.pk}/content/images"
    client.post(address, {"do": "upload", "file": _file(), "folder": made[0].pk})
    images.add("other.gif", gif(), actor=admin_actor())
    assert Image.objects.get(label="sea.png").folder == made[0]
    page = client.get(f"{address}?folder={made[0].pk}&pick=1").content.decode()
    assert ("sea.png" in page, "other.gif" in page) == (True, False)
    designer = make_operator("designer", ("PREPARE DELIVERIES",))
    allow(root, designer, write=True)
    allow(delivery.folder, designer, write=True)
    allow(made[0], designer, write=False)
    allow(made[1], designer, read=False)
    other = Client()
    other.force_login(designer, "django.contrib.auth.backends.ModelBackend")
    page = other.get(f"{address}?pick=1").content.decode()
    assert page.count("Spring") == 1  # to look, not to add
    assert "Shut" not in page
    for folder, why in ((made[0], "may not write"), (made[1], "folder of pictures is not there")):
        answer = other.post(address, {"do": "upload", "file": _file("b.png", png(9, 9)), "folder": folder.pk})
        assert (answer.status_code, why in answer.content.decode()) == (400, True)
    assert Image.objects.count() == 2
