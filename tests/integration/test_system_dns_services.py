"""`use-system` and `restore` before the real systemd-resolved and NetworkManager, on a machine that boots."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.booted_machine import why_not
from fakes.waiting import wait_until
from integration.dns_machine import (
    BEFORE,
    CLAIM,
    LINUX,
    NAME_SERVER,
    OURS,
    SERVICES,
    Machine,
    booted,
    resolver,
)
from sockslocal.cli.privileged import HELPER, INSTALLED

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

POLICY = LINUX / "org.sockslocal.dns.policy"


@pytest.fixture(params=SERVICES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Each kind, booted, in a network whose name server answers."""
    with booted(tmp_path, request.param) as made:
        yield made


def test_the_system_asks_the_resolver_until_it_is_restored(machine: Machine) -> None:
    """Twice applied and twice restored; then the services, files and rules are as they were."""
    before = machine.picture()
    with resolver(machine):
        for warned in (machine.warned, False):
            told = machine.apply()
            assert (told["applied"], told["servers"]) == (machine.method, [BEFORE])
            assert machine.finds() == OURS
            assert any(CLAIM in text for text in told["warnings"]) is warned
            assert "search lan.test\n" in machine.run("cat", "/etc/resolv.conf")
        assert machine.helper("status")["status"] == f"asks 127.0.0.1:5399, by {machine.method}"
        assert machine.helper("restore") == {"restored": True, "left": []}
        machine.wait_for(BEFORE)
        assert machine.helper("restore") == {"restored": False, "left": []}
    assert machine.picture() == before


def test_when_the_resolver_is_killed_all_is_as_before(machine: Machine) -> None:
    """Its keeper restores; nobody calls for it."""
    before = machine.picture()
    with resolver(machine):
        machine.apply()
        assert machine.finds() == OURS
    wait_until(lambda: machine.helper("status")["status"] == "", seconds=30, what="its keeper has restored")
    machine.wait_for(BEFORE)
    assert machine.picture() == before


@pytest.mark.parametrize("words", [(), ("fail-closed",)])
def test_after_a_power_failure_the_machine_has_names(machine: Machine, words: tuple[str, ...]) -> None:
    """The disk says that the resolver is asked, which nobody has started: what runs at boot restores."""
    before = machine.picture()
    with resolver(machine):
        machine.apply(*words)
        assert machine.finds() == OURS
        machine.power_off()
    machine.boot()
    wait_until(lambda: machine.picture() == before, seconds=30, what="all is as it was")
    with machine.running(*NAME_SERVER):
        machine.wait_for(BEFORE)


def test_what_runs_at_boot_leaves_alone_what_was_switched_since(machine: Machine) -> None:
    """However often it runs."""
    with resolver(machine):
        machine.apply()
        machine.run("systemctl", "start", "sockslocal-dns-restore.service")
        assert machine.finds() == OURS
        assert machine.helper("status")["status"] == f"asks 127.0.0.1:5399, by {machine.method}"


FOREIGN_EDITS = {
    "systemd-resolved": "printf '[Resolve]\\nDNS=192.0.2.60\\n' > /etc/systemd/resolved.conf.d/z.conf",
    "both": "nmcli connection modify uplink ipv4.dns 192.0.2.60 && nmcli device reapply uplink",
    "NetworkManager": "nmcli connection modify uplink ipv4.dns 192.0.2.60 && nmcli device reapply uplink",
    "resolv.conf": "echo 'nameserver 192.0.2.60' > /etc/resolv.conf",
}


def test_another_name_server_that_was_set_meanwhile_is_asked_afterwards(machine: Machine) -> None:
    """`restore` brings back the network's way to find names, not the servers of before."""
    other = "192.0.2.60"
    machine.run("mkdir", "-p", "/etc/systemd/resolved.conf.d")
    with resolver(machine), machine.running(sys.executable, "-m", "fakes.dns_program", "53", other, other):
        machine.apply("fail-closed")  # no keeper, which would restore by itself where all is slow
        machine.run("sh", "-c", FOREIGN_EDITS[machine.kind])
        left = ["/etc/resolv.conf"] if machine.kind == "resolv.conf" else []
        assert machine.helper("restore") == {"restored": True, "left": left}
        machine.wait_for(other)


