import asyncio
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.processes import pid_in, wait_for_end
from sockslocal.children import start
from sockslocal.credentials import process
from sockslocal.credentials.process import Reply, converse


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the child be a Python that runs `code`."""
    monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", code])


def talk(request: bytes = b"", *, deadline: float = 20, limit: int = 1000) -> Reply | None:
    """One conversation."""
    return asyncio.run(converse(request, deadline=deadline, limit=limit))


def test_the_real_child_is_this_package() -> None:
    """Started by this Python, blind to the current folder."""
    assert process.child_command() == [sys.executable, "-P", "-m", "sockslocal.credentials"]


def test_a_module_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise whoever can write there would be handed the password."""
    (tmp_path / "msgspec.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    reply = talk(b"")
    assert reply is not None
    assert not (tmp_path / "imported").exists()


def test_the_request_goes_in_and_the_answer_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds goes either way; the end of the request is the end of stdin."""
    child(monkeypatch, "import sys; sys.stdout.write(sys.stdin.read().upper())")
    assert talk(b"x" * 300_000, limit=400_000) == Reply(b"X" * 300_000, 0)


def test_no_more_than_the_limit_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that never stops talking costs no memory, and is not waited for."""
    child(monkeypatch, "while True: print('x' * 1000)")
    reply = talk(limit=5000)
    assert reply is not None
    assert len(reply.content) == 5000
    assert reply.status != 0


def test_a_child_that_does_not_listen_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is larger than the pipe and read by nobody is no error of the caller's."""
    child(monkeypatch, "import os; os.close(0); print('deaf', flush=True); os._exit(7)")
    assert talk(b"x" * 1_000_000) == Reply(b"deaf\n", 7)


def test_what_the_child_says_on_stderr_is_dropped(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It may be a library's traceback, with the secret in it."""
    child(monkeypatch, "import sys; sys.stderr.write('noise')")
    assert talk() == Reply(b"", 0)
    assert capfd.readouterr().err == ""


def test_what_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installation may have gone away under the daemon."""
    monkeypatch.setattr(process, "child_command", lambda: ["/nonexistent/python"])
    with pytest.raises(FileNotFoundError):
        talk()


def hanging(tmp_path: Path) -> tuple[str, list[Path]]:
    """A child that starts a process of its own and waits for it, and the files where their ids will be."""
    files = [tmp_path / "child", tmp_path / "grandchild"]
    shell = f"echo $$ > {shlex.quote(str(files[1]))}; exec sleep 600"
    return (
        f"import os, subprocess; open({str(files[0])!r}, 'w').write(str(os.getpid()) + '\\n');"
        f"subprocess.run(['sh', '-c', {shell!r}])"
    ), files


def started(files: list[Path]) -> bool:
    """Whether both have written their ids."""
    return all(pid_in(file) for file in files)


def test_the_deadline_ends_the_child_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is what comes of it, and no process is left."""
    code, files = hanging(tmp_path)
    child(monkeypatch, code)
    deadline = 0.2
    while True:  # a slow machine has not started both by then
        assert talk(deadline=deadline) is None
        if started(files):
            break
        deadline *= 2
    for file in files:
        wait_for_end(file)


def test_a_cancelled_conversation_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that stops, or forgets the server, does not wait for its keyring."""
    code, files = hanging(tmp_path)
    child(monkeypatch, code)

    async def main() -> None:
        task = asyncio.create_task(converse(b"", deadline=60, limit=100))
        while not started(files):  # noqa: ASYNC110  another process's state has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    for file in files:
        wait_for_end(file)


def test_the_loop_runs_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a child takes its time others are served: here the one that lets it end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    child(monkeypatch, f"print(open({str(pipe)!r}).read())")

    async def main() -> Reply | None:
        task = asyncio.create_task(converse(b"", deadline=20, limit=100))
        while True:
            await asyncio.sleep(0.01)
            with suppress(OSError):  # nobody reads yet
                descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
                break
        os.write(descriptor, b"go")
        os.close(descriptor)
        return await task

    assert asyncio.run(main()) == Reply(b"go\n", 0)


def test_a_loop_that_is_closed_meanwhile_harms_nobody() -> None:
    """The thread that waited for the child ends in silence."""
    loop = asyncio.new_event_loop()
    reply: asyncio.Future[Reply] = loop.create_future()
    loop.close()
    waiting = start([sys.executable, "-c", "import sys; sys.stdin.read()"])
    process._exchange(waiting, b"", 100, reply)
    assert not reply.done()


def test_a_late_answer_is_dropped() -> None:
    """One that comes between the cancelling and the killing finds its future taken."""

    async def main() -> None:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        future.cancel()
        process._settle(future, Reply(b"", 0))
        assert future.cancelled()

    asyncio.run(main())
