import asyncio
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fakes.engine import POLLERS, turns, until
from fakes.sockets import closing
from sockslocal.net import listener as module
from sockslocal.net.descriptors import DescriptorBudget
from sockslocal.net.listener import BATCH, Listener
from sockslocal.net.poller import Poller, best_poller
from sockslocal.net.sockets import Socket

every_poller = pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])


class Door:
    """A listener, and what it has accepted."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.sock.setblocking(False)
        self.accepted: list[Socket] = []
        self.budget = DescriptorBudget(1 << 20)
        self.listener = Listener(poller, self.sock, self.accept, self.budget)
        self.clients: list[socket.socket] = []

    def accept(self, sock: Socket) -> None:
        self.accepted.append(sock)

    def knock(self, count: int = 1) -> None:
        """Connect so many clients; the kernel accepts them into the backlog at once."""
        self.clients += [socket.create_connection(self.sock.getsockname()) for _ in range(count)]

    def close(self) -> None:
        """Close the listener and all connections."""
        self.listener.close()
        for sock in (*self.accepted, *self.clients):
            sock.close()


@pytest.fixture
def door(runner: asyncio.Runner, poller: Callable[[], Poller]) -> Iterator[Door]:
    """A listener in the loop of the test."""

    async def make() -> Door:
        return Door(poller())

    made = runner.run(make())
    yield made
    made.close()
    made.poller.stop()


@every_poller
async def test_accepts(door: Door) -> None:
    """A connection is handed over non-blocking, ready to be used, as often as one comes."""
    for count in range(1, 4):
        door.knock()
        await until(lambda count=count: len(door.accepted) == count, f"connection {count}")  # type: ignore[misc]
        accepted, client = door.accepted[-1], door.clients[-1]
        assert not accepted.getblocking()
        assert accepted.getpeername() == client.getsockname()
        client.send(b"x")
        assert accepted.recv(1) == b"x"


async def test_address(door: Door) -> None:
    """The address that the kernel chose can be told."""
    assert door.listener.address == door.sock.getsockname()


async def test_unix_and_ipv6(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is accepted is of the listener's family."""
    poller = best_poller()
    path = str(tmp_path_factory.mktemp("s") / "s")
    for family, address in ((socket.AF_UNIX, path), (socket.AF_INET6, ("::1", 0))):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.bind(address)
        listening.listen()
        listening.setblocking(False)
        accepted: list[Socket] = []
        listener = Listener(poller, listening, accepted.append, DescriptorBudget(1 << 20))
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.connect(listening.getsockname())
            await until(lambda accepted=accepted: accepted, "a connection")  # type: ignore[misc]
            assert (accepted[0].family, accepted[0].type) == (family, socket.SOCK_STREAM)
            accepted[0].close()
        listener.close()
    poller.stop()


@every_poller
async def test_more_than_a_batch(door: Door) -> None:
    """All that wait are accepted, and between two batches other sockets have their turn."""
    door.knock(2 * BATCH + 10)
    seen: list[int] = []
    near, far = socket.socketpair()
    near.setblocking(False)
    with closing(near, far):
        door.poller.register(near, lambda _bits: seen.append(len(door.accepted)))
        far.send(b"x")
        await until(lambda: len(door.accepted) == 2 * BATCH + 10, "all connections")
        assert min(seen) <= BATCH
        door.poller.close(near)


async def test_closed(door: Door) -> None:
    """After `close` nothing is accepted, the port is free, and what was accepted lives."""
    door.knock()
    await until(lambda: door.accepted, "a connection")
    address = door.sock.getsockname()
    door.listener.close()
    door.listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    door.clients[0].send(b"x")
    await turns()
    assert door.accepted[0].recv(1) == b"x"


async def test_closed_from_within(door: Door) -> None:
    """The receiver of a connection may close the listener; those behind it are not accepted."""

    def accept(sock: Socket) -> None:
        door.accepted.append(sock)
        door.listener.close()

    door.listener._accepted = accept
    door.knock(3)
    await until(lambda: door.accepted, "a connection")
    await turns()
    assert len(door.accepted) == 1


