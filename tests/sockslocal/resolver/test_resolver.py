"""The whole resolver."""

import asyncio
import gc
from collections.abc import Callable
from typing import NoReturn

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest

from fakes.dns_client import Clock, ask, connected, resolver
from fakes.dns_tunnel import REFUSAL, FakeFlow, FakeTunnel, addresses, query, response, silence, until
from fakes.forged_dns import NAME, TRUE, answer, with_its_id, with_wrong_ids
from sockslocal.address import Endpoint
from sockslocal.errors import ControlError, ServerError
from sockslocal.resolver import ask_udp, pipeline, upstreams


async def test_ttls_count_down_over_udp_and_tcp() -> None:
    """And the upstream is asked again when they have run out."""
    tunnel, clock = FakeTunnel(), Clock()
    async with resolver(tunnel, clock=clock) as made, connected(made) as client:
        await ask(made, query())
        clock.now += 100.9
        assert (await ask(made, query())).answer[0].ttl == 200
        client.send(query())
        assert (await client.receive()).answer[0].ttl == 200
        assert len(tunnel.asked) == 1
        clock.now += 199.1
        assert (await ask(made, query())).answer[0].ttl == 300
        assert len(tunnel.asked) == 2


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
async def test_denials_are_kept_by_their_soa(rcode: str) -> None:
    """For its MINIMUM, counted down (checklist 35, 39); NXDOMAIN for all types (checklist 37)."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        return [response(asked, rcode=rcode)]

    tunnel, clock = FakeTunnel(script), Clock()
    async with resolver(tunnel, clock=clock) as made:
        assert (await ask(made, query())).authority[0].ttl == 60
        clock.now += 20
        reply = await ask(made, query())
        assert (dns.rcode.to_text(reply.rcode()), reply.authority[0].ttl) == (rcode, 40)
        await ask(made, query(rdtype="AAAA"))
        assert len(tunnel.asked) == (1 if rcode == "NXDOMAIN" else 2)
        clock.now += 40
        await ask(made, query())
        assert len(tunnel.asked) == (2 if rcode == "NXDOMAIN" else 3)


async def test_a_failing_name_is_not_asked_for_at_each_query() -> None:
    """But after a second or two again (checklist 40)."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        return [response(asked, rcode="SERVFAIL")]

    tunnel, clock = FakeTunnel(script), Clock()
    async with resolver(tunnel, clock=clock) as made:
        for _ in range(5):
            assert (await ask(made, query())).rcode() == dns.rcode.SERVFAIL
        assert len(tunnel.asked) == 1
        clock.now += 2
        tunnel.script = addresses
        assert (await ask(made, query())).rcode() == dns.rcode.NOERROR


async def test_with_the_tunnel_down_it_is_servfail_at_once_and_works_when_it_is_back() -> None:
    """With the reason for who can read it; nothing goes any other way."""
    tunnel = FakeTunnel()
    tunnel.refusal = REFUSAL
    async with resolver(tunnel, "udp", "tcp") as made:
        for _ in range(3):
            reply = await ask(made, query(use_edns=0))
            assert reply.rcode() == dns.rcode.SERVFAIL
            (error,) = reply.extended_errors()
            assert error.code == 23
            assert "connection refused" in (error.text or "")
        problem = made.status().problem
        assert problem is not None
        assert problem.code == "dns-no-upstream"
        assert made.status().failed == 3
        tunnel.refusal = None
        assert (await ask(made, query())).rcode() == dns.rcode.NOERROR
        assert made.status().problem is None


async def test_with_all_upstreams_silent_it_is_servfail_before_the_client_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The failure is kept for a moment, as the name may be what they choke on."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.2)

    tunnel = FakeTunnel(silence)
    async with resolver(tunnel, "tcp") as made:
        for code in (22, 13):
            reply = await ask(made, query(use_edns=0))
            assert (reply.rcode(), reply.extended_errors()[0].code) == (dns.rcode.SERVFAIL, code)
        assert len(tunnel.asked) == 1


async def test_identical_questions_of_many_clients_are_one_query() -> None:
    """Each client gets its own reply (checklist 69)."""
    held: list[dns.message.Message] = []

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        held.append(asked)
        return []

    tunnel = FakeTunnel(script)
    async with resolver(tunnel) as made:
        asking = asyncio.gather(*(ask(made, query(id=number)) for number in range(50)))
        await until(lambda: made.status().queries == 50 and bool(held))
        (flow,) = tunnel.flows
        flow.deliver(flow.sent[0][:2] + addresses(held[0])[0][2:])
        assert [reply.id for reply in await asking] == list(range(50))
        assert len(held) == 1


