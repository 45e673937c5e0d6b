import pytest

from fakes.control import status, stopping
from fakes.menus import drawn, flat
from sockslocal.health import State, Trouble
from sockslocal.problems import Problem, problem
from sockslocal.status import Daemon, Dns, Forward, ForwardState, Server, Status, Tunnel
from sockslocal_tray.actions import Action
from sockslocal_tray.menu import MAX_FORWARDS, MAX_LABEL, Row, View, rows, state_line

OFFICE = Server("proxy.example:1080", "up", 42.1)
HOME = Server("192.0.2.7:1080", "down")
DB = Forward("tcp", "127.0.0.1:5432", "db.int:5432", "office", "listening")
GAME = Forward("udp", "127.0.0.1:27015", "203.0.113.9:27015", "office", "off")
RESOLVER = Dns("127.0.0.1:5399", "office", "listening")
BUSY = problem(
    "port-in-use",
    kind="forward",
    name="db",
    listen="127.0.0.1:5432",
    holder="postgres (pid 812)",
    remedy="sockslocal forward set db --listen 127.0.0.1:15432",
)


def view(state: State = "up", *troubles: Trouble, now: Status | None, **more: object) -> View:
    """A view of what is configured, by a tray of version 0.1.0."""
    return View(**{"status": now, "state": state, "troubles": troubles, "version": "0.1.0", **more})  # type: ignore[arg-type]


def trouble(about: str, wrong: Problem, severity: str = "error") -> Trouble:
    """Something that is wrong, and has been for long enough."""
    return Trouble(wrong, severity, 0.0, about)  # type: ignore[arg-type]


def row(view: View, text: str) -> Row:
    """The row whose text begins so."""
    (found,) = [row for row in flat(rows(view)) if row.text.startswith(text)]
    return found


def test_the_menu_of_a_daemon_that_does_well() -> None:
    """Everything there is to switch, in two levels; what is chosen most is on top."""
    now = status(servers={"office": OFFICE, "home": HOME}, forwards={"db": DB, "game": GAME}, dns=RESOLVER)
    expected = """\
  ● Connected · office (proxy.example:1080, 42 ms) · 1/2 up   [status] *
  ───
  Turn off   [tunnel off]
  Forwards ▸
    ☑ db    127.0.0.1:5432 → db.int:5432   [forward.off db]
    ☐ game    127.0.0.1:27015 → 203.0.113.9:27015 (UDP)   [forward.on game]
      ───
      Copy address of db   [copy 127.0.0.1:5432]
      Copy address of game   [copy 127.0.0.1:27015]
  DNS ▸
    ☑ Resolver 127.0.0.1:5399   [dns off]
    ☐ Use as system DNS   [system-dns on]
      Flush cache   [dns.flush]
  Server ▸
    ◉ office    proxy.example:1080 · 42 ms   [server office]
    ○ home    192.0.2.7:1080 · down   [server home]
      ───
      Enter password of office…   [password office]
  ───
  More ▸
      Show logs   [logs]
      Open configuration   [config]
      Set up…   [setup]
      Run doctor   [doctor]
    ☑ Start at login   [at-login off]
      ───
      (sockslocal 0.1.0)
  ───
  Quit tray (service keeps running)   [quit]
  Stop service and quit   [stop-and-quit]"""
    assert drawn(rows(view(now=now, at_login=True))) == expected


def test_the_menu_without_a_daemon() -> None:
    """It can be started; nothing is shown that there is not."""
    expected = """\
  ○ Not running   [status] *
  ───
  Start   [start]
  More ▸
      Show logs   [logs]
      Open configuration   [config]
      Set up…   [setup]
      Run doctor   [doctor]
      ───
      (sockslocal 0.1.0)
  ───
  Quit   [quit]"""
    assert drawn(rows(view("off", now=None))) == expected


def test_a_daemon_that_does_not_answer_is_not_to_be_started() -> None:
    """It is there, and has to be ended first, as its trouble says."""
    stuck = trouble("daemon", problem("not-answering", pid=7, seconds=5.0))
    expected = """\
  ✕ Not to be reached   [status] *
  ⚠ process 7 holds the lock but did not answer within 5 s   [remedy sockslocal restart]
      → sockslocal restart   [remedy sockslocal restart]
  ───
  More ▸"""
    assert drawn(rows(view("failed", stuck, now=None))).startswith(expected)


