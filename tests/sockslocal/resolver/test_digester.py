import asyncio

import pytest

from fakes.dns_tunnel import query, response
from sockslocal.resolver import digest, digester
from sockslocal.resolver.digest import MAX_RECORDS
from sockslocal.resolver.digester import LARGE, Digester
from sockslocal.resolver.errors import OverloadedError, UnusableError

SMALL = response(query(), "www.example A 192.0.2.1")
BIG = SMALL[:6] + MAX_RECORDS.to_bytes(2, "big") + bytes(4) + SMALL[12:29] + SMALL[29:45] * MAX_RECORDS


async def test_messages_of_all_sizes_are_digested() -> None:
    """With what is said of their way."""
    assert len(SMALL) <= LARGE < len(BIG)
    digests = Digester()
    small = await digests.digest(SMALL, upstream="u", path="udp")
    assert (small.counts, small.upstream, small.path) == ((1, 0, 0), "u", "udp")
    assert (await digests.digest(BIG, upstream="u", path="tcp")).counts == (MAX_RECORDS, 0, 0)


async def test_errors_come_back_from_both() -> None:
    """A malformed message is that, whatever its size."""
    digests = Digester()
    for message in (SMALL[:-1], BIG[:-1]):
        with pytest.raises(UnusableError):
            await digests.digest(message, upstream="u", path="udp")


async def test_large_messages_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them are nobody's fault but ours, and fail at once."""
    monkeypatch.setattr(digester, "MAX_LARGE", 3)

    digests = Digester()
    tasks = [asyncio.ensure_future(digests.digest(BIG, upstream="u", path="tcp")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await digests.digest(BIG, upstream="u", path="tcp")
    await asyncio.gather(*tasks)
    await digests.digest(BIG, upstream="u", path="tcp")


async def test_others_have_a_turn_while_a_large_message_is_digested(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a few records of work at a time."""
    monkeypatch.setattr(digester, "SLICE_S", 1e-9)

    task = asyncio.ensure_future(Digester().digest(BIG, upstream="u", path="tcp"))
    iterations = 0
    while not task.done():
        iterations += 1
        await asyncio.sleep(0)
    assert iterations >= 4 * MAX_RECORDS / digest.SLICE


async def test_others_have_a_turn_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of however many messages at once, each iteration of the loop digests one slice."""
    monkeypatch.setattr(digester, "SLICE_S", 1e-9)

    digests = Digester()
    tasks = [asyncio.ensure_future(digests.digest(SMALL, upstream="u", path="udp")) for _ in range(10)]
    for finished in range(10):
        assert sum(task.done() for task in tasks) <= finished
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)


async def test_who_gives_up_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that nobody takes goes to the next."""
    monkeypatch.setattr(digester, "SLICE_S", 1e-9)

    digests = Digester()
    tasks = [asyncio.ensure_future(digests.digest(SMALL, upstream="u", path="udp")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[1:9:2]:
        task.cancel()
    await asyncio.sleep(0)
    for task in tasks[2:9:2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert not isinstance(answers[0], BaseException)
    assert not isinstance(answers[9], BaseException)
