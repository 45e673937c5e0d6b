import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from fakes.dns_client import ask, go_by, resolver
from fakes.dns_tunnel import FakeTunnel, addresses, query, response, until
from sockslocal.address import Endpoint
from sockslocal.config.model import (
    Allow,
    Ask,
    Block,
    Blocked,
    DnsPolicy,
    DnsRule,
    Fixed,
    RuleAction,
    Upstream,
)
from sockslocal.resolver import pipeline, policy_files
from sockslocal.resolver import policy as policy_module
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.block_list import BlockList, hashed
from sockslocal.resolver.names import first_name, to_wire
from sockslocal.resolver.policy_files import Contents
from sockslocal.resolver.resolver import Resolver
from sockslocal.resolver.wire import NOERROR, parse_query

CORP = Ask((Upstream("udp", Endpoint("10.0.0.2", 53)),))


def rules(*given: tuple[str, RuleAction]) -> DnsPolicy:
    """A policy of rules."""
    return DnsPolicy(rules=tuple(DnsRule(*rule) for rule in given))


@asynccontextmanager
async def under(policy: DnsPolicy, tunnel: FakeTunnel) -> AsyncIterator[Resolver]:
    """A resolver that goes by `policy`, with a public upstream."""
    async with resolver(tunnel) as made:
        go_by(made, policy)
        yield made


def asked(tunnel: FakeTunnel) -> list[str]:
    """The names that left."""
    return [message.question[0].name.to_text(omit_final_dot=True) for _, message in tunnel.asked]


def inside(asked: dns.message.Message, _path: str) -> list[bytes]:
    """The script of who answers with an address of the client's own network."""
    name = asked.question[0].name.to_text(omit_final_dot=True)
    return [response(asked, f"{name} A 192.168.1.1", f"{name} A 198.51.100.7")]


def cloaked(asked: dns.message.Message, _path: str) -> list[bytes]:
    """The script of who has a CNAME to an advertiser for every name."""
    name = asked.question[0].name.to_text(omit_final_dot=True)
    return [response(asked, f"{name} CNAME x.Ads.example.", "x.ads.example A 192.0.2.66")]


async def told(made: Resolver, name: str, rcode: dns.rcode.Rcode) -> None:
    """Ask for `name` until the answer is `rcode`."""
    async with asyncio.timeout(20):
        while (await ask(made, query(name))).rcode() != rcode:  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.01)


async def test_special_names_do_not_leave() -> None:
    """Not one of them, of whatever type (checklist 74)."""
    tunnel = FakeTunnel()
    async with under(DnsPolicy(), tunnel) as made:
        for name in ("localhost", "x.localhost", "a.invalid", "b.onion", "c.local", "d.test", "e.home.arpa"):
            for rdtype in ("A", "AAAA", "TXT", "HTTPS", "ANY"):
                await ask(made, query(name, rdtype))
        await ask(made, query("1.1.168.192.in-addr.arpa", "PTR"))
        assert tunnel.asked == []
        assert (await ask(made, query("localhost"))).answer[0][0].to_text() == "127.0.0.1"


async def test_the_full_name_is_asked_for() -> None:
    """A forwarder has nothing to minimise: that is for who iterates (RFC 9156; checklist 73)."""
    tunnel = FakeTunnel()
    async with under(DnsPolicy(), tunnel) as made:
        await ask(made, query("a.b.c.d.example"))
        assert [message.question[0].rdtype for _, message in tunnel.asked] == [1]
        assert [name.lower() for name in asked(tunnel)] == ["a.b.c.d.example"]


async def test_names_of_a_rule_are_asked_of_its_upstream() -> None:
    """Through the tunnel as well, and those of no rule are not."""
    tunnel = FakeTunnel()
    async with under(rules(("corp.example", CORP)), tunnel) as made:
        await ask(made, query("db.corp.example"))
        assert tunnel.targets == [Endpoint("10.0.0.2", 53)]
        await ask(made, query("corp.example.org"))
        assert tunnel.targets == [Endpoint("10.0.0.2", 53), Endpoint("192.0.2.1", 53)]
        assert [one.name for one in made.details().upstreams] == ["udp://192.0.2.1:53", "udp://10.0.0.2:53"]


async def test_what_a_rule_asks_for_is_kept_as_all_is() -> None:
    """One cache for all."""
    tunnel = FakeTunnel()
    async with under(rules(("corp.example", CORP)), tunnel) as made:
        for _ in range(3):
            await ask(made, query("db.corp.example"))
        assert len(tunnel.asked) == 1


