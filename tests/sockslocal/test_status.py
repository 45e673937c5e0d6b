import msgspec
import pytest

from sockslocal.problems import problem
from sockslocal.status import Bytes, Connections, Daemon, Dns, Forward, Server, Status, Tunnel, Udp

EXAMPLE = b"""
{"version": 1,
 "daemon": {"pid": 4711, "version": "0.1.0", "uptime_s": 12.5, "rss_bytes": 31000000},
 "tunnel": {"on": true},
 "servers": {"office": {"state": "up", "latency_ms": 42.1, "udp": "associate", "problem": null}},
 "forwards": {"db": {"kind": "tcp", "listen": "127.0.0.1:5432", "to": "db.internal:5432", "server": "office",
              "state": "listening", "problem": null,
              "connections": {"open": 1, "total": 9, "failed": 0}, "bytes": {"sent": 120, "received": 4096}}},
 "udp": {"associations": 1, "flows": 12},
 "dns": {"listen": "127.0.0.1:5399", "queries": 100, "cache_hits": 80, "failed": 0}}
"""
"""What scripts rely on: these keys stay, others may come."""

STATUS = Status(
    daemon=Daemon(pid=4711, version="0.1.0", uptime_s=12.5, rss_bytes=31_000_000),
    tunnel=Tunnel(on=True),
    servers={"office": Server(address="proxy:1080", state="up", latency_ms=42.1, udp="associate")},
    forwards={
        "db": Forward(
            kind="tcp",
            listen="127.0.0.1:5432",
            to="db.internal:5432",
            server="office",
            state="listening",
            connections=Connections(open=1, total=9),
            bytes=Bytes(sent=120, received=4096),
        )
    },
    udp=Udp(associations=1, flows=12),
    dns=Dns(listen="127.0.0.1:5399", server="office", state="listening", queries=100, cache_hits=80),
)


def _has_all_of(example: object, actual: object) -> bool:
    """Whether all that `example` has is in `actual`, at any depth."""
    if isinstance(example, dict):
        return isinstance(actual, dict) and all(
            key in actual and _has_all_of(value, actual[key]) for key, value in example.items()
        )
    return example == actual


def test_keys_that_stay() -> None:
    """The JSON has every key that scripts rely on, with its meaning."""
    assert _has_all_of(msgspec.json.decode(EXAMPLE), msgspec.json.decode(msgspec.json.encode(STATUS)))


def test_reads_what_it_writes() -> None:
    """A client has the same picture as the daemon, and one older than it does not mind what is new."""
    encoded = msgspec.json.encode(STATUS)
    assert msgspec.json.decode(encoded, type=Status) == STATUS
    newer = msgspec.json.decode(encoded) | {"dashboard": {"url": "x"}}
    assert msgspec.json.decode(msgspec.json.encode(newer), type=Status) == STATUS


def test_problem_within() -> None:
    """A problem crosses with its code, title, text and remedy."""
    wrong = problem("needs-unlock", server="office", reason="is locked")
    server = Server(address="proxy:1080", state="needs-unlock", problem=wrong)
    decoded = msgspec.json.decode(msgspec.json.encode(server))
    assert decoded["problem"].keys() == {"code", "title", "text", "remedy"}
    assert msgspec.convert(decoded, Server) == server


@pytest.mark.parametrize("state", ["up", "connecting", "down", "auth-failed", "needs-unlock", "unknown"])
def test_server_states(state: str) -> None:
    """The states of a server have stable names."""
    assert msgspec.convert({"address": "a:1", "state": state}, Server).state == state


@pytest.mark.parametrize("rung", ["associate", "uot-v2", "uot-v1", "hev", "gost", "none", "unknown"])
def test_udp_rungs(rung: str) -> None:
    """How UDP passes has stable names."""
    assert msgspec.convert({"address": "a:1", "state": "up", "udp": rung}, Server).udp == rung


def test_other_states_are_refused() -> None:
    """A state that has no name here is a mistake, not a new one."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"address": "a:1", "state": "fine"}, Server)
