import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.sockets import closing, reset
from sockslocal.net.owners import Owner, available, owner, peer_uid

NOBODY = 65_534

Pair = tuple[socket.socket, socket.socket]

as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can start a program of another user to connect with"
)


@contextmanager
def connection(host: str = "127.0.0.1", to: str | None = None) -> Iterator[Pair]:
    """A client of this process, connected to `to`, and what a listener on `host` accepted for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    client_family = socket.AF_INET6 if ":" in (to or host) else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.socket(client_family, socket.SOCK_STREAM) as client,
    ):
        client.connect((to or host, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with closing(accepted):
            yield client, accepted


@pytest.mark.parametrize(
    ("host", "to"),
    [("127.0.0.1", None), ("::1", None), ("127.0.0.1", "::ffff:127.0.0.1")],
    ids=["IPv4", "IPv6", "IPv4 through an IPv6 socket"],
)
def test_ours(host: str, to: str | None) -> None:
    """A program of this user is known by the kernel's table, whichever kind of socket it uses."""
    with connection(host, to) as (_, accepted):
        assert peer_uid(accepted) == os.getuid()
        assert owner(accepted) is Owner.US


def test_ours_on_a_unix_socket() -> None:
    """On a Unix socket the kernel names the peer itself."""
    with unix_connection() as (_, accepted):
        assert peer_uid(accepted) == os.getuid()
        assert owner(accepted) is Owner.US


@contextmanager
def unix_connection(uid: int | None = None) -> Iterator[Pair]:
    """As `connection`, on a Unix socket without a file; the client is user `uid` as it connects."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
    ):
        listener.bind("")
        listener.listen()
        if uid is not None:
            os.seteuid(uid)
        try:
            client.connect(listener.getsockname())
        finally:
            if uid is not None:
                os.seteuid(os.getuid())
        accepted, _ = listener.accept()
        with closing(accepted):
            yield client, accepted


def test_several_connections() -> None:
    """Connections to the same listener, and of the same client, are told apart by both ends."""
    with connection() as (_, first), connection() as (_, second):
        assert owner(first) is Owner.US
        assert owner(second) is Owner.US


def test_a_peer_that_went_away() -> None:
    """Who has gone is nobody, and no error."""
    with connection() as (client, accepted):
        reset(client)
        assert peer_uid(accepted) is None
        assert owner(accepted) is Owner.UNKNOWN


def test_a_closed_connection() -> None:
    """A socket that nobody holds any more is nobody's: the kernel shows it as root's."""
    with connection() as (client, accepted):
        client.send(b"from whom?")
        client.close()
        assert peer_uid(accepted) is None
        assert owner(accepted) is Owner.UNKNOWN


def test_not_connected() -> None:
    """A socket without a peer has no owner at its other end."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert peer_uid(sock) is None


CLIENT = (
    'exec 3<>/dev/tcp/"$0"/"$1"; echo connected; read -r _; echo bye >&3; exec 3>&-; echo closed; read -r _'
)
"""bash: connects, says so, and closes when told to."""


@contextmanager
def anothers_connection(host: str) -> Iterator[tuple[socket.socket, "subprocess.Popen[str]"]]:
    """What a listener on `host` accepted from a program of another user."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        program = subprocess.Popen(
            ["bash", "-c", CLIENT, host, str(listener.getsockname()[1])],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        listener.settimeout(10)
        accepted, _ = listener.accept()
        with program, accepted:
            assert program.stdout is not None
            assert program.stdin is not None
            assert program.stdout.readline() == "connected\n"
            yield accepted, program
            program.stdin.close()


@as_root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_anothers(host: str) -> None:
    """A program of another user is not ours."""
    with anothers_connection(host) as (accepted, _):
        assert peer_uid(accepted) == NOBODY
        assert owner(accepted) is Owner.OTHER


@as_root
def test_anothers_that_closed() -> None:
    """Nor is it when it has closed at once, though the kernel then shows its socket as root's."""
    with anothers_connection("127.0.0.1") as (accepted, program):
        assert program.stdin is not None
        assert program.stdout is not None
        print("close", file=program.stdin, flush=True)
        assert program.stdout.readline() == "closed\n"
        assert accepted.recv(100) == b"bye\n"
        assert owner(accepted) is Owner.UNKNOWN


@as_root
def test_anothers_on_a_unix_socket() -> None:
    """The same on a Unix socket."""
    with unix_connection(NOBODY) as (_, accepted):
        assert peer_uid(accepted) == NOBODY
        assert owner(accepted) is Owner.OTHER


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_nobody_is_ours(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Where it cannot be told who the peer is, it is not taken for ours."""
    with connection() as (_, accepted):
        monkeypatch.setattr(sys, "platform", platform)
        assert peer_uid(accepted) is None
        assert owner(accepted) is Owner.UNKNOWN
        assert not available()
