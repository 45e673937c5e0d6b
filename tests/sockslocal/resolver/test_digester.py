import asyncio
import threading
from typing import Any

import pytest

from fakes.dns_tunnel import query, response
from sockslocal.resolver import digester
from sockslocal.resolver.digest import digest
from sockslocal.resolver.digester import LARGE, Digester
from sockslocal.resolver.errors import OverloadedError, UnusableError

SMALL = response(query(), "www.example A 192.0.2.1")
BIG = response(query(rdtype="TXT"), *(f'www.example TXT "{number:0250}"' for number in range(20)))


def test_small_messages_are_digested_here_and_large_ones_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relays must not wait for the large ones."""
    threads: list[str] = []

    def watched(message: bytes, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        return digest(message, **options)

    monkeypatch.setattr(digester, "digest", watched)

    async def main() -> None:
        assert len(SMALL) <= LARGE < len(BIG)
        digests = Digester()
        assert (await digests.digest(SMALL, upstream="u", path="udp")).counts == (1, 0, 0)
        assert (await digests.digest(BIG, upstream="u", path="tcp")).counts == (20, 0, 0)
        digests.close()

    asyncio.run(main())
    assert threads[0] == "MainThread"
    assert threads[1].startswith("dns")


def test_errors_come_back_from_both() -> None:
    """A malformed message is that, whatever its size."""

    async def main() -> None:
        digests = Digester()
        for message in (SMALL[:-1], BIG[:-1]):
            with pytest.raises(UnusableError):
                await digests.digest(message, upstream="u", path="udp")
        digests.close()

    asyncio.run(main())


def test_large_messages_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them are nobody's fault but ours, and fail at once."""
    monkeypatch.setattr(digester, "MAX_LARGE", 3)
    blocked = threading.Event()
    monkeypatch.setattr(digester, "digest", lambda *_, **__: blocked.wait(10))

    async def main() -> None:
        digests = Digester()
        tasks = [asyncio.ensure_future(digests.digest(BIG, upstream="u", path="tcp")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await digests.digest(BIG, upstream="u", path="tcp")
        blocked.set()
        await asyncio.gather(*tasks)
        digests.close()

    asyncio.run(main())


def test_others_have_a_turn_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages there are at once, each iteration of the loop digests one slice of them."""
    monkeypatch.setattr(digester, "SLICE_S", 1e-9)
    iteration = 0
    during: list[int] = []
    monkeypatch.setattr(digester, "digest", lambda *_, **__: during.append(iteration))

    async def main() -> None:
        nonlocal iteration
        digests = Digester()
        tasks = [asyncio.ensure_future(digests.digest(SMALL, upstream="u", path="udp")) for _ in range(10)]
        while not all(task.done() for task in tasks):
            iteration += 1
            await asyncio.sleep(0)
        digests.close()

    asyncio.run(main())
    assert len(during) == len(set(during)) == 10


def test_who_gives_up_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that nobody takes goes to the next."""
    monkeypatch.setattr(digester, "SLICE_S", 1e-9)

    async def main() -> None:
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
        digests.close()

    asyncio.run(main())
