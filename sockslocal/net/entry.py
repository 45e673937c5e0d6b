"""Getting to a server and in, once, as one thing to wait for."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from sockslocal.errors import ServerError, SockslocalError
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.way import Way
from sockslocal.problems import Problem
from sockslocal.socks5.client import Credentials

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """What finds something, now or later: a login, or addresses."""

    def find(self, found: Callable[[T_co], None]) -> None:
        """Call `found` with it."""

    def drop(self, found: Callable[[T_co], None]) -> None:
        """`found` is not to be called any more."""


async def find(source: Source[T]) -> T:
    """What `source` finds."""
    outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def found(answer: T) -> None:
        if not outcome.done():
            outcome.set_result(answer)

    source.find(found)
    try:
        return await outcome
    finally:
        source.drop(found)


async def enter(engine: Engine, way: Way, seconds: float) -> tuple[SocketAddress, Credentials | None]:
    """Connect and log in as every connection does; gives where, and the login that was accepted.

    Raises ServerError, also where it takes longer than so many seconds. That a connection more was refused
    says nothing about those that are open.
    """
    outcome: asyncio.Future[Dial | DialError] = asyncio.get_running_loop().create_future()
    apart = replace(way, missed=lambda _error: None)
    dial = Dial(engine, apart, None, outcome.set_result, outcome.set_result)
    dial.start()
    try:
        await asyncio.wait({outcome}, timeout=seconds)
    finally:
        dial.cancel()
        if outcome.done() and outcome.result() is dial:
            dial.close()
    if not outcome.done():
        raise ServerError(_too_slow(way, dial, seconds))
    result = outcome.result()
    if isinstance(result, DialError):
        raise result
    login = await find(way.login)
    if isinstance(login, SockslocalError):
        raise ServerError(login.problem)
    return dial.address, login


def _too_slow(way: Way, dial: Dial, seconds: float) -> Problem:
    if not dial.started:
        return way.problem("password-awaited", reason=f"it did not come within {seconds:g} s")
    return way.problem("server-unreachable", reason=f"to connect and log in took more than {seconds:g} s")
