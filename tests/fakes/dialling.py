"""Dials, what they come to, and the octets that they send and get."""

from typing import Any

from fakes.engine import turns, until
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.way import Way
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.messages import Command, Request

ANA = (b"ana", b"hunter2")
CREDENTIALS = Credentials("ana", Secret("hunter2"))
TARGET = Endpoint("db.internal", 5432)
GREETING, LOGIN_GREETING = b"\5\1\0", b"\5\1\2"
LOGIN = b"\1\3ana\7hunter2"
REQUEST = Request(Command.CONNECT, TARGET)
CONNECT = b"\5\1\0" + address_octets(*TARGET)
GRANTED = b"\5\0\0\1\0\0\0\0\0\0"


class Outcome:
    """What a dial came to."""

    def __init__(self) -> None:
        self.done: list[Dial] = []
        self.errors: list[DialError] = []

    @property
    def over(self) -> bool:
        return bool(self.done or self.errors)

    @property
    def dial(self) -> Dial:
        """The dial, which succeeded."""
        assert not self.errors, self.errors[0].problem
        (dial,) = self.done
        return dial

    @property
    def error(self) -> DialError:
        """Why it failed."""
        assert not self.done
        (error,) = self.errors
        return error


def begin(engine: Engine, way: Way, request: Request | None = REQUEST) -> tuple[Dial, Outcome]:
    """A dial under way."""
    outcome = Outcome()
    dial = Dial(engine, way, request, outcome.done.append, outcome.errors.append)
    dial.start()
    return dial, outcome


async def dialled(engine: Engine, way: Way, **options: Any) -> Outcome:
    """What a dial came to; a socket it brought is closed."""
    _, outcome = begin(engine, way, **options)
    await until(lambda: outcome.over, "the dial has ended")
    for dial in outcome.done:
        engine.poller.close(dial.sock)
    await turns()
    return outcome


async def failure(engine: Engine, way: Way) -> DialError:
    """Why a dial fails."""
    return (await dialled(engine, way)).error
