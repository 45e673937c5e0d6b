import asyncio
import socket
from typing import Any

import pytest

from fakes.engine import turns
from fakes.socks5_server import FakeServer, Script
from fakes.supervised import Made, Run, connected, dns, echoes, is_cut, office, tcp, udp
from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.supervisor import dns as dns_module
from sockslocal.supervisor import services


def test_draining_lets_connections_end(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """No new ones are accepted; it returns as soon as the open ones have ended."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        connection = await connected(port)
        draining = asyncio.create_task(made.supervisor.drain(3600.0))
        await turns()
        with pytest.raises(ConnectionRefusedError):
            await connected(port)
        await echoes(connection)
        assert not draining.done()
        connection[1].close()
        async with asyncio.timeout(10):
            await draining

    run(test)


def test_draining_is_told(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Whoever watches hears at once that it stops, and how long that may take; nothing listens any more."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), udp("game", ports[1], tcp_target))
        await made.up()
        connection = await connected(ports[0])
        seq, _ = await made.supervisor.changes.after(-1)
        draining = asyncio.create_task(made.supervisor.drain(3600.0))
        async with asyncio.timeout(10):
            while True:
                seq, shown = await made.supervisor.changes.after(seq)
                if shown.daemon.state == "stopping":
                    break
        assert shown.daemon.stops_within_s is not None
        assert 3000.0 < shown.daemon.stops_within_s <= 3600.0
        assert {name: forward.state for name, forward in shown.forwards.items()} == {
            "db": "off",
            "game": "listening",
        }
        assert shown.forwards["db"].connections.open == 1
        connection[1].close()
        async with asyncio.timeout(10):
            await draining

    run(test)


def test_draining_has_an_end(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """What does not end by itself is cut by closing."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        connection = await connected(port)
        async with asyncio.timeout(10):
            await made.supervisor.drain(0.01)
        await echoes(connection)
        await made.supervisor.close()
        await is_cut(connection)

    run(test)


def test_nothing_opens_while_it_drains(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that was in use is not tried again then."""
    monkeypatch.setattr(services, "FIRST_RETRY_S", 0.01)
    ports = free_port(), free_port()
    taken = socket.create_server(("127.0.0.1", ports[0]))

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target))
        await made.up()
        connection = await connected(ports[1])
        draining = asyncio.create_task(made.supervisor.drain(0.2))
        await turns()
        taken.close()
        await draining
        assert made.status.forwards["db"].state == "error"
        connection[1].close()

    with taken:
        run(test)


def test_nothing_is_switched_on_while_it_drains(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Nor by a reload; what is on may still be switched off."""
    ports = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        forwards = tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target)
        made.apply(office(server), *forwards)
        await made.up()
        made.supervisor.switch(["web"], on=False)
        connection = await connected(ports[0])
        draining = asyncio.create_task(made.supervisor.drain(3600.0))
        await turns()
        made.supervisor.switch(["web"], on=True)
        made.reload(office(server), *forwards, tcp("mail", ports[2], tcp_target))
        states = {name: forward.state for name, forward in made.status.forwards.items()}
        assert states == {"db": "off", "web": "off", "mail": "off"}
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                await connected(port)
        await echoes(connection)
        made.supervisor.switch([], on=False)
        await is_cut(connection)
        made.supervisor.switch([], on=True)
        assert made.supervisor._servers == {}
        async with asyncio.timeout(10):
            await draining

    run(test)


def test_a_resolver_that_was_replaced_is_waited_for(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing ends no sooner than what was begun to be closed before."""
    monkeypatch.setattr(dns_module, "CLOSE_GRACE_S", 0.2)
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        server.script = Script(reply=7)
        made.apply(office(server), dns(ports[0]))
        await made.up()
        made.reload(office(server), dns(ports[1]))
        assert len(made.supervisor._endings) == 1
        await made.supervisor.close()
        assert made.supervisor._endings == set()

    run(test)


def test_closing_cancels_what_is_read(run: Run, server: FakeServer) -> None:
    """A password that is being read is nobody's any more."""
    cancelled: list[bool] = []

    async def test(made: Made) -> None:
        async def read(_config: object) -> Any:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        made.supervisor._read_password = read
        made.apply(office(server))
        await turns()

    run(test)
    assert cancelled == [True]
