import errno
import socket
import threading
from typing import Any

import pytest

from fakes import loops
from fakes.engine import FakeClock, Told, turns, until
from sockslocal.address import Endpoint
from sockslocal.net import server_addresses
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.server_addresses import FRESH_S, STALE_S, ServerAddresses, interleave
from sockslocal.system_dns import previous
from sockslocal.system_dns.previous import Previous

pytestmark = pytest.mark.usefixtures("engine")  # for what it finds out at the end

V4, V6 = socket.AF_INET, socket.AF_INET6
SERVER = Endpoint("proxy.test", 1080)
FIRST: SocketAddress = (V4, ("127.0.0.1", 1080))
SECOND: SocketAddress = (V4, ("127.0.0.2", 1080))


class FakeResolver:
    """Stands for the system's; it answers once `gate` is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: list[SocketAddress] | Exception = [FIRST, SECOND]
        self.asked: list[tuple[Any, ...]] = []
        self.answered = 0
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: str, port: int, *, type: int) -> list[tuple[Any, ...]]:  # noqa: A002
        self.asked.append((host, port, type))
        self.gate.wait(20)
        self.answered += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return [(family, type, 6, "", address) for family, address in self.answer]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> FakeResolver:
    """What `getaddrinfo` asks."""
    return FakeResolver(monkeypatch)


async def found(known: ServerAddresses) -> Any:
    """What the next to ask is told."""
    told = Told()
    known.find(told)
    await until(lambda: told.calls, "told")
    return told.last


def test_families_alternate() -> None:
    """The family of the first address goes first, and what one family has more comes last."""
    four = [(V4, (f"192.0.2.{number}", 1)) for number in range(3)]
    six = [(V6, (f"2001:db8::{number}", 1)) for number in range(2)]
    assert interleave([*six, *four]) == [six[0], four[0], six[1], four[1], four[2]]
    assert interleave([four[0], *six]) == [four[0], six[0], six[1]]
    assert interleave([]) == []


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", V4), ("::1", V6)])
def test_an_ip_address_is_not_looked_up(
    resolver: FakeResolver, host: str, family: socket.AddressFamily
) -> None:
    """It is its own answer, told before `find` returns, however much time has passed."""
    clock, told = FakeClock(), Told()
    known = ServerAddresses(Endpoint(host, 1080), clock)
    clock.advance(1e9)
    known.find(told)
    known.prefer((family, (host, 1080)))
    assert told.calls == [[(family, (host, 1080))]]
    assert resolver.asked == []


async def test_a_name_is_looked_up_once_for_all_who_wait(resolver: FakeResolver) -> None:
    """One question, and its answer serves for a while."""
    clock = FakeClock()

    known, told = ServerAddresses(SERVER, clock), Told()
    resolver.gate.clear()
    other = Told()
    known.find(told)
    known.find(other)
    await until(lambda: resolver.asked, "asked")
    resolver.gate.set()
    await until(lambda: told.calls and other.calls, "told")
    clock.advance(FRESH_S - 1)
    known.find(told)
    assert told.calls == [[FIRST, SECOND]] * 2
    assert resolver.asked == [("proxy.test", 1080, socket.SOCK_STREAM)]


async def test_an_old_answer_is_renewed(resolver: FakeResolver) -> None:
    """When it is no longer fresh, the name is looked up again."""
    clock = FakeClock()

    known = ServerAddresses(SERVER, clock)
    assert await found(known) == [FIRST, SECOND]
    clock.advance(FRESH_S)
    resolver.answer = [SECOND]
    assert await found(known) == [SECOND]


async def test_an_address_that_answered_goes_first(resolver: FakeResolver) -> None:
    """Also among the addresses of later answers, for as long as it is among them."""
    clock = FakeClock()

    known = ServerAddresses(SERVER, clock)
    await found(known)
    known.prefer(SECOND)
    known.prefer((V4, ("127.0.0.9", 1080)))
    assert await found(known) == [SECOND, FIRST]
    clock.advance(FRESH_S)
    assert await found(known) == [SECOND, FIRST]
    clock.advance(FRESH_S)
    resolver.answer = [FIRST]
    assert await found(known) == [FIRST]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "it is no host name"),
    ],
)
async def test_what_has_no_address_is_an_error(resolver: FakeResolver, error: Exception, text: str) -> None:
    """The system's reason is told, and the next one who asks has it looked up again."""
    resolver.answer = error

    known = ServerAddresses(SERVER, FakeClock())
    assert (await found(known)).strerror == text
    resolver.answer = [FIRST]
    assert await found(known) == [FIRST]


