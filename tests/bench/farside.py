"""Two network namespaces joined by a cable: forwarder and clients here, server and targets on the far side.

Each side has a loopback of its own, so a target may have the very address that the forwarder listens on; and
nothing of the machine's own network is touched. run.sh starts this process in a namespace made for it.
"""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fakes.waiting import wait_until

NEAR, FAR = "192.0.2.1", "192.0.2.2"


def _namespace(process: int | str) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


def _ip(words: str, inside: Sequence[str] = ()) -> None:
    subprocess.run([*inside, "ip", *words.split()], check=True)


class FarSide:
    """The far namespace and the cable, there from entry to exit; `inside` runs a command over there."""

    inside: tuple[str, ...]

    def __enter__(self) -> Self:
        if [name for _, name in socket.if_nameindex()] != ["lo"]:
            raise SystemExit("this network has interfaces already: start the comparison by run.sh")
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        pid, here = self._holder.pid, _namespace("self")
        wait_until(lambda: _namespace(pid) != here, seconds=5, what="a network namespace")
        self.inside = ("nsenter", f"--net=/proc/{pid}/ns/net")
        _ip(f"link add cable type veth peer name cable netns {pid}")
        for address, inside in ((NEAR, ()), (FAR, self.inside)):
            _ip("link set lo up", inside)
            _ip(f"address add {address}/24 dev cable", inside)
            _ip("link set cable up", inside)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.kill()
        self._holder.wait()
