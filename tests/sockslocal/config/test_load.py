import os
import random
import string
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.config import FORWARD, PATH, SERVER, Complaint, complaint_about, complaint_of, error_about
from sockslocal.config.load import MAX_BYTES, check, load, parse
from sockslocal.config.model import Config
from sockslocal.config.table import MAX_FAULTS
from sockslocal.errors import ConfigError
from sockslocal.problems import ExitCode

WHOLE = """\
# Everything at once
[server.office]                       # the first server is the default
address  = "proxy.example.net:1080"
username = "ana"
password_from = "command:pass show 'my proxy'"
udp_address = "2001:db8::1"
connect_timeout = "500ms"

[server.home]
address = "[2001:db8::2]:1080"

[tcp]
db.listen = "127.0.0.1:5432"
db.to = \"\"\"db.internal:5432\"\"\"
web = { listen = ["127.0.0.1:6000-6010", "unix:/run/user/1000/web"], to = 'web.internal:80', only_me = true }

[udp.game]
listen = "127.0.0.1:27015"
to     = "203.0.113.9:27015"
server = ["home", "office"]

[dns]
listen    = "127.0.0.1:5399"
upstreams = [
  "udp://9.9.9.9",  # quad9
  "tcp://[2620:fe::fe]:53",
]
"""


def _refused(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.path == path
    assert caught.value.exit_code is ExitCode.CONFIG
    return caught.value


def test_loads_a_file(tmp_path: Path) -> None:
    """The file is read as its text is parsed, whatever its line breaks, and with a byte order mark."""
    path = tmp_path / "config.toml"
    expected = parse(WHOLE, path)
    assert [*expected.servers, *expected.tcp, *expected.udp] == ["office", "home", "db", "web", "game"]
    for written in (WHOLE, WHOLE.replace("\n", "\r\n"), "\ufeff" + WHOLE):
        path.write_bytes(written.encode())
        assert load(path) == expected


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet", "[server]\n[tcp]\n[udp]\n"])
def test_empty_file(text: str) -> None:
    """A file that asks for nothing is a valid one."""
    assert parse(text, PATH) == Config(PATH)


def test_missing(tmp_path: Path) -> None:
    """A file that is not there has the command that makes one."""
    path = tmp_path / "absent" / "config.toml"
    error = _refused(path)
    assert error.problem.code == "config-missing"
    assert complaint_of(error) == Complaint(
        None, f"there is no {path}", "sockslocal server add office ADDRESS"
    )


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_not_allowed(tmp_path: Path) -> None:
    """A file that may not be read has the command that changes that."""
    path = tmp_path / "my config.toml"
    path.write_text(WHOLE)
    path.chmod(0)
    assert complaint_of(_refused(path)) == Complaint(
        None, f"{path} cannot be read: Permission denied", f"chmod u+r '{path}'"
    )


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read has the command that changes that, however the system says no."""
    path = tmp_path / "my config.toml"

    def refuse(*_arguments: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sockslocal.config.load.read_bounded", refuse)
    assert complaint_of(_refused(path)) == Complaint(
        None, f"{path} cannot be read: Permission denied", f"chmod u+r '{path}'"
    )


def test_folder(tmp_path: Path) -> None:
    """A folder is no configuration."""
    error = _refused(tmp_path)
    assert error.problem.code == "config-unreadable"
    assert complaint_of(error) == Complaint(
        None, f"{tmp_path} cannot be read: Is a directory", "sockslocal config path"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to is refused at once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    errors: list[ConfigError] = []
    reader = threading.Thread(target=lambda: errors.append(_refused(path)), daemon=True)
    reader.start()
    reader.join(30)
    assert [error.problem.text for error in errors] == [f"{path} cannot be read: it is not a regular file"]


def test_not_utf8(tmp_path: Path) -> None:
    """The line that is not UTF-8 is named."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"# one\n# two \xe4\n")
    assert complaint_of(_refused(path)) == Complaint(
        2, f"{path} cannot be read: it is not UTF-8", "save it as UTF-8"
    )
    path.write_bytes(WHOLE.encode("utf-16"))
    assert _refused(path).problem.remedy == "save it as UTF-8"


def test_too_large(tmp_path: Path) -> None:
    """Somebody's disk image is not read into memory."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert load(path) == Config(path)
    with path.open("ab") as file:
        file.truncate(1 << 40)
    assert complaint_of(_refused(path)) == Complaint(
        None, f"{path} cannot be read: it is larger than 1,048,576 bytes", "sockslocal config path"
    )


def test_path_in_another_encoding(tmp_path: Path) -> None:
    """A path that is not UTF-8 is shown in a way that every terminal and every message takes."""
    path = tmp_path / os.fsdecode(b"\xff\n")
    assert _refused(path).problem.text == f"there is no {tmp_path}/\\udcff\\n"


_WRITTEN = "correct the line; https://toml.io tells how the file is written"
_CUT = "; the file ends there: was it cut off?"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "\na = x\n",
            Complaint(2, "this is no value (column 5)", 'put texts in quotes, like "127.0.0.1:5432"'),
        ),
        ("a b\n", Complaint(1, "this is no key with its value (column 3)", "write it as: key = value")),
        (
            '[server.office]\naddress = "proxy\nusername = "ana"\n',
            Complaint(2, "a text has no closing quote (column 17)", "close it with a quote"),
        ),
        (
            f"{SERVER}{SERVER}",
            Complaint(
                3, "this table stands there twice (column 15)", "put all its keys under one of the two"
            ),
        ),
        (
            f'{SERVER}address = "b:1"\n',
            Complaint(3, "this key stands there twice (column 16)", "keep one of the two"),
        ),
        ('a = "\\q"\n', Complaint(1, "Unescaped '\\' in a string (column 8)", _WRITTEN)),
        ("a = [1,\n\n", Complaint(1, "a list or a text is not closed", 'close it, with ] or """')),
        ("\0\n", Complaint(1, "Invalid statement (column 1)", _WRITTEN)),
        ("\ud800 = 1\n", Complaint(1, "Invalid statement (column 1)", _WRITTEN)),
        (f"a = {'[' * 100_000}", Complaint(None, "lists are nested too deeply", "use fewer brackets")),
        (f"a = {'9' * 100_000}", Complaint(None, "a number has too many digits", "use fewer digits")),
    ],
)
def test_no_toml(text: str, complaint: Complaint) -> None:
    """What is no TOML is told at its line, in words for who never heard of TOML where that is usual."""
    assert complaint_about(text) == complaint


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('[server.office]\naddress = "prox', 2, "a text has no closing quote (column 16)"),
        ("[server.office]\naddress =", 2, "this is no value (column 10)"),
        ("[server.office]\naddr", 2, "this is no key with its value (column 5)"),
        ("[server.off", 1, "Expected ']' at the end of a table declaration (column 12)"),
        ('[dns]\nlisten = [\n  "127.0.0.1:53",', 3, "a list or a text is not closed"),
        ('[dns]\nlisten = """\n127.0.0.1:53', 3, "a list or a text is not closed"),
    ],
)
def test_truncated(text: str, line: int, what: str) -> None:
    """A file that ends in the middle is told to be one."""
    complaint = complaint_about(text)
    assert (complaint.line, complaint.text) == (line, what + _CUT)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_name_of_the_resolver(kind: str) -> None:
    """No forward is called what commands call the resolver."""
    assert complaint_about(f"{SERVER}[{kind}.dns]") == Complaint(
        3,
        f"[{kind}.dns] needs another name: commands call the resolver so",
        f"choose another name, like dns-{kind}",
    )


