from typing import Any

import msgspec
import pytest

from fakes.control import status, stopping
from sockslocal.cli.screen import ASCII, View, duration, screen, size
from sockslocal.cli.terminal import text_of
from sockslocal.problems import Problem, problem
from sockslocal.status import Bytes, Connections, Dns, Forward, Server, Status, Tunnel

REJECTED = problem("auth-failed", address="192.0.2.7:1080", username="ana", remedy="sockslocal login home")

OFFICE = Server("proxy.example.net:1080", "up", latency_ms=42.1, udp="associate")
HOME = Server("192.0.2.7:1080", "auth-failed", problem=REJECTED)
DB = Forward(
    "tcp",
    "127.0.0.1:5432",
    "db.internal:5432",
    "office",
    "listening",
    connections=Connections(open=1, total=9),
    bytes=Bytes(sent=120, received=4096),
)


def shown(state: Status, width: int = 80, **options: Any) -> list[str]:
    """The screen as text."""
    return [text_of(line, colour=False) for line in screen(state, View(width, **options))]


def test_a_screen_at_a_glance() -> None:
    """Each thing is one line; what is wrong stands below it with what mends it; the verdict is last."""
    state = status(
        servers={"office": OFFICE, "home": HOME},
        forwards={"db": DB},
        dns=Dns("127.0.0.1:5399", "office", "listening", queries=100, cache_hits=80, failed=1),
    )
    assert shown(state) == [
        "sockslocal 0.1.0, up 12 s, process 4711, 31 MB",
        "",
        "Servers",
        "  ●  office  proxy.example.net:1080  up           42 ms, UDP",
        "  ✗  home    192.0.2.7:1080          auth-failed",
        f"      {REJECTED.text}",
        "      → sockslocal login home",
        "",
        "Forwards",
        "  ●  db  tcp  127.0.0.1:5432 → db.internal:5432  via office",
        "      1 open, ↑120 B ↓4.1 kB",
        "",
        "DNS",
        "  ●  127.0.0.1:5399  100 queries, 80 % from the cache, 1 failed",
        "",
        "1 problem, with what mends it above.",
    ]


def test_numbers_stand_beside_where_there_is_room() -> None:
    """On a wide terminal a forward is one line."""
    assert "  ●  db  tcp  127.0.0.1:5432 → db.internal:5432  1 open, ↑120 B ↓4.1 kB" in shown(
        status(servers={"office": OFFICE}, forwards={"db": DB})
    )


def test_everything_that_is_ours_fits_eighty_columns() -> None:
    """Long problems are wrapped, and numbers go below; only a long name or command may be longer."""
    long = Problem("x", "X", "word " * 60, "sockslocal doctor")
    state = status(
        servers={"office": OFFICE, "home": Server("h:1", "down", problem=long)},
        forwards={f"forward-{number}": DB for number in range(3)},
    )
    assert max(map(len, shown(state))) <= 80
    assert max(map(len, shown(state, 40))) <= 70


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """Also the marks and arrows."""
    lines = shown(status(servers={"office": OFFICE, "home": HOME}, forwards={"db": DB}), marks=ASCII)
    assert "".join(lines).isascii()
    assert any(line.startswith("  x  home") for line in lines)


def test_the_first_run_says_what_to_do() -> None:
    """Without a server, or without a forward, the next command stands there; nothing is called well."""
    assert shown(status())[-2:] == [
        "There is no server yet:",
        "  sockslocal server add office proxy.example.net:1080 --username ana",
    ]
    lines = shown(status(servers={"office": OFFICE}))
    assert "  sockslocal forward add tcp db 127.0.0.1:5432 db.internal:5432" in lines
    assert lines[-1] == "All is well."


def test_a_tunnel_that_is_off_says_how_to_switch_it_on() -> None:
    """It is the first thing below the heading, and nothing is called well."""
    lines = shown(status(tunnel=Tunnel(on=False), servers={"office": OFFICE}, forwards={"db": DB}))
    assert lines[1] == "The tunnel is off: sockslocal on"
    assert "All is well." not in lines


def test_a_daemon_that_stops_says_what_it_waits_for() -> None:
    """TCP connections have an end to wait for; nothing is called well."""
    ending = msgspec.structs.replace(DB, state="off", connections=Connections(open=2, total=9))
    game = Forward("udp", "l:1", "t:1", "office", "listening", connections=Connections(open=5))
    state = status(daemon=stopping(24.3), servers={"office": OFFICE}, forwards={"db": ending, "game": game})
    lines = shown(state)
    assert lines[1] == "It is stopping: 2 connections are open, and may take 25 s more to end"
    assert any(line.endswith("  off, 2 open") for line in lines)
    assert "All is well." not in lines


