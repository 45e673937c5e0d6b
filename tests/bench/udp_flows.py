"""What many UDP flows cost a SOCKS5 server, by the forwarder that asks.

    sh tests/bench/udp_flows.sh               200 flows
    sh tests/bench/udp_flows.sh --flows 100

Local programs talk to a remote each, all at the same time, through one forwarder after the other: sockslocal,
where flows share associations, and redsocks, which opens one for each, as all others do. The server is Dante,
fresh for each of them. The table has the associations in its log, and what its processes are and hold.

Needed: Debian's dante-server, libnss-wrapper and redsocks.
"""

import argparse
import io
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import psutil

from fakes.socks5_wire import Address
from fakes.udp_echoes import udp_echoes
from fakes.udp_programs import Programs
from fakes.waiting import wait_until
from integration.daemon import temporary_daemon, udp
from integration.servers.dante import Dante
from integration.servers.process import LOOPBACK, Process, free_port, which
from integration.servers.socks import PASSWORD

ROUNDS = 3
"""Echoes that each program has."""

SECONDS = 60.0
"""After that it is taken for failed."""

REDSOCKS = 'base { log = "stderr"; log_info = off; daemon = off; redirector = generic; }\n'
REDUDP = """\
redudp {{
    local_ip = {host}; local_port = {listen}; dest_ip = {remote[0]}; dest_port = {remote[1]};
    ip = {host}; port = {server.port}; login = "{server.username}"; password = "{password}";
}}
"""

Forwarder = Callable[[Path, Dante, Sequence[int], Sequence[Address]], AbstractContextManager[None]]
"""Has a forward from each of some ports to one of some remotes, from entry to exit."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the server has and uses, at a moment."""

    associations: int
    """All that it has granted so far."""
    processes: int
    connections: int
    sockets: int
    """For datagrams."""
    memory: int
    """Octets; what processes share is counted once."""


def cost(server: Dante) -> Cost:
    """As of now."""
    processes = server.processes()
    used = [at for process in processes for at in process.net_connections("inet4")]
    return Cost(
        associations=server.associated(),
        processes=len(processes),
        connections=len({at.raddr for at in used if at.raddr and at.laddr[1] == server.port}),
        sockets=len({at.laddr for at in used if at.type == socket.SOCK_DGRAM}),
        memory=sum(process.memory_full_info().pss for process in processes),
    )


@contextmanager
def sockslocal(_: Path, server: Dante, ports: Sequence[int], remotes: Sequence[Address]) -> Iterator[None]:
    """Our daemon."""
    with redirect_stderr(io.StringIO()), temporary_daemon() as daemon:  # it shows its log at the end
        forwards = [
            udp(f"echo{number}", listen, remote[1], host=remote[0])
            for number, (listen, remote) in enumerate(zip(ports, remotes, strict=True))
        ]
        table = daemon.server(server.address, username=server.username, password=PASSWORD)
        daemon.configure(table, *forwards)
        daemon.start()
        yield


@contextmanager
def redsocks(folder: Path, server: Dante, ports: Sequence[int], remotes: Sequence[Address]) -> Iterator[None]:
    """Its redudp."""
    config = folder / "redsocks.conf"
    sections = [
        REDUDP.format(host=LOOPBACK, listen=listen, remote=remote, server=server, password=PASSWORD)
        for listen, remote in zip(ports, remotes, strict=True)
    ]
    config.write_text(REDSOCKS + "".join(sections))
    process = Process([which("redsocks"), "-c", str(config)], folder)
    try:
        wait_until(lambda: _listens(process, ports[-1]), seconds=SECONDS, what="redsocks listens")
        yield
    finally:
        process.stop()


def _listens(process: Process, port: int) -> bool:
    return any(at.laddr[1] == port for at in psutil.Process(process.pid).net_connections("udp4"))


def measure(forwarder: Forwarder, flows: int) -> tuple[Cost, Cost]:
    """What Dante is before `flows` go through `forwarder`, and with them."""
    with tempfile.TemporaryDirectory() as name, Dante(Path(name)) as server, udp_echoes(flows) as echoes:
        wait_until(lambda: bool(server.relays()), seconds=SECONDS, what="Dante has all its processes")
        before = cost(server)
        ports = [free_port() for _ in range(flows)]
        with (
            forwarder(Path(name), server, ports, echoes.addresses),
            Programs([(LOOPBACK, port) for port in ports], echoes.addresses) as programs,
        ):
            programs.exchange(ROUNDS, seconds=SECONDS)
            return before, cost(server)


def table(rows: Mapping[str, Cost]) -> str:
    """A line for each."""
    lines = [["", "associations", "processes", "connections", "UDP sockets", "memory MB"]]
    for name, row in rows.items():
        counts = (row.associations, row.processes, row.connections, row.sockets)
        lines.append([name, *map(str, counts), f"{row.memory / 1e6:.1f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--flows", type=int, default=200)
    flows = parser.parse_args().flows
    rows: dict[str, Cost] = {}
    for name, forwarder in {"sockslocal": sockslocal, "redsocks": redsocks}.items():
        rows["idle"], rows[name] = measure(forwarder, flows)
    print(table(rows))


if __name__ == "__main__":
    main()
