"""What a server bears in a handshake, and where it connects to: each found out on a fresh connection.

The question to `target`, by TCP, shows whether what was granted is true: some servers grant a request before
they have connected to its target.
"""

import asyncio
import secrets
from enum import Enum, auto
from typing import NamedTuple

from sockslocal.address import Endpoint
from sockslocal.net.probing import PIECES_S, Access, phrase_of
from sockslocal.net.profile import Ipv6, Login
from sockslocal.net.udp_probe import question
from sockslocal.socks5.errors import RemoteError
from sockslocal.socks5.messages import UNDERSTOOD, VERSION, Command, Method, Reply, Request

SHORTEST_S, LONGEST_S = 0.5, 1.5
"""Bounds of what a test may take; within them it is three times what connecting has taken, and a little."""


class Manner(Enum):
    """How a client speaks."""

    PLAIN = auto()
    """A segment a message, each after the answer to the one before: what every server has to bear."""
    SPLIT = auto()
    """Two segments a message."""
    SEMI_PIPELINED = auto()
    """Login and request in one segment."""
    PIPELINED = auto()
    """All in one segment."""
    OPTIMISTIC = auto()
    """What is for the target in one segment with the request."""


class Trial(NamedTuple):
    """What came of a request: the code of its reply, if one came, and whether the target said anything.

    `closed` where the server ended it instead; `phrase` is what did not go well, as RemoteError's is.
    """

    code: int | None = None
    answered: bool = False
    closed: bool = False
    phrase: str = ""


async def connect_plainly(access: Access, target: Endpoint) -> Trial:
    """The trial that others are held against; how long it takes says what they may take."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    trial = await try_connect(access, target)
    patience_s = 3 * (loop.time() - began) + SHORTEST_S / 2
    access.patience_s = min(max(patience_s, SHORTEST_S), LONGEST_S)
    return trial


async def try_connect(access: Access, target: Endpoint, manner: Manner = Manner.PLAIN) -> Trial:
    """Connect to `target` in a certain `manner`, and ask it something."""
    request = Request(Command.CONNECT, target)
    asked = question(secrets.randbits(16))
    asked = len(asked).to_bytes(2) + asked
    messages = _messages(access, request, manner, asked)
    in_pieces = manner is Manner.SPLIT
    seconds = access.patience_s + PIECES_S * len(messages) * in_pieces
    trial = Trial()
    try:
        async with access.connection(seconds) as connection:
            reply = await access.ask(connection, request, messages, in_pieces=in_pieces)
            trial = Trial(reply.code, phrase=reply.phrase)
            if reply.code == Reply.SUCCEEDED:
                if manner is not Manner.OPTIMISTIC:
                    await connection.send(asked)
                if reply.trailing or await connection.receive():
                    return Trial(reply.code, answered=True)
                trial = Trial(reply.code, closed=True, phrase="the connection was closed without an answer")
    except (RemoteError, OSError) as error:
        return trial._replace(closed=not isinstance(error, TimeoutError), phrase=phrase_of(error))
    return trial


def _messages(access: Access, request: Request, manner: Manner, asked: bytes) -> list[bytes]:
    """What is said, as it is to be sent."""
    greeting, *rest = access.messages(request)
    if manner is Manner.PIPELINED:
        return [b"".join((greeting, *rest))]
    if manner is Manner.SEMI_PIPELINED:
        return [greeting, b"".join(rest)]
    if manner is Manner.OPTIMISTIC:
        return [greeting, *rest[:-1], rest[-1] + asked]
    return [greeting, *rest]


async def find_methods(access: Access) -> tuple[Login, ...]:
    """The way in that is known, and the other one if the server chooses it where it alone is offered.

    No password is sent for that.
    """
    known: Login = "password" if access.credentials else "none"
    other: Login = "none" if access.credentials else "password"
    method = Method.NO_AUTHENTICATION if access.credentials else Method.USERNAME_PASSWORD
    try:
        async with access.connection() as connection:
            await connection.send(bytes((VERSION, 1, method)))
            answer = await connection.receive()
    except OSError:
        return (known,)
    return (known, other) if answer == bytes((VERSION, method)) else (known,)


def bears(plain: Trial, trial: Trial) -> bool | None:
    """Whether a manner has the same outcome as the plain one; None where that one tells too little."""
    if plain.code not in UNDERSTOOD or (trial.code == plain.code and trial.answered != plain.answered):
        return None
    return trial.code == plain.code


def keeps_early_data(plain: Trial, trial: Trial) -> bool | None:
    """Whether the target had what was sent early; None where it does not answer anyway."""
    return trial.answered if plain.answered else None


_IPV6: dict[int | None, Ipv6] = {
    Reply.CONNECTION_REFUSED: "yes",
    Reply.ADDRESS_TYPE_NOT_SUPPORTED: "unsupported",
    Reply.NETWORK_UNREACHABLE: "no-route",
    Reply.HOST_UNREACHABLE: "no-route",
}
"""What a refusal tells, where an IPv4 target is not refused in the same way."""


def ipv6_from(plain: Trial, trial: Trial) -> Ipv6 | None:
    """What `trial` with an IPv6 target shows, where the `plain` one had an IPv4 target."""
    if trial.answered:
        return "yes"
    if trial.code in _IPV6 and trial.code != plain.code:
        return _IPV6[trial.code]
    if not plain.answered:
        return None
    granted_first = trial.code == Reply.SUCCEEDED and trial.closed
    return "no-route" if granted_first else "fails"
