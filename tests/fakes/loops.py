"""Runs coroutines in the loop that the data plane wants."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sockslocal.net.poller import new_loop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)
