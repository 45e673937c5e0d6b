"""Thousands of open connections while the configuration changes."""

import asyncio
import resource
from collections.abc import Iterator

import pytest

from integration.daemon import Daemon, tcp
from integration.local import echoes
from integration.servers.process import LOOPBACK, free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets

HELD = 2_000
AT_ONCE = 100
DESCRIPTORS = 3 * HELD

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module", autouse=True)
def _descriptors() -> Iterator[None]:
    """Enough of them for the clients and the targets in this process, and for what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != hard < DESCRIPTORS:
        pytest.skip(f"{DESCRIPTORS} descriptors are needed, but the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _open(port: int, turns: asyncio.Semaphore) -> Connection:
    async with turns:
        connection = await asyncio.open_connection(LOOPBACK, port)
        assert await _is_alive(connection, b"first")
        return connection


async def _is_alive(connection: Connection, word: bytes) -> bool:
    reader, writer = connection
    writer.write(word)
    try:
        return await reader.readexactly(len(word)) == word
    except (OSError, asyncio.IncompleteReadError):
        return False


@pytest.mark.serial
def test_none_is_lost(daemon: Daemon, dante: SocksServer, targets: Targets) -> None:
    """2,000 connections outlive an edit of the file that adds a forward, which works."""
    port, added_port = free_port(), free_port()
    sections = [
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        tcp("echo", port, targets.echo_port),
    ]
    daemon.configure(*sections)
    daemon.start()

    async def main() -> None:
        turns = asyncio.Semaphore(AT_ONCE)
        connections = await asyncio.gather(*(_open(port, turns) for _ in range(HELD)))
        daemon.configure(*sections, tcp("added", added_port, targets.echo_port))
        await asyncio.to_thread(
            daemon.wait_for, lambda s: "added" in s.forwards and s.forwards["added"].state == "listening"
        )
        alive = await asyncio.gather(*(_is_alive(connection, b"second") for connection in connections))
        assert alive.count(True) == HELD
        for _, writer in connections:
            writer.close()

    asyncio.run(main())
    assert echoes(added_port)
    status = daemon.wait_for(lambda status: status.forwards["echo"].connections.open == 0)
    counted = status.forwards["echo"].connections
    assert (counted.total, counted.failed) == (HELD, 0)
