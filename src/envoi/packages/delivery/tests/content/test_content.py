import re
from dataclasses import astuple, replace
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from envoi.engine import worktable
from envoi.engine.definition import Activity
from envoi.engine.testing import chain, make_workflow
from envoi.kernel import clock
from envoi.kernel.config import TrackingConfig
from envoi.kernel.errors import Invalid
from envoi.kernel.folders import Access, may
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import (
    BroadLogRcp,
    Delivery,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    Format,
    IncludeView,
    JobLevel,
    JobLog,
    Recipient,
    SeedMember,
    TrackingUrl,
    UrlType,
)
from envoi.packages.delivery.services import analysis, content, deliveries, routing
from envoi.packages.delivery.services.content import attachments, checking, preview
from envoi.packages.delivery.services.content.frozen import Rendered, Row
from envoi.packages.delivery.services.content.plan import Plan
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.sending import mime
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.django_db
CLEAN = {"black_list": 0, "black_list_email": 0, "email_format": 0}


def people(count: int = 1, **columns: Any) -> list[int]:
    made = list(make_recipients(count, **{**CLEAN, **columns}))
    for number, each in enumerate(made):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org")
    return made


def analysed(delivery: Delivery, actor: Actor | None = None) -> DeliveryRun:
    who = actor or admin_actor()
    run = analysis.work(analysis.start(delivery, actor=who, queue=False).pk, actor=who)
    delivery.refresh_from_db()
    return run


def errors(delivery: Delivery, level: JobLevel = JobLevel.ERROR) -> list[str]:
    return [deliveries.text(each) for each in JobLog.objects.filter(delivery=delivery, level=level)]


def messages(delivery: Delivery, actor: Actor | None = None) -> list[tuple[Row, Rendered]]:
    """Analyse a delivery and make its messages, part by part."""
    run = analysed(delivery, actor)
    assert errors(delivery) == []
    loaded = content.load(run)
    parts = DeliveryPart.objects.filter(run=run).order_by("first_id")
    rows = [row for each in parts for row in loaded.rows(run.storage, each.first_id, each.last_id)]
    again = {row.id: row for row in loaded.rows_of([row.id for row in rows])}
    assert again == {row.id: row for row in rows}
    return [(row, loaded.render(row)) for row in rows]


def only(delivery: Delivery, actor: Actor | None = None) -> Rendered:
    ((_row, made),) = messages(delivery, actor)
    return made


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> tags.Tags:
    """The instance has an address for readers."""
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    return tags.tags(config.home, "https://t.example")


def test_messages_are_made_of_their_readers() -> None:
    one, two = people(2, first_name="Zoë", last_name="Roux", city="Århus")
    Recipient.objects.filter(pk=two).update(first_name="Åsa")
    made = messages(
        make_delivery(
            subject="Hello {{ recipient.firstName }}",
            html_source="<p>{{ recipient.firstName }}, {{ recipient.location.city }}</p>{{ delivery.label }}",
            text_source="{{ message.address }} {{ recipient.folder.name }} {{ recipient['lastName'] }}",
            label="Spring",
        )
    )
    assert [row.target_id for row, _made in made] == sorted([one, two])
    first, second = (each for _row, each in made)
    assert (first.subject, second.subject) == ("Hello Zoë", "Hello Åsa")
    assert first.html == "<p>Zoë, Århus</p>Spring"
    assert first.text == "a0@example.org recipients Roux"
    assert (first.to_name, first.from_name, first.from_address) == ("Zoë Roux", "Shop", "news@shop.example")


