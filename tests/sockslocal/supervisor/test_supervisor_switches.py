import pytest

from fakes.dns_tunnel import query, response
from fakes.socks5_server import FakeServer
from fakes.supervised import Made, Run, connected, dns, echoes, is_cut, office, tcp
from integration.daemon import section
from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.errors import ControlError
from sockslocal.resolver.digest import digest
from sockslocal.resolver.wire import parse_query

WWW = parse_query(query().to_wire())
ADDRESS = digest(response(query(), "www.example A 192.0.2.1"), upstream="", path="")


def test_switching_a_forward(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Off: its connections end and its port is free; on: it works again. Others hear nothing of it."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target))
        await made.up()
        connection, other = await connected(ports[0]), await connected(ports[1])
        made.supervisor.switch(["db"], on=False)
        assert made.status.forwards["db"].state == "off"
        await is_cut(connection)
        with pytest.raises(ConnectionRefusedError):
            await connected(ports[0])
        await echoes(other)
        made.supervisor.switch(["db"], on=True)
        again = await connected(ports[0])
        again[1].close()
        other[1].close()

    run(test)


def test_switching_the_tunnel(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Off: all is closed, and no server spoken to; on: all is as before, but for what is off by itself."""
    ports = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(
            office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target), dns(ports[2])
        )
        await made.up()
        connection = await connected(ports[0])
        made.supervisor.switch(["web"], on=False)
        made.supervisor.switch([], on=False)
        await is_cut(connection)
        status = made.status
        assert not status.tunnel.on
        assert [forward.state for forward in status.forwards.values()] == ["off", "off"]
        assert status.servers["office"].state == "unknown"
        assert status.dns is not None
        assert status.dns.state == "off"
        made.supervisor.credentials_changed("office")
        made.supervisor.switch([], on=True)
        await made.up()
        assert [forward.state for forward in made.status.forwards.values()] == ["listening", "off"]
        again = await connected(ports[0])
        again[1].close()

    run(test)


def test_the_resolver_is_switched_like_a_forward(run: Run, server: FakeServer) -> None:
    """By the name `dns`."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), dns(port))
        assert made.supervisor.resolver
        made.supervisor.switch(["dns"], on=False)
        assert made.status.dns is not None
        assert made.status.dns.state == "off"
        with pytest.raises(ControlError):
            _ = made.supervisor.resolver
        made.supervisor.switch(["dns"], on=True)
        assert made.supervisor.resolver

    run(test)


def test_other_rules_keep_the_resolver(run: Run, server: FakeServer) -> None:
    """Its listeners and what waits for an answer have nothing to do with them."""
    port = free_port()
    blocking = section("dns.rules", **{'"ads.example"': "block"})

    async def test(made: Made) -> None:
        made.apply(office(server), dns(port))
        resolver = made.supervisor.resolver
        assert made.reload(office(server), dns(port, filter_aaaa=True), blocking) == ["dns"]
        assert made.supervisor.resolver is resolver
        assert (await resolver.query("x.ads.example", "A")).rcode == "NXDOMAIN"
        assert made.reload(office(server), dns(port)) == ["dns"]
        assert made.supervisor.resolver is resolver

    run(test)


@pytest.mark.parametrize("more", [{"keep": False}, {"keep": False, "enabled": False}, None])
def test_answers_on_disk_go_with_the_wish_for_them(
    run: Run, server: FakeServer, more: dict[str, bool] | None
) -> None:
    """With the key, and with the resolver, while it runs or not; a reload of anything else leaves them."""
    port = free_port()

    async def test(made: Made) -> None:
        made.answers.touch()
        made.apply(office(server), dns(port, keep=True))
        made.reload(office(server), dns(port, keep=True, prefetch=False))
        made.supervisor.switch([], on=False)
        assert made.answers.exists()
        made.reload(office(server), *([dns(port, **more)] if more else []))
        assert not made.answers.exists()
        await made.supervisor.close()
        assert not made.answers.exists()
        made.answers.touch()
        made.supervisor = made.make()
        made.apply(office(server), *([dns(port, **more)] if more else []))
        assert not made.answers.exists()

    run(test)


def test_answers_outlive_the_resolver(run: Run, server: FakeServer) -> None:
    """Off and on again, and at another port, it knows what it knew; where others are asked it does not."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), dns(ports[0]))
        made.supervisor.resolver._cache.store(WWW, ADDRESS, made.supervisor.resolver._now())
        made.supervisor.switch(["dns"], on=False)
        made.supervisor.switch(["dns"], on=True)
        assert made.supervisor.resolver.details().cache_entries == 1
        made.reload(office(server), dns(ports[1]))
        assert made.supervisor.resolver.details().cache_entries == 1
        made.reload(office(server), dns(ports[1], upstreams=["udp://127.0.0.1:2"]))
        assert made.supervisor.resolver.details().cache_entries == 0

    run(test)


def test_switches_outlive_the_process(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """What was switched off is off in the next one; `enabled` in the file has to agree for it to be on."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        sections = (
            office(server),
            tcp("db", ports[0], tcp_target),
            tcp("web", ports[1], tcp_target, enabled=False),
        )
        made.apply(*sections)
        made.supervisor.switch(["db", "web"], on=False)
        await made.supervisor.close()
        made.supervisor = made.make()
        made.apply(*sections)
        assert [forward.state for forward in made.status.forwards.values()] == ["off", "off"]
        made.supervisor.switch(["db", "web"], on=True)
        assert [forward.state for forward in made.status.forwards.values()] == ["listening", "off"]

    run(test)


def test_a_switch_goes_with_its_forward(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """A forward that was switched off and removed is on when one of that name is added again."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        made.supervisor.switch(["db"], on=False)
        made.reload(office(server))
        made.reload(office(server), tcp("db", port, tcp_target))
        assert made.status.forwards["db"].state == "listening"

    run(test)


def test_an_unknown_name_switches_nothing(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Not even those that are known beside it; the error names them."""
    port = free_port()

    async def test(made: Made) -> None:
        made.supervisor.switch([], on=True)
        made.apply(office(server), tcp("db", port, tcp_target))
        with pytest.raises(ControlError) as caught:
            made.supervisor.switch(["db", "bd"], on=False)
        assert caught.value.problem.text == 'there is no forward "bd"; known are "db"'
        assert made.status.forwards["db"].state == "listening"

    run(test)
