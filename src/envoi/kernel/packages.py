"""Discovery and installation of packages (architecture §3.10).

A package is a Django application whose AppConfig derives from `Package`, declared under the entry-point group
`envoi.packages`. An instance loads only those that are installed on it.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from django.apps import AppConfig, apps
from django.db import connection, transaction
from django.utils.module_loading import module_has_submodule

from envoi.kernel import clock
from envoi.kernel.errors import Broken, Conflict, NotFound

if TYPE_CHECKING:
    from envoi.kernel.rights import Actor

GROUP = "envoi.packages"
PLATFORM = "kernel"
"""In whose name the kernel's own seed rows are shipped."""


class Package(AppConfig):
    """What a package says of itself; its Django label is its name."""

    requires: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[str] = "1"

    def ready(self) -> None:
        """Load the answers that the package gives to hooks."""
        if self.module is not None and module_has_submodule(self.module, "hooks"):
            import_module(f"{self.name}.hooks")


@dataclass(frozen=True)
class Installation:
    """What an installation or upgrade has done."""

    packages: tuple[str, ...]
    """All that the instance has now, in the order of their installation."""
    added: tuple[str, ...]
    migrated: tuple[str, ...]
    """Migrations applied, "app.name"."""
    kept: tuple[str, ...]
    """What was left as it is because an operator had changed it, one line each."""


def discover() -> dict[str, type[Package]]:
    """Return name -> class of every package that this Python environment offers, sorted by name."""
    return {
        point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)
    }


def resolve(names: Iterable[str]) -> tuple[str, ...]:
    """Return `names` with all that they require, each after what it requires, otherwise by name.

    Needs neither Django nor the database. Raises NotFound for an unknown package and Broken when packages
    require each other in a circle.
    """
    offered = discover()
    order: list[str] = []

    def add(name: str, asked_by: tuple[str, ...]) -> None:
        if name in asked_by:
            raise Broken(f"Packages require each other in a circle: {' -> '.join((*asked_by, name))}.")
        if name not in offered:
            close = difflib.get_close_matches(name, list(offered), n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(offered)}."
            by = f", required by {asked_by[-1]}" if asked_by else ""
            raise NotFound(f"There is no package {name!r}{by}; {hint}")
        if name not in order:
            for required in sorted(offered[name].requires):
                add(required, (*asked_by, name))
            order.append(name)

    for name in sorted(set(names)):
        add(name, ())
    return tuple(order)


def installed() -> tuple[str, ...]:
    """Return the packages that the instance has, in the order of their installation."""
    from envoi.kernel.models import InstalledPackage

    return tuple(
        InstalledPackage.objects.exclude(installed_at=None)
        .order_by("package_id")
        .values_list("name", flat=True)
    )


def begun() -> tuple[str, ...]:
    """Return the packages that are installed or whose installation was begun; () without tables."""
    from envoi.kernel.models import InstalledPackage

    if InstalledPackage._meta.db_table not in connection.introspection.table_names():
        return ()
    return tuple(InstalledPackage.objects.order_by("package_id").values_list("name", flat=True))


def install(names: Iterable[str] = (), *, actor: "Actor") -> Installation:
    """Install packages with all that they require, and bring what is there already up to date.

    Tables, then seed rows and what hooks add, a transaction for each package; one process at a time. Killed
    at any moment, the same call made again ends in the same instance. Every package must be loaded in this
    process. Raises NotAllowed, NotFound, or Conflict when a package is not loaded.
    """
    from envoi.kernel import locks, migrate, rights, seeds
    from envoi.kernel.models import InstalledPackage

    actor.require(rights.Right.ADMINISTRATION, to="install packages")
    with locks.held(locks.Lock.INSTALL):
        wanted = resolve((*begun(), *names))
        _refuse_unloaded(wanted)
        migrated = migrate.migrate()
        kept: list[str] = []
        with transaction.atomic():
            kept += seeds.plant(PLATFORM, Path(__file__).parent / "data")
            for name in wanted:
                InstalledPackage.objects.get_or_create(name=name, defaults={"version": ""})
        if not actor.operator_id:
            # The first installation acts before there are operators; from here on there is one to name.
            actor = replace(rights.internal(), origin=actor.origin)
        added = [name for name in wanted if _install_one(name, actor, kept)]
        return Installation(installed(), tuple(added), tuple(migrated), tuple(kept))


def _install_one(name: str, actor: "Actor", kept: list[str]) -> bool:
    """Plant what one package ships and mark it as installed; return whether it is new."""
    from envoi.kernel import audit, hooks, seeds
    from envoi.kernel.models import InstalledPackage

    package = apps.get_app_config(name)
    if not isinstance(package, Package):
        raise Broken(
            f"{name} is not a package: its AppConfig must derive from envoi.kernel.packages.Package."
        )
    with transaction.atomic():
        row = InstalledPackage.objects.select_for_update().get(name=name)
        kept += seeds.plant(name, Path(package.path) / "data")
        for lines in hooks.install_steps.ask(name, actor):
            kept += lines
        new, before = row.installed_at is None, row.version
        row.version, row.installed_at = package.version, row.installed_at or clock.now()
        row.save()
        if new or before != package.version:
            action = "Installed" if new else "Upgraded"
            audit.record(actor, "xtk:package", name, action, row.package_id, {"version": package.version})
    return new


def _refuse_unloaded(names: Iterable[str]) -> None:
    loaded = {config.label for config in apps.get_app_configs()}
    absent = [name for name in names if name not in loaded]
    if absent:
        raise Conflict(
            f"Package {', '.join(absent)} is not loaded in this process. "
            f"Run `envoi init --packages {','.join(absent)}`, then restart the processes of the instance."
        )
