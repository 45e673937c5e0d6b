"""Flows to names: only the server knows where they lead, and answers have an address in place of the name.

All remotes have the same port, so that only their hosts tell their answers apart.
"""

import pytest

from fakes.socks5_server import Named, Script, UdpFault, UdpScript
from fakes.waiting import wait_until
from integration.udp_tunnel import UdpTunnel, udp_tunnel

named = pytest.mark.parametrize("script", [UdpScript(), UdpScript(named=Named.REQUEST)], ids=["IP", "name"])
"""What servers name in the header of an answer."""


def lead(tunnel: UdpTunnel, name: str, echo: int) -> None:
    """Have `name` lead to another echo from now on."""
    tunnel.server.names[name] = (tunnel.echoes.addresses[echo][0], 0)


@named
def test_many_names(script: UdpScript) -> None:
    """Each program hears its own remote."""
    names = [f"n{number}.test" for number in range(20)]
    with udp_tunnel(Script(udp=script), leads=range(20), to=names) as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)
        assert tunnel.echoes.strays == []


@named
def test_two_names_and_the_address_of_one_remote(script: UdpScript) -> None:
    """Nothing tells their answers apart, so each has an association of its own where it has to."""
    with (
        udp_tunnel(
            Script(udp=script), leads=[0, 0, 0, 1], to=["a.test", "b.test", "127.1.0.1", "c.test"]
        ) as tunnel,
        tunnel.programs([0, 1, 2, 3, 0, 1, 2, 3]) as programs,
    ):
        programs.exchange(rounds=5)


@named
def test_a_name_that_moves(script: UdpScript) -> None:
    """To where another flow goes by address, and back."""
    with (
        udp_tunnel(Script(udp=script), leads=[0, 1], to=["a.test", "127.1.0.2"]) as tunnel,
        tunnel.programs() as programs,
    ):
        for turn in range(6):
            lead(tunnel, "a.test", turn % 2)
            programs.exchange(rounds=2)


@named
def test_names_that_rotate(script: UdpScript) -> None:
    """Among the same few addresses, as those of one large site do."""
    names = ["a.test", "b.test", "c.test"]
    with udp_tunnel(Script(udp=script), to=names) as tunnel, tunnel.programs() as programs:
        for turn in range(6):
            for number, name in enumerate(names):
                lead(tunnel, name, (number + turn) % 3)
            programs.exchange(rounds=2)


def test_a_name_that_leads_nowhere() -> None:
    """Some relays die of it (hev, asyncio-socks-server): the flows of others go on all the same."""
    with (
        udp_tunnel(
            Script(udp=UdpScript(fault=UdpFault.POISON)), to=["a.test", "b.test", "gone.test"]
        ) as tunnel,
        tunnel.programs([0, 1]) as programs,
        tunnel.programs([2]) as lost,
    ):
        programs.exchange()
        del tunnel.server.names["gone.test"]
        for _ in range(10):
            lost.talk()
            programs.exchange(seconds=3)
        assert tunnel.server.counts.associations.total <= 30
        lead(tunnel, "gone.test", 2)
        wait_until(lost.settled, seconds=10, what="it leads somewhere again")
