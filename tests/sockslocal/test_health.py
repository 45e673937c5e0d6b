from typing import Any

import pytest

from fakes.control import status, stopping
from sockslocal.health import Patience, State, Trouble, state, troubles
from sockslocal.problems import Problem, problem
from sockslocal.status import Dns, Forward, Server, Tunnel

HERE = {"address": "proxy.example.net:1080", "server": "office"}
UNREACHABLE = problem("server-unreachable", reason="no route", **HERE)
TIMED_OUT = problem("server-closed", stage="login", remedy="wait", **HERE)
REJECTED = problem("auth-failed", username="ana", remedy="sockslocal login office", **HERE)
LOCKED = problem("needs-unlock", server="office", reason="is locked")
TAKEN = problem(
    "port-in-use", kind="forward", name="db", listen="127.0.0.1:1", holder="x", remedy="sockslocal off db"
)
REFUSED = problem("target-refused", target="db:1", phrase="refused", **HERE)
NO_UDP = problem("udp-unsupported", phrase="not supported", **HERE)
NO_UPSTREAM = problem("dns-no-upstream", reason="silence", remedy="try others")
BAD_CONFIG = problem("config-invalid", text="line 3", remedy="edit it")
OTHER_USER = problem("other-user-refused")

UP = Server("proxy.example.net:1080", "up", latency_ms=42.0)
DOWN = Server("proxy.example.net:1080", "down", problem=UNREACHABLE)
NEW = Server("proxy.example.net:1080", "connecting")


def forward(found: Problem | None = None, *, server: str = "office", **changes: Any) -> Forward:
    """A TCP forward with that problem."""
    parts = {"kind": "tcp", "listen": "127.0.0.1:1", "to": "db:1", "state": "listening", **changes}
    return Forward(server=server, problem=found, **parts)


def resolver(found: Problem | None = None, *, server: str = "office", **changes: Any) -> Dns:
    """A resolver with that problem."""
    return Dns("127.0.0.1:53", server, **{"state": "listening", **changes}, problem=found)


def briefly(*found: Trouble) -> list[tuple[str, str, str]]:
    """What of each is looked at here."""
    return [(trouble.about, trouble.problem.code, trouble.severity) for trouble in found]


def test_nothing_is_wrong_where_all_works() -> None:
    """No trouble, and it is up."""
    all_well = status(servers={"office": UP}, forwards={"db": forward()}, dns=resolver())
    assert troubles(all_well) == ()
    assert state(all_well, ()) == "up"


def test_without_a_daemon_there_is_one_trouble() -> None:
    """That none runs is nothing to worry about; that it does not answer is."""
    assert briefly(*troubles(None)) == [("daemon", "not-running", "info")]
    assert state(None, troubles(None)) == "off"
    hung = troubles(None, problem("not-answering", pid=1, seconds=5))
    assert briefly(*hung) == [("daemon", "not-answering", "error")]
    assert state(None, hung) == "failed"


def test_all_behind_a_dead_server_is_one_trouble() -> None:
    """Forwards and resolver have no trouble of their own then, in whichever words they tell of it."""
    found = troubles(
        status(
            servers={"office": DOWN},
            forwards={**{f"f{number}": forward(UNREACHABLE) for number in range(9)}, "g": forward(TIMED_OUT)},
            dns=resolver(NO_UPSTREAM),
        )
    )
    assert briefly(*found) == [("server office", "server-unreachable", "error")]


def test_what_is_not_the_servers_is_told_beside_it() -> None:
    """A port that is taken is taken with and without the server."""
    found = troubles(status(servers={"office": DOWN}, forwards={"db": forward(TAKEN, state="error")}))
    assert briefly(*found) == [
        ("server office", "server-unreachable", "error"),
        ("forward db", "port-in-use", "error"),
    ]


