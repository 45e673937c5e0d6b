"""Compares what forwarders cost: CPU time a connection, a gigabyte and a datagram, rates, latency, memory.

    sh tests/bench/run.sh                                  every forwarder that is installed
    sh tests/bench/run.sh --rounds 9 --peers sockslocal,v2ray --parts tcp,bulk

Two network namespaces: here the load and one forwarder at a time, over there a SOCKS5 server with user and
password (socksd.c says why none of Debian's), an echo and iperf3. Each round starts every forwarder afresh,
warms it up, and gives it

    tcp    TOTAL connections, CONCURRENT at a time, an echo of BYTES over each (tcpload)
    bulk   one stream of GIGABYTES through iperf3
    udp    echoes over FLOWS sockets with WINDOW datagrams in flight on each (udpload)

CPU time is what the kernel accounts to the forwarder, its threads and its children (user and system): it says
more than rates on a machine that load and server share. The table has medians over the rounds, and how each
figure compares with the best of the other forwarders: below 1.00 is better, whatever the figure.

Needed: make and gcc, ip, unshare, nsenter, iperf3, and the forwarders: each is a line in peers.py and a
template in peers/.
"""

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.farside import FAR, FarSide
from bench.loads import Figures, Loads
from bench.peers import PEERS, Peer, running
from bench.usage import usage
from fakes.waiting import wait_until
from integration.servers.process import Process, accepts, free_port, which

COLUMNS = {
    "tcp_us": ("CPU µs/conn", False),
    "conn_s": ("conn/s", True),
    "p50": ("p50 ms", False),
    "p99": ("p99 ms", False),
    "cpu_gb": ("CPU s/GB", False),
    "gbit": ("Gbit/s", True),
    "udp_us": ("CPU µs/echo", False),
    "echo_s": ("echo/s", True),
    "query_us": ("CPU µs/query", False),
    "queries_s": ("queries/s", True),
    "dns_ms": ("mean ms", False),
    "lost": ("lost", False),
    "rss": ("RSS MB", False),
}
"""Heading of each figure, and whether more of it is better."""

Results = dict[str, dict[str, list[float]]]
"""Peer, figure, one value a round."""


USERNAME, PASSWORD = "ana", "correct horse"


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything but the forwarder, made anew for each measurement.

    The ports are new each time too: else the connections of the last measurement, in TIME_WAIT, would make
    the kernel look for a free port ever longer, at the cost of whoever connects.
    """

    folder: Path
    generators: Path
    far: FarSide

    def measure(self, peer: Peer, parts: Sequence[str]) -> Figures:
        """One round of one forwarder."""
        figures: Figures = {}
        with tempfile.TemporaryDirectory(dir=self.folder) as name, ExitStack() as stack:
            folder = Path(name)
            socks, echo, bulk = free_port(), free_port(), free_port()
            self._start_far_side(stack, folder, socks, echo, bulk)
            values = _values(folder, socks, echo, bulk)
            process = stack.enter_context(running(peer, folder, values, [echo, bulk]))
            loads = Loads(self.generators, process.pid, echo, bulk)
            loads.warm_up()
            for part in parts:
                figures |= loads.give(part)
            figures["rss"] = usage(process.pid).resident_bytes / 1e6
        return figures

    def _start_far_side(self, stack: ExitStack, folder: Path, socks: int, echo: int, bulk: int) -> None:
        """The server and the targets, until `stack` ends."""
        programs = (
            [self.generators / "socksd", socks, FAR, USERNAME, PASSWORD],
            [self.generators / "tcpecho", echo],
            [self.generators / "udpecho", echo],
            [which("iperf3"), "--server", "--bind", "127.0.0.1", "--port", bulk],
        )
        for words in programs:
            stack.callback(Process([*self.far.inside, *map(str, words)], folder).stop)
        wait_until(lambda: accepts(socks, FAR), seconds=5, what="the server accepts")


def _values(folder: Path, socks: int, echo: int, bulk: int) -> Mapping[str, object]:
    """What the templates of the peers are filled with."""
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)
    return {
        "server_host": FAR,
        "server_port": socks,
        "username": USERNAME,
        "password": PASSWORD,
        "password_file": password_file,
        "echo": echo,
        "bulk": bulk,
    }


def table(results: Results) -> str:
    """Medians, each followed by its ratio to the best of the others where there are others."""
    medians = {
        peer: {key: statistics.median(v) for key, v in figures.items()} for peer, figures in results.items()
    }
    keys = [key for key in COLUMNS if any(key in figures for figures in medians.values())]
    rows = [["", *(COLUMNS[key][0] for key in keys)]]
    rows += [[peer, *(_cell(medians, peer, key) for key in keys)] for peer in medians]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def _cell(medians: Mapping[str, Mapping[str, float]], peer: str, key: str) -> str:
    value = medians[peer].get(key)
    if value is None:
        return "-"
    more_is_better = COLUMNS[key][1]
    others = [figures[key] for name, figures in medians.items() if name != peer and key in figures]
    if not all((value, *others)) or not others:
        return f"{value:.4g}"
    ratio = max(others) / value if more_is_better else value / min(others)
    return f"{value:.4g} ({ratio:.2f})"


def compare(subject: Bench, peers: list[Peer], parts: Sequence[str], rounds: int) -> Results:
    """All rounds, the forwarders in turn, and in another order each round."""
    results: Results = {peer.name: defaultdict(list) for peer in peers}
    for number in range(rounds):
        start = number % len(peers)
        for peer in peers[start:] + peers[:start]:
            figures = subject.measure(peer, parts)
            for key, value in figures.items():
                results[peer.name][key].append(value)
            line = "  ".join(f"{COLUMNS[key][0]} {value:.4g}" for key, value in figures.items())
            print(f"round {number + 1}  {peer.name}: {line}", file=sys.stderr)
    return results


def chosen(names: str | None) -> list[Peer]:
    """The peers with these names, all without any; those not installed are named and left out."""
    wanted = names.split(",") if names else [peer.name for peer in PEERS]
    peers = [peer for peer in PEERS if peer.name in wanted]
    for peer in peers:
        if not peer.is_installed():
            print(f"left out: {peer.name} ({peer.words[0]} is not installed)", file=sys.stderr)
    return [peer for peer in peers if peer.is_installed()]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--generators", type=Path, required=True, help="where make has built them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", help="names, with commas between; all of them by default")
    parser.add_argument("--parts", default="tcp,bulk,udp", help="likewise")
    options = parser.parse_args()
    peers, parts = chosen(options.peers), options.parts.split(",")
    with tempfile.TemporaryDirectory(prefix="bench") as folder, FarSide() as far:
        subject = Bench(Path(folder), options.generators, far)
        print(table(compare(subject, peers, parts, options.rounds)))


if __name__ == "__main__":
    main()
