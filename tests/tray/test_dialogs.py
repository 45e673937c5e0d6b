import pytest

from fakes.programs import Programs
from sockslocal.secret import Secret
from sockslocal_tray import dialogs

QUESTION = "Password for the server “office”:"


def test_zenity_asks(programs: Programs) -> None:
    """What is typed comes back by a pipe; its last line's end is not part of it."""
    programs.add("zenity", "printf 'hunter2\\n'")
    assert dialogs.password("office") == Secret("hunter2")
    assert programs.arguments("zenity") == [
        "--entry",
        "--hide-text",
        "--title=sockslocal",
        f"--text={QUESTION}",
    ]


def test_kdialog_asks_where_there_is_no_zenity(programs: Programs) -> None:
    """It is KDE's."""
    programs.add("kdialog", "printf 'pass word \\n'")
    assert dialogs.password("office") == Secret("pass word ")
    assert programs.arguments("kdialog") == ["--title", "sockslocal", "--password", QUESTION]


@pytest.mark.parametrize("does", ["exit 1", "printf ''"])
def test_closing_the_dialog_is_no_password(programs: Programs, does: str) -> None:
    """Nor is an empty one; no other dialog is shown after that."""
    programs.add("zenity", does)
    programs.add("kdialog", "printf x")
    assert dialogs.password("office") is None
    assert programs.arguments("kdialog") is None


def test_a_dialog_that_nobody_answers_is_closed(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some minutes."""
    monkeypatch.setattr(dialogs, "DEADLINE_S", 0.2)
    programs.add("zenity", "exec sleep 60")
    assert dialogs.password("office") is None


@pytest.mark.usefixtures("programs")
def test_without_any_dialog_it_is_said() -> None:
    """Tk is there, but no display."""
    with pytest.raises(dialogs.NoDialogError, match="neither zenity nor kdialog"):
        dialogs.password("office")


def test_a_server_s_name_cannot_change_the_dialog(programs: Programs) -> None:
    """It is one line, of bounded length, and no key is marked by it."""
    programs.add("zenity")
    dialogs.password("a_b\n--info" + "x" * 200)
    (text,) = [one for one in programs.arguments("zenity") or [] if one.startswith("--text=")]
    assert "a__b\\n--info" in text
    assert len(text) < 130
