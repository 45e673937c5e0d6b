import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.config import FORWARD, SERVER, Complaint, complaint_of
from fakes.limited import run_with_small_files
from sockslocal.address import Endpoint
from sockslocal.config import edit
from sockslocal.config.edit import Edited, Wish
from sockslocal.config.load import load
from sockslocal.errors import ConfigError
from sockslocal.locks import folder_lock
from sockslocal.problems import ExitCode

TEXT = f"""\
# my tunnels
{SERVER}
# the database
[tcp.db]
listen = "127.0.0.1:5432"  # as at home
to = "db.internal:5432"

# a game
[udp.game]
listen = "127.0.0.1:27015"
to = "203.0.113.9:27015"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration with comments."""
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def _refused(path: Path, edit_it: Callable[[], Edited]) -> ConfigError:
    """The error of an edit that has to leave everything as it was."""
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(ConfigError) as caught:
        edit_it()
    assert {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    return caught.value


def test_set(path: Path) -> None:
    """Changed keys change, new ones stand below, and every comment stays."""
    config = edit.set_forward(
        path, "db", {"listen": ["127.0.0.1:15432", "[::1]:15432"], "enabled": False}
    ).config
    assert config == load(path)
    assert config.tcp["db"].listen == (Endpoint("127.0.0.1", 15432), Endpoint("::1", 15432))
    assert path.read_text() == TEXT.replace(
        '"127.0.0.1:5432"  # as at home', '["127.0.0.1:15432", "[::1]:15432"]  # as at home'
    ).replace('to = "db.internal:5432"\n', 'to = "db.internal:5432"\nenabled = false\n')


def test_unset(path: Path) -> None:
    """A key set to None is gone, and absent ones may be."""
    edit.set_forward(path, "game", {"idle": "5s"})
    assert load(path).udp["game"].idle == 5.0
    edit.set_forward(path, "game", {"idle": None, "server": None})
    assert path.read_text() == TEXT


def test_add_and_remove_forward(path: Path) -> None:
    """A new forward stands at the end; removed, it leaves the file as it was."""
    config = edit.add_forward(
        path, "tcp", "web", {"listen": "127.0.0.1:8080", "to": "web.internal:80"}
    ).config
    assert [*config.tcp] == ["db", "web"]
    assert path.read_text() == f'{TEXT}\n[tcp.web]\nlisten = "127.0.0.1:8080"\nto = "web.internal:80"\n'
    assert [*edit.remove_forward(path, "web").config.tcp] == ["db"]
    assert path.read_text() == f"{TEXT}\n"
    edit.remove_forward(path, "db")
    edit.remove_forward(path, "game")
    assert path.read_text() == f"# my tunnels\n{SERVER}\n# the database\n\n# a game\n\n"


def test_add_and_remove_server(path: Path) -> None:
    """A new server is not the default one, and the one in use is not removed."""
    config = edit.add_server(path, "home", {"address": "[::1]:1080", "username": 'a"n\\a'}).config
    assert [*config.servers] == ["office", "home"]
    assert config.servers["home"].username == 'a"n\\a'
    edit.set_forward(path, "db", {"server": "home"})
    error = _refused(path, lambda: edit.remove_server(path, "home"))
    assert complaint_of(error) == Complaint(
        9,
        'forward "db" goes through server "home", so that cannot be removed',
        "sockslocal forward set db --server NAME",
    )
    edit.set_forward(path, "db", {"server": None})
    edit.remove_server(path, "home")
    assert path.read_text() == f"{TEXT}\n"


def test_the_only_server_stays_while_it_is_needed(path: Path) -> None:
    """It is told what needs it, also where that does not name it; then it goes."""
    path.write_text(f'{TEXT}[dns]\nlisten = "127.0.0.1:5399"\nupstreams = "udp://9.9.9.9"\n')
    error = _refused(path, lambda: edit.remove_server(path, "office"))
    assert complaint_of(error) == Complaint(
        2,
        'server "office" cannot be removed: it is the only one, and needed by "db", "game", "dns"',
        "add another server first, or remove what needs it",
    )
    path.write_text(SERVER)
    assert not edit.remove_server(path, "office").config.servers


TWO = f"""\
# what was before

# the office
{SERVER}# udp = "off"

# at home
[server.home]
address = "[::1]:1080"
# until May

[tcp.db]
listen = "127.0.0.1:5432"
to = "db.internal:5432"
[tcp.own]
listen = "127.0.0.1:5433"
to = "db.internal:5432"
server = "office"
"""


def test_another_default_server(path: Path) -> None:
    """It stands first then, with its comments; only what names no server goes through it."""
    path.write_text(TWO)
    edited = edit.use_server(path, "home")
    assert edited.rerouted == ("db",)
    assert edited.default == "home"
    assert [*edited.config.servers] == ["home", "office"]
    assert edited.config.tcp["db"].servers == ("home",)
    assert edited.config.tcp["own"].servers == ("office",)
    assert path.read_text() == (
        '# what was before\n\n# at home\n[server.home]\naddress = "[::1]:1080"\n# until May\n\n'
        f'# the office\n{SERVER}# udp = "off"\n\n' + TWO[TWO.index("[tcp.db]") :]
    )
    assert load(path) == edited.config


def test_the_default_server_stays_it(path: Path) -> None:
    """Nothing changes."""
    path.write_text(TWO)
    assert edit.use_server(path, "office").rerouted == ()
    assert path.read_text() == TWO


@pytest.mark.parametrize(
    "tables",
    [
        '[server]\noffice.address = "a:1"\nhome.address = "b:1"\nhome.username = "ana"\n',
        'server.office.address = "a:1"\nserver.home.address = "b:1"\nserver.home.username = "ana"\n',
        'server.office = { address = "a:1" }\nserver.home = { address = "b:1", username = "ana" }',
        'server = { office = { address = "a:1" }, home = { address = "b:1", username = "ana" } }',
        '[server]\nhome.address = "b:1"\n[server.office]\naddress = "a:1"\n',
    ],
)
def test_other_ways_to_write_servers(path: Path, tables: str) -> None:
    """However they are written, the other one is the first, or it is said that it cannot be."""
    path.write_text(tables)
    first, second = load(path).servers
    with suppress(ConfigError):
        edit.use_server(path, second)
    assert [*load(path).servers] == [second, first] or path.read_text() == tables


def test_several_tables_at_once(path: Path) -> None:
    """New tables stand at the end, of old ones what is another now changes, and every comment stays."""
    wishes = [
        Wish(("server", "office"), {"address": "proxy.example.net:1080", "username": "ana"}),
        Wish(("tcp", "db"), {"listen": "127.0.0.1:15432", "to": "db.internal:5432", "server": None}),
        Wish(("tcp", "web"), {"listen": "127.0.0.1:8080", "to": "web.internal:80"}),
        Wish(("dns",), {"listen": "127.0.0.1:5399", "upstreams": ["tcp://9.9.9.9"], "server": None}),
    ]
    config = edit.put(path, wishes).config
    assert path.read_text() == (
        TEXT.replace(SERVER, f'{SERVER}username = "ana"\n').replace(':5432"  #', ':15432"  #')
        + '\n[tcp.web]\nlisten = "127.0.0.1:8080"\nto = "web.internal:80"\n'
        + '\n[dns]\nlisten = "127.0.0.1:5399"\nupstreams = ["tcp://9.9.9.9"]\n'
    )
    assert load(path) == config


def test_one_bad_table_of_several(path: Path) -> None:
    """None is written."""
    wishes = [
        Wish(("server", "home"), {"address": "[::1]:1080"}),
        Wish(("tcp", "web"), {"listen": "127.0.0.1:5432", "to": "web.internal:80"}),
    ]
    assert "127.0.0.1:5432" in _refused(path, lambda: edit.put(path, wishes)).problem.text


def test_several_tables_make_the_file(tmp_path: Path) -> None:
    """And its folder; it is the user's alone."""
    path = tmp_path / "new" / "config.toml"
    edit.put(path, [Wish(("server", "office"), {"address": "a:1"})])
    assert path.read_text() == '[server.office]\naddress = "a:1"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_first_server_makes_the_file(tmp_path: Path) -> None:
    """Where there is no configuration, its folder and it are made, for this user only."""
    path = tmp_path / "config" / "sockslocal" / "config.toml"
    config = edit.add_server(path, "office", {"address": "proxy.example.net:1080"}).config
    assert config == load(path)
    assert path.read_text() == SERVER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_last_line_without_end(tmp_path: Path) -> None:
    """A file whose last line has no end is added to all the same, in its own line breaks."""
    path = tmp_path / "config.toml"
    path.write_bytes(SERVER.rstrip().replace("\n", "\r\n").encode())
    edit.add_forward(path, "udp", "u", {"listen": "127.0.0.1:1", "to": "a:1"})
    lines = [*SERVER.splitlines(), "", "[udp.u]", 'listen = "127.0.0.1:1"', 'to = "a:1"', ""]
    assert path.read_bytes() == "\r\n".join(lines).encode()


def test_symbolic_link(path: Path, tmp_path: Path) -> None:
    """A configuration kept elsewhere, as those of dotfiles are, is changed there."""
    link = tmp_path / "links" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(Path("..") / path.name)
    edit.set_forward(link, "db", {"enabled": False})
    assert link.is_symlink()
    assert load(path).tcp["db"].enabled is False
    assert [*link.parent.iterdir()] == [link]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600, 0o400])
