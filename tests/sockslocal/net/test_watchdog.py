import asyncio
import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fakes.engine import FakeClock, turns, until
from fakes.sockets import closing, tcp_pair
from sockslocal.net import watchdog as module
from sockslocal.net.watchdog import Watchdog


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.001)
    monkeypatch.setattr(module, "SILENT_S", 0.05)


class Line:
    """A socket, as far as its kernel tells how its peer answers."""

    def __init__(self) -> None:
        self.retransmits = self.probes = self.unacknowledged = self.last_answer_ms = 0
        self.asked = 0
        self.then: Callable[[Line], None] = lambda _line: None

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        self.asked += 1
        self.then(self)
        info = bytearray(size)
        struct.pack_into("=BB", info, 2, self.retransmits, self.probes)
        struct.pack_into("=I", info, 24, self.unacknowledged)
        struct.pack_into("=I", info, 56, self.last_answer_ms)
        return bytes(info)


class Connection:
    """What is watched."""

    def __init__(self, *lines: Any) -> None:
        self.sockets: Any = lines
        self.lasted = self.aborted = 0
        self.on_abort: Callable[[], None] = lambda: None

    def lasts(self) -> None:
        self.lasted += 1

    def abort(self) -> None:
        self.aborted += 1
        self.on_abort()


def retransmitting(line: Line) -> None:
    """Nothing is answered, and the kernel tries again and again."""
    line.unacknowledged, line.last_answer_ms = 3, 1_000_000
    line.retransmits = min(line.retransmits + 1, 15)


@pytest.fixture
def watchdog(runner: asyncio.Runner) -> Iterator[Watchdog]:
    """A watchdog in the loop of the test."""

    async def make() -> Watchdog:
        return Watchdog()

    made = runner.run(make())
    yield made
    made.stop()


@pytest.mark.parametrize("which", [0, 1])
async def test_a_peer_that_vanished(watchdog: Watchdog, which: int) -> None:
    """Octets that nobody acknowledges, however often they are sent: the end, whichever peer it is."""
    lines = [Line(), Line()]
    lines[which].then = retransmitting
    connection = Connection(*lines)
    connection.on_abort = lambda: watchdog.discard(connection)
    watchdog.add(connection)
    await until(lambda: connection.aborted, "it is ended")
    await turns()
    assert connection.aborted == 1


async def test_a_peer_that_vanished_with_its_window_closed(watchdog: Watchdog) -> None:
    """Probes of a closed window that nobody answers."""

    def probing(line: Line) -> None:
        line.probes = min(line.probes + 1, 15)
        line.last_answer_ms = 1_000_000

    line = Line()
    line.then = probing
    connection = Connection(line)
    connection.on_abort = lambda: watchdog.discard(connection)
    watchdog.add(connection)
    await until(lambda: connection.aborted, "it is ended")


def idle(line: Line) -> None:
    """All is acknowledged, long ago."""
    line.last_answer_ms = 1_000_000


def busy(line: Line) -> None:
    """Octets are always on their way, and answered."""
    line.unacknowledged, line.last_answer_ms = 40, 0


def stalled(line: Line) -> None:
    """A closed window: probes are sent ever more rarely, and answered; now and then an answer is late."""
    line.probes = line.asked % 2
    line.last_answer_ms = 30 * (line.asked % 3)


def lossy(line: Line) -> None:
    """Each answer comes at last, after many attempts."""
    retransmitting(line)
    if line.asked % 30 == 0:
        line.retransmits, line.last_answer_ms = 0, 0


def rare(line: Line) -> None:
    """One attempt is unanswered, and the next is not yet due: the kernel waits up to two minutes."""
    line.unacknowledged, line.retransmits, line.last_answer_ms = 1, 9, 100_000


def unix(_line: Line) -> None:
    """No TCP at all."""
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


