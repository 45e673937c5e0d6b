"""stunnel: TLS in front of a server that has none of its own."""

from pathlib import Path

from fakes.certificates import Certificate
from integration.servers.process import LOOPBACK, Process, free_port, which

PROGRAM = "stunnel4"

CONFIG = """\
foreground = yes
pid =
debug = info
[socks]
accept = {host}:{port}
connect = {behind}
cert = {certificate.chain}
key = {certificate.key}
sslVersionMin = TLSv1.2
sslVersionMax = {version}
"""


class Stunnel:
    """A running one, in `folder`, before the server at `behind`."""

    def __init__(self, folder: Path, behind: str, certificate: Certificate, *, version: str) -> None:
        self.port = free_port()
        path = folder / "stunnel.conf"
        path.write_text(
            CONFIG.format(
                host=LOOPBACK, port=self.port, behind=behind, certificate=certificate, version=version
            )
        )
        self.process = Process([which(PROGRAM), str(path)], folder)
        self.process.wait_for_port(self.port)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"