def test_who_reads_it_stays(path: Path, mode: int) -> None:
    """An edit neither shows the file to more users nor hides it from those who share it."""
    path.chmod(mode)
    edit.set_forward(path, "db", {"enabled": False})
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"listen": "127.0.0.1:5432", "to": "a b"},
            Complaint(
                None,
                '"to" of forward "web": "a b" should be a host and a port, like db.internal:5432',
                "sockslocal forward add tcp web 127.0.0.1:5432 HOST:PORT",
            ),
        ),
        (
            {"listen": "127.0.0.1:5432", "to": "web.internal:80", "server": "office"},
            Complaint(
                None,
                'forward "web" cannot listen on 127.0.0.1:5432: forward "db" (line 7) listens there',
                "sockslocal forward add tcp web 127.0.0.1:15432 web.internal:80 --server office",
            ),
        ),
        (
            {"listen": "127.0.0.1:1", "to": "a:1", "server": "ofice"},
            Complaint(
                None,
                'forward "web" goes through server "ofice", which is not there; known are "office"',
                "sockslocal forward add tcp web 127.0.0.1:1 a:1 --server office",
            ),
        ),
        (
            {"listen": "0.0.0.0:80", "to": "ana:hunter2@a:1"},
            Complaint(
                None,
                '"listen" of forward "web" is "0.0.0.0:80", open to other machines: '
                "that needs allow_lan = true beside it",
                "sockslocal forward add tcp web 127.0.0.1:80 TO",
            ),
        ),
        (
            {"listen": "127.0.0.1:1"},
            Complaint(
                None, 'forward "web" has no "to"', "sockslocal forward add tcp web 127.0.0.1:1 HOST:PORT"
            ),
        ),
        (
            {"lisen": "127.0.0.1:1"},
            Complaint(None, 'unknown key "lisen" in [tcp.web]', "did you mean listen?"),
        ),
    ],
)
def test_bad_addition(path: Path, settings: dict[str, str], complaint: Complaint) -> None:
    """What cannot be added is told with the command that can, and at no line, for it has none."""
    error = _refused(path, lambda: edit.add_forward(path, "tcp", "web", settings))
    assert complaint_of(error) == complaint


