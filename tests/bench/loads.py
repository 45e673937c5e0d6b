"""The loads that a forwarder is given, and what each is found to cost."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.usage import usage
from integration.servers.process import LOOPBACK

CONCURRENT, TOTAL, BYTES = 64, 5_000, 1_000
GIGABYTES = 4
FLOWS, WINDOW, SECONDS, PAYLOAD = 32, 8, 3, 512
WARM_UP_CONNECTIONS = 300
SETTLE_S = 0.3
"""After the load, for what the forwarder still has to do with it."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Loads:
    """Clients of the forwarder `pid`; `echo` and `bulk` are its ports."""

    generators: Path
    pid: int
    echo: int
    bulk: int

    def give(self, part: str) -> Figures:
        """The load called "tcp", "bulk" or "udp"."""
        return {"tcp": self.connections, "bulk": self.stream, "udp": self.datagrams}[part]()

    def warm_up(self) -> None:
        """Connections that do not count."""
        self._tcp(WARM_UP_CONNECTIONS)

    def connections(self) -> Figures:
        """Connections: each echoes BYTES and ends."""
        result, cpu = self._cost(lambda: self._tcp(TOTAL))
        return {
            "tcp_us": cpu / TOTAL * 1e6,
            "conn_s": TOTAL / result["seconds"],
            "p50": result["p50_ms"],
            "p99": result["p99_ms"],
        }

    def stream(self) -> Figures:
        """One stream of GIGABYTES towards the target."""
        words = ["iperf3", "--client", LOOPBACK, "--port", self.bulk, "--bytes", f"{GIGABYTES}G", "--json"]
        result, cpu = self._cost(lambda: _run(*words))
        received = result["end"]["sum_received"]
        return {"cpu_gb": cpu / (received["bytes"] / 1e9), "gbit": received["bits_per_second"] / 1e9}

    def datagrams(self) -> Figures:
        """Datagrams there and back."""
        program = self.generators / "udpload"
        _run(program, self.echo, FLOWS, 1, 1, PAYLOAD)
        words = [program, self.echo, FLOWS, WINDOW, SECONDS, PAYLOAD]
        result, cpu = self._cost(lambda: _run(*words))
        warm_up_too = 1 + 1 / SECONDS  # the load's own first second is not in its count, but costs as much
        return {
            "udp_us": cpu / (result["echoes"] * warm_up_too) * 1e6,
            "echo_s": result["echoes"] / result["seconds"],
        }

    def _tcp(self, total: int) -> Any:
        return _run(self.generators / "tcpload", self.echo, CONCURRENT, total, BYTES)

    def _cost(self, load: Callable[[], Any]) -> tuple[Any, float]:
        """What `load` returned, and the seconds of CPU time it took the forwarder."""
        before = usage(self.pid).cpu_seconds
        result = load()
        time.sleep(SETTLE_S)
        return result, usage(self.pid).cpu_seconds - before


def _run(*words: object) -> Any:
    """The JSON that a command prints; raises CalledProcessError where it fails."""
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)
