import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from fakes.loops import QuickLoop
from sockslocal.address import Endpoint
from sockslocal.net.datagram_size import LARGEST
from sockslocal.net.probe_channels import Answer
from sockslocal.net.probe_questions import ATTEMPTS, SHORTEST_S, Questions
from sockslocal.socks5.errors import FramingError

RELAY = Endpoint("198.51.100.7", 4000)
REMOTE = Endpoint("192.0.2.53", 53)
TWIN = Endpoint("2001:db8::53", 53)

pytestmark = pytest.mark.usefixtures("quick_loop")

Way = Callable[[Endpoint, bytes], Iterable[Answer | Exception]]


class FakeChannel:
    """Sends by `way`, which gives what comes back."""

    def __init__(self, way: Way, relay: Endpoint | None = RELAY) -> None:
        self.relay = relay
        self.sent: list[tuple[Endpoint, bytes]] = []
        self.coming: asyncio.Queue[Answer | Exception] = asyncio.Queue()
        self._way = way

    async def send(self, remote: Endpoint, payload: bytes) -> None:
        self.sent.append((remote, payload))
        for answer in self._way(remote, payload):
            self.coming.put_nowait(answer)

    async def receive(self) -> Answer:
        answer = await self.coming.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def echo(remote: Endpoint, payload: bytes) -> list[Answer]:
    """All comes back as it was."""
    return [Answer(RELAY, remote, payload)]


def dns(remote: Endpoint, payload: bytes) -> list[Answer]:
    """A response."""
    return [Answer(RELAY, remote, payload[:2] + b"\x81\x80" + payload[4:])]


def nothing(_remote: Endpoint, _payload: bytes) -> list[Answer]:
    """All is lost."""
    return []


async def test_a_question_is_answered() -> None:
    """A response shows that datagrams pass, and an echo more than that."""
    for way, echoed in ((echo, 17), (dns, 0)):
        channel = FakeChannel(way)
        questions = Questions(channel, 1.0)
        answer = await questions.ask(REMOTE)
        assert answer is not None
        assert (answer.remote, questions.echoed, len(channel.sent)) == (REMOTE, echoed, 1)


async def test_questions_differ() -> None:
    """Nobody who does not see them can answer."""
    channel = FakeChannel(dns)
    questions = Questions(channel, 1.0)
    for _ in range(8):
        await questions.ask(REMOTE)
    assert len({payload[:2] for _, payload in channel.sent}) > 2


async def test_a_lost_question_is_asked_again(quick_loop: QuickLoop) -> None:
    """In the time that it has, and then no more."""
    channel = FakeChannel(nothing)
    began = quick_loop.time()
    assert await Questions(channel, 1.0).ask(REMOTE) is None
    assert len(channel.sent) == ATTEMPTS
    assert len(set(channel.sent)) == 1
    assert quick_loop.time() - began == pytest.approx(1.0)


async def test_the_answer_to_the_second_attempt() -> None:
    """Is as good."""
    answers = iter([[], echo(REMOTE, b"")])

    def way(remote: Endpoint, payload: bytes) -> list[Answer]:
        return echo(remote, payload) if next(answers) else []

    assert await Questions(FakeChannel(way), 1.0).ask(REMOTE) is not None


async def test_what_answers_nothing_is_passed_over() -> None:
    """Late answers to earlier questions, and what strangers send."""

    def way(remote: Endpoint, payload: bytes) -> list[Answer]:
        other = bytes((payload[0] ^ 1,)) + payload[1:]
        return [Answer(RELAY, remote, other), Answer(RELAY, None, b""), *echo(remote, payload)]

    answer = await Questions(FakeChannel(way), 1.0).ask(REMOTE)
    assert answer is not None
    assert answer.remote == REMOTE


async def test_anything_may_do() -> None:
    """From the relay; from elsewhere only what nobody could have guessed."""
    stranger = Endpoint("203.0.113.1", 9)

    def way(remote: Endpoint, payload: bytes) -> list[Answer]:
        return [Answer(stranger, remote, b"guessed"), Answer(RELAY, None, b"")]

    questions = Questions(FakeChannel(way), 1.0)
    assert await questions.ask(REMOTE, anything=True) == Answer(RELAY, None, b"")
    assert await Questions(FakeChannel(way), 1.0).ask(REMOTE) is None


@pytest.mark.parametrize("error", [ConnectionRefusedError(), FramingError("gost", "it is garbage")])
async def test_a_channel_that_fails(error: Exception) -> None:
    """Is not asked again."""
    channel = FakeChannel(lambda _remote, _payload: [error])
    assert await Questions(channel, 1.0).ask(REMOTE) is None
    assert len(channel.sent) == 1


