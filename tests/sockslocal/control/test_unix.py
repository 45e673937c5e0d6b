import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sockslocal.control import endpoint
from sockslocal.control.unix import UnixTransport
from sockslocal.errors import ControlError
from sockslocal.paths import Paths
from sockslocal.unix_peer import unix_peer_uid

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect(sys.argv[1])
sys.stdout.write(client.recv(4096).decode())
"""

SERVE_AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
sys.stdin.read()
"""


def test_a_stale_socket_is_replaced(paths: Paths) -> None:
    """What a killed daemon left does not stop the next one."""
    paths.runtime.mkdir(mode=0o700)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(paths.runtime / "control.sock"))
    stale.close()
    with endpoint.claim(paths) as claimed, claimed.listen():
        endpoint.connect(paths, 5.0).close()


def test_the_socket_is_its_users_alone(paths: Paths) -> None:
    """Mode 0600, and the process's umask is what it was."""
    before = os.umask(0o022)
    try:
        with endpoint.claim(paths) as claimed, claimed.listen():
            assert stat.S_IMODE((paths.runtime / "control.sock").stat().st_mode) == 0o600
            assert stat.S_IMODE(paths.runtime.stat().st_mode) == 0o700
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def _link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "precious")


@pytest.mark.parametrize("plant", [_link, os.mkfifo, Path.mkdir, Path.touch])
def test_what_is_no_socket_is_refused(paths: Paths, plant: Callable[[Path], None]) -> None:
    """A link, a pipe, a folder or a file in the socket's place is not removed, its target not touched."""
    path = paths.runtime / "control.sock"
    precious = paths.runtime.parent / "precious"
    precious.write_text("precious")
    with endpoint.claim(paths) as claimed:
        plant(path)
        before = path.lstat()
        with pytest.raises(ControlError, match="not a socket") as caught:
            claimed.listen()
        assert caught.value.problem.code == "folder-unsafe"
        assert caught.value.problem.remedy == f"rm {path}"
        assert path.lstat() == before
        assert precious.read_text() == "precious"
        if path.is_dir():
            path.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no other way to it")
def test_a_folder_with_a_long_name_works(paths: Paths) -> None:
    """A socket's path has 107 octets at most; the folder's may be longer."""
    far = Paths(config=paths.config, runtime=paths.runtime / ("x" * 200), state=paths.state)
    with endpoint.claim(far) as claimed, claimed.listen():
        assert (far.runtime / "control.sock").is_socket()
        endpoint.connect(far, 5.0).close()


def test_a_peer_that_cannot_be_named_is_not_admitted() -> None:
    """A socket that fails to answer is refused, never let in."""
    one, other = socket.socketpair()
    other.close()
    one.close()
    assert not UnixTransport().admits(one)


@ROOT
def test_another_user_is_not_admitted(paths: Paths) -> None:
    """Even where the folder and the socket were opened to all, the kernel's word decides."""
    with endpoint.claim(paths) as claimed, claimed.listen() as listener:
        paths.runtime.parent.chmod(0o755)
        paths.runtime.chmod(0o755)
        (paths.runtime / "control.sock").chmod(0o777)
        listener.setblocking(True)
        listener.settimeout(10)
        with subprocess.Popen([sys.executable, "-c", AS_NOBODY, str(paths.runtime / "control.sock")]):
            peer, _ = listener.accept()
            with peer:
                assert unix_peer_uid(peer) == 65534
                assert not claimed.admits(peer)


@ROOT
def test_a_socket_that_another_user_serves_is_refused(paths: Paths) -> None:
    """A client does not talk to whoever bound the socket before the daemon."""
    paths.runtime.parent.chmod(0o755)
    paths.runtime.mkdir()
    paths.runtime.chmod(0o777)
    command = [sys.executable, "-c", SERVE_AS_NOBODY, str(paths.runtime / "control.sock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        paths.runtime.chmod(0o700)
        with pytest.raises(ControlError, match="served by another user"):
            endpoint.connect(paths, 5.0)
        process.communicate()
