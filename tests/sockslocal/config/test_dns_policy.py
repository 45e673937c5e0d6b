from pathlib import Path

import pytest

from fakes.config import PATH, SERVER, Complaint, complaint_about
from sockslocal.address import Endpoint
from sockslocal.config.load import parse
from sockslocal.config.model import Allow, Ask, Block, Direct, DnsPolicy, DnsRule, Fixed, Upstream

DNS = f'{SERVER}[dns]\nlisten = "127.0.0.1:5399"\nupstreams = "udp://9.9.9.9"\n'
"""Lines 1 to 5."""

RULES = f"{DNS}[dns.rules]\n"
"""Lines 1 to 6."""

_WAYS = 'write an upstream like "udp://10.0.0.2", "direct:192.168.1.1", "block", "allow", or an IP address'
_DIRECT = 'write it like "direct:192.168.1.1" or "direct:[fd00::1]:53"'
_LIST = 'write only IP addresses into a list, or only upstreams like "udp://10.0.0.2"'
_QUOTES = 'put the name into quotes, like "corp.example" = "block"'


def policy(text: str) -> DnsPolicy:
    """What a file that ends with `text` says."""
    dns = parse(text, PATH).dns
    assert dns is not None
    return dns.policy


def test_without_any_key() -> None:
    """Nothing is blocked, and nothing is hidden."""
    assert policy(DNS) == DnsPolicy()
    assert policy(RULES) == DnsPolicy()


def test_every_key_has_its_place() -> None:
    """Files are absolute paths; one may stand there without a list."""
    text = """
        hosts = "/etc/hosts"
        block_lists = ["/a/ads.txt", "/b/more.txt"]
        blocked = "null"
        rebind_protection = true
        filter_aaaa = true
    """
    assert policy(DNS + text) == DnsPolicy(
        hosts=(Path("/etc/hosts"),),
        block_lists=(Path("/a/ads.txt"), Path("/b/more.txt")),
        blocked="null",
        rebind_protection=True,
        filter_aaaa=True,
    )


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ('"udp://10.0.0.2"', Ask((Upstream("udp", Endpoint("10.0.0.2", 53)),))),
        (
            '["tcp://a.example:5353", "udp://b.example"]',
            Ask(
                (
                    Upstream("tcp", Endpoint("a.example", 5353)),
                    Upstream("udp", Endpoint("b.example", 53)),
                )
            ),
        ),
        ('"direct:192.168.1.1"', Direct(Endpoint("192.168.1.1", 53))),
        ('"direct:[FD00::1]:5353"', Direct(Endpoint("fd00::1", 5353))),
        ('"direct:fd00::1"', Direct(Endpoint("fd00::1", 53))),
        ('"block"', Block()),
        ('"allow"', Allow()),
        ('"127.0.0.1"', Fixed(("127.0.0.1",))),
        ('["127.0.0.1", "2001:DB8::1"]', Fixed(("127.0.0.1", "2001:db8::1"))),
    ],
)
def test_a_rule_as_written(written: str, action: object) -> None:
    """An upstream, a server past the tunnel, a name that is blocked or never is, or addresses."""
    assert policy(f'{RULES}"corp.example" = {written}').rules == (DnsRule("corp.example", action),)  # type: ignore[arg-type]


def test_names_of_rules_are_those_of_the_wire() -> None:
    """Lower-case A-labels; the order is the file's."""
    found = policy(f'{RULES}"Bücher.Example." = "block"\nlan = "block"\n"_x.a" = "block"').rules
    assert [rule.suffix for rule in found] == ["xn--bcher-kva.example", "lan", "_x.a"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            '"corp.example" = "blok"',
            Complaint(7, 'the rule "corp.example" says "blok", which is none of the ways', _WAYS),
        ),
        (
            '"corp.example" = "to nobody"',
            Complaint(7, 'the rule "corp.example" says "to nobody", which is none of the ways', _WAYS),
        ),
        (
            '"corp.example" = 1',
            Complaint(7, 'the rule "corp.example" is neither a text in quotes nor a list of them', _WAYS),
        ),
        (
            '"corp.example" = []',
            Complaint(7, 'the rule "corp.example" is neither a text in quotes nor a list of them', _WAYS),
        ),
        (
            'corp.example = "block"',
            Complaint(7, 'the rule "corp" is a table, as names with dots become without quotes', _QUOTES),
        ),
        (
            '"a.example" = ["192.0.2.1", "block"]',
            Complaint(7, 'the rule "a.example" lists what does not go together', _LIST),
        ),
        (
            '"*.a.example" = "block"',
            Complaint(
                7,
                'the rule "*.a.example" has to be called "a.example": it is for all beneath the name too',
                'write "a.example" there',
            ),
        ),
        (
            '"192.0.2.1" = "block"',
            Complaint(7, 'the rule "192.0.2.1" is for an address, not for a name', "use a name"),
        ),
        (
            '"a..b" = "block"',
            Complaint(
                7,
                'a rule in [dns.rules]: "a..b" is neither an IP address nor a host name',
                'write a name like "corp.example"',
            ),
        ),
        (
            '"a" = "block"\n"A." = "block"',
            Complaint(8, 'there is another rule for "a"', "keep one of the two"),
        ),
        (
            '"a" = "direct:dns.lan"',
            Complaint(7, '"a" of [dns.rules]: "dns.lan" is not the IP address of a server', _DIRECT),
        ),
        (
            '"a" = "direct:0.0.0.0"',
            Complaint(7, '"a" of [dns.rules]: "0.0.0.0" is not the IP address of a server', _DIRECT),
        ),
        (
            '"a" = "direct:192.0.2.1:x"',
            Complaint(
                7,
                '"a" of [dns.rules]: "192.0.2.1:x" has port "x"; a port is a number from 1 to 65535',
                _DIRECT,
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_rule_is_told(line: str, complaint: Complaint) -> None:
    """In one sentence that names the line, with what would be right."""
    assert complaint_about(RULES + line) == complaint


def test_an_upstream_of_a_rule_is_read_as_any_other() -> None:
    """What is wrong with it is told of the rule."""
    complaint = complaint_about(f'{RULES}"a.example" = ["udp://9.9.9.9", "quic://9.9.9.9"]')
    assert complaint.line == 7
    assert complaint.text.startswith('"a.example" of [dns.rules]: "quic://9.9.9.9" is not supported')


def test_rules_are_a_table() -> None:
    """A text is none."""
    complaint = complaint_about(f'{DNS}rules = "block"')
    assert complaint == Complaint(
        6,
        '"rules" of [dns] is "block", not a table [dns.rules]',
        'write rules = { "corp.example" = "udp://10.0.0.2" }',
    )


def test_too_many_rules_belong_into_a_file() -> None:
    """Nobody writes a thousand by hand."""
    rules = "".join(f'"n{number}.example" = "block"\n' for number in range(1_001))
    assert complaint_about(RULES + rules) == Complaint(
        6,
        "[dns.rules] has more than 1000 rules",
        "put the names into a file and that into block_lists",
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            'hosts = "hosts"',
            Complaint(6, '"hosts" of [dns] is "hosts", not an absolute path', 'write hosts = "/etc/hosts"'),
        ),
        (
            'block_lists = ["/a", "b"]',
            Complaint(
                6,
                '"block_lists" of [dns] is "b", not an absolute path',
                'write block_lists = ["/etc/sockslocal/ads.txt"]',
            ),
        ),
        (
            'blocked = "refused"',
            Complaint(
                6,
                '"blocked" of [dns] is "refused", not one of nxdomain, null',
                'write blocked = "nxdomain"',
            ),
        ),
        (
            "filter_aaaa = 1",
            Complaint(
                6, '"filter_aaaa" of [dns] is the number 1, not true or false', "write filter_aaaa = true"
            ),
        ),
    ],
)
def test_what_is_wrong_with_the_other_keys_is_told(line: str, complaint: Complaint) -> None:
    """As it is for all keys."""
    assert complaint_about(DNS + line) == complaint


@pytest.mark.parametrize(
    ("listen", "server"),
    [
        ('"127.0.0.1:5399"', "127.0.0.1:5399"),
        ('["127.0.0.1:5398", "[::1]:5399"]', "[::1]:5399"),
        ('"127.0.0.1:53"', "127.0.0.1"),
        ('"127.0.0.1:5399"', "[::ffff:127.0.0.1]:5399"),
        ('"0.0.0.0:5399"\nallow_lan = true', "127.0.0.2:5399"),
        ('"[::]:5399"\nallow_lan = true', "[::1]:5399"),
        ('"192.0.2.7:5399"\nallow_lan = true', "192.0.2.7:5399"),
    ],
)
def test_the_resolver_is_not_asked_by_itself(listen: str, server: str) -> None:
    """Past the tunnel, one of its own addresses would be a loop."""
    dns = f'[dns]\nlisten = {listen}\nupstreams = "udp://9.9.9.9"\n'
    text = f'{SERVER}{dns}[dns.rules]\n"lan" = "direct:{server}"'
    complaint = complaint_about(text)
    assert complaint.text.startswith('"lan" of [dns.rules]: at ')
    assert complaint.text.endswith(" the resolver itself listens, and would ask itself for ever")
    assert complaint.line == text.count("\n") + 1
    assert complaint.remedy == _DIRECT


@pytest.mark.parametrize(
    ("listen", "server"),
    [
        ('"127.0.0.1:5399"', "direct:127.0.0.1:5353"),
        ('"127.0.0.1:5399"', "direct:127.0.0.2:5399"),
        ('"0.0.0.0:5399"\nallow_lan = true', "direct:192.168.1.1:5399"),
        ('"0.0.0.0:5399"\nallow_lan = true', "direct:[::1]:5399"),
        ('"127.0.0.1:5399"', "udp://127.0.0.1:5399"),
    ],
)
def test_what_is_no_loop_may_be_asked(listen: str, server: str) -> None:
    """Another server of this machine; and through the tunnel loopback is that of the far side."""
    text = f'[dns]\nlisten = {listen}\nupstreams = "udp://127.0.0.1:5399"\n[dns.rules]\n"lan" = "{server}"'
    dns = parse(SERVER + text, PATH).dns
    assert dns is not None
    assert dns.policy.rules[0].suffix == "lan"
