import os
import socket
import stat

import pytest

from fakes.descriptors import open_descriptors
from sockslocal.control import endpoint
from sockslocal.control.loopback import LoopbackTransport
from sockslocal.control.unix import UnixTransport
from sockslocal.errors import ControlError
from sockslocal.paths import Paths


@pytest.fixture(params=[UnixTransport, LoopbackTransport])
def transport(request: pytest.FixtureRequest) -> endpoint.Transport:
    """Each of the two ways."""
    made: endpoint.Transport = request.param()
    return made


def test_both_sides_meet(paths: Paths, transport: endpoint.Transport) -> None:
    """A client finds the daemon through the folder alone, and shows the opening."""
    with endpoint.claim(paths, transport) as claimed, claimed.listen() as listener:
        listener.setblocking(True)
        with endpoint.connect(paths, 5.0, type(transport)()) as client:
            peer, _ = listener.accept()
            with peer:
                assert claimed.admits(peer)
                client.sendall(b"hello")
                expected = claimed.opening + b"hello"
                assert peer.recv(len(expected), socket.MSG_WAITALL) == expected


def test_everything_in_the_folder_is_closed_to_others(paths: Paths, transport: endpoint.Transport) -> None:
    """Whatever the umask, no bit for group or world."""
    before = os.umask(0)
    try:
        with endpoint.claim(paths, transport) as claimed, claimed.listen():
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in paths.runtime.iterdir()}
    finally:
        os.umask(before)
    assert "lock" in modes
    assert len(modes) == 2
    assert all(mode & 0o077 == 0 for mode in modes.values())


def test_only_the_lock_file_stays(paths: Paths, transport: endpoint.Transport) -> None:
    """After `close` nobody is pointed at a socket that is gone."""
    with endpoint.claim(paths, transport) as claimed, claimed.listen():
        assert endpoint.holder(paths) == os.getpid()
    assert [file.name for file in paths.runtime.iterdir()] == ["lock"]
    assert endpoint.holder(paths) is None


def test_a_second_claim_says_who_runs(paths: Paths, transport: endpoint.Transport) -> None:
    """It leaves the first with its socket, and no descriptor behind."""
    with endpoint.claim(paths, transport) as claimed, claimed.listen():
        before = open_descriptors()
        with pytest.raises(ControlError) as caught:
            endpoint.claim(paths, transport)
        assert caught.value.problem.code == "already-running"
        assert open_descriptors() == before
        endpoint.connect(paths, 5.0, type(transport)()).close()


def test_a_way_that_cannot_be_made_leaves_nothing_open(
    paths: Paths, transport: endpoint.Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the listening socket."""

    def refuse(_socket: socket.socket, _backlog: int) -> None:
        raise OSError(98, "Address in use")

    with endpoint.claim(paths, transport) as claimed:
        before = open_descriptors()
        monkeypatch.setattr(socket.socket, "listen", refuse)
        with pytest.raises(ControlError, match="Address in use"):
            claimed.listen()
        assert open_descriptors() == before


def test_nobody_holds_what_is_not_there(paths: Paths) -> None:
    """A folder that was never made is no error."""
    assert endpoint.holder(paths) is None
    with pytest.raises(FileNotFoundError):
        endpoint.connect(paths, 1.0)


def test_clients_refuse_a_folder_that_others_can_use(paths: Paths) -> None:
    """Somebody else's socket may lie in it."""
    paths.runtime.mkdir(mode=0o755)
    paths.runtime.chmod(0o755)
    for use in (endpoint.holder, lambda places: endpoint.connect(places, 1.0)):
        with pytest.raises(ControlError) as caught:
            use(paths)
        assert caught.value.problem.code == "folder-unsafe"


def test_what_the_system_refuses_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of binding becomes one a person can read."""

    def full(_transport: UnixTransport, _folder: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(UnixTransport, "bind", full)
    with (
        endpoint.claim(paths, UnixTransport()) as claimed,
        pytest.raises(ControlError, match="takes no control socket: No space left"),
    ):
        claimed.listen()
