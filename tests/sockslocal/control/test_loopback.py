import json
import socket

import pytest

from sockslocal.control import endpoint
from sockslocal.control.loopback import LoopbackTransport
from sockslocal.errors import ControlError
from sockslocal.paths import Paths


def test_the_token_is_new_for_each_daemon(paths: Paths) -> None:
    """256 bits, in a file beside the port; what an old daemon left is replaced."""
    tokens = set()
    for _ in range(2):
        with endpoint.claim(paths, LoopbackTransport()) as claimed, claimed.listen() as listener:
            way = json.loads((paths.runtime / "control.json").read_text())
            assert way["port"] == listener.getsockname()[1]
            assert claimed.opening == way["token"].encode() + b"\n"
            assert len(bytes.fromhex(way["token"])) == 32
            tokens.add(way["token"])
    assert len(tokens) == 2


def test_it_listens_on_loopback_only(paths: Paths) -> None:
    """No other machine can reach it."""
    with endpoint.claim(paths, LoopbackTransport()) as claimed, claimed.listen() as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_file_that_outlived_its_daemon_is_not_followed(paths: Paths) -> None:
    """After a crash the port may be anybody's: without the lock held, no connection and no token sent."""
    with endpoint.claim(paths, LoopbackTransport()):
        pass
    with socket.create_server(("127.0.0.1", 0)) as anybody:
        anybody.settimeout(0)
        left = {"port": anybody.getsockname()[1], "token": "0" * 64}
        (paths.runtime / "control.json").write_text(json.dumps(left))
        (paths.runtime / "control.json").chmod(0o600)
        with pytest.raises(ConnectionRefusedError):
            endpoint.connect(paths, 5.0, LoopbackTransport())
        with pytest.raises(BlockingIOError):
            anybody.accept()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"port": 0, "token": "00"}', '{"port": 80, "token": "x"}', "x" * 5000]
)
def test_an_unreadable_file_is_an_error(paths: Paths, content: str) -> None:
    """A file that says nothing is not guessed from."""
    with endpoint.claim(paths, LoopbackTransport()):
        (paths.runtime / "control.json").write_text(content)
        (paths.runtime / "control.json").chmod(0o600)
        with pytest.raises(ControlError, match="does not say where the daemon is"):
            endpoint.connect(paths, 5.0, LoopbackTransport())


def test_a_planted_link_is_replaced_not_followed(paths: Paths) -> None:
    """The token is never written to where a link leads."""
    precious = paths.runtime.parent / "precious"
    precious.write_text("precious")
    with endpoint.claim(paths, LoopbackTransport()) as claimed:
        (paths.runtime / "control.json").symlink_to(precious)
        (paths.runtime / "control.json.new").symlink_to(precious)
        with claimed.listen():
            assert not (paths.runtime / "control.json").is_symlink()
    assert precious.read_text() == "precious"
