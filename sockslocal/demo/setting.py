"""The demo's folder: configuration, password file, the daemon's places."""

import random
import secrets
import shlex
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sockslocal.address import Endpoint
from sockslocal.demo.targets import DNS_PORT, ECHO, ECHO_PORT, HOSTS, NAMES, WEB, WEB_PORT
from sockslocal.files import write_atomically
from sockslocal.paths import Paths
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials

USERNAME = "ana"
SERVER = "proxy"

_SELDOM_USED = range(20_000, 32_000)
"""Ports that no system gives away by itself, so that nobody takes one between here and the daemon."""

_CONFIG = """\
[server.{server}]
address = "{address}"
udp_probe = "{upstream}"
username = "{username}"
password_from = "file:{password}"

[tcp.echo]
listen = "{echo}"
to = "{echo_to}"

[tcp.web]
listen = "{web}"
to = "{web_to}"

[udp.echo-udp]
listen = "{udp}"
to = "{echo_to}"

[dns]
listen = "{dns}"
upstreams = ["udp://{upstream}"]

[dns.rules]
"test" = "udp://{upstream}"
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where things are, and where the daemon is to listen; `spare` is for a forward that the user adds."""

    folder: Path
    echo: Endpoint
    web: Endpoint
    udp: Endpoint
    dns: Endpoint
    spare: Endpoint

    @classmethod
    def create(cls, folder: Path) -> "Setting":
        """A setting in the empty `folder`, with ports that are free now."""
        return cls(folder, *_free_ports(5))

    @property
    def paths(self) -> Paths:
        return paths_in(self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command of this installation talk to the demo's daemon and to no other."""
        return {
            "SOCKSLOCAL_CONFIG": str(self.paths.config),
            "SOCKSLOCAL_RUNTIME_DIR": str(self.paths.runtime),
            "SOCKSLOCAL_STATE_DIR": str(self.paths.state),
        }

    @property
    def environment_script(self) -> Path:
        """A file for the user's shell that sets `environment`, and finds `sockslocal`."""
        return self.folder / ("env.ps1" if sys.platform == "win32" else "env")

    def write(self, server: Endpoint, credentials: Credentials) -> None:
        """The configuration for the server at `server`, the password file and the shell's file."""
        password = self.folder / "password"
        write_atomically(password, f"{credentials.password.reveal()}\n".encode())
        text = _CONFIG.format(
            server=SERVER,
            address=server,
            username=credentials.username,
            password=password.as_posix(),
            echo=self.echo,
            echo_to=Endpoint(ECHO, ECHO_PORT),
            web=self.web,
            web_to=Endpoint(WEB, WEB_PORT),
            udp=self.udp,
            dns=self.dns,
            upstream=Endpoint(HOSTS[NAMES], DNS_PORT),
        )
        write_atomically(self.paths.config, text.encode())
        write_atomically(self.environment_script, self._environment_script().encode())

    def _environment_script(self) -> str:
        programs = Path(sys.executable).parent
        if sys.platform == "win32":
            lines = [f"$env:{name} = '{value}'" for name, value in self.environment.items()]
            return "\n".join([*lines, f"$env:PATH = '{programs};' + $env:PATH", ""])
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return "\n".join([*lines, f'export PATH={shlex.quote(str(programs))}:"$PATH"', ""])


def paths_in(folder: Path) -> Paths:
    """The daemon's places in the demo's folder."""
    return Paths(folder / "config.toml", folder / "run", folder / "state")


def new_credentials() -> Credentials:
    """A login with a password that nobody has had before."""
    return Credentials(USERNAME, Secret(secrets.token_urlsafe(16)))


def _free_ports(count: int) -> list[Endpoint]:
    """Ports of loopback that are free for TCP and for UDP; nobody keeps them so."""
    found: list[Endpoint] = []
    with ExitStack() as held:
        for port in random.sample(_SELDOM_USED, len(_SELDOM_USED)):
            address = ("127.0.0.1", port)
            try:
                held.enter_context(socket.create_server(address))
                held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(address)
            except OSError:
                continue
            found.append(Endpoint(*address))
            if len(found) == count:
                break
    return found