def test_what_is_sent_is_what_the_templates_give(monkeypatch: pytest.MonkeyPatch) -> None:
    people(5, first_name="Zoë", gender=1)
    delivery = make_delivery(
        subject="{{ recipient.firstName|upper }}",
        text_source="{{ recipient.firstName }}, {% if recipient.gender == 1 %}Sir{% endif %}\nbye",
        html_source="<p>{{ recipient.firstName }}</p>",
    )
    run = analysed(delivery)
    loaded = content.load(run)
    rows = loaded.rows(run.storage, 0, 2**62)
    for row in rows:
        made, whole = loaded.sendable(row), loaded.render(row)
        assert isinstance(made.text, mime.Coded)
        assert mime.decoded(made.text) == mime.decoded(whole.text)
        assert mime.decoded(made.html) == mime.decoded(whole.html)
        assert (*made[3:], made.subject) == (*astuple(whole)[3:], "ZOË")
    # The first messages are compared: one that is not the same lets all be made by the templates.
    other = content.load(run)
    fill = Plan.fill
    monkeypatch.setattr(Plan, "fill", lambda *given: fill(*given)._replace(html="<p>other</p>"))
    assert {other.sendable(row).html for row in rows} == {"<p>Zoë</p>"}


def test_nothing_that_a_profile_says_becomes_a_header_or_markup() -> None:
    people(1, first_name="Eve\r\nBcc: x@evil.example\r\n\r\n<script>", last_name="{{ recipient.email }}")
    made = only(
        make_delivery(
            subject="Hello {{ recipient.firstName }} {{ recipient.lastName }}",
            from_name="For {{ recipient.firstName }}",
            html_source="<p>{{ recipient.firstName }}</p>",
        )
    )
    assert "<script>" not in made.html
    head = mime.Head(
        "x@y.example", clock.now(), made.from_name, made.from_address, made.to_name, "a0@example.org",
        made.subject,
    )  # fmt: skip
    parsed = message_from_bytes(
        mime.Skeleton(text=True, html=True).build(head, text=made.text, html=made.html), policy=policy.default
    )
    assert "Bcc" not in parsed
    assert parsed["Subject"].endswith("<script> {{ recipient.email }}")
    assert parsed["To"].addresses[0].addr_spec == "a0@example.org"


def test_readers_get_the_format_that_they_want() -> None:
    wants = {each: number % 3 for number, each in enumerate(people(3))}
    for each, kind in wants.items():
        Recipient.objects.filter(pk=each).update(email_format=kind)
    delivery = make_delivery(html_source="<p>x</p>")
    got = {wants[row.target_id]: (made.text, made.html) for row, made in messages(delivery)}
    text = delivery.text_source
    assert got == {0: (text, "<p>x</p>"), 1: (text, ""), 2: (text, "<p>x</p>")}
    deliveries.change(delivery, {"content_format": Format.TEXT}, actor=admin_actor())
    assert {made.html for _row, made in messages(delivery)} == {""}


def test_later_changes_leave_what_was_analysed() -> None:
    people(1, first_name="Zoë")
    block = IncludeView.objects.get(name="greetings")
    delivery = make_delivery(text_source='{% include "greetings" %} old')
    run = analysed(delivery)
    Delivery.objects.filter(pk=delivery.pk).update(text_source="new", subject="new")
    IncludeView.objects.filter(pk=block.pk).update(html_source="new")
    loaded = content.load(run)
    (part,) = DeliveryPart.objects.filter(run=run)
    (row,) = loaded.rows(run.storage, part.first_id, part.last_id)
    assert loaded.render(row).text == "Hello Zoë, old"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"subject": " "}, "The message has no subject"),
        ({"text_source": "", "html_source": ""}, "The message is empty"),
        ({"from_address": ""}, "The message has no sender"),
        ({"text_source": "{{ recipient.firstNam }}"}, "Did you mean recipient.firstName?"),
        ({"text_source": "{{ profile.firstName }}"}, "There is no profile in a message"),
        ({"text_source": "{% if %}"}, "Text content, line 1"),
        ({"html_source": '{% include "greeting" %}'}, "Did you mean greetings?"),
        ({"html_source": "<% while (1) { %>"}, "the mark <% while (1) { %> cannot be carried out"),
        ({"text_source": "{{ recipient.subscription.created }}"}, "is a collection"),
        ({"text_source": "{{ recipient.firstName|shout }}"}, "filter shout is unknown"),
        ({"text_source": "{{ recipient.lastName + 1 }}"}, "unsupported types"),
        ({"text_source": "", "html_source": "x", "content_format": Format.TEXT}, "there is no text"),
    ],
)
def test_what_cannot_be_sent_is_an_error_of_the_analysis(values: dict[str, Any], said: str) -> None:
    people(1)
    delivery = make_delivery(**values)
    analysed(delivery)
    (line,) = errors(delivery)
    assert said in line
    assert delivery.status is DeliveryState.READY
    assert "confirm" not in deliveries.possible(delivery, admin_actor())