async def test_do_and_ad_are_passed_through() -> None:
    """The upstream vouches, we repeat it to who asked (checklist 34, 53)."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        octets = bytearray(addresses(asked)[0])
        octets[3] |= 0x20
        return [bytes(octets)]

    tunnel = FakeTunnel(script)
    async with resolver(tunnel) as made:
        for _ in range(2):
            assert (await ask(made, query(use_edns=0, want_dnssec=True))).flags & dns.flags.AD
            assert not (await ask(made, query())).flags & dns.flags.AD
        assert [bool(asked.ednsflags & dns.flags.DO) for _, asked in tunnel.asked] == [True, False]


async def test_a_question_of_the_command_line_shows_its_way() -> None:
    """Answer, upstream, path, time and whether it was known."""
    tunnel, clock = FakeTunnel(), Clock()
    async with resolver(tunnel, "tcp", clock=clock) as made:
        result = await made.query("www.example", "A")
        assert result.rcode == "NOERROR"
        assert result.answer == ("www.example. 300 IN A 192.0.2.1",)
        assert (result.upstream, result.path, result.cached) == ("tcp://192.0.2.1:53", "tcp", False)
        assert result.time_ms > 0
        clock.now += 10
        again = await made.query("www.example", "A")
        assert (again.answer, again.cached) == (("www.example. 290 IN A 192.0.2.1",), True)
        tunnel.refusal = REFUSAL
        tunnel.streams[0].close()
        failed = await made.query("other.example", "A")
        assert (failed.rcode, failed.answer) == ("SERVFAIL", ())
        assert failed.error is not None
        with pytest.raises(ControlError):
            await made.query("www..example", "A")


async def test_flushing_makes_the_next_query_ask_again() -> None:
    """And tells how many answers were forgotten."""
    tunnel = FakeTunnel()
    async with resolver(tunnel) as made:
        await ask(made, query())
        assert made.flush() == 1
        await ask(made, query())
        assert len(tunnel.asked) == 2


async def test_details_show_hit_rate_upstreams_and_failures() -> None:
    """All that `dns status` prints."""

    def script(asked: dns.message.Message, path: str) -> list[bytes]:
        if asked.question[0].name == dns.name.from_text("bad.example"):
            return [response(asked, rcode="SERVFAIL")]
        return addresses(asked)

    async with resolver(FakeTunnel(script)) as made:
        assert made.details().hit_rate == 0
        for name in ("www.example", "www.example", "www.example", "bad.example"):
            await ask(made, query(name))
        details = made.details()
        assert (details.queries, details.cache_hits, details.hit_rate, details.failed) == (4, 2, 0.5, 1)
        assert details.cache_entries == 1
        assert details.cache_bytes > 0
        (upstream,) = details.upstreams
        assert (upstream.name, upstream.answered, upstream.failed) == ("udp://192.0.2.1:53", 2, 0)
        assert upstream.latency_ms is not None
        assert [(failure.name, failure.count) for failure in details.top_failures] == [("bad.example.", 1)]


async def test_the_status_shows_where_it_listens_and_what_it_counted() -> None:
    """With the ports it was given; which server, and whether it is on, its owner knows."""
    async with resolver(FakeTunnel(), listen=("127.0.0.1", "127.0.0.1")) as made:
        for _ in range(2):
            await ask(made, query())
        shown = made.status()
        assert shown.listen == f"{made.endpoints[0]}, {made.endpoints[1]}"
        assert (shown.queries, shown.cache_hits, shown.failed, shown.problem) == (2, 1, 0, None)


async def test_an_upstream_that_sends_nonsense_is_passed_over() -> None:
    """The next one answers."""

    def script(asked: dns.message.Message, path: str) -> list[bytes]:
        octets = addresses(asked)[0]
        return [octets[:-1] if path == "tcp" else octets]

    async with resolver(FakeTunnel(script), "tcp", "udp") as made:
        assert (await ask(made, query())).rcode() == dns.rcode.NOERROR
        first, second = made.details().upstreams
        assert (first.failed, first.resting, second.answered) == (1, True, 1)


async def test_in_an_outage_a_full_table_still_serves_what_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and nobody else's place is taken for it; what is not known is SERVFAIL at once as well."""
    tunnel, clock = FakeTunnel(), Clock()
    async with resolver(tunnel, "tcp", clock=clock, settings={"stale": 3600}) as made:
        await ask(made, query(NAME))
        clock.now += 301
        tunnel.script = silence
        monkeypatch.setattr(pipeline, "MAX_PENDING", 1)
        waiting = asyncio.create_task(ask(made, query("unknown.example")))
        await until(lambda: len(tunnel.asked) == 2)
        reply = await ask(made, query(NAME))
        assert (str(reply.answer[0][0]), reply.answer[0].ttl) == (TRUE, 30)
        assert (await ask(made, query("other.example"))).rcode() == dns.rcode.SERVFAIL
        assert not waiting.done()
        assert made.details().stale == 1
        waiting.cancel()


