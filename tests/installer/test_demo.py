"""installer/demo.sh, with a Python that only writes down what it is asked to do."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAKE_PYTHON = """\
# stands for python3, pip and sockslocal: where $STATE/no-venv exists it cannot make environments
printf '%s\\n' "$(basename "$0") $*" >> "$STATE/calls"
case "$*" in
    *ensurepip*) [ ! -e "$STATE/no-venv" ] ;;
    *version_info*) [ ! -e "$STATE/too-old" ] ;;
    -VV) echo "Python 3.11.2" ;;
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/sockslocal" ;;
    "-m pip "*) [ ! -e "$STATE/no-network" ] ;;
esac
"""


@dataclass
class Machine:
    """A checkout, a cache folder and a PATH of a test's own."""

    folder: Path
    checkout: Path
    programs: Path

    def add(self, program: str, script: str) -> None:
        """Have a `program` that is this shell script."""
        path = self.programs / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run demo.sh as a user would from some other folder."""
        environment = {
            "PATH": str(self.programs),
            "HOME": str(self.folder / "home of ana"),
            "STATE": str(self.folder),
        }
        command = ["/bin/sh", str(self.checkout / "installer/demo.sh"), *arguments]
        return subprocess.run(
            command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def calls(self) -> list[str]:
        """What the fake programs were called with since the last time this was asked."""
        written = self.folder / "calls"
        lines = written.read_text().splitlines() if written.exists() else []
        written.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which every path has a blank, and all that is installed is a fake python3."""
    checkout = tmp_path / "a checkout"
    (checkout / "sockslocal").mkdir(parents=True)
    (checkout / "tray").mkdir()
    (checkout / "sockslocal/__init__.py").write_text("")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (checkout / name).write_text(name)
    shutil.copytree(ROOT / "installer", checkout / "installer")
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("basename", "cat", "cksum", "cp", "dirname", "find", "flock", "mkdir", "rm", "sh", "sort"):
        found = shutil.which(tool)
        if found:
            (programs / tool).symlink_to(found)
    made = Machine(tmp_path, checkout, programs)
    made.add("python3", FAKE_PYTHON)
    made.add("id", "echo 1000")
    return made


def installs(calls: list[str]) -> list[str]:
    """The calls of pip among `calls`."""
    return [call for call in calls if call.startswith("python -m pip install ")]


def test_it_installs_and_starts_the_demo(machine: Machine) -> None:
    """The first run makes an environment, installs a copy of the checkout, and hands its arguments on."""
    done = machine.run("--once", "two words")
    calls = machine.calls()
    home = machine.folder / "home of ana/.cache/sockslocal-demo"
    assert (done.returncode, done.stdout) == (0, "")
    assert len(installs(calls)) == 1
    assert installs(calls)[0].endswith(f" {home}/source")
    assert calls[-1] == "sockslocal demo --once two words"


def test_the_checkout_stays_as_it_is(machine: Machine) -> None:
    """Nothing is written into it."""
    before = sorted(machine.checkout.rglob("*"))
    machine.run()
    assert sorted(machine.checkout.rglob("*")) == before


def test_the_second_run_installs_nothing(machine: Machine) -> None:
    """It only starts the demo, without a word."""
    machine.run()
    machine.calls()
    done = machine.run("--once")
    calls = machine.calls()
    assert done.stderr == ""
    assert installs(calls) == []
    assert calls[-1] == "sockslocal demo --once"


@pytest.mark.parametrize("changed", ["sockslocal/__init__.py", "pyproject.toml", "tray/new.py"])
def test_a_change_is_installed(machine: Machine, changed: str) -> None:
    """The demo is always the checkout's."""
    machine.run()
    machine.calls()
    (machine.checkout / changed).write_text("# changed")
    machine.run()
    assert len(installs(machine.calls())) == 1


def test_a_failed_installation_is_tried_again(machine: Machine) -> None:
    """What was left half done is not taken for whole."""
    (machine.folder / "no-network").touch()
    assert machine.run().returncode != 0
    assert not any(call.startswith("sockslocal ") for call in machine.calls())
    (machine.folder / "no-network").unlink()
    assert machine.run().returncode == 0
    assert len(installs(machine.calls())) == 1


def test_the_cache_folder_is_the_users_choice(machine: Machine) -> None:
    """XDG_CACHE_HOME is honoured."""
    script = machine.checkout / "installer/demo.sh"
    cache = machine.folder / "another cache"
    environment = {"PATH": str(machine.programs), "STATE": str(machine.folder), "XDG_CACHE_HOME": str(cache)}
    subprocess.run(["/bin/sh", str(script)], env=environment, check=True, capture_output=True, timeout=60)
    assert (cache / "sockslocal-demo/environment").is_dir()


@pytest.mark.parametrize(
    ("obstacle", "advice"),
    [
        ("no-venv", "    sudo apt-get install python3-venv"),
        ("too-old", "there is no Python 3.11 or newer here"),
    ],
)
def test_who_is_not_root_is_told_what_to_do(machine: Machine, obstacle: str, advice: str) -> None:
    """One command mends it, and nothing is installed before."""
    (machine.folder / obstacle).touch()
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"sockslocal demo: {advice}"
    assert installs(machine.calls()) == []


def test_root_has_the_missing_module_installed(machine: Machine) -> None:
    """As root the demo starts all the same."""
    (machine.folder / "no-venv").touch()
    machine.add("id", "echo 0")
    machine.add("apt-get", 'case "$*" in *python3-venv) rm "$STATE/no-venv" ;; esac')
    assert machine.run().returncode == 0
    assert machine.calls()[-1] == "sockslocal demo"


def test_root_without_packages_is_told(machine: Machine) -> None:
    """Where the installation does not help, that is said."""
    (machine.folder / "no-venv").touch()
    machine.add("id", "echo 0")
    machine.add("apt-get", "exit 0")
    done = machine.run()
    assert done.returncode == 1
    assert "python3 still cannot make environments" in done.stderr
