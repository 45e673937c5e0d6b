import asyncio
import contextlib
import logging
import socket

import pytest

from fakes.engine import until
from fakes.socks5_server import FakeServer
from fakes.supervised import Made, Run, connected, dns, office, tcp, udp
from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.errors import ControlError, CredentialsError
from sockslocal.problems import Problem
from sockslocal.supervisor import Switches, services


def test_a_port_in_use_is_that_forwards_error(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names who has the port and what would help; others run, and it opens once the port is free."""
    monkeypatch.setattr(services, "FIRST_RETRY_S", 0.05)
    ports = free_port(), free_port()
    taken = socket.create_server(("127.0.0.1", ports[0]))

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target))
        await made.up()
        shown = made.status.forwards["db"]
        assert shown.state == "error"
        assert shown.problem is not None
        assert shown.problem.code == "port-in-use"
        assert "sockslocal forward set db --listen" in shown.problem.remedy
        other = await connected(ports[1])
        taken.close()
        await until(lambda: made.status.forwards["db"].state == "listening", "the port is free")
        connection = await connected(ports[0])
        for each in (connection, other):
            each[1].close()

    with taken:
        run(test)


def test_a_server_that_goes_and_comes_is_logged(
    run: Run, server: FakeServer, tcp_target: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """A line each time, whatever is dialled in between."""
    caplog.set_level(logging.INFO)
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        server.stop()
        for _ in range(3):
            with contextlib.suppress(ConnectionError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await reader.read(-1)
        await until(lambda: made.status.servers["office"].state == "down", "it is gone")
        server.start()
        await made.up()

    run(test)
    told = [line.split(":")[0] for line in caplog.messages if "server office" in line]
    assert told == ["= server office is up", "! server office is down", "= server office is up"]


def test_what_went_wrong_ends_with_the_servers_return(
    run: Run, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Forwards and the resolver have no problem any more when their server is up, without any traffic."""
    tcp_port, udp_port, dns_port = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        server.stop()
        made.apply(
            office(server),
            tcp("db", tcp_port, tcp_target),
            udp("game", udp_port, tcp_target),
            dns(dns_port, enabled=True),
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
            program.sendto(b"ping", ("127.0.0.1", udp_port))
            await until(lambda: made.status.forwards["game"].problem, "the datagram is lost")
        await made.supervisor.resolver.query("example.com", "A")
        assert made.status.forwards["db"].problem
        assert made.status.dns
        assert made.status.dns.problem
        server.start()
        await made.up()
        assert [forward.problem for forward in made.status.forwards.values()] == [None, None]
        assert made.status.dns.problem is None

    run(test)


@pytest.mark.parametrize("code", ["target-refused", "other-user-refused", "server-timeout"])
def test_what_is_not_of_the_way_outlives_the_servers_return(
    run: Run, server: FakeServer, tcp_target: Endpoint, code: str
) -> None:
    """A target that is not reached, or another user, is not mended by a server that is up."""

    async def test(made: Made) -> None:
        server.stop()
        made.apply(office(server), tcp("db", free_port(), tcp_target))
        await until(lambda: made.status.servers["office"].state == "down", "it is gone")
        forward = made.supervisor._forwards["db"]
        forward.problem = Problem(code, "", "", "")
        server.start()
        await made.up()
        assert (forward.problem is None) == (code == "server-timeout")

    run(test)


def test_what_was_not_kept_is_kept_at_the_end(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """And while it runs, where somebody looks long after."""

    async def test(made: Made) -> None:
        path = made.folder / "switches.json"
        made.apply(office(server), tcp("db", free_port(), tcp_target))
        path.mkdir()
        made.supervisor.switch(["db"], on=False)
        path.rmdir()
        assert [problem.code for problem in made.status.problems] == ["switches-unkept"]
        await made.supervisor.close()
        assert not Switches(path).is_on("db")

    run(test)


def test_what_is_wrong_with_nothing_in_particular(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Switches that cannot be kept, and descriptors that ran out, stand in the list of problems."""

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", free_port(), tcp_target))
        (made.folder / "switches.json").mkdir()
        made.supervisor.switch(["db"], on=False)
        made.engine.budget.wait("db", "too many open files")
        assert [problem.code for problem in made.status.problems] == [
            "switches-unkept",
            "descriptors-exhausted",
        ]

    run(test)


def test_a_locked_keyring(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is up but the server; connections fail with the reason until it is unlocked."""
    monkeypatch.setattr("sockslocal.supervisor.logins.FIRST_RETRY_S", 0.05)
    port = free_port()

    async def test(made: Made) -> None:
        made.password = CredentialsError.of("needs-unlock", server="office", reason="is locked")
        made.apply(office(server), tcp("db", port, tcp_target))
        await until(lambda: made.status.servers["office"].state == "needs-unlock", "it is shown")
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            assert await reader.read(-1) == b""
        made.password = "hunter2"
        await made.up()
        connection = await connected(port)
        connection[1].close()

    run(test)


def test_a_rejected_password_and_a_new_one(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """The new one is used at once."""
    port = free_port()

    async def test(made: Made) -> None:
        made.password = "wrong-one"
        made.apply(office(server), tcp("db", port, tcp_target))
        await until(lambda: made.status.servers["office"].state == "auth-failed", "rejected")
        made.password = "hunter2"
        made.supervisor.credentials_changed("office")
        await made.up()
        connection = await connected(port)
        connection[1].close()
        with pytest.raises(ControlError) as caught:
            made.supervisor.credentials_changed("home")
        assert 'known are "office"' in caught.value.problem.text

    run(test)


def test_credentials_of_no_configuration(run: Run) -> None:
    """Before the first one there is no server to have any."""

    async def test(made: Made) -> None:
        with pytest.raises(ControlError) as caught:
            made.supervisor.credentials_changed("office")
        assert "none is configured" in caught.value.problem.text

    run(test)