async def test_none_of_65535_forged_answers_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a flow that takes them all the true one still arrives by UDP, and is the one that is kept."""
    monkeypatch.setattr(ask_udp, "MAX_MISMATCHES", 1 << 17)
    tunnel = FakeTunnel(silence)
    async with resolver(tunnel, "udp") as made:
        waiting = asyncio.create_task(ask(made, query(NAME)))
        await until(lambda: bool(tunnel.flows) and bool(tunnel.flows[0].sent))
        (flow,) = tunnel.flows
        asked = flow.sent[0]
        forged = [*with_its_id(asked), *with_wrong_ids(asked)]
        for message in forged:
            flow.deliver(message)
        await asyncio.sleep(0)
        assert not waiting.done()
        (upstream,) = made.details().upstreams
        assert upstream.mismatched == len(forged) == 65_535 + len(with_its_id(asked))
        flow.deliver(answer(asked, TRUE))
        assert str((await waiting).answer[0][0]) == TRUE
        kept = await made.query(NAME, "A")
        assert (kept.cached, kept.path, kept.answer[0].endswith(TRUE)) == (True, "udp", True)
        assert made.details().cache_entries == 1


class Outage(FakeTunnel):
    """Nothing comes back; `flows` says what becomes of flows, and `hangs` of connections."""

    def __init__(self, flows: str, *, hangs: bool) -> None:
        super().__init__(silence)
        self._becoming = flows
        self._hangs = hangs

    async def open_stream(self, target: Endpoint) -> NoReturn:
        await asyncio.sleep(1_000 if self._hangs else 0.01)
        raise ServerError(REFUSAL.problem)

    def open_flow(
        self, remote: Endpoint, received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> FakeFlow:
        if self._becoming == "refused":
            raise ServerError(REFUSAL.problem)
        flow = super().open_flow(remote, received, lost)
        if self._becoming == "lost":
            asyncio.get_running_loop().call_later(0.01, lost, ServerError(REFUSAL.problem))
        return flow


@pytest.mark.parametrize("flows", ["silent", "refused", "lost"])
@pytest.mark.parametrize("hangs", [False, True])
async def test_failures_leave_nothing_for_the_collector(
    flows: str, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """It comes seldom, and in an outage hundreds fail each second: what they leave in cycles adds up."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 3 * upstreams.MIN_ATTEMPT_S)
    async with resolver(Outage(flows, hangs=hangs), "udp") as made:
        await made.query("first.example", "A")  # what is imported late is imported now
        gc.collect()
        gc.disable()
        try:
            found = await asyncio.gather(*(made.query(f"n{number}.example", "A") for number in range(20)))
            assert {result.rcode for result in found} == {"SERVFAIL"}
            await asyncio.sleep(0)
            assert gc.collect() < 20
        finally:
            gc.enable()


async def test_in_another_network_all_is_asked_anew() -> None:
    """Upstreams, those of rules too, by connections of their own; a failure is no answer any more."""
    tunnel = FakeTunnel(silence)
    tunnel.refusal = REFUSAL
    async with resolver(tunnel, "tcp") as made:
        assert (await made.query("www.example", "A")).rcode == "SERVFAIL"
        assert made.status().problem is not None
        tunnel.refusal = None
        tunnel.script = addresses
        made.recover()
        assert made.status().problem is None
        assert (await made.query("www.example", "A")).rcode == "NOERROR"
        made.recover()
        assert (await made.query("mail.example", "A")).rcode == "NOERROR"
        assert len(tunnel.streams) == 2
