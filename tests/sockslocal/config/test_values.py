import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.config import FORWARD, PATH, SERVER, Complaint, complaint_about
from sockslocal.address import Endpoint, UnixPath
from sockslocal.config import values
from sockslocal.config.load import parse
from sockslocal.config.model import PasswordKind, PasswordSource

_PASSWORD_REMEDY = 'write "keyring", "prompt", "file:/path", "command:pass show proxy" or "systemd:NAME"'
_DNS = f'{SERVER}[dns]\nlisten = "127.0.0.1:5399"\n'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10.0), ("500ms", 0.5), ("2m", 120.0), ("1.5s", 1.5), ("24h", 86400.0), ("1ms", 0.001)],
)
def test_duration(text: str, seconds: float) -> None:
    """A duration is a number and its unit."""
    config = parse(f'{SERVER}connect_timeout = "{text}"', PATH)
    assert config.servers["office"].connect_timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["10", "", "s", "1 s", "-1s", "1e3s", "10S", "1s2", "1w", "٣s", "1.s", "9999999999s"]
)
def test_no_duration(text: str) -> None:
    """A bare number, an unknown unit and anything between are no durations."""
    assert complaint_about(f'{SERVER}connect_timeout = "{text}"') == Complaint(
        3,
        f'"connect_timeout" of server "office" is "{text}", not a duration like 500ms, 10s or 2m',
        'write connect_timeout = "10s"',
    )


@pytest.mark.parametrize("text", ["0s", "0.0h", "25h", "2d", "999999999s"])
def test_duration_without_sense(text: str) -> None:
    """Nobody means to wait no time at all, or days."""
    assert complaint_about(
        f'{FORWARD}[udp.u]\nlisten = "127.0.0.1:1"\nto = "a:1"\nidle = "{text}"'
    ) == Complaint(
        9,
        f'"idle" of forward "u" is "{text}"; it has to be more than 0 and at most 24h',
        "sockslocal forward set u --idle 60s",
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            'udp = "tcp"',
            Complaint(
                3,
                '"udp" of server "office" is "tcp", not one of auto, associate, uot, hev, gost, off',
                'write udp = "auto"',
            ),
        ),
        (
            'udp_address = "proxy:5"',
            Complaint(
                3,
                '"udp_address" of server "office": "proxy:5" is neither an IP address nor a host name',
                'write udp_address = "proxy.example.net"',
            ),
        ),
        (
            'udp_probe = "a:0"',
            Complaint(
                3,
                '"udp_probe" of server "office": "a:0" has port "0"; a port is a number from 1 to 65535',
                'write udp_probe = "9.9.9.9:53", or "off"',
            ),
        ),
        (
            'tls = true\ntls_name = "a b"',
            Complaint(
                4,
                '"tls_name" of server "office": "a b" is neither an IP address nor a host name',
                'write tls_name = "proxy.example.net"',
            ),
        ),
        (
            'tls = true\ntls_ca = "ours.pem"',
            Complaint(
                4,
                '"tls_ca" of server "office" is "ours.pem", not an absolute path',
                'write tls_ca = "/etc/ssl/office-ca.pem"',
            ),
        ),
        (
            'tls = true\ntls_ca = "/a\\u0000"',
            Complaint(
                4,
                '"tls_ca" of server "office" is "/a\\x00", with control characters in it',
                'write tls_ca = "/etc/ssl/office-ca.pem"',
            ),
        ),
        (
            f'username = "{"é" * 128}"',
            Complaint(
                3,
                '"username" of server "office" has 256 octets; SOCKS5 carries at most 255',
                "use a shorter user name",
            ),
        ),
        (
            'username = ""',
            Complaint(
                3, '"username" of server "office" is empty', "leave it out if the server wants no login"
            ),
        ),
    ],
)
def test_wrong_server_value(line: str, complaint: Complaint) -> None:
    """What a server cannot have is told with what it can."""
    assert complaint_about(SERVER + line) == complaint


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("0", "the number 0; it has to be from 1 to 65536"),
        ("65537", "the number 65537; it has to be from 1 to 65536"),
        (f"1{'0' * 20}", "a huge number; it has to be from 1 to 65536"),
        ("1.5", "the number 1.5, not a whole number"),
        ("true", "true, not a whole number"),
        ('"64"', '"64", not a whole number'),
    ],
)
def test_wrong_limit(number: str, what: str) -> None:
    """A limit is a whole number within bounds of its own."""
    assert complaint_about(f"[limits]\nflows = {number}") == Complaint(
        2, f'"flows" of [limits] is {what}', "write flows = 4096"
    )


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("proxy", '"proxy" should be a host and a port, like proxy.example.net:1080'),
        ("proxy:0", '"proxy:0" has port "0"; a port is a number from 1 to 65535'),
        ("proxy:70000", '"proxy:70000" has port "70000"; a port is a number from 1 to 65535'),
        ("::1:1080", '"::1:1080" has an IPv6 address that needs brackets, like [::1]:5432'),
        (
            "socks5://ana:hunt@er2@proxy:1080",
            '"socks5://•••@proxy:1080" is a URL; it should be a host and a port, like proxy.example.net:1080',
        ),
        (
            "ana:hunter2@proxy:1080",
            '"•••@proxy:1080" has an IPv6 address that needs brackets, like [::1]:5432',
        ),
        ("hunt%er2@proxy:1080", '"•••@proxy" has a zone, which means nothing beyond this machine'),
        ("hünter2@proxy:1080", '"•••@proxy" is not a valid international name'),
    ],
)
def test_wrong_address(address: str, what: str) -> None:
    """What is wrong with an address is told without what may be a password in it."""
    assert complaint_about(f'[server.office]\naddress = "{address}"') == Complaint(
        2, f'"address" of server "office": {what}', 'write address = "proxy.example.net:1080"'
    )