def test_one_name_for_two_forwards() -> None:
    """A name that is spoken on the command line means one forward."""
    assert complaint_about(f"[udp.db]\n{FORWARD}") == Complaint(
        1,
        "there is a [tcp.db] and a [udp.db], but a name is for one forward",
        "choose another name, like db-udp",
    )


def test_everything_that_is_wrong_is_found(tmp_path: Path) -> None:
    """In the order of reading, each at its line; what is right can be used all the same."""
    path = tmp_path / "config.toml"
    path.write_text(
        'loglevel = 5\n[server.office]\naddress = "proxy"\nudp = "yes"\n[server."my home"]\naddress = "b:1"\n'
        '[tcp.a]\nlisten = "127.0.0.1:1"\nserver = "office"\nonly_me = 1\n'
        '[tcp.b]\nlisten = ["127.0.0.1:1", "[::1]:2", "x:3"]\nto = "b:1"\n'
        '[tcp.c]\nlisten = "127.0.0.1:3"\nto = "c:1"\n'
        '[udp.c]\n[udp.dns]\n[dns]\nupstreams = ["9.9.9.9", "udp://9.9.9.9"]\n'
    )
    config, faults = check(path)
    assert [(*fault.where, fault.line) for fault in faults] == [
        ("loglevel", 1),
        ("server", "office", "address", 3),
        ("server", "office", "udp", 4),
        ("server", "my home", 5),
        ("tcp", "a", "to", 7),
        ("tcp", "a", "only_me", 10),
        ("tcp", "b", "listen", 2, 12),
        ("udp", "c", 17),
        ("udp", "dns", 18),
        ("dns", "listen", 19),
        ("dns", "upstreams", 0, 20),
        ("tcp", "b", "listen", 0, 12),
    ]
    assert ([*config.servers], [*config.tcp], [*config.udp], config.dns) == ([], ["c"], [], None)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert complaint_of(caught.value) == complaint_of(faults[0])


