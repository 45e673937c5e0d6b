"""A daemon before the fake server, with a UDP forward to each of several echoes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class UdpTunnel:
    """All of it; `ports` are those of the forwards, `sections` the configuration but for the server.

    `leads` has the number of the echo to which each forward leads.
    """

    daemon: Daemon
    server: FakeServer
    echoes: UdpEchoes
    ports: list[int]
    leads: Sequence[int]
    options: Mapping[str, Any]
    sections: list[str]

    def configure(self) -> None:
        """Write the configuration, for the server at the address that it has now."""
        address = str(Endpoint(*self.server.address))
        self.daemon.configure(self.daemon.server(address, **self.options), *self.sections)

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


@contextmanager
def udp_tunnel(
    script: Script | None = None,
    *,
    cases: Mapping[int | str, Script] | None = None,
    leads: Sequence[int] = range(3),
    to: Sequence[str] = (),
    host: str = LOOPBACK,
    forward_options: Mapping[str, object] | None = None,
    **options: Any,
) -> Iterator[UdpTunnel]:
    """The server as `script` and `cases` have it; forwards lead to echoes by their addresses, or by name.

    `options` are those of the server's table.
    """
    with (
        FakeServer(host=host) as server,
        udp_echoes(max(leads) + 1) as echoes,
        udp_echo() as probe,
        temporary_daemon() as daemon,
    ):
        server.script = script or Script()
        server.cases.update(cases or {})
        ports = [free_port() for _ in leads]
        sections = []
        for number, (listen, lead) in enumerate(zip(ports, leads, strict=True)):
            host_there, port_there = echoes.addresses[lead]
            name = to[number] if to else host_there
            server.names[name] = (host_there, 0)
            addresses = {"listen": f"{LOOPBACK}:{listen}", "to": f"{name}:{port_there}"}
            sections.append(section(f"udp.echo{number}", **addresses, **(forward_options or {})))
        probed = {"udp_probe": f"{probe[0]}:{probe[1]}", **options}
        tunnel = UdpTunnel(daemon, server, echoes, ports, leads, probed, sections)
        tunnel.configure()
        daemon.start()
        daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
        yield tunnel