@pytest.mark.parametrize(
    ("name", "address", "complaint"),
    [
        (
            "home",
            "proxy",
            Complaint(
                None,
                '"address" of server "home": "proxy" should be a host and a port, '
                "like proxy.example.net:1080",
                "sockslocal server add home HOST:1080",
            ),
        ),
        (
            "my home",
            "proxy:1080",
            Complaint(
                None,
                '"my home" is no name for a server',
                "use letters, digits, - and _, a letter or digit first",
            ),
        ),
        (
            "office",
            "proxy:1080",
            Complaint(2, "there is a [server.office] already", "choose another name"),
        ),
    ],
)
def test_bad_server(path: Path, name: str, address: str, complaint: Complaint) -> None:
    """A server that cannot be added is told with the command that can."""
    error = _refused(path, lambda: edit.add_server(path, name, {"address": address}))
    assert complaint_of(error) == complaint


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            {"address": "a:1", "username": "ana@example.org", "udp": "yes"},
            "sockslocal server add home a:1 --username ana@example.org --udp auto",
        ),
        (
            {"address": "a:1", "connect_timeout": "never"},
            "sockslocal server add home a:1 --connect-timeout 10s",
        ),
        (
            {"address": "a:1", "password_from": "keyring"},
            "sockslocal server add home a:1 --username ana",
        ),
        (
            {"address": "ana:hunter2@a", "username": "ana"},
            "sockslocal server add home HOST:1080 --username ana",
        ),
    ],
)
def test_a_server_that_can_be_added_is_proposed(path: Path, settings: dict[str, str], remedy: str) -> None:
    """With all that was right of what was given, and nothing that may be a password."""
    error = _refused(path, lambda: edit.add_server(path, "home", settings))
    assert error.problem.remedy == remedy


