import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.resolver import wire
from sockslocal.resolver.options import (
    BLOCK,
    COOKIE,
    Cookies,
    Opt,
    added,
    is_bad_cookie,
    opt_of,
    padded,
)

QUESTION = b"\3www\7example\0\0\1\0\1"
END = wire.HEADER + len(QUESTION)
CLIENT, SERVER = b"12345678", b"abcdefghijklmnop"


def query(question: bytes = QUESTION, *, edns: bool = True) -> bytes:
    """One of ours."""
    return wire.encode_query(question, dnssec_ok=True, checking_disabled=False, edns=edns)


def response(cookie: bytes | None = None, *, rcode: int = 0, edns: bool = True) -> bytes:
    """What an upstream sends, with a record before its OPT."""
    message = dns.message.make_response(dns.message.from_wire(query()))
    message.answer.append(dns.rrset.from_text("www.example.", 60, "IN", "A", "192.0.2.1"))
    options = (
        [dns.edns.NSIDOption(b"some"), dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)]
        if cookie
        else []
    )
    message.use_edns(0 if edns else False, options=options)
    message.set_rcode(dns.rcode.Rcode(rcode))
    return message.to_wire()


@pytest.mark.parametrize("labels", range(1, 60))
def test_a_padded_query_is_a_multiple_of_128(labels: int) -> None:
    """Whatever is asked (RFC 8467 §4.1); all of it is zeros, in an option of its own."""
    question = b"\1a" * labels + b"\0\0\1\0\1"
    octets = padded(query(question), question)
    assert len(octets) % BLOCK == 0
    assert len(octets) - len(query(question)) < BLOCK + 4
    message = dns.message.from_wire(octets)
    (option,) = message.options
    assert (option.otype, set(option.to_wire() or b"") <= {0}) == (dns.edns.OptionType.PADDING, True)
    assert message.ednsflags & dns.flags.DO


def test_several_options_and_none_without_edns() -> None:
    """One goes behind the other; a query without OPT stays as it is."""
    octets = padded(added(query(), QUESTION, COOKIE, CLIENT), QUESTION)
    assert [option.otype for option in dns.message.from_wire(octets).options] == [10, 12]
    assert len(octets) % BLOCK == 0
    assert padded(query(edns=False), QUESTION) == query(edns=False)


def test_opt_of_a_response() -> None:
    """Found behind other records; none where there is none, or no message that can be read."""
    found = opt_of(response(CLIENT, rcode=23), END)
    assert found is not None
    assert (found.upper_rcode, found.option(COOKIE), found.option(3), found.option(4)) == (
        1,
        CLIENT,
        b"some",
        None,
    )
    assert opt_of(response(edns=False), END) is None
    assert opt_of(response(CLIENT)[: END + 20], END) is None


@pytest.mark.parametrize("octets", [b"\0\x0a\0\x08short", b"\0\x0a\0", b""])
def test_an_option_cut_short_is_none(octets: bytes) -> None:
    """It is no cookie of anybody's."""
    assert Opt(0, octets).option(COOKIE) is None


@given(st.binary(max_size=300))
def test_any_octets_are_read(octets: bytes) -> None:
    """What comes may be anything (hostile input)."""
    opt_of(b"\0" * wire.HEADER + octets, wire.HEADER)
    opt_of(octets.ljust(wire.HEADER, b"\1"), wire.HEADER)
    Opt(0, octets).option(COOKIE)


def sent(cookies: Cookies) -> bytes | None:
    """The cookie in its next query."""
    found = opt_of(cookies.added(query(), QUESTION), END)
    assert found is not None
    return found.option(COOKIE)


def test_cookies_from_the_first_query_on() -> None:
    """Ours alone, until the server has given its own, of 8 to 32 octets (RFC 7873 §4, §5.1)."""
    cookies = Cookies(CLIENT)
    assert sent(cookies) == CLIENT
    for given_cookie in (b"", b"short", b"x" * 33):
        assert cookies.accepts(response(CLIENT + given_cookie), END)
        assert sent(cookies) == CLIENT
    assert cookies.accepts(response(CLIENT + SERVER), END)
    assert sent(cookies) == CLIENT + SERVER
    assert cookies.accepts(response(CLIENT + b"a" * 32), END)
    assert sent(cookies) == CLIENT + b"a" * 32


def test_who_does_not_know_our_cookie_is_not_believed() -> None:
    """Nor who has none, once the server gave one (RFC 7873 §5.3)."""
    cookies = Cookies(CLIENT)
    assert cookies.accepts(response(), END)
    assert cookies.accepts(response(edns=False), END)
    assert not cookies.accepts(response(b"87654321" + SERVER), END)
    assert cookies.accepts(response(CLIENT + SERVER), END)
    assert not cookies.accepts(response(), END)
    assert not cookies.accepts(response(edns=False), END)
    assert not cookies.accepts(response(b"1234"), END)


def test_without_edns_no_cookie_is_expected() -> None:
    """An upstream that forgot about EDNS is asked without it, and cannot send one."""
    cookies = Cookies(CLIENT)
    assert cookies.accepts(response(CLIENT + SERVER), END)
    assert cookies.added(query(edns=False), QUESTION) == query(edns=False)
    assert cookies.accepts(response(edns=False), END)


@pytest.mark.parametrize(("rcode", "is_bad"), [(23, True), (7, False), (0, False), (16, False)])
def test_bad_cookie(rcode: int, *, is_bad: bool) -> None:
    """A code of which OPT has the upper bits (RFC 7873 §5.2.3)."""
    assert is_bad_cookie(response(CLIENT, rcode=rcode), END) is is_bad


def test_no_bad_cookie_without_opt() -> None:
    """Seven is then what it says: YXRRSET."""
    octets = bytearray(response(edns=False))
    octets[3] |= 7
    assert not is_bad_cookie(bytes(octets), END)
