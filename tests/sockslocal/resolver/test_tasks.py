import asyncio

import pytest

from sockslocal.resolver.errors import LostError
from sockslocal.resolver.tasks import cancelled, hedged, joined


class Attempt:
    """Something that succeeds or fails when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.was_cancelled = False

    async def run(self) -> str:
        self.begun.set()
        try:
            return await self.outcome
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


async def wait_for(task: "asyncio.Task[str]") -> Exception:
    """The failure that somebody who waits for `task` gets."""
    with pytest.raises(LostError) as caught:
        await joined(task)
    return caught.value


async def test_all_who_wait_get_what_comes() -> None:
    """Also who comes when it is there already."""
    attempt = Attempt()
    task = asyncio.create_task(attempt.run())
    waiting = [asyncio.create_task(joined(task)) for _ in range(3)]
    await attempt.begun.wait()
    attempt.outcome.set_result("it")
    assert await asyncio.gather(*waiting, joined(task)) == ["it"] * 4


async def test_each_who_waits_raises_an_exception_of_its_own() -> None:
    """Else each would write its traceback into the one of all, and it would grow for ever."""
    attempt = Attempt()
    task = asyncio.create_task(attempt.run())
    waiting = [asyncio.create_task(wait_for(task)) for _ in range(3)]
    await attempt.begun.wait()
    attempt.outcome.set_exception(LostError("it"))
    errors = await asyncio.gather(*waiting, wait_for(task))
    original = task.exception()
    assert len({id(error) for error in (*errors, original)}) == 5
    assert [(str(error), error.__cause__) for error in errors] == [("it", original)] * 4


async def test_who_leaves_does_not_end_what_others_wait_for() -> None:
    """Nor does it go on for who waits when it was ended itself."""
    attempt = Attempt()
    task = asyncio.create_task(attempt.run())
    leaving, staying = (asyncio.create_task(joined(task)) for _ in range(2))
    await attempt.begun.wait()
    await cancelled([leaving])
    assert leaving.cancelled()
    assert not attempt.was_cancelled
    await cancelled([task])
    with pytest.raises(asyncio.CancelledError):
        await staying


async def test_the_first_is_enough_where_it_is_quick() -> None:
    """The second does not even begin."""
    first, second = Attempt(), Attempt()
    first.outcome.set_result("first")
    assert await hedged(first.run(), second.run, 60) == ("first", False)
    assert not second.begun.is_set()


@pytest.mark.parametrize("winner", [0, 1])
async def test_the_second_begins_when_the_first_is_slow_and_the_slower_is_cancelled(winner: int) -> None:
    """Whichever that is."""
    attempts = first, second = Attempt(), Attempt()
    task = asyncio.create_task(hedged(first.run(), second.run, 0.001))
    await second.begun.wait()
    attempts[winner].outcome.set_result("won")
    assert await task == ("won", winner == 1)
    assert attempts[1 - winner].was_cancelled


async def test_the_second_begins_at_once_when_the_first_fails() -> None:
    """Without waiting for the delay."""
    first, second = Attempt(), Attempt()
    first.outcome.set_exception(LostError("first"))
    second.outcome.set_result("second")
    assert await hedged(first.run(), second.run, 60) == ("second", True)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_the_later_failure_is_raised_where_both_fail(order: tuple[int, int]) -> None:
    """One failure ends nothing while the other may still succeed."""
    attempts = first, second = Attempt(), Attempt()
    task = asyncio.create_task(hedged(first.run(), second.run, 0.001))
    await second.begun.wait()
    attempts[order[0]].outcome.set_exception(LostError("earlier"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    attempts[order[1]].outcome.set_exception(LostError("later"))
    with pytest.raises(LostError, match="later"):
        await task


async def test_a_bug_is_not_taken_for_a_failure() -> None:
    """It is raised at once, whatever the other would say."""
    first, second = Attempt(), Attempt()
    first.outcome.set_exception(KeyError("bug"))
    with pytest.raises(KeyError):
        await hedged(first.run(), second.run, 60)


async def test_cancelling_cancels_both() -> None:
    """Nothing goes on for nobody."""
    first, second = Attempt(), Attempt()
    task = asyncio.create_task(hedged(first.run(), second.run, 0.001))
    await second.begun.wait()
    await cancelled([task])
    assert first.was_cancelled
    assert second.was_cancelled