@pytest.mark.parametrize(
    ("text", "kind", "argument"),
    [
        ("keyring", "keyring", ""),
        ("prompt", "prompt", ""),
        ("file:/home/ana/pw", "file", "/home/ana/pw"),
        ("command:pass show 'my proxy'", "command", "pass show 'my proxy'"),
        ("systemd:proxy.password", "systemd", "proxy.password"),
    ],
)
def test_password_source(text: str, kind: PasswordKind, argument: str) -> None:
    """Each way to get a password is its kind and what that needs."""
    config = parse(f'{SERVER}username = "ana"\npassword_from = "{text}"', PATH)
    assert config.servers["office"].password_from == PasswordSource(kind, argument)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hunter2", "is none of the known sources of a password"),
        ("", "is none of the known sources of a password"),
        ("keyring:hunter2", "is none of the known sources of a password"),
        ("file", "is none of the known sources of a password"),
        ("File:/x", "is none of the known sources of a password"),
        ("file:hunter2", "needs an absolute path after file:"),
        ("file:", "needs an absolute path after file:"),
        ("file:/hunter2\\u0000", "has control characters"),
        ("command: ", "needs a command after command:"),
        ("command:hunter2 'x", "has a command with a quote that is not closed"),
        ("systemd:../hunter2", "needs the name of a credential after systemd:"),
    ],
)
def test_wrong_password_source(text: str, what: str) -> None:
    """A source that is none is never shown: it may be the password."""
    assert complaint_about(f'{SERVER}username = "ana"\npassword_from = "{text}"') == Complaint(
        4, f'"password_from" of server "office" {what}', _PASSWORD_REMEDY
    )


@pytest.mark.parametrize(
    ("listen", "what", "right"),
    [
        ("127.0.0.1:0", ': "127.0.0.1:0" has port "0"; a port is a number from 1 to 65535', None),
        ("127.0.0.1:70000", ': "127.0.0.1:70000" has port "70000"; a port is a number from 1 to 65535', None),
        ("127.0.0.1:9-8", ': "127.0.0.1:9-8" has a range that ends before it starts', None),
        ("127.0.0.1:1-2000", ': "127.0.0.1:1-2000" has a range of more than 1000 ports', None),
        (
            "db.internal:1",
            ': "db.internal:1" should start with an address of this machine, like 127.0.0.1:5432',
            "127.0.0.1:1",
        ),
        ("8080", ': "8080" should be a host and a port, like 127.0.0.1:5432', "127.0.0.1:8080"),
        ("::1:80", ': "::1:80" has an IPv6 address that needs brackets, like [::1]:5432', "'[::1]:80'"),
        ("unix:db", ': "unix:db" should name an absolute path, like unix:/run/db.sock', None),
        (
            "0.0.0.0:80",
            ' is "0.0.0.0:80", open to other machines: that needs allow_lan = true beside it',
            "127.0.0.1:80",
        ),
        (
            "192.0.2.5:80-90",
            ' is "192.0.2.5:80-90", open to other machines: that needs allow_lan = true beside it',
            "127.0.0.1:80-90",
        ),
        (
            "[::]:80",
            ' is "[::]:80", open to other machines: that needs allow_lan = true beside it',
            "'[::1]:80'",
        ),
    ],
)
def test_wrong_listen(listen: str, what: str, right: str | None) -> None:
    """What cannot be listened on is told with the command that mends it."""
    assert complaint_about(f'{SERVER}[tcp.db]\nlisten = "{listen}"\nto = "a:1"') == Complaint(
        4,
        f'"listen" of forward "db"{what}',
        f"sockslocal forward set db --listen {right or '127.0.0.1:PORT'}",
    )