def test_data_of_a_workflow_outlive_it() -> None:
    first, second, third = people(3)
    workflow = make_workflow(chain(Activity("start", "start")), name="WKF_data")
    columns = [worktable.Column("id", "bigint"), worktable.Column("score", "integer"),
               worktable.Column("unused", "text")]  # fmt: skip
    shape = {
        "schema": "temp:query", "dimension": "nms:recipient",
        "columns": [
            {"attribute": name, "column": name, "type": kind, "label": name, "source": None}
            for name, kind in (("score", "long"), ("unused", "string"))
        ],
        "links": [], "beside": {},
    }  # fmt: skip
    table = worktable.create(workflow.pk, 1, columns, "id", shape)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} VALUES (%s, 7, 'x'), (%s, NULL, 'y')",
            [first, second],
        )
    delivery = make_delivery(
        {"table": table, "filter": f"@id = {third}"},
        text_source="{{ targetData.score }}/{{ targetData.other }}",
    )
    run = analysed(delivery)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {table}")
        cursor.execute(f"SELECT * FROM wkdlv_{delivery.pk}_{run.pk}_data")
        assert [each.name for each in cursor.description or ()] == ["id", "score"]
        assert cursor.rowcount == 2
    assert "The workflow gives no targetData.other: it stays empty in the messages." in errors(
        delivery, JobLevel.WARNING
    )
    loaded = content.load(run)
    ids = BroadLogRcp.objects.filter(run_id=run.pk).values_list("broad_log_id", flat=True)
    got = {row.target_id: loaded.render(row).text for row in loaded.rows_of(list(ids))}
    assert got == {first: "7/", second: "/", third: "/"}
    deliveries.change(delivery, {"targeting": {"filter": f"@id = {third}"}}, actor=admin_actor())
    analysed(delivery)
    assert f"wkdlv_{delivery.pk}_{run.pk}_data" not in connection.introspection.table_names()


def test_seeds_show_their_own_data_and_what_they_lack_of_a_real_profile() -> None:
    people(5, first_name="Real", last_name="Person", city="Lyon")
    now = clock.now()
    folder = Folder.objects.get(name="seedAddresses")
    seed = SeedMember.objects.create(
        first_name="Seed", email="seed@example.org", folder=folder, created_at=now, modified_at=now
    )
    delivery = make_delivery(
        {"filter": "@id > 0", "seeds": {"ids": [seed.pk]}},
        text_source="{{ recipient.firstName }} {{ recipient.lastName }} {{ recipient.location.city }}"
        " {{ recipient.account }}",
    )
    made = {row.address: each.text for row, each in messages(delivery)}
    real = {text for address, text in made.items() if address != "seed@example.org"}
    name, last, city, account = made["seed@example.org"].split(" ")
    assert (name, last, city) == ("Seed", "Person", "Lyon")
    assert f"Real Person Lyon {account}" in real
    loaded = content.load(delivery.run_id or 0)
    content.freeze(loaded_run := DeliveryRun.objects.get(pk=delivery.run_id), delivery, actor=admin_actor())
    (part,) = DeliveryPart.objects.filter(run=loaded_run, seeds=True)
    (row,) = loaded.rows("rcp", part.first_id, part.last_id)
    assert content.load(loaded_run).render(row).text == made["seed@example.org"]