async def test_quick_answers_make_questions_short(quick_loop: QuickLoop) -> None:
    """What was lost is waited for in proportion."""
    ways = iter([echo, nothing, nothing])

    def way(remote: Endpoint, payload: bytes) -> list[Answer]:
        return next(ways)(remote, payload)

    questions = Questions(FakeChannel(way), 10.0)
    await questions.ask(REMOTE)
    began = quick_loop.time()
    assert await questions.ask(REMOTE) is None
    assert quick_loop.time() - began == pytest.approx(SHORTEST_S)


class Facts(dict[str, Any]):
    """What was learned; of each fact the last."""

    def learn(self, **facts: Any) -> None:
        self.update(facts)


async def look(way: Way, *, twin: Endpoint | None = None, remote: Endpoint = REMOTE) -> Facts:
    """What a closer look at a channel tells."""
    channel, facts = FakeChannel(way), Facts()
    questions = Questions(channel, 1.0)
    answer = await questions.ask(remote, anything=True)
    assert answer is not None
    await questions.look_closer(remote, twin, answer, facts.learn)
    return facts


async def test_a_dns_server_tells_no_sizes() -> None:
    """What comes back is not what was sent."""
    assert await look(dns) == {"probe_answers": True, "foreign_source": "no", "names_remote": True}


async def test_an_echo_tells_the_largest_datagram() -> None:
    """Cut ones, lost ones, and none that is either."""
    for limit, way in (
        (LARGEST, echo),
        (2038, lambda remote, payload: echo(remote, payload[:2038])),
        (17, lambda remote, payload: echo(remote, payload) if len(payload) <= 17 else []),
    ):
        assert (await look(way))["largest_datagram"] == limit


async def test_a_search_that_is_cut_short_tells_no_size() -> None:
    """The examination may end before the search does, and what is not known to be too large is let pass."""
    facts, asked = Facts(), 0

    def run_out(remote: Endpoint, payload: bytes) -> list[Answer]:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise asyncio.CancelledError
        return echo(remote, payload[:2038])

    questions = Questions(FakeChannel(run_out), 1.0)
    answer = await questions.ask(REMOTE)
    assert answer is not None
    with pytest.raises(asyncio.CancelledError):
        await questions.look_closer(REMOTE, None, answer, facts.learn)
    assert facts["probe_answers"]
    assert "largest_datagram" not in facts


@pytest.mark.parametrize(
    ("source", "foreign"),
    [
        (RELAY, "no"),
        (RELAY._replace(port=4001), "port"),
        (RELAY._replace(host="198.51.100.8"), "address"),
        (None, None),
    ],
)
async def test_where_answers_come_from(source: Endpoint | None, foreign: str | None) -> None:
    """The relay itself, its host, or elsewhere; by a stream there is no such choice."""
    facts = await look(
        lambda remote, payload: [Answer(source, remote, answer.payload) for answer in dns(remote, payload)]
    )
    assert facts["foreign_source"] == foreign


async def test_somebody_who_guesses_what_was_asked_is_not_learned_of() -> None:
    """The relay's own answer counts, which comes too."""
    stranger = Endpoint("198.51.100.8", 4000)

    def forged(remote: Endpoint, payload: bytes) -> list[Answer]:
        (answer,) = dns(remote, payload)
        return [Answer(stranger, stranger, answer.payload), answer]

    facts = await look(forged)
    assert (facts["foreign_source"], facts["names_remote"]) == ("no", True)


@pytest.mark.parametrize("named", [Endpoint("127.0.0.1", 53), Endpoint("", 53), None])
async def test_whom_answers_name(named: Endpoint | None) -> None:
    """Some servers name the client, or nobody."""
    facts = await look(lambda remote, payload: [Answer(RELAY, named, dns(remote, payload)[0].payload)])
    assert facts["names_remote"] is False


async def test_the_name_of_a_name_cannot_be_compared() -> None:
    """Its address is known to the server alone."""
    facts = await look(
        lambda remote, payload: [Answer(RELAY, REMOTE, dns(remote, payload)[0].payload)],
        remote=Endpoint("dns.example", 53),
    )
    assert "names_remote" not in facts


@pytest.mark.parametrize("passes", [True, False])
async def test_ipv6_remotes(*, passes: bool) -> None:
    """One is asked in the same way."""
    way = dns if passes else lambda remote, payload: dns(remote, payload) if remote == REMOTE else []
    assert (await look(way, twin=TWIN))["udp_ipv6"] is passes