def test_the_menu_before_anything_is_configured() -> None:
    """A click on the icon, too, leads to the first step."""
    expected = """\
  ○ Not set up yet   [setup] *
  ───
  Set up…   [setup]
  More ▸
      Show logs   [logs]
      Run doctor   [doctor]
    ☐ Start at login   [at-login on]
      ───
      (sockslocal 0.1.0)
  ───
  Quit   [quit]"""
    assert drawn(rows(view("off", now=None, configured=False, at_login=False))) == expected


def test_the_menu_of_a_tunnel_that_is_off() -> None:
    """Single forwards and the resolver cannot be switched then."""
    off: ForwardState = "off"
    now = status(
        tunnel=Tunnel(on=False),
        servers={"office": OFFICE},
        forwards={"game": GAME},
        dns=Dns("127.0.0.1:5399", "office", off),
    )
    expected = """\
  ○ Off   [status] *
  ───
  Turn on   [tunnel on]
  Forwards ▸
    ☐ (game    127.0.0.1:27015 → 203.0.113.9:27015 (UDP))   [forward.on game]
      ───
      Copy address of game   [copy 127.0.0.1:27015]
  DNS ▸
    ☐ (Resolver 127.0.0.1:5399)   [dns on]
    ☐ (Use as system DNS)   [system-dns on]
      (Flush cache)   [dns.flush]"""
    assert drawn(rows(view("off", now=now))[:5]) == expected


def test_a_daemon_that_stops_can_be_told_nothing() -> None:
    """It is about to be gone."""
    now = status(daemon=stopping(3), forwards={"db": DB})
    assert [row.text for row in rows(view(now=now))] == [
        "○ Stopping…",
        "",
        "More",
        "",
        "Quit tray (service keeps running)",
        "Stop service and quit",
    ]


def test_troubles_come_with_what_mends_them() -> None:
    """Below the state: what is wrong, and the command, which either of the rows runs."""
    failed = view("degraded", trouble("forward db", BUSY), now=status(servers={"office": OFFICE}))
    expected = """\
  ◐ Partly working · office (proxy.example:1080, 42 ms)   [status] *
  ⚠ forward "db" cannot listen on 127.0.0.1:5432: the port is in use by postgres\
   [remedy sockslocal forward set db --listen 127.0.0.1:15432]
      (pid 812)   [remedy sockslocal forward set db --listen 127.0.0.1:15432]
      → sockslocal forward set db --listen 127.0.0.1:15432\
   [remedy sockslocal forward set db --listen 127.0.0.1:15432]
  ───"""
    assert drawn(rows(failed)[:5]) == expected


def test_what_has_no_remedy_leads_to_the_status() -> None:
    """There is always something to be chosen."""
    wrong = trouble("daemon", Problem("strange", "Strange", "it is strange", ""))
    assert drawn(rows(view("failed", wrong, now=status()))[1:3]) == "  ⚠ it is strange   [status]\n  ───"


@pytest.mark.parametrize(
    ("remedy", "action"),
    [
        ("sockslocal restart", Action("remedy", "sockslocal restart")),
        ("sockslocal login office", Action("password", "office")),
        ("unlock the keyring, or: sockslocal login office", Action("password", "office")),
        ("sockslocal server add office ADDRESS", Action("setup")),
        ("check [server.office] address", Action("config")),
        ("check that the server runs", Action("status")),
    ],
)
def test_choosing_a_trouble_does_what_mends_it(remedy: str, action: Action) -> None:
    """Where that is for a person to do, it leads to where it is done, or to more about it."""
    wrong = trouble("server office", Problem("c", "t", "it is wrong", remedy))
    assert [row.action for row in rows(view("failed", wrong, now=status()))[1:3]] == [action, action]


def test_a_locked_keyring_is_unlocked() -> None:
    """By the desktop's own dialog."""
    wrong = trouble("server office", problem("needs-unlock", server="office", reason="is locked"), "locked")
    assert rows(view("needs-unlock", wrong, now=status()))[1].action == Action("unlock", "office")


def test_what_the_first_line_says_is_not_repeated() -> None:
    """That nothing runs is no news there."""
    wrong = trouble("daemon", problem("not-running"), "info")
    assert rows(view("off", wrong, now=None)) == rows(view("off", now=None))


def test_of_many_troubles_the_worst_are_shown() -> None:
    """They come worst first; the others are in the status."""
    many = [trouble("daemon", Problem("c", "t", f"trouble {number}", "")) for number in range(5)]
    assert [row.text for row in rows(view("failed", *many, now=status()))[1:5]] == [
        "⚠ trouble 0",
        "⚠ trouble 1",
        "⚠ trouble 2",
        "and 2 more…",
    ]