def test_who_analyses_gives_the_rights_and_the_sender_needs_none() -> None:
    secret = make_folder("secret")
    allow(secret, make_operator("paul"))
    operator = make_operator("olga", rights=(Right.PREPARE_DELIVERIES,))
    for name in ("recipients", "deliveries", "deliveryTemplates"):
        allow(Folder.objects.get(name=name), operator, write=True)
    people(1, first_name="Zoë")
    who = actor_of(operator)
    made = only(make_delivery(text_source="[{{ recipient.firstName }}{{ recipient.folder.label }}]"), who)
    assert made.text == "[ZoëRecipients]"
    assert not may(who, secret, Access.READ)
    Recipient.objects.update(folder=secret)
    # What the operator may not read any more stays empty, also for a sender with all rights.
    run = DeliveryRun.objects.latest("run_id")
    loaded = content.load(run)
    ids = BroadLogRcp.objects.filter(run_id=run.pk).values_list("broad_log_id", flat=True)
    (row,) = loaded.rows_of(list(ids))
    assert loaded.render(row).text == "[]"


@pytest.mark.case("D29")
def test_links_become_signed_tags_with_their_parameters(tracked: tags.Tags) -> None:
    people(1, last_name="O’Neil & Co")
    source = (
        '<html><body><a href="http://shop.example/a.php?name=<%= escapeUrl(recipient.lastName) %>">A</a>'
        ' <a href="http://shop.example/b?x=1&amp;y=2" title="B">B</a> <a href="#top">C</a>'
        ' {% include "unsubscriptionLink" %}</body></html>'
    )
    delivery = make_delivery(html_source=source, text_source="See http://shop.example/b?x=1&y=2.")
    ((row, made),) = messages(delivery)
    urls = {(each.type, each.url): each for each in TrackingUrl.objects.filter(delivery=delivery)}
    assert set(urls) == {
        (UrlType.CLICK, "http://shop.example/a.php?name=$(p1)"),
        (UrlType.CLICK, "http://shop.example/b?x=1&y=2"),
        (UrlType.OPT_OUT, ""),
        (UrlType.MIRROR, ""),
    }
    assert urls[UrlType.CLICK, "http://shop.example/b?x=1&y=2"].label == "B"
    numbers = {key: f"{each.pk:x}" for key, each in urls.items()}
    first, second, opt_out, opened = (
        each.replace("&amp;", "&").removeprefix("https://t.example")
        for each in re.findall(r'(?:href|src)="(https://t\.example[^"]*)"', made.html)
    )
    log, number = f"{row.id:x}", f"{delivery.pk:x}"
    named = numbers[UrlType.CLICK, "http://shop.example/a.php?name=$(p1)"]
    assert first.startswith(f"/r/?id=h{log},{number},{named}&p1=O%E2%80%99Neil%20%26%20Co&s=1")
    tag = tracked.read(first)
    assert tag is not None
    assert tag.params == ("O’Neil & Co",)
    plain = numbers[UrlType.CLICK, "http://shop.example/b?x=1&y=2"]
    assert second.startswith(f"/r/?id=h{log},{number},{plain}&s=1")
    assert opt_out.startswith(f"/r/?id=h{log},{number},{numbers[UrlType.OPT_OUT, '']}&s=1")
    assert opened.startswith(f"/r/?id=h{log},{number},1&s=1")
    assert made.text.startswith(f"See https://t.example/r/?id=t{log},{number},{plain}&s=1")
    assert made.text.endswith(".")
    assert '<a href="#top">C</a>' in made.html
    one_click = tracked.read(made.unsubscribe.removeprefix("https://t.example"))
    # The rule that wants a way to unsubscribe sees what stands in the block.
    assert "The HTML content has no link to unsubscribe." not in errors(delivery, JobLevel.WARNING)
    assert one_click is not None
    assert (one_click.path, one_click.broad_log_id) == (tags.UNSUBSCRIBE, row.id)
    for target in (second, opt_out, opened):
        assert tracked.read(target) is not None
    # An analysis anew finds the same links again.
    analysed(delivery)
    assert TrackingUrl.objects.filter(delivery=delivery).count() == 4