def test_forwards_that_one_thing_is_wrong_with_are_one_trouble() -> None:
    """It is the server's where it is on the way, though TCP passes."""
    both = {name: forward(NO_UDP, kind="udp") for name in ("game", "voice")}
    found = troubles(status(servers={"office": UP}, forwards=both))
    assert briefly(*found) == [("server office", "udp-unsupported", "error")]


def test_a_forward_by_a_server_that_is_gone_has_its_own() -> None:
    """A configuration that is just being replaced has such for a moment."""
    found = troubles(status(servers={"home": UP}, forwards={"db": forward(UNREACHABLE)}, dns=resolver()))
    assert briefly(*found) == [("server office", "server-unreachable", "error")]


def test_the_worst_is_first() -> None:
    """What waits to be unlocked, what does not work, what only might, and what nobody has to know."""
    found = troubles(
        status(
            servers={"office": UP, "home": Server("h:1", "needs-unlock", problem=LOCKED)},
            forwards={
                "a": forward(OTHER_USER),
                "b": forward(REFUSED),
                "c": forward(TAKEN),
                "d": forward(server="home"),
            },
            dns=resolver(NO_UPSTREAM),
            problems=(BAD_CONFIG,),
        )
    )
    assert briefly(*found) == [
        ("server home", "needs-unlock", "locked"),
        ("resolver", "dns-no-upstream", "error"),
        ("forward c", "port-in-use", "error"),
        ("daemon", "config-invalid", "warning"),
        ("forward b", "target-refused", "warning"),
        ("forward a", "other-user-refused", "info"),
    ]


def test_a_server_that_nothing_goes_through_is_a_warning() -> None:
    """The forwards have another to fall back on. Where there are none at all, the server is what matters."""
    servers = {"office": DOWN, "home": UP}
    spare = status(servers=servers, forwards={"db": forward(server="home"), "off": forward(state="off")})
    assert briefly(*troubles(spare)) == [("server office", "server-unreachable", "warning")]
    assert state(spare, troubles(spare)) == "degraded"
    assert troubles(status(servers=servers))[0].severity == "error"


def test_while_the_tunnel_is_off_a_dead_server_disturbs_nobody() -> None:
    """It is told, and changes nothing."""
    off = status(tunnel=Tunnel(on=False), servers={"office": DOWN}, forwards={"db": forward(state="off")})
    assert briefly(*troubles(off)) == [("server office", "server-unreachable", "info")]
    assert state(off, troubles(off)) == "off"


def test_what_only_a_newer_daemon_knows_is_an_error() -> None:
    """Told at once: its row is in a registry that is not here."""
    unknown = Problem("server-on-fire", "On fire", "it burns", "put it out")
    (found,) = troubles(status(servers={"office": Server("o:1", "down", problem=unknown)}))
    assert found == Trouble(unknown, "error", 0.0, "server office")
    assert found.category == "server"


@pytest.mark.parametrize(
    ("servers", "forwards", "word"),
    [
        ({}, {}, "off"),
        ({"office": NEW}, {"db": forward()}, "connecting"),
        ({"office": Server("o:1", "connecting", latency_ms=3.0)}, {"db": forward()}, "up"),
        ({"office": DOWN}, {"db": forward()}, "failed"),
        ({"office": DOWN}, {}, "failed"),
        ({"office": DOWN, "home": UP}, {}, "degraded"),
        ({"office": DOWN, "home": UP}, {"db": forward(), "web": forward(server="home")}, "degraded"),
        ({"office": UP}, {"db": forward(TAKEN)}, "failed"),
        ({"office": UP}, {"db": forward(TAKEN), "web": forward()}, "degraded"),
        ({"office": UP}, {"db": forward(TAKEN), "web": forward(server="gone")}, "degraded"),
        ({"office": UP}, {"db": forward(REFUSED)}, "degraded"),
        ({"office": UP}, {"db": forward(OTHER_USER)}, "up"),
        ({"office": Server("o:1", "auth-failed", problem=REJECTED)}, {"db": forward()}, "failed"),
        ({"office": Server("o:1", "needs-unlock", problem=LOCKED)}, {"db": forward(TAKEN)}, "needs-unlock"),
    ],
)
def test_one_word(servers: dict[str, Server], forwards: dict[str, Forward], word: State) -> None:
    """Nothing works, some does, all does; what needs the person's keyring is said above all."""
    now = status(servers=servers, forwards=forwards)
    assert state(now, troubles(now)) == word


