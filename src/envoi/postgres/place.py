"""Where the server of an instance lives and as which user it runs."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from envoi.postgres.errors import ForeignInstance, PlaceUnusable
from envoi.postgres.files import make_folder, read_json, write_json

SOCKET_FILE = ".s.PGSQL.5432"
LONGEST_SOCKET = 100
STATE_DIR = Path("/var/lib/envoi")
USER_WHEN_ROOT = ("envoi", "nobody")


@dataclass(frozen=True)
class Place:
    """Folders and user of one instance's server.

    `base` is HOME or the instance's folder in the system's state directory; `uid`/`gid` own the data and run
    the server (a keeper that is root drops its rights to them); `apart` tells that the server cannot use
    HOME/run, which belongs to another user; `why` says in words how this was decided.
    """

    home: Path
    base: Path
    user: str
    uid: int
    gid: int
    apart: bool
    why: str

    @property
    def root(self) -> Path:
        """Folder of the data of every major version."""
        return self.base / "postgres"

    def data(self, major: int) -> Path:
        """Data folder of one major version."""
        return self.root / str(major)

    @property
    def run(self) -> Path:
        """Folder (0700) that the server puts its socket into, when the path is short enough for one."""
        return self.root / "run" if self.apart else self.base / "run"

    @property
    def socket(self) -> str:
        """What clients give as host: a folder, or `@:name` for a Linux abstract socket."""
        return _socket_in(self.run)

    @property
    def programs(self) -> Path:
        """Folder for copies of programs that the dropped-to user could not execute where they are."""
        return self.base / "postgres" / "bin" if self.base == self.home else self.base.parent / "bin"


def _socket_in(folder: Path) -> str:
    # A socket's path is limited to 107 bytes by the kernel; an abstract name has no path at all. Its colon is
    # there for the driver, which asks the DNS for any host but /… and ?:… (meant for C:\… on Windows).
    if len(os.fsencode(folder / SOCKET_FILE)) <= LONGEST_SOCKET:
        return str(folder)
    return f"@:envoi-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}"


def state_dir() -> Path:
    """The system's state directory of the product; ENVOI_PG_STATE_DIR names another."""
    return Path(os.path.realpath(os.environ.get("ENVOI_PG_STATE_DIR") or STATE_DIR))


def record_file(home: Path) -> Path:
    """The file that remembers the decision, so that data are never looked for in another place later."""
    return home / "postgres" / "place.json"


def find_place(home: Path) -> Place:
    """Return the recorded place, or the one that would be chosen now. Makes nothing.

    A fresh folder in the state directory has a random end in its name, which is only fixed by `settle`.
    Raises ForeignInstance when this user cannot run the instance.
    """
    return recorded_place(home) or _choose(home)


def recorded_place(home: Path) -> Place | None:
    """The place that `settle` wrote down, None for an instance whose server never started."""
    record = read_json(record_file(home))
    if record is None:
        return None
    uid, gid = record.get("uid"), record.get("gid")
    base = record.get("base")
    if not isinstance(uid, int) or not isinstance(gid, int) or not isinstance(base, str | None):
        raise PlaceUnusable(f"{record_file(home)}: is damaged. Restore it from a backup of the folder.")
    me = os.geteuid()
    if me not in (0, uid):
        raise ForeignInstance(
            f"{home}: its database runs as user {_name(uid)}, you are {_name(me)}. "
            f"Run the command as {_name(home.stat().st_uid)}."
        )
    return Place(
        home=home,
        base=Path(base) if base else home,
        user=_name(uid),
        uid=uid,
        gid=gid,
        apart=bool(record.get("apart")),
        why=str(record.get("why", "")),
    )