def test_a_file_that_is_right_has_no_faults(tmp_path: Path) -> None:
    """`check` gives what `load` does."""
    path = tmp_path / "config.toml"
    path.write_text(WHOLE)
    assert check(path) == (load(path), [])


def test_no_endless_list_of_faults(tmp_path: Path) -> None:
    """Of a file that is something else altogether the first ones are enough."""
    path = tmp_path / "config.toml"
    path.write_text("".join(f"key{number} = 1\n" for number in range(50_000)))
    config, faults = check(path)
    assert config == Config(path)
    assert [fault.line for fault in faults] == [*range(1, MAX_FAULTS + 1)]


@given(st.text())
def test_any_text(text: str) -> None:
    """Whatever the text, it is a configuration or one ConfigError."""
    error = error_about(text)
    assert error is None or (error.problem.text and error.problem.remedy)


_PIECES = [
    *"[]{}=.,#\"'\\\n\r\t :@/%-_",
    '"""',
    "'''",
    "[[",
    "true",
    "0",
    "-1",
    "1e9",
    "inf",
    "1979-05-27",
    "server",
    "tcp",
    "udp",
    "dns",
    "listen",
    "to",
    "password",
    "é",
    "\0",
    "\x7f",
    "\u2028",
    "127.0.0.1:0",
    "\U0001f600",
]


def _mutated(random_: random.Random) -> str:
    """`WHOLE` with up to eight pieces cut out, put in, doubled or moved."""
    text = WHOLE
    for _ in range(random_.randint(1, 8)):
        start = random_.randrange(len(text) + 1)
        end = min(len(text), start + random_.choice([0, 1, 2, 5, 20, 100]))
        match random_.randrange(4):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:start] + random_.choice(_PIECES) + text[end:]
            case 2:
                text = text[:end] + text[start:]
            case _:
                elsewhere = random_.randrange(len(text) + 1)
                text = text[:elsewhere] + text[start:end] + text[elsewhere:]
    return text


def test_mutated_configurations() -> None:
    """A thousand damaged files are each a configuration or one error, which names a line that there is."""
    refused = 0
    for seed in range(1_000):
        text = _mutated(random.Random(seed))
        error = error_about(text)
        if error is not None:
            refused += 1
            assert error.problem.text.isprintable()
            assert error.line is None or 1 <= error.line <= text.count("\n") + 1
    assert refused > 500


def test_every_truncation() -> None:
    """Wherever a file is cut, it is a configuration or one error."""
    for end in range(len(WHOLE)):
        error = error_about(WHOLE[:end])
        assert error is None or error.line is None or 1 <= error.line <= WHOLE[:end].count("\n") + 1


@given(st.text(string.ascii_letters + string.digits + "@:/%é\n", min_size=8).map(lambda text: f"Zq{text}qZ"))
def test_no_error_shows_a_password(password: str) -> None:
    """Wherever somebody writes a password, the error does not show it."""
    written = password.replace("\n", "\\n")
    for text in (
        f'password = "{written}"',
        f'{SERVER}password = "{written}"',
        f'{SERVER}username = "ana"\npassword_from = "{written}"',
        f'{SERVER}username = "ana"\npassword_from = ["{written}"]',
        f'[server.office]\naddress = "ana:{written}@proxy:1080"',
        f'[server.office]\naddress = "socks5://ana:{written}@proxy:1080"',
        f'[server."{written}@proxy"]',
        f'{SERVER}udp_address = "{written}@proxy"',
        f'{SERVER}[dns]\nlisten = "127.0.0.1:53"\nupstreams = "udp://ana:{written}@9.9.9.9"',
        f'{SERVER}[tcp.a]\nlisten = "127.0.0.1:1"\nto = "ana:{written}@a:1"',
        f'{FORWARD}server = "{written}@proxy"',
    ):
        complaint = complaint_about(text)
        assert "Zq" not in complaint.text + complaint.remedy
