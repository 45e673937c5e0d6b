import shutil
import subprocess
from pathlib import Path

import pytest

from fakes.cli import CommandLine

BASH = shutil.which("bash")

COMPLETE = """\
source {script}
COMP_WORDS=({words})
COMP_CWORD={last}
_sockslocal
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def script(cli: CommandLine, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The script of the shell that the test names."""
    path = tmp_path / "script"
    path.write_text(cli("completion", request.param).out)
    return path


def offered(script: Path, typed: str) -> list[str]:
    """What bash offers after `typed`, whose last word is being completed."""
    words = typed.split(" ")
    text = COMPLETE.format(script=script, words=" ".join(f"'{word}'" for word in words), last=len(words) - 1)
    done = subprocess.run([BASH or "", "-c", text], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(cli: CommandLine, shell: str) -> None:
    """Each shell parses its own."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=cli("completion", shell).out, text=True, check=True)


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sockslocal sta", {"start", "status"}),
        ("sockslocal status --j", {"--json"}),
        ("sockslocal forward ", {"add", "set", "remove", "list", "-h", "--help"}),
        ("sockslocal forward add ", {"tcp", "udp"}),
        ("sockslocal forward add --on", {"--only-me"}),
        ("sockslocal --config x forward l", {"list"}),
        ("sockslocal completion ", {"bash", "zsh", "fish"}),
        ("sockslocal run --se", set()),
        ("sockslocal nonsense st", {"start", "status", "stop"}),
    ],
)
def test_bash_offers_what_may_follow(script: Path, typed: str, expected: set[str]) -> None:
    """Commands, options and values, at any depth; nothing hidden."""
    words = set(offered(script, typed))
    assert words >= expected
    assert bool(words) == bool(expected)
    assert all(word.startswith(typed.rsplit(" ", maxsplit=1)[-1]) for word in words)


def test_an_unknown_shell_is_a_mistake(cli: CommandLine) -> None:
    """The known ones are told."""
    done = cli("completion", "tcsh")
    assert (done.code, done.out) == (2, "")
    assert "there is no shell 'tcsh'" in done.err


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