def test_another_file_is_named() -> None:
    """What is shown is not about the one that the person may think of; commands are spelled for it."""
    lines = shown(
        status(servers={"home": HOME}),
        config="~/other.toml",
        spell=lambda text: text.replace("login", "LOGIN"),
    )
    assert lines[1] == "It uses another configuration: ~/other.toml"
    assert "      → sockslocal LOGIN home" in lines
    assert "  sockslocal SERVER" in shown(status(), spell=lambda _: "sockslocal SERVER")


@pytest.mark.parametrize(
    ("forward", "numbers"),
    [
        (Forward("tcp", "l:1", "t:1", "s", "off"), "off"),
        (Forward("tcp", "l:1", "t:1", "s", "listening"), "0 open"),
        (
            Forward("tcp", "l:1", "t:1", "s", "listening", connections=Connections(0, 1, 1)),
            "1 connection, 1 failed",
        ),
        (
            Forward("udp", "l:1", "t:1", "s", "listening", connections=Connections(0, 3), bytes=Bytes(0, 5)),
            "3 flows, ↑0 B ↓5 B",
        ),
        (
            Forward("tcp", "l:1", "t:1", "s", "listening", connections=Connections(1, 3, 2)),
            "1 open, 2 failed",
        ),
        (Forward("udp", "l:1", "t:1", "s", "listening", dropped=7), "0 open, 7 dropped"),
    ],
)
def test_the_numbers_of_a_forward(forward: Forward, numbers: str) -> None:
    """Only what is not nothing."""
    assert any(
        line.endswith(f"  {numbers}")
        for line in shown(status(servers={"s": OFFICE}, forwards={"f": forward}))
    )


@pytest.mark.parametrize(
    ("udp", "text"),
    [
        ("unknown", "42 ms"),
        ("none", "42 ms, no UDP"),
        ("associate", "42 ms, UDP"),
        ("uot-v2", "42 ms, UDP by uot-v2"),
    ],
)
def test_the_udp_of_a_server(udp: Any, text: str) -> None:
    """What is not known is not told."""
    lines = shown(status(servers={"s": Server("a:1", "up", latency_ms=42, udp=udp)}))
    assert lines[3].endswith(f"up  {text}")


def test_a_resolver_that_is_off_or_new() -> None:
    """No percentage of nothing."""
    for state, text in (("off", "off"), ("listening", "0 queries")):
        dns = Dns("127.0.0.1:5399", "s", state)  # type: ignore[arg-type]  # each is one of the states
        assert any(line.endswith(f"127.0.0.1:5399  {text}") for line in shown(status(dns=dns)))


def test_a_resolver_that_the_whole_system_asks() -> None:
    """It is told at the end of its line."""
    dns = Dns("127.0.0.1:53", "s", "listening", system="systemd-resolved")
    assert any(
        line.endswith("0 queries, the system asks it by systemd-resolved") for line in shown(status(dns=dns))
    )


def test_problems_of_the_whole_and_of_parts_are_counted_once() -> None:
    """The same problem in two places is one problem."""
    bad = problem("config-invalid", text="line 3 is wrong", remedy="edit it")
    state = status(
        servers={"office": OFFICE, "home": HOME},
        forwards={"db": Forward("tcp", "l:1", "t:1", "home", "error", problem=REJECTED)},
        problems=(bad,),
        dns=Dns("l:1", "home", "error", problem=REJECTED),
    )
    lines = shown(state)
    assert lines[lines.index("In general") :][:4] == [
        "In general",
        "  ✗  Configuration invalid",
        "      line 3 is wrong",
        "      → edit it",
    ]
    assert sum(REJECTED.remedy in line for line in lines) == 1
    assert lines[-1] == "2 problems, with what mends it above."
    assert "In general" not in shown(msgspec.structs.replace(state, problems=(REJECTED,)))


def test_what_follows_from_a_dead_server_is_not_told_beside_it() -> None:
    """The resolver cannot ask anybody through it: mending that would be no use."""
    silent = problem("dns-no-upstream", reason="all are silent", remedy="try others")
    lines = shown(status(servers={"home": HOME}, dns=Dns("l:1", "home", "listening", problem=silent)))
    assert not any("silent" in line for line in lines)
    assert lines[-1] == "1 problem, with what mends it above."


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (31_000_000, "31 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes(octets: int, text: str) -> None:
    """Two digits at least, and never a thousand of what has a larger unit."""
    assert size(octets) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (7500, "2 h 5 min"),
        (86400, "1 d 0 h"),
        (350_000, "4 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """The two largest units."""
    assert duration(seconds) == text
