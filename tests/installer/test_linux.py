"""installer/linux: what of it runs as root, and units, before the programs that read them.

Machines that boot run it in tests/integration/test_system_dns_services.py and test_user_service.py.
"""

import configparser
import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sockslocal.cli.privileged import INSTALLED
from sockslocal.desktop import linux
from sockslocal.system_dns import helper
from sockslocal.system_dns.store import path_of

FOLDER = Path(__file__).parents[2] / "installer/linux"
HELPER = FOLDER / "sockslocal-dns"
UNIT = FOLDER / "sockslocal-dns-restore.service"
POLICY = FOLDER / "org.sockslocal.dns.policy"
SOCKET = FOLDER / "sockslocal-dns.socket"
DAEMON = Path(linux.__file__).with_name(linux.UNIT)
"""What every way of installing has, with its own program in it."""

MAX_EXPOSURE = 4.0
"""Of `systemd-analyze security`, which calls everything below 5 medium; it has to write to /etc."""

MAX_USER_EXPOSURE = 6.6
"""Most of what is counted is namespaces, which a user's manager has no safe ones of."""


def unit() -> configparser.ConfigParser:
    """The unit that runs at boot; it has no key twice."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def policy() -> ET.Element:
    """The rules for polkit."""
    return ET.parse(POLICY).getroot()  # noqa: S314  it is ours


def annotations(action: ET.Element) -> dict[str, str]:
    """Of polkit's rule, without their prefix."""
    return {found.attrib["key"].rpartition(".")[2]: found.text or "" for found in action.findall("annotate")}


def test_polkit_is_told_the_helpers_path_and_its_verbs() -> None:
    """Each verb that changes something has a rule of its own, and nothing else has one."""
    actions = policy().findall("action")
    rules = {annotations(action)["argv1"]: action for action in actions}
    assert sorted(rules) == ["apply", "restore"]
    for verb, action in rules.items():
        assert annotations(action)["path"] == str(INSTALLED)
        assert action.attrib["id"] == f"org.sockslocal.dns.{verb}"


def test_nobody_changes_the_dns_without_an_administrators_password() -> None:
    """Only having it as it was is free, and only for who sits at the machine."""
    actions = policy().findall("action")
    granted = {
        (action.attrib["id"].rpartition(".")[2], who.tag): who.text
        for action in actions
        for who in action.findall("defaults/*")
    }
    assert granted == {
        ("apply", "allow_any"): "auth_admin",
        ("apply", "allow_inactive"): "auth_admin",
        ("apply", "allow_active"): "auth_admin_keep",
        ("restore", "allow_any"): "auth_admin",
        ("restore", "allow_inactive"): "auth_admin",
        ("restore", "allow_active"): "yes",
    }


def test_what_runs_at_boot_restores_what_is_stale_and_no_more() -> None:
    """Where there is a journal; it stands where the helper keeps it."""
    assert unit()["Service"]["ExecStart"] == f"{INSTALLED} restore stale"
    assert unit()["Unit"]["ConditionPathExists"] == str(path_of(Path("/")))
    assert unit()["Install"]["WantedBy"] == "multi-user.target"


def test_the_installed_helper_is_the_packages(tmp_path: Path) -> None:
    """With all its arguments, and isolated from the environment."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    python.chmod(0o755)
    script = HELPER.read_text().replace("/opt/sockslocal/bin/python3", str(python))
    done = subprocess.run(
        ["sh", "-s", "apply", "5 3"], input=script, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"<-I><-m><{helper.__name__}><apply><5 3>"
    assert os.access(HELPER, os.X_OK)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Every key and value of it, in a root where its program is."""
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    shutil.copy(UNIT, tmp_path / "etc/systemd/system")
    program = tmp_path / INSTALLED.relative_to("/")
    program.parent.mkdir(parents=True)
    shutil.copy(HELPER, program)
    arguments = ["verify", "--man=no", "--recursive-errors=no", f"--root={tmp_path}", UNIT.name]
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_what_runs_at_boot_may_do_little_else() -> None:
    """By systemd's own count."""
    threshold = f"--threshold={round(MAX_EXPOSURE * 10)}"
    arguments = ["security", "--offline=yes", "--no-pager", threshold, str(UNIT)]
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_socket_with_its_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key and value of both, as units of a user."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / linux.UNIT).write_text(linux.unit(["/bin/true"]))
    shutil.copy(SOCKET, tmp_path)
    paths = [str(tmp_path / linux.UNIT), str(tmp_path / SOCKET.name)]
    command = ["systemd-analyze", "--user", "--man=no", "verify", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_daemon_may_do_little_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By systemd's own count for units of a user."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    threshold = f"--threshold={round(MAX_USER_EXPOSURE * 10)}"
    arguments = ["--user", "security", "--offline=yes", "--no-pager", threshold, str(DAEMON)]
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout
