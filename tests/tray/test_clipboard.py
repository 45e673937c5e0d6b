import pytest

from fakes.programs import Programs
from sockslocal_tray import clipboard


@pytest.fixture(autouse=True)
def desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of X."""
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.mark.parametrize("name", ["xclip", "xsel"])
def test_whichever_program_is_there_is_used(programs: Programs, name: str) -> None:
    """The text is its stdin, without a line's end."""
    programs.add(name)
    assert clipboard.copy("127.0.0.1:5432")
    assert programs.stdin(name) == b"127.0.0.1:5432"


def test_on_wayland_its_own_program_comes_first(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of X reach only programs of X."""
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    programs.add("wl-copy")
    programs.add("xclip")
    assert clipboard.copy("x")
    assert programs.arguments("wl-copy") == []
    assert programs.arguments("xclip") is None


def test_one_that_fails_gives_way_to_the_next(programs: Programs) -> None:
    """It may have been left over from another desktop."""
    programs.add("xclip", "exit 1")
    programs.add("xsel")
    assert clipboard.copy("x")
    assert programs.stdin("xsel") == b"x"


@pytest.mark.usefixtures("programs")
def test_without_any_nothing_is_copied() -> None:
    """The caller shows the text instead."""
    assert not clipboard.copy("x")
