import pytest

from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig, TlsConfig
from sockslocal.net.profile import Profile, key_of
from sockslocal.socks5.client import Pipelining
from sockslocal.status import UdpRung

OLDER = Profile(rung="associate", relay_rule="server", largest_datagram=2038, pipelined=False, rtt_ms=9.0)


def test_nothing_is_known_at_first() -> None:
    """Not even that something does not work."""
    profile = Profile()
    assert {getattr(profile, fact) for fact in profile.__struct_fields__} == {None}


def test_facts_are_added() -> None:
    """The profile itself stays as it is."""
    profile = OLDER.replace(rung="uot-v2", pipelined=True)
    assert (profile.rung, profile.pipelined, profile.rtt_ms) == ("uot-v2", True, 9.0)
    assert OLDER.rung == "associate"


def test_what_is_known_of_datagrams_outlives_an_examination_without_them() -> None:
    """All else is as the examination has found it."""
    profile = Profile(pipelined=None, rtt_ms=7.0).over(OLDER)
    assert (profile.rung, profile.relay_rule, profile.largest_datagram) == ("associate", "server", 2038)
    assert (profile.pipelined, profile.rtt_ms) == (None, 7.0)


def test_an_examination_of_datagrams_counts_as_a_whole() -> None:
    """No fact of another rung is mixed into it."""
    examined = Profile(rung="none")
    assert examined.over(OLDER) == examined


@pytest.mark.parametrize(
    ("facts", "pipelining"),
    [
        ({}, Pipelining.NONE),
        ({"pipelined": False, "semi_pipelined": False}, Pipelining.NONE),
        ({"pipelined": False, "semi_pipelined": True}, Pipelining.SEMI),
        ({"pipelined": True, "semi_pipelined": True}, Pipelining.FULL),
        ({"pipelined": True}, Pipelining.FULL),
    ],
)
def test_how_much_of_a_handshake_may_leave_at_once(facts: dict[str, bool], pipelining: Pipelining) -> None:
    """As much as the server is known to bear."""
    assert Profile().replace(**facts).pipelining is pipelining


@pytest.mark.parametrize("rung", ["hev", None])
def test_what_no_examination_tries_stays(rung: UdpRung | None) -> None:
    """Whether or not datagrams were tried."""
    assert Profile(rung=rung).over(OLDER.replace(bears_empty=False)).bears_empty is False


@pytest.mark.parametrize(
    "other",
    [
        {"address": Endpoint("proxy.example.net", 1081)},
        {"username": "bob"},
        {"username": ""},
        {"username": None},
        {"tls": TlsConfig("proxy.example.net")},
        {"username": "ana@proxy.example.net:1080", "address": Endpoint("other.example.net", 1080)},
    ],
)
def test_servers_that_may_differ_have_keys_that_do(other: dict[str, object]) -> None:
    """The name in the configuration is not among what counts."""
    office = {"name": "office", "address": Endpoint("proxy.example.net", 1080), "username": "ana"}
    key = key_of(ServerConfig(**office))  # type: ignore[arg-type]
    assert key_of(ServerConfig(**(office | {"name": "home"}))) == key  # type: ignore[arg-type]
    assert key_of(ServerConfig(**(office | other))) != key  # type: ignore[arg-type]
