import pytest

from sockslocal.health import State, Trouble
from sockslocal.notices import Announcer, Changes, Notice, Offer
from sockslocal.problems import Problem, Severity

LATER = 100.0
"""Long after the start of the announcers here, which is at 0."""


def trouble(
    about: str = "server office",
    code: str = "server-unreachable",
    *,
    severity: Severity = "error",
    after_s: float = 5.0,
    remedy: str = "check that the server runs",
) -> Trouble:
    """Trouble of which the title and the text tell its code and what it is about."""
    return Trouble(Problem(code, code.capitalize(), f"{about} fails", remedy), severity, after_s, about)


DOWN = trouble()
TAKEN = trouble("forward db", "port-in-use", after_s=0.0, remedy="sockslocal forward set db --listen l:2")
OTHER_TAKEN = trouble("forward web", "port-in-use", after_s=0.0)


def told(changes: Changes) -> list[str]:
    """What is shown, and what is closed."""
    return [
        *(f"{one.category}: {one.title}: {one.text}" for one in changes.show),
        *map("-{}".format, changes.close),
    ]


def look(announcer: Announcer, now: float, *shown: Trouble, state: State = "degraded") -> list[str]:
    """What is told of those troubles."""
    return told(announcer.look(state, shown, now))


def test_trouble_is_told_once() -> None:
    """As long as it lasts, whatever its text becomes."""
    announcer = Announcer(0.0)
    assert look(announcer, LATER, DOWN) == ["server: Server-unreachable: server office fails"]
    assert look(announcer, LATER + 500, trouble(remedy="another")) == []
    assert announcer.next_at is None


def test_what_nobody_has_to_know_is_not_told() -> None:
    """It stands in the menu and in `status`."""
    assert look(Announcer(0.0), LATER, trouble(severity="info")) == []


def test_each_category_has_its_own() -> None:
    """At the same time."""
    assert look(Announcer(0.0), LATER, DOWN, TAKEN) == [
        "server: Server-unreachable: server office fails",
        "forward: Port-in-use: forward db fails",
    ]


def test_many_of_a_category_are_one() -> None:
    """With the number of the others."""
    third = trouble("forward ssh", "port-in-use")
    announcer = Announcer(0.0)
    assert look(announcer, LATER, TAKEN, OTHER_TAKEN) == [
        "forward: Port-in-use: forward db fails (and 1 more problem)"
    ]
    assert look(announcer, LATER + 20, TAKEN, OTHER_TAKEN, third) == [
        "forward: Port-in-use: forward db fails (and 2 more problems)"
    ]


def test_another_takes_its_place_after_a_pause() -> None:
    """And not before; when to look again is told."""
    announcer = Announcer(0.0)
    look(announcer, LATER, TAKEN)
    assert look(announcer, LATER + 1, OTHER_TAKEN) == []
    assert announcer.next_at == LATER + 10
    assert look(announcer, LATER + 10, OTHER_TAKEN) == ["forward: Port-in-use: forward web fails"]
    assert announcer.next_at is None


def test_one_of_several_that_comes_and_goes_is_told_once() -> None:
    """It was part of what was told."""
    announcer = Announcer(0.0)
    look(announcer, LATER, TAKEN, OTHER_TAKEN)
    assert look(announcer, LATER + 20, TAKEN) == []
    assert look(announcer, LATER + 40, TAKEN, OTHER_TAKEN) == []


def test_what_has_healed_is_taken_away() -> None:
    """Soon after it was told nothing more is said of it, and what was never told is not closed."""
    announcer = Announcer(0.0)
    look(announcer, LATER, DOWN)
    assert look(announcer, LATER + 30) == ["-server"]
    assert look(announcer, LATER + 31) == []
    look(announcer, LATER + 32, DOWN)
    assert announcer.next_at == LATER + 60
    assert look(announcer, LATER + 33) == []
    assert announcer.next_at is None


def test_what_has_lasted_is_said_to_work_again() -> None:
    """In place of what was told; then all begins anew."""
    announcer = Announcer(0.0)
    look(announcer, LATER, DOWN)
    assert look(announcer, LATER + 31, state="up") == [
        "server: Works again: Server office: “Server-unreachable” is over"
    ]
    assert look(announcer, LATER + 32, state="up") == []
    assert look(announcer, LATER + 91, DOWN) == ["server: Server-unreachable: server office fails"]


