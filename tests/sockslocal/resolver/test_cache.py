import gc
import tracemalloc
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rrset
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.config.model import DEFAULT_CACHE as MAX_BYTES
from sockslocal.resolver import wire
from sockslocal.resolver.answer import Answer, failure
from sockslocal.resolver.cache import MAX_FAILURE_S, MAX_FAILURES, Cache
from sockslocal.resolver.digest import digest
from sockslocal.resolver.wire import Query, parse_query


def message(name: str = "www.example", rdtype: str = "A", **options: Any) -> bytes:
    """A query's octets."""
    return dns.message.make_query(name, rdtype, **options).to_wire()


def answer(query: bytes, *ttls: int, data: str = "192.0.2.1", flags: int = 0) -> Answer:
    """What an upstream says to `query`: an address, behind a CNAME where two TTLs are given."""
    response = dns.message.make_response(dns.message.from_wire(query))
    name = response.question[0].name.to_text()
    response.flags |= flags
    for index, ttl in enumerate(ttls, start=1):
        target = "alias." if index < len(ttls) else data
        rdtype = "CNAME" if index < len(ttls) else "A"
        response.answer.append(dns.rrset.from_text(name, ttl, "IN", rdtype, target))
        name = "alias."
    return digest(response.to_wire(), upstream="udp://192.0.2.53:53", path="udp")


def denial(query: bytes, ttl: int = 60, zone: str = "example.") -> Answer:
    """That the name does not exist."""
    response = dns.message.make_response(dns.message.from_wire(query))
    response.set_rcode(dns.rcode.NXDOMAIN)
    soa = "ns.example. admin.example. 1 7200 900 1209600 86400"
    response.authority.append(dns.rrset.from_text(zone, ttl, "IN", "SOA", soa))
    return digest(response.to_wire(), upstream="udp://192.0.2.53:53", path="udp")


def hit(cache: Cache, query: bytes, now: int) -> dns.message.Message:
    """The reply of the hot path, read by dnspython."""
    reply = cache.hit(query, now, stream=False)
    assert reply is not None
    return dns.message.from_wire(reply)


def stored(query: bytes, *ttls: int, now: int = 1000) -> Cache:
    """A cache with one answer."""
    cache = Cache(MAX_BYTES)
    cache.store(parse_query(query), answer(query, *ttls), now)
    return cache


def test_a_hit_is_the_answer_with_the_clients_id() -> None:
    """The octets of the reply are those of a whole, right message."""
    query = message()
    cache = stored(query, 300)
    other = message()
    reply = hit(cache, other, 1000)
    assert dns.message.from_wire(other).is_response(reply)
    assert reply.answer[0].to_text() == "www.example. 300 IN A 192.0.2.1"


def test_octets_that_look_like_a_question_are_none() -> None:
    """What is kept of a whole name is found by whole queries only, not where a label holds a zero octet."""
    cache = Cache(MAX_BYTES)
    absent = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3a\0b\0\0\1\0\1"
    cache.store(parse_query(absent), denial(absent, zone="."), 1000)
    crafted = b"\x12\x34\1\0\0\1\0\0\0\0\0\1\3a\0b\0\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0"
    assert cache.hit(crafted, 1000, stream=False) is None
    assert cache.find(parse_query(absent), 1000) is not None


def test_nothing_is_found_in_an_empty_cache() -> None:
    """A miss is None, on both paths."""
    cache = Cache(MAX_BYTES)
    assert cache.hit(message(), 0, stream=False) is None
    assert cache.find(parse_query(message()), 0) is None


@given(age=st.integers(0, 299), step=st.integers(0, 3))
def test_ttls_count_down(age: int, step: int) -> None:
    """Each by the seconds that have passed, in any order of asking (checklist 30)."""
    query = message()
    cache = stored(query, 400, 300)
    for seconds in (age, max(age - step, 0)):
        reply = hit(cache, query, 1000 + seconds)
        assert [rrset.ttl for rrset in reply.answer] == [400 - seconds, 300 - seconds]
        found = cache.find(parse_query(query), 1000 + seconds)
        assert found is not None
        assert found[1] == seconds


