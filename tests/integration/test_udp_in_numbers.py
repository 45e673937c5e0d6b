"""Many local programs by few associations: every echo is its own, and none is misdelivered."""

import pytest

from fakes.socks5_server import Script, StreamFormat
from fakes.socks5_wire import UDP_ASSOCIATE
from fakes.udp_programs import spray
from integration.servers.process import LOOPBACK
from integration.udp_tunnel import udp_tunnel

MANY = 200


def test_many_remotes_share_an_association() -> None:
    """A program for each of them; after all is idle nothing is left."""
    with udp_tunnel(forwards=MANY, forward_options={"idle": "3s"}) as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3, seconds=30)
        assert tunnel.server.counts.associations.peak <= 2
        assert tunnel.udp().flows == MANY
        assert tunnel.echoes.strays == []
        tunnel.daemon.wait_for(lambda status: (status.udp.flows, status.udp.associations) == (0, 0))


@pytest.mark.parametrize("rung", ["uot-v2", "gost"])
def test_many_remotes_share_a_stream(rung: str) -> None:
    """The same over TCP."""
    formats = {"uot-v2": StreamFormat.UOT_V2, "gost": StreamFormat.GOST}
    script = Script(formats=frozenset({formats[rung]}))
    with (
        udp_tunnel(script, forwards=MANY, cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange(rounds=3, seconds=30)
        assert tunnel.server.counts.streams.now <= 2


def test_programs_of_one_remote_do_not_share() -> None:
    """Its answers could not be told apart."""
    with udp_tunnel(forwards=1) as tunnel, tunnel.programs([0] * 50) as programs:
        programs.exchange(rounds=3, seconds=30)
        assert tunnel.server.counts.associations.now >= 50


def test_sharing_may_be_switched_off() -> None:
    """For programs that hear from remotes they never wrote to: one association for each local socket."""
    with (
        udp_tunnel(forwards=10, forward_options={"share": "never"}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange(rounds=2)
        assert tunnel.server.counts.associations.now >= 10


def test_a_spray_of_ports_evicts_nobody() -> None:
    """A program that talks loses nothing, and what there is of associations stays within its bound."""
    with udp_tunnel(forwards=2) as tunnel, tunnel.programs([1, 1, 1]) as programs:
        programs.exchange()
        attempts = programs.attempts
        for start in range(10_000, 12_000, 100):
            spray((LOOPBACK, tunnel.ports[0]), range(start, start + 100))
            programs.exchange()
        assert programs.attempts == attempts + 20 * 3
        assert tunnel.server.counts.associations.peak <= 70
