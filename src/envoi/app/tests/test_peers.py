"""Peers are installed by apt, once, and without their services being started."""

import pytest

from envoi.app import peers
from envoi.kernel.errors import Broken, Refused

APT = """#!/bin/sh
echo "$*" >>"{place}/asked"
[ -x "{place}/policy" ] && [ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9
case $1 in install) : >"{place}/bin/peer-program"; chmod +x "{place}/bin/peer-program";; esac
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that lacks one peer and has an apt-get of ours."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "apt-get").write_text(APT.format(place=tmp_path))
    (place / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setattr(peers, "PATH", str(place))
    monkeypatch.setattr(peers, "POLICY", tmp_path / "policy")
    monkeypatch.setattr(peers, "PEERS", {"it": peers.Peer("peer-program", ("it-server", "it-client"))})
    monkeypatch.setattr(peers.os, "geteuid", lambda: 0)
    return tmp_path


def test_missing_peers_are_installed_once_and_no_service_starts(machine):
    said = []
    assert peers.missing() == ["it"]
    peers.install(said.append)
    assert (machine / "asked").read_text().splitlines() == [
        "update -q",
        "install -q -y --no-install-recommends it-server it-client",
    ]
    assert said == ["Installing it-server, it-client"]
    assert not (machine / "policy").exists()
    assert peers.missing() == []
    peers.install(said.append)
    assert len(said) == 1


def test_what_cannot_be_installed_is_named(machine, monkeypatch):
    monkeypatch.setattr(peers.os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match=r"must be root to install it.* apt install it-server it-client"):
        peers.install(print)
    monkeypatch.setattr(peers.os, "geteuid", lambda: 0)
    (machine / "bin/apt-get").write_text("#!/bin/sh\nexit 100\n")
    with pytest.raises(Broken, match=r"apt-get update failed; .*By hand: apt install it-server it-client"):
        peers.install(print)
    assert not (machine / "policy").exists()