def test_the_lowest_ttl_ends_the_answer() -> None:
    """In its last second it is served with TTL 1, then no more."""
    query = message()
    cache = stored(query, 400, 300)
    assert hit(cache, query, 1299).answer[1].ttl == 1
    assert cache.hit(query, 1300, stream=False) is None
    assert cache.find(parse_query(query), 1300) is None


def test_a_ttl_of_zero_is_not_kept() -> None:
    """It serves those who wait, and nobody else (checklist 30)."""
    assert len(stored(message(), 0)) == 0


def test_the_case_of_the_query_is_echoed() -> None:
    """Whatever the case of the first query was (checklist 27)."""
    cache = stored(message("wWw.example"), 300)
    for name in ("WWW.EXAMPLE.", "www.example.", "wWw.eXample."):
        assert hit(cache, message(name), 1001).question[0].name.to_text() == name


def test_do_and_cd_have_answers_of_their_own() -> None:
    """An answer to one combination is none to another (checklist 53)."""
    cache = stored(message(use_edns=0), 300)
    assert cache.hit(message(use_edns=0, want_dnssec=True), 1000, stream=False) is None
    flags = dns.flags.RD | dns.flags.CD
    assert cache.hit(message(flags=flags), 1000, stream=False) is None
    cache.store(parse_query(message(flags=flags)), answer(message(flags=flags), 300), 1000)
    assert hit(cache, message(flags=flags), 1000).flags & dns.flags.CD


def test_opt_is_in_the_reply_only_if_in_the_query() -> None:
    """Hop by hop: ours, not the upstream's nor the first client's (checklist 46, 47)."""
    cache = stored(message(use_edns=0, payload=900), 300)
    assert hit(cache, message(), 1000).edns == -1
    reply = hit(cache, message(use_edns=0, payload=4096), 1000)
    assert (reply.edns, reply.payload) == (0, wire.UDP_PAYLOAD)


def test_header_bits_of_a_hit() -> None:
    """RA is set, AA clear, RD as asked; AD only where it was vouched for and asked for (checklist 34)."""
    query = message()
    cache = Cache(MAX_BYTES)
    cache.store(parse_query(query), answer(query, 300, flags=dns.flags.AA | dns.flags.AD), 1000)
    plain = hit(cache, query, 1000).flags
    asking = hit(cache, message(flags=dns.flags.RD | dns.flags.AD), 1000).flags
    assert plain == dns.flags.QR | dns.flags.RD | dns.flags.RA
    assert asking == plain | dns.flags.AD
    assert not hit(cache, message(flags=dns.flags.QR ^ dns.flags.QR), 1000).flags & dns.flags.RD


def test_the_hot_path_leaves_what_is_not_plain_to_the_pipeline() -> None:
    """Malformed, truncated by its client's limit, or not a query: None."""
    query = message()
    cache = Cache(MAX_BYTES)
    large = answer(query, 300)
    cache.store(parse_query(query), large, 1000)
    assert cache.hit(query[:12], 1000, stream=False) is None
    assert cache.hit(query + b"x", 1000, stream=False) is None
    assert cache.hit(query[:2] + b"\x81" + query[3:], 1000, stream=False) is None


def test_large_queries_are_not_remembered() -> None:
    """Nobody can have us keep octets that only fill a query: neither path does, and both answer right."""
    cache = stored(message(), 300)
    wire.known_profile.cache_clear()
    padded = message(use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(600))])
    assert cache.hit(padded, 1000, stream=True) is None
    found = cache.find(parse_query(padded), 1000)
    assert found is not None
    assert found[0].counts == (1, 0, 0)
    assert cache.hit(padded + bytes(60_000), 1000, stream=True) is None
    assert wire.known_profile.cache_info().currsize == 0


def test_an_answer_too_large_for_udp_is_hit_by_tcp() -> None:
    """The limit is the client's over UDP, and 65,535 over TCP."""
    query = message(rdtype="TXT")
    response = dns.message.make_response(dns.message.from_wire(query))
    response.answer.append(
        dns.rrset.from_text("www.example.", 60, "IN", "TXT", *('"' + "x" * 250 + '"',) * 3)
    )
    response.answer.append(dns.rrset.from_text("www.example.", 60, "IN", "TXT", '"' + "y" * 250 + '"'))
    response.answer[0].add(response.answer[1][0])
    response.answer[0].add(dns.rdata.from_text("IN", "TXT", '"' + "z" * 250 + '"'))
    cache = Cache(MAX_BYTES)
    cache.store(parse_query(query), digest(response.to_wire(), upstream="", path=""), 1000)
    assert cache.hit(query, 1000, stream=False) is None
    assert cache.hit(query, 1000, stream=True) is not None


