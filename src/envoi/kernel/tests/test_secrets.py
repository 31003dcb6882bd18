import os
import stat
import threading
from pathlib import Path

import pytest

from envoi.kernel import secrets
from envoi.kernel.errors import Broken


def test_a_secret_comes_back_with_its_key_and_purpose_only(tmp_path: Path) -> None:
    sealed = secrets.encrypt(tmp_path, "pässword", purpose="accounts")
    assert "pässword".encode() not in sealed
    assert secrets.decrypt(tmp_path, sealed, purpose="accounts") == "pässword"
    assert secrets.encrypt(tmp_path, "pässword", purpose="accounts") != sealed
    with pytest.raises(Broken, match="does not fit the key"):
        secrets.decrypt(tmp_path, sealed, purpose="dkim")
    with pytest.raises(Broken, match="does not fit the key"):
        secrets.decrypt(tmp_path, sealed[:-1] + bytes([sealed[-1] ^ 1]), purpose="accounts")
    with pytest.raises(Broken, match="unknown version"):
        secrets.decrypt(tmp_path, b"\x02" + sealed[1:], purpose="accounts")
    with pytest.raises(Broken, match="does not fit the key"):
        secrets.decrypt(tmp_path / "another", sealed, purpose="accounts")


def test_keys_for_different_purposes_differ_and_are_stable(tmp_path: Path) -> None:
    one = secrets.instance_key(tmp_path, purpose="one")
    assert len(one) == 32
    assert one == secrets.instance_key(tmp_path, purpose="one")
    assert one != secrets.instance_key(tmp_path, purpose="two")
    assert one != (tmp_path / secrets.KEY_FILE).read_bytes()


def test_the_key_is_private_and_only_one_process_makes_it(tmp_path: Path) -> None:
    found: list[bytes] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait(10)
        found.append(secrets.instance_key(tmp_path, purpose="x"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert stat.S_IMODE((tmp_path / secrets.KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["instance.key"]


def test_a_damaged_key_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / secrets.KEY_FILE).write_bytes(b"short")
    with pytest.raises(Broken, match=r"instance\.key must hold 32 bytes and holds 5"):
        secrets.instance_key(tmp_path, purpose="x")


def test_a_key_is_stored_but_never_replaced(tmp_path: Path) -> None:
    key = os.urandom(32)
    secrets.store_key(tmp_path, key)
    secrets.store_key(tmp_path, key)
    with pytest.raises(Broken, match="another key"):
        secrets.store_key(tmp_path, os.urandom(32))
    assert secrets.read_key(tmp_path / secrets.KEY_FILE) == key
    assert key.hex() not in secrets.fingerprint(key)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in the folder of another user")
def test_what_root_makes_in_the_folder_of_another_belongs_to_that_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    secrets.instance_key(tmp_path, purpose="x")
    for path in (tmp_path / "secrets", tmp_path / secrets.KEY_FILE):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
