import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import dns.flags
import dns.message
import pytest

from fakes.dns_tunnel import query, response, until
from sockslocal.errors import ServerError
from sockslocal.problems import problem
from sockslocal.resolver import pipeline, wire
from sockslocal.resolver.answer import Answer, failure
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.digest import digest
from sockslocal.resolver.errors import NoUpstreamError
from sockslocal.resolver.pipeline import (
    Coalesce,
    Found,
    Pipeline,
    Share,
    Step,
    ask,
    composed,
    recall,
    recall_failure,
    refuse,
    require_recursion,
    store,
)
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.wire import Query, parse_query


def asked(name: str = "www.example", rdtype: str = "A", **options: Any) -> Query:
    """A client's question."""
    return parse_query(query(name, rdtype, **options).to_wire())


def address(ttl: int = 300) -> Answer:
    """An answer to it."""
    return digest(response(query(), "www.example A 192.0.2.1", ttl=ttl), upstream="u", path="udp")


SERVFAIL = failure(wire.SERVFAIL, 22, "silence", transient=False)


class Rest:
    """The rest of the list: counts what reaches it, and answers when it may."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.queries: list[Query] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, query: Query, _rest: object = None) -> Found:
        self.queries.append(query)
        await self.open.wait()
        return Found(self.answer)


@pytest.mark.parametrize(
    ("rdtype", "rcode"),
    [
        ("OPT", wire.FORMERR),
        ("TKEY", wire.FORMERR),
        ("TSIG", wire.FORMERR),
        ("AXFR", wire.REFUSED),
        ("IXFR", wire.REFUSED),
        ("TYPE253", wire.REFUSED),
        ("TYPE254", wire.REFUSED),
        ("ANY", wire.NOERROR),
        ("TYPE65280", wire.NOERROR),
    ],
)
async def test_types_that_are_no_questions_are_refused(rdtype: str, rcode: int) -> None:
    """Transfers and the like; unknown types pass (checklist 26)."""
    message = bytearray(query().to_wire())
    message[-4:-2] = int(dns.rdatatype.from_text(rdtype)).to_bytes(2, "big")
    rest = Rest(address())
    found = await refuse(parse_query(bytes(message)), rest)
    assert found.answer.rcode == rcode
    assert len(rest.queries) == (rcode == wire.NOERROR)


async def test_what_was_stored_is_recalled_with_its_age() -> None:
    """And the rest of the list is not asked."""
    cache, rest = Cache(1_000_000), Rest(address())
    now = 1000
    remember, look_up = store(cache, lambda: now), recall(cache, lambda: now)
    assert not (await remember(asked(), rest)).cached
    now = 1100
    found = await look_up(asked(), rest)
    assert (found.answer, found.age, found.cached) == (rest.answer, 100, True)
    assert len(rest.queries) == 1


async def test_failures_are_recalled_for_a_short_while() -> None:
    """At least a second (checklist 40)."""
    cache, rest = Cache(1_000_000), Rest(SERVFAIL)
    now = 1000
    steps = composed([recall_failure(cache, lambda: now), store(cache, lambda: now), rest])
    for now, code in ((1000, 22), (1001, 13), (1002, 22)):  # noqa: B007 (the steps see it)
        assert (await steps(asked())).answer.error == (code, "silence")
    assert len(rest.queries) == 2


async def test_troubles_of_ours_are_not_kept() -> None:
    """They are not the name's (checklist 45)."""
    cache, rest = Cache(1_000_000), Rest(failure(wire.SERVFAIL, 23, "the tunnel is down"))
    steps = composed([recall_failure(cache, lambda: 0), store(cache, lambda: 0), rest])
    for _ in range(3):
        await steps(asked())
    assert len(rest.queries) == 3


async def test_without_recursion_nothing_is_asked() -> None:
    """Refused, with the reason that RFC 8914 §4.21 has for it; what is known is told all the same."""
    cache, rest = Cache(1_000_000), Rest(address())
    steps = composed([recall(cache, lambda: 0), require_recursion, store(cache, lambda: 0), rest])
    without = asked(flags=dns.flags.QR ^ dns.flags.QR)
    found = await steps(without)
    assert found.answer.rcode == wire.REFUSED
    assert found.answer.error is not None
    assert found.answer.error[0] == 20
    assert rest.queries == []
    await steps(asked())
    assert (await steps(without)).answer is rest.answer