def test_a_name_that_does_not_exist_has_no_type_at_all() -> None:
    """NXDOMAIN for A answers AAAA, of the same class only (checklist 37)."""
    query = message("no.example")
    cache = Cache(MAX_BYTES)
    cache.store(parse_query(query), denial(query), 1000)
    other = message("no.example", "AAAA")
    assert cache.hit(other, 1010, stream=False) is None
    found = cache.find(parse_query(other), 1010)
    assert found is not None
    assert (found[0].rcode, found[1]) == (wire.NXDOMAIN, 10)
    reply = hit(cache, other, 1011)
    assert reply.rcode() == wire.NXDOMAIN
    assert reply.authority[0].ttl == 60 - 11
    chaos = dns.message.make_query("no.example", "TXT", "CH").to_wire()
    assert cache.find(parse_query(chaos), 1010) is None
    assert cache.find(parse_query(other), 1060) is None


def test_a_newer_answer_takes_the_place_of_the_older() -> None:
    """And its octets."""
    query = message()
    cache = stored(query, 300)
    octets = cache.bytes
    cache.store(parse_query(query), answer(query, 500), 1100)
    assert hit(cache, query, 1100).answer[0].ttl == 500
    assert (len(cache), cache.bytes) == (1, octets)


def test_octets_are_bounded_and_what_was_asked_again_stays() -> None:
    """The least lately used goes first; one that was used since gets a second chance."""
    queries = [message(f"host{number}.example") for number in range(10)]
    replies = [answer(query, 300) for query in queries]
    cost = stored(queries[0], 300).bytes
    cache = Cache(max_bytes=5 * cost)
    for query, reply in zip(queries, replies, strict=True):
        cache.store(parse_query(query), reply, 1000)
        hit(cache, queries[0], 1000)
        assert cache.bytes <= 5 * cost
    assert len(cache) == 5
    hit(cache, queries[0], 1000)
    assert cache.hit(queries[1], 1000, stream=False) is None
    hit(cache, queries[9], 1000)


@pytest.mark.parametrize("records", [1, 100])
def test_the_octets_counted_are_those_taken(records: int) -> None:
    """By the interpreter's own count, to a tenth, for answers of few records and of many."""
    queries = [message(f"host{number}.example") for number in range(100)]
    addresses = [f"192.0.2.{number}" for number in range(records)]
    replies = []
    for query in queries:
        response = dns.message.make_response(dns.message.from_wire(query))
        response.answer.append(dns.rrset.from_text(response.question[0].name, 300, "IN", "A", *addresses))
        replies.append(response.to_wire())
    cache = Cache(MAX_BYTES)
    gc.collect()  # which also gives back the free lists: what is taken from those is not counted
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for query, reply in zip(queries, replies, strict=True):
            arrived = bytes(bytearray(reply))  # a copy, whose octets are counted where they are kept
            cache.store(parse_query(query), digest(arrived, upstream="", path=""), 1000)
            cache.hit(query, 1001, stream=True)
        del arrived
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before == pytest.approx(cache.bytes, rel=0.1)


def test_limits_may_change() -> None:
    """What there is no room for any more goes at once, and so does what is too old for too long."""
    query = message()
    cache = stored(query, 300)
    asked = parse_query(query)
    assert cache.stale(asked, 1300) is None
    cache.limit(MAX_BYTES, stale=1)
    assert cache.stale(asked, 1300) is not None
    cache.limit(cache.bytes, stale=0)
    assert (cache.stale(asked, 1300), len(cache)) == (None, 1)
    cache.limit(cache.bytes - 1, stale=0)
    assert (cache.bytes, len(cache)) == (0, 0)


def test_an_answer_larger_than_the_cache_is_not_kept() -> None:
    """The bound holds for one as for many."""
    query = message()
    cache = Cache(max_bytes=100)
    cache.store(parse_query(query), answer(query, 300), 1000)
    assert (len(cache), cache.bytes) == (0, 0)


