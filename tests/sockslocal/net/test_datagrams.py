"""One contract for the engines that carry datagrams."""

import errno
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sockslocal.net.datagrams import (
    HEADROOM,
    MAX_DATAGRAM,
    SLOTS,
    Batch,
    PlainBatch,
    best_batch,
    send_one,
)
from sockslocal.net.local_address import PeerAt, ask_for_local_address, tells_local_address
from sockslocal.net.mmsg import MmsgBatch

LARGEST = 65_507
"""What fits into a datagram over IPv4."""

LONGEST_HEADER = bytes(range(131)) * 2
"""RFC 1928 §7 with a name of 255 octets."""


@pytest.fixture(params=[PlainBatch, MmsgBatch])
def batch(request: pytest.FixtureRequest) -> Batch:
    """Each engine."""
    made: Batch = request.param()
    return made


class Post:
    """Sockets of a test, all non-blocking and on loopback; closed at its end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def udp(self, host: str = "127.0.0.1") -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self._stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((host, 0))
        return sock

    def pair(self, host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
        """Two that are connected with each other."""
        one, other = self.udp(host), self.udp(host)
        one.connect(other.getsockname()[:2])
        other.connect(one.getsockname()[:2])
        return one, other

    def unix_pair(self) -> tuple[socket.socket, socket.socket]:
        """Two whose buffers are short: a send to a full one is refused, as on a busy interface."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for sock in (one, other):
            self._stack.enter_context(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel's least
        return one, other


@pytest.fixture
def post() -> Iterator[Post]:
    """See Post."""
    with ExitStack() as stack:
        yield Post(stack)


def payloads(batch: Batch, count: int) -> list[bytes]:
    """What the first `count` datagrams hold."""
    return [bytes(batch.payload(index)) for index in range(count)]


def read_all(sock: socket.socket) -> list[bytes]:
    """All that waits in `sock`, in order."""
    found = []
    while True:
        try:
            found.append(sock.recv(70_000))
        except BlockingIOError:
            return found


# --- receiving


def test_nothing(batch: Batch, post: Post) -> None:
    """An empty socket brings nothing."""
    assert batch.receive(post.udp()) == 0


def test_receives_in_order(batch: Batch, post: Post) -> None:
    """What waits comes whole and in order, empty ones and the largest too."""
    here, there = post.pair()
    sent = [bytes([number]) * size for number, size in enumerate((0, 1, 512, 1_400, 9_000, LARGEST, 0, 7))]
    for data in sent:
        there.send(data)
    assert batch.receive(here) == len(sent)
    assert payloads(batch, len(sent)) == sent
    assert batch.octets(range(len(sent))) == sum(map(len, sent))
    assert batch.octets(range(1, 4)) == 1 + 512 + 1_400
    assert batch.receive(here) == 0


def test_a_batch_at_a_time(batch: Batch, post: Post) -> None:
    """No more than SLOTS at once; fewer than that mean that the socket is empty."""
    here, there = post.pair()
    for number in range(2 * SLOTS + 5):
        there.send(number.to_bytes(2))
    counts = []
    seen: list[bytes] = []
    while count := batch.receive(here):
        counts.append(count)
        seen += payloads(batch, count)
    assert counts == [SLOTS, SLOTS, 5]
    assert seen == [number.to_bytes(2) for number in range(2 * SLOTS + 5)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_peers(batch: Batch, post: Post, host: str) -> None:
    """A peer is the same for each datagram of one sender, another for each other, and can be sent to."""
    here = post.udp(host)
    senders = [post.udp(host) for _ in range(3)]
    for _ in range(2):
        for sender in senders:
            sender.sendto(b"question", here.getsockname())
    assert batch.receive(here) == 6
    peers = [batch.peer(index) for index in range(6)]
    assert peers[:3] == peers[3:]
    assert len(set(peers)) == 3
    for number, peer in enumerate(peers[:3]):
        assert batch.send_many(here, [(peer, b"answer %d" % number)]) == 1
    for number, sender in enumerate(senders):
        assert sender.recvfrom(100) == (b"answer %d" % number, here.getsockname())


@pytest.mark.parametrize(("everywhere", "asked"), [("0.0.0.0", ("127.0.0.2", "127.0.0.3")), ("::", ("::1",))])
def test_an_answer_comes_from_where_it_was_asked_for(
    batch: Batch, post: Post, everywhere: str, asked: tuple[str, ...]
) -> None:
    """Whatever address of ours that was; who is connected with it hears no other."""
    here = post.udp(everywhere)
    ask_for_local_address(here)
    clients = [post.udp(host.replace("127.0.0.2", "127.0.0.1")) for host in asked]
    for host, client in zip(asked, clients, strict=True):
        client.connect((host, here.getsockname()[1]))
        client.send(b"question")
    assert batch.receive(here, local=True) == len(asked)
    peers = [batch.peer(index) for index in range(len(asked))]
    assert all(isinstance(peer, PeerAt) for peer in peers)
    assert batch.send(here, range(1), header=b"no ", peer=peers[0]) == 1
    assert batch.send_many(here, [(peer, b"answer") for peer in peers]) == len(asked)
    assert read_all(clients[0]) == [b"no question", b"answer"]
    assert all(read_all(client) == [b"answer"] for client in clients[1:])


def test_where_one_was_asked_does_not_concern_others(batch: Batch, post: Post) -> None:
    """The next answer goes from where routing has it go; a socket bound to one address is told nothing."""
    here, there, client = post.udp("0.0.0.0"), post.udp("127.0.0.3"), post.udp()
    for sock in (here, there):
        ask_for_local_address(sock)
    assert [tells_local_address(sock) for sock in (here, there)] == [True, False]
    client.sendto(b"question", ("127.0.0.2", here.getsockname()[1]))
    assert batch.receive(here, local=True) == 1
    told = batch.peer(0)
    client.sendto(b"question", there.getsockname())
    assert batch.receive(there) == 1
    peer = batch.peer(0)
    assert not isinstance(peer, PeerAt)
    for _ in range(2):
        assert batch.send(here, range(1), peer=told) == 1
        assert batch.send(there, range(1), peer=peer) == 1
        assert batch.send_many(here, [(told, b"answer")]) == 1
        assert batch.send_many(there, [(peer, b"answer")]) == 1
    sources = [client.recvfrom(100)[1] for _ in range(8)]
    port = here.getsockname()[1]
    assert sources == [("127.0.0.2", port), there.getsockname()] * 4
    assert batch.receive(there, local=True) == 0
    assert batch.hold([b"x"]) == 1
    assert not batch.peer(0)


def test_a_socket_that_tells_nothing_has_plain_peers(batch: Batch, post: Post) -> None:
    """Where the platform does not say which address was meant, routing chooses it as ever."""
    here, client = post.udp(), post.udp()
    client.sendto(b"question", here.getsockname())
    assert batch.receive(here, local=True) == 1
    peer = batch.peer(0)
    assert not isinstance(peer, PeerAt)
    assert batch.send_many(here, [(peer, b"answer")]) == 1
    assert read_all(client) == [b"answer"]


def test_peers_of_two_families(batch: Batch, post: Post) -> None:
    """One batch serves sockets of both families by turns; no peer is mixed up with an older one."""
    for host in ("127.0.0.1", "::1", "127.0.0.1", "::1"):
        here, sender = post.udp(host), post.udp(host)
        sender.sendto(b"question", here.getsockname())
        assert batch.receive(here) == 1
        assert batch.send_many(here, [(batch.peer(0), b"answer")]) == 1
        assert sender.recv(100) == b"answer"


def test_peer_of_a_connected_socket(batch: Batch, post: Post) -> None:
    """Connected sockets have a peer too."""
    here, there = post.pair()
    there.send(b"x")
    there.send(b"y")
    assert batch.receive(here) == 2
    assert batch.peer(0) == batch.peer(1)


def test_a_closed_peer_is_skipped(batch: Batch, post: Post) -> None:
    """The ICMP error of an earlier datagram is no datagram, and ends nothing."""
    here, there = post.pair()
    address = there.getsockname()
    there.close()
    here.send(b"to nobody")
    assert not batch.refused
    assert batch.receive(here) == 0
    assert batch.refused
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        again.sendto(b"I am back", here.getsockname())
        assert batch.receive(here) == 1
        assert payloads(batch, 1) == [b"I am back"]
        assert not batch.refused


def test_a_datagram_and_a_refusal(batch: Batch, post: Post) -> None:
    """One `receive` tells of both."""
    here, there = post.pair()
    there.send(b"farewell")
    there.close()
    here.send(b"to nobody")
    assert batch.receive(here) == 1
    assert payloads(batch, 1) == [b"farewell"]
    assert batch.refused


class Troubled:
    """A socket that raises so many errors before each datagram, and more than a batch of them in the end."""

    def __init__(self, errors: int, datagrams: int) -> None:
        self.script: list[OSError | None] = []
        for _ in range(datagrams):
            self.script += [ConnectionRefusedError()] * errors + [None]
        self.calls = 0

    def recvfrom_into(self, buffer: bytearray) -> tuple[int, tuple[str, int]]:
        self.calls += 1
        if not self.script:
            raise BlockingIOError
        if error := self.script.pop(0):
            raise error
        buffer[:1] = b"x"
        return 1, ("127.0.0.1", 1)


def test_errors_do_not_shorten_a_batch() -> None:
    """Between errors a plain batch is filled up: fewer than SLOTS would mean that the socket is empty."""
    sock: Any = Troubled(errors=0, datagrams=SLOTS + 1)
    sock.script.insert(0, ConnectionRefusedError())
    plain = PlainBatch()
    assert plain.receive(sock) == SLOTS
    assert plain.receive(sock) == 1


def test_errors_without_end() -> None:
    """A socket that has nothing but errors is given up after a while."""
    sock: Any = Troubled(errors=10_000, datagrams=1)
    assert PlainBatch().receive(sock) == 0
    assert sock.calls == SLOTS


def test_a_closed_socket(batch: Batch, post: Post) -> None:
    """A closed socket brings nothing and takes nothing, and nothing is raised."""
    here, there = post.pair()
    there.send(b"x")
    assert batch.receive(here) == 1
    there.close()
    assert batch.send(there, range(1)) == 0
    assert batch.send_many(there, [(batch.peer(0), b"x")]) == 0
    assert batch.receive(there) == 0


# --- holding


def test_holds_what_came_another_way(batch: Batch, post: Post) -> None:
    """It can be sent on as if it had been received, to a peer that was heard before; nobody has sent it."""
    here, client = post.udp(), post.udp()
    client.sendto(b"question", here.getsockname())
    assert batch.receive(here) == 1
    peer = batch.peer(0)
    assert batch.hold([b"header" + data for data in (b"one", b"", b"three")]) == 3
    assert payloads(batch, 3) == [b"headerone", b"header", b"headerthree"]
    assert batch.octets(range(3)) == 26
    assert not any(batch.peer(index) for index in range(3))
    assert batch.send(here, range(1, 3), skip=6, header=b"h", peer=peer) == 2
    assert batch.send(here, range(1), skip=6, peer=peer) == 1
    assert read_all(client) == [b"h", b"hthree", b"one"]
    assert batch.hold([]) == 0


def test_holds_as_much_as_it_receives(batch: Batch, post: Post) -> None:
    """All slots at their longest; what is longer is left out, and what comes next is received."""
    longest = [bytes([number]) * MAX_DATAGRAM for number in range(SLOTS - 1)]
    assert batch.hold([*longest, bytes(MAX_DATAGRAM + 1), b"last"]) == SLOTS
    assert payloads(batch, SLOTS) == [*longest, b"last"]
    here, there = post.pair()
    there.send(b"received")
    assert batch.receive(here) == 1
    assert payloads(batch, 1) == [b"received"]
    assert batch.peer(0)


# --- sending on


@pytest.mark.parametrize("header", [b"", b"0123456789", LONGEST_HEADER])
@pytest.mark.parametrize("skip", [0, 10, 262])
def test_headers(batch: Batch, post: Post, header: bytes, skip: int) -> None:
    """A header is taken from each datagram of a run, and another laid before it."""
    here, there = post.pair()
    out, far = post.pair()
    bodies = [bytes([number]) * number for number in range(20)]
    for body in bodies:
        there.send(b"h" * skip + body)
    assert batch.receive(here) == 20
    assert batch.send(out, range(20), skip=skip, header=header) == 20
    assert read_all(far) == [header + body for body in bodies]


def test_room_for_headers() -> None:
    """The longest header has room before each slot."""
    assert len(LONGEST_HEADER) <= HEADROOM


@pytest.mark.parametrize("run", [range(0), range(1), range(3, 5), range(9, 10), range(10)])
def test_runs(batch: Batch, post: Post, run: range) -> None:
    """A run is sent and no other datagram."""
    here, there = post.pair()
    out, far = post.pair()
    for number in range(10):
        there.send(bytes([number]) * 100)
    batch.receive(here)
    assert batch.send(out, run, header=b"h") == len(run)
    assert read_all(far) == [b"h" + bytes([number]) * 100 for number in run]


def test_one_batch_several_ways(batch: Batch, post: Post) -> None:
    """Runs of one batch go different ways, with headers of their own; the payloads stay as they are."""
    here, there = post.pair()
    first, first_far = post.pair()
    second, second_far = post.udp(), post.udp()
    for number in range(6):
        there.send(b"skip%d" % number)
    batch.receive(here)
    second_far.sendto(b"x", second.getsockname())
    assert batch.send(first, range(3), header=b"A") == 3
    assert batch.send(first, range(3, 6), skip=4, header=b"BBBB") == 3
    assert read_all(first_far) == [b"Askip0", b"Askip1", b"Askip2", b"BBBB3", b"BBBB4", b"BBBB5"]
    other = type(batch)()
    other.receive(second)
    assert batch.send(second, range(4, 6), skip=4, peer=other.peer(0)) == 2
    assert read_all(second_far) == [b"4", b"5"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_to_a_peer_and_then_connected(batch: Batch, post: Post, host: str) -> None:
    """The peer of one run is not that of the next."""
    listening, client = post.udp(host), post.udp(host)
    out, far = post.pair(host)
    client.sendto(b"question", listening.getsockname())
    assert batch.receive(listening) == 1
    assert batch.send(listening, range(1), peer=batch.peer(0)) == 1
    assert batch.send(out, range(1), header=b"h") == 1
    assert read_all(client) == [b"question"]
    assert read_all(far) == [b"hquestion"]


def test_largest_with_header(batch: Batch, post: Post) -> None:
    """What fits with its header passes; what does not costs only itself, and is counted."""
    here, there = post.pair()
    out, far = post.pair()
    header = b"0123456789"
    for size in (1, LARGEST - 10, LARGEST - 9, LARGEST, 2):
        there.send(b"x" * size)
    assert batch.receive(here) == 5
    assert batch.send(out, range(5), header=header) == 3
    assert [len(data) for data in read_all(far)] == [11, LARGEST, 12]


def test_a_full_way(batch: Batch, post: Post) -> None:
    """Where there is no room the rest of a run is dropped and counted: nothing waits, nothing spins."""
    here, there = post.pair()
    out, far = post.unix_pair()
    for number in range(SLOTS):
        there.send(bytes([number]))
    assert batch.receive(here) == SLOTS
    taken = batch.send(out, range(SLOTS))
    assert 0 < taken < SLOTS
    assert batch.send(out, range(SLOTS)) == 0
    assert read_all(far) == [bytes([number]) for number in range(taken)]
    assert batch.send(out, range(SLOTS)) == taken


def test_an_older_error_costs_nothing(batch: Batch, post: Post) -> None:
    """The ICMP error of an earlier datagram does not keep the next ones from being sent."""
    here, there = post.pair()
    out, far = post.pair()
    for number in range(5):
        there.send(bytes([number]))
    assert batch.receive(here) == 5
    address = far.getsockname()
    far.close()
    assert batch.send(out, range(1)) == 1  # to nobody; the error is told by the next call
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        again.setblocking(False)
        assert batch.send(out, range(5)) == 5
        assert read_all(again) == [bytes([number]) for number in range(5)]


def test_to_nobody(batch: Batch, post: Post) -> None:
    """Datagrams to a closed port count as taken or dropped, and each is tried: the port may open again."""
    here, there = post.pair()
    out, far = post.pair()
    for number in range(20):
        there.send(bytes([number]))
    batch.receive(here)
    far.close()
    for _ in range(10):
        assert 0 <= batch.send(out, range(20)) <= 20


# --- sending many


def test_send_many(batch: Batch, post: Post) -> None:
    """More messages than slots, of all sizes, each to its own peer."""
    here = post.udp()
    clients = [post.udp() for _ in range(3)]
    for client in clients:
        client.sendto(b"question", here.getsockname())
    assert batch.receive(here) == 3
    peers = [batch.peer(index) for index in range(3)]
    messages = [(peers[number % 3], bytes([number % 256]) * (7 * number)) for number in range(3 * SLOTS + 1)]
    assert batch.send_many(here, messages) == len(messages)
    for which, client in enumerate(clients):
        assert read_all(client) == [data for peer, data in messages if peer == peers[which]]
    assert batch.send_many(here, []) == 0


def test_one_of_many_is_too_long(batch: Batch, post: Post) -> None:
    """A message that no datagram can hold costs only itself."""
    here, client = post.udp(), post.udp()
    client.sendto(b"question", here.getsockname())
    batch.receive(here)
    peer = batch.peer(0)
    messages = [(peer, b"a"), (peer, bytes(LARGEST + 1)), (peer, b"b"), (peer, bytes(65_535)), (peer, b"c")]
    assert batch.send_many(here, messages) == 3
    assert read_all(client) == [b"a", b"b", b"c"]


def test_no_route_for_one_of_many(batch: Batch, post: Post) -> None:
    """A peer that cannot be sent to costs only its own message."""
    here, client = post.udp(), post.udp()
    client.sendto(b"question", here.getsockname())
    batch.receive(here)
    peer = batch.peer(0)
    nowhere: Any = ("127.0.0.1", 0) if isinstance(peer, tuple) else peer[:2] + bytes(2) + peer[4:]
    assert batch.send_many(here, [(peer, b"a"), (nowhere, b"lost"), (peer, b"b")]) == 2
    assert read_all(client) == [b"a", b"b"]


# --- at random

SIZES = st.one_of(st.integers(0, 1_500), st.sampled_from([0, 1, 262, 9_000, 60_000]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=20), header=st.binary(max_size=262), skip=st.integers(0, 300)
)
def test_any_run(batch: Batch, post: Post, sizes: list[int], header: bytes, skip: int) -> None:
    """Whatever the sizes, the header and what is skipped: what was received is what is sent on."""
    here, there = post.pair()
    out, far = post.pair()
    dice = random.Random(len(sizes))
    sent = [dice.randbytes(size) for size in sizes if size >= skip]
    for data in sent:
        there.send(data)
    assert batch.receive(here) == len(sent)
    assert batch.send(out, range(len(sent)), skip=skip, header=header) == len(sent)
    assert read_all(far) == [header + data[skip:] for data in sent]


# --- one at a time


class Failing:
    """A socket whose sends fail as it is told, and then succeed."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.calls = 0

    def send(self, _data: bytes) -> None:
        self.calls += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "as told")

    def sendto(self, data: bytes, _peer: object) -> None:
        self.send(data)


@pytest.mark.parametrize("peer", [None, ("127.0.0.1", 1)])
@pytest.mark.parametrize(
    ("errors", "sent", "calls"),
    [
        ((), True, 1),
        ((errno.ECONNREFUSED,), True, 2),
        ((errno.EMSGSIZE, errno.EMSGSIZE), False, 2),
        ((errno.EAGAIN,), False, 1),
        ((errno.ENOBUFS, errno.ENOBUFS), False, 2),
    ],
)
def test_send_one(peer: Any, errors: tuple[int, ...], sent: bool, calls: int) -> None:  # noqa: FBT001
    """One datagram: an older error is passed over once, a full socket drops it at once."""
    sock: Any = Failing(*errors)
    assert send_one(sock, b"data", peer) is sent
    assert sock.calls == calls


def test_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux has recvmmsg; elsewhere the plain engine serves."""
    assert isinstance(best_batch(), MmsgBatch)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(best_batch(), PlainBatch)
