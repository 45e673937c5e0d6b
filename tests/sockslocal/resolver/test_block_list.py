import random

import pytest

from sockslocal.resolver.block_list import BlockList, NotAName, NotForDns, hashed, is_exception, names_of
from sockslocal.resolver.names import to_wire


def read(line: str) -> list[bytes]:
    """What a line blocks."""
    return list(names_of(line.encode()))


def wildcard(name: str) -> bytes:
    """A name and all beneath it."""
    return b"\1*" + to_wire(name)


@pytest.mark.parametrize(
    "line",
    [
        *("", "  \t", "\r\n", "# ads", "! Title: ads", "[Adblock Plus 2.0]"),
        *("127.0.0.1 localhost", "0.0.0.0 0.0.0.0", "::1 ip6-localhost ip6-loopback"),
        *("fe80::1%lo0 localhost", "255.255.255.255 broadcasthost"),
    ],
)
def test_lines_that_block_nothing(line: str) -> None:
    """Comments, and what hosts files begin with."""
    assert read(line) == []


@pytest.mark.parametrize(
    "line",
    [
        *("ads.example", " Ads.EXAMPLE. \r\n", "ads.example #why", "0.0.0.0 ads.example"),
        *("127.0.0.1\tads.example # why", "::1 ads.example", ":: ads.example"),
    ],
)
def test_a_name_is_blocked_alone(line: str) -> None:
    """On a line of its own, or in a hosts file."""
    assert read(line) == [to_wire("ads.example")]


@pytest.mark.parametrize(
    "line",
    [
        *("*.ads.example", ".ads.example", "||ads.example^", "||*.ads.example^", "*.Ads.Example."),
        *("||ads.example^|", "||ads.example^$important", "||Ads.example^ # why"),
    ],
)
def test_a_name_is_blocked_with_all_beneath_it(line: str) -> None:
    """Wildcards, and AdBlock's rules for a domain."""
    assert read(line) == [wildcard("ads.example")]


@pytest.mark.parametrize(
    "line",
    ["@@||good.example^", " @@||Good.example^|\r\n", "@@||*.good.example^", "@@||good.example^$important"],
)
def test_an_exception_is_for_a_name_and_all_beneath_it(line: str) -> None:
    """AdBlock's rules for a domain, turned round."""
    assert is_exception(line.encode())
    assert read(line) == [wildcard("good.example")]
    assert not is_exception(b"||good.example^")


@pytest.mark.parametrize(
    "line",
    [
        *("||ads.example^$third-party", "@@||ads.example^$document", "||ads.example^$~script,domain=a.b"),
        *("||ads.example/path^", "@@||ads.example/path", "||ads.example/path$image", "banner$popup"),
        *("example.com##.ad", "example.com#@#.ad > p", "example.com#?#p:has(a)", "a.b#$#p { color: red }"),
        "||ads.example^$important,third-party",
    ],
)
def test_rules_for_browsers_are_told_apart(line: str) -> None:
    """A resolver sees neither the page nor the path: to follow half of a rule would block too much."""
    with pytest.raises(NotForDns):
        read(line)


def test_a_hosts_line_may_have_several_names() -> None:
    """All are blocked."""
    assert read("0.0.0.0 a.example b.example 0.0.0.0") == [to_wire("a.example"), to_wire("b.example")]


@pytest.mark.parametrize(
    "line",
    [
        *("<html>", "a b c", "||ads.example", "@@ads.example", "ads.example/path", "a..b", "||ads*.example^"),
        *("||ads.example^$dnstype=AAAA", "||ads.example^$denyallow=a.b,important", "@@||-a.example^", "||^"),
        *("192.0.2.1", "-a.example", "a" * 64, "a." * 130 + "b", "x." * 16 + "y", "*."),
        *("0.0.0.0 bad..name", "1.2.3.4 a/b", "ü.example", "*.*.example"),
    ],
)
def test_lines_that_name_nothing_are_told_apart(line: str) -> None:
    """They are counted, and the list goes on."""
    with pytest.raises(NotAName) as error:
        read(line)
    assert error.type is NotAName


def test_what_is_in_the_list_is_found_and_nothing_else() -> None:
    """Of 10,000 names, and 10,000 that are not there."""
    names = [to_wire(f"n{number}.example") for number in range(10_000)]
    blocks = BlockList(sorted(map(hashed, names)))
    assert len(blocks) == 10_000
    assert all(map(blocks.has, names))
    assert not any(blocks.has(to_wire(f"m{number}.example")) for number in range(10_000))
    assert not any(map(blocks.has_beneath, names))


def test_a_wildcard_is_no_plain_name() -> None:
    """The two kinds do not meet."""
    blocks = BlockList([hashed(wildcard("ads.example"))])
    assert blocks.has_beneath(to_wire("ads.example"))
    assert not blocks.has(to_wire("ads.example"))


def test_exceptions_are_kept_apart() -> None:
    """They block nothing, and except by any suffix of a name."""
    blocks = BlockList([hashed(wildcard("example"))], [hashed(wildcard("good.example"))])
    assert len(blocks) == 1
    assert not blocks.has_beneath(to_wire("good.example"))
    assert blocks.excepts([to_wire("x.good.example"), to_wire("good.example"), to_wire("example")])
    assert not blocks.excepts([to_wire("bad.example"), to_wire("example")])
    assert not BlockList([hashed(wildcard("example"))]).excepts([to_wire("example")])


def test_an_empty_list_blocks_nothing() -> None:
    """Nor does it end in an error."""
    assert not BlockList().has(to_wire("a.example"))
    assert not BlockList().has_beneath(to_wire("a.example"))


def test_any_octets_are_a_line() -> None:
    """Whatever a file holds, it is names or NotAName."""
    chance = random.Random(4)
    for _ in range(20_000):
        line = bytes(chance.choice(b"ab.*|^#@$: 01\xff\0") for _ in range(chance.randrange(20)))
        try:
            for name in names_of(line):
                assert name.endswith(b"\0")
        except NotAName:
            continue
