"""How the resolver does with a bad way to its server, and without one for minutes, while dnsperf asks.

    sh tests/bench/dns_outage.sh                              both, with TCP as the way to the name server
    sh tests/bench/dns_outage.sh --scheme udp --only outage --seconds 60

`loss` drops 5 % of what passes between the daemon and Dante, in both directions, while known and new names
are asked for.

`outage` drops all of it while known names are asked for, whose TTLs have ended before: each answer is a
stale one. New names are asked for beside, so many that the table of those that wait is full. When the server
is back, a known name and new ones are asked for every 20 ms until an answer is fresh; the load goes on
meanwhile, and once more at the end.

It fails where a known name was not answered, or a new one after the outage, memory grew in the second half,
or the first fresh answer took more than 2 s. With losses new names may find that too many wait already.

Needed: dnsperf, unbound, danted with libnss_wrapper.so, nft and ip.
"""

import argparse
import itertools
import math
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.message

from bench.usage import usage
from fakes.certificates import NAME, Authority
from integration.daemon import Daemon, temporary_daemon
from integration.daemon import dns as dns_section
from integration.servers.dante import Dante
from integration.servers.process import LOOPBACK, free_port, program, which
from integration.servers.socks import PASSWORD
from integration.servers.unbound import Unbound
from sockslocal.control.client import Client

PACKAGES = {
    "dnsperf": "dnsperf",
    "unbound": "unbound",
    "danted": "dante-server",
    "libnss_wrapper.so": "libnss-wrapper",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
}

KNOWN, TTL_S = 5_000, 5
KNOWN_QPS, NEW_QPS = 2_000, 500
"""The new names of five seconds are more than may wait at a time."""

ACROSS_S, AFTER_S = 25, 10
"""Seconds of load across the server's return, which comes after 5 of them, and of load at the end."""

WITHIN_S = 2.0
GROWTH_MB = 4.0
"""What the daemon may take more in the second half than in the first."""

STALE_TTL = 30

ZONE = f"""\
$ORIGIN outage.example.
@      3600     SOA ns root 1 7200 900 1209600 60
@      3600     NS  ns
ns     3600     A   192.0.2.53
*.new  {TTL_S}  A   192.0.2.2
"""


class Way:
    """What passes between the daemon and its server, on the loopback of a namespace of our own."""

    def __init__(self, server: int, *others: int) -> None:
        """`server` is its port; datagrams to and from the ports of `others` go another way."""
        ports = ", ".join(map(str, others))
        self._passing = [
            f"udp dport {{ {ports} }} accept",
            f"udp sport {{ {ports} }} accept",
        ]
        self._server = server
        self._nft("add table inet way; add chain inet way in { type filter hook input priority 0; }")

    def lose(self, condition: str = "") -> None:
        """Drop all that meets `condition`."""
        mine = (f"tcp dport {self._server}", f"tcp sport {self._server}", "meta l4proto udp")
        rules = [*self._passing, *(f"{which_ones} {condition} drop" for which_ones in mine)]
        self._nft("; ".join(f"add rule inet way in {rule}" for rule in rules))

    def mend(self) -> None:
        """Drop nothing."""
        self._nft("flush chain inet way in")

    def _nft(self, words: str) -> None:
        subprocess.run([which("nft"), words], check=True)


