"""A daemon before a server, with a UDP forward to each of several echoes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fakes.socks5_server import FakeServer, Script
from fakes.targets import udp_echo
from fakes.udp_echoes import UdpEchoes, udp_echoes
from fakes.udp_programs import Programs
from integration.daemon import SERVER, Daemon, section, temporary_daemon
from integration.servers.process import LOOPBACK, free_port
from sockslocal.address import Endpoint
from sockslocal.problems import Problem
from sockslocal.status import Server, Udp

RUNG_S = 5.0
"""Within these seconds it is known how a server carries datagrams."""

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class TunnelTo(Generic[S]):
    """All of it; `ports` are those of the forwards, `sections` the configuration but for the server.

    `address` tells where the server is now, `options` are those of its table; `leads` has the number of the
    echo to which each forward leads.
    """

    daemon: Daemon
    server: S
    address: Callable[[], str]
    echoes: UdpEchoes
    ports: list[int]
    leads: Sequence[int]
    options: Mapping[str, Any]
    sections: list[str]

    def configure(self) -> None:
        """Write the configuration, for the server at the address that it has now."""
        self.daemon.configure(self.daemon.server(self.address(), **self.options), *self.sections)

    def programs(self, forwards: Sequence[int] | None = None, *, size: int = 0) -> Programs:
        """A program for each forward, or for each of those whose numbers are in `forwards`."""
        numbers = range(len(self.ports)) if forwards is None else forwards
        return Programs(
            [(LOOPBACK, self.ports[number]) for number in numbers],
            [self.echoes.addresses[self.leads[number]] for number in numbers],
            size=size,
        )

    def shown(self) -> Server:
        """The server, in `status`."""
        return self.daemon.status().servers[SERVER]

    def udp(self) -> Udp:
        """The associations and flows, in `status`."""
        return self.daemon.status().udp

    def problem(self, forward: int = 0) -> Problem | None:
        """Of one forward."""
        return self.daemon.status().forwards[f"echo{forward}"].problem

    def wait_for_rung(self, rung: str) -> None:
        """Return when `status` shows that datagrams go by `rung`."""
        self.daemon.wait_for(lambda status: status.servers[SERVER].udp == rung, seconds=RUNG_S)


UdpTunnel = TunnelTo[FakeServer]


@contextmanager
def udp_tunnel(
    script: Script | None = None,
    *,
    cases: Mapping[int | str, Script] | None = None,
    leads: Sequence[int] = range(3),
    to: Sequence[str] = (),
    host: str = LOOPBACK,
    **more: Any,
) -> Iterator[UdpTunnel]:
    """The fake server as `script` and `cases` have it, behind forwards as `udp_tunnel_to` makes them."""
    with FakeServer(host=host) as server:
        server.script = script or Script()
        server.cases.update(cases or {})
        with udp_tunnel_to(
            server, lambda: str(Endpoint(*server.address)), leads=leads, to=to, **more
        ) as tunnel:
            for name, lead in zip(to, leads, strict=False):
                server.names[name] = (tunnel.echoes.addresses[lead][0], 0)
            yield tunnel


@contextmanager
def udp_tunnel_to(
    server: S,
    address: Callable[[], str],
    *,
    leads: Sequence[int] = range(3),
    to: Sequence[str] = (),
    forward_options: Mapping[str, object] | None = None,
    limits: Mapping[str, int] | None = None,
    **options: Any,
) -> Iterator[TunnelTo[S]]:
    """Forwards that lead to echoes by their addresses, or by names `to`.

    `options` are those of the server's table.
    """
    with udp_echoes(max(leads) + 1) as echoes, udp_echo() as probe, temporary_daemon() as daemon:
        ports = [free_port() for _ in leads]
        sections = [section("limits", **limits)] if limits else []
        for number, (listen, lead) in enumerate(zip(ports, leads, strict=True)):
            host_there, port_there = echoes.addresses[lead]
            name = to[number] if to else host_there
            addresses = {"listen": f"{LOOPBACK}:{listen}", "to": f"{name}:{port_there}"}
            sections.append(section(f"udp.echo{number}", **addresses, **(forward_options or {})))
        probed = {"udp_probe": f"{probe[0]}:{probe[1]}", **options}
        tunnel = TunnelTo(daemon, server, address, echoes, ports, leads, probed, sections)
        tunnel.configure()
        daemon.start()
        daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
        yield tunnel