def test_a_resolver_alone_can_fail() -> None:
    """It is one of what has to work, and behind a server as the forwards are."""
    alone = status(servers={"office": UP}, dns=resolver(NO_UPSTREAM))
    assert state(alone, troubles(alone)) == "failed"


def test_a_daemon_that_stops_is_off() -> None:
    """It takes nothing new."""
    ending = status(daemon=stopping(5), servers={"office": UP}, forwards={"db": forward()})
    assert state(ending, troubles(ending)) == "off"


def test_what_is_not_shown_yet_does_not_change_the_word() -> None:
    """A blip is no reason for another icon: it connects still, or is up still."""
    starting = status(servers={"office": DOWN}, forwards={"db": forward()})
    assert state(starting, ()) == "connecting"
    blip = Server("o:1", "down", latency_ms=42.0, problem=UNREACHABLE)
    assert state(status(servers={"office": blip}, forwards={"db": forward()}), ()) == "up"


@pytest.mark.parametrize(
    ("found", "about", "category"),
    [
        (LOCKED, "server office", "keyring"),
        (REJECTED, "server office", "keyring"),
        (UNREACHABLE, "server office", "server"),
        (TAKEN, "forward db", "forward"),
        (TAKEN, "resolver", "resolver"),
        (BAD_CONFIG, "daemon", "config"),
        (problem("system-dns-refused", reason="why", remedy="how"), "daemon", "system-dns"),
        (problem("descriptors-exhausted", limit=64), "daemon", "daemon"),
    ],
)
def test_categories(found: Problem, about: str, category: str) -> None:
    """By what the person would do about it, else by what it is about."""
    assert Trouble(found, "error", 0.0, about).category == category


def trouble(found: Problem, after_s: float, about: str = "server office") -> Trouble:
    """An error."""
    return Trouble(found, "error", after_s, about)


def test_patience_waits_as_long_as_each_wants() -> None:
    """What waits for the person is shown at once; what may heal by itself only once it has lasted."""
    patience = Patience()
    taken, down = trouble(TAKEN, 0.0, "forward db"), trouble(UNREACHABLE, 5.0)
    assert patience.seen((taken, down), 100.0) == (taken,)
    assert patience.next_at == 105.0
    assert patience.seen((taken, down), 104.9) == (taken,)
    assert patience.seen((down, taken), 105.0) == (down, taken)
    assert patience.next_at is None


def test_patience_forgets_what_has_healed() -> None:
    """The next time it has to last again."""
    patience = Patience()
    down = trouble(UNREACHABLE, 5.0)
    assert patience.seen((down,), 0.0) == ()
    assert patience.seen((), 4.0) == ()
    assert patience.next_at is None
    assert patience.seen((down,), 6.0) == ()
    assert patience.seen((down,), 11.0) == (down,)


def test_a_server_that_fails_in_turns_has_failed_all_the_time() -> None:
    """It refuses, then it closes: to the person that is one trouble."""
    patience = Patience()
    assert patience.seen((trouble(UNREACHABLE, 5.0),), 0.0) == ()
    closed = trouble(TIMED_OUT, 5.0)
    assert patience.seen((closed,), 5.0) == (closed,)


def test_who_needs_the_person() -> None:
    """What is shown at once does not heal by itself."""
    assert [one.needs_person for one in (trouble(TAKEN, 0.0), trouble(UNREACHABLE, 5.0))] == [True, False]
