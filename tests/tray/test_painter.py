import pytest

from fakes.control import status
from fakes.face import FakeFace
from fakes.menus import flat
from sockslocal.problems import problem
from sockslocal.status import Forward, Server, Status, Tunnel
from sockslocal_tray.actions import Action
from sockslocal_tray.face import Message
from sockslocal_tray.icons import Drawing
from sockslocal_tray.menu import View
from sockslocal_tray.painter import ICON_PAUSE_S, MENU_PAUSE_S, Painter
from sockslocal_tray.watch import Seen

UP = Server("proxy:1080", "up", 42.0)
START = 1000.0
LATER = START + 60.0


def good(latency: float = 42.0) -> Seen:
    """A daemon that does well."""
    return Seen(status(servers={"office": Server("proxy:1080", "up", latency)}))


def off() -> Seen:
    """One that is switched off."""
    return Seen(status(servers={"office": UP}, tunnel=Tunnel(on=False)))


def busy() -> Seen:
    """One whose forward cannot listen, which only a person can mend."""
    details = {"kind": "forward", "name": "db", "listen": "127.0.0.1:1", "holder": "postgres"}
    wrong = problem("port-in-use", **details, remedy="sockslocal forward set db --listen 127.0.0.1:2")
    forward = Forward("tcp", "127.0.0.1:1", "db:1", "office", "error", wrong)
    return Seen(status(servers={"office": UP}, forwards={"db": forward}))


def rejected() -> Seen:
    """One whose password is wrong."""
    wrong = problem("auth-failed", address="proxy:1080", username="ana", remedy="sockslocal login office")
    return Seen(status(servers={"office": Server("proxy:1080", "auth-failed", problem=wrong)}))


@pytest.fixture
def painter(face: FakeFace) -> Painter:
    """One that has just begun, for a dark panel."""
    return Painter(face, View(status=None, state="off", version="0.1.0"), START, dark=True)


def test_the_icon_shows_the_state_at_once(painter: Painter, face: FakeFace) -> None:
    """With the title and the menu of the same moment."""
    assert painter.look(good(), START, 0) is None
    assert face.drawings == [Drawing("up", dark=True)]
    assert face.titles == ["● Connected · office (proxy:1080, 42 ms)"]
    assert face.menus[0][0].text == face.titles[0]


def test_what_looks_the_same_is_not_shown_again(painter: Painter, face: FakeFace) -> None:
    """However often the daemon says it."""
    for tick in range(10):
        painter.look(good(), START + tick, 0)
    assert (len(face.drawings), len(face.menus)) == (1, 1)


def test_a_menu_that_changes_leaves_the_icon_alone(painter: Painter, face: FakeFace) -> None:
    """Latencies are in the menu only."""
    painter.look(good(), START, 0)
    painter.look(good(50.0), LATER, 0)
    assert (len(face.drawings), len(face.menus)) == (1, 2)


def test_a_thousand_changes_a_minute_do_not_flicker(painter: Painter, face: FakeFace) -> None:
    """The icon is changed twice a second at most, the menu once, and the last state is shown in the end."""
    again_at: float | None = None
    for tick in range(1000):
        state = good(float(tick)) if tick % 2 else off()
        again_at = painter.look(state, START + tick * 0.06, 0)
    assert len(face.drawings) <= 60 / ICON_PAUSE_S + 1
    assert len(face.menus) <= 60 / MENU_PAUSE_S + 1
    while again_at is not None:
        again_at = painter.look(good(999.0), again_at, 0)
    assert face.drawings[-1] == Drawing("up", dark=True)
    assert face.titles[-1].endswith("999 ms)")


def test_no_daemon_is_off(painter: Painter, face: FakeFace) -> None:
    """Not a failure: it can be started."""
    painter.look(Seen(None, problem("not-running")), START, 0)
    assert face.drawings == [Drawing("off", dark=True)]
    assert "Start" in [row.text for row in flat(face.menus[0])]


def test_what_lasts_a_moment_only_is_not_shown(painter: Painter, face: FakeFace) -> None:
    """But it is asked to be looked at again, and shown then."""
    painter.look(good(), START, 0)
    wrong = problem("server-unreachable", address="proxy:1080", reason="refused", server="office")
    dead = Seen(status(servers={"office": Server("proxy:1080", "down", 42.0, problem=wrong)}))
    again_at = painter.look(dead, LATER, 0)
    assert len(face.drawings) == 1
    while again_at is not None and len(face.drawings) == 1:
        again_at = painter.look(dead, again_at, 0)
    assert face.drawings[-1] == Drawing("failed", dark=True)
    assert "⚠ proxy:1080 cannot be connected to: refused" in [row.text for row in face.menus[-1]]


def test_what_a_person_has_to_mend_is_told(painter: Painter, face: FakeFace) -> None:
    """With a button that does it; and taken back when it is mended."""
    painter.look(busy(), LATER, 0)
    (message,) = face.messages
    command = "sockslocal forward set db --listen 127.0.0.1:2"
    assert message.text.splitlines()[-1] == command
    assert message.button == ("Run it", Action("remedy", command))
    painter.look(good(), LATER + 20, 0)
    assert face.taken_back == [message.category]


def test_a_wrong_password_is_told_with_where_to_enter_it(painter: Painter, face: FakeFace) -> None:
    """Once, though the daemon says it again and again."""
    for tick in range(10):
        painter.look(rejected(), LATER + tick, 0)
    (message,) = face.messages
    assert message.button == ("Enter password…", Action("password", "office"))
    assert isinstance(message, Message)


def test_after_a_sleep_there_is_time_to_reconnect(painter: Painter, face: FakeFace) -> None:
    """What is not there yet is not told at once."""
    wrong = problem("server-unreachable", address="proxy:1080", reason="refused", server="office")
    dead: Status = status(servers={"office": Server("proxy:1080", "down", 42.0, problem=wrong)})
    for seen in (good(), Seen(dead)):
        painter.look(seen, LATER, 0)
    assert face.messages == []
    painter.look(Seen(dead), LATER + 9, slept=3600)
    assert face.messages == []
    painter.look(Seen(dead), LATER + 60, slept=3600)
    assert len(face.messages) == 1
