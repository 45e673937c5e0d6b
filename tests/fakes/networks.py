"""Two machines, as far as their networks go: a server's and a user's, joined by a cable."""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from fakes.waiting import wait_until

T = TypeVar("T")

THERE = "198.51.100.1"
"""The address of the server's machine."""

HERE, HERE_LATER = "198.51.100.2", "198.51.100.3"
"""Those of the user's, before and after it is given another."""

_CLONE_NEWNET = 0x4000_0000


def why_not() -> str:
    """What keeps such networks from being there; empty where nothing does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root of a Linux"
    missing = [name for name in ("unshare", "nsenter", "ip", "nft") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Network:
    """One of the two; what is started in it is in it, and so is every socket that is made by `call`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._place = f"/proc/{process.pid}/ns/net"
        own = Path("/proc/self/ns/net").readlink()
        wait_until(lambda: _is_other(self._place, own), seconds=10, what="a network")
        self.run("ip", "link", "set", "lo", "up")

    @property
    def prefix(self) -> Sequence[str]:
        """What begins a command that is to run in it."""
        return ["nsenter", f"--net={self._place}", "--"]

    def run(self, *command: str) -> str:
        """What a command prints there."""
        whole = [*self.prefix, *command]
        return subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=True).stdout

    def drop_from_ports(self, first: int, last: int) -> None:
        """Let nothing in that comes from so numbered ports, without a word."""
        table, chain = ("inet", "cut"), ("inet", "cut", "input")
        self.run("nft", "add", "table", *table)
        self.run("nft", "add", "chain", *chain, "{ type filter hook input priority 0; }")
        for protocol in ("tcp", "udp"):
            from_ports = ("iifname", "cable", protocol, "sport", f"{first}-{last}")
            self.run("nft", "add", "rule", *chain, *from_ports, "drop")

    def call(self, work: Callable[[], T]) -> T:
        """What `work` gives; the threads that it starts are there too."""
        return _inside(self._place, work)


def in_network_of(pid: int, work: Callable[[], T]) -> T:
    """What `work` gives, in the network of that process."""
    return _inside(f"/proc/{pid}/ns/net", work)


def _inside(place: str, work: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def main() -> None:
        try:
            _enter(place)
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised below
            failure.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _enter(place: str) -> None:
    """For the calling thread, and those that it starts."""
    with Path(place).open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def _is_other(place: str, own: Path) -> bool:
    with suppress(OSError):
        return Path(place).readlink() != own
    return False


@contextmanager
def networks() -> Iterator[tuple[Network, Network]]:
    """The server's and the user's."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(["unshare", "-n", "sleep", "infinity"])) for _ in range(2)
        ]
        for process in processes:
            stack.callback(process.kill)
        there, here = (Network(process) for process in processes)
        cable = ("name", "cable", "netns", str(processes[1].pid))
        there.run("ip", "link", "add", "cable", "type", "veth", "peer", *cable)
        for network, address in ((there, THERE), (here, HERE)):
            network.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            network.run("ip", "link", "set", "cable", "up")
        for network in (there, here):
            wait_until(partial(_is_up, network), seconds=10, what="the cable is up")
        yield there, here


def _is_up(network: Network) -> bool:
    """Whether the kernel says so: for a second it may carry all and be down by name."""
    return "state UP" in network.run("ip", "link", "show", "cable")


def connected(address: tuple[str, int], kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A local program's socket; for `Network.call`."""
    sock = socket.socket(type=kind)
    sock.settimeout(5)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock
