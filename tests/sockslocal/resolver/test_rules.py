from collections.abc import Iterable

import pytest

from sockslocal.address import Endpoint
from sockslocal.config.model import (
    Allow,
    Ask,
    Block,
    Direct,
    DnsPolicy,
    DnsRule,
    Fixed,
    RuleAction,
    Upstream,
)
from sockslocal.config.model import (
    Blocked as BlockedAs,
)
from sockslocal.resolver.block_list import BlockList, hashed
from sockslocal.resolver.hosts import Hosts
from sockslocal.resolver.local_answers import Addresses, AskOthers, Blocked, NoSuchName
from sockslocal.resolver.names import to_wire
from sockslocal.resolver.rules import NOWHERE, Rules

ASK = Ask((Upstream("udp", Endpoint("10.0.0.2", 53)),))
DIRECT = Direct(Endpoint("192.168.1.1", 53))
HOSTS = Hosts()
for _ in HOSTS.read(b"192.0.2.1 nas.lan"):
    pass


def hashes(names: Iterable[str]) -> list[int]:
    """As lists have them."""
    return sorted(hashed(to_wire(name)) for name in names)


def blocks(*names: str, excepted: tuple[str, ...] = ()) -> BlockList:
    """A list of them; `*.NAME` is for all beneath as well, as all that are `excepted` are."""
    return BlockList(hashes(names), hashes(f"*.{name}" for name in excepted))


def rules(
    *given: tuple[str, RuleAction],
    blocked: BlockedAs = "nxdomain",
    listed: tuple[str, ...] = (),
    excepted: tuple[str, ...] = (),
) -> Rules:
    """Rules for suffixes, with a hosts file and a block list."""
    policy = DnsPolicy(rules=tuple(DnsRule(*rule) for rule in given), blocked=blocked)
    return Rules(policy, HOSTS, blocks(*listed, excepted=excepted))


def test_the_longest_suffix_wins() -> None:
    """Wherever it stands in the file."""
    found = rules(("a.example", DIRECT), ("example", ASK), ("b.a.example", Block()))
    assert found.of(to_wire("example")) == AskOthers(ASK)
    assert found.of(to_wire("x.example")) == AskOthers(ASK)
    assert found.of(to_wire("a.example")) == AskOthers(DIRECT)
    assert found.of(to_wire("x.y.a.example")) == AskOthers(DIRECT)
    assert isinstance(found.of(to_wire("c.b.a.example")), Blocked)
    assert found.of(to_wire("another")) is None


def test_a_suffix_is_whole_labels() -> None:
    """`notexample` does not end with `example`."""
    found = rules(("example", ASK))
    assert found.of(to_wire("notexample")) is None
    assert found.of(b"\x0bnot\7example\0") is None
    assert found.of(b"\0") is None


def test_what_rules_say() -> None:
    """A fixed answer names the rule, and a blocked name its suffix."""
    found = rules(("dev.test", Fixed(("127.0.0.1", "::1"))), ("ads.example", Block()))
    source = '[dns.rules] "dev.test"'
    assert found.of(to_wire("x.dev.test")) == Addresses((bytes((127, 0, 0, 1)), bytes(15) + b"\1"), source)
    assert found.of(to_wire("x.ads.example")) == Blocked(to_wire("ads.example"), '[dns.rules] "ads.example"')


def test_names_of_hosts_files_are_not_suffixes() -> None:
    """Only the name itself has the addresses."""
    found = rules(("lan", DIRECT))
    assert found.of(to_wire("nas.lan")) == Addresses((bytes((192, 0, 2, 1)),), "a hosts file")
    assert found.of(to_wire("x.nas.lan")) == AskOthers(DIRECT)


def test_a_rule_for_just_the_name_comes_before_a_hosts_file() -> None:
    """The user wrote it for this."""
    assert rules(("nas.lan", DIRECT)).of(to_wire("nas.lan")) == AskOthers(DIRECT)


def test_listed_names_are_blocked() -> None:
    """A plain name alone, a wildcard with all beneath it."""
    found = rules(listed=("ads.example", "*.track.example"))
    for name in ("ads.example", "track.example", "a.b.track.example"):
        assert isinstance(found.of(to_wire(name)), Blocked)
    for name in ("x.ads.example", "example", "other.example"):
        assert found.of(to_wire(name)) is None


def test_a_rule_exempts_from_a_list() -> None:
    """But not where the list names something more exactly."""
    found = rules(("track.example", ASK), listed=("*.track.example", "ads.track.example"))
    assert found.of(to_wire("www.track.example")) == AskOthers(ASK)
    assert isinstance(found.of(to_wire("ads.track.example")), Blocked)


