"""Compares what DNS caches make of questions whose answers they have: rate, CPU time, latency, memory.

    sh tests/bench/dns_hits.sh                     every cache that is installed
    sh tests/bench/dns_hits.sh --rounds 9 --seconds 10

Each round starts every cache afresh before the same name server (unbound with a zone of NAMES names, which
sockslocal asks through microsocks), has it learn all names, and lets dnsperf ask for them as fast as it
answers. unbound has one thread, as dnsmasq and sockslocal have.

Needed: dnsperf, unbound, microsocks, and the caches.
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr
from pathlib import Path

from bench.compare import Results, table
from bench.usage import usage
from integration.daemon import dns as dns_section
from integration.daemon import temporary_daemon
from integration.servers.microsocks import Microsocks
from integration.servers.process import LOOPBACK, Process, free_port, program, which
from integration.servers.socks import PASSWORD
from integration.servers.unbound import CONFIG, Unbound

NAMES = 2_000
CLIENTS, OUTSTANDING = 8, 200

ZONE = "$ORIGIN many.example.\n@ 3600 SOA ns root 1 7200 900 1209600 60\n@ 3600 NS ns\nns 3600 A 192.0.2.53\n"

FORWARDING = """\
server:
do-not-query-localhost: no
forward-zone:
name: "."
forward-addr: {host}@{upstream}
"""

Cache = Callable[[Path, int, int], AbstractContextManager[int]]
"""A cache that listens on a port and asks a name server on another one; gives its process."""


@contextmanager
def sockslocal(folder: Path, port: int, upstream: int) -> Iterator[int]:
    """Through a SOCKS5 server, by TCP."""
    with Microsocks(folder) as server, redirect_stderr(io.StringIO()), temporary_daemon() as daemon:
        daemon.configure(
            daemon.server(server.address, username=server.username, password=PASSWORD),
            dns_section(port, f"tcp://{LOOPBACK}:{upstream}"),
        )
        daemon.start()
        yield daemon.pid


@contextmanager
def unbound(folder: Path, port: int, upstream: int) -> Iterator[int]:
    """As a forwarder without validation."""
    config = folder / "forwarding.conf"
    places = {"host": LOOPBACK, "port": port, "folder": folder, "upstream": upstream}
    config.write_text((CONFIG + FORWARDING).format(**places))
    yield from _running([which("unbound"), "-d", "-c", str(config)], folder, port)


@contextmanager
def dnsmasq(folder: Path, port: int, upstream: int) -> Iterator[int]:
    """With room for all names."""
    options = ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--bind-interfaces"]
    where = [f"--port={port}", f"--listen-address={LOOPBACK}", f"--server={LOOPBACK}#{upstream}"]
    room = [f"--cache-size={2 * NAMES}", "--dns-forward-max=1000"]
    yield from _running([which("dnsmasq"), *options, *where, *room], folder, port)


def _running(words: list[str], folder: Path, port: int) -> Iterator[int]:
    process = Process(words, folder)
    try:
        process.wait_for_port(port)
        yield process.pid
    finally:
        process.stop()


CACHES: dict[str, Cache] = {"sockslocal": sockslocal, "unbound": unbound, "dnsmasq": dnsmasq}


def perf(port: int, questions: Path, *limits: str) -> dict[str, float]:
    """What dnsperf says of a run."""
    load = ["-c", str(CLIENTS), "-q", str(OUTSTANDING)]
    words = [which("dnsperf"), "-s", LOOPBACK, "-p", str(port), "-d", str(questions), *load, *limits]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {
        "queries": _figure("Queries completed", said),
        "queries_s": _figure("Queries per second", said),
        "dns_ms": _figure(r"Average Latency \(s\)", said) * 1000,
        "lost": _figure("Queries lost", said),
    }


def _figure(heading: str, said: str) -> float:
    found = re.search(rf"{heading}:\s+([\d.]+)", said)
    if found is None:
        raise ValueError(f"no {heading} in {said}")
    return float(found[1])


def measure(name: str, upstream: int, questions: Path, seconds: int) -> dict[str, float]:
    """One round of one cache."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder, ExitStack() as stack:
        port = free_port()
        pid = stack.enter_context(CACHES[name](Path(folder), port, upstream))
        perf(port, questions, "-n", "2", "-Q", "2000")
        before = usage(pid)
        figures = perf(port, questions, "-l", str(seconds))
        after = usage(pid)
    figures["query_us"] = (after.cpu_seconds - before.cpu_seconds) / figures.pop("queries") * 1e6
    figures["rss"] = after.resident_bytes / 1e6
    return figures


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--caches", help="names, with commas between; all of them by default")
    options = parser.parse_args()
    names = [name for name in (options.caches or ",".join(CACHES)).split(",") if _installed(name)]
    results: Results = {name: defaultdict(list) for name in names}
    hosts = [f"h{number}" for number in range(NAMES)]
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        questions = Path(folder) / "questions"
        questions.write_text("".join(f"{host}.many.example A\n" for host in hosts))
        zone = ZONE + "".join(f"{host} 3600 A 192.0.2.1\n" for host in hosts)
        with Unbound(Path(folder), zones={"many.example.": zone}) as server:
            for number in range(options.rounds):
                start = number % len(names)
                for name in names[start:] + names[:start]:
                    figures = measure(name, server.port, questions, options.seconds)
                    for key, value in figures.items():
                        results[name][key].append(value)
                    print(f"round {number + 1}  {name}: {figures}", file=sys.stderr)
    print(table(results))


def _installed(name: str) -> bool:
    installed = name == "sockslocal" or program(name) is not None
    if not installed:
        print(f"left out: {name} is not installed", file=sys.stderr)
    return installed


if __name__ == "__main__":
    main()