async def test_blocked_and_fixed_names_do_not_leave() -> None:
    """Whatever the type."""
    tunnel = FakeTunnel()
    policy = rules(("ads.example", Block()), ("dev.example", Fixed(("127.0.0.1",))))
    async with under(policy, tunnel) as made:
        for rdtype in ("A", "AAAA", "HTTPS", "TXT"):
            assert (await ask(made, query("x.ads.example", rdtype))).rcode() == dns.rcode.NXDOMAIN
            assert (await ask(made, query("dev.example", rdtype))).rcode() == dns.rcode.NOERROR
        assert tunnel.asked == []
        assert (made.details().blocked, made.details().listed) == (4, 0)
        result = await made.query("dev.example", "A")
        assert (result.answer, result.upstream, result.path) == (
            ("dev.example. 60 IN A 127.0.0.1",),
            '[dns.rules] "dev.example"',
            "local",
        )


async def test_who_wants_no_recursion_gets_what_is_said_here() -> None:
    """Nobody has to be asked for it."""
    async with under(rules(("dev.example", Fixed(("127.0.0.1",)))), FakeTunnel()) as made:
        message = query("dev.example")
        message.flags = dns.flags.Flag(0)
        assert len((await ask(made, message)).answer) == 1


async def test_a_new_policy_holds_at_once() -> None:
    """What was kept by the old one is forgotten, and the listeners stay."""
    tunnel = FakeTunnel()
    async with under(DnsPolicy(), tunnel) as made:
        endpoint = made.endpoints[0]
        assert (await ask(made, query("x.ads.example"))).answer
        go_by(made, rules(("ads.example", Block())))
        assert (await ask(made, query("x.ads.example"))).rcode() == dns.rcode.NXDOMAIN
        go_by(made, rules(("ads.example", CORP)))
        assert (await ask(made, query("x.ads.example"))).answer
        assert tunnel.targets[-1] == Endpoint("10.0.0.2", 53)
        go_by(made, DnsPolicy())
        assert (await ask(made, query("x.ads.example"))).answer
        assert [flow.closed for flow in tunnel.flows] == [False, True]
        assert made.endpoints == [endpoint]


async def test_what_was_asked_for_before_is_not_kept_after() -> None:
    """The answer of who is not to be asked any more does not come into the cache."""
    held: list[dns.message.Message] = []

    def hold(asked: dns.message.Message, _path: str) -> list[bytes]:
        held.append(asked)
        return []

    tunnel = FakeTunnel(hold)
    async with under(DnsPolicy(), tunnel) as made:
        waiting = asyncio.create_task(ask(made, query("x.example")))
        await until(lambda: bool(held))
        go_by(made, rules(("other.example", Block())))
        tunnel.script = addresses
        tunnel.flows[0].deliver(tunnel.flows[0].sent[0][:2] + addresses(held[0])[0][2:])
        assert (await waiting).answer
        await ask(made, query("x.example"))
        assert len(tunnel.asked) == 2


async def test_internal_addresses_are_left_out_by_choice() -> None:
    """And only then; a rule's upstream may name them always."""
    tunnel = FakeTunnel(inside)
    policy = DnsPolicy(rebind_protection=True, rules=(DnsRule("corp.example", CORP),))
    async with under(policy, tunnel) as made:
        message = await ask(made, query("www.example", use_edns=0))
        assert [record.to_text() for record in message.answer[0]] == ["198.51.100.7"]
        assert message.extended_errors()[0].code == 15
        assert len((await ask(made, query("db.corp.example"))).answer[0]) == 2
        go_by(made, DnsPolicy())
        assert len((await ask(made, query("www.example"))).answer[0]) == 2


async def test_aaaa_is_empty_by_choice() -> None:
    """Where the server has no IPv6; what is said here is said all the same."""
    tunnel = FakeTunnel()
    policy = DnsPolicy(filter_aaaa=True, rules=(DnsRule("dev.example", Fixed(("::1",))),))
    async with under(policy, tunnel) as made:
        message = await ask(made, query(rdtype="AAAA"))
        assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
        assert message.authority[0].rdtype == dns.rdatatype.SOA
        assert tunnel.asked == []
        assert (await ask(made, query())).answer
        assert (await ask(made, query("dev.example", "AAAA"))).answer
        assert (await ask(made, query("localhost", "AAAA"))).answer