def test_flushing_forgets_everything() -> None:
    """And tells how many answers there were."""
    query = message()
    cache = stored(query, 300)
    cache.store_failure(parse_query(message("bad.example")), failure(wire.SERVFAIL, 22, "silence"), 1000)
    assert cache.flush() == 1
    assert cache.hit(query, 1000, stream=False) is None
    assert cache.failed(parse_query(message("bad.example")), 1000) is None
    assert (len(cache), cache.bytes) == (0, 0)


BROKEN: Query = parse_query(message("bad.example"))
FAILURE = failure(wire.SERVFAIL, 22, "silence", transient=False)


def fail(cache: Cache, now: int) -> int:
    """Fail once more; for how many whole seconds that is remembered."""
    cache.store_failure(BROKEN, FAILURE, now)
    remembered = (cache.failed(BROKEN, now + seconds) is not None for seconds in range(MAX_FAILURE_S + 3))
    return sum(remembered) - 1


def test_failures_are_kept_longer_each_time() -> None:
    """From 1 s, doubled, to 32 s, never 5 min (checklist 40)."""
    cache = Cache(MAX_BYTES)
    now, kept = 1000, []
    for _ in range(7):
        kept.append(fail(cache, now))
        now += kept[-1] + 1
    assert kept == [1, 2, 4, 8, 16, 32, 32]


def test_a_failure_long_ago_does_not_count() -> None:
    """Nor does one before an answer."""
    cache = Cache(MAX_BYTES)
    assert [fail(cache, 1000), fail(cache, 1002)] == [1, 2]
    assert fail(cache, 1005 + MAX_FAILURE_S) == 1
    cache.store(BROKEN, answer(message("bad.example"), 300), 2000)
    assert fail(cache, 2000) == 1


def test_a_failure_does_not_replace_an_answer() -> None:
    """The hot path serves the answer as long as it lives (checklist 42)."""
    query = message()
    cache = stored(query, 300)
    cache.store_failure(parse_query(query), FAILURE, 1001)
    assert hit(cache, query, 1001).rcode() == wire.NOERROR
    found = cache.find(parse_query(query), 1001)
    assert found is not None
    assert found[0].rcode == wire.NOERROR


def test_failures_are_bounded() -> None:
    """The oldest is forgotten."""
    cache = Cache(MAX_BYTES)
    queries = [parse_query(message(f"bad{number}.example")) for number in range(MAX_FAILURES + 1)]
    for query in queries:
        cache.store_failure(query, FAILURE, 1000)
    assert cache.failed(queries[0], 1000) is None
    assert cache.failed(queries[1], 1000) is not None


@pytest.mark.parametrize(
    ("failed", "text"),
    [
        (FAILURE, "silence"),
        (Answer(rcode=wire.REFUSED, upstream="u"), "it could not be answered a moment ago"),
    ],
)
def test_a_failure_that_is_told_again_says_so(failed: Answer, text: str) -> None:
    """With the reason of then, if there was one (RFC 8914 §4.14)."""
    cache = Cache(MAX_BYTES)
    cache.store_failure(BROKEN, failed, 1000)
    found = cache.failed(BROKEN, 1001)
    assert found is not None
    assert (found.rcode, found.error, found.upstream) == (failed.rcode, (13, text), failed.upstream)


NAMES = st.sampled_from(["a.example", "b.example", "c.a.example", "A.example"])


@pytest.mark.parametrize("limit", [1, 3])
@given(data=st.data())
def test_a_hit_is_never_older_or_other_than_what_was_stored(limit: int, data: st.DataObject) -> None:
    """Whatever is stored and asked in whatever order: right name, right address, TTL above 0 and true."""
    cache = Cache(max_bytes=limit * 1000)
    known: dict[str, tuple[str, int]] = {}
    now = 1000
    for number in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.integers(0, 5))
        query = message(data.draw(NAMES))
        name = dns.message.from_wire(query).question[0].name.to_text().lower()
        if data.draw(st.booleans()):
            ttl = data.draw(st.integers(0, 8))
            cache.store(parse_query(query), answer(query, ttl, data=f"192.0.2.{number}"), now)
            if ttl:
                known[name] = (f"192.0.2.{number}", now + ttl)
        reply = cache.hit(query, now, stream=False)
        if reply is not None:
            (rrset,) = dns.message.from_wire(reply).answer
            assert (rrset[0].to_text(), now + rrset.ttl) == known[name]
            assert rrset.ttl > 0