@pytest.fixture
def look(watchdog: Watchdog, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The next look of the watchdog, so many seconds after the one before."""
    monkeypatch.setattr(watchdog._loop, "time", clock)

    def look(seconds: float) -> None:
        clock.advance(seconds)
        watchdog._look()

    return look


@pytest.mark.parametrize("behaviour", [idle, busy, stalled, lossy, rare, unix])
async def test_a_peer_that_is_there(
    watchdog: Watchdog, look: Callable[[float], None], behaviour: Callable[[Line], None]
) -> None:
    """Whoever answers at all lives, however slow, full or silent."""
    line = Line()
    line.then = behaviour
    connection = Connection(line)
    watchdog.add(connection)
    for _ in range(300):
        look(module.SILENT_S / 50)
    assert line.asked == 300
    assert not connection.aborted


async def test_an_idle_connection_and_a_brief_outage(
    watchdog: Watchdog, look: Callable[[float], None]
) -> None:
    """What was idle for long owed no answer all that time: it is not ended for a few attempts."""
    line = Line()
    connection = Connection(line)
    watchdog.add(connection)
    line.then = idle
    look(0)
    look(1_000 * module.SILENT_S)
    line.then = retransmitting
    for _ in range(5):
        look(module.SILENT_S / 10)
    assert not connection.aborted
    look(module.SILENT_S)
    assert connection.aborted, "but for ever it is not waited"


async def test_lasts_is_told_once(watchdog: Watchdog) -> None:
    """At the first look a connection is told that it lasts; one that has ended before is not."""
    brief, long = Connection(), Connection(Line())
    watchdog.add(brief)
    watchdog.add(long)
    watchdog.discard(brief)
    await until(lambda: long.sockets[0].asked > 3, "several looks")
    assert (brief.lasted, long.lasted) == (0, 1)


async def test_one_ends_another(watchdog: Watchdog) -> None:
    """What is ended may end others that are watched."""
    lines = [Line(), Line()]
    connections = [Connection(line) for line in lines]

    def end_all() -> None:
        for connection in connections:
            watchdog.discard(connection)

    for line, connection in zip(lines, connections, strict=True):
        line.then = retransmitting
        connection.on_abort = end_all
        watchdog.add(connection)
    await until(lambda: any(connection.aborted for connection in connections), "one is ended")
    await turns()
    assert not watchdog._watched


async def test_nothing_is_kept(watchdog: Watchdog) -> None:
    """Of connections that have ended nothing is remembered, and without any there is no timer."""
    assert watchdog._timer is None
    line = Line()
    line.then = rare
    connection = Connection(line)
    watchdog.add(connection)
    await until(lambda: watchdog._silences, "a silence is noticed")
    watchdog.discard(connection)
    await until(lambda: watchdog._timer is None, "the timer ends")
    assert not watchdog._silences
    assert not watchdog._watched


async def test_stop(watchdog: Watchdog) -> None:
    """Stopped, it looks at nothing any more."""
    connection = Connection(Line())
    watchdog.add(connection)
    watchdog.stop()
    await turns()
    assert (connection.lasted, connection.sockets[0].asked) == (0, 0)


async def test_elsewhere_only_keepalive(watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, connections are kept alive, and nothing else."""
    monkeypatch.setattr(sys, "platform", "darwin")

    connection = Connection(Line())
    watchdog.add(connection)
    await until(lambda: connection.lasted, "the first look")
    assert not connection.sockets[0].asked


async def test_what_speaks_from_a_lost_address_is_ended(watchdog: Watchdog) -> None:
    """At once, however new it is, and no matter at which end; the others are not touched."""
    with ExitStack() as stack:
        first, second, unix = tcp_pair(), tcp_pair(), socket.socketpair()
        stack.enter_context(closing(*first, *second, *unix))
        leaving, staying = Connection(unix[0], first[0]), Connection(second[0])
        leaving.on_abort = lambda: watchdog.discard(leaving)
        watchdog.add(leaving)
        watchdog.add(staying)
        watchdog.leave(())
        watchdog.leave({"192.0.2.1"})
        assert (leaving.aborted, staying.aborted) == (0, 0)
        first[0].close()  # the end of another was its end too
        watchdog.leave({"127.0.0.1"})
        assert (leaving.aborted, staying.aborted) == (0, 1)


# --- with a network that loses everything

VANISH = """
import asyncio, dataclasses, socket, subprocess, sys, time
from sockslocal.net import keepalive, watchdog
from sockslocal.net.engine import Engine
from sockslocal.net.poller import new_loop
from sockslocal.net.relay import Relay

watchdog.PERIOD_S, watchdog.SILENT_S = 0.1, 1.5
keepalive._FIXED = ((socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2))
from sockslocal.net import relay as module
module.REMOTE_IDLE_S = 1

def run(*command):
    subprocess.run(command, check=True)

def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    server.setblocking(False)
    return client, server

async def lives(engine, behaviour):
    program, local = pair()
    remote, server = pair()
    ended = []
    for sock in (local, remote):
        engine.poller.register(sock, lambda bits: None)
    relay = Relay(engine, local, remote, ended.append)
    relay.start()
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(program, b"question")
    await loop.sock_recv(server, 8)
    await loop.sock_sendall(server, b"answer")
    await loop.sock_recv(program, 6)
    await asyncio.sleep(0.3)  # until the first look
    if behaviour in ("busy", "idle"):
        port = server.getsockname()[1]
        run("nft", f"add rule inet t c tcp dport {port} drop; add rule inet t c tcp sport {port} drop")
    deadline = time.monotonic() + (3 if behaviour == "stalled" else 15)
    while not ended and time.monotonic() < deadline:
        if behaviour != "idle":
            try:
                program.send(bytes(100_000))
            except OSError:
                pass
        await asyncio.sleep(0.02)
    alive = not ended
    relay.abort()
    return alive

async def main():
    engine = Engine.make()
    print(*await asyncio.gather(*(lives(engine, behaviour) for behaviour in sys.argv[1:])))
    engine.stop()

run("ip", "link", "set", "lo", "up")
run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }")
asyncio.Runner(loop_factory=new_loop).run(main())
"""


def in_a_network_of_its_own(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run `command` where there is nothing but its own loopback."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(
        ["unshare", *user, "--net", *command], capture_output=True, text=True, timeout=60, check=False
    )


def why_not() -> str:
    """Why there can be no such network here; empty where there can."""
    missing = [program for program in ("unshare", "nft", "ip") if shutil.which(program) is None]
    if missing:
        return f"{missing[0]} is not installed"
    tried = in_a_network_of_its_own("nft", "list tables")
    return tried.stderr.strip() if tried.returncode else ""


def test_on_a_network() -> None:
    """A server that vanishes is noticed, with octets on their way and without; one that stalls lives."""
    if reason := why_not():
        pytest.skip(f"no network to lose packets on: {reason}")
    done = in_a_network_of_its_own(sys.executable, "-c", VANISH, "busy", "idle", "stalled")
    assert done.stdout.split() == ["False", "False", "True"], done.stdout + done.stderr