async def test_the_clients_subnet_stays_here() -> None:
    """No option of a client's query goes any further, and none comes back (checklist 54)."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        assert not any(isinstance(option, dns.edns.ECSOption) for option in asked.options)
        message = dns.message.from_wire(addresses(asked)[0])
        message.use_edns(0, options=[dns.edns.ECSOption("203.0.113.0", 24, 24)])
        return [message.to_wire()]

    tunnel = FakeTunnel(script)
    async with under(DnsPolicy(), tunnel) as made:
        for subnet in ("203.0.113.0", "198.51.100.0"):
            reply = await ask(made, query(use_edns=0, options=[dns.edns.ECSOption(subnet, 24)]))
            assert reply.answer
            assert reply.options == ()
        assert len(tunnel.asked) == 1


@pytest.mark.parametrize(("links", "rcode"), [(11, dns.rcode.NOERROR), (12, dns.rcode.SERVFAIL)])
async def test_a_chain_of_cnames_ends(links: int, rcode: dns.rcode.Rcode) -> None:
    """Eleven are followed; more are a failure (checklist 75)."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        names = ["www.example", *(f"n{number}.example" for number in range(links))]
        chain = [f"{name} CNAME {target}." for name, target in pairwise(names)]
        return [response(asked, *chain, f"{names[-1]} A 192.0.2.1")]

    async with under(DnsPolicy(), FakeTunnel(script)) as made:
        assert (await ask(made, query())).rcode() == rcode


async def test_a_loop_of_cnames_is_a_failure() -> None:
    """At once, and no hang (checklist 75); the name's, so that no upstream has to rest for it."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        return [response(asked, "www.example CNAME a.example.", "a.example CNAME www.example.")]

    tunnel = FakeTunnel(script)
    async with under(DnsPolicy(), tunnel) as made:
        for code in (0, 13):
            reply = await ask(made, query(use_edns=0))
            assert (reply.rcode(), reply.extended_errors()[0].code) == (dns.rcode.SERVFAIL, code)
        assert len(tunnel.asked) == 1
        (upstream,) = made.details().upstreams
        assert (upstream.failed, upstream.resting) == (0, False)


@pytest.mark.parametrize(
    ("blocked", "rcode"), [("nxdomain", dns.rcode.NXDOMAIN), ("null", dns.rcode.NOERROR)]
)
async def test_an_alias_of_a_blocked_name_is_blocked(blocked: Blocked, rcode: dns.rcode.Rcode) -> None:
    """With the reason, in its own name, and kept: it is asked for once (CNAME cloaking)."""
    tunnel = FakeTunnel(cloaked)
    policy = DnsPolicy(
        rules=(DnsRule("ads.example", Block()), DnsRule("corp.example", CORP)), blocked=blocked
    )
    async with under(policy, tunnel) as made:
        for _ in range(3):
            reply = await ask(made, query(use_edns=0))
            assert reply.rcode() == rcode
            assert [rrset[0].to_text() for rrset in reply.answer] == (
                ["0.0.0.0"] if blocked == "null" else []
            )
            assert [rrset.name for rrset in reply.authority] == [reply.question[0].name] * (not reply.answer)
            assert reply.extended_errors()[0].code == 15
        assert (len(tunnel.asked), made.details().blocked) == (1, 1)
        found = await made.query("www.example", "A")
        assert (found.cached, found.path) == (True, "local")
        assert found.error == 'blocked by [dns.rules] "ads.example", for what it is an alias of'
        reply = await ask(made, query("db.corp.example"))
        assert reply.answer[-1][0].to_text() == "192.0.2.66"


async def test_lists_block_and_unblock_what_is_kept_of_their_aliases() -> None:
    """As soon as they are read, and nothing else has to be asked for again."""

    def script(asked: dns.message.Message, path: str) -> list[bytes]:
        plain = asked.question[0].name.to_text().lower().startswith("plain")
        return addresses(asked, path) if plain else cloaked(asked, path)

    tunnel = FakeTunnel(script)
    ads = [hashed(b"\1*" + to_wire("ads.example"))]
    good = [hashed(b"\1*" + to_wire("www.example"))]
    async with under(DnsPolicy(), tunnel) as made:
        for blocks, rcode in (
            (BlockList(), dns.rcode.NOERROR),
            (BlockList(ads), dns.rcode.NXDOMAIN),
            (BlockList(ads, good), dns.rcode.NOERROR),
            (BlockList(ads), dns.rcode.NXDOMAIN),
            (BlockList(), dns.rcode.NOERROR),
        ):
            made._policy._renew(Contents(blocks=blocks))
            await until(lambda: not made._policy._tasks)
            for _ in range(2):
                assert (await ask(made, query())).rcode() == rcode
                assert (await ask(made, query("plain.example"))).answer
        names = [name.lower() for name in asked(tunnel)]
        assert (names.count("www.example"), names.count("plain.example")) == (5, 1)


async def test_files_are_read_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept of a name that is blocked now goes; the rest of the cache stays."""
    monkeypatch.setattr(policy_files, "LOOK_S", 0.01)
    hosts, blocks = tmp_path / "hosts", tmp_path / "ads"
    hosts.write_text("192.0.2.7 nas.lan\n")
    blocks.write_text("||ads.example^\n")
    tunnel = FakeTunnel()
    async with under(DnsPolicy(), tunnel) as made:
        for name in ("x.ads.example", "www.example"):
            assert (await ask(made, query(name))).answer
        made._policy.files.watch(DnsPolicy(hosts=(hosts,), block_lists=(blocks,)))
        await told(made, "x.ads.example", dns.rcode.NXDOMAIN)
        assert (await ask(made, query("nas.lan"))).answer[0][0].to_text() == "192.0.2.7"
        assert made.details().listed == 1
        pointer = await ask(made, query("7.2.0.192.in-addr.arpa", "PTR"))
        assert pointer.answer[0][0].to_text() == "nas.lan."
        before = len(tunnel.asked)
        assert (await ask(made, query("www.example"))).answer
        assert len(tunnel.asked) == before
        blocks.write_text("||ads.example^\n@@||x.ads.example^\n")
        await told(made, "x.ads.example", dns.rcode.NOERROR)
        assert (await ask(made, query("y.ads.example"))).rcode() == dns.rcode.NXDOMAIN


