import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status
from fakes.system_dns import Machine, plain, with_resolved
from sockslocal.cli import privileged, system_dns
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.status import Dns
from sockslocal.system_dns import helper
from sockslocal.system_dns.journal import RESOLV_CONF

FAIL_CLOSED = "no name is looked up until the machine restarts"
NXDOMAIN = {"rcode": "NXDOMAIN", "error": None}


class Calls:
    """What the helper was told; it has no keeper, for that would be a process that stays."""

    def __init__(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        self._machine = machine
        self._capsys = capsys
        self.all: list[tuple[str, ...]] = []

    def run_helper(self, *arguments: str) -> dict[str, Any]:
        self.all.append(arguments)
        words = [*arguments, "fail-closed"] if arguments[0] == "apply" else [*arguments]
        talk = self._capsys.readouterr()
        helper.main(list(dict.fromkeys(words)), self._machine.system)
        report: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        print(talk.out, end="")
        if "error" in report:
            raise SockslocalError(
                problem("system-dns-refused", reason=report["error"], remedy=report["remedy"])
            )
        return report


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that the command line is on."""
    made = with_resolved(tmp_path / "root")
    monkeypatch.setattr(system_dns, "_system", lambda: made.system)
    return made


@pytest.fixture
def calls(machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Calls:
    """The helper of that machine, run in this process."""
    made = Calls(machine, capsys)
    monkeypatch.setattr(privileged, "run_helper", made.run_helper)
    return made


@contextlib.contextmanager
def daemon(
    paths: Paths,
    dns: Dns | None = None,
    answer: dict[str, Any] = NXDOMAIN,
) -> Iterator[None]:
    """One whose resolver listens, and answers every query with `answer`."""
    listening = dns or Dns("127.0.0.1:5399, [::1]:5399", "office", "listening")

    async def show(_: dict[str, Any]) -> object:
        return status(dns=listening)

    async def query(_: dict[str, Any]) -> object:
        return answer

    with fake_daemon(paths, {"status": show, "dns.query": query}):
        yield


def test_use_system_and_restore(cli: CommandLine, paths: Paths, machine: Machine, calls: Calls) -> None:
    """The helper is told the port; what came of it is told."""
    before = machine.picture()
    with daemon(paths):
        done = cli("dns", "use-system", "--fail-closed")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        "the system asks 127.0.0.1:5399 now, by systemd-resolved",
        f"when sockslocal ends, {FAIL_CLOSED}; to undo it now: sockslocal dns restore",
    ]
    assert machine.is_ours
    assert cli("dns", "restore") == (0, "", "the system's DNS is as it was\n")
    assert machine.picture() == before
    assert calls.all == [("apply", "5399", "fail-closed"), ("restore",)]


def test_restoring_needs_no_daemon_and_no_configuration(
    cli: CommandLine, paths: Paths, machine: Machine, calls: Calls
) -> None:
    """It is for when nothing works."""
    with daemon(paths):
        assert "all is as before again" in cli("dns", "use-system").err
    paths.config.write_text("[[[")
    assert cli("dns", "restore").code == 0
    assert not machine.is_ours


def test_nothing_to_restore_asks_for_no_password(cli: CommandLine, machine: Machine, calls: Calls) -> None:
    """The helper is not even called."""
    assert cli("dns", "restore") == (0, "", "sockslocal has changed nothing about the system's DNS\n")
    assert calls.all == []


def test_what_others_changed_is_told(
    cli: CommandLine, paths: Paths, machine: Machine, calls: Calls, tmp_path: Path
) -> None:
    """It stays."""
    other = plain(tmp_path / "other")
    machine.root, machine.active = other.root, other.active
    with daemon(paths, Dns("127.0.0.1:5399, 127.0.0.1:53", "office", "listening")):
        assert "systemd-resolved nor NetworkManager" in cli("dns", "use-system").err
        assert cli("dns", "use-system", "--resolv-conf").code == 0
    assert calls.all[-1] == ("apply", "53", "resolv-conf")
    machine.write(RESOLV_CONF, b"nameserver 192.0.2.99\n")
    assert cli("dns", "restore").err.splitlines() == [
        "/etc/resolv.conf was changed by somebody else since, and stays as it is",
        "all else of the system's DNS is as it was",
    ]


def test_a_tunnel_through_which_no_name_is_found_is_not_switched_to(
    cli: CommandLine, paths: Paths, machine: Machine, calls: Calls
) -> None:
    """The machine would be without names."""
    with daemon(paths, answer={"rcode": "SERVFAIL", "error": "no upstream answered"}):
        done = cli("dns", "use-system")
    assert done.code == 1
    assert "the resolver looks no names up: no upstream answered" in done.err
    assert calls.all == []


@pytest.mark.parametrize(
    ("dns", "text"),
    [
        (Dns("[::1]:53", "office", "listening"), "does not listen on 127.0.0.1"),
        (Dns("127.0.0.1:53", "office", "off"), "switched off"),
        (Dns("127.0.0.1:53", "office", "error", problem=problem("tunnel-off")), "the tunnel is switched off"),
    ],
)
def test_a_resolver_that_cannot_be_asked_is_not_switched_to(
    cli: CommandLine, paths: Paths, calls: Calls, dns: Dns, text: str
) -> None:
    """The reason is told, and the helper is not called."""
    with daemon(paths, dns):
        done = cli("dns", "use-system")
    assert text in done.err
    assert (done.code, calls.all) == (1, [])


def test_without_a_resolver_there_is_nothing_to_ask(cli: CommandLine, paths: Paths, calls: Calls) -> None:
    """The configuration has none."""

    async def show(_: dict[str, Any]) -> object:
        return status()

    with fake_daemon(paths, {"status": show}):
        assert "there is no resolver" in cli("dns", "use-system").err


def test_a_warning_is_told(cli: CommandLine, paths: Paths, machine: Machine, calls: Calls) -> None:
    """Such as of a VPN that claims all names."""
    machine.domains = "Link 3 (tun0): ~.\n"
    with daemon(paths):
        assert cli("dns", "use-system").err.startswith("warning: tun0 claims all names too")
