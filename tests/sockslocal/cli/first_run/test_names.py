from pathlib import Path

import pytest

from fakes.person import Script
from fakes.trial import REPORT, WITHOUT_UDP, FakeTrial
from sockslocal.cli.first_run import names
from sockslocal.config.load import parse
from sockslocal.config.model import Config
from sockslocal.errors import ControlError

NOTHING = Config(Path("config.toml"))
REFUSED = ControlError.of("bad-request", reason="it has no scheme")


def test_nobody_has_to_have_one(answers: Script) -> None:
    """Nor is a second one offered."""
    answers("")
    assert names.resolver(NOTHING, FakeTrial(), REPORT, None) is None
    config = parse(
        '[server.a]\naddress = "a:1"\n[dns]\nlisten = "127.0.0.1:5399"\nupstreams = "tcp://9.9.9.9"\n',
        Path("config.toml"),
    )
    assert names.resolver(config, FakeTrial(), REPORT, None) is None
    assert len(answers.asked) == 1


def test_asked_by_udp_where_that_passes(answers: Script) -> None:
    """Else by TCP; what was answered last is proposed next."""
    answers("y", "")
    answer = names.resolver(NOTHING, FakeTrial(""), REPORT, "home")
    assert answer is not None
    assert (answer.upstream, answer.through) == ("udp://9.9.9.9", "home")
    answers("y", "10.0.0.2", "", "tcp://10.0.0.2")
    answer = names.resolver(NOTHING, FakeTrial(REFUSED, ""), WITHOUT_UDP, None)
    assert answer is not None
    assert answer.upstream == "tcp://10.0.0.2"
    assert "[tcp://9.9.9.9]" in answers.asked[3]
    assert "[10.0.0.2]" in answers.asked[5]


@pytest.mark.parametrize(("after", "kept"), [("keep", True), ("none", False)])
def test_one_that_does_not_answer(answers: Script, after: str, *, kept: bool) -> None:
    """Is had only if it is wanted all the same."""
    answers("y", "", after)
    answer = names.resolver(NOTHING, FakeTrial("no upstream answers"), REPORT, None)
    assert (answer is not None) == kept


def test_untried_where_the_server_is(answers: Script) -> None:
    """There would be nothing to learn."""
    answers("y", "")
    assert names.resolver(NOTHING, FakeTrial(), None, None) is not None
