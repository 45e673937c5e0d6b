"""unbound with a zone of its own, as the name server behind the SOCKS5 server."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from fakes.certificates import NAME, Certificate
from integration.servers.process import LOOPBACK, Process, free_port, program

BIG_TXT = [f"{number:03d}" * 80 for number in range(12)]
"""One record of 12 strings of 240 octets: too large for a UDP answer, so that TC and TCP come in."""

EXAMPLE = f"""\
$ORIGIN example.
@      3600 SOA   ns root 1 7200 900 1209600 60
@      3600 NS    ns
ns     3600 A     192.0.2.53
www     300 A     192.0.2.80
www     300 AAAA  2001:db8::80
alias   300 CNAME www
short     1 A     192.0.2.1
big     300 TXT   {" ".join(BIG_TXT)}
"""

ZONES = {"example.": EXAMPLE}

CONFIG = """\
server:
interface: {host}@{port}
port: {port}
access-control: 127.0.0.0/8 allow
do-daemonize: no
use-syslog: no
logfile: ""
username: ""
chroot: ""
directory: "{folder}"
pidfile: ""
module-config: "iterator"
num-threads: 1
remote-control:
control-enable: no
"""

AUTH_ZONE = """\
auth-zone:
name: "{origin}"
zonefile: "{path}"
for-upstream: no
"""

ENCRYPTED = """\
server:
interface: {host}@{tls_port}
interface: {host}@{https_port}
tls-port: {tls_port}
https-port: {https_port}
tls-service-pem: "{certificate.chain}"
tls-service-key: "{certificate.key}"
http-endpoint: "/dns-query"
"""


class Unbound:
    """`unbound` on one port for UDP and TCP, running from entry to exit.

    With a certificate it has a port for DNS over TLS, and one for DNS over HTTPS.
    """

    programs = ("unbound",)

    def __init__(
        self, folder: Path, zones: Mapping[str, str] = ZONES, *, certificate: Certificate | None = None
    ) -> None:
        """`zones` are master files by their origin."""
        self.port, self.tls_port, self.https_port = free_port(), free_port(), free_port()
        self._folder = folder
        self._zones = zones
        self._certificate = certificate

    def __enter__(self) -> Self:
        path = self._folder / "unbound.conf"
        path.write_text(self._config() + "".join(map(self._auth_zone, self._zones)))
        self._process = Process([program("unbound") or "unbound", "-d", "-c", str(path)], self._folder)
        self._process.wait_for_port(self.port)
        return self

    def _auth_zone(self, origin: str) -> str:
        """The clause for a zone, whose file is written."""
        path = self._folder / f"{origin}zone"
        path.write_text(self._zones[origin])
        return AUTH_ZONE.format(origin=origin, path=path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()

    def _config(self) -> str:
        config = CONFIG.format(host=LOOPBACK, port=self.port, folder=self._folder)
        if self._certificate is None:
            return config
        ports = {"tls_port": self.tls_port, "https_port": self.https_port}
        return config + ENCRYPTED.format(host=LOOPBACK, certificate=self._certificate, **ports)

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens, by the scheme of an upstream."""
        return {"udp": self.port, "tcp": self.port, "tls": self.tls_port, "https": self.https_port}

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def upstream(self, scheme: str) -> str:
        """How the resolver is to ask it; the certificate has to be for NAME and the address."""
        return {
            "udp": f"udp://{self.address}",
            "tcp": f"tcp://{self.address}",
            "tls": f"tls://{LOOPBACK}:{self.tls_port}#{NAME}",
            "https": f"https://{LOOPBACK}:{self.https_port}/dns-query",
        }[scheme]
