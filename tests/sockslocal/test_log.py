import contextlib
import io
import json
import logging
import os
import resource
import stat
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.limited import run_with_small_files
from sockslocal import log

CANARY = "Zq@:/%d\n'käyrä\" \\ ß☃\x85qZ"
"""A password with everything that something may trip over."""

_logger = logging.getLogger("sockslocal.test")


@pytest.fixture(autouse=True)
def _own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging as in a process that has set up none; secrets of this test only."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    for name in log._TALKATIVE:
        library = logging.getLogger(name)
        monkeypatch.setattr(library, "level", library.level)
    monkeypatch.setattr(log, "_concealed", {})
    monkeypatch.setattr(log, "_any_concealed", None)
    yield
    for handler in root.handlers:
        with contextlib.suppress(OSError):
            handler.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log of a test is, set up at the most talkative level."""
    path = tmp_path / "state" / "sockslocal.log"
    log.set_up(path, "DEBUG")
    return path


def _file_handler() -> logging.FileHandler:
    """The handler that writes the log; pytest has its own beside it."""
    (handler,) = (one for one in logging.getLogger().handlers if isinstance(one, logging.FileHandler))
    return handler


def _no_part_of_the_canary(text: str) -> bool:
    """Whether no spelling shows more of the canary than its separators."""
    return not any(part in text for part in ("Zq", "qZ", "yr", "☃", "\\u2603", "%E2%98%83", "\\xe2\\x98"))


def _failing_deeply() -> Exception:
    """An exception that has the canary in its text, its cause, its notes and its group."""
    cause = ValueError(CANARY)
    cause.add_note(f"tried {CANARY}")
    error = KeyError(CANARY, CANARY.encode())
    error.__cause__ = cause
    group = ExceptionGroup(f"all of {CANARY}", [error, OSError(5, CANARY, CANARY), RuntimeError([CANARY])])
    group.__context__ = error
    return group


@pytest.mark.parametrize(
    "message",
    [
        "%s",
        "%r",
        "%a",
        "%.400s and more",
    ],
)
def test_canary_in_a_message(path: Path, message: str) -> None:
    """However a secret gets into a line, it is cut out."""
    log.conceal(CANARY)
    _logger.debug(message, CANARY)
    _logger.debug(message, CANARY.encode())
    _logger.debug(message, [CANARY, {"password": CANARY}])
    _logger.debug(message, repr({CANARY: repr(CANARY)}))
    _logger.debug(message, ValueError(CANARY))
    _logger.debug("%s", f"'\"{CANARY}")
    _logger.debug("%r", f"'\"{CANARY}")
    _logger.debug("%s and %s", json.dumps({"a": CANARY}), json.dumps(CANARY, ensure_ascii=False))
    _logger.debug("socks5://ana:%s@proxy", quote(CANARY, safe=""))
    _logger.debug("%s", f"1{CANARY}2{CANARY}3")
    written = path.read_text()
    assert _no_part_of_the_canary(written)
    assert written.count("•••") >= 12
    assert len(written.splitlines()) == 10


def test_canary_in_a_traceback(path: Path) -> None:
    """Tracebacks with causes, notes and groups, which indent what they show, show no secret."""
    log.conceal(CANARY)
    error = _failing_deeply()
    assert "käyrä" in "".join(traceback.format_exception(error))
    _logger.error("! failed: %s", error, exc_info=error)
    _logger.error("where", stack_info=True)
    written = path.read_text()
    assert _no_part_of_the_canary(written)
    assert "RuntimeError" in written
    assert all(line.startswith(("    ", "2")) for line in written.splitlines())


def test_canary_left_by_another_handler(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What another formatter keeps in the record for those after it is not trusted."""
    log.conceal(CANARY)
    careless = logging.StreamHandler(io.StringIO())
    logging.getLogger().handlers.insert(0, careless)
    _logger.error("!", exc_info=ValueError(CANARY))
    assert "Zq" in careless.stream.getvalue()
    assert "ValueError: •••" in path.read_text()
    assert _no_part_of_the_canary(path.read_text())


