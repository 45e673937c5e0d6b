import errno
import socket
from collections.abc import Callable
from itertools import takewhile

import pytest

from fakes.engine import POLLERS, turns, until
from fakes.sockets import closing, udp_pair
from sockslocal.address import Endpoint
from sockslocal.net import datagram_reader
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import SLOTS, Batch, PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.poller import OUT, READABLE, Poller

every_poller = pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
every_batch = pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"])

MakePoller = Callable[[], Poller]
MakeBatch = Callable[[], Batch]


class Mailbox:
    """A reader, and what it has told."""

    def __init__(self, engine: Engine, sock: socket.socket, log: list[str] | None = None) -> None:
        self.name = ""
        self.log = [] if log is None else log
        """An entry for each batch, the mailbox's name, and for each refusal."""
        self.payloads: list[bytes] = []
        self.refusals = 0
        self.enough = False
        self.then: Callable[[], object] = lambda: None
        """Done with each batch."""
        self.reader = DatagramReader(engine, sock, self._received, self._refused)

    def _received(self, batch: Batch, count: int) -> bool:
        self.log.append(self.name)
        self.payloads += [bytes(batch.payload(index)) for index in range(count)]
        self.then()
        return self.enough

    def _refused(self) -> None:
        self.log.append("refused")


def flood(sock: socket.socket, count: int) -> list[bytes]:
    """Send so many datagrams; gives what they hold."""
    sent = [number.to_bytes(2, "big") for number in range(count)]
    for payload in sent:
        sock.send(payload)
    return sent


@every_poller
@every_batch
async def test_all_that_comes_is_handed_over(engine: Engine) -> None:
    """In its order, whether it waited or comes later, many at once or one by one; the empty one too."""
    here, there = udp_pair()
    with closing(here, there):
        expected = flood(there, 3 * SLOTS + 1)
        box = Mailbox(engine, here)
        await until(lambda: len(box.payloads) == len(expected), "what waited")
        for payload in (b"one", b"", b"another"):
            there.send(payload)
            expected.append(payload)
            await until(lambda: len(box.payloads) == len(expected), "one more")
        assert box.payloads == expected
        box.reader.close()


@every_poller
@every_batch
async def test_a_batch_is_no_more_than_its_share(engine: Engine) -> None:
    """From the next one on, and nothing is left behind: not even when it ends with a share that is full."""
    here, there = udp_pair()
    with closing(here, there):
        expected = flood(there, 40)
        box = Mailbox(engine, here)
        box.reader.share = 8
        await until(lambda: box.payloads == expected, "all of them")
        assert len(box.log) == 5
        box.reader.close()


@every_poller
@every_batch
@pytest.mark.parametrize("enough", [False, True])
async def test_a_flood_lets_the_others_have_their_turn(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, enough: bool
) -> None:
    """After a few batches, or after one that was enough; none is forgotten."""
    monkeypatch.setattr(datagram_reader, "ROUNDS", 2)

    here, there = udp_pair()
    quiet, speaker = udp_pair()
    with closing(here, there, quiet, speaker):
        log: list[str] = []
        sent = flood(there, 3 * SLOTS)
        speaker.send(b"may I?")
        flooded, other = Mailbox(engine, here, log), Mailbox(engine, quiet, log)
        flooded.name, other.name = "flooded", "other"
        flooded.enough = enough
        await until(lambda: len(flooded.payloads) == len(sent), "all")
        assert flooded.payloads == sent
        first = list(takewhile(lambda name: name == "flooded", log))
        assert len(first) <= (1 if enough else 2)
        assert log.count("flooded") == 3
        assert other.payloads == [b"may I?"]
        flooded.reader.close()
        other.reader.close()