@pytest.mark.parametrize("state", ["off", "connecting"])
def test_what_is_switched_off_does_not_work_again(state: State) -> None:
    """Nor what is tried with another password."""
    announcer = Announcer(0.0)
    look(announcer, LATER, DOWN)
    assert look(announcer, LATER + 31, state=state) == ["-server"]


def test_works_again_waits_its_turn_too() -> None:
    """Who was told of something just now only sees that go away."""
    announcer = Announcer(0.0)
    look(announcer, LATER, TAKEN)
    look(announcer, LATER + 60, OTHER_TAKEN)
    assert look(announcer, LATER + 61, state="up") == ["-forward"]


def test_what_comes_and_goes_by_itself_is_told_once_a_minute() -> None:
    """What waits for the person, such as a password that is wrong again, sooner."""
    announcer = Announcer(0.0)
    rejected = trouble(code="auth-failed", after_s=0.0)
    for shown in (DOWN, rejected):
        look(announcer, LATER, shown)
        assert look(announcer, LATER + 15)[:1] != []
    assert look(announcer, LATER + 16, DOWN, rejected) == ["keyring: Auth-failed: server office fails"]
    assert announcer.next_at == LATER + 60
    assert look(announcer, LATER + 60, DOWN, rejected) == ["server: Server-unreachable: server office fails"]


def test_the_first_seconds_are_quiet() -> None:
    """Except for what waits for the person; the rest is told afterwards, if it is there still."""
    announcer = Announcer(LATER)
    assert look(announcer, LATER + 6, DOWN, TAKEN) == ["forward: Port-in-use: forward db fails"]
    assert announcer.next_at == LATER + 10
    assert look(announcer, LATER + 10, DOWN, TAKEN) == ["server: Server-unreachable: server office fails"]


def test_so_are_those_after_a_resume() -> None:
    """What was told before is still that."""
    announcer = Announcer(0.0)
    look(announcer, LATER, DOWN)
    announcer.resumed(LATER + 100)
    silent = trouble("resolver", "dns-no-upstream")
    assert look(announcer, LATER + 105, DOWN, silent) == []
    assert look(announcer, LATER + 110, DOWN, silent) == [
        "resolver: Dns-no-upstream: resolver fails",
    ]


LOCKED = trouble(code="needs-unlock", severity="locked", after_s=0.0, remedy="unlock the keyring")
REJECTED = trouble(code="auth-failed", after_s=0.0, remedy="sockslocal login office")


@pytest.mark.parametrize(
    ("one", "action", "urgency"),
    [
        (LOCKED, Offer("password", "office"), "critical"),
        (REJECTED, Offer("password", "office"), "critical"),
        (
            trouble(code="auth-failed", remedy="sockslocal restart"),
            Offer("remedy", "sockslocal restart"),
            "normal",
        ),
        (TAKEN, Offer("remedy", "sockslocal forward set db --listen l:2"), "critical"),
        (DOWN, None, "normal"),
        (trouble("daemon", "config-missing", remedy="sockslocal server add office ADDRESS"), None, "normal"),
        (trouble("forward db", severity="warning", after_s=0.0), None, "normal"),
    ],
)
def test_what_is_offered_and_how_urgent_it_is(one: Trouble, action: Offer | None, urgency: str) -> None:
    """A command that can be run as it stands, or a question; urgent is what needs the person."""
    (notice,) = Announcer(0.0).look("failed", (one,), LATER).show
    assert (notice.action, notice.urgency) == (action, urgency)
    assert notice.remedy == one.problem.remedy


def test_good_news_is_not_urgent() -> None:
    """And nothing is to be done."""
    announcer = Announcer(0.0)
    announcer.look("failed", (DOWN,), LATER)
    (notice,) = announcer.look("up", (), LATER + 31).show
    assert notice == Notice(
        "server", "Works again", "Server office: “Server-unreachable” is over", "", "low", None
    )
