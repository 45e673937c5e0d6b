import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sockslocal.resolver.places import Places


class Guests:
    """Tasks that each want a place, and keep it until they are told to leave."""

    def __init__(self, places: Places) -> None:
        self.inside: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._places = places
        self._leave: list[asyncio.Event] = []

    async def come(self, count: int) -> None:
        """So many more, one after the other."""
        for number in range(len(self.tasks), len(self.tasks) + count):
            self._leave.append(asyncio.Event())
            self.tasks.append(asyncio.create_task(self._stay(number)))
        await settled()

    async def leave(self, number: int) -> None:
        self._leave[number].set()
        await settled()

    async def _stay(self, number: int) -> None:
        async with self._places:
            self.inside.append(number)
            try:
                await self._leave[number].wait()
            finally:
                self.inside.remove(number)


async def settled() -> None:
    """All that can happen has."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def guests(most: int) -> AsyncIterator[tuple[Places, Guests]]:
    """None yet, for so many places."""
    places = Places(most)
    some = Guests(places)
    yield places, some
    for task in some.tasks:
        task.cancel()
    await asyncio.gather(*some.tasks, return_exceptions=True)
    assert not places._taken
    assert not places._waiting


async def test_the_first_who_waits_is_the_first_to_enter() -> None:
    """As soon as somebody leaves."""
    async with guests(2) as (_, some):
        await some.come(4)
        assert some.inside == [0, 1]
        await some.leave(1)
        assert some.inside == [0, 2]


async def test_there_may_be_more_places_later() -> None:
    """They are given to those that wait."""
    async with guests(0) as (places, some):
        await some.come(4)
        assert some.inside == []
        places.allow(3)
        await settled()
        assert some.inside == [0, 1, 2]


async def test_there_may_be_fewer_places_later() -> None:
    """Who is inside stays; nobody enters until there are fewer of them."""
    async with guests(3) as (places, some):
        await some.come(4)
        places.allow(1)
        await some.leave(0)
        await some.leave(1)
        assert some.inside == [2]
        await some.leave(2)
        assert some.inside == [3]


async def test_who_waits_no_more_is_passed_over() -> None:
    """Also where the place was given in the same moment: it goes to the next."""
    async with guests(1) as (_, some):
        await some.come(4)
        some.tasks[1].cancel()
        await settled()
        some._leave[0].set()
        await asyncio.sleep(0)
        some.tasks[2].cancel()
        await settled()
        assert some.inside == [3]