STALE_S = 3600


def ended(query: bytes, *ttls: int) -> Cache:
    """A cache that may serve an hour longer, with one answer from second 1000."""
    cache = Cache(MAX_BYTES, stale=STALE_S)
    cache.store(parse_query(query), answer(query, *ttls, flags=dns.flags.AD), 1000)
    return cache


def test_what_has_ended_may_be_served_as_stale_for_as_long_as_allowed() -> None:
    """Not before its end, nor a second later than that (checklist 71)."""
    query = message()
    cache = ended(query, 300)
    stale = [cache.stale(parse_query(query), now) is not None for now in (1299, 1300, 4899, 4900)]
    assert stale == [False, True, True, False]
    assert cache.find(parse_query(query), 1300) is None
    assert cache.stale(parse_query(message("other.example")), 1300) is None
    never = stored(query, 300)
    assert never.stale(parse_query(query), 1300) is None


def test_a_revived_answer_is_hit_for_30_seconds_with_ttls_of_30() -> None:
    """All its TTLs, in each of those seconds; after that it may be revived again (checklist 71, 72)."""
    query = message()
    cache = ended(query, 400, 300)
    octets = cache.bytes
    for now in (1300, 1330, 2000):
        assert cache.hit(query, now, stream=False) is None
        cache.revive(parse_query(query), now)
        for second in (now, now + 29):
            reply = hit(cache, query, second)
            assert [rrset.ttl for rrset in reply.answer] == [30, 30]
            assert reply.answer[1][0].to_text() == "192.0.2.1"
        assert len(cache) == 1
        assert cache.bytes <= octets
    cache.revive(parse_query(query), 5000)
    assert cache.hit(query, 5000, stream=False) is None


def reasons(reply: dns.message.Message) -> list[int]:
    """The codes of its extended errors."""
    return [int(error.code) for error in reply.extended_errors()]


@pytest.mark.parametrize("dnssec", [False, True])
def test_every_hit_of_a_revived_answer_says_that_it_is_stale(dnssec: bool) -> None:  # noqa: FBT001
    """To who can read it; the answer itself is the same (RFC 8914 §4.4)."""
    query = message(use_edns=0, want_dnssec=dnssec)
    cache = ended(query, 300)
    cache.revive(parse_query(query), 1300)
    for now in (1300, 1300, 1301, 1301, 1329):
        reply = hit(cache, query, now)
        assert reasons(reply) == [3]
        assert reply.answer[0].to_text() == "www.example. 30 IN A 192.0.2.1"
        assert reply.ednsflags & dns.flags.DO == (dns.flags.DO if dnssec else 0)
    if not dnssec:
        assert hit(cache, message(), 1300).edns == -1


def test_a_reason_counts_down_as_all_do_and_is_prefetched_as_all_are() -> None:
    """It has its TTLs, and each second in which it is asked for counts once."""
    query = message(use_edns=0)
    due: list[Query] = []
    cache = Cache(MAX_BYTES, due=due.append)
    some = msgspec.structs.replace(answer(query, 300), error=(15, "internal addresses were left out"))
    cache.store(parse_query(query), some, 1000)
    for now in (1000, 1000, 1295, 1295, 1296):
        reply = hit(cache, query, now)
        assert (reply.answer[0].ttl, reasons(reply)) == (1300 - now, [15])
    assert due == []
    hit(cache, query, 1297)
    assert [asked.question for asked in due] == [parse_query(query).question]


def test_a_reason_that_does_not_fit_is_not_hit() -> None:
    """The longer way leaves it out rather than the answer."""
    query = message(use_edns=0, payload=512)
    cache = Cache(MAX_BYTES)
    some = msgspec.structs.replace(answer(query, 300), error=(15, "x" * 200), body=bytes(400), ttls=())
    cache.store(parse_query(query), some, 1000)
    assert cache.hit(query, 1000, stream=False) is None
    assert cache.hit(query, 1000, stream=True) is not None


