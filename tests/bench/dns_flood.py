"""How long a TCP forward's echo takes while the same daemon is asked for names that it does not have.

    sh tests/bench/dns_flood.sh                     20,000 queries/s, 20 of them answered by bombs
    sh tests/bench/dns_flood.sh --rate 10000 --bombs 0 --rounds 5

Each round: echoes while nothing else happens, then echoes while dnsperf asks for names that nobody has asked
for before (unbound, by TCP, denies them), and another dnsperf for names whose answers are as much work as the
resolver takes (bombs.py). Each echo through the daemon is followed by one straight to its target: what the
processors keep waiting, and not the daemon, keeps that one waiting too. The daemon has a processor to itself,
and all others share the rest: else it would wait for those who flood it.

Needed: dnsperf, unbound, microsocks.
"""

import argparse
import io
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path

from bench.bombs import deep
from integration.daemon import dns, section, tcp, temporary_daemon
from integration.servers.microsocks import Microsocks
from integration.servers.process import LOOPBACK, Process, free_port, which
from integration.servers.socks import PASSWORD
from integration.servers.targets import Targets
from integration.servers.unbound import Unbound

OUTSTANDING = 60_000
"""So many that the rate is kept however slowly answers come."""
SETTLE_S = 1
"""Seconds of flood before and after what is measured."""
BOMBS = "b"
"""The zone of the bombs."""
PAUSE_S = 0.002
"""Between two echoes."""

PROCESSORS = sorted(os.sched_getaffinity(0))

Times = dict[str, list[float]]


def echo_times(ports: dict[str, int], seconds: float) -> Times:
    """Milliseconds for one octet there and back, by turns on a connection to each of `ports`."""
    times: Times = {name: [] for name in ports}
    with ExitStack() as stack:
        socks = {name: stack.enter_context(_connected(port)) for name, port in ports.items()}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, sock in socks.items():
                started = time.perf_counter()
                sock.sendall(b"x")
                sock.recv(1)
                times[name].append((time.perf_counter() - started) * 1e3)
                time.sleep(PAUSE_S)
    return times


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection((LOOPBACK, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Flood:
    """Names nobody has asked for, `rate` a second, and `bombs` a second."""

    def __init__(self, folder: Path, port: int, *, rate: int, bombs: int) -> None:
        self._folder, self._port = folder, port
        self._rates = {"misses": rate, "bombs": bombs}
        self._numbers = itertools.count()

    @contextmanager
    def flowing(self, seconds: int) -> Iterator[None]:
        """For so many seconds; then it is said what came of it."""
        running = [self._dnsperf(kind, rate, seconds) for kind, rate in self._rates.items() if rate]
        yield
        for process in running:
            said = process.communicate()[0].splitlines()
            wanted = ("Queries completed", "Queries lost", "Response codes")
            print(*(line.strip() for line in said if line.strip().startswith(wanted)), sep="; ")

    def _dnsperf(self, kind: str, rate: int, seconds: int) -> "subprocess.Popen[str]":
        questions = self._folder / kind
        questions.write_text("".join(f"{self._name(kind)} A\n" for _ in range(rate * seconds)))
        where = ["-s", LOOPBACK, "-p", str(self._port), "-d", str(questions)]
        load = ["-Q", str(rate), "-q", str(OUTSTANDING), "-l", str(seconds)]
        return subprocess.Popen([which("dnsperf"), *where, *load], stdout=subprocess.PIPE, text=True)

    def _name(self, kind: str) -> str:
        number = str(next(self._numbers))
        return f"no{number}.example" if kind == "misses" else deep(f"{'.'.join(number)}.{BOMBS}")


@contextmanager
def setting(folder: Path, *, rate: int, bombs: int) -> Iterator[tuple[dict[str, int], Flood]]:
    """A daemon with all that is behind it: where to send echoes, and the flood to let loose on it."""
    bomber = free_port()
    words = [sys.executable, str(Path(__file__).with_name("bombs.py")), str(bomber)]
    with ExitStack() as stack:
        targets = stack.enter_context(Targets())
        unbound = stack.enter_context(Unbound(folder))
        server = stack.enter_context(Microsocks(folder))
        process = Process(words, folder)
        stack.callback(process.stop)
        process.wait_for_port(bomber)
        echo, resolver = free_port(), free_port()
        stack.enter_context(redirect_stderr(io.StringIO()))
        daemon = stack.enter_context(temporary_daemon())
        daemon.configure(
            daemon.server(server.address, username=server.username, password=PASSWORD),
            tcp("echo", echo, targets.echo_port),
            dns(resolver, f"tcp://{unbound.address}"),
            section("dns.rules", **{f'"{BOMBS}"': f"tcp://{LOOPBACK}:{bomber}"}),
        )
        daemon.start("--level", "info")
        os.sched_setaffinity(daemon.pid, {PROCESSORS[0]})
        yield {"daemon": echo, "direct": targets.echo_port}, Flood(folder, resolver, rate=rate, bombs=bombs)


def main() -> None:
    """Run it."""
    os.sched_setaffinity(0, PROCESSORS[1:] or PROCESSORS)  # and so all that it starts
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=int, default=20_000, help="misses a second")
    parser.add_argument("--bombs", type=int, default=20, help="bombs a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of each part of a round")
    options = parser.parse_args()
    waits: dict[str, list[float]] = defaultdict(list)
    for number in range(options.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="bench") as folder,
            setting(Path(folder), rate=options.rate, bombs=options.bombs) as (ports, flood),
        ):
            parts = {"quiet": echo_times(ports, options.seconds)}
            with flood.flowing(options.seconds + 2 * SETTLE_S):
                time.sleep(SETTLE_S)
                parts["flood"] = echo_times(ports, options.seconds)
        for part, times in parts.items():
            for name, values in times.items():
                waits[f"{name}, {part}"].append(percentile(values, 0.99))
        print(
            f"round {number + 1} ", {where: f"{of[-1]:.2f}" for where, of in waits.items()}, file=sys.stderr
        )
    print("99th percentile of an echo, milliseconds: median of the rounds (all of them)")
    for where, values in waits.items():
        print(
            f"{where:15} {statistics.median(values):8.2f}  ({', '.join(f'{value:.2f}' for value in values)})"
        )


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` of them are."""
    return sorted(values)[int(len(values) * part)]


if __name__ == "__main__":
    main()
