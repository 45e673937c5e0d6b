"""What flows and connections share; the tests of `ask_udp` and `ask_tcp` have the rest."""

import asyncio
import secrets

import pytest

from fakes.dns_tunnel import until
from sockslocal.resolver import channel
from sockslocal.resolver.channel import MessageChannel
from sockslocal.resolver.errors import LostError

QUESTION = b"\3www\7example\0\0\1\0\1"


class Wire(MessageChannel):
    """A channel to nowhere: the test writes the answers, which are an id and a question."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.told_mismatches = 0
        self.closed = 0

    def asking(self, question: bytes = QUESTION) -> asyncio.Task[bytes]:
        """Someone who waits for the answer."""
        return asyncio.create_task(self.exchange(question, self.sent.append))

    def _answers(self, message: bytes, question: bytes) -> bool:
        return message[2:] == question

    def _mismatched(self) -> None:
        self.told_mismatches += 1

    def _close(self) -> None:
        self.closed += 1


def message(number: int, question: bytes = QUESTION) -> bytes:
    """The answer to `question`."""
    return number.to_bytes(2, "big") + question


async def test_ids_are_unpredictable(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 16 bits come from the system's generator for secrets, anew for each query (RFC 5452 §9.2)."""
    drawn = [7, 40_000, 65_535, 0]
    asked_bits: list[int] = []

    def randbits(bits: int) -> int:
        asked_bits.append(bits)
        return drawn[len(asked_bits) - 1]

    monkeypatch.setattr(secrets, "randbits", randbits)
    wire = Wire()
    for count, number in enumerate(drawn, start=1):
        task = wire.asking()
        await until(lambda: len(wire.sent) == count)  # noqa: B023 (at once)
        wire.received(message(number))
        assert await task == message(number)
    assert wire.sent == drawn
    assert asked_bits == [16] * 4


async def test_ids_are_unique_among_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is taken is drawn again, and is free when its query has been answered."""
    drawn = iter([5, 5, 5, 6, 5])
    monkeypatch.setattr(secrets, "randbits", lambda _: next(drawn))

    wire = Wire()
    first, second = wire.asking(), wire.asking(QUESTION.upper())
    await until(lambda: len(wire.sent) == 2)
    assert wire.sent == [5, 6]
    wire.received(message(6, QUESTION.upper()))
    wire.received(message(5))
    assert (await first, await second) == (message(5), message(6, QUESTION.upper()))
    third = wire.asking()
    await until(lambda: len(wire.sent) == 3)
    assert wire.sent[2] == 5
    wire.received(message(5))
    await third


async def test_a_mismatch_is_counted_and_ends_nobodys_wait() -> None:
    """The right id with another question, and an id nobody waits under."""
    wire = Wire()
    task = wire.asking()
    await until(lambda: bool(wire.sent))
    (number,) = wire.sent
    for forged in (message(number, b"other"), message(number ^ 1), b"", b"\1"):
        before = wire.mismatches
        wire.received(forged)
        assert wire.mismatches == wire.told_mismatches == before + 1
    assert not task.done()
    wire.received(message(number))
    assert await task == message(number)


async def test_a_late_or_repeated_answer_is_no_mismatch() -> None:
    """Its query was answered or given up a short while ago, or is just about to go on."""
    wire = Wire()
    answered, impatient = wire.asking(), wire.asking()
    await until(lambda: len(wire.sent) == 2)
    wire.received(message(wire.sent[0]))
    wire.received(message(wire.sent[0]))
    await answered
    impatient.cancel()
    await asyncio.wait({impatient})
    for number in wire.sent:
        wire.received(message(number))
    assert wire.mismatches == 0


@pytest.mark.parametrize("fair_s", [0.0, 3600.0])
async def test_a_silent_channel_is_given_up(monkeypatch: pytest.MonkeyPatch, fair_s: float) -> None:
    """By a query that waited in vain, if the channel had its fair time; all who wait learn it."""
    monkeypatch.setattr(channel, "FAIR_S", fair_s)

    wire = Wire()
    impatient, patient = wire.asking(), wire.asking()
    await until(lambda: len(wire.sent) == 2)
    impatient.cancel()
    await asyncio.wait({impatient})
    assert impatient.cancelled()
    assert (wire.ended is not None, wire.closed) == ((True, 1) if fair_s == 0 else (False, 0))
    wire.end(LostError("closed"))
    with pytest.raises(LostError, match="nothing comes back" if fair_s == 0 else "closed"):
        await patient


async def test_a_channel_that_brought_something_since_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it was the question that nobody answers."""
    monkeypatch.setattr(channel, "FAIR_S", 0.0)

    wire = Wire()
    impatient = wire.asking()
    await until(lambda: bool(wire.sent))
    started = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > started)
    other = wire.asking()
    await until(lambda: len(wire.sent) == 2)
    wire.received(message(wire.sent[1]))
    await other
    impatient.cancel()
    await asyncio.wait({impatient})
    assert wire.ended is None


async def test_each_who_waits_gets_an_error_of_his_own() -> None:
    """One instance in many tasks would carry the traceback and the context of whoever raised it last."""
    wire = Wire()
    tasks = [wire.asking() for _ in range(3)]
    await until(lambda: len(wire.sent) == 3)
    reason = LostError("connection closed")
    wire.end(reason)
    wire.end(LostError("again"))
    errors = [reason, *await asyncio.gather(*tasks, wire.asking(), wire.asking(), return_exceptions=True)]
    assert [(type(error), str(error)) for error in errors] == [(LostError, "connection closed")] * 6
    assert len({id(error) for error in errors}) == 6
    assert reason.__traceback__ is None
    assert (len(wire.sent), wire.closed) == (3, 1)