@every_poller
async def test_bug_of_the_receiver(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that cannot be served is closed, and those behind it are accepted."""

    def accept(sock: Socket) -> None:
        door.accepted.append(sock)
        if len(door.accepted) == 1:
            raise RuntimeError("bug")

    door.listener._accepted = accept
    door.knock(3)
    await until(lambda: len(door.accepted) == 3, "all connections")
    assert door.clients[0].recv(1) == b""
    assert door.accepted[0].fileno() == -1
    assert "bug" in caplog.text


class Accepting:
    """A listening socket whose next calls of accept fail as it is told."""

    def __init__(self, sock: socket.socket, errors: list[int]) -> None:
        self._sock = sock
        self.errors = errors
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _accept(self) -> Any:
        self.calls += 1
        if self.errors:
            raise OSError(self.errors[0], os.strerror(self.errors.pop(0)))
        return self._sock._accept()  # type: ignore[attr-defined]


def failing(door: Door, *errors: int) -> Accepting:
    """Have `door` fail with `errors`, one a call."""
    fake = Accepting(door.sock, list(errors))
    door.listener._sock = fake  # type: ignore[assignment]
    return fake


@every_poller
async def test_clients_that_went_away(door: Door) -> None:
    """A client that is gone before it was accepted costs nobody else anything."""
    fake = failing(door, errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
    door.knock(2)
    await until(lambda: len(door.accepted) == 2, "the others")
    assert fake.calls >= 5


class Pauses:
    """In place of a poller's timers: a pause ends when the test says so."""

    def __init__(self, poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self._later = poller.later
        monkeypatch.setattr(poller, "later", self._note)

    def end(self) -> None:
        """The pause is over."""
        self.callbacks.pop()()

    def _note(self, _seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.callbacks.append(callback)
        return self._later(1_000, callback)


@every_poller
@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_full(
    door: Door, error: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full process or machine: accepting pauses, whatever else arrives; one line says why; it goes on."""
    pauses = Pauses(door.poller, monkeypatch)
    fake = failing(door, *[error] * 3)
    door.knock()
    for tries in (1, 2, 3):
        await until(lambda tries=tries: fake.calls == tries, "a try")  # type: ignore[misc]
        door.knock(7)  # each is an edge of its own
        await turns()
        assert fake.calls == tries, "a pause is a pause"
        assert len(pauses.callbacks) == 1, "there is one at a time"
        assert door.budget.problem, "the status says so"
        pauses.end()
    await until(lambda: len(door.accepted) == 22, "all connections")
    assert door.budget.problem is None
    assert [record.message for record in caplog.records] == [
        f"! {os.strerror(error).lower()} (limit {1 << 20}): new connections wait"
    ]


async def test_an_error_that_stays(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no retry mends is not retried without pause."""
    pauses = Pauses(door.poller, monkeypatch)
    fake = failing(door, *[errno.EINVAL] * 10_000)
    door.knock()
    await until(lambda: fake.calls, "the first try")
    await turns(10)
    assert fake.calls == BATCH
    fake.errors.clear()
    pauses.end()
    await until(lambda: door.accepted, "the connection")


async def test_closed_during_a_pause(door: Door) -> None:
    """A listener that is closed while it pauses stays closed."""
    fake = failing(door, *[errno.EMFILE] * 3)
    door.knock()
    await until(lambda: fake.calls, "the first try")
    pause = door.listener._pause
    door.listener.close()
    assert pause is not None
    assert pause.cancelled()
    assert door.budget.problem is None


async def test_closed_by_the_receiver_of_the_last_descriptor(door: Door) -> None:
    """The same where the receiver of a connection closes it, and no descriptor is left."""
    door.budget.ceiling = 0

    def accept(sock: Socket) -> None:
        door.accepted.append(sock)
        door.listener.close()

    door.listener._accepted = accept
    door.knock()
    await until(lambda: door.accepted, "the connection")
    assert door.listener._pause is None


# --- when descriptors run out


@every_poller
async def test_the_reserve_is_left_alone(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Near the limit accepting pauses, and goes on when descriptors are free again."""
    monkeypatch.setattr(module, "PAUSE_S", 0.01)

    door.budget.ceiling = next_descriptors(10 + 3)[-1] + 1
    door.knock(10)
    await until(lambda: door.accepted, "connections")
    await turns(20)
    assert 3 <= len(door.accepted) <= 5
    for sock in door.accepted:
        sock.close()
    before = len(door.accepted)
    await until(lambda: len(door.accepted) > before, "connections again")
    for client in door.clients:
        client.close()
    door.budget.ceiling = 1 << 20
    await until(lambda: len(door.accepted) == 10, "all connections")
    assert len(caplog.records) == 1


def next_descriptors(count: int) -> list[int]:
    """The numbers that the next `count` descriptors will have."""
    opened = [os.dup(2) for _ in range(count)]
    for descriptor in opened:
        os.close(descriptor)
    return opened


EXHAUSTED = """
import asyncio, logging, resource, socket, sys
from sockslocal.net import listener
from sockslocal.net.descriptors import DescriptorBudget
from sockslocal.net.listener import Listener
from sockslocal.net.poller import best_poller, new_loop
from sockslocal.net.sockets import Socket
from sockslocal.net.sockets import Socket

listener.PAUSE_S = 0.05

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    poller = best_poller()
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    listening.setblocking(False)
    accepted, total = [], 0

    def accept(sock):
        nonlocal total
        total += 1
        accepted.append(sock)

    Listener(poller, listening, accept, DescriptorBudget(int(sys.argv[1])))
    print(listening.getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while command := await commands.readline():
        if command == b"count\\n":
            print(total, flush=True)
        if command == b"echo\\n":
            accepted[0].send(accepted[0].recv(100))
        if command == b"free\\n":
            while accepted:
                accepted.pop().close()

logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s %(message)s")
asyncio.Runner(loop_factory=new_loop).run(main())
"""


@pytest.mark.parametrize("limit", [64, 1_000])
def test_exhausted_for_real(limit: int) -> None:
    """With 64 descriptors and 100 clients: connections live, accepting pauses, one line, full recovery.

    Where the budget thinks that there are more, the kernel's EMFILE does what it does otherwise.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", EXHAUSTED, str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with child, ExitStack() as stack:

        def ask(command: str) -> int:
            print(command, file=child.stdin, flush=True)
            return int(child.stdout.readline()) if child.stdout and command == "count" else 0

        port = int(child.stdout.readline())
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(100)
        ]
        count, before = ask("count"), -1
        while count != before or not count:
            count, before = ask("count"), count
        assert 0 < count < 64
        clients[0].send(b"alive")
        ask("echo")
        assert clients[0].recv(5) == b"alive"
        while ask("count") < 100:
            ask("free")
        child.stdin.close()
        errors = child.stderr.read()
    lines = [line for line in errors.splitlines() if line.startswith("sockslocal") and " ! " in line]
    assert len(lines) == 1, errors
    assert "too many open files" in lines[0]
