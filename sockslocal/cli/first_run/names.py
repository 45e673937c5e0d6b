"""The resolver: offered, and tried by asking it for a name."""

from typing import Any

from sockslocal.cli.first_run.forwards import free_port
from sockslocal.cli.first_run.plan import ResolverAnswer
from sockslocal.cli.first_run.questions import ask, bad, choose, confirm, good, heading, tell
from sockslocal.cli.first_run.trial import Trial
from sockslocal.config.model import Config
from sockslocal.errors import SockslocalError

_PORT = 5399
"""Of which nobody else is known; 53 needs a privilege."""

_UPSTREAM = "9.9.9.9"
"""Quad9's."""


def resolver(
    config: Config, trial: Trial, report: dict[str, Any] | None, through: str | None
) -> ResolverAnswer | None:
    """A resolver, None where none is wanted or one is there; without a `report` it is not tried."""
    if config.dns is not None:
        return None
    heading("Names: a resolver here asks a DNS server through the tunnel, for who wants that")
    if not confirm("Have one", proposal=False):
        return None
    port = free_port(config, "dns", _PORT)
    udp = report is not None and report["profile"]["rung"] != "none"
    upstream = f"{'udp' if udp else 'tcp'}://{_UPSTREAM}"
    while True:
        upstream = ask("DNS server to ask: udp://, tcp://, tls:// or https://", str, upstream)
        answer = ResolverAnswer(port=port, upstream=upstream, through=through)
        if report is None or _works(answer, trial):
            return answer
        after = choose("What now: change it, keep it all the same, or have none", _AFTER, "change")
        if after != "change":
            return answer if after == "keep" else None


_AFTER = ("change", "keep", "none")


def _works(answer: ResolverAnswer, trial: Trial) -> bool:
    tell(f"asking {answer.upstream} for example.com", "dim")
    try:
        fault = trial.resolver(answer.wish(tried=True))
    except SockslocalError as error:
        fault = error.problem.text
    if fault:
        bad(fault)
        return False
    good(f"it answers; the resolver will be on 127.0.0.1:{answer.port}")
    return True
