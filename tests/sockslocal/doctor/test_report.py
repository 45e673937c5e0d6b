import pytest

from sockslocal.doctor.report import Check, Section, Verdict, as_json, failed, troubled, worst
from sockslocal.health import Trouble
from sockslocal.problems import Problem, Severity

BROKEN = Problem("server-on-fire", "On fire", "it burns", "put it out")


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], "good"),
        (["good", "good"], "good"),
        (["unknown"], "unknown"),
        (["good", "unknown"], "good"),
        (["note", "good", "unknown"], "note"),
        (["good", "bad", "note"], "bad"),
    ],
)
def test_a_section_is_as_good_as_its_worst_part(parts: list[Verdict], whole: Verdict) -> None:
    """What could not be looked at counts only where nothing could be."""
    checks = tuple(Check("id", "Title", part, "text") for part in parts)
    assert Section("id", "Title", checks).verdict == worst(parts) == whole


def test_a_check_that_failed() -> None:
    """It says what the problem says."""
    assert failed("a.b", "Fire", BROKEN) == Check("a.b", "Fire", "bad", "it burns", "put it out")
    assert failed("a.b", "Fire", BROKEN, "note").verdict == "note"


@pytest.mark.parametrize(
    ("severity", "verdict"), [("locked", "bad"), ("error", "bad"), ("warning", "note"), ("info", "note")]
)
def test_what_troubles_the_daemon(severity: Severity, verdict: Verdict) -> None:
    """It fails where something does not work."""
    assert troubled("a", "A", Trouble(BROKEN, severity, 0.0, "daemon")).verdict == verdict


def test_the_whole_for_programs() -> None:
    """With what is the worst of each."""
    good = Section("a", "A", (Check("a.1", "One", "good", "fine"),))
    bad = Section("b", "B", (failed("b.1", "Fire", BROKEN),))
    assert as_json([good, bad]) == {
        "version": 1,
        "verdict": "bad",
        "sections": [
            {
                "id": "a",
                "title": "A",
                "verdict": "good",
                "checks": [{"id": "a.1", "title": "One", "verdict": "good", "text": "fine", "remedy": ""}],
            },
            {
                "id": "b",
                "title": "B",
                "verdict": "bad",
                "checks": [
                    {
                        "id": "b.1",
                        "title": "Fire",
                        "verdict": "bad",
                        "text": "it burns",
                        "remedy": "put it out",
                    }
                ],
            },
        ],
    }