def test_the_link_to_the_mirror_page_is_there_when_the_page_is(tracked: tags.Tags) -> None:
    people(1)
    source = '{% include "mirrorPageLink" %}'
    delivery = make_delivery(html_source=source, text_source=source)
    made = only(delivery)
    (target,) = re.findall(r'href="https://t\.example([^"]*)"', made.html)
    tag = tracked.read(target.replace("&amp;", "&"))
    assert tag is not None
    assert TrackingUrl.objects.get(pk=tag.link).type == UrlType.MIRROR
    assert made.text.startswith("In your browser: https://t.example/r/?id=t")
    deliveries.change(delivery, {"content": {"tracking": False}}, actor=admin_actor())
    assert (only(delivery).html, only(delivery).text) == ("", "")


def test_without_an_address_for_readers_links_stay_and_one_unsubscribes_by_mail() -> None:
    people(1)
    html = '<a href="http://shop.example/?n={{ recipient.lastName|urlencode }}">A</a>{% include "footer" %}'
    delivery = make_delivery(html_source=html)
    ((row, made),) = messages(delivery)
    name = Recipient.objects.get(pk=row.target_id).last_name
    assert made.html.startswith(f'<a href="http://shop.example/?n={tags.quote(name, safe="")}">A</a>')
    address = routing.identity(settings.ENVOI.config).unsubscribe_address(delivery.run_id or 0, row.id)
    assert f'<a href="mailto:{address}?subject=unsubscribe">Unsubscribe</a>' in made.html
    assert (made.unsubscribe, made.unsubscribe_mail) == ("", address)
    assert not TrackingUrl.objects.filter(delivery=delivery).exists()


def test_a_delivery_may_go_untracked_and_strange_links_are_told(tracked: tags.Tags) -> None:
    people(1)
    html = '<a href="{{ recipient.origin }}">x</a><a href="https://{{ recipient.city }}.example">y</a>'
    delivery = make_delivery(html_source=html.replace("recipient.city", "recipient.location.city"))
    only(delivery)
    (line,) = [each for each in errors(delivery, JobLevel.WARNING) if each.startswith("Not tracked")]
    assert line.endswith("https://{{ recipient.location.city }}.example")
    deliveries.change(delivery, {"content": {"tracking": False}}, actor=admin_actor())
    assert tracked.address not in only(delivery).html


@pytest.mark.case("D13")
def test_the_limit_of_time_holds_for_preview_and_sending() -> None:
    people(1)
    slow = "{% for i in range(9000) %}{% for j in range(900) %}{{ i }}{% endfor %}{% endfor %}"
    delivery = make_delivery(text_source=slow, sending={"personalisation": 0.05})
    reader = preview.find(delivery, "a0@example.org", actor=admin_actor())
    assert reader is not None
    with pytest.raises(content.TooLong, match=r"longer than 0\.05 s"):
        preview.preview(delivery, actor=admin_actor(), reader=reader)
    run = analysed(delivery)
    (line,) = [each for each in errors(delivery, JobLevel.WARNING) if "was tried" in each]
    assert "longer than 0.05 s" in line
    loaded = content.load(run)
    (part,) = DeliveryPart.objects.filter(run=run)
    (row,) = loaded.rows(run.storage, part.first_id, part.last_id)
    with pytest.raises(content.TooLong):
        loaded.render(row)
    deliveries.change(delivery, {"sending": {"personalisation": 0}}, actor=admin_actor())
    with pytest.raises(content.TooLong):  # a page that is only opened
        preview.preview(delivery, actor=admin_actor(), reader=reader, most=0.05)
    for number, fast in ((0, slow.replace("9000", "90")), (5, "x")):
        deliveries.change(
            delivery, {"text_source": fast, "sending": {"personalisation": number}}, actor=admin_actor()
        )
        assert (
            preview.preview(delivery, actor=admin_actor(), reader=reader).parts["text"] == only(delivery).text
        )