def test_allow_lan() -> None:
    """With allow_lan, any address of this machine may be listened on."""
    config = parse(f'{SERVER}[tcp.db]\nlisten = "0.0.0.0:80"\nto = "a:1"\nallow_lan = true', PATH)
    assert config.tcp["db"].listen == (Endpoint("0.0.0.0", 80),)


def test_dns_on_the_lan() -> None:
    """The resolver is not opened by mistake either; no command edits it."""
    complaint = complaint_about(f'{SERVER}[dns]\nlisten = ["192.0.2.5:53"]\nupstreams = "udp://9.9.9.9"')
    assert complaint == Complaint(
        4,
        '"listen" of [dns] is "192.0.2.5:53", open to other machines: that needs allow_lan = true beside it',
        'write "127.0.0.1:53" there',
    )


def test_unix_path() -> None:
    """A TCP forward listens on a Unix path too, a UDP forward does not."""
    text = '{server}[{kind}.db]\nlisten = "unix:/run/db.sock"\nto = "a:1"'
    assert parse(text.format(server=SERVER, kind="tcp"), PATH).tcp["db"].listen == (UnixPath("/run/db.sock"),)
    assert complaint_about(text.format(server=SERVER, kind="udp")) == Complaint(
        4,
        '"listen" of forward "db" is "unix:/run/db.sock"; only TCP forwards listen on Unix paths',
        "sockslocal forward set db --listen 127.0.0.1:PORT",
    )


@pytest.mark.parametrize(
    ("listen", "to", "ports"),
    [
        ('"127.0.0.1:6000-6002"', "a:7000-7002", [7000, 7001, 7002]),
        ('"127.0.0.1:6000-6002"', "a:7000", [7000, 7000, 7000]),
        ('["127.0.0.1:6000", "[::1]:6000"]', "a:7000", [7000, 7000]),
        ('["127.0.0.1:6000-6001", "[::1]:6000-6001"]', "a:7000-7001", [7000, 7001, 7000, 7001]),
        ('["unix:/a", "127.0.0.1:6000-6001"]', "a:7000", [7000, 7000, 7000]),
    ],
)
def test_targets(listen: str, to: str, ports: list[int]) -> None:
    """Every listener has its target: of its place in the range, or the one there is."""
    forward = parse(f'{SERVER}[tcp.r]\nlisten = {listen}\nto = "{to}"', PATH).tcp["r"]
    assert forward.to == tuple(Endpoint("a", port) for port in ports)
    assert len(forward.listen) == len(forward.to)


@pytest.mark.parametrize(
    ("listen", "to", "what", "right"),
    [
        ("127.0.0.1:6000-6010", "a:7000-7005", 'has 6 ports, but "listen" has 11', "a:7000-7010"),
        ("127.0.0.1:6000", "a:7000-7005", 'has 6 ports, but "listen" has 1', "a:7000"),
        ("127.0.0.1:6000-6010", "[::2]:65534-65535", 'has 2 ports, but "listen" has 11', "'[::2]:65534'"),
    ],
)
def test_ranges_of_different_lengths(listen: str, to: str, what: str, right: str) -> None:
    """Two ranges that do not match are told with one that does."""
    assert complaint_about(f'{SERVER}[udp.r]\nlisten = "{listen}"\nto = "{to}"') == Complaint(
        5, f'"to" of forward "r" {what}', f"sockslocal forward set r --to {right}"
    )


def test_wrong_target() -> None:
    """What cannot be connected to is told with the command that mends it."""
    assert complaint_about(f'{SERVER}[tcp.db]\nlisten = "127.0.0.1:1"\nto = "a:0"') == Complaint(
        5,
        '"to" of forward "db": "a:0" has port "0"; a port is a number from 1 to 65535',
        "sockslocal forward set db --to HOST:PORT",
    )


