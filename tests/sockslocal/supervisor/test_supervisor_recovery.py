import asyncio
import socket

from fakes.engine import until
from fakes.socks5_server import FakeServer
from fakes.supervised import Made, Run, connected, dns, echoes, is_cut, office, tcp
from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.errors import CredentialsError


def test_what_lives_goes_on(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Nothing is cut; the server is asked whether it is there, and its answer makes the resolver anew."""
    port, dns_port = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target), dns(dns_port))
        await made.up()
        connection = await connected(port)
        renewed: list[int] = []
        made.supervisor.resolver.recover = lambda: renewed.append(1)  # type: ignore[method-assign]
        for turn in (1, 2):
            made.supervisor.recover(())
            await until(lambda: len(renewed) == turn, "the resolver is made anew")  # noqa: B023
        await echoes(connection)
        connection[1].close()

    run(test)


def test_what_speaks_from_a_lost_address_is_cut(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """The program is told at once."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        connection = await connected(port)
        made.supervisor.recover({"127.0.0.1"})
        await is_cut(connection)

    run(test)


def test_the_resolver_is_made_anew_once_for_several_servers(
    run: Run, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Whichever answers first; a query that waits is asked again once, and no more than that."""

    async def test(made: Made) -> None:
        home = office(server).replace("[server.office]", "[server.home]")
        resolver = dns(free_port(), server=["office", "home"])
        made.apply(office(server), home, resolver)
        await made.up()
        await made.up("home")
        renewed: list[int] = []
        made.supervisor.resolver.recover = lambda: renewed.append(1)  # type: ignore[method-assign]
        before = len(server.sessions)
        made.supervisor.recover(())
        await until(lambda: len(server.sessions) == before + 2, "both are asked")
        await until(lambda: all(session.finished for session in server.sessions), "and have answered")
        await asyncio.sleep(0.01)
        assert renewed == [1]

    run(test)


def test_ports_and_passwords_are_tried_at_once(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """The network may bring the address to listen on, and the screen's unlocking the keyring's."""
    port = free_port()

    async def test(made: Made) -> None:
        made.password = CredentialsError.of("needs-unlock", server="office", reason="is locked")
        with socket.create_server(("127.0.0.1", port)):
            made.apply(office(server), tcp("db", port, tcp_target))
            await until(lambda: made.status.servers["office"].state == "needs-unlock", "it is locked")
            assert _state(made) == "error"
        made.password = "hunter2"
        made.supervisor.recover(())
        assert _state(made) == "listening"
        await made.up()

    run(test)


def _state(made: Made) -> str:
    return made.status.forwards["db"].state


def test_while_it_ends_nothing_is_opened(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """As by a reload."""
    port = free_port()

    async def test(made: Made) -> None:
        with socket.create_server(("127.0.0.1", port)):
            made.apply(office(server), tcp("db", port, tcp_target))
            await made.up()
            await made.supervisor.drain(0.0)
        made.supervisor.recover(())
        assert _state(made) == "error"

    run(test)
