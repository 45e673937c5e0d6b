"""Tasks that are never left to themselves."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from sockslocal.resolver.errors import FAILURES, copied

Result = TypeVar("Result")


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End `tasks` and wait until they are."""
    ending = list(tasks)
    if ending:
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


async def joined(task: asyncio.Task[Result]) -> Result:
    """What comes of `task`, for which others wait too: it goes on when one of them is cancelled.

    Each who waits raises a failure of its own.
    """
    await asyncio.wait((task,))
    error = None if task.cancelled() else task.exception()
    if error is not None:
        raise copied(error) from error
    return task.result()


async def hedged(
    first: Coroutine[Any, Any, Result], second: Callable[[], Coroutine[Any, Any, Result]], delay: float
) -> tuple[Result, bool]:
    """The earlier success, and whether it is the second's.

    The second begins after `delay` s or when the first fails. Raises the later failure where both fail.
    """
    primary = asyncio.create_task(first)
    running = {primary}
    try:
        done, running = await asyncio.wait(running, timeout=delay)
        if not done or _failed(primary):
            running.add(asyncio.create_task(second()))
            while running and all(map(_failed, done)):
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        best = min(done, key=_failed)
        return best.result(), best is not primary
    finally:
        await cancelled(running)


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether it failed in a way that can be expected; raises any other exception."""
    error = task.exception()
    if error is not None and not isinstance(error, FAILURES):
        raise error
    return error is not None