def settle(home: Path) -> Place:
    """Return the place of an instance; the first time choose it, make its folders and write it down.

    Called by the keeper alone, under its lock. Raises ForeignInstance or PlaceUnusable.
    """
    place = recorded_place(home)
    if place is None:
        place = _choose(home)
        _make(place)
        base = None if place.base == home else str(place.base)
        write_json(
            home,
            record_file(home),
            {"uid": place.uid, "gid": place.gid, "apart": place.apart, "base": base, "why": place.why},
            0o644,
        )
    else:
        _check_pointer(place)
        _make(place)
    if os.geteuid() == 0 and not can_enter(place.root, place.uid, place.gid):
        raise PlaceUnusable(
            f"{place.root}: user {place.user}, who runs the server, cannot reach this folder. "
            f"Give it and its parents the permission to pass (chmod o+x)"
            + ("." if place.base == home else ", or name another state directory by ENVOI_PG_STATE_DIR.")
        )
    return place


def can_enter(folder: Path, uid: int, gid: int) -> bool:
    """Whether a user can pass to `folder`, tried as that user (root only), so that ACLs count too."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        user=uid,
        group=gid,
        extra_groups=[],
        cwd="/",
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def _choose(home: Path) -> Place:
    me = os.geteuid()
    if me != 0:
        name, gid = _account(me, os.getegid())
        return Place(home, home, name, me, gid, apart=False, why="started by this user")
    owner = _existing(home).stat().st_uid if home.exists() else 0
    if owner != 0:
        name, gid = _account(owner, home.stat().st_gid)
        place = Place(home, home, name, owner, gid, apart=True, why=f"root works in a folder of user {name}")
    else:
        name, uid, gid = _user_for_root()
        place = Place(home, home, name, uid, gid, apart=True, why=f"root drops its rights to user {name}")
    if can_enter(_existing(home), place.uid, place.gid):
        return place
    return replace(
        place,
        base=state_dir() / f"{home.name[:40] or 'instance'}-{secrets.token_hex(4)}",
        why=f"{place.why}, who cannot reach {home}",
    )


def _make(place: Place) -> None:
    try:
        if place.base != place.home:
            for folder in (state_dir(), place.base):
                folder.mkdir(parents=True, exist_ok=True)
            place.base.chmod(0o755)
            (place.base / "home").write_text(f"{place.home}\n", encoding="utf-8")
        make_folder(place.home, place.home / "postgres", 0o755 if place.apart else 0o700)
        if not place.root.exists():
            place.root.mkdir()
            place.root.chmod(0o755)
        if not place.run.exists():
            place.run.mkdir()
        if os.geteuid() == 0:
            os.chown(place.run, place.uid, place.gid)
        place.run.chmod(0o700)
    except OSError as error:
        raise PlaceUnusable(
            f"{error.filename}: {error.strerror}; the folders of the database cannot be made there. "
            "Give another folder by --home, or mend its permissions."
        ) from error


def _check_pointer(place: Place) -> None:
    """A HOME that was copied must not share the state folder of its original."""
    pointer = place.base / "home"
    if place.base == place.home or not pointer.exists():
        return
    other = Path(pointer.read_text(encoding="utf-8").strip())
    if other == place.home:
        return
    record = read_json(record_file(other)) if other.exists() else None
    if record is not None and record.get("base") == str(place.base):
        raise ForeignInstance(
            f"{place.home}: is a copy of {other}, and both name {place.base} as the place of their "
            f"data. Remove {record_file(place.home)} to give the copy an empty database, then "
            "restore a backup into it."
        )


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _user_for_root() -> tuple[str, int, int]:
    for name in USER_WHEN_ROOT:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        if account.pw_uid != 0:
            return name, account.pw_uid, account.pw_gid
    raise PlaceUnusable(
        "PostgreSQL refuses to run as root, and this machine has neither a user `envoi` nor `nobody` to "
        "drop to. Make one: useradd --system --no-create-home envoi"
    )


def _account(uid: int, gid: int) -> tuple[str, int]:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), gid
    return account.pw_name, account.pw_gid


def _name(uid: int) -> str:
    return _account(uid, -1)[0]
