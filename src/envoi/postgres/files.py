"""Folders and small files of an instance: made with the right owner and mode, written as a whole."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import cast

from envoi.postgres.errors import ForeignInstance, PlaceUnusable


def instance_home(home: Path | str) -> Path:
    """HOME as one absolute path without links, so that every process takes the same locks."""
    return Path(os.path.realpath(home))


def make_home(home: Path) -> None:
    """Make HOME and its folders run, log and secrets; those that hold secrets get mode 0700.

    Raises PlaceUnusable (cannot be made) or ForeignInstance (belongs to another user).
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        for name, mode in (("run", None), ("log", None), ("secrets", 0o700)):
            make_folder(home, home / name, mode)
    except PermissionError as error:
        raise ForeignInstance(
            f"{error.filename or home}: user {os.geteuid()} may not write there; the instance {home} "
            f"belongs to user {_owner_of_nearest(home)}. "
            "Run the command as that user, or give another folder by --home."
        ) from error
    except OSError as error:
        raise PlaceUnusable(
            f"{error.filename or home}: cannot be made as a folder ({error.strerror}). "
            "Give another folder by --home."
        ) from error


def make_folder(home: Path, folder: Path, mode: int | None = None) -> None:
    """Make one folder inside HOME; an existing one is left as it is."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    if mode is not None:
        folder.chmod(mode)
    hand_over(home, folder)


def hand_over(home: Path, path: Path | int) -> None:
    """When root works in a HOME that belongs to another user, what it makes there belongs to that user."""
    if os.geteuid() == 0:
        owner = home.stat()
        if owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid)


def write_json(home: Path, path: Path, document: dict[str, object], mode: int = 0o600) -> None:
    """Write a JSON object so that readers see the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            os.fchmod(handle, mode)
            hand_over(home, handle)
            json.dump(document, stream, indent=1)
            stream.flush()
            os.fsync(handle)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_json(path: Path) -> dict[str, object] | None:
    """The JSON object in a file, None when there is no such file.

    Raises ForeignInstance when this user may not read it, PlaceUnusable when it is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise ForeignInstance(
            f"{path}: user {os.geteuid()} may not read it; it belongs to user {_owner_of_nearest(path)}. "
            "Run the command as that user (or as root)."
        ) from error
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise PlaceUnusable(
            f"{path}: is not JSON ({error}). Restore it from a backup, or remove it."
        ) from error
    if not isinstance(document, dict):
        raise PlaceUnusable(f"{path}: is not a JSON object. Restore it from a backup, or remove it.")
    return cast(dict[str, object], document)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _owner_of_nearest(path: Path) -> int:
    for each in (path, *path.parents):
        try:
            return each.stat().st_uid
        except OSError:
            continue
    return 0
