"""The servers, stage by stage, by the test that the daemon makes of each."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

from sockslocal.config.model import ServerConfig
from sockslocal.control.client import Client
from sockslocal.doctor.report import Check, Section, Verdict, failed
from sockslocal.doctor.scene import Scene
from sockslocal.errors import ControlError
from sockslocal.health import troubles
from sockslocal.problems import REGISTRY, Problem
from sockslocal.status import Server, Status

TEST_S = 20.0
"""More than the daemon takes, also where the test waits for others."""

_STAGES = ("Look-up", "Connection", "TLS", "Greeting", "Login")
_FAILS_AT = {
    "server-unresolvable": "Look-up",
    "server-unreachable": "Connection",
    "server-tls": "TLS",
    "server-timeout": "Greeting",
    "server-closed": "Greeting",
    "server-not-socks5": "Greeting",
    "server-no-method": "Greeting",
    "server-wrong-method": "Greeting",
}
"""The stage that a problem is seen at; those before it went well.

Not so a rejected login, which is not tried again: what the server did before may be long ago.
"""

_OF_PASSWORDS = {"needs-unlock", "password-missing", "password-source-failed", "password-awaited"}

_TOLD = ("login", "round-trip", "connections", "udp")
"""Rows of the report that are of interest also where nothing is wrong with them."""


def sections(scene: Scene) -> Iterator[Section]:
    """One for each server; where none can be tested, one that says so."""
    status = scene.status
    if status is None or not status.tunnel.on:
        why, remedy = "the tunnel is off", "sockslocal on"
        if status is None:
            why = "only a daemon that answers can test them"
            remedy = scene.absence.remedy if scene.absence else ""
        check = Check("server", "Test", "unknown", f"not tested: {why}", remedy)
        yield Section("server", "Servers", (check,))
        return
    for name, server in status.servers.items():
        checks = tuple(_checks(Case(scene, status, name, server)))
        yield Section(f"server.{name}", f"Server {name}", checks)


class Case(NamedTuple):
    """A server that is tested by the daemon whose status is known."""

    scene: Scene
    status: Status
    name: str
    server: Server

    @property
    def config(self) -> ServerConfig | None:
        return self.scene.config.servers.get(self.name) if self.scene.is_of_this_config else None

    @property
    def stages(self) -> list[str]:
        """What it takes to get in."""
        has_tls = self.config is not None and self.config.tls is not None
        return [stage for stage in _STAGES if stage != "TLS" or has_tls]

    @property
    def failure(self) -> Verdict:
        """How bad it is if it cannot be used: less so where nothing goes through it now."""
        spare = any(
            trouble.about == f"server {self.name}" and trouble.severity == "warning"
            for trouble in troubles(self.status)
        )
        return "note" if spare else "bad"

    def passed(self, stage: str) -> Check:
        """The check of a stage that went well."""
        text = {
            "Look-up": f"the host of {self.server.address} is known",
            "Connection": f"{self.server.address} accepts connections",
            "TLS": "its certificate is valid",
            "Greeting": "it speaks SOCKS5",
        }[stage]
        return Check(f"server.{self.name}.{stage.lower()}", stage, "good", text)


def _checks(case: Case) -> Iterator[Check]:
    try:
        report = Client(case.scene.paths, deadline=TEST_S).call("server.test", name=case.name)
    except ControlError as error:
        yield from _failure(case, error.problem)
        return
    for stage in case.stages[:-1]:
        yield case.passed(stage)
    for row in report["rows"]:
        if row["name"] in _TOLD or row["verdict"] == "bad":
            yield _fact(case, row)


def _failure(case: Case, problem: Problem) -> Iterator[Check]:
    """The stages that went well, and the one that did not."""
    failing = _FAILS_AT.get(problem.code)
    if problem.code == "auth-failed":
        yield failed(f"server.{case.name}.login", "Login", problem, case.failure)
        return
    if failing is None:
        yield _untested(case, problem)
        return
    for stage in takewhile(lambda stage: stage != failing, case.stages):
        yield case.passed(stage)
    yield failed(f"server.{case.name}.{failing.lower()}", failing, problem, case.failure)


def _untested(case: Case, problem: Problem) -> Check:
    """What keeps the password from being had is told where passwords are looked at, if they are."""
    id_, source = f"server.{case.name}.test", case.config.password_from.kind if case.config else ""
    if problem.code in _OF_PASSWORDS and source in ("keyring", "file"):
        return Check(id_, "Test", "unknown", "not tested: its password is needed first")
    return failed(id_, "Test", problem, case.failure)


def _fact(case: Case, row: dict[str, Any]) -> Check:
    verdicts: dict[str, Verdict] = {"bad": "note", "unknown": "unknown"}
    verdict = verdicts.get(row["verdict"], "good")
    remedy = ""
    if row["name"] == "udp" and verdict == "note":
        remedy = REGISTRY["udp-unsupported"].remedy
        verdict = "bad" if _wants_datagrams(case) else "note"
    elif verdict == "note":
        remedy = f"set udp_probe in [server.{case.name}] to a DNS server that it reaches"
    meaning = row["meaning"][:1].lower() + row["meaning"][1:].rstrip(".")
    text = f"{row['found']}: {meaning}"
    return Check(f"server.{case.name}.{row['name']}", row["title"], verdict, text, remedy)


def _wants_datagrams(case: Case) -> bool:
    """Whether a UDP forward goes through the server."""
    forwards = case.status.forwards.values()
    return any(forward.kind == "udp" and forward.server == case.name for forward in forwards)