@pytest.mark.parametrize(
    ("to", "what"),
    [
        ("0.0.0.0:80", "no address of anybody's"),
        ("[::]:80", "no address of anybody's"),
        ("224.0.0.251:5353", "a multicast address"),
        ("[ff02::fb]:5353", "a multicast address"),
        ("255.255.255.255:9", "a broadcast address"),
    ],
)
def test_a_target_that_nobody_can_be(to: str, what: str) -> None:
    """Servers refuse it, or worse: some take zeros for themselves."""
    assert complaint_about(f'{SERVER}[udp.r]\nlisten = "127.0.0.1:1"\nto = "{to}"') == Complaint(
        5,
        f'"to" of forward "r" is "{to}", {what}: no server can connect to it',
        "sockslocal forward set r --to HOST:PORT",
    )


@pytest.mark.parametrize(
    ("probe", "what"),
    [
        ("0.0.0.0", "no address of anybody's"),
        ("[::]:53", "no address of anybody's"),
        ("224.0.0.251:5353", "a multicast address"),
        ("255.255.255.255", "a broadcast address"),
    ],
)
def test_a_probe_that_nobody_can_answer(probe: str, what: str) -> None:
    """Some relays die of datagrams to there."""
    assert complaint_about(f'{SERVER}udp_probe = "{probe}"') == Complaint(
        3,
        f'"udp_probe" of server "office": "{probe}" is {what}',
        'write udp_probe = "9.9.9.9:53", or "off"',
    )


@given(st.text())
def test_user_names(name: str) -> None:
    """Any text of 1 to 255 octets is a user name, and comes back as it was."""
    import json

    written = json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    text = f"{SERVER}username = {written}"
    if len(name.encode()) > 255:
        assert "255" in complaint_about(text).text
    elif not name:
        assert "empty" in complaint_about(text).text
    else:
        assert parse(text, PATH).servers["office"].username == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0s", 0.0), ("500ms", 0.5), ("1.5m", 90.0), ("7", None), ("5 s", None), ("٣s", None)],
)
def test_a_duration_of_the_command_line(text: str, expected: float | None) -> None:
    """It is read as in the file; what is too short or too long is for whoever asked."""
    assert values.parse_duration(text) == expected


UPSTREAMS = 'upstreams = "udp://9.9.9.9"\n'


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500 kB", 500_000), ("16 MB", 16_000_000), ("16MB", 16_000_000), ("1 GB", 1_000_000_000)],
)
def test_size(text: str, size: int) -> None:
    """A number of kilobytes or more, or nothing at all."""
    config = parse(f'{_DNS}{UPSTREAMS}cache = "{text}"', PATH).dns
    assert config is not None
    assert config.cache == size


@pytest.mark.parametrize("size", ["0", "0 kB"])
def test_no_room_for_what_is_to_be_kept(size: str) -> None:
    """A file without answers is nobody's wish."""
    assert complaint_about(f'{_DNS}{UPSTREAMS}cache = "{size}"\nkeep = true') == Complaint(
        7,
        "[dns] is to keep its answers, but has no room for any: cache is 0",
        'leave out keep, or write a size like cache = "16 MB"',
    )


@pytest.mark.parametrize("text", ["", "16", "16 mb", "1.5 MB", "-1 MB", "2 GB", "16  MB", "٣ MB", "none"])
def test_no_size(text: str) -> None:
    """What has no unit, or more than anybody has to spare, is none."""
    assert complaint_about(f'{_DNS}{UPSTREAMS}cache = "{text}"') == Complaint(
        6, f'"cache" of [dns] is "{text}", not a size from 0 (none) to 1 GB', 'write cache = "16 MB"'
    )


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("0s", 0.0), ("1d", 86_400.0), ("7d", 604_800.0)])
def test_how_long_stale_answers_serve(text: str, seconds: float) -> None:
    """From never to a week."""
    config = parse(f'{_DNS}{UPSTREAMS}stale = "{text}"', PATH).dns
    assert config is not None
    assert config.stale == seconds


@pytest.mark.parametrize("text", ["", "0 s", "8d", "1w"])
def test_no_time_for_stale_answers(text: str) -> None:
    """What is no duration, or more than a week."""
    assert complaint_about(f'{_DNS}{UPSTREAMS}stale = "{text}"') == Complaint(
        6, f'"stale" of [dns] is "{text}", not a duration from 0 (never) to 7d', 'write stale = "1d"'
    )
