"""Run as a process: `victim.py N FILE` is an `envoi worker` that dies before its threads' N-th statement.

A commit counts as a statement. With N = 0 it lives, and when it ends it writes how many there were into FILE.
"""

import atexit
import itertools
import os
import signal
import sys
import threading
from pathlib import Path

import psycopg

deadly, file = int(sys.argv[1]), Path(sys.argv[2])
numbers = itertools.count(1)
sent = [0]


def counted(original):
    def call(*args, **kwargs):
        if threading.current_thread().name.startswith("activity"):
            sent[0] = next(numbers)
            if sent[0] == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    return call


psycopg.Cursor.execute = counted(psycopg.Cursor.execute)
psycopg.Cursor.executemany = counted(psycopg.Cursor.executemany)
psycopg.Connection.commit = counted(psycopg.Connection.commit)
atexit.register(lambda: file.write_text(str(sent[0])))

from envoi.cli.main import main  # noqa: E402

sys.argv = ["envoi", "worker", "--threads", "1"]
main()
