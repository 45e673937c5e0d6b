"""The demo's DNS zone."""

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from sockslocal.demo.zone import LONG_NAME, Zone

zone = Zone({"www.demo.test": "192.0.2.80"})


def ask(name: str, kind: str, *, over_udp: bool = True, payload: int = 0) -> dns.message.Message:
    """The zone's answer to one question."""
    query = dns.message.make_query(name, kind, use_edns=0 if payload else -1, payload=payload)
    answer = zone.answer(query.to_wire(), over_udp=over_udp)
    assert answer is not None
    response = dns.message.from_wire(answer)
    assert query.is_response(response)
    return response


def test_a_host_has_its_address() -> None:
    """An A question gets the address, authoritatively."""
    response = ask("www.demo.test", "A")
    assert response.flags & dns.flags.AA
    assert [str(record) for record in response.answer[0]] == ["192.0.2.80"]


def test_a_name_in_capitals_is_the_same() -> None:
    """The answer repeats the question as it was asked."""
    assert str(ask("WwW.demo.test", "A").answer[0][0]) == "192.0.2.80"


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("www.demo.test", "AAAA", dns.rcode.NOERROR),
        ("nobody.demo.test", "A", dns.rcode.NXDOMAIN),
    ],
)
def test_what_is_not_there_is_denied_with_the_soa(name: str, kind: str, rcode: dns.rcode.Rcode) -> None:
    """An absent type and an absent name are answered as RFC 2308 wants it, to be cached."""
    response = ask(name, kind)
    assert response.rcode() == rcode
    assert not response.answer
    assert response.authority[0].rdtype == dns.rdatatype.SOA


def test_other_zones_are_refused() -> None:
    """It answers for its own names only."""
    assert ask("example.org", "A").rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("payload", [0, 512, 1232, 4096])
def test_a_long_answer_over_udp_is_truncated(payload: int) -> None:
    """It fits into what was offered, and TC tells to ask over TCP."""
    response = ask(LONG_NAME, "TXT", payload=payload)
    assert response.flags & dns.flags.TC
    assert len(response.to_wire()) <= max(payload, 512)


@pytest.mark.parametrize("payload", [0, 1232])
def test_a_long_answer_over_tcp_is_whole(payload: int) -> None:
    """What the question offers for UDP is no limit to an answer over TCP."""
    response = ask(LONG_NAME, "TXT", over_udp=False, payload=payload)
    assert not response.flags & dns.flags.TC
    assert len(response.answer[0].to_rdataset()[0].strings) > 5


def test_a_short_answer_is_not_truncated() -> None:
    """TC is for long answers only."""
    assert not ask("www.demo.test", "A", payload=1232).flags & dns.flags.TC


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"\x00" * 11,
        b"\xff" * 40,
        dns.message.make_response(dns.message.make_query("www.demo.test", "A")).to_wire(),
        dns.message.Message(1).to_wire(),
    ],
    ids=["empty", "short", "garbage", "an answer", "no question"],
)
def test_what_is_no_query_gets_no_answer(query: bytes) -> None:
    """Nothing is sent back to what cannot be answered."""
    assert zone.answer(query, over_udp=True) is None