@dataclass
class World:
    """A daemon before Dante, before a name server; and dnsperf."""

    daemon: Daemon
    way: Way
    port: int
    folder: Path
    new: int = 0
    """New names that have been asked for."""

    def known(self) -> Path:
        """The questions for known names."""
        path = self.folder / "known"
        path.write_text("".join(f"h{number}.outage.example A\n" for number in range(KNOWN)))
        return path

    def unknown(self, count: int) -> Path:
        """As many questions for names that nobody has asked for."""
        path = self.folder / f"new{self.new}"
        path.write_text("".join(f"n{self.new + number}.new.outage.example A\n" for number in range(count)))
        self.new += count
        return path

    @contextmanager
    def loads(self, seconds: int, figures: dict[str, str], heading: str) -> Iterator[None]:
        """Both loads, for so many `seconds`; what they say is in `figures` afterwards."""
        kinds = {
            "known names": (self.known(), KNOWN_QPS),
            "new names": (self.unknown((seconds + 5) * NEW_QPS), NEW_QPS),
        }
        running = {kind: self.dnsperf(*load, "-l", str(seconds)) for kind, load in kinds.items()}
        yield
        for kind, perf in running.items():
            figures[f"{heading}, {kind}"] = said(perf.communicate()[0])

    def dnsperf(self, questions: Path, qps: int, *limits: str) -> "subprocess.Popen[str]":
        """A load that begins now."""
        words = [which("dnsperf"), "-s", LOOPBACK, "-p", str(self.port), "-d", str(questions)]
        words += ["-e", "-c", "8", "-q", "20000", "-t", "10", "-Q", str(qps), *limits]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def learn(self) -> None:
        """Have all known names asked for, until none of them fails."""
        for qps in (KNOWN_QPS, KNOWN_QPS // 4, KNOWN_QPS // 16):
            told = said(self.dnsperf(self.known(), qps, "-n", "1").communicate()[0])
            if share(told, "NOERROR") == 100:
                return
        raise SystemExit(f"not all names could be learned: {told}")


class Memory:
    """What the daemon takes, in MB, looked at twice a second."""

    def __init__(self, pid: int) -> None:
        self.seen: list[float] = []
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def now(self) -> float:
        return usage(self._pid).resident_bytes / 1e6

    def judged(self, before: float, figures: dict[str, str]) -> Iterator[str]:
        """What it was, beside the MB `before`, and whether it grew to the end."""
        half = len(self.seen) // 2
        early, late = max(self.seen[:half]), max(self.seen[half:])
        halves = f"at most {early:.1f} in the first half, {late:.1f} in the second"
        figures["memory in MB"] = f"{before:.1f} before; {halves}"
        if late > early + GROWTH_MB:
            yield "memory grew"

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            self.seen.append(self.now)


class Probe:
    """Asks for one name after the other every 20 ms, until an answer is a fresh one."""

    def __init__(self, port: int, names: Iterator[str]) -> None:
        self._names = names
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.settimeout(0.02)
        self._sock.connect((LOOPBACK, port))

    def seconds(self, since: float) -> float | None:
        """How long after `since`; None where half a minute was not enough."""
        with self._sock:
            while time.monotonic() < since + 30:
                self._sock.send(dns.message.make_query(next(self._names), "A").to_wire())
                if self._hears():
                    return time.monotonic() - since
        return None

    def _hears(self) -> bool:
        """Whether a fresh answer has come; waits up to 20 ms for any."""
        try:
            answer = dns.message.from_wire(self._sock.recv(4096))
        except TimeoutError:
            return False
        return bool(answer.answer) and answer.answer[0].ttl != STALE_TTL


def said(report: str) -> str:
    """Of dnsperf's report what matters: how many were answered with which code, how many not, how fast."""
    wanted = {"codes": "Response codes", "lost": "Queries lost", "seconds": r"Average Latency \(s\)"}
    found = {word: re.search(rf"{heading}:\s+(.+)", report) for word, heading in wanted.items()}
    return "; ".join(f"{word} {match[1].strip()}" for word, match in found.items() if match)


def share(text: str, code: str) -> float:
    """The share of `code` in what `said` gave, in percent."""
    match = re.search(rf"{code} \d+ \(([\d.]+)%\)", text)
    return float(match[1]) if match else 0.0


def loss(world: World, seconds: int, figures: dict[str, str]) -> Iterator[str]:
    """5 % of all packets are lost in each direction."""
    with Memory(world.daemon.pid) as memory:
        before = memory.now
        world.way.lose("numgen random mod 100 < 5")
        with world.loads(seconds, figures, "with 5 % loss"):
            pass
        world.way.mend()
    yield from memory.judged(before, figures)
    yield from (f"{kind}: not all were answered" for kind in lacking(figures))


def outage(world: World, seconds: int, figures: dict[str, str]) -> Iterator[str]:
    """Nothing passes for a while."""
    with Memory(world.daemon.pid) as memory:
        before = memory.now
        world.way.lose()
        time.sleep(TTL_S + 1)
        with world.loads(seconds, figures, "without the server"):
            pass
        yield from memory.judged(before, figures)
        with world.loads(ACROSS_S, figures, "across its return"):
            time.sleep(5)
            world.way.mend()
            took = fresh_again(world, time.monotonic())
        with world.loads(AFTER_S, figures, "afterwards"):
            pass
        figures["memory in MB, afterwards"] = f"{memory.now:.1f}"
    figures |= {f"fresh after its return, {kind}": f"{after:.2f} s" for kind, after in took.items()}
    if min(took.values()) > WITHIN_S:
        yield f"the first fresh answer took more than {WITHIN_S:g} s"
    yield from (f"{kind}: not all were answered" for kind in lacking(figures))


def fresh_again(world: World, since: float) -> dict[str, float]:
    """How long after `since` a known and a new name had fresh answers."""
    names = {
        "a known name": itertools.repeat("h7.outage.example"),
        "a new name": (f"p{number}.new.outage.example" for number in itertools.count()),
    }
    with ThreadPoolExecutor() as pool:
        probes = {kind: pool.submit(Probe(world.port, found).seconds, since) for kind, found in names.items()}
    return {kind: probe.result() or math.inf for kind, probe in probes.items()}


def lacking(figures: dict[str, str]) -> Iterator[str]:
    """The loads of which all had to be answered, and were not."""
    for kind, text in figures.items():
        if (
            ("known names" in kind or "afterwards" in kind)
            and "codes" in text
            and share(text, "NOERROR") < 100
        ):
            yield kind


CASES: dict[str, Callable[[World, int, dict[str, str]], Iterator[str]]] = {"loss": loss, "outage": outage}


@contextmanager
def made(scheme: str) -> Iterator[World]:
    """All of it, with the known names in the cache."""
    with tempfile.TemporaryDirectory(prefix="bench") as name, temporary_daemon() as daemon:
        folder, port = Path(name), free_port()
        authority = Authority(folder)
        known = "".join(f"h{number} {TTL_S} A 192.0.2.1\n" for number in range(KNOWN))
        with (
            Unbound(
                folder, {"outage.example.": ZONE + known}, certificate=authority.issue(NAME, LOOPBACK)
            ) as upstream,
            Dante(folder) as server,
        ):
            daemon.configure(
                daemon.server(server.address, username=server.username, password=PASSWORD),
                dns_section(port, upstream.upstream(scheme), ca=str(authority.ca)),
            )
            daemon.start()
            world = World(daemon, Way(server.port, port, upstream.port), port, folder)
            world.learn()
            yield world


def missing() -> str:
    """The packages of all that is not installed."""
    programs = [name for name in PACKAGES if not name.endswith(".so") and program(name) is None]
    return " ".join(sorted({PACKAGES[name] for name in (*programs, *Dante.missing())}))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scheme", default="tcp", choices=("udp", "tcp", "tls", "https"))
    parser.add_argument("--only", choices=tuple(CASES))
    parser.add_argument("--seconds", type=int, default=300, help="of each; 300 by default")
    options = parser.parse_args()
    if packages := missing():
        sys.exit(f"not installed: apt-get install --no-install-recommends {packages}")
    subprocess.run([which("ip"), "link", "set", "lo", "up"], check=True)
    complaints: list[str] = []
    for case in [options.only] if options.only else CASES:
        figures: dict[str, str] = {}
        with made(options.scheme) as world:
            complaints += CASES[case](world, options.seconds, figures)
            counted = Client(world.daemon.paths).call("dns.status")
        figures["questions that no upstream answered"] = str(counted["failed"])
        figures["stale answers that were revived, each for up to 30 s"] = str(counted["stale"])
        lines = (f"{case} {options.scheme}: {kind}: {value}" for kind, value in figures.items())
        print("\n".join(lines), flush=True)
    sys.exit("; ".join(complaints) or 0)


if __name__ == "__main__":
    main()
