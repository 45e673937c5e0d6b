import os
import socket

import psutil
import pytest

from sockslocal.address import Endpoint
from sockslocal.holders import find_holder


def test_who_listens_holds_the_address() -> None:
    """Also where it listens on all addresses; who is merely connected does not."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        found = find_holder(Endpoint("127.0.0.1", port), stream=True)
        assert found == (os.getpid(), f"{psutil.Process().name()} (pid {os.getpid()})")
        assert find_holder(Endpoint("127.0.0.1", port), stream=False) is None
    assert find_holder(Endpoint("127.0.0.1", port), stream=True) is None


def test_a_datagram_socket_holds_it_too() -> None:
    """And only its own address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert find_holder(Endpoint("127.0.0.1", port), stream=False) is not None
        assert find_holder(Endpoint("127.0.0.2", port), stream=False) is None


def test_nobody_is_named_where_that_may_not_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no reason to fail."""

    def denied(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    assert find_holder(Endpoint("127.0.0.1", 80), stream=True) is None