def test_nobody_vouches_for_what_is_stale() -> None:
    """AD is clear, and an extended error says what it is (checklist 34, 55)."""
    query = message(use_edns=0, want_dnssec=True)
    cache = ended(query, 300)
    stale = cache.stale(parse_query(query), 1300)
    assert stale is not None
    reply = dns.message.from_wire(stale.answer.reply(parse_query(query), stream=False))
    assert not reply.flags & dns.flags.AD
    assert [error.code for error in reply.extended_errors()] == [3]


def test_a_stale_denial_is_one_for_every_type() -> None:
    """As it was when it was fresh."""
    query, other = message("no.example"), message("no.example", "AAAA")
    cache = Cache(MAX_BYTES, stale=STALE_S)
    cache.store(parse_query(query), denial(query), 1000)
    stale = cache.stale(parse_query(other), 1100)
    assert stale is not None
    assert stale.answer.error is not None
    assert (stale.answer.rcode, stale.answer.error[0]) == (wire.NXDOMAIN, 19)
    cache.revive(parse_query(other), 1100)
    found = cache.find(parse_query(other), 1129)
    assert found is not None
    assert found[0].rcode == wire.NXDOMAIN


def test_what_was_refreshed_meanwhile_is_not_revived() -> None:
    """The fresh answer stays; nothing is revived twice before its 30 s are over."""
    query = message()
    cache = ended(query, 300)
    cache.store(parse_query(query), answer(query, 60), 1300)
    cache.revive(parse_query(query), 1310)
    assert hit(cache, query, 1310).answer[0].ttl == 50


def test_a_fresh_denial_takes_the_place_of_what_is_stale() -> None:
    """Of every type of the name, and a fresh answer that of a denial (checklist 71)."""
    query, other = message(), message(rdtype="AAAA")
    cache = ended(query, 300)
    cache.store(parse_query(other), denial(other), 1400)
    found = cache.find(parse_query(query), 1401)
    assert found is not None
    assert found[0].rcode == wire.NXDOMAIN
    cache.store(parse_query(query), answer(query, 300), 1402)
    assert hit(cache, query, 1402).rcode() == wire.NOERROR
    assert cache.find(parse_query(message(rdtype="MX")), 1402) is None


def test_an_answer_that_cannot_be_kept_takes_the_place_of_the_old_all_the_same() -> None:
    """What is known to be wrong now is not served any more, not even as stale."""
    query = message()
    cache = ended(query, 300)
    cache.store(parse_query(query), answer(query, 0), 1300)
    assert (len(cache), cache.bytes) == (0, 0)


def test_when_the_upstreams_are_back_they_are_asked() -> None:
    """What was revived has ended, and may be revived once more; what failed is no failure any more."""
    query = message()
    cache = ended(query, 300)
    cache.revive(parse_query(query), 1300)
    cache.store_failure(BROKEN, FAILURE, 1300)
    cache.forgive()
    assert cache.hit(query, 1301, stream=False) is None
    assert cache.failed(BROKEN, 1301) is None
    stale = cache.stale(parse_query(query), 1301)
    assert stale is not None
    assert not stale.again
    cache.revive(parse_query(query), 1301)
    stale = cache.stale(parse_query(query), 1331)
    assert stale is not None
    assert stale.again
    cache.flush()
    cache.forgive()


def test_what_was_evicted_is_not_forgiven() -> None:
    """The cache knows what is revived in it, whatever has left it."""
    query = message()
    cache = Cache(stored(query, 300).bytes + 50, stale=STALE_S)
    cache.store(parse_query(query), answer(query, 300), 1000)
    cache.revive(parse_query(query), 1300)
    other = message("two.example")
    cache.store(parse_query(other), answer(other, 300), 1301)
    cache.forgive()
    assert hit(cache, other, 1302).rcode() == wire.NOERROR


def due_at(ttl: int, asked: list[int]) -> list[int]:
    """In which of the seconds `asked` an answer of that TTL is said to be due for a prefetch."""
    query = message()
    said: list[Query] = []
    cache = Cache(MAX_BYTES, due=said.append)
    cache.store(parse_query(query), answer(query, ttl), 1000)
    seconds = []
    for second in asked:
        hit(cache, query, 1000 + second)
        if said:
            assert said.pop().key == parse_query(query).key
            seconds.append(second)
    return seconds