async def test_what_a_list_blocks_is_never_answered_before_it_is_read(tmp_path: Path) -> None:
    """Nobody is asked for it meanwhile: queries wait."""
    blocks = tmp_path / "ads"
    blocks.write_text("||ads.example^\n")
    tunnel = FakeTunnel()
    async with resolver(tunnel, settings={"policy": DnsPolicy(block_lists=(blocks,))}) as made:
        assert (await ask(made, query("x.ads.example"))).rcode() == dns.rcode.NXDOMAIN
        assert not tunnel.asked


async def test_what_the_user_allows_is_asked_as_others_are(tmp_path: Path) -> None:
    """Though a list has it, and others like it."""
    blocks = tmp_path / "ads"
    blocks.write_text("||example^\nads.good.example\n")
    tunnel = FakeTunnel()
    policy = DnsPolicy(rules=(DnsRule("good.example", Allow()),), block_lists=(blocks,))
    async with resolver(tunnel, settings={"policy": policy}) as made:
        assert (await ask(made, query("ads.good.example"))).answer
        assert (await ask(made, query("bad.example"))).rcode() == dns.rcode.NXDOMAIN
        assert [name.lower() for name in asked(tunnel)] == ["ads.good.example"]


async def test_of_answers_kept_on_disk_only_those_come_back_that_nothing_is_said_of() -> None:
    """The rules may be others than when they were kept."""
    policy = DnsPolicy(
        rules=(
            DnsRule("ads.example", Block()),
            DnsRule("corp.example", CORP),
            DnsRule("ok.example", Allow()),
        ),
        filter_aaaa=True,
    )
    async with under(policy, FakeTunnel()) as made:
        for name, rdtype, silent in (
            ("www.example", "A", True),
            ("www.example", "AAAA", False),
            ("x.ads.example", "A", False),
            ("x.corp.example", "A", False),
            ("x.ok.example", "A", True),
        ):
            asked = parse_query(query(name, rdtype).to_wire())
            assert made._policy.is_silent_on(asked, Answer(rcode=NOERROR)) is silent
        asked = parse_query(query("www.example").to_wire())
        for target, silent in (("cdn.example", True), ("x.ads.example", False)):
            assert made._policy.is_silent_on(asked, Answer(rcode=NOERROR, aliases=to_wire(target))) is silent


async def test_a_list_that_comes_while_another_is_gone_by_is_the_one_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is kept is looked through a little at a time, and from the start again when the files change."""
    monkeypatch.setattr(policy_module, "SLICE", 1)
    tunnel = FakeTunnel()
    async with under(DnsPolicy(), tunnel) as made:
        names = [f"n{number}.example" for number in range(5)]
        for name in names:
            await ask(made, query(name))
        policy = made._policy
        policy._renew(Contents(blocks=BlockList([hashed(to_wire(names[0]))])))
        await asyncio.sleep(0)
        policy._renew(Contents(blocks=BlockList([hashed(to_wire(names[4]))])))
        await until(lambda: not policy._tasks)
        left = set(map(first_name, made._cache.keys()))
        assert left == {to_wire(name) for name in names[1:4]}


async def test_upstreams_of_a_rule_that_do_not_answer_leave_others_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many names of theirs are asked for, those of others are answered."""
    monkeypatch.setattr(pipeline, "MAX_PENDING", 30)

    def script(asked: dns.message.Message, path: str) -> list[bytes]:
        return [] if "corp" in asked.question[0].name.to_text() else addresses(asked, path)

    tunnel = FakeTunnel(script)
    async with under(rules(("corp.example", CORP)), tunnel) as made:
        waiting = [
            asyncio.create_task(ask(made, query(f"host{number}.corp.example"))) for number in range(29)
        ]
        await until(lambda: len(tunnel.asked) == 10)
        await told(made, "www.example", dns.rcode.NOERROR)
        refused = sum(task.done() for task in waiting)
        assert refused > 0
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
