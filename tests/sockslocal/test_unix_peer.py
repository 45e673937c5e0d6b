import os
import socket
import struct
import sys

import pytest

from sockslocal.unix_peer import unix_peer_uid


def test_the_peer_of_a_socket_is_this_user() -> None:
    """The kernel names the user of the other end."""
    one, other = socket.socketpair()
    with one, other:
        assert unix_peer_uid(one) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user() -> None:
    """Each end hears of the other: the server of who connected, the client of who listens."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("")
        listener.listen()
        os.seteuid(65_534)
        try:
            client.connect(listener.getsockname())
        finally:
            os.seteuid(0)
        accepted, _ = listener.accept()
        with accepted:
            assert unix_peer_uid(accepted) == 65_534
            assert unix_peer_uid(client) == 0


def test_a_closed_socket() -> None:
    """It has no peer."""
    sock = socket.socket(socket.AF_UNIX)
    sock.close()
    with pytest.raises(OSError, match="descriptor"):
        unix_peer_uid(sock)


class _OnMacOs(socket.socket):
    """Answers as macOS does: struct xucred has version, user and groups."""

    def getsockopt(self, *arguments: int) -> bytes:  # type: ignore[override]
        assert arguments == (0, 1, 76)
        return struct.pack("=IIh2x16I", 0, 501, 1, *range(16))


def test_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an option of its own."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(socket, "LOCAL_PEERCRED", 1, raising=False)
    with _OnMacOs(socket.AF_UNIX) as sock:
        assert unix_peer_uid(sock) == 501


def test_where_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has nothing of the kind."""
    monkeypatch.setattr(sys, "platform", "win32")
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(NotImplementedError, match="win32"):
        unix_peer_uid(sock)
