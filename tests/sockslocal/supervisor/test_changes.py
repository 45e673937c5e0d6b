import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from fakes import loops
from fakes.control import status
from fakes.engine import turns
from sockslocal.status import Daemon, Status, Tunnel, Udp
from sockslocal.supervisor import changes as module
from sockslocal.supervisor.changes import Changes


class Picture:
    """What is shown, changed by the test."""

    def __init__(self) -> None:
        self.status = status()
        self.looks = 0

    def __call__(self) -> Status:
        self.looks += 1
        return self.status

    def change(self, **parts: Any) -> None:
        """Show something else."""
        self.status = msgspec.structs.replace(self.status, **parts)


@pytest.fixture(autouse=True)
def _only_when_poked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters are looked for so seldom that no test sees it, unless it says otherwise."""
    monkeypatch.setattr(module, "COUNTERS_S", 3600.0)


def run(test: Callable[[Changes, Picture], Awaitable[None]]) -> None:
    """Run `test` with changes of a picture."""

    async def main() -> None:
        picture = Picture()
        async with asyncio.timeout(20):
            await test(Changes(picture), picture)

    loops.run(main())


def test_the_present_state_comes_at_once() -> None:
    """To whoever has seen none, as often as asked."""

    async def test(changes: Changes, picture: Picture) -> None:
        seq, state = await changes.after(-1)
        assert seq > 0
        assert state is picture.status
        assert await changes.after(-1) == (seq, state)
        assert await changes.after(seq - 1) == (seq, state)

    run(test)


def test_a_change_ends_the_wait_of_all() -> None:
    """With the next number, the same for everybody."""

    async def test(changes: Changes, picture: Picture) -> None:
        seq, _ = await changes.after(-1)
        waits = [asyncio.create_task(changes.after(seq)) for _ in range(3)]
        await turns()
        assert not any(wait.done() for wait in waits)
        picture.change(tunnel=Tunnel(on=False))
        changes.poke()
        assert await asyncio.gather(*waits) == [(seq + 1, picture.status)] * 3

    run(test)


def test_what_shows_nothing_new_is_no_change() -> None:
    """A poke without a difference, and what always differs: uptime and memory."""

    async def test(changes: Changes, picture: Picture) -> None:
        seq, _ = await changes.after(-1)
        wait = asyncio.create_task(changes.after(seq))
        await turns()
        picture.change(daemon=Daemon(pid=4711, version="0.1.0", uptime_s=99.0, rss_bytes=1))
        changes.poke()
        await turns()
        assert not wait.done()
        picture.change(udp=Udp(associations=1))
        changes.poke()
        assert (await wait)[0] == seq + 1

    run(test)


def test_a_change_that_nobody_waited_for_is_told_to_the_next() -> None:
    """Several of them count as one: only the present state is told."""

    async def test(changes: Changes, picture: Picture) -> None:
        seq, _ = await changes.after(-1)
        for number in range(3):
            picture.change(udp=Udp(flows=number + 1))
            changes.poke()
        assert await changes.after(seq) == (seq + 1, picture.status)

    run(test)


def test_counters_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """They tell nobody when they change."""
    monkeypatch.setattr(module, "COUNTERS_S", 0.01)

    async def test(changes: Changes, picture: Picture) -> None:
        seq, _ = await changes.after(-1)
        wait = asyncio.create_task(changes.after(seq))
        while picture.looks < 4:  # noqa: ASYNC110  a plain count
            await asyncio.sleep(0.001)
        assert not wait.done()
        picture.change(udp=Udp(flows=1))
        assert (await wait)[0] == seq + 1

    run(test)


def test_a_wait_may_be_cancelled() -> None:
    """The others wait on, and nothing is missed."""

    async def test(changes: Changes, picture: Picture) -> None:
        seq, _ = await changes.after(-1)
        cancelled, wait = (asyncio.create_task(changes.after(seq)) for _ in range(2))
        await turns()
        cancelled.cancel()
        await asyncio.wait({cancelled})
        picture.change(udp=Udp(flows=1))
        changes.poke()
        assert (await wait)[0] == seq + 1
        assert cancelled.cancelled()

    run(test)
