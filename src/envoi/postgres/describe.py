"""Where the database of an instance is and what runs it, for `status` and `check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envoi.postgres.cluster import majors
from envoi.postgres.errors import PostgresRefused
from envoi.postgres.files import instance_home, read_json
from envoi.postgres.find import find_pg_bin
from envoi.postgres.keep import running_file
from envoi.postgres.locks import keeper_lives
from envoi.postgres.place import Place, find_place, record_file, state_dir


@dataclass(frozen=True)
class Description:
    """One instance's embedded server.

    folder: data folder of the version in use. socket: folder or `@:name` that clients connect to. user: who
    the server runs as, and `why`. provider, version, programs: of the running server, else those that would
    start. running: whether the server answers under a keeper; keeper, postmaster: their process ids.
    upgrade: version that `envoi db upgrade` would move the data to, if newer programs are there. problem: why
    a start would be refused. abandoned: folders of the state directory whose instance is gone.
    """

    home: Path
    folder: Path
    socket: str
    user: str
    why: str
    log: Path
    provider: str | None = None
    version: str | None = None
    programs: Path | None = None
    running: bool = False
    keeper: int | None = None
    postmaster: int | None = None
    upgrade: str | None = None
    problem: str | None = None
    abandoned: tuple[Path, ...] = ()


def describe(home: Path | str) -> Description:
    """Describe the embedded server of HOME. Starts, makes and changes nothing.

    Before the first start it tells where things would go (a folder in the state directory gets another end
    then). Raises ForeignInstance when the instance belongs to another user.
    """
    home = instance_home(home)
    place = find_place(home)
    present = majors(place)
    running = read_json(running_file(home)) if keeper_lives(home) else None
    provider = version = programs = upgrade = problem = None
    try:
        newest = find_pg_bin()
        used = newest if not present or newest.major in present else find_pg_bin(major=present[0])
        provider, version, programs = used.provider, used.version, used.bin
        if present and newest.major > used.major:
            upgrade = newest.version
    except PostgresRefused as error:
        problem = str(error)
    if running is not None:
        provider, version = str(running["provider"]), str(running["version"])
        programs = Path(str(running["programs"]))
    major = int(version.split(".")[0]) if version else (present[0] if present else 0)
    return Description(
        home=home,
        folder=place.data(major) if major else place.root,
        socket=place.socket,
        user=place.user,
        why=place.why,
        log=home / "log" / "postgres.log",
        provider=provider,
        version=version,
        programs=programs,
        running=running is not None,
        keeper=_number(running, "keeper"),
        postmaster=_number(running, "postmaster"),
        upgrade=upgrade,
        problem=problem,
        abandoned=tuple(_abandoned(place)),
    )


def _number(document: dict[str, object] | None, key: str) -> int | None:
    found = document.get(key) if document else None
    return found if isinstance(found, int) else None


def _abandoned(place: Place) -> list[Path]:
    """Folders of the state directory to which no instance leads any more."""
    found: list[Path] = []
    for pointer in sorted(state_dir().glob("*/home")):
        home = Path(pointer.read_text(encoding="utf-8").strip())
        if home == place.home and pointer.parent == place.base:
            continue
        try:
            record = read_json(record_file(home))
        except PostgresRefused:
            continue
        if record is None or record.get("base") != str(pointer.parent):
            found.append(pointer.parent)
    return found
