import dns.flags
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.dns_tunnel import query, response
from sockslocal.resolver.answer import LOCAL, Answer
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.digest import digest
from sockslocal.resolver.kept import decode, encode, head
from sockslocal.resolver.wire import parse_query

HEAD = head(b"these")
WWW = parse_query(query().to_wire())
SIGNED = parse_query(query(want_dnssec=True, flags=dns.flags.RD | dns.flags.CD).to_wire())
ROOT = parse_query(query(".", "NS").to_wire())
GONE = parse_query(query("no.example").to_wire())


def told(name: str, *records: str, rcode: str = "NOERROR") -> Answer:
    """What the upstream says to it, vouching for it."""
    message = bytearray(response(query(name), *records, rcode=rcode))
    message[3] |= 0x20
    return digest(bytes(message), upstream="", path="")


ADDRESS = told("www.example", "www.example A 192.0.2.1", "www.example A 192.0.2.2")


def filled() -> Cache:
    """A cache with an answer of each kind."""
    cache = Cache(1_000_000, stale=3600)
    cache.store(WWW, ADDRESS, 1000)
    cache.store(SIGNED, ADDRESS, 1001)
    cache.store(GONE, told("no.example", rcode="NXDOMAIN"), 1002)
    return cache


def file_of(cache: Cache) -> bytes:
    """What stands in the file."""
    return HEAD + b"".join(encode(*kept) for kept in cache.kept())


def test_what_was_written_is_read() -> None:
    """Each question with its flags, its whole answer, and its end; a name that is gone once only."""
    read = [kept for kept in decode(file_of(filled()), HEAD) if kept is not None]
    assert [kept.query.key for kept in read] == [WWW.key, SIGNED.key, GONE.key]
    assert [kept.end for kept in read] == [1300, 1301, 1062]
    first, _, gone = (digest(kept.message, upstream="", path="") for kept in read)
    assert first == ADDRESS
    assert first.authentic
    assert gone.denies_name


def test_the_root_has_a_name_too() -> None:
    """Of one octet."""
    answer = digest(response(query(".", "NS")), upstream="", path="")
    (kept,) = decode(HEAD + encode(ROOT.key, answer, 5), HEAD)
    assert kept is not None
    assert kept.query.key == ROOT.key


def test_what_was_said_here_is_not_kept() -> None:
    """Lists may say otherwise by the time that it is read."""
    assert encode(WWW.key, ADDRESS, 5)
    assert encode(WWW.key, msgspec.structs.replace(ADDRESS, path=LOCAL), 5) == b""


def test_what_was_revived_ends_when_it_ended() -> None:
    """Its TTLs are those that it was served with."""
    cache = filled()
    cache.revive(WWW, 1400)
    read = {kept.query.key: kept for kept in decode(file_of(cache), HEAD) if kept is not None}
    kept = read[WWW.key]
    assert (digest(kept.message, upstream="", path="").lifetime, kept.end) == (30, 1300)


@pytest.mark.parametrize("beginning", [b"", b"sockslocal", b"sockslocal answers 1\n", head(b"those")])
def test_another_format_is_nothing(beginning: bytes) -> None:
    """Neither is a file that breaks off, nor what others have answered."""
    assert list(decode(beginning, HEAD)) == []
    assert list(decode(beginning + bytes(100), HEAD)) == []


def test_a_file_that_is_cut_short_is_read_as_far_as_it_goes() -> None:
    """The last answer is missing."""
    content = file_of(filled())
    assert len(list(decode(content[:-1], HEAD))) == 2


@pytest.mark.parametrize("message", [bytes(12), bytes(30), b"\0\0\0\0\0\1\0\0\0\0\0\0" + WWW.question])
def test_what_is_no_answer_is_passed_over(message: bytes) -> None:
    """No question, not one, or no response; what follows is read."""
    record = (1).to_bytes(8, "big") + b"\0" + len(message).to_bytes(2, "big") + message
    assert list(decode(HEAD + record + file_of(filled())[len(HEAD) :], HEAD))[0] is None  # noqa: RUF015
    assert len(list(decode(HEAD + record + file_of(filled())[len(HEAD) :], HEAD))) == 4


@given(data=st.data())
def test_no_octets_can_do_harm(data: st.DataObject) -> None:
    """Invariant: whatever stands in the file is read without an error, as answers to their questions."""
    content = bytearray(file_of(filled()))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(len(HEAD), len(content) - 1))] = data.draw(st.integers(0, 255))
    for kept in decode(bytes(content), HEAD):
        if kept is not None:
            assert kept.message[12:].startswith(kept.query.question)
    for _ in decode(HEAD + data.draw(st.binary()), HEAD):
        pass
