"""Pages of imports, as the operator sees them: a file is handed over, prepared, imported, undone."""

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from envoi.engine import background
from envoi.kernel.rights import Right
from envoi.kernel.testing import make_operator
from envoi.packages.delivery.models import Import, ImportState, Recipient
from envoi.packages.delivery.services import imports

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
FILE = "Courriel;Prénom;Né le;Ville\nanna@example.org;Anna;31/12/1990;Paris\nnobody;Bo;soon;Lyon\n"


def signed_in(*rights: Right) -> Client:
    client = Client()
    client.force_login(make_operator("sofia", rights), BACKEND)
    return client


def text(answer: object) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())  # type: ignore[attr-defined]


def handed_over(client: Client, content: str = FILE, name: str = "clients.csv") -> Import:
    answer = client.post("/imports", {"file": SimpleUploadedFile(name, content.encode())})
    assert answer.status_code == 302, text(answer)
    return Import.objects.latest("pk")


def test_from_the_file_to_the_undo() -> None:
    client = signed_in(Right.RECIPIENT_IMPORT)
    assert "No import yet" in text(client.get("/imports"))
    job = handed_over(client)
    address = f"/imports/{job.pk}"
    page = text(client.get(address))
    assert "Courriel" in page
    assert '<option value="email" selected>' in page
    assert "anna@example.org" in page
    assert "1 line with something wrong" in page
    assert not Recipient.objects.exists()
    given = {
        "reading": "1", "header": "1", "operation": "insertOrUpdate", "key": "email", "folder": "recipients",
        "to-0": "email", "to-1": "firstName", "to-2": "birthDate", "to-3": "location/city", "date": "dmy",
    }  # fmt: skip
    page = text(client.post(address, {**given, "do": "look", "date": "mdy"}))
    assert "2 lines with something wrong" in page
    page = text(client.post(address, {**given, "do": "look"}))
    assert "1990-12-31" in page
    assert client.post(address, {**given, "do": "start"}).status_code == 302
    page = text(client.get(address))
    assert "Waiting" in page
    assert 'data-live="1"' in page
    with connection.cursor() as cursor:
        cursor.execute("SELECT args FROM procrastinate_jobs WHERE task_name = 'envoi.background'")
        (arguments,) = cursor.fetchone()
    assert json.loads(arguments) == {"name": "envoi.import", "number": job.pk}
    background.carry_out("envoi.import", job.pk)
    page = text(client.get(address))
    assert "Finished" in page
    assert "data-live" not in page
    assert "it is no e-mail address" in page
    assert Recipient.objects.get().city == "Paris"
    answer = client.get(f"{address}/rejects.csv")
    side = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert side.splitlines()[1].startswith('"3","E-mail","nobody"')
    assert client.post(address, {"do": "undo"}).status_code == 302
    imports.work(job.pk)
    assert "Undone" in text(client.get(address))
    assert not Recipient.objects.exists()
    assert client.post(address, {"do": "undo"}).status_code == 409


def test_a_file_that_cannot_be_read_leaves_nothing() -> None:
    client = signed_in(Right.RECIPIENT_IMPORT)
    answer = client.post("/imports", {"file": SimpleUploadedFile("x.csv", bytes(range(256)) * 20)})
    assert answer.status_code == 400
    assert "The file was not taken." in text(answer)
    assert not Import.objects.exists()


def test_a_draft_is_dropped_with_its_file() -> None:
    from pathlib import Path

    client = signed_in(Right.IMPORT)
    job = handed_over(client)
    assert Path(job.path).exists()
    assert client.post(f"/imports/{job.pk}", {"do": "drop"}).status_code == 302
    assert not Path(job.path).exists()
    assert not Import.objects.exists()


def test_a_plan_that_cannot_work_is_told_and_what_was_chosen_stays() -> None:
    client = signed_in(Right.RECIPIENT_IMPORT)
    job = handed_over(client)
    given = {"reading": "1", "header": "1", "operation": "update", "to-1": "firstName", "do": "start"}
    answer = client.post(f"/imports/{job.pk}", given)
    assert answer.status_code == 400
    assert "It cannot begin like this." in text(answer)
    job.refresh_from_db()
    assert job.status is ImportState.DRAFT


def test_without_the_right_there_is_no_page() -> None:
    client = signed_in()
    assert client.get("/imports").status_code == 403
    assert ">Imports<" not in text(client.get("/"))


def test_a_file_of_fixed_width_is_cut_where_the_form_says() -> None:
    client = signed_in(Right.RECIPIENT_IMPORT)
    lines = (("E-mail", "First name"), ("anna@example.org", "Anna"), ("bo@example.org", "Bo"))
    job = handed_over(client, "".join(f"{a:<20}{b:<12}\n" for a, b in lines), "people.txt")
    address = f"/imports/{job.pk}"
    given = {
        "reading": "1",
        "header": "1",
        "operation": "insertOrUpdate",
        "key": "email",
        "folder": "recipients",
    }
    page = text(client.post(address, {**given, "widths": "20, twelve", "do": "look"}))
    assert "Widths are whole numbers" in page
    given |= {"widths": "20, 12", "to-0": "email", "to-1": "firstName"}
    assert "anna@example.org" in text(client.post(address, {**given, "do": "look"}))
    assert client.post(address, {**given, "do": "start"}).status_code == 302
    imports.work(job.pk)
    assert set(Recipient.objects.values_list("email", "first_name")) == {
        ("anna@example.org", "Anna"),
        ("bo@example.org", "Bo"),
    }
