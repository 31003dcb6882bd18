"""The visual editor in a browser: messages from an empty page and from one that ships, in two languages.

Whatever the content security policy stops is an error on the browser's console, and fails the test.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Locator, Page, expect

from envoi.kernel.rights import actor_of
from envoi.kernel.testing import make_operator, wait_until
from envoi.packages.delivery.models import Delivery, Image, Recipient
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.testing import make_delivery, make_recipients
from envoi.packages.delivery.tests.editor.pictures import png

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


def _shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def _ready(page: Page) -> FrameLocator:
    page.wait_for_selector("[data-visual][data-ready]")
    return page.frame_locator("[data-part=canvas] iframe.gjs-frame")


def _write(page: Page, text: Locator, words: str) -> None:
    """Write into a text of the message, in place of what stands there."""
    text.dblclick()
    editable = page.frame_locator("[data-part=canvas] iframe.gjs-frame").locator("[contenteditable=true]")
    expect(editable).to_be_focused()
    # The keys reach the frame a moment after the element in it has the focus.
    chosen = "e => getSelection().toString().trim() === e.innerText.trim()"
    wait_until(lambda: page.keyboard.press("Control+A") or editable.evaluate(chosen))
    page.keyboard.type(words)


def _keep(page: Page) -> None:
    page.locator("[data-part=keep]").click()
    expect(page.locator("[data-part=unsaved]")).to_be_hidden()


def _reader() -> None:
    (one,) = make_recipients(1, first_name="Zoë", last_name="Roux", city="Lyon")
    Recipient.objects.filter(pk=one).update(email="zoe@example.org")


def _change_its_source(page: Page, canvas: FrameLocator, line: str) -> None:
    """Open the source beside the canvas: it shows what is chosen, tells a mistake, and the canvas follows."""
    page.locator("[data-part=sourceswitch]").click()
    code = page.locator("#vmj + .CodeMirror")
    canvas.locator("h1").click()
    expect(code.locator(".code-here").first).to_be_attached()
    marked = "({CodeMirror: it}) => it.getValue().split('\\n').filter((_, n) => it.lineInfo(n).bgClass)"
    assert "Déjà l’été" in "".join(code.evaluate(marked))
    change = "({CodeMirror: it}, [from, to]) => { const at = it.getValue().indexOf(from); "
    change += "it.replaceRange(to, it.posFromIndex(at), it.posFromIndex(at + from.length)); }"
    assert code.evaluate("({CodeMirror: it}) => it.getLine(2)").strip().startswith("<mj-")
    code.evaluate("({CodeMirror: it}) => it.replaceRange('<mj-x/>', {line: 2, ch: 0})")
    page.locator("[data-part=sourceapply]").click()
    expect(page.locator("[data-part=sourcesaid]")).to_contain_text("mj-x")
    expect(page.locator("[data-part=sourceline]")).to_have_text(line)
    expect(canvas.locator("h1")).to_have_text("Déjà l’été")
    code.evaluate(change, ["<mj-x/>", ""])
    code.evaluate(change, ["Déjà l’été", "Bientôt l’été"])
    page.locator("[data-part=sourceapply]").click()
    expect(canvas.locator("h1")).to_have_text("Bientôt l’été")
    _shot(page, f"editor-source-{line[:3]}")
    page.locator("[data-code=html]").click()
    expect(page.locator("#vht + .CodeMirror")).to_contain_text("<!doctype html>")
    page.locator("[data-code=mjml]").click()
    result = Axe().run(page)
    assert [each["id"] for each in result.response["violations"]] == []


def _find_the_draft_again(page: Page, delivery: Delivery, by: str) -> None:
    """Leave without keeping: the draft is offered; somebody else's version is told, and not overwritten
    unseen.
    """
    page.on("dialog", lambda dialog: dialog.accept())
    mary = make_operator("mary", ("ADMINISTRATION",))
    deliveries.change(Delivery.objects.get(pk=delivery.pk), {"subject": "Hers"}, actor=actor_of(mary))
    page.reload()
    canvas = _ready(page)
    expect(canvas.locator("h1")).to_have_text("Déjà l’été")
    draft = page.locator("[data-draft]")
    expect(draft).to_contain_text(by)
    _shot(page, f"editor-draft-{by[5:7]}")
    page.locator("[data-draft-restore]").click()
    expect(draft).to_be_hidden()
    expect(canvas.locator("h1")).to_have_text("Bientôt l’été")
    page.locator("[data-part=keep]").click()
    expect(page.locator("[data-part=said]")).to_contain_text(by)
    delivery.refresh_from_db()
    assert "Déjà l’été" in delivery.html_source
    _keep(page)


EMPTY = {
    "en": {
        "text": "Write your text here.",
        "link": "Address of the link",
        "alt": "Text in its place",
        "if": "Shown only if",
        "some": "Only those see this",
        "leave": "Unsubscribe",
    },
    "fr": {
        "text": "Écrivez votre texte ici.",
        "link": "Adresse du lien",
        "alt": "Texte de remplacement",
        "if": "Affiché seulement si",
        "some": "Seules les personnes",
        "leave": "Désabonner",
    },
}
"""What the editor calls things, and what blocks begin with."""


@pytest.mark.parametrize("language", EMPTY)
def test_a_newsletter_is_built_from_an_empty_page(visit: Any, tmp_path: Path, language: str) -> None:
    _reader()
    said = EMPTY[language]
    (tmp_path / "sea.png").write_bytes(png(40, 20))
    delivery = make_delivery(label="Early access", html_source="", text_source="")
    page = visit(f"/deliveries/{delivery.pk}/content/visual", width=1280, language=language)
    page.locator("button[name=starter][value=empty]").click()
    canvas = _ready(page)
    # Blocks by click; all of it works from the keyboard too.
    page.locator("[data-block=heading]").click()
    _write(page, canvas.locator("h1"), "Spring & summer")
    page.locator("[data-block=text]").focus()
    page.keyboard.press("Enter")
    _write(page, canvas.get_by_text(said["text"]), "Hello ")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("A  b & <c> ")
    page.locator("[data-part=fields]").select_option("{{ recipient.firstName }}")
    expect(canvas.locator("body")).to_contain_text("{{ recipient.firstName }}")
    page.locator("[data-block=button]").click()
    link = page.get_by_label(said["link"])
    link.fill("https://shop.example/?a=1&copy=2&who=")
    page.locator("[data-part=fields]").select_option("{{ recipient.email }}")
    expect(link).to_have_value("https://shop.example/?a=1&copy=2&who={{ recipient.email }}")
    # A picture is uploaded and chosen.
    page.locator("[data-block=image]").click()
    page.locator("[data-choose]").click()
    expect(page.locator("[data-upload]")).to_be_visible()
    _shot(page, "editor-pictures")
    page.locator("[data-upload]").set_input_files(tmp_path / "sea.png")
    page.locator("[data-picture]").first.click()
    page.get_by_label(said["alt"]).fill("The sea")
    page.get_by_label(said["alt"]).press("Tab")
    page.locator("[data-block=footer]").click()
    # A section only for some.
    page.locator("[data-block=conditional]").click()
    condition = page.get_by_label(said["if"])
    expect(condition).to_have_value("recipient.firstName")
    condition.fill('recipient.location.city == "Lyon"')
    condition.press("Tab")
    _shot(page, f"editor-1280-{language}")
    # Undo and redo.
    page.locator("[data-block=divider]").click()
    assert "mj-divider" in page.evaluate("envoiEditor.getHtml()")
    page.locator("[data-part=undo]").click()
    assert "mj-divider" not in page.evaluate("envoiEditor.getHtml()")
    page.locator("[data-part=redo]").click()
    assert "mj-divider" in page.evaluate("envoiEditor.getHtml()")
    page.locator("[data-part=undo]").click()
    # The structure, moved by a key.
    page.locator("[data-side=tree]").click()
    names = page.locator("[data-part=structure] button")
    assert names.count() > 8
    page.locator("[data-part=structure] button", has_text="Spring & summer").click()
    page.locator("[data-act=down]").click()
    result = Axe().run(page)
    assert [each["id"] for each in result.response["violations"]] == []
    _keep(page)
    delivery.refresh_from_db()
    html, image = delivery.html_source, Image.objects.get()
    assert (image.label, image.width) == ("sea.png", 40)
    assert f"/r/i/{image.digest}.png" in html
    assert 'alt="The sea"' in html
    assert 'href="https://shop.example/?a=1&amp;copy=2&amp;who={{ recipient.email }}"' in html
    written = re.search(r">Hello\s*(.*?)</div>", html)
    assert written
    assert re.sub(r"\s", " ", written[1]) == "<br />A  b &amp; &lt;c&gt; {{ recipient.firstName }}"
    assert written.start() < html.index("Spring &amp; summer")
    assert '{% if recipient.location.city == "Lyon" %}' in html
    assert "{{ message.unsubscribeUrl }}" in html
    assert f">{said['leave']}</a>" in html
    assert "mj-" not in re.sub(r"mj-(column|full|outlook|menu)[\w-]*", "", html)
    assert "Hello\nA b & <c> {{ recipient.firstName }}" in delivery.text_source
    # The preview as a reader, before anything is kept.
    page.locator("[data-side=palette]").click()
    page.locator("[data-mode=preview]").click()
    message = page.frame_locator("iframe[name=vispreview]").frame_locator("iframe")
    expect(message.locator("body")).to_contain_text("A  b & <c> Zoë")
    expect(message.locator("body")).to_contain_text(said["some"])
    _shot(page, "editor-preview-1280")
    page.locator("[data-view=text]").click()
    expect(page.frame_locator("iframe[name=vispreview]").locator("pre")).to_contain_text("A b & <c> Zoë")
    # What is kept comes back as it was.
    page.reload()
    _ready(page)
    expect(page.locator("[data-part=unsaved]")).to_be_hidden()
    page.locator("[data-mode=edit]").click()
    _keep(page)
    again = delivery.mjml_source
    delivery.refresh_from_db()
    assert delivery.mjml_source == again


SHIPPED = {
    "en": {
        "block": "Text",
        "title": "What we have been up to",
        "preview": "Preview text",
        "before": "What is new, in two minutes",
        "kept": "The message is kept.",
        "hello": "Hello Zoë",
        "line": "Go to line 3",
        "by": "Mary has kept another version",
    },
    "fr": {
        "block": "Texte",
        "title": "Ce que nous avons préparé",
        "preview": "Texte d’aperçu",
        "before": "Les nouveautés en deux minutes",
        "kept": "Le message est enregistré.",
        "hello": "Bonjour Zoë",
        "line": "Aller à la ligne 3",
        "by": "Mary a enregistré une autre version",
    },
}


@pytest.mark.parametrize("language", SHIPPED)
def test_a_newsletter_is_built_from_a_page_that_ships(visit: Any, language: str) -> None:
    _reader()
    said = SHIPPED[language]
    delivery = make_delivery(
        label="Printemps", html_source="", text_source="", content={"language": language}
    )
    page = visit(f"/deliveries/{delivery.pk}/content/visual", language=language, dark=True)
    expect(page.locator(".vstarter")).to_have_count(6)
    _shot(page, f"start-{language}-dark")
    page.locator("button[name=starter][value=newsletter]").click()
    canvas = _ready(page)
    expect(page.locator("[data-block=text]")).to_have_text(said["block"])
    expect(canvas.locator("h1")).to_have_text(said["title"])
    # It is drawn in the light, in a console that is dark.
    expect(canvas.locator("h1")).to_have_css("color", "rgb(31, 39, 51)")
    _write(page, canvas.locator("h1"), "Déjà l’été")
    page.locator("[data-part=path] button").first.click()
    before = page.get_by_label(said["preview"])
    expect(before).to_have_value(said["before"])
    before.fill("Pour vous & les vôtres, ")
    page.locator("[data-part=fields]").select_option("{{ recipient.firstName }}")
    page.locator("[data-width=phone]").click()
    _shot(page, f"editor-{language}-dark")
    _keep(page)
    expect(page.locator("[data-part=said]")).to_have_text(said["kept"])
    delivery.refresh_from_db()
    html = delivery.html_source
    assert f'<html lang="{language}"' in html
    assert "Déjà l’été" in html
    assert "Pour vous &amp; les vôtres, {{ recipient.firstName }}" in html
    assert html.count("/r/i/") >= 3
    assert Image.objects.count() == 3
    assert "prefers-color-scheme" in html
    page.locator("[data-mode=preview]").click()
    message = page.frame_locator("iframe[name=vispreview]").frame_locator("iframe")
    expect(message.locator("body")).to_contain_text(said["hello"])
    light = message.locator(".page").evaluate("e => getComputedStyle(e).backgroundColor")
    page.locator("[data-view=dark]").click()
    expect(message.locator("h1")).to_have_text("Déjà l’été")
    expect(message.locator(".page")).to_have_css("background-color", "rgb(15, 19, 26)")
    sheet = message.locator(".sheet > table").first
    expect(sheet).to_have_css("background-color", "rgb(26, 32, 42)")
    assert light == "rgb(238, 240, 245)"
    _shot(page, f"editor-{language}-preview-dark")
    page.locator("[data-mode=edit]").click()
    _change_its_source(page, canvas, said["line"])
    _find_the_draft_again(page, delivery, said["by"])
    expect(page.locator("[data-part=said]")).to_have_text(said["kept"])
    delivery.refresh_from_db()
    html = delivery.html_source
    assert "Bientôt l’été" in html
    # The HTML cannot be written under the editor's feet: it is left first.
    page.goto(f"/deliveries/{delivery.pk}/content")
    assert page.locator("#hs").get_attribute("readonly") is not None
    _shot(page, f"content-{language}-dark")
    page.goto(f"/deliveries/{delivery.pk}/content/visual")
    page.locator("#leave summary").click()
    page.locator("button[name=do][value=end]").click()
    expect(page.locator(".vstarter")).to_have_count(6)
    delivery.refresh_from_db()
    assert (delivery.mjml_source, delivery.html_source) == ("", html)


def test_a_phone_shows_the_message_and_says_where_it_is_edited(visit: Any) -> None:
    _reader()
    delivery = make_delivery(label="Early access", html_source="", text_source="")
    page = visit(f"/deliveries/{delivery.pk}/content/visual")
    page.locator("button[name=starter][value=letter]").click()
    _ready(page)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".vsmall .note")).to_be_visible()
    expect(page.locator(".vised")).to_be_hidden()
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    _shot(page, "editor-390")
    for part in ("images", "import"):
        page.goto(f"/deliveries/{delivery.pk}/content/{part}")
        assert not page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        result = Axe().run(page)
        assert [each["id"] for each in result.response["violations"]] == []
        _shot(page, f"{part}-390")