async def test_the_old_answer_serves_where_there_is_no_new_one(resolver: FakeResolver) -> None:
    """An error, or silence, costs at most a moment, once in a while, and no connection."""
    clock = FakeClock()

    known = ServerAddresses(SERVER, clock)
    await found(known)
    resolver.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    clock.advance(FRESH_S)
    assert await found(known) == [FIRST, SECOND]
    asked = len(resolver.asked)
    clock.advance(STALE_S - 1)
    assert await found(known) == [FIRST, SECOND]
    assert len(resolver.asked) == asked
    clock.advance(1)
    resolver.answer = [SECOND]
    assert await found(known) == [SECOND]
    clock.advance(FRESH_S - 1)
    assert await found(known) == [SECOND]
    assert len(resolver.asked) == asked + 1


async def test_a_silent_resolver_is_not_waited_for(
    resolver: FakeResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits is told in time; what comes later is for the next one, and nobody asks twice meanwhile."""
    monkeypatch.setattr(server_addresses, "DEADLINE_S", 0.01)
    monkeypatch.setattr(server_addresses, "PATIENCE_S", 0.01)
    clock = FakeClock()
    resolver.gate.clear()

    known = ServerAddresses(SERVER, clock)
    assert (await found(known)).strerror == "no answer in time"
    assert (await found(known)).strerror == "no answer in time"
    resolver.gate.set()
    await until(lambda: known._known, "the late answer")
    assert await found(known) == [FIRST, SECOND]
    resolver.gate.clear()
    monkeypatch.setattr(server_addresses, "DEADLINE_S", 3600.0)
    clock.advance(FRESH_S)
    assert await found(known) == [FIRST, SECOND]
    assert len(resolver.asked) == 2
    resolver.gate.set()
    await until(lambda: resolver.answered == 2, "the thread has ended")
    await turns()


def test_the_process_ends_without_the_resolver(resolver: FakeResolver) -> None:
    """A question that has no answer yet keeps no loop from closing."""
    resolver.gate.clear()

    async def ask() -> None:
        ServerAddresses(SERVER, FakeClock()).find(Told())
        await until(lambda: resolver.asked, "asked")

    loops.run(ask())
    assert resolver.answered == 0
    resolver.gate.set()


async def test_who_does_not_wait_any_more_is_not_told(resolver: FakeResolver) -> None:
    """`drop` takes one back, also one who never asked."""
    known, told, dropped = ServerAddresses(SERVER, FakeClock()), Told(), Told()
    known.find(dropped)
    known.find(told)
    known.drop(dropped)
    known.drop(Told())
    await until(lambda: told.calls, "told")
    assert dropped.calls == []


async def test_without_a_thread_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may start no thread says so instead of waiting."""

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, "Thread", NoThread)

    assert (await found(ServerAddresses(SERVER, FakeClock()))).strerror == "can't start new thread"


async def test_a_name_is_found_by_the_systems_resolver() -> None:
    """`localhost` leads to loopback."""
    answer = await found(ServerAddresses(Endpoint("localhost", 1080), FakeClock()))
    assert not isinstance(answer, OSError), errno.errorcode.get(answer.errno or 0)
    assert {address[0] for _, address in answer} <= {"127.0.0.1", "::1"}


async def test_where_the_system_asks_us_those_of_before_are_asked(
    resolver: FakeResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own resolver would wait for the very server whose name this is."""
    before = Previous(("192.0.2.8",))
    asked: list[object] = []

    def look_up(*arguments: object) -> list[SocketAddress]:
        asked.append(arguments)
        return [SECOND]

    monkeypatch.setattr(previous, "find", lambda: before)
    monkeypatch.setattr(previous, "look_up", look_up)
    assert await found(ServerAddresses(SERVER, FakeClock())) == [SECOND]
    assert asked == [(before, "proxy.test", 1080)]
    assert resolver.asked == []


async def test_what_is_in_doubt_is_looked_up_again(resolver: FakeResolver) -> None:
    """In another network a name may lead elsewhere; where it cannot be asked for, the old answer serves."""
    known = ServerAddresses(SERVER, FakeClock())
    assert await found(known) == [FIRST, SECOND]
    known.doubt()
    resolver.answer = [SECOND]
    assert await found(known) == [SECOND]
    known.doubt()
    resolver.answer = OSError(0, "no network")
    assert await found(known) == [SECOND]
    assert len(resolver.asked) == 3


async def test_an_ip_address_is_in_no_doubt(resolver: FakeResolver) -> None:
    """It is where it is."""
    known = ServerAddresses(Endpoint("127.0.0.1", 1080), FakeClock())
    known.doubt()
    assert await found(known) == [FIRST]
    assert resolver.asked == []