def test_of_many_forwards_the_first_are_shown() -> None:
    """A menu has to fit the screen."""
    now = status(forwards={f"f{number}": DB for number in range(MAX_FORWARDS + 2)})
    forwards = row(view(now=now), "Forwards").children
    assert len(forwards) == 2 * MAX_FORWARDS + 2
    assert forwards[MAX_FORWARDS] == Row("and 2 more…", Action("status"))


def test_a_forward_that_cannot_listen_is_marked() -> None:
    """It is switched on, and does not work."""
    now = status(forwards={"db": Forward("tcp", "127.0.0.1:1", "db:1", "office", "error")})
    assert row(view(now=now), "⚠ db").checked


@pytest.mark.parametrize(
    ("state", "server", "expected"),
    [
        ("connecting", Server("p:1", "connecting"), "◌ Connecting · office (p:1)"),
        ("failed", Server("p:1", "down", 42.0), "✕ Not working · office (p:1)"),
        ("needs-unlock", Server("p:1", "needs-unlock"), "○ Waiting for the password · office (p:1)"),
        ("up", Server("p:1", "up"), "● Connected · office (p:1) · 1/1 up"),
        ("off", Server("p:1", "up"), "○ Off"),
    ],
)
def test_the_state_in_a_line(state: State, server: Server, expected: str) -> None:
    """In words and by a shape, with what matters of the server; old latencies are not told."""
    assert state_line(view(state, now=status(servers={"office": server}, forwards={"db": DB}))) == expected


def test_a_daemon_with_nothing_configured_has_a_line() -> None:
    """There is no server to name."""
    assert state_line(view(now=status())) == "● Connected"


@pytest.mark.parametrize(
    ("servers", "named"),
    [
        ({"a": HOME, "b": OFFICE}, "b"),
        ({"a": HOME, "b": Server("p:1", "connecting")}, "b"),
        ({"a": HOME, "b": HOME}, "a"),
    ],
)
def test_the_server_that_is_named_is_the_one_that_works(servers: dict[str, Server], named: str) -> None:
    """Else the one that is tried, else the first."""
    assert f" · {named} (" in state_line(view("failed", now=status(servers=servers)))


@pytest.mark.parametrize(
    ("server", "text"),
    [
        (Server("p:1", "up"), "office    p:1"),
        (Server("p:1", "connecting"), "office    p:1 · connecting"),
        (Server("p:1", "auth-failed"), "office    p:1 · login rejected"),
        (Server("p:1", "needs-unlock"), "office    p:1 · locked"),
        (Server("p:1", "unknown"), "office    p:1"),
    ],
)
def test_how_a_server_does_is_beside_it(server: Server, text: str) -> None:
    """So that one is chosen that works."""
    assert row(view(now=status(servers={"office": server})), "office").text == text


def missing() -> Problem:
    """There is no password."""
    return problem("password-missing", username="ana", server="home", where="the keyring", remedy="")


@pytest.mark.parametrize(
    "home", [Server("p:1", "auth-failed"), Server("p:1", "needs-unlock", problem=missing())]
)
def test_the_password_is_asked_for_whom_it_is_missing(home: Server) -> None:
    """Of all servers that one, and it is named."""
    now = status(servers={"office": OFFICE, "home": home})
    assert row(view(now=now), "Enter password").text == "Enter password of home…"


def test_the_password_of_the_only_server_needs_no_name() -> None:
    """There is no other."""
    assert row(view(now=status(servers={"office": OFFICE})), "Enter password").text == "Enter password…"


def test_the_system_s_resolver_can_be_had_back() -> None:
    """Even when ours has failed; and it is said who has the system ask us."""
    now = status(dns=Dns("127.0.0.1:5399", "office", "error", system="systemd-resolved"))
    expected = """\
☑ Use as system DNS (by systemd-resolved)   [system-dns off]
  (Flush cache)   [dns.flush]"""
    assert drawn(row(view(now=now), "DNS").children[1:]) == expected


def test_a_daemon_of_another_version_is_told() -> None:
    """It was not restarted after an upgrade."""
    now = status(daemon=Daemon(1, "0.0.9", 1.0, 1))
    assert row(view(now=now), "sockslocal").text == "sockslocal 0.1.0 (service: 0.0.9)"


def test_no_text_is_endless_or_hostile() -> None:
    """What a configuration or a server says is cut and escaped."""
    evil = Forward("tcp", "127.0.0.1:1", "x" * 500 + "\u202e\n", "office", "listening")
    shown = flat(rows(view(now=status(forwards={"a\nb": evil}))))
    assert max(len(row.text) for row in shown) == MAX_LABEL
    assert all(row.text.isprintable() for row in shown)
