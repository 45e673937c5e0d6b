import asyncio
import errno
import os
import select
import selectors
import socket
from contextlib import suppress

import pytest

from fakes.descriptors import open_descriptors
from fakes.engine import turns, until
from fakes.sockets import closing, tcp_pair
from sockslocal.net import poller
from sockslocal.net.epoll import EdgeSelector, EpollPoller
from sockslocal.net.poller import IN, URGENT, best_poller


def test_the_bits_are_those_of_epoll() -> None:
    """What handlers are told are epoll's own bits, passed on as they come."""
    assert (poller.IN, poller.URGENT, poller.OUT) == (select.EPOLLIN, select.EPOLLPRI, select.EPOLLOUT)
    assert (poller.ERROR, poller.HANG_UP) == (select.EPOLLERR, select.EPOLLHUP)
    assert select.EPOLLRDHUP == poller.FIN


async def test_best_on_linux() -> None:
    """Linux has epoll."""
    best = best_poller()
    assert isinstance(best, EpollPoller)
    best.stop()


async def test_one_registration() -> None:
    """A socket is registered once for its whole life, both directions at a time."""
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


async def test_urgent() -> None:
    """Urgent data is told of, for reads stop short of it."""
    poller = EpollPoller()
    near, far = tcp_pair()
    told: list[int] = []
    with closing(near, far):
        poller.register(near, told.append)
        far.send(b"!", socket.MSG_OOB)
        await until(lambda: any(bits & URGENT for bits in told), "urgent data")
        poller.close(near)
    poller.stop()


async def test_no_descriptor_of_its_own() -> None:
    """The poller rides on the loop's epoll; after `stop` the loop goes on, and the next one may come."""
    before = open_descriptors()
    poller = EpollPoller()
    assert open_descriptors() == before
    with pytest.raises(RuntimeError, match="already"):
        EpollPoller()
    poller.stop()
    await turns()
    EpollPoller().stop()


async def test_timers_fire_while_sockets_keep_the_loop_busy() -> None:
    """The data plane's rounds end when a timer is due, however much there is to hand out."""
    poller = EpollPoller()
    near, far = tcp_pair()
    fired: list[bool] = []

    def answer(_bits: int) -> None:
        with suppress(BlockingIOError):
            near.recv(100)
        far.send(b"again")

    with closing(near, far):
        poller.register(near, answer)
        far.send(b"first")
        asyncio.get_running_loop().call_later(0.01, fired.append, True)
        await until(lambda: fired, "the timer")
        poller.close(near)
    poller.stop()


async def test_what_a_handler_schedules_is_done_next() -> None:
    """A callback, a timer and a future's waiter, all begun within a handler, need no other event to run."""
    poller = EpollPoller()
    loop = asyncio.get_running_loop()
    near, far = tcp_pair()
    done: list[str] = []
    told = loop.create_future()

    def handle(bits: int) -> None:
        if bits & IN and not told.done():
            loop.call_soon(done.append, "callback")
            loop.call_later(0.001, done.append, "timer")
            told.set_result(None)

    with closing(near, far):
        poller.register(near, handle)
        await turns()
        far_off = loop.call_later(20, lambda: None)
        far.send(b"!")
        await told
        assert loop.time() < far_off.when()
        far_off.cancel()
        await until(lambda: sorted(done) == ["callback", "timer"], "both")
        poller.close(near)
    poller.stop()


async def test_a_thread_wakes_the_loop() -> None:
    """`call_soon_threadsafe` is noticed while the loop waits for sockets."""
    poller = EpollPoller()
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: "done") == "done"
    poller.stop()


def test_the_selector_does_what_the_standard_one_does() -> None:
    """Readable, writable, changed, closed before it is unregistered, and a time-out with nothing ready."""
    near, far = tcp_pair()
    selector = EdgeSelector()
    with closing(near, far):
        assert selector.select(0.001) == []
        key = selector.register(near, selectors.EVENT_READ | selectors.EVENT_WRITE, "data")
        assert selector.select(0) == [(key, selectors.EVENT_WRITE)]
        far.send(b"!")
        key = selector.modify(near, selectors.EVENT_READ, "other data")
        assert selector.select(None) == [(key, selectors.EVENT_READ)]
        assert selector.get_map()[near.fileno()] is key
        assert selector.unregister(near) is key
        assert selector.select(-1) == []
        selector.register(near.fileno(), selectors.EVENT_READ)
        descriptor = near.detach()
        os.close(descriptor)
        selector.unregister(descriptor)
    selector.close()


def test_the_selector_knows_sockets_and_numbers() -> None:
    """What was registered as a socket is found by its number, and the other way round."""
    near, far = tcp_pair()
    selector = EdgeSelector()
    with closing(near, far):
        key = selector.register(near, selectors.EVENT_READ)
        assert selector.get_key(near) is selector.get_key(near.fileno()) is key
        with pytest.raises(KeyError):
            selector.register(near.fileno(), selectors.EVENT_READ)
        assert selector.unregister(near.fileno()) is key
        with pytest.raises(KeyError):
            selector.get_key(near)
        with pytest.raises(KeyError):
            selector.unregister(near)
    selector.close()


def test_the_selector_forgets_what_cannot_be_changed() -> None:
    """A socket that was closed before it is changed is an error, and its number may be used anew."""
    near, far = tcp_pair()
    selector = EdgeSelector()
    with closing(near, far):
        selector.register(near, selectors.EVENT_READ)
        selector.register(far, selectors.EVENT_READ)
        number = near.fileno()
        near.close()
        with pytest.raises(OSError, match=r"descriptor|No such file"):
            selector.modify(number, selectors.EVENT_WRITE)
        assert number not in selector.get_map()
        assert list(selector._keys) == [far.fileno()]
    selector.close()


async def test_asyncio_watches_sockets_as_ever() -> None:
    """A reader is told, paused and told again, given as a socket or as its number."""
    poller = EpollPoller()
    loop = asyncio.get_running_loop()
    near, far = tcp_pair()
    told: list[str] = []
    with closing(near, far):
        loop.add_reader(near, told.append, "first")
        far.send(b"!")
        await until(lambda: told, "the first reader")
        loop.add_reader(near.fileno(), told.append, "second")
        await until(lambda: told[-1] == "second", "the second reader")
        assert loop.remove_reader(near)
        assert not loop.remove_reader(near)
        count = len(told)
        await turns()
        assert len(told) == count
    poller.stop()