def test_what_is_popular_is_prefetched_in_its_last_tenth() -> None:
    """At a hit, and where that came to nothing each 30 s at most (checklist 72)."""
    assert due_at(300, [1, 100, 200, 269, 270, 270, 271, 299]) == [270]
    assert due_at(1000, list(range(900, 1000))) == [902, 932, 962, 992]


def test_what_is_not_asked_for_often_is_not_prefetched() -> None:
    """Nor what lives too short to have a last tenth."""
    assert due_at(300, [100, 100, 100, 299, 299]) == []
    assert due_at(9, [1, 2, 3, 4, 5, 6, 7, 8]) == []


def test_without_prefetch_nothing_is_due() -> None:
    """And nothing breaks."""
    query = message()
    cache = stored(query, 300)
    for second in (1, 2, 3, 299):
        hit(cache, query, 1000 + second)


def test_what_was_kept_is_restored() -> None:
    """With what is left of it; a denial for every type, and what has ended as stale."""
    query, gone, old = message(), message("no.example"), message("old.example")
    cache = Cache(MAX_BYTES, stale=STALE_S)
    cache.restore(parse_query(query), answer(query, 300), 800, 1000)
    cache.restore(parse_query(gone), denial(gone), 990, 1000)
    cache.restore(parse_query(old), answer(old, 300), 100, 1000)
    assert hit(cache, query, 1000).answer[0].ttl == 100
    assert cache.find(parse_query(message("no.example", "MX")), 1000) is not None
    assert cache.stale(parse_query(old), 1000) is not None
    ends = {key: end for key, _, end in cache.kept()}
    assert ends[parse_query(query).key] == 1100
    assert len(ends) == 5


def test_what_is_restored_never_replaces_what_is_newer() -> None:
    """Nor is anything restored that is too old, or not come yet."""
    query, gone = message(), message("no.example")
    cache = stored(query, 300)
    cache.restore(parse_query(query), answer(query, 900), 900, 1000)
    assert hit(cache, query, 1000).answer[0].ttl == 300
    cache.store(parse_query(gone), denial(gone), 1000)
    cache.restore(parse_query(message("no.example", "MX")), denial(gone), 990, 1000)
    assert hit(cache, gone, 1000).authority[0].ttl == 60
    for stored_at in (700, 1001):
        late = message("late.example")
        cache.restore(parse_query(late), answer(late, 300), stored_at, 1000)
        assert cache.find(parse_query(late), 1000) is None


def test_single_answers_can_be_forgotten() -> None:
    """By their keys, which begin with the name; the others stay."""
    cache = Cache(MAX_BYTES)
    for name in ("a.example", "b.example"):
        octets = message(name)
        cache.store(parse_query(octets), answer(octets, 300), 1000)
    first, second = cache.keys()
    assert first.startswith(b"\1a\7example\0")
    before = cache.bytes
    cache.remove(first)
    cache.remove(b"never there")
    assert cache.keys() == [second]
    assert cache.bytes == before // 2


def test_a_revived_answer_can_be_forgotten() -> None:
    """And is not missed afterwards."""
    query = message()
    cache = ended(query, 300)
    cache.revive(parse_query(query), 1300)
    assert cache.keys() == [parse_query(query).key]
    for _ in range(2):
        cache.remove(parse_query(query).key)
    assert (cache.keys(), cache.bytes) == ([], 0)
    cache.forgive()


def test_what_is_kept_under_a_key_can_be_looked_at() -> None:
    """Without being used by that."""
    query = message()
    cache = stored(query, 300)
    assert cache.answer(parse_query(query).key) == answer(query, 300)
    assert cache.answer(parse_query(message("other.example")).key) is None


def test_aliases_are_counted() -> None:
    """As all octets are."""
    query = message()
    plain, behind = Cache(MAX_BYTES), Cache(MAX_BYTES)
    plain.store(parse_query(query), answer(query, 300), 1000)
    aliases = msgspec.structs.replace(answer(query, 300), aliases=bytes(50))
    behind.store(parse_query(query), aliases, 1000)
    assert behind.bytes - plain.bytes == 50