def test_a_forward_that_can_be_added_is_proposed(path: Path) -> None:
    """As above; with its switches."""
    settings: dict[str, str | bool] = {"listen": "0.0.0.0:80", "to": "a", "only_me": True, "allow_lan": True}
    error = _refused(path, lambda: edit.add_forward(path, "tcp", "web", settings))
    proposed = "sockslocal forward add tcp web 0.0.0.0:80 HOST:PORT --only-me --allow-lan"
    assert error.problem.remedy == proposed
    settings = {"listen": "127.0.0.1:80", "to": "a:1", "idle": "never"}
    error = _refused(path, lambda: edit.add_forward(path, "udp", "web", settings))
    assert error.problem.remedy == "sockslocal forward add udp web 127.0.0.1:80 a:1 --idle 60s"


def test_bad_change(path: Path) -> None:
    """What a forward cannot become is told where it stands, and it is the edited one that is to blame."""
    edit.add_forward(path, "tcp", "web", {"listen": "127.0.0.1:8080", "to": "a:1"})
    error = _refused(path, lambda: edit.set_forward(path, "db", {"listen": "127.0.0.1:8080"}))
    assert complaint_of(error) == Complaint(
        7,
        'forward "db" cannot listen on 127.0.0.1:8080: forward "web" (line 16) listens there',
        "sockslocal forward set db --listen 127.0.0.1:18080",
    )


@pytest.mark.parametrize(
    ("edit_it", "what", "remedy"),
    [
        (
            lambda path: edit.set_forward(path, "bd", {}),
            'there is no forward "bd"; known are "db", "game"',
            "sockslocal forward list",
        ),
        (
            lambda path: edit.remove_forward(path, "office"),
            'there is no forward "office"; known are "db", "game"',
            "sockslocal forward list",
        ),
        (
            lambda path: edit.remove_server(path, "db"),
            'there is no server "db"; known are "office"',
            "sockslocal server list",
        ),
    ],
)
def test_unknown_name(path: Path, edit_it: Callable[[Path], Edited], what: str, remedy: str) -> None:
    """A name that nothing has is told with those that there are."""
    error = _refused(path, lambda: edit_it(path))
    assert complaint_of(error) == Complaint(None, what, remedy)
    assert error.exit_code is ExitCode.USAGE


def test_nothing_to_remove(tmp_path: Path) -> None:
    """A file without forwards has none to remove, and a missing one is told as missing."""
    path = tmp_path / "config.toml"
    with pytest.raises(ConfigError, match="there is no "):
        edit.remove_forward(path, "db")
    path.write_text("")
    with pytest.raises(ConfigError, match='there is no forward "db"; the file has none'):
        edit.remove_forward(path, "db")


