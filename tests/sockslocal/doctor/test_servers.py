from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fakes.control import fake_daemon, status
from sockslocal.doctor.report import Check
from sockslocal.doctor.scene import Scene
from sockslocal.doctor.servers import sections
from sockslocal.errors import CredentialsError, ServerError, SockslocalError
from sockslocal.problems import problem
from sockslocal.status import Forward, Server, Status, Tunnel

Make = Callable[..., Scene]
PLAIN = '[server.office]\naddress = "proxy:1080"\nusername = "ana"\n'
HERE = {"address": "proxy:1080", "server": "office"}
UP = status(servers={"office": Server("proxy:1080", "up")})
GAME = Forward("udp", "127.0.0.1:1", "game:1", "office", "listening")


def row(name: str, verdict: str) -> dict[str, str]:
    """A fact as the daemon tells of it."""
    return {
        "name": name,
        "title": name.capitalize(),
        "found": "so",
        "meaning": "It is so.",
        "verdict": verdict,
    }


def examined(make: Make, answer: object, running: Status = UP, text: str = PLAIN) -> list[Check]:
    """The checks of the one server that a daemon finds `answer` about."""
    scene = make(text, status=running)

    async def tell(_parameters: dict[str, Any]) -> object:
        if isinstance(answer, Exception):
            raise answer
        return {"rows": answer}

    with fake_daemon(scene.paths, {"server.test": tell}, first=running):
        (section,) = sections(scene)
    assert (section.id, section.title) == ("server.office", "Server office")
    return [*section.checks]


def briefly(checks: list[Check]) -> list[tuple[str, str]]:
    """Which with which verdict."""
    return [(check.id.removeprefix("server.office."), check.verdict) for check in checks]


def test_one_that_is_well(scene: Make) -> None:
    """Stage by stage, and then the facts that matter; of the others only what is bad."""
    rows = [row("login", "good"), row("split-messages", "note"), row("udp", "good"), row("ipv6", "unknown")]
    found = examined(scene, rows)
    assert briefly(found) == [
        ("look-up", "good"),
        ("connection", "good"),
        ("greeting", "good"),
        ("login", "good"),
        ("udp", "good"),
    ]
    assert found[-1] == Check("server.office.udp", "Udp", "good", "so: it is so")


def test_tls_is_a_stage_where_it_is_spoken(scene: Make) -> None:
    """Between connection and greeting."""
    found = examined(scene, [], text=f"{PLAIN}tls = true\n")
    assert [check.title for check in found] == ["Look-up", "Connection", "TLS", "Greeting"]


@pytest.mark.parametrize(
    ("error", "stages"),
    [
        (ServerError.of("server-unresolvable", host="proxy", reason="no", **HERE), [("look-up", "bad")]),
        (
            ServerError.of("server-unreachable", reason="refused", **HERE),
            [("look-up", "good"), ("connection", "bad")],
        ),
        (
            ServerError.of("server-not-socks5", detail="HTTP", **HERE),
            [("look-up", "good"), ("connection", "good"), ("greeting", "bad")],
        ),
        (
            ServerError.of("auth-failed", username="ana", remedy="sockslocal login office", **HERE),
            [("login", "bad")],
        ),
        (ServerError.of("test-busy", seconds=5), [("test", "bad")]),
        (CredentialsError.of("needs-unlock", server="office", reason="is locked"), [("test", "unknown")]),
    ],
)
def test_one_that_is_not(scene: Make, error: SockslocalError, stages: list[tuple[str, str]]) -> None:
    """What went well, and the stage that did not; a password is looked at elsewhere."""
    assert briefly(examined(scene, error)) == stages


def test_a_password_that_is_looked_at_nowhere_else(scene: Make) -> None:
    """Such as a command's, which is not run for this."""
    error = CredentialsError.of("needs-unlock", server="office", reason="is locked")
    found = examined(scene, error, text=f'{PLAIN}password_from = "command:pass"\n')
    assert briefly(found) == [("test", "bad")]


def test_one_that_nothing_goes_through(scene: Make) -> None:
    """It is worth a note."""
    dead = problem("server-unreachable", reason="refused", **HERE)
    db = Forward("tcp", "127.0.0.1:2", "db:2", "home", "listening")
    spare = status(servers={"office": Server("proxy:1080", "down", problem=dead)}, forwards={"db": db})
    assert briefly(examined(scene, ServerError(dead), spare))[-1] == ("connection", "note")


@pytest.mark.parametrize(("forwards", "verdict"), [({}, "note"), ({"game": GAME}, "bad")])
def test_datagrams_that_do_not_pass(scene: Make, forwards: dict[str, Forward], verdict: str) -> None:
    """That is bad where somebody wants them to."""
    running = msgspec.structs.replace(UP, forwards=forwards)
    assert briefly(examined(scene, [row("udp", "bad")], running))[-1] == ("udp", verdict)


def test_connections_that_are_refused(scene: Make) -> None:
    """It may be only the one to the probe."""
    check = examined(scene, [row("connections", "bad")])[-1]
    assert check.verdict == "note"
    assert check.remedy.startswith("set udp_probe in [server.office]")


def test_nothing_can_be_examined(scene: Make) -> None:
    """Without a daemon, or with one that is off or stuck: said once, with what helps."""
    off = status(tunnel=Tunnel(on=False), servers=UP.servers)
    stuck = problem("not-answering", pid=1, seconds=5)
    for one, remedy in (
        (scene(PLAIN), "sockslocal start"),
        (scene(PLAIN, absence=stuck), "sockslocal restart"),
        (scene(PLAIN, status=off), "sockslocal on"),
    ):
        ((check,),) = (section.checks for section in sections(one))
        assert (check.id, check.verdict, check.remedy) == ("server", "unknown", remedy)
