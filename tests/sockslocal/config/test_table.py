import pytest

from fakes.config import FORWARD, PATH, SERVER, Complaint, complaint_about
from sockslocal.config.keys import KEYS
from sockslocal.config.load import parse
from sockslocal.config.table import is_name

_KEYS_OF = {section: f"known here: {', '.join(keys)}" for section, keys in KEYS.items()}
_SECTIONS = "known here: server, tcp, udp, dns, limits"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[srever.office]", Complaint(1, 'unknown key "srever" in the file', "did you mean server?")),
        ("xyzzy = 1", Complaint(1, 'unknown key "xyzzy" in the file', _SECTIONS)),
        (
            f'{SERVER}usrename = "ana"',
            Complaint(3, 'unknown key "usrename" in [server.office]', "did you mean username?"),
        ),
        (
            f'{SERVER}Address = "x"',
            Complaint(3, 'unknown key "Address" in [server.office]', "did you mean address?"),
        ),
        (
            f"{SERVER}listen = true",
            Complaint(3, 'unknown key "listen" in [server.office]', _KEYS_OF["server"]),
        ),
        (f'{FORWARD}idle = "1s"', Complaint(6, 'unknown key "idle" in [tcp.db]', _KEYS_OF["tcp"])),
        (f"{FORWARD}[dns]\n[dns.zones]", Complaint(7, 'unknown key "zones" in [dns]', _KEYS_OF["dns"])),
        (
            '"a\\u001b[31m\\nb" = 1',
            Complaint(1, 'unknown key "a\\x1b[31m\\nb" in the file', _SECTIONS),
        ),
    ],
)
def test_unknown_key(text: str, complaint: Complaint) -> None:
    """A key that means nothing is an error that names the nearest one, or all there are."""
    assert complaint_about(text) == complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            f'{SERVER}password = "hunter2"',
            Complaint(
                3,
                '"password" in [server.office]: this file is no place for a password',
                "delete the line, then: sockslocal login office",
            ),
        ),
        (
            f'{FORWARD}Secret = "hunter2"',
            Complaint(
                6,
                '"Secret" in [tcp.db]: this file is no place for a password',
                "delete the line, then: sockslocal login",
            ),
        ),
        (
            'passwd = "hunter2"',
            Complaint(
                1,
                '"passwd" in the file: this file is no place for a password',
                "delete the line, then: sockslocal login",
            ),
        ),
        (
            'server.password = "hunter2"',
            Complaint(
                1,
                '"password" in [server] is no table; all keys stand in tables with a name',
                "write [server.NAME] above it",
            ),
        ),
        (
            '[server."ana:hunter2@proxy"]',
            Complaint(
                1,
                '"•••@proxy" is no name for a server',
                "use letters, digits, - and _, a letter or digit first",
            ),
        ),
    ],
)
def test_password(text: str, complaint: Complaint) -> None:
    """A password in the file is refused, with the way to store it, and never shown."""
    assert complaint_about(text) == complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            'server = "x"',
            Complaint(1, '"server" is "x", not tables [server.NAME]', "write tables [server.NAME]"),
        ),
        ("[[tcp]]", Complaint(1, '"tcp" is a list, not tables [tcp.NAME]', "write tables [tcp.NAME]")),
        (
            f"udp = 0x{'f' * 5000}",
            Complaint(1, '"udp" is a huge number, not tables [udp.NAME]', "write tables [udp.NAME]"),
        ),
        ("dns = true", Complaint(1, '"dns" is true, not a table [dns]', "write a table [dns]")),
        (
            '[tcp]\nlisten = "127.0.0.1:1"',
            Complaint(
                2,
                '"listen" in [tcp] is no table; all keys stand in tables with a name',
                "write [tcp.NAME] above it",
            ),
        ),
        (
            "[server.office]\naddress = 1080",
            Complaint(
                2,
                '"address" of server "office" is the number 1080, not a text in quotes',
                'write address = "proxy.example.net:1080"',
            ),
        ),
        (
            "[server.office]\naddress = 1979-05-27",
            Complaint(
                2,
                '"address" of server "office" is the date 1979-05-27, not a text in quotes',
                'write address = "proxy.example.net:1080"',
            ),
        ),
        (
            '[server.office]\naddress = {password = "hunter2"}',
            Complaint(
                2,
                '"address" of server "office" is a table, not a text in quotes',
                'write address = "proxy.example.net:1080"',
            ),
        ),
        (
            f'{SERVER}username = "ana"\npassword_from = 12345678',
            Complaint(
                4,
                '"password_from" of server "office" is not a text in quotes',
                'write password_from = "keyring"',
            ),
        ),
        (
            f'{FORWARD}enabled = "yes"',
            Complaint(6, '"enabled" of forward "db" is "yes", not true or false', "write enabled = true"),
        ),
        (
            f"{FORWARD}only_me = 1",
            Complaint(
                6, '"only_me" of forward "db" is the number 1, not true or false', "write only_me = true"
            ),
        ),
        (
            f"{FORWARD}server = 2.5",
            Complaint(
                6,
                '"server" of forward "db" is the number 2.5, not a text in quotes or a list of them',
                "sockslocal forward set db --server NAME",
            ),
        ),
        (
            f'{SERVER}[udp.game]\nlisten = [\n  "127.0.0.1:1",\n  5,\n]\nto = "a:1"',
            Complaint(
                6,
                'an item in "listen" of forward "game" is the number 5, not a text in quotes',
                "sockslocal forward set game --listen 127.0.0.1:PORT",
            ),
        ),
        (
            f'{SERVER}[dns]\nlisten = []\nupstreams = ["udp://9.9.9.9"]',
            Complaint(4, '"listen" of [dns] is an empty list', 'write listen = "127.0.0.1:5399"'),
        ),
        (
            f"{FORWARD}server = [{','.join(['0'] * 1001)}]",
            Complaint(6, '"server" of forward "db" has more than 1000 items', "use fewer"),
        ),
    ],
)
def test_wrong_type(text: str, complaint: Complaint) -> None:
    """A value of the wrong type is shown beside what would be right, unless it may be a secret."""
    assert complaint_about(text) == complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "\n[server.office]",
            Complaint(2, 'server "office" has no "address"', 'write address = "proxy.example.net:1080"'),
        ),
        (
            f'{SERVER}[tcp.db]\nlisten = "127.0.0.1:1"',
            Complaint(3, 'forward "db" has no "to"', "sockslocal forward set db --to HOST:PORT"),
        ),
        (
            f'{SERVER}[udp.db]\nto = "a:1"',
            Complaint(3, 'forward "db" has no "listen"', "sockslocal forward set db --listen 127.0.0.1:PORT"),
        ),
        (
            f'{SERVER}[dns]\nlisten = "127.0.0.1:53"',
            Complaint(3, '[dns] has no "upstreams"', 'write upstreams = ["udp://9.9.9.9"]'),
        ),
    ],
)
def test_missing_key(text: str, complaint: Complaint) -> None:
    """What is missing is told at its table."""
    assert complaint_about(text) == complaint


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a.b", "ä", "a\n", "a/b"])
@pytest.mark.parametrize("section", ["server", "tcp", "udp"])
def test_bad_name(section: str, name: str) -> None:
    """A name that a command line or a file would stumble over is refused where it stands."""
    escaped = name.replace("\n", "\\n")
    assert not is_name(name)
    assert complaint_about(f'# first line\n[{section}."{escaped}"]') == Complaint(
        2,
        f'"{escaped}" is no name for a {"server" if section == "server" else "forward"}',
        "use letters, digits, - and _, a letter or digit first",
    )


@pytest.mark.parametrize("name", ["a", "0", "A-b_9", "server"])
def test_good_name(name: str) -> None:
    """Letters, digits, hyphens and underscores make a name."""
    assert is_name(name)


def test_every_example_is_valid() -> None:
    """What errors tell to write is a configuration that works."""
    sections = {
        section: "\n".join(f"{key} = {example}" for key, example in keys.items())
        for section, keys in KEYS.items()
    }
    text = (
        f"[server.office]\n{sections['server']}\n[tcp.db]\n{sections['tcp']}\n"
        f"[udp.game]\n{sections['udp']}\n[dns]\n{sections['dns']}\n"
        f"[limits]\n{sections['limits']}\n"
    )
    config = parse(text, PATH)
    assert (*config.servers, *config.tcp, *config.udp) == ("office", "db", "game")