@pytest.mark.parametrize(
    "tables",
    [
        'tcp = { db = { listen = "127.0.0.1:1", to = "a:1" }, web = { listen = "127.0.0.1:2", to = "a:1" } }',
        'tcp.db = { listen = "127.0.0.1:1", to = "a:1" }\ntcp.web = { listen = "127.0.0.1:2", to = "a:1" }',
        '[tcp]\ndb.listen = "127.0.0.1:1"\ndb.to = "a:1"\nweb.listen = "127.0.0.1:2"\nweb.to = "a:1"',
        '["tcp".\'db\']\n"listen" = "127.0.0.1:1"\nto = "a:1"\n[tcp . web]\nlisten = "[::1]:2"\nto = "a:1"',
    ],
)
def test_other_ways_to_write_it(tmp_path: Path, tables: str) -> None:
    """However TOML lets a forward be written, an edit does exactly what was asked, or says that it cannot."""
    path = tmp_path / "config.toml"
    text = f"{tables}\n{SERVER}" if tables.startswith("tcp") else f"{SERVER}{tables}\n"
    edits: list[Callable[[], Edited]] = [
        lambda: edit.set_forward(path, "db", {"listen": "127.0.0.1:9"}),
        lambda: edit.set_forward(path, "db", {"server": "office"}),
        lambda: edit.set_forward(path, "db", {"server": "office", "enabled": True}),
        lambda: edit.remove_forward(path, "db"),
        lambda: edit.add_forward(path, "tcp", "new", {"listen": "127.0.0.1:3", "to": "a:1"}),
    ]
    done = 0
    for edit_it in edits:
        path.write_text(text)
        try:
            config = edit_it().config
        except ConfigError as error:
            refused = error
        else:
            assert load(path) == config
            done += 1
            continue
        assert "is written in a way that no command can change" in refused.problem.text
        assert refused.problem.remedy == f"edit {path}"
        assert path.read_text() == text
    assert done >= (1 if tables.startswith("tcp = ") else 2)


TWO_BAD = f"""\
{SERVER}
[tcp.a]
listen = "127.0.0.1"
to = "a"

[udp.b]
listen = "127.0.0.1:7"
to = "b:0"
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A configuration with three faults in two forwards."""
    path = tmp_path / "config.toml"
    path.write_text(TWO_BAD)
    return path


def _places(faults: Sequence[ConfigError]) -> list[str]:
    return [".".join(map(str, fault.where)) for fault in faults]


def test_two_invalid_forwards_are_mended_one_by_one(wrong: Path) -> None:
    """An edit that mends one thing is made, though others are wrong; each time it is told what is left."""
    edited = edit.set_forward(wrong, "a", {"listen": "127.0.0.1:5"})
    assert _places(edited.faults) == ["tcp.a.to", "udp.b.to"]
    edited = edit.set_forward(wrong, "b", {"to": "b:7"})
    assert _places(edited.faults) == ["tcp.a.to"]
    assert [*edited.config.tcp, *edited.config.udp] == ["b"]
    edited = edit.set_forward(wrong, "a", {"to": "a:5"})
    assert edited.faults == ()
    assert edited.config == load(wrong)


def test_what_is_wrong_elsewhere_hinders_no_other_edit(wrong: Path) -> None:
    """Forwards and servers come and go."""
    added = edit.add_forward(wrong, "tcp", "c", {"listen": "127.0.0.1:8", "to": "c:8"})
    assert _places(added.faults) == ["tcp.a.listen", "tcp.a.to", "udp.b.to"]
    assert _places(edit.add_server(wrong, "home", {"address": "home:1080"}).faults) == _places(added.faults)
    edit.set_forward(wrong, "c", {"server": "home"})
    edit.remove_forward(wrong, "c")
    edit.remove_server(wrong, "home")
    assert _places(edit.remove_forward(wrong, "a").faults) == ["udp.b.to"]
    assert edit.remove_forward(wrong, "b").faults == ()


@pytest.mark.parametrize(
    ("edit_it", "where"),
    [
        (lambda path: edit.set_forward(path, "a", {"listen": "127.0.0.1:0"}), "tcp.a.listen"),
        (lambda path: edit.set_forward(path, "a", {"to": "a:0"}), "tcp.a.to"),
        (lambda path: edit.set_forward(path, "a", {"listen": "127.0.0.1:5", "to": "a:0"}), "tcp.a.to"),
        (lambda path: edit.set_forward(path, "a", {"to": None}), "tcp.a.to"),
        (lambda path: edit.set_forward(path, "a", {"server": "home"}), "tcp.a.server"),
        (lambda path: edit.add_forward(path, "tcp", "c", {"listen": "127.0.0.1:5"}), "tcp.c.to"),
        (lambda path: edit.add_server(path, "c", {"address": "c"}), "server.c.address"),
        (lambda path: edit.remove_server(path, "office"), "server.office"),
    ],
)
def test_nothing_wrong_is_added(wrong: Path, edit_it: Callable[[Path], Edited], where: str) -> None:
    """What the edit itself writes has to be right, also where it was wrong before; nor may it harm others."""
    assert _places([_refused(wrong, lambda: edit_it(wrong))]) == [where]


