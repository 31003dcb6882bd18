"""Remove the database of an instance for good."""

from __future__ import annotations

import shutil
from pathlib import Path

from envoi.postgres.alone import alone
from envoi.postgres.files import instance_home, make_home
from envoi.postgres.passwords import password_file


def remove(home: Path | str) -> None:
    """Stop the server and delete its data, wherever they lie, with passwords and log; HOME itself stays.

    An instance without a database is no error. Raises InUse when some command uses it.
    """
    home = instance_home(home)
    if not (home / "postgres").is_dir():
        return
    make_home(home)
    with alone(home) as place:
        if place is not None and place.base != home:
            shutil.rmtree(place.base)
        shutil.rmtree(home / "postgres", ignore_errors=True)
        password_file(home).unlink(missing_ok=True)
        for log in (home / "log").glob("postgres.log*"):
            log.unlink()