async def test_identical_questions_are_asked_once() -> None:
    """In any letter case, while the first waits; another question is its own (checklist 69)."""
    coalesce, rest = Coalesce(), Rest(address())
    rest.open.clear()
    names = ["www.example", "WWW.example"] * 50
    tasks = [asyncio.ensure_future(coalesce(asked(name), rest)) for name in names]
    other = asyncio.ensure_future(coalesce(asked(rdtype="AAAA"), rest))
    await until(lambda: len(rest.queries) == 2)
    rest.open.set()
    assert len({id(found.answer) for found in await asyncio.gather(*tasks, other)}) == 1
    assert len(rest.queries) == 2
    await coalesce(asked(), rest)
    assert len(rest.queries) == 3


async def test_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    """Not even the one who asked first."""
    coalesce, rest = Coalesce(), Rest(address())
    rest.open.clear()
    first, second = (asyncio.ensure_future(coalesce(asked(), rest)) for _ in range(2))
    await until(lambda: len(rest.queries) == 1)
    first.cancel()
    rest.open.set()
    assert (await second).answer is rest.answer
    assert len(rest.queries) == 1


def one_group(_query: Query) -> None:
    """All are asked of the same upstreams."""


def by_first_letter(query: Query) -> str:
    """Other upstreams for each."""
    return chr(query.name[1])


async def waiting_for(share: Share, rest: Rest, names: Iterable[str]) -> list[asyncio.Task[Found]]:
    """Queries for `names`, of which each has got as far as it does."""
    tasks = [asyncio.create_task(share(asked(name), rest)) for name in names]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize(
    ("group_of", "pattern", "most"),
    [
        (one_group, "x.zone{}.example{}", 15),
        (one_group, "x{}.zone.example", 10),
        (by_first_letter, "x.zone{}.example{}", 15),
        (by_first_letter, "{}.zone{}.example{}", 30),
    ],
)
async def test_who_is_slow_leaves_room_to_others(
    monkeypatch: pytest.MonkeyPatch, group_of: Callable[[Query], Hashable], pattern: str, most: int
) -> None:
    """One group takes half of all places, one zone a third, many groups all; then it is a trouble of ours."""
    monkeypatch.setattr(pipeline, "MAX_PENDING", 30)
    share, rest = Share(group_of), Rest(address())
    rest.open.clear()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tasks = await waiting_for(share, rest, [pattern.format(*letter * 3) for letter in letters])
    assert len(rest.queries) == most
    refused = [task.result().answer for task in tasks if task.done()]
    assert len(refused) == len(letters) - most
    assert {(answer.rcode, answer.transient) for answer in refused} == {(wire.SERVFAIL, True)}
    rest.open.set()
    await asyncio.gather(*tasks)
    assert (share._all, share._waiting) == (0, {})


