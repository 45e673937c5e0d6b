import socket
from collections.abc import Iterator

import pytest

from fakes.picky_server import picky_server
from fakes.probe_target import probe_target
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.address import Endpoint
from sockslocal.net.probe_handshakes import (
    Manner,
    Trial,
    bears,
    find_methods,
    ipv6_from,
    keeps_early_data,
    try_connect,
)
from sockslocal.net.probing import Access
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials

ANA = Credentials("ana", Secret("hunter2"))
PATIENCE_S, SHORT_S = 10.0, 0.1
CUT_OR_JOINED = [Manner.SPLIT, Manner.SEMI_PIPELINED, Manner.PIPELINED]

GRANTED = Trial(0, answered=True)
SILENT = Trial(phrase="no answer in time")

pytestmark = pytest.mark.usefixtures("engine")  # which sees that nothing is left


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


@pytest.fixture
def target() -> Iterator[Endpoint]:
    """Who is connected to."""
    with probe_target() as endpoint:
        yield endpoint


def access_to(address: tuple[str, int], credentials: Credentials | None = ANA) -> Access:
    """The way to a server."""
    return Access((socket.AF_INET, address), credentials, PATIENCE_S)


async def try_shortly(access: Access, target: Endpoint, manner: Manner = Manner.PLAIN) -> Trial:
    """With as little patience as the reply takes on this machine."""
    access.patience_s = SHORT_S
    while (
        trial := await try_connect(access, target, manner)
    ).code is None and access.patience_s < PATIENCE_S:
        access.patience_s *= 2
    return trial


@pytest.mark.parametrize("manner", Manner)
async def test_a_server_that_reads_exactly_bears_all_manners(
    fake: FakeServer, target: Endpoint, manner: Manner
) -> None:
    """The target answers whatever way it was asked for."""
    assert await try_connect(access_to(fake.address), target, manner) == GRANTED


@pytest.mark.parametrize(
    ("manner", "lengths"),
    [
        (Manner.PLAIN, [3, 13, 10]),
        (Manner.SPLIT, [1, 2, 6, 7, 5, 5]),
        (Manner.SEMI_PIPELINED, [3, 23]),
        (Manner.PIPELINED, [26]),
        (Manner.OPTIMISTIC, [3, 13, 29]),
    ],
)
async def test_the_manners_as_segments(
    fake: FakeServer, target: Endpoint, manner: Manner, lengths: list[int]
) -> None:
    """What is asked of the target has 19 octets by TCP."""
    await try_connect(access_to(fake.address), target, manner)
    assert [len(segment) for segment in fake.sessions[0].segments] == lengths


async def test_without_a_login(target: Endpoint) -> None:
    """Greeting and request are all there is to join."""
    with FakeServer() as fake:
        trial = await try_connect(access_to(fake.address, None), target, Manner.PIPELINED)
        assert trial == GRANTED
        assert [len(segment) for segment in fake.sessions[0].segments] == [13]


async def test_a_server_that_takes_a_read_for_a_message(target: Endpoint) -> None:
    """It bears nothing but plain speech, and loses what comes too early."""
    with picky_server() as address:
        access = access_to(address)
        plain = await try_connect(access, target)
        assert plain == GRANTED
        for manner in CUT_OR_JOINED:
            assert bears(plain, await try_connect(access, target, manner)) is False
        early = await try_shortly(access, target, Manner.OPTIMISTIC)
        assert early == Trial(0, phrase="no answer in time")
        assert keeps_early_data(plain, early) is False


@pytest.mark.parametrize(
    ("script", "trial"),
    [
        (Script(reply=4), Trial(4, phrase="the server does not know or cannot reach the target")),
        (
            Script(at=Stage.REPLY, act=Act.CLOSE),
            Trial(closed=True, phrase="it closed the connection during the reply"),
        ),
        (
            Script(at=Stage.REPLY, act=Act.SAY, text=b"\5\0\0\1\0\0\0\0\0\0hello"),
            Trial(0, answered=True),
        ),
    ],
)
async def test_what_can_come_of_it(fake: FakeServer, target: Endpoint, script: Script, trial: Trial) -> None:
    """Each is told from the others."""
    fake.script = script
    assert await try_connect(access_to(fake.address), target) == trial


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
async def test_an_end_after_success(fake: FakeServer, target: Endpoint, act: Act) -> None:
    """It is met by whoever sends or receives next, so that its words differ."""
    fake.script = Script(at=Stage.RELAY, act=act)
    trial = await try_connect(access_to(fake.address), target)
    assert (trial.code, trial.answered, trial.closed) == (0, False, True)
    assert trial.phrase