@pytest.mark.parametrize("shift", range(-3, 30))
def test_canary_where_a_line_is_cut(path: Path, shift: int) -> None:
    """A line is cut after the secret is out of it, so that no part of one remains."""
    log.conceal(CANARY)
    _logger.info("%s%s", "x" * (log.MAX_LINE - 60 + shift), CANARY * 2)
    assert _no_part_of_the_canary(path.read_text())


def test_canary_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """In the foreground too."""
    log.set_up(None)
    log.conceal(CANARY)
    _logger.info("%s", CANARY)
    assert capsys.readouterr().err.endswith("INFO    sockslocal.test: •••\n")


def test_secrets_within_secrets() -> None:
    """Of a secret that has another in it, nothing remains."""
    for secret in ("open", "opensesame", "sesame"):
        log.conceal(secret)
    assert log.scrub("opensesame open sesame reopen") == "••• ••• ••• re•••"


def test_short_secret() -> None:
    """What is too short to be told from ordinary words is left in, for its removal would show it."""
    log.conceal("the")
    log.conceal("")
    assert log.scrub("the server") == "the server"


def test_secret_of_several_lines() -> None:
    """The lines of a secret are found where a traceback indents them, and are no secrets by themselves."""
    log.conceal("a\nlong line\nb")
    assert log.scrub("a\n  | long line\n  | b") == log.scrub("a\nlong line\nb") == "•••"
    assert log.scrub("a long line") == "a long line"


@given(st.text(min_size=log.SHORTEST_CONCEALED), st.sampled_from(["{}", "{!r}", "{!a}", "x{}y{}"]))
def test_any_secret(secret: str, form: str) -> None:
    """Whatever the secret, no line has it, as it is or as Python shows it."""
    log._concealed.clear()
    log.conceal(secret)
    record = logging.LogRecord("name", logging.INFO, "path", 1, form.format(secret, secret), None, None)
    line = log.Formatter().format(record).split(": ", 1)[1]
    assert "•••" in line
    assert line.replace("•••", "") in {"", "''", '""', "xy", "'" * 2}