def test_a_conflict_is_ended_from_either_side(tmp_path: Path) -> None:
    """Of two forwards on one port the one that is edited is to blame; any other change of it is made."""
    path = tmp_path / "config.toml"
    path.write_text(f'{FORWARD}[tcp.web]\nlisten = "127.0.0.1:5432"\nto = "a:1"\n')
    assert _places(edit.set_forward(path, "db", {"only_me": True}).faults) == ["tcp.db.listen"]
    assert _places(edit.set_forward(path, "web", {"only_me": True}).faults) == ["tcp.web.listen"]
    _refused(path, lambda: edit.set_forward(path, "db", {"listen": ["127.0.0.1:1", "127.0.0.1:5432"]}))
    assert edit.set_forward(path, "db", {"listen": "127.0.0.1:1"}).faults == ()


def test_a_forward_with_a_bad_name_can_be_removed(tmp_path: Path) -> None:
    """It is no name to add, but one to take away."""
    path = tmp_path / "config.toml"
    path.write_text(f'{SERVER}[tcp."my db"]\nlisten = "127.0.0.1:1"\nto = "a:1"\n')
    assert edit.remove_forward(path, "my db").faults == ()
    assert path.read_text() == SERVER


@pytest.mark.parametrize(
    ("edit_it", "text", "remedy"),
    [
        (
            lambda path: edit.set_forward(path, "db", {"idle": "5s"}),
            '--idle is for UDP forwards; "db" is a TCP forward',
            "leave out --idle",
        ),
        (
            lambda path: edit.add_forward(path, "tcp", "x", {"idle": "5s"}),
            '--idle is for UDP forwards; "x" is a TCP forward',
            "leave out --idle",
        ),
        (
            lambda path: edit.set_forward(path, "game", {"only_me": None}),
            '--only-me is for TCP forwards; "game" is a UDP forward',
            "leave out --only-me",
        ),
    ],
)
def test_an_option_of_the_other_kind(
    path: Path, edit_it: Callable[[Path], Edited], text: str, remedy: str
) -> None:
    """It is a mistake of the command, not of the file."""
    error = _refused(path, lambda: edit_it(path))
    assert complaint_of(error) == Complaint(None, text, remedy)
    assert error.exit_code is ExitCode.USAGE


def test_edits_at_once_are_all_made(path: Path) -> None:
    """Each command waits for the others, so that none writes over what another has just added."""
    code = (
        "import sys; from pathlib import Path; from sockslocal.config import edit\n"
        "for n in range(4): edit.add_forward(Path(sys.argv[1]), 'tcp', f'f{sys.argv[2]}{n}',"
        " {'listen': f'127.0.0.1:{sys.argv[2]}{n}', 'to': 'a:1'})"
    )
    editors = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(editor)]) for editor in range(1, 5)
    ]
    assert [editor.wait(60) for editor in editors] == [0, 0, 0, 0]
    assert len(load(path).tcp) == 1 + 4 * 4


def test_a_command_that_does_not_end_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and nothing is changed."""
    monkeypatch.setattr(edit, "LOCK_SECONDS", 0.05)
    with folder_lock(path.parent, 0.0):
        error = _refused(path, lambda: edit.set_forward(path, "db", {"enabled": False}))
    assert error.problem.code == "config-busy"


def test_an_edit_through_a_link_waits_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the link leads to that is edited."""
    monkeypatch.setattr(edit, "LOCK_SECONDS", 0.05)
    link = path.parent / "links" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(path)
    with folder_lock(path.parent, 0.0):
        error = _refused(path, lambda: edit.set_forward(link, "db", {"enabled": False}))
    assert error.problem.code == "config-busy"


