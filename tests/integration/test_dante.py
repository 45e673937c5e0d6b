"""The main job, whole, through Dante: large transfers, half-close, many at a time, datagrams, DNS."""

import asyncio
import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.targets import udp_echo
from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, dns, tcp, temporary_daemon, udp
from integration.local import LocalUdp, dig, random_bytes
from integration.servers.process import LOOPBACK, free_port, which
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets, late_answer
from integration.servers.unbound import BIG_TXT, Unbound
from integration.servers.web import WebServer, digest_of, write_random_file

MEGABYTES = 200
PARALLEL, PARALLEL_OCTETS = 500, 50_000


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A daemon, and the ports of its forwards."""

    daemon: Daemon
    echo: int
    late: int
    web: int
    udp: int
    dns: int


@dataclass(frozen=True, slots=True)
class Site:
    """A web server behind the tunnel, the path of its file and the digest of that."""

    server: WebServer
    path: Path
    digest: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A web server with a file of 200 MB."""
    path = tmp_path_factory.mktemp("web") / "file"
    digest = write_random_file(path, MEGABYTES)
    with WebServer(path) as server:
        yield Site(server, path, digest)
    path.unlink()


@pytest.fixture(scope="module", params=["udp", "tcp"])
def tunnel(
    request: pytest.FixtureRequest, dante: SocksServer, targets: Targets, unbound: Unbound, site: Site
) -> Iterator[Tunnel]:
    """A daemon before Dante, with DNS by `udp://`, then one by `tcp://`."""
    with temporary_daemon() as daemon, udp_echo() as probe:
        tunnel = Tunnel(daemon, *(free_port() for _ in range(5)))
        asked = {"udp_probe": f"{probe[0]}:{probe[1]}"}
        daemon.configure(
            daemon.server(dante.address, username=dante.username, password=PASSWORD, **asked),
            tcp("echo", tunnel.echo, targets.echo_port),
            tcp("late", tunnel.late, targets.late_port),
            tcp("web", tunnel.web, site.server.port, host="localhost"),
            udp("echoes", tunnel.udp, targets.udp_port),
            dns(tunnel.dns, f"{request.param}://{unbound.address}"),
        )
        daemon.start()
        yield tunnel


only_once = pytest.mark.parametrize("tunnel", ["udp"], indirect=True)
"""For what has nothing to do with DNS."""


@only_once
def test_download(tunnel: Tunnel, site: Site) -> None:
    """Curl fetches 200 MB with the right SHA-256."""
    skip_without("curl")
    words = [which("curl"), "-sS", "--fail", f"http://{LOOPBACK}:{tunnel.web}/"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as curl:
        assert isinstance(curl.stdout, io.BufferedReader)
        assert digest_of(curl.stdout) == site.digest
    assert curl.returncode == 0
    assert tunnel.daemon.status().forwards["web"].bytes.received >= MEGABYTES * 1_000_000


@only_once
def test_upload(tunnel: Tunnel, site: Site) -> None:
    """Curl puts 200 MB, and what arrives has the right SHA-256."""
    skip_without("curl")
    words = [which("curl"), "-sS", "--fail", "-T", str(site.path), f"http://{LOOPBACK}:{tunnel.web}/"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == site.digest
    assert tunnel.daemon.status().forwards["web"].bytes.sent >= MEGABYTES * 1_000_000


@only_once
def test_half_close(tunnel: Tunnel) -> None:
    """`nc -N` closes its direction, and still gets the whole answer that comes only after that."""
    skip_without("nc")
    question = random_bytes(1_000_000)
    words = [which("nc"), "-N", LOOPBACK, str(tunnel.late)]
    done = subprocess.run(words, input=question, capture_output=True, check=True, timeout=30)
    assert done.stdout == late_answer(len(question))


async def _transfer(port: int) -> bool:
    """Whether octets of its own come back to one of many clients, with the end after them."""
    payload = random_bytes(PARALLEL_OCTETS)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(payload)
    writer.write_eof()
    received = await reader.read(-1)
    writer.close()
    return received == payload


@only_once
def test_many_at_a_time(tunnel: Tunnel) -> None:
    """500 transfers in parallel, each with octets of its own, are all correct."""

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(_transfer(tunnel.echo) for _ in range(PARALLEL)))

    before = tunnel.daemon.status().forwards["echo"].connections
    assert all(asyncio.run(all_of_them()))
    after = tunnel.daemon.wait_for(lambda status: status.forwards["echo"].connections.open == 0)
    counted = after.forwards["echo"].connections
    assert (counted.total - before.total, counted.failed) == (PARALLEL, 0)


@only_once
@pytest.mark.parametrize("size", [1, 512, 1_400, 9_000, 60_000])
def test_datagrams(tunnel: Tunnel, size: int) -> None:
    """Echoes of all sizes come back whole."""
    payload = random_bytes(size)
    with LocalUdp(tunnel.udp) as local:
        assert local.echo(payload) == payload


@only_once
def test_empty_datagrams(tunnel: Tunnel) -> None:
    """They come back too, once it is found out, and remembered, that Dante does not die of them."""
    with LocalUdp(tunnel.udp) as local:
        assert local.echo(b"not empty") == b"not empty"
        wait_until(lambda: local.echoes(b""), seconds=10, what="an empty datagram comes back")
        assert local.echo(b"alive") == b"alive"


def test_dns(tunnel: Tunnel) -> None:
    """Dig gets answers over UDP and TCP, positive and negative ones, and aliases."""
    skip_without("dig")
    for options in ((), ("+tcp",)):
        assert dig(tunnel.dns, "www.example", "A", *options).records == ["192.0.2.80"]
        assert dig(tunnel.dns, "alias.example", "A", *options).records == ["www.example.", "192.0.2.80"]
        assert dig(tunnel.dns, "none.example", "A", *options).code == "NXDOMAIN"


def test_large_dns_answers(tunnel: Tunnel) -> None:
    """What is too large for UDP comes over TCP, for dig turns to TCP when it is told that it was cut."""
    skip_without("dig")
    answer = dig(tunnel.dns, "big.example", "TXT")
    assert answer.over_tcp
    assert answer.records == [" ".join(f'"{text}"' for text in BIG_TXT)]
    cut = dig(tunnel.dns, "big.example", "TXT", "+ignore", "+bufsize=1232")
    assert (cut.code, cut.over_tcp) == ("NOERROR", False)


def test_dns_answers_are_kept(tunnel: Tunnel) -> None:
    """The second time the answer comes from the cache."""
    skip_without("dig")
    dig(tunnel.dns, "ns.example")
    before = tunnel.daemon.status().dns
    assert dig(tunnel.dns, "ns.example").records == ["192.0.2.53"]
    after = tunnel.daemon.status().dns
    assert before is not None
    assert after is not None
    assert (after.queries - before.queries, after.cache_hits - before.cache_hits) == (1, 1)
