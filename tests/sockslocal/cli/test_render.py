from pathlib import Path

import pytest

from sockslocal.cli import render
from sockslocal.cli.terminal import text_of
from sockslocal.errors import ConfigError, SockslocalError
from sockslocal.problems import Problem, problem

IN_USE = Problem(
    "port-in-use",
    "Port in use",
    'forward "db" cannot listen on 127.0.0.1:5432: the port is in use by postgres (pid 812)',
    "sockslocal forward set db --listen 127.0.0.1:15432",
)


def test_an_error_has_the_layout_of_the_interface(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What, where, and what mends it, one line each, on stderr."""
    monkeypatch.chdir(tmp_path)
    render.print_error(ConfigError(IN_USE, tmp_path / "config.toml", 9))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        'error: forward "db" cannot listen on 127.0.0.1:5432: the port is in use by postgres (pid 812)\n'
        "  --> config.toml:9\n"
        "  help: sockslocal forward set db --listen 127.0.0.1:15432\n"
    )


def test_what_has_no_place_and_no_remedy_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No line says nothing."""
    render.print_error(SockslocalError(Problem("x", "X", "it broke", "")))
    assert capsys.readouterr().err == "error: it broke\n"


def test_a_file_without_line_is_named_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where the text names it already, it is not named again."""
    path = tmp_path / "config.toml"
    render.print_error(ConfigError(problem("config-missing", path=path), path))
    assert capsys.readouterr().err.count(str(path)) == 1
    render.print_error(ConfigError(IN_USE, path))
    assert f"  --> {path}\n" in capsys.readouterr().err


def test_a_warning_is_not_called_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The command was done all the same."""
    render.print_warning(IN_USE, Path("config.toml"))
    assert capsys.readouterr().err.startswith('warning: forward "db"')


def test_paths_are_told_from_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the current folder, from home, else whole; also where the current folder is gone."""
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    assert render.short_path(Path("config.toml")) == "config.toml"
    assert render.short_path(here / "a" / "b") == "a/b"
    assert render.short_path(home / ".config" / "c") == "~/.config/c"
    assert render.short_path(tmp_path / "c") == str(tmp_path / "c")
    here.rmdir()
    assert render.short_path(home / "c") == "~/c"


def test_tables_have_straight_columns() -> None:
    """No space is left at the end of a line."""
    lines = render.table(("NAME", "ADDRESS"), [("db", "127.0.0.1:1"), ("a-long-name", "[::1]:2")])
    assert [text_of(line, colour=False) for line in lines] == [
        "NAME         ADDRESS",
        "db           127.0.0.1:1",
        "a-long-name  [::1]:2",
    ]
