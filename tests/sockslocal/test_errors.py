import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import sockslocal
from sockslocal import errors
from sockslocal.errors import (
    ConfigError,
    ControlError,
    CredentialsError,
    ListenError,
    ServerError,
    SockslocalError,
)
from sockslocal.problems import ExitCode, Problem, problem


def _below(cls: type[Exception]) -> set[type[Exception]]:
    return {cls}.union(*(_below(child) for child in cls.__subclasses__()))


def test_one_tree() -> None:
    """All that a user may come to read has one root, which is drawn at the top of the module."""
    for module in pkgutil.walk_packages(sockslocal.__path__, "sockslocal."):
        if module.name.endswith("errors"):
            import_module(module.name)
    assert errors.__doc__ is not None
    for cls in (ConfigError, CredentialsError, ListenError, ControlError, ServerError):
        assert cls in _below(SockslocalError)
        assert f"── {cls.__name__} " in errors.__doc__


def test_carries_its_problem() -> None:
    """An error is the problem it was made of, and of the class it was asked for."""
    error = ServerError.of("server-unreachable", address="a:1", reason="no route")
    assert type(error) is ServerError
    assert error.problem.code == "server-unreachable"
    assert str(error) == error.problem.text
    assert error.exit_code is ExitCode.SERVER


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("not-running", ExitCode.NOT_RUNNING), ("config-missing", ExitCode.CONFIG), ("other", ExitCode.FAILED)],
)
def test_exit_code(code: str, exit_code: ExitCode) -> None:
    """The exit code is that of the problem; an unknown one, of a newer daemon, is a failure."""
    assert ControlError(Problem(code, "title", "text", "remedy")).exit_code is exit_code


def test_config_error_knows_its_place() -> None:
    """Where a wrong configuration is shown, its place can be too."""
    found = problem("config-invalid", text="this is wrong", remedy="mend it")
    error = ConfigError(found, Path("config.toml"), 9)
    assert (str(error), error.path, error.line) == ("this is wrong", Path("config.toml"), 9)
    assert (ConfigError(found).path, ConfigError(found).line) == (None, None)
