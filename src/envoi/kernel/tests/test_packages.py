from collections.abc import Callable

import pytest

from envoi.kernel import hooks, packages
from envoi.kernel.errors import Broken, Conflict, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Folder, InstalledPackage, Option
from envoi.kernel.rights import INSTALLER, Actor
from envoi.kernel.testing import admin_actor, make_actor


def offer(monkeypatch: pytest.MonkeyPatch, **requires: tuple[str, ...]) -> None:
    made = {
        name: type(name, (packages.Package,), {"requires": needs}) for name, needs in sorted(requires.items())
    }
    monkeypatch.setattr(packages, "discover", lambda: made)


def test_what_is_required_comes_first_then_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(
        monkeypatch,
        core=(),
        delivery=("core",),
        campaign=("delivery", "core"),
        mrm=("campaign",),
        line=("delivery",),
    )
    assert packages.resolve(["mrm", "line"]) == ("core", "delivery", "line", "campaign", "mrm")
    assert packages.resolve(["line", "mrm"]) == packages.resolve(["mrm", "line", "line"])


def test_a_circle_and_an_unknown_name_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, a=("b",), b=("c",), c=("a",), campaign=("delivry",), delivery=())
    with pytest.raises(Broken, match="a -> b -> c -> a"):
        packages.resolve(["a"])
    with pytest.raises(NotFound, match=r"'delivry', required by campaign; did you mean delivery\?"):
        packages.resolve(["campaign"])
    with pytest.raises(NotFound, match="known are a, b, c"):
        packages.resolve(["xyz"])


def test_every_package_that_is_offered_can_be_ordered() -> None:
    offered = packages.discover()
    assert "core_default" in offered
    assert set(packages.resolve(offered)) == set(offered)


@pytest.mark.django_db
def test_the_test_instance_has_every_package() -> None:
    assert set(packages.installed()) == set(packages.discover())


def test_installing_again_changes_nothing(committed_db: object) -> None:
    before = content()
    done = packages.install((), actor=admin_actor())
    assert (done.added, done.migrated, done.kept) == ((), (), ())
    assert content() == before


def content() -> list[object]:
    rows = [
        model.objects.order_by("pk").values_list() for model in (InstalledPackage, Folder, Option, AuditEntry)
    ]
    return [list(each) for each in rows]


def test_an_interrupted_installation_is_finished_by_the_next(
    committed_db: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    InstalledPackage.objects.all().delete()

    def fails(package: str, actor: Actor) -> list[str]:
        assert actor.name == "internal"
        assert actor.operator_id
        raise ZeroDivisionError

    with hooks.install_steps.temporarily(fails), pytest.raises(ZeroDivisionError):
        packages.install(("core_default",), actor=INSTALLER)
    assert packages.installed() == ()
    assert packages.begun() == ("core_default",)
    done = packages.install((), actor=INSTALLER)
    assert done.added == done.packages == ("core_default",)
    entry = AuditEntry.objects.filter(entity="xtk:package", entity_key="core_default").latest("audit_id")
    assert (entry.action, entry.detail["origin"]) == ("Installed", "installation")


def test_what_hooks_kept_is_reported(committed_db: object) -> None:
    with hooks.install_steps.temporarily(lambda package, actor: [f"workflow x of {package}"]):
        kept = packages.install((), actor=admin_actor()).kept
    assert kept == tuple(f"workflow x of {package}" for package in packages.installed())


def test_a_new_version_is_noted_once(committed_db: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.apps import apps

    package = type(apps.get_app_config("core_default"))
    monkeypatch.setattr(package, "version", "99")
    for _ in range(2):
        packages.install((), actor=admin_actor())
    assert AuditEntry.objects.filter(entity="xtk:package", action="Upgraded").count() == 1
    assert InstalledPackage.objects.get(name="core_default").version == "99"


def test_a_package_that_is_not_loaded_is_refused(
    committed_db: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, **dict.fromkeys(packages.installed(), ()), unloaded=("core_default",))
    with pytest.raises(Conflict, match="unloaded is not loaded"):
        packages.install(("unloaded",), actor=admin_actor())
    assert not InstalledPackage.objects.filter(name="unloaded").exists()


@pytest.mark.django_db
def test_only_administrators_install() -> None:
    with pytest.raises(NotAllowed, match="install packages"):
        packages.install((), actor=make_actor("ann", rights=("WORKFLOW",)))


def test_two_processes_install_one_after_the_other(committed_db: object, run_envoi: Callable) -> None:
    import threading

    inside, go = threading.Event(), threading.Event()

    def waits(package: str, actor: Actor) -> list[str]:
        inside.set()
        assert go.wait(20)
        return []

    def first() -> None:
        from django.db import connection

        try:
            packages.install((), actor=admin_actor())
        finally:
            connection.close()

    with hooks.install_steps.temporarily(waits):
        thread = threading.Thread(target=first)
        thread.start()
        assert inside.wait(20)
        other = threading.Thread(target=lambda: results.append(run_envoi("init", "--json", code=0)))
        results: list = []
        other.start()
        other.join(3)
        assert other.is_alive(), "the second installation did not wait for the first"
        go.set()
        thread.join()
        other.join()
    assert results[0].json["packages"] == list(packages.installed())