@given(st.text())
def test_one_line_a_record(text: str) -> None:
    """Nobody outside writes a line of the log, nor anything that a terminal obeys."""
    record = logging.LogRecord(text, logging.INFO, "path", 1, "got %s", (text,), None)
    assert log.Formatter().format(record).isprintable()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain é ☃", "plain é ☃"),
        ("a\nb\r\t\0", "a\\nb\\r\\t\\x00"),
        ("\x1b[31m\x9b", "\\x1b[31m\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb\ufeff\u2028", "a\\u200bb\\ufeff\\u2028"),
        ("\udcff\U000e0001", "\\udcff\\U000e0001"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    """Controls, changes of direction and what cannot be seen are shown as escapes, and only once."""
    assert log.escape(text) == escaped
    assert log.escape(escaped) == escaped


def test_long_line(path: Path) -> None:
    """No peer fills the disk with one line, or with one exception."""
    _logger.info("%s", "x" * 100_000)
    text = "\n".join(f"line {number} {'x' * 5_000}" for number in range(1_000))
    _logger.error("!", exc_info=ValueError(text))
    written = path.read_text().splitlines()
    assert max(map(len, written)) <= 4 + log.MAX_LINE + 1
    assert 3 <= len(written) <= log.MAX_TRACE_LINES + 3
    assert any(line.endswith("lines left out)") for line in written)
    assert written[-1].startswith("    line 999 ")


def test_levels(path: Path) -> None:
    """What is below the level is not written."""
    log.set_up(path, "WARNING")
    _logger.info("unheard")
    _logger.warning("heard")
    assert [line.split(" ", 2)[2] for line in path.read_text().splitlines()] == [
        "WARNING sockslocal.test: heard"
    ]


def test_talkative_libraries(path: Path) -> None:
    """What they do is not our daemon's story; what goes wrong in them is."""
    log.set_up(path, "DEBUG")
    talkative = logging.getLogger("hpack.hpack")
    talkative.debug("Decoded 62, consumed 1 bytes")
    talkative.warning("something odd")
    assert [line.split(": ", 1)[1] for line in path.read_text().splitlines()] == ["something odd"]


def test_rotation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full file makes room; the newest and three older ones are kept, for this user only."""
    monkeypatch.setattr(log, "MAX_BYTES", 1_000)
    path.chmod(0o644)
    previous = os.umask(0)
    try:
        for number in range(100):
            _logger.info("line %03d %s", number, "x" * 100)
    finally:
        os.umask(previous)
    files = [path, *(path.with_name(f"{path.name}.{age}") for age in (1, 2, 3))]
    assert sorted(path.parent.iterdir()) == files
    assert all(1 <= file.stat().st_size <= 1_200 for file in files)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    numbers = [
        line.split("line ")[1][:3] for file in reversed(files) for line in file.read_text().splitlines()
    ]
    assert numbers == [f"{number:03d}" for number in range(100 - len(numbers), 100)]


def test_private(path: Path) -> None:
    """The log and its folder are for this user only, however they were before."""
    path.chmod(0o644)
    log.set_up(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_appends(path: Path) -> None:
    """A restart goes on where the last run ended, and the old file is closed."""
    _logger.info("one")
    log.set_up(path)
    _logger.info("two")
    assert [line.rsplit(" ", 1)[1] for line in path.read_text().splitlines()] == ["one", "two"]
    assert _file_handler()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk() -> None:
    """A full disk costs lines, and raises nothing, in whatever state the file is."""
    log.set_up(Path("/dev/full").parent / "shm" / f"sockslocal-{os.getpid()}.log")
    handler = _file_handler()
    file = Path(handler.baseFilename)
    try:
        handler.baseFilename = "/dev/full"
        handler.handleError(logging.makeLogRecord({}))
        for _ in range(100):
            _logger.info("%s", "x" * 1_000)
        handler.baseFilename = str(file)
        _logger.info("room again")
        assert file.read_text().endswith("room again\n")
    finally:
        file.unlink()


def test_write_cut_off(tmp_path: Path) -> None:
    """A disk that becomes full in the middle of a line, and at a rotation, stops nothing."""
    code = (
        "import logging, sys; from pathlib import Path; from sockslocal import log\n"
        "log.MAX_BYTES = 3_000; log.set_up(Path(sys.argv[1]))\n"
        "for _ in range(100): logging.getLogger('x').info('y' * 100)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))\n"
        "for _ in range(100): logging.getLogger('x').info('z' * 100)\n"
        "print('alive')"
    )
    path = tmp_path / "log"
    assert run_with_small_files(code, path, octets=2_050) == "alive\n"
    assert path.read_text().endswith("z\n")
    assert path.with_name("log.1").exists()


def test_vanished_folder(path: Path) -> None:
    """A folder that is gone costs lines; once it is back, so is the log."""
    path.unlink()
    path.parent.rmdir()
    handler = _file_handler()
    handler.handleError(logging.makeLogRecord({}))
    _logger.info("lost")
    path.parent.mkdir()
    _logger.info("found")
    assert path.read_text().endswith("found\n")


def test_record_that_cannot_be_formatted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in a call costs its line, and shows its arguments nowhere."""
    _logger.info("%d", CANARY)
    _logger.info("after")
    assert path.read_text().endswith("after\n")
    assert capsys.readouterr() == ("", "")


def test_nowhere_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no log can be kept, it goes to stderr and says why."""
    (tmp_path / "file").write_text("")
    log.set_up(tmp_path / "file" / "sockslocal.log")
    _logger.warning("but here")
    assert [line.split(" ", 2)[2] for line in capsys.readouterr().err.splitlines()] == [
        f"WARNING root: ! cannot log to {tmp_path}/file/sockslocal.log: File exists",
        "WARNING sockslocal.test: but here",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_that_nobody_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe in the log's place does not stop the daemon."""
    os.mkfifo(tmp_path / "pipe")
    log.set_up(tmp_path / "pipe")
    assert "! cannot log to" in capsys.readouterr().err


def test_hostile_backslashes() -> None:
    """A peer's text takes time in proportion to its length, whatever the secret is."""
    secrets = ["\\a\\'\n\"\\\\\\b", "'\"'\"", "\\" * 20]
    for secret in secrets:
        log.conceal(secret)
    for row in ("\\", "\\'\n\"", "\\a\\'\\n\"", "'\\\""):
        for secret in secrets:
            assert log.scrub(f"{row * 30_000}|{secret}|").endswith("|•••|")