def test_a_preview_shows_profiles_seeds_and_nobody() -> None:
    (one,) = people(1, first_name="Zoë", last_name="Roux", city="Lyon")
    now = clock.now()
    SeedMember.objects.create(
        first_name="Seed", email="seed@example.org", folder=Folder.objects.get(name="seedAddresses"),
        created_at=now, modified_at=now,
    )  # fmt: skip
    delivery = make_delivery(
        {"filter": f"@id = {one}"},
        text_source="{{ recipient.firstName }} {{ recipient.location.city }} {{ message.address }}",
    )

    def shown(who: str) -> str:
        reader = preview.find(delivery, who, actor=admin_actor())
        return preview.preview(delivery, actor=admin_actor(), reader=reader).parts["text"]

    assert shown("") == shown("A0@example.org") == "Zoë Lyon a0@example.org"
    assert shown("seed@example.org") == "Seed Lyon seed@example.org"
    assert shown("nobody@example.org") == "  "
    hidden = make_folder("secret")
    allow(hidden, make_operator("paul"))
    Recipient.objects.update(folder=hidden)
    assert preview.find(delivery, "a0@example.org", actor=actor_of(make_operator("olga"))) is None


def test_checks_say_what_stops_and_what_deserves_a_look() -> None:
    people(1)
    html = '<img src="logo.png"><a href="#">x</a><a href="https://{{ recipient.company }}.example">y</a>'
    delivery = make_delivery(html_source=html, text_source="")
    found = checking.check(delivery, actor=admin_actor())
    assert {each.title for each in found if each.weight == checking.Weight.LOOK} == {
        "1 image has no text alternative", "1 image has no complete address", "A link leads nowhere",
        "No way to unsubscribe", "There is no text part", "The host of a link is personal",
        "The message is pictures only", "There is no preheader",
    }  # fmt: skip
    deliveries.change(delivery, {"subject": "{{ recipient.fistName }}"}, actor=admin_actor())
    (only_one,) = checking.check(delivery, actor=admin_actor())
    assert only_one.weight == checking.Weight.STOPS
    assert "recipient.fistName is no field of Recipients. Did you mean recipient.firstName?" in only_one.text


def test_files_go_with_every_message_and_with_copies() -> None:
    people(1)
    delivery = make_delivery()
    attachments.add(delivery, "C:\\files\\Déjà vu.pdf", b"%PDF", actor=admin_actor())
    for name, data in (("a.pdf", b""), ("run.exe", b"MZ"), ("", b"x"), ("x\n.pdf", b"x")):
        with pytest.raises(Invalid):
            attachments.add(delivery, name, data, actor=admin_actor())
    copy = deliveries.create(delivery, actor=admin_actor())
    made = only(copy)
    frame = content.load(copy.run_id or 0).skeleton(made)
    head = mime.Head("x@y.example", clock.now(), "", "a@b.example", "", "c@d.example", "S")
    parsed = message_from_bytes(frame.build(head, text=made.text), policy=policy.default)
    (file,) = parsed.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("Déjà vu.pdf", b"%PDF")
    (kept,) = attachments.of(copy)
    attachments.remove(copy, kept.pk, actor=admin_actor())
    assert copy.status is DeliveryState.EDITING
    assert (attachments.of(copy), len(attachments.of(delivery))) == ([], 1)


def test_other_dimensions_know_their_person() -> None:
    from envoi.packages.delivery.models import DeliveryMapping
    from envoi.packages.delivery.services import subscriptions
    from envoi.packages.delivery.services.chosen import ids
    from envoi.packages.delivery.testing import make_service

    news = make_service("news")
    subscriptions.subscribe(news, ids(people(1, first_name="Zoë")), actor=admin_actor())
    delivery = make_delivery(
        text_source="{{ recipient.firstName }} {{ subscription.service.label }}", html_source=""
    )
    mapping = DeliveryMapping.objects.get(name="mapSubscribe")
    Delivery.objects.filter(pk=delivery.pk).update(mapping=mapping)
    delivery.refresh_from_db()
    assert only(delivery).text == "Zoë News"