def test_broken_file(path: Path) -> None:
    """A file that is no configuration is not edited; the error is that of reading it."""
    path.write_text("server = 5\n")
    error = _refused(path, lambda: edit.add_server(path, "a", {"address": "b:1"}))
    assert complaint_of(error) == Complaint(
        1, '"server" is the number 5, not tables [server.NAME]', "write tables [server.NAME]"
    )
    path.write_text("[server.a]\naddress = \n")
    assert _refused(path, lambda: edit.remove_server(path, "a")).line == 2
    path.write_bytes(b"\xff")
    error = _refused(path, lambda: edit.add_server(path, "a", {"address": "b:1"}))
    assert error.problem.code == "config-unreadable"


def test_not_unicode(path: Path) -> None:
    """What the command line had that is no text is refused before anything is written."""
    broken = os.fsdecode(b"\xff")
    for settings in (
        {"address": broken},
        {"address": "a:1", "username": broken},
        {"address": "a:1", "username": "a", "password_from": f"file:/{broken}"},
        {"address": "a:1", broken: "x"},
    ):
        error = _refused(path, partial(edit.add_server, path, "home", settings))
        assert error.problem.code == "config-invalid"
    listen = {"listen": f"unix:/{broken}", "to": "a:1"}
    assert _refused(path, lambda: edit.add_forward(path, "tcp", "x", listen)).problem.code == "config-invalid"


def test_disk_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing more can be written, the old file stays whole, and nothing is left beside it."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = _refused(path, lambda: edit.set_forward(path, "db", {"enabled": False}))
    assert error.problem.code == "config-unwritable"
    assert error.exit_code is ExitCode.PERMISSION
    assert complaint_of(error) == Complaint(
        None, f"{path} cannot be written: No space left on device", f"df {path.parent}"
    )


def test_write_cut_short(path: Path) -> None:
    """A write that the system cuts off in the middle leaves the old file whole."""
    code = (
        "import sys; from pathlib import Path; from sockslocal.config import edit\n"
        "try: edit.set_forward(Path(sys.argv[1]), 'db', {'enabled': False})\n"
        "except edit.ConfigError as error: print(error.problem.text)"
    )
    printed = run_with_small_files(code, path, octets=100)
    assert printed == f"{path} cannot be written: File too large\n"
    assert path.read_text() == TEXT
    assert [*path.parent.iterdir()] == [path]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that cannot be made is told as what cannot be written."""
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "config.toml"
    with pytest.raises(ConfigError) as caught:
        edit.add_server(path, "a", {"address": "b:1"})
    assert caught.value.problem.code == "config-unreadable"


_SETTINGS = st.dictionaries(
    st.sampled_from(["listen", "to", "server", "enabled", "only_me", "idle"]),
    st.none()
    | st.booleans()
    | st.sampled_from(
        ["127.0.0.1:1", "127.0.0.1:5432", "[::1]:1", "unix:/x", "a:1", "office", "1s", "\x7f\n\"#'"]
    )
    | st.lists(st.sampled_from(["127.0.0.1:1", "[::1]:1", "office"]), max_size=3),
    max_size=4,
)


@given(st.sampled_from(["db", "game"]), _SETTINGS)
def test_any_change(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: dict[str, bool | str | list[str] | None],
) -> None:
    """Any change is made as asked, with all comments kept, or refused with the file as it was."""
    path = tmp_path_factory.mktemp("any") / "config.toml"
    path.write_text(TEXT)
    try:
        config = edit.set_forward(path, name, changes).config
    except ConfigError:
        assert path.read_text() == TEXT
    else:
        assert load(path) == config
        for comment in ("# my tunnels", "# the database", "# a game"):
            assert comment in path.read_text()


def test_forward_needs_no_other_lines(tmp_path: Path) -> None:
    """A forward that has nothing but its header can be completed by commands."""
    path = tmp_path / "config.toml"
    path.write_text(FORWARD.replace('to = "db.internal:5432"\n', ""))
    assert edit.set_forward(path, "db", {"to": "a:1"}).config.tcp["db"].to == (Endpoint("a", 1),)