@pytest.mark.parametrize("stage", [Stage.METHOD, Stage.LOGIN, Stage.REPLY, Stage.RELAY])
async def test_silence(fake: FakeServer, target: Endpoint, stage: Stage) -> None:
    """At whatever stage, it ends with the patience."""
    fake.script = Script(at=stage, act=Act.STALL)
    if stage is Stage.RELAY:
        assert await try_shortly(access_to(fake.address), target) == SILENT._replace(code=0)
    else:
        access = access_to(fake.address)
        access.patience_s = SHORT_S
        assert await try_connect(access, target) == SILENT


async def test_nobody_there(target: Endpoint) -> None:
    """The server may end while it is examined."""
    trial = await try_connect(access_to(("127.0.0.1", 1)), target)
    assert trial == Trial(closed=True, phrase="connection refused")


async def test_the_other_way_in(fake: FakeServer) -> None:
    """It is only offered: no password is sent, and nothing asked for."""
    access = access_to(fake.address)
    assert await find_methods(access) == ("password",)
    fake.script = Script(method=0)
    assert await find_methods(access) == ("password", "none")
    fake.script = Script(method=2)
    assert await find_methods(access_to(fake.address, None)) == ("none", "password")
    assert [session.segments for session in fake.sessions] == [[b"\5\1\0"], [b"\5\1\0"], [b"\5\1\2"]]


async def test_a_server_that_says_nothing_to_the_other_way_in(fake: FakeServer) -> None:
    """Then it has one."""
    fake.script = Script(at=Stage.METHOD, act=Act.STALL)
    access = access_to(fake.address)
    access.patience_s = SHORT_S
    assert await find_methods(access) == ("password",)


@pytest.mark.parametrize(
    ("plain", "trial", "expected"),
    [
        (GRANTED, GRANTED, True),
        (GRANTED, Trial(0), None),
        (GRANTED, Trial(1), False),
        (GRANTED, SILENT, False),
        (Trial(5), Trial(5), True),
        (Trial(5), Trial(1), False),
        (Trial(1), Trial(1), None),
        (SILENT, SILENT, None),
        (Trial(closed=True), GRANTED, None),
    ],
)
def test_what_is_borne(plain: Trial, trial: Trial, *, expected: bool | None) -> None:
    """The reply has to be the same; where there is none anyway, nothing can be told."""
    assert bears(plain, trial) is expected


@pytest.mark.parametrize(
    ("plain", "trial", "expected"),
    [
        (GRANTED, GRANTED, True),
        (GRANTED, Trial(0), False),
        (Trial(0), Trial(0), None),
        (SILENT, SILENT, None),
    ],
)
def test_early_data(plain: Trial, trial: Trial, *, expected: bool | None) -> None:
    """Only a target that answers can tell."""
    assert keeps_early_data(plain, trial) is expected


@pytest.mark.parametrize(
    ("plain", "trial", "expected"),
    [
        (GRANTED, GRANTED, "yes"),
        (SILENT, GRANTED, "yes"),
        (GRANTED, Trial(5), "yes"),
        (GRANTED, Trial(8), "unsupported"),
        (GRANTED, Trial(3), "no-route"),
        (Trial(5), Trial(4), "no-route"),
        (Trial(4), Trial(4), None),
        (Trial(5), Trial(5), None),
        (GRANTED, Trial(0, closed=True), "no-route"),
        (GRANTED, Trial(0), "fails"),
        (GRANTED, Trial(1), "fails"),
        (GRANTED, Trial(closed=True), "fails"),
        (GRANTED, SILENT, "fails"),
        (Trial(0, closed=True), Trial(0, closed=True), None),
        (Trial(5), Trial(1), None),
    ],
)
def test_what_a_trial_tells_of_ipv6(plain: Trial, trial: Trial, expected: str | None) -> None:
    """A server without IPv6 says so, or has no way there, or just fails; where IPv4 fails too, who knows."""
    assert ipv6_from(plain, trial) == expected