@pytest.mark.skipif(not shutil.which("strace"), reason="not installed: strace")
@pytest.mark.parametrize(
    ("verb", "call", "times"),
    [("apply", "rename", 3), ("apply", "vfork", 8), ("restore", "rename", 2), ("restore", "vfork", 4)],
)
def test_a_kill_at_each_step_loses_nothing(machine: Machine, verb: str, call: str, times: int) -> None:
    """Of the helper, before each file that it puts there and each program that it runs."""
    before = machine.picture()
    last = ["resolv-conf"] if machine.kind == "resolv.conf" else []
    arguments = [verb] if verb == "restore" else [verb, "5399", "fail-closed", *last]
    killed = 0
    with resolver(machine):
        for step in range(1, times + 1):
            if verb == "restore":
                machine.apply("fail-closed")
            inject = f"inject={call}:signal=KILL:when={step}"
            traced = ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
            told = machine.run(*traced, sys.executable, "-I", str(HELPER), *arguments, check=False)
            killed += not told
            machine.helper("restore")
            assert machine.picture() == before, f"{call} {step}"
            machine.wait_for(BEFORE)
    assert killed


CONFIG = """
[server.office]
address = "proxy.example:1080"
udp_probe = "off"
[dns]
listen = "127.0.0.1:5399"
upstreams = ["tcp://192.0.2.60"]
"""
PLACES = (
    "SOCKSLOCAL_CONFIG=/root/config.toml",
    "SOCKSLOCAL_RUNTIME_DIR=/run/ours",
    "SOCKSLOCAL_STATE_DIR=/run/state",
)
SOCKSLOCAL = ("env", *PLACES, sys.executable, "-m", "sockslocal")


@pytest.mark.skipif(not shutil.which("microsocks"), reason="not installed: microsocks")
def test_the_servers_own_name_is_looked_up_by_the_servers_of_before(machine: Machine) -> None:
    """A daemon that starts while the system asks it, and needs a name to reach its server, is no deadlock."""
    machine.write("root/config.toml", CONFIG)
    with (
        machine.running(sys.executable, "-m", "fakes.dns_program", "53", "192.0.2.60", OURS),
        machine.program("microsocks", "-i", BEFORE, "-p", "1080"),
    ):
        use_system = ["dns", "use-system", "--fail-closed"]
        last = ["--resolv-conf"] if machine.kind == "resolv.conf" else []
        with machine.program(*SOCKSLOCAL, "run"):
            wait_until(machine.answers, seconds=20, what="the resolver answers")
            assert f"by {machine.method}" in machine.run(*SOCKSLOCAL, *use_system, *last)
            assert machine.finds() == OURS
        assert machine.finds() == ""
        with machine.program(*SOCKSLOCAL, "run"):
            machine.wait_for(OURS)
            assert machine.run("getent", "ahostsv4", "proxy.example").startswith(OURS)  # where no server is
            assert "asks 127.0.0.1:5399" in machine.run(*SOCKSLOCAL, "dns", "status")
            machine.run(*SOCKSLOCAL, "dns", "restore")
            machine.wait_for(BEFORE)


RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.sockslocal.dns.VERB" && subject.user == "nobody") return polkit.Result.YES;
});
"""


@pytest.mark.parametrize("verb", ["apply", "restore"])
def test_polkit_knows_the_installed_helper_by_its_verb(tmp_path: Path, verb: str) -> None:
    """A user who may do the one may not do the other, nor anything else as root."""
    with booted(tmp_path, "resolv.conf") as machine:
        if "polkitd" not in machine.run("cat", "/etc/passwd"):
            pytest.skip("polkitd was never installed here, and has no user")
        machine.run("chmod", "4755", "/usr/bin/pkexec")  # as its package does when it is installed
        machine.write("usr/share/polkit-1/actions/org.sockslocal.dns.policy", POLICY.read_text())
        machine.write("etc/polkit-1/rules.d/10-test.rules", RULE.replace("VERB", verb))
        machine.run("systemctl", "start", "dbus.service", "polkit.service")
        commands = {
            "apply": [str(INSTALLED), "apply", "5399", "resolv-conf"],
            "restore": [str(INSTALLED), "restore"],
            "status": [str(INSTALLED), "status"],
            "other": ["/bin/echo", verb],
        }
        as_nobody = [
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            *("sh", "-c", '"$@"; exit $?', "sh"),  # it wants a parent that it can see
            "pkexec",
            "--disable-internal-agent",
        ]
        told = {name: machine.run(*as_nobody, *command, check=False) for name, command in commands.items()}
        assert {name for name, text in told.items() if "Error executing" not in text} == {verb}
        assert told[verb] in (
            '{"error": "nobody answers at 127.0.0.1:5399", "remedy": "sockslocal dns status"}\n',
            '{"restored": false, "left": []}\n',
        )
