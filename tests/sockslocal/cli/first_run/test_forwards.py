import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fakes.person import Script
from fakes.trial import REPORT, WITHOUT_UDP, FakeTrial
from sockslocal.address import Endpoint
from sockslocal.cli.first_run import forwards
from sockslocal.cli.first_run.plan import ForwardAnswer
from sockslocal.config.load import parse
from sockslocal.config.model import Config
from sockslocal.errors import ServerError

NOTHING = Config(Path("config.toml"))
CONFIG = parse(
    '[server.office]\naddress = "proxy:1080"\n'
    '[tcp.db]\nlisten = ["unix:/run/db.sock", "127.0.0.1:15432"]\nto = "db.internal:5432"\n'
    '[udp.game]\nlisten = "127.0.0.1:27015"\nto = "203.0.113.9:27015"\n'
    '[dns]\nlisten = "127.0.0.1:5399"\nupstreams = "tcp://9.9.9.9"\n',
    Path("config.toml"),
)

REFUSED = ServerError.of("target-refused", address="proxy:1080", target="web:80", phrase="refused")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on, for TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free() -> int:
    """A port that nobody has."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_first_forward(answers: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """Every wrong answer gets its sentence."""
    port = free()
    answers("", "", "web", f"web.internal:{port}", "x", "70000", "80", "", "a b", "dns", "")
    trial = FakeTrial("answers")
    assert forwards.forward(NOTHING, trial, REPORT, None) == ForwardAnswer(
        kind="tcp", name="web", port=port, to=Endpoint("web.internal", port)
    )
    said = capsys.readouterr().err
    for sentence in (
        '"web" should be',
        '"x" is no port',
        "port 80 needs",
        '"a b" is no name',
        "the resolver",
    ):
        assert sentence in said
    assert f"● web.internal:{port} answers" in said
    assert trial.tried[0].settings["to"] == f"web.internal:{port}"


def test_a_port_in_use_is_told_with_its_holder(
    answers: Script, capsys: pytest.CaptureFixture[str], taken: int
) -> None:
    """Another one is proposed then."""
    answers("", "", f"web:{taken}", str(taken), "", "")
    answer = forwards.forward(NOTHING, FakeTrial("silent"), REPORT, "home")
    assert answer is not None
    assert answer.port != taken
    assert answer.through == "home"
    said = capsys.readouterr().err
    assert said.count(f"port {taken} is in use by ") == 2
    assert f"(pid {os.getpid()})" in said
    assert "neither answered nor refused" in said


def test_without_udp_it_is_tcp(answers: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is asked what cannot be."""
    answers("", "web:80", "", "")
    answer = forwards.forward(NOTHING, FakeTrial("answers"), WITHOUT_UDP, None)
    assert answer is not None
    assert (answer.kind, answer.name) == ("tcp", "web")
    assert "TCP forward" in capsys.readouterr().err


def test_a_udp_forward(answers: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """Only its program can find out more."""
    port = free()
    answers("", "udp", f"203.0.113.9:{port}", "", "")
    answer = forwards.forward(NOTHING, FakeTrial("silent"), REPORT, None)
    assert answer == ForwardAnswer(kind="udp", name="first", port=port, to=Endpoint("203.0.113.9", port))
    assert "only your program can find out" in capsys.readouterr().err


@pytest.mark.parametrize(("after", "kept"), [("keep", True), ("none", False)])
def test_one_that_does_not_work(answers: Script, after: str, *, kept: bool) -> None:
    """Is asked for again, until it works, is wanted all the same, or not at all."""
    port = free()
    answers("", "", f"web:{port}", "", "web", "", "", "", "", "", after)
    trial = FakeTrial(REFUSED, REFUSED)
    answer = forwards.forward(NOTHING, trial, REPORT, None)
    assert (answer is not None) == kept
    assert answers.left == []
    assert trial.tried[0] == trial.tried[1], "Enter takes what was answered before"


def test_none_is_wanted(answers: Script) -> None:
    """Enter makes none where there are some."""
    answers("")
    assert forwards.forward(CONFIG, FakeTrial(), REPORT, None) is None
    assert answers.asked == ["  Make another one now (yes/no) [no]: "]


def test_untried_where_the_server_is(answers: Script) -> None:
    """There would be nothing to learn; names that are taken are not proposed."""
    port = free()
    answers("y", "tcp", f"db:{port}", "", "game", "")
    answer = forwards.forward(CONFIG, FakeTrial(), None, None)
    assert answer is not None
    assert answer.name == "db2"


@pytest.mark.parametrize(
    ("kind", "port", "whose"),
    [("tcp", 15432, '"db"'), ("udp", 27015, '"game"'), ("tcp", 5399, "resolver"), ("dns", 15432, '"db"')],
)
def test_ports_of_the_same_file(kind: str, port: int, whose: str) -> None:
    """Are taken, whether anybody listens there now or not."""
    assert whose in forwards.why_taken(CONFIG, kind, port)


def test_a_free_port_is_found_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel, where all that come to mind are taken."""
    assert forwards.free_port(NOTHING, "tcp", 80) >= 1024
    monkeypatch.setattr(forwards, "why_taken", lambda *_: "taken")
    assert forwards.free_port(NOTHING, "tcp", 5432) >= 1024
