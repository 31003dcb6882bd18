"""Static files by a name that carries their hash, cached for a year, without a build step for users."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

STAMP = ".collected"


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Hashed names for what was collected, plain names for what was not (tests, a single command)."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """Return the name under which a file is served."""
        try:
            return super().stored_name(name)
        except ValueError:
            return name


class StaticFiles(WhiteNoiseMiddleware):
    """Serves them; where none were collected yet, straight from the packages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        super().__init__(get_response)


def collect() -> bool:
    """Bring STATIC_ROOT up to date if any static file of the loaded packages has changed; tell whether it
    had.

    One process at a time; killed in the middle, the next call does it again.
    """
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        stamp = root / STAMP
        wanted = _fingerprint()
        if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
            return False
        stamp.unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, clear=True, verbosity=0, stdout=StringIO())
        stamp.write_text(wanted, encoding="ascii")
        return True
    finally:
        os.close(handle)


def _fingerprint() -> str:
    """Hash of the name, size and time of every file that would be collected."""
    seen = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = Path(storage.path(name)).stat()
            seen.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return seen.hexdigest()
