import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.cli import CommandLine
from sockslocal.paths import Paths

CONFIG = """\
[server.office]
[server.home]
[tcp.db]
[udp.game]
[dns]
"""

BASH = """\
source {script}
COMP_WORDS=({words})
COMP_CWORD={last}
_sockslocal
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """\
function _describe {{ print -l -- ${{(P)2}} }}
function _files {{ : }}
words=({words})
CURRENT={last}+1
source {script} | sed 's/:.*//' | grep -- ^{current} || true
"""
FISH = """\
source {script}
complete -C {typed} | string replace -r '\\t.*' ''; true
"""


@pytest.fixture
def script(cli: CommandLine, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The script of the shell that the test names."""
    path = tmp_path / "script"
    path.write_text(cli("completion", request.param).out)
    return path


@pytest.fixture(autouse=True)
def named(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration with names, and a shell that finds the command."""
    paths.config.write_text(CONFIG)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def offered(shell: str, script: Path, typed: str) -> set[str]:
    """What the shell offers after `typed`, whose last word is being completed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    words = typed.split(" ")
    template, option = {"bash": (BASH, "--norc"), "zsh": (ZSH, "-f"), "fish": (FISH, "--no-config")}[shell]
    text = template.format(
        script=script,
        words=" ".join(f"'{word}'" for word in words),
        last=len(words) - 1,
        current=shlex.quote(words[-1]),
        typed=shlex.quote(typed),
    )
    done = subprocess.run([shell, option, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(cli: CommandLine, shell: str) -> None:
    """Each shell parses its own."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=cli("completion", shell).out, text=True, check=True)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sockslocal sta", {"start", "status"}),
        ("sockslocal status --j", {"--json"}),
        ("sockslocal forward ", {"add", "set", "remove", "list"}),
        ("sockslocal forward add ", {"tcp", "udp"}),
        ("sockslocal forward add --on", {"--only-me"}),
        ("sockslocal --config x forward l", {"list"}),
        ("sockslocal completion ", {"bash", "zsh", "fish"}),
        ("sockslocal run --se", set()),
        ("sockslocal run --level ", {"debug", "info", "warning", "error"}),
        ("sockslocal nonsense st", {"start", "status", "stop"}),
        ("sockslocal on ", {"db", "game", "dns"}),
        ("sockslocal off db g", {"game"}),
        ("sockslocal forward set ", {"db", "game"}),
        ("sockslocal forward remove d", {"db"}),
        ("sockslocal forward set db --server ", {"office", "home"}),
        ("sockslocal forward add tcp x 127.0.0.1:1 a:1 --server h", {"home"}),
        ("sockslocal server remove ", {"office", "home"}),
        ("sockslocal server use ", {"office", "home"}),
        ("sockslocal se", {"server", "setup"}),
        ("sockslocal autostart ", {"on", "off", "status"}),
        ("sockslocal login o", {"office"}),
        ("sockslocal logout h", {"home"}),
        ("sockslocal --config /nowhere login o", set()),
    ],
)
@pytest.mark.parametrize(
    ("shell", "script"), [(shell, shell) for shell in ("bash", "zsh", "fish")], indirect=["script"]
)
def test_a_shell_offers_what_may_follow(shell: str, script: Path, typed: str, expected: set[str]) -> None:
    """Commands, options, values and names, at any depth; nothing hidden."""
    words = offered(shell, script, typed)
    current = typed.rsplit(" ", maxsplit=1)[-1]
    dashed = {word for word in words if word.startswith("-") and not current.startswith("-")}
    assert words - dashed == expected
    assert all(word.startswith(current) for word in words)


@pytest.mark.parametrize(
    ("shell", "script"), [(shell, shell) for shell in ("bash", "zsh", "fish")], indirect=["script"]
)
def test_names_are_those_of_the_file_that_is_named(
    shell: str, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the line that is being typed; the home folder may be written as the shell has it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "other.toml").write_text("[tcp.other]\n")
    assert offered(shell, script, "sockslocal --config ~/other.toml forward remove o") == {"other"}


@pytest.mark.parametrize(
    ("shell", "script"), [(shell, shell) for shell in ("bash", "zsh", "fish")], indirect=["script"]
)
def test_a_configuration_that_is_broken_is_no_error(shell: str, script: Path, paths: Paths) -> None:
    """There is nothing to offer, and nothing is said."""
    paths.config.write_text("[tcp")
    assert offered(shell, script, "sockslocal forward remove d") == set()


def test_an_unknown_shell_is_a_mistake(cli: CommandLine) -> None:
    """The known ones are told."""
    done = cli("completion", "tcsh")
    assert (done.code, done.out) == (2, "")
    assert 'there is no shell "tcsh"' in done.err


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_is_given_the_help_beside_each_word(script: Path) -> None:
    """And no variable of its own is taken: `path` there is where commands are looked for."""
    text = script.read_text()
    assert "'status:what is up, what is wrong, and the command that mends it'" in text
    assert "local path" not in text


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_has_a_rule_for_each_word(script: Path) -> None:
    """Valid only after the commands that it belongs to."""
    rules = script.read_text().splitlines()
    assert any(" -n '__sockslocal_at sockslocal' -f -a status -d 'what is up" in rule for rule in rules)
    assert any(" -n '__sockslocal_at sockslocal/forward/add' -l only-me -d " in rule for rule in rules)
