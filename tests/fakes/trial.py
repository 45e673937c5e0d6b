"""A trial of answers that finds what the test says, without any daemon."""

from collections.abc import Sequence
from typing import Any

from sockslocal.cli.first_run.trial import Answer, Trial
from sockslocal.config.edit import Wish
from sockslocal.secret import Secret

REPORT: dict[str, Any] = {
    "server": "office",
    "address": "proxy:1080",
    "seconds": 0.5,
    "summary": "Connections and datagrams pass.",
    "rows": [],
    "profile": {"rung": "associate"},
}

WITHOUT_UDP = {**REPORT, "profile": {"rung": "none"}}


class FakeTrial(Trial):
    """`outcomes` are the findings, or what is raised, in their order; `tried` is what was to be tried."""

    def __init__(self, *outcomes: object) -> None:
        self._outcomes = list(outcomes)
        self.tried: list[Wish] = []
        self.passwords: list[Secret | None] = []

    def server(self, wish: Wish, password: Secret | None) -> dict[str, Any]:
        self.passwords.append(password)
        return self._next(wish)  # type: ignore[no-any-return]

    def forward(self, wish: Wish, port: int) -> Answer:
        return self._next(wish)  # type: ignore[no-any-return]

    def resolver(self, wish: Wish) -> str:
        return self._next(wish)  # type: ignore[no-any-return]

    def _next(self, wish: Wish) -> Any:
        self.tried.append(wish)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def passwords(*texts: str) -> "Typed":
    """A stand-in for `credentials.ask`."""
    return Typed(texts)


class Typed:
    """What is typed as a password, in order."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = list(texts)

    def __call__(self, server: str, username: str, *, margin: str = "") -> Secret:
        return Secret(self._texts.pop(0))
