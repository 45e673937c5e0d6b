"""What `doctor` has found: sections of checks, each with a verdict and what mends it."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from sockslocal.health import Trouble
from sockslocal.problems import Problem

Verdict = Literal["good", "unknown", "note", "bad"]
"""`unknown`: it could not be looked at, or does not matter; `note`: it works all the same, but look at it."""

_WORSE: tuple[Verdict, ...] = ("good", "unknown", "note", "bad")


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at; `id` is for programs and stays."""

    id: str
    title: str
    verdict: Verdict
    text: str
    remedy: str = ""


class Section(msgspec.Struct, frozen=True):
    """Checks that belong together."""

    id: str
    title: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its parts."""
        return worst(check.verdict for check in self.checks)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst; where there are none, all is good. What is not known is outweighed by what is."""
    found = set(verdicts)
    if found == {"good", "unknown"}:
        return "good"
    return max(found, key=_WORSE.index, default="good")


def failed(id_: str, title: str, problem: Problem, verdict: Verdict = "bad") -> Check:
    """The check that found `problem`."""
    return Check(id_, title, verdict, problem.text, problem.remedy)


def troubled(id_: str, title: str, trouble: Trouble) -> Check:
    """The check that found what the daemon is troubled by."""
    return failed(id_, title, trouble.problem, "bad" if trouble.severity in ("error", "locked") else "note")


def as_json(sections: Sequence[Section]) -> dict[str, Any]:
    """All of it for programs."""
    return {
        "version": 1,
        "verdict": worst(section.verdict for section in sections),
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "verdict": section.verdict,
                "checks": [msgspec.to_builtins(check) for check in section.checks],
            }
            for section in sections
        ],
    }