async def test_who_leaves_frees_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the wait."""
    monkeypatch.setattr(pipeline, "MAX_PENDING", 1)
    share, rest = Share(one_group), Rest(address())
    rest.open.clear()
    first, second = await waiting_for(share, rest, ["a", "b"])
    assert (await second).answer.rcode == wire.SERVFAIL
    first.cancel()
    rest.open.set()
    await asyncio.gather(first, return_exceptions=True)
    assert (await share(asked("b"), rest)).answer is rest.answer


async def test_a_bug_is_raised_to_each_who_waits_as_an_exception_of_its_own() -> None:
    """With the one that was raised first as its cause, for the log."""

    async def fail(_query: Query) -> Found:
        await asyncio.sleep(0)
        raise KeyError("bug")

    coalesce = Coalesce()
    waiting = [coalesce(asked(), fail) for _ in range(3)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == ["KeyError('bug')"] * 3
    causes = [outcome.__cause__ for outcome in outcomes if isinstance(outcome, KeyError)]
    assert len(set(map(id, outcomes))) == 3
    assert len(set(map(id, causes))) == 1
    assert isinstance(causes[0], KeyError)


async def test_closing_ends_what_is_being_asked() -> None:
    """Nothing is left running."""
    coalesce, rest = Coalesce(), Rest(address())
    rest.open.clear()
    waiting = asyncio.ensure_future(coalesce(asked(), rest))
    await until(lambda: len(rest.queries) == 1)
    await coalesce.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


class Upstreams:
    """Answers, or does not."""

    def __init__(self, outcome: Answer | NoUpstreamError) -> None:
        self.outcome = outcome

    async def ask(self, _query: Query) -> Answer:
        if isinstance(self.outcome, NoUpstreamError):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(("transient", "code"), [(False, 22), (True, 23)])
async def test_no_upstream_is_servfail_with_the_reason(*, transient: bool, code: int) -> None:
    """22 where they are silent, 23 where the network is to blame (RFC 8914 §4.23, §4.24)."""
    statistics = Statistics()
    silence = problem("dns-no-upstream", reason="silence", remedy="ask others")
    error = NoUpstreamError(silence, transient=transient)
    found = await ask(Upstreams(error), statistics)(asked(), Rest(SERVFAIL))
    assert found.answer.rcode == wire.SERVFAIL
    assert found.answer.error == (code, "none of the upstreams answered: silence")
    assert found.answer.transient is transient
    assert statistics.failed == 1


@pytest.mark.parametrize(("answer", "failed"), [(address(), 0), (Answer(rcode=wire.REFUSED), 1)])
async def test_what_an_upstream_tells_is_counted(*, answer: Answer, failed: int) -> None:
    """A failure it tells is one as well."""
    statistics = Statistics()
    found = await ask(Upstreams(answer), statistics)(asked(), Rest(SERVFAIL))
    assert found.answer is answer
    assert statistics.failed == failed


async def test_steps_run_in_their_order() -> None:
    """Each is given the rest; what it does not pass on reaches nobody."""
    seen: list[int] = []

    def step(number: int) -> Step:
        async def run(query: Query, rest: pipeline.Rest) -> Found:
            seen.append(number)
            return await rest(query)

        return run

    await composed([step(1), step(2), Rest(address()), step(3)])(asked())
    assert seen == [1, 2]
    with pytest.raises(AssertionError):
        await composed([step(1)])(asked())


async def test_malformed_messages_are_answered_at_once() -> None:
    """Or met with silence; no task is made for them."""
    lines = Pipeline([Rest(address())])
    octets = query().to_wire()
    formerr = lines.submit(octets + b"x", print, stream=False)
    assert formerr is not None
    assert dns.message.from_wire(formerr).rcode() == wire.FORMERR
    assert lines.submit(b"", print, stream=False) == b""
    await lines.close(0)


async def test_a_query_is_answered_later() -> None:
    """With its id, its case and the age of what was found."""
    lines = Pipeline([Rest(address())])
    replies: list[bytes] = []
    octets = query("wWw.example").to_wire()
    assert lines.submit(octets, replies.append, stream=False) is None
    await until(lambda: bool(replies))
    reply = dns.message.from_wire(replies[0])
    assert dns.message.from_wire(octets).is_response(reply)
    assert reply.question[0].name.to_text() == "wWw.example."
    await lines.close(0)


async def test_queries_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond are told so at once, and as soon as others are answered there is room again."""
    monkeypatch.setattr(pipeline, "MAX_PENDING", 3)

    rest = Rest(address())
    rest.open.clear()
    lines = Pipeline([rest])
    replies: list[bytes] = []
    octets = query(use_edns=0).to_wire()
    for _ in range(3):
        assert lines.submit(octets, replies.append, stream=False) is None
    refusal = lines.submit(octets, replies.append, stream=False)
    assert refusal is not None
    message = dns.message.from_wire(refusal)
    assert message.rcode() == wire.SERVFAIL
    assert [error.code for error in message.extended_errors()] == [14]
    rest.open.set()
    await until(lambda: len(replies) == 3)
    await asyncio.sleep(0)
    assert lines.submit(octets, replies.append, stream=False) is None
    await lines.close(1)
    assert len(replies) == 4


async def test_beyond_the_bound_what_is_known_at_once_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the age that it has; the others are told that too many wait. Below it nobody is answered so."""
    monkeypatch.setattr(pipeline, "MAX_PENDING", 1)

    def at_once(query: Query) -> Found | None:
        return Found(address(), age=100) if query.name == asked().name else None

    rest = Rest(address())
    rest.open.clear()
    lines = Pipeline([rest], at_once=at_once)
    assert lines.submit(query().to_wire(), print, stream=False) is None
    known, other = (lines.submit(query(name).to_wire(), print, stream=False) for name in ("www.example", "x"))
    assert known is not None
    assert dns.message.from_wire(known).answer[0].ttl == 200
    assert other is not None
    assert dns.message.from_wire(other).rcode() == wire.SERVFAIL
    await lines.close(0)


async def test_closing_waits_no_longer_than_it_may() -> None:
    """What is not answered by then is not answered."""
    rest = Rest(address())
    rest.open.clear()
    lines = Pipeline([rest])
    replies: list[bytes] = []
    lines.submit(query().to_wire(), replies.append, stream=False)
    await lines.close(0.01)
    assert replies == []
    await lines.close(1)


async def test_a_bug_is_logged_and_its_client_told(caplog: pytest.LogCaptureFixture) -> None:
    """SERVFAIL, and the other queries go on."""

    async def bug(_query: Query, _rest: object) -> Found:
        raise ServerError.of("internal", reason="a bug")

    lines = Pipeline([bug])
    replies: list[bytes] = []
    lines.submit(query().to_wire(), replies.append, stream=False)
    await until(lambda: bool(replies))
    assert dns.message.from_wire(replies[0]).rcode() == wire.SERVFAIL
    await lines.close(0)
    assert "a query failed" in caplog.text
