"""The forwarders that are compared: a line each in PEERS, and a template in peers/."""

import shlex
import string
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.waiting import wait_until
from integration.servers.process import Process, accepts, program

TEMPLATES = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """A forwarder: what it is called, what starts it, and what its configuration is made from."""

    name: str
    command: str
    """`$config` stands for the configuration's path."""
    template: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)

    def is_installed(self) -> bool:
        return program(self.words[0]) is not None


PEERS = (
    Peer("sockslocal", f"{sys.executable} -m sockslocal run --config $config", "sockslocal.toml"),
    Peer("v2ray", "v2ray -config $config", "v2ray.json"),
    Peer("redsocks", "redsocks -c $config", "redsocks.conf"),
)


@contextmanager
def running(peer: Peer, folder: Path, values: Mapping[str, object], ports: list[int]) -> Iterator[Process]:
    """The forwarder with `values` in its template, from when it accepts on all `ports` until it is gone."""
    config = folder / peer.template
    config.write_text(string.Template((TEMPLATES / peer.template).read_text()).substitute(values))
    config.chmod(0o600)
    words = [string.Template(word).substitute(config=config) for word in peer.words]
    words[0] = program(words[0]) or words[0]
    places = {"SOCKSLOCAL_RUNTIME_DIR": str(folder / "run"), "SOCKSLOCAL_STATE_DIR": str(folder / "state")}
    process = Process(words, folder, environment=places)
    try:
        for port in ports:
            process.wait_for_port(port)
        yield process
    finally:
        process.stop()
        wait_until(lambda: not any(map(accepts, ports)), seconds=10, what="the ports are free again")