def test_a_name_that_the_user_allows_is_on_no_list() -> None:
    """However exactly a list names what is beneath it; only a rule does so with more to say."""
    found = rules(
        ("good.example", Allow()),
        ("bad.good.example", Block()),
        listed=("*.example", "ads.good.example", "*.good.example"),
    )
    for name in ("good.example", "ads.good.example", "a.b.good.example"):
        assert found.of(to_wire(name)) == AskOthers(Allow())
    for name in ("x.bad.good.example", "notgood.example"):
        assert isinstance(found.of(to_wire(name)), Blocked)
    assert found.cloaked(to_wire("x.good.example"), [to_wire("ads.example")]) is None
    alone = Rules(DnsPolicy(rules=(DnsRule("good.example", Allow()),)))
    assert alone.of(to_wire("good.example")) == AskOthers(Allow())


def test_an_exception_holds_for_all_beneath_it() -> None:
    """However exactly a list names what is beneath, and whichever list that is."""
    found = rules(listed=("*.example", "ads.good.example", "*.good.example"), excepted=("good.example",))
    for name in ("good.example", "ads.good.example", "a.b.good.example"):
        assert found.of(to_wire(name)) is None
    assert isinstance(found.of(to_wire("notgood.example")), Blocked)
    deep = to_wire("a." * 100 + "good.example")
    assert found.of(deep) is None


def test_an_exception_is_from_lists_alone() -> None:
    """What the user says in rules stays said."""
    found = rules(("good.example", Block()), ("lan", DIRECT), excepted=("good.example", "lan"))
    assert isinstance(found.of(to_wire("x.good.example")), Blocked)
    assert found.of(to_wire("x.lan")) == AskOthers(DIRECT)


WWW, ALIASES = to_wire("www.shop.example"), (to_wire("www.cdn.example"), to_wire("x.ads.example"))


def test_what_an_alias_of_a_blocked_name_is() -> None:
    """Blocked as that is, in its own name: wherever in the chain it is, by a list or a rule."""
    for found in (rules(("ads.example", Block())), rules(listed=("*.ads.example",))):
        for aliases in (ALIASES, ALIASES[::-1]):
            blocked = found.cloaked(WWW, aliases)
            assert blocked is not None
            assert blocked.zone == WWW
            assert blocked.source.endswith(", for what it is an alias of")
        assert found.cloaked(WWW, ALIASES[:1]) is None
        assert found.cloaked(WWW, ()) is None
    assert rules(("ads.example", ASK), ("x.ads.example", Fixed(("127.0.0.1",)))).cloaked(WWW, ALIASES) is None


@pytest.mark.parametrize("excepted", ["shop.example", "x.ads.example"])
def test_an_exception_is_from_what_aliases_do_too(excepted: str) -> None:
    """Whether it is for the name or for its alias."""
    assert rules(listed=("*.ads.example",), excepted=(excepted,)).cloaked(WWW, ALIASES) is None


def test_a_rule_for_a_name_is_for_what_is_behind_it() -> None:
    """Whoever wrote it knows whom is asked."""
    assert rules(("shop.example", ASK), listed=("*.ads.example",)).cloaked(WWW, ALIASES) is None


@pytest.mark.parametrize(("blocked", "addresses"), [("nxdomain", ()), ("null", NOWHERE)])
def test_blocked_is_what_the_user_chose(blocked: BlockedAs, addresses: tuple[bytes, ...]) -> None:
    """For rules and lists."""
    found = rules(("a.example", Block()), blocked=blocked, listed=("b.example",))
    for name in ("a.example", "b.example"):
        treatment = found.of(to_wire(name))
        assert isinstance(treatment, Blocked)
        assert treatment.addresses == addresses


def test_special_names_need_a_rule_to_leave() -> None:
    """For them or for something beneath; one for a parent is not meant for them (checklist 74)."""
    found = rules(("home.arpa", ASK), ("10.in-addr.arpa", DIRECT), ("x.local", ASK), ("arpa", ASK))
    assert found.of(to_wire("nas.home.arpa")) == AskOthers(ASK)
    assert found.of(to_wire("1.0.0.10.in-addr.arpa")) == AskOthers(DIRECT)
    assert found.of(to_wire("a.x.local")) == AskOthers(ASK)
    assert isinstance(found.of(to_wire("y.local")), NoSuchName)
    assert found.of(to_wire("1.168.192.in-addr.arpa")) != AskOthers(ASK)
    assert found.of(to_wire("ns.arpa")) == AskOthers(ASK)


def test_lists_do_not_block_this_machine() -> None:
    """Some begin with a line for it."""
    assert isinstance(rules(listed=("localhost",)).of(to_wire("localhost")), Addresses)


def test_of_a_name_of_many_labels_the_end_is_looked_up() -> None:
    """As much as a list can have: each look-up takes microseconds."""
    found = rules(("example", ASK), listed=("*.ads.example",))
    assert isinstance(found.of(to_wire("a." * 100 + "ads.example")), Blocked)
    assert found.of(to_wire("a." * 100 + "example")) == AskOthers(ASK)
