"""Whether a server passes datagrams, and in which way."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from sockslocal.address import Endpoint, unmapped
from sockslocal.net.probe_channels import Channel, RelayChannel, StreamChannel, probe_socket
from sockslocal.net.probe_questions import Learn, Questions
from sockslocal.net.probing import Access, ProbeConnection, phrase_of
from sockslocal.net.probing import Reply as Answered
from sockslocal.net.profile import RelayRule
from sockslocal.net.udp_relay_address import relay_address
from sockslocal.socks5.errors import ConnectionClosed, RemoteError
from sockslocal.socks5.messages import Command, Reply, Request, Stage
from sockslocal.socks5.udp_over_tcp import Framing

LAST_S = 5.0
"""Seconds that a connection for datagrams lasts at most; the examination as a whole has less."""

END_S = 0.02
"""Seconds for the end of a control connection that the server has closed to be here."""

_FINAL = (Reply.NOT_ALLOWED, Reply.COMMAND_NOT_SUPPORTED)
"""Refusals that another request for the same would meet too; the first may even mean a wrong password."""


class Obstacle(NamedTuple):
    """Why no datagrams pass, as RemoteError.phrase is.

    `again` where asking in another way may help; `silent` where maybe nobody was there to answer;
    `unsupported` where the server says that it has no UDP ASSOCIATE at all.
    """

    phrase: str
    again: bool = False
    silent: bool = False
    unsupported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramTests:
    """Asks `remote`, a DNS server or an echo, in whatever way datagrams may pass.

    A question has `seconds`. `override` is the relay's IP address where the user has set one, `twin` the IPv6
    address of what `remote` is by IPv4.
    """

    access: Access
    remote: Endpoint
    twin: Endpoint | None
    override: str | None
    seconds: float
    learn: Learn

    async def try_association(self) -> Obstacle | None:
        """UDP ASSOCIATE in three ways, until datagrams pass; gives why they do not."""
        obstacle = await self._associate()
        if obstacle is not None and obstacle.again and await self._associate(own_port=True) is None:
            return None
        return obstacle

    async def try_stream(self, framing: Framing) -> bool:
        """UDP over TCP in one format; gives whether datagrams pass."""
        try:
            async with self.access.connection(LAST_S) as connection:
                async with asyncio.timeout(self.access.patience_s):
                    reply = await self.access.ask(connection, framing.request)
                if reply.code != Reply.SUCCEEDED:
                    return False
                return await self._passes(
                    StreamChannel(connection, framing, reply.trailing), rung=framing.name
                )
        except (RemoteError, OSError):
            return False

    async def _associate(self, *, own_port: bool = False) -> Obstacle | None:
        """One association; its request names our port, or nothing."""
        try:
            async with self.access.connection(LAST_S) as control:
                with closing(probe_socket(self.access.address[0], control.here)) as sock:
                    reply = await associate(self.access, control, sock.getsockname()[1] if own_port else 0)
                    if reply.bound is None:
                        return Obstacle(reply.phrase, again=reply.code not in _FINAL)
                    return await self._try_relays(control, reply.bound, sock, own_port=own_port)
        except (RemoteError, OSError) as error:
            return obstacle_of(error)

    async def _try_relays(
        self, control: ProbeConnection, bound: Endpoint, sock: socket.socket, *, own_port: bool
    ) -> Obstacle | None:
        """Ask at each address where the relay may be, by `sock` where that will do."""
        relays = list(self._relays(bound))
        for rule, relay in relays:
            if await self._try_relay(relay, sock, "port" if own_port else rule):
                names_relay = None if self.override else relays[0][1].host == bound.host
                self.learn(names_relay=names_relay, closes_control=await _has_ended(control))
                return None
        if not relays:
            return Obstacle(f"it names {bound} as its relay, where nothing can be sent")
        if await _has_ended(control):
            return Obstacle("it closes each association at once")
        silence = f"it grants associations, but no answer from {self.remote} comes back"
        return Obstacle(silence, again=True, silent=True)

    async def _try_relay(self, relay: Endpoint, sock: socket.socket, rule: RelayRule) -> bool:
        with ExitStack() as stack:
            if relay.host != self._server:  # from elsewhere, where our address towards the server may not do
                family = socket.AF_INET6 if ":" in relay.host else socket.AF_INET
                try:
                    sock = stack.enter_context(closing(probe_socket(family, "")))
                except OSError:
                    return False
            return await self._passes(RelayChannel(sock, relay), rung="associate", relay_rule=rule)

    async def _passes(self, channel: Channel, **facts: str) -> bool:
        """Whether datagrams pass by `channel`; if so, these are the `facts`, and more is found out."""
        questions = Questions(channel, self.seconds)
        answer = await questions.ask(self.remote, anything=True)
        if answer is None:
            return False
        self.learn(**facts)
        await questions.look_closer(self.remote, self.twin, answer, self.learn)
        return True

    @property
    def _server(self) -> str:
        return str(unmapped(ip_address(self.access.address[1][0])))

    def _relays(self, bound: Endpoint) -> Iterator[tuple[RelayRule, Endpoint]]:
        """Where the relay may be, the likeliest first."""
        first = relay_address(bound, self._server, self.override)
        if first is None:
            return
        own = first._replace(host=self._server)
        yield "given", first
        if self.override is None and first != own:
            yield "server", own


async def associate(access: Access, control: ProbeConnection, port: int = 0) -> Answered:
    """Ask for an association on `control`, for datagrams from `port` unless that is 0. As `Access.ask`."""
    zeros = "::" if access.address[0] == socket.AF_INET6 else "0.0.0.0"  # noqa: S104  asks, binds nothing
    async with asyncio.timeout(access.patience_s):
        return await access.ask(control, Request(Command.UDP_ASSOCIATE, Endpoint(zeros, port)))


async def find_obstacle(access: Access) -> Obstacle | None:
    """Why the server grants no association; whether anything passes on one is not tried."""
    try:
        async with access.connection() as control:
            reply = await associate(access, control)
    except (RemoteError, OSError) as error:
        return obstacle_of(error)
    unsupported = reply.code == Reply.COMMAND_NOT_SUPPORTED
    return None if reply.bound else Obstacle(reply.phrase, unsupported=unsupported)


def obstacle_of(error: RemoteError | OSError) -> Obstacle:
    """What came instead of a reply."""
    if isinstance(error, TimeoutError):
        return Obstacle("it does not answer when it is asked for an association")
    if isinstance(error, ConnectionClosed) and error.stage is Stage.REPLY:
        return Obstacle("it closes the connection when it is asked for an association")
    return Obstacle(phrase_of(error))


async def _has_ended(control: ProbeConnection) -> bool:
    try:
        async with asyncio.timeout(END_S):
            return not await control.receive()
    except TimeoutError:
        return False
    except OSError:
        return True
