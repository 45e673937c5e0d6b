import errno
import os
import socket
from collections.abc import Iterator

import pytest

from fakes.sockets import reset
from sockslocal.net import sock_diag
from sockslocal.net.sock_diag import available, holder

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both ends of a connection, held by this process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        accepted, _ = listener.accept()
        with accepted:
            yield client, accepted


def test_each_end_has_its_holder(ends: Ends) -> None:
    """Either end is found by its own address and the other's."""
    for sock in ends:
        assert holder(sock.getsockname(), sock.getpeername()) == os.getuid()


def test_no_such_connection(ends: Ends) -> None:
    """A listener at the address, or a connection with someone else, is not taken for it."""
    near, far = ends[1].getsockname(), ends[1].getpeername()
    assert holder(near, ("127.0.0.1", 1)) is None
    assert holder((near[0], 1), far) is None


def test_one_that_is_gone(ends: Ends) -> None:
    """A connection that was reset has no holder."""
    near, far = ends[0].getsockname(), ends[0].getpeername()
    reset(ends[0])
    assert holder(near, far) is None


def test_one_that_nobody_holds(ends: Ends) -> None:
    """A connection whose program closed it, and which the kernel yet ends, has none either."""
    near, far = ends[0].getsockname(), ends[0].getpeername()
    ends[0].send(b"unread")
    ends[0].close()
    assert holder(near, far) is None


def test_a_zone_is_no_part_of_the_address() -> None:
    """An address with a zone is asked for without it."""
    assert holder(("fe80::1%lo", 1), ("fe80::1%lo", 2)) is None


def test_available() -> None:
    """The kernel that runs the tests can be asked."""
    assert available()


def test_a_kernel_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no answer to such questions it is not available, and asking is an error."""
    monkeypatch.setattr(sock_diag, "_NETLINK_SOCK_DIAG", 31)  # no such protocol
    assert not available()
    with pytest.raises(OSError, match=os.strerror(errno.EPROTONOSUPPORT)):
        holder(("127.0.0.1", 1), ("127.0.0.1", 2))


def test_a_family_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it knows the questions but not this one, it is not available."""
    monkeypatch.setattr(sock_diag, "_SOCK_DIAG_BY_FAMILY", 21)
    assert not available()