@every_batch
async def test_one_turn_is_one_share(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the poller tells meanwhile that there is more."""
    monkeypatch.setattr(datagram_reader, "ROUNDS", 1)

    here, there = udp_pair()
    with closing(here, there):
        box = Mailbox(engine, here)
        sent = flood(there, 2 * SLOTS)
        box.reader._ready(READABLE)
        box.reader._ready(READABLE)
        assert box.payloads == sent[:SLOTS]
        await until(lambda: len(box.payloads) == len(sent), "the rest")
        box.reader.close()


class CountingBatch(PlainBatch):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def receive(self, sock: socket.socket, most: int = SLOTS, *, local: bool = False) -> int:
        self.asked += 1
        return super().receive(sock, most, local=local)


@every_poller
@pytest.mark.parametrize("batch", [CountingBatch])
async def test_an_empty_socket_is_left_alone(engine: Engine) -> None:
    """That it can be written to is no news, and a batch with room left says that there is no more."""
    assert isinstance(engine.batch, CountingBatch)
    here, there = udp_pair()
    with closing(here, there):
        box = Mailbox(engine, here)
        box.reader._ready(OUT)
        await turns()
        assert engine.batch.asked == 0
        there.send(b"x")
        await until(lambda: box.payloads, "x")
        await turns()
        assert engine.batch.asked == 1
        box.reader.close()


@every_poller
@every_batch
async def test_closed_by_who_receives(engine: Engine) -> None:
    """What still waits is not handed over."""
    here, there = udp_pair()
    with closing(here, there):
        flood(there, 2 * SLOTS)
        box = Mailbox(engine, here)
        box.then = box.reader.close
        await until(lambda: box.payloads, "a batch")
        await turns()
        assert len(box.payloads) == SLOTS
        assert box.reader.closed
        assert here.fileno() == -1
        box.reader.close()


@every_batch
async def test_closed_between_two_turns(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other turn does not come."""
    monkeypatch.setattr(datagram_reader, "ROUNDS", 1)

    here, there = udp_pair()
    with closing(here, there):
        box = Mailbox(engine, here)
        flood(there, 2 * SLOTS)
        box.reader._ready(READABLE)
        box.reader.close()
        await turns()
        assert len(box.payloads) == SLOTS


@every_poller
@every_batch
async def test_nobody_listens_at_the_other_end(engine: Engine) -> None:
    """Who wants to know is told, after what had come; the reading goes on."""
    here, there = udp_pair()
    with closing(here, there):
        address = there.getsockname()
        there.send(b"farewell")
        there.close()
        here.send(b"to nobody")
        box = Mailbox(engine, here)
        box.name = "batch"
        await until(lambda: "refused" in box.log, "refused")
        assert box.log == ["batch", "refused"]
        here.send(b"to nobody")
        await until(lambda: box.log.count("refused") == 2, "refused again")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(address)
            again.sendto(b"I am back", here.getsockname())
            await until(lambda: len(box.payloads) == 2, "a datagram")
        assert box.payloads == [b"farewell", b"I am back"]
        assert box.log.count("refused") == 2
        box.reader.close()


@every_poller
@every_batch
async def test_who_has_closed_it_is_not_told(engine: Engine) -> None:
    """Nothing is called after `close`."""
    here, there = udp_pair()
    with closing(here, there):
        there.send(b"farewell")
        there.close()
        here.send(b"to nobody")
        box = Mailbox(engine, here)
        box.then = box.reader.close
        await until(lambda: box.payloads, "farewell")
        await turns()
        assert "refused" not in box.log


@every_poller
@every_batch
async def test_who_does_not_ask_is_not_told(engine: Engine) -> None:
    """And reads on."""
    here, there = udp_pair()
    with closing(here, there):
        there.send(b"farewell")
        there.close()
        here.send(b"to nobody")
        counts: list[int] = []
        reader = DatagramReader(engine, here, lambda _, count: counts.append(count))
        await until(lambda: counts, "farewell")
        await turns()
        assert counts == [1]
        assert not reader.closed
        reader.close()


async def test_those_that_hear_everybody_are_known(engine: Engine) -> None:
    """Until they are closed; who wants to know of refusals hears one alone."""
    here, there = udp_pair()
    with closing(here, there):
        place, other = (Endpoint(*sock.getsockname()) for sock in (here, there))
        reader = DatagramReader(engine, here, lambda _batch, _count: None)
        box = Mailbox(engine, there)
        assert engine.ears.hears(place, "")
        assert not engine.ears.hears(other, "")
        box.reader.close()
        reader.close()
        assert not engine.ears.hears(place, "")


@every_poller
@every_batch
async def test_a_bug_of_the_receiver(engine: Engine, errors: list[str]) -> None:
    """It is logged, and what comes next is handed over."""
    here, there = udp_pair()
    with closing(here, there):
        box = Mailbox(engine, here)
        box.then = lambda: 1 / 0
        there.send(b"1")
        await until(lambda: box.payloads == [b"1"], "1")
        box.then = lambda: None
        there.send(b"2")
        await until(lambda: box.payloads == [b"1", b"2"], "2")
        box.reader.close()
    error = errors.pop()
    assert "! datagrams could not be handled" in error
    assert "ZeroDivisionError" in error


async def test_what_cannot_be_watched(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed, and the error is raised."""

    def full(_sock: socket.socket) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    here, there = udp_pair()
    with closing(here, there):
        monkeypatch.setattr(engine.poller, "_watch", full)
        with pytest.raises(OSError, match="No space left"):
            Mailbox(engine, here)
        assert here.fileno() == -1
