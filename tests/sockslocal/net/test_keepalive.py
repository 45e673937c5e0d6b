import socket

import pytest

from sockslocal.net.keepalive import INTERVAL_S, LOCAL_IDLE_S, PROBES, REMOTE_IDLE_S, keep_alive


@pytest.mark.parametrize("idle", [REMOTE_IDLE_S, LOCAL_IDLE_S])
def test_options(idle: int) -> None:
    """All that the system has a name for is set."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        keep_alive(sock, idle)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
        for option, value in (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_KEEPIDLE, idle),
            (socket.TCP_KEEPINTVL, INTERVAL_S),
            (socket.TCP_KEEPCNT, PROBES),
        ):
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == value


def test_a_connection_that_has_ended() -> None:
    """Where the system refuses, as macOS does after a reset, nothing is raised."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.close()
    keep_alive(sock, REMOTE_IDLE_S)


def test_a_dead_server_is_noticed_in_half_a_minute() -> None:
    """Idle time and unanswered probes together."""
    assert REMOTE_IDLE_S + INTERVAL_S * PROBES <= 30
