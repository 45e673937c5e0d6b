import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.system_dns import Machine, plain, with_resolved
from sockslocal.system_dns import helper
from sockslocal.system_dns.store import Store


class Helper:
    """The helper of `machine` in this process: its exit code, and what it tells."""

    def __init__(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        self._machine = machine
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code = helper.main(arguments, self._machine.system)
        return code, json.loads(self._capsys.readouterr().out)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One with systemd-resolved, whose root the caller is."""
    for name in ("PKEXEC_UID", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    return with_resolved(tmp_path)


@pytest.fixture
def call(machine: Machine, capsys: pytest.CaptureFixture[str]) -> Helper:
    """Its helper."""
    return Helper(machine, capsys)


def test_apply_status_and_restore(machine: Machine, call: Helper) -> None:
    """Each tells in JSON what it did."""
    before = machine.picture()
    assert call("apply", "5399", "fail-closed") == (
        0,
        {"applied": "systemd-resolved", "servers": ["192.0.2.8"], "warnings": []},
    )
    code, told = call("status")
    assert code == 0
    assert told["status"].startswith("asks 127.0.0.1:5399, by systemd-resolved")
    assert call("restore") == (0, {"restored": True, "left": []})
    assert call("restore") == (0, {"restored": False, "left": []})
    assert call("status") == (0, {"status": ""})
    assert machine.picture() == before


def test_plain_files_are_asked_for_by_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the only way to have resolv.conf replaced."""
    call = Helper(plain(tmp_path / "other"), capsys)
    assert "--resolv-conf" in call("apply", "53", "fail-closed")[1]["remedy"]
    assert call("apply", "53", "resolv-conf", "fail-closed")[0] == 0


def test_only_what_the_machine_was_restarted_since_is_stale(machine: Machine, call: Helper) -> None:
    """What runs at boot undoes nothing that was switched since, however often it runs."""
    call("apply", "5399", "fail-closed")
    assert call("restore", "stale") == (0, {"restored": False, "left": []})
    assert machine.is_ours
    machine.boot = "second"
    assert call("restore", "stale") == (0, {"restored": True, "left": []})
    assert not machine.is_ours
    assert call("restore", "stale") == (0, {"restored": False, "left": []})


def test_a_broken_journal_is_stale(machine: Machine, call: Helper) -> None:
    """It may be of whatever start: what is ours goes."""
    call("apply", "5399", "fail-closed")
    Store(machine.root).path.write_bytes(b"{")
    assert call("restore", "stale") == (0, {"restored": True, "left": []})


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("apply",),
        ("apply", "0"),
        ("apply", "053"),
        ("apply", "65536"),
        ("apply", "5399 "),
        ("apply", "٥٣"),
        ("apply", "-1"),
        ("apply", "5399", "/etc/passwd"),
        ("apply", "5399", "fail-closed", "fail-closed"),
        ("restore", "now"),
        ("status", "--root=/"),
        ("remove",),
    ],
)
def test_nothing_else_can_be_told(machine: Machine, call: Helper, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and nothing was looked at."""
    code, told = call(*arguments)
    assert (code, told["error"].partition(" ")[0]) == (2, "usage:")
    assert machine.commands == []


def test_only_root_changes_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 7; whoever calls says how to become root."""
    monkeypatch.setattr(helper, "_is_root", lambda: False)
    monkeypatch.setattr(helper, "Transaction", lambda *_: None)  # nothing could be changed with it
    assert helper.main(("apply", "53")) == 7
    assert helper.main(("restore",)) == 7


def test_a_port_that_nobody_answers_at_is_refused(machine: Machine, call: Helper) -> None:
    """Before anything changes."""
    machine.deaf = {"127.0.0.1:5399"}
    before = machine.picture()
    code, told = call("apply", "5399")
    assert (code, told["error"]) == (1, "nobody answers at 127.0.0.1:5399")
    assert machine.picture() == before
    assert not Store(machine.root).path.exists()


@pytest.mark.parametrize(("listener", "may"), [(1000, True), (1001, False), (0, True)])
def test_the_names_of_all_go_to_the_callers_own_resolver(
    machine: Machine,
    call: Helper,
    monkeypatch: pytest.MonkeyPatch,
    listener: int,
    may: bool,  # noqa: FBT001  the table's column
) -> None:
    """Or to root's; not to what another user put on that port."""
    monkeypatch.setenv("SUDO_UID", "1000")
    machine.owners = {listener}
    code, told = call("apply", "5399", "fail-closed")
    assert (code == 0) is may
    assert may or told["error"] == "another user listens on 127.0.0.1:5399"


def test_what_the_system_refuses_is_told_with_its_file(machine: Machine, call: Helper) -> None:
    """And all is as before."""
    machine.write("run/systemd/resolved.conf.d", b"a file where a folder is to be")
    code, told = call("apply", "5399", "fail-closed")
    assert code == 1
    assert "resolved.conf.d" in told["error"]


def test_the_helper_runs_by_its_path_alone() -> None:
    """Isolated: nothing of the environment, and no module of others before those of Python itself."""
    script = Path(helper.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "apply", "x"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, json.loads(done.stdout)["error"][:5], done.stderr) == (2, "usage", "")


def test_the_helper_imports_nothing_but_the_standard_library() -> None:
    """It runs as root: the less it reads, the better."""
    names = "[name.partition('.')[0] for name in sys.modules]"
    script = f"import sys, sockslocal.system_dns.helper; print(*set({names}) - sys.stdlib_module_names)"
    paths = {**os.environ, "PYTHONPATH": str(Path(helper.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True, env=paths
    )
    assert set(done.stdout.split()) - {"__main__"} == {"sockslocal"}
