import errno
import select
import socket

import pytest

from fakes import loops
from fakes.descriptors import open_descriptors
from fakes.engine import turns, until
from fakes.sockets import closing, tcp_pair
from sockslocal.net import poller
from sockslocal.net.epoll import EpollPoller
from sockslocal.net.poller import URGENT, best_poller


def test_the_bits_are_those_of_epoll() -> None:
    """What handlers are told are epoll's own bits, passed on as they come."""
    assert (poller.IN, poller.URGENT, poller.OUT) == (select.EPOLLIN, select.EPOLLPRI, select.EPOLLOUT)
    assert (poller.ERROR, poller.HANG_UP) == (select.EPOLLERR, select.EPOLLHUP)
    assert select.EPOLLRDHUP == poller.FIN


def test_best_on_linux() -> None:
    """Linux has epoll."""

    async def main() -> None:
        best = best_poller()
        assert isinstance(best, EpollPoller)
        best.stop()

    loops.run(main())


def test_one_registration() -> None:
    """A socket is registered once for its whole life, both directions at a time."""

    async def main() -> None:
        poller = EpollPoller()
        near, far = tcp_pair()
        with closing(near, far):
            poller.register(near, lambda _bits: None)
            poller.wait_readable(near)
            poller.wait_writable(near)
            with pytest.raises(FileExistsError) as caught:
                poller.register(near, lambda _bits: None)
            assert caught.value.errno == errno.EEXIST
        poller.stop()

    loops.run(main())


def test_urgent() -> None:
    """Urgent data is told of, for reads stop short of it."""

    async def main() -> None:
        poller = EpollPoller()
        near, far = tcp_pair()
        told: list[int] = []
        with closing(near, far):
            poller.register(near, told.append)
            far.send(b"!", socket.MSG_OOB)
            await until(lambda: any(bits & URGENT for bits in told), "urgent data")
            poller.close(near)
        poller.stop()

    loops.run(main())


def test_no_descriptor_of_its_own() -> None:
    """The poller rides on the loop's epoll; after `stop` the loop goes on, and the next one may come."""

    async def main() -> None:
        before = open_descriptors()
        poller = EpollPoller()
        assert open_descriptors() == before
        with pytest.raises(RuntimeError, match="already"):
            EpollPoller()
        poller.stop()
        await turns()
        EpollPoller().stop()

    loops.run(main())
