"""`sockslocal demo`, from the empty temporary folder to the commands to try next."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from sockslocal.demo import traffic
from sockslocal.demo.child import DaemonProcess, NotStarted
from sockslocal.demo.folder import temporary_folder
from sockslocal.demo.setting import USERNAME, Setting, new_credentials
from sockslocal.demo.show import Screen
from sockslocal.demo.stage import Stage
from sockslocal.problems import ExitCode
from sockslocal.socks5.messages import Command


class _Interrupted(KeyboardInterrupt):
    """The signal `number` came."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(*, once: bool) -> int:
    """Run the demo, with `once` only as long as its traffic takes; 0 if all of that worked, else 1.

    However it ends, the daemon is stopped and the folder removed. SIGTERM and SIGHUP end it as Ctrl-C does;
    the code is then 128 and the signal's number, as shells have it.
    """
    screen = Screen(sys.stdout)
    try:
        with _signals_as_interrupt(), ExitStack() as stack:
            try:
                return _demonstrate(screen, stack, once=once)
            finally:
                _ignore_signals()  # so that a second one does not keep the first from being obeyed
    except NotStarted as error:
        return _fail(f"the daemon did not start: {error}")
    except OSError as error:
        return _fail(str(error))
    except _Interrupted as interrupted:
        print("interrupted", file=sys.stderr)
        return 128 + interrupted.number


def _demonstrate(screen: Screen, stack: ExitStack, *, once: bool) -> ExitCode:
    folder = stack.enter_context(temporary_folder())
    credentials = new_credentials()
    stage = stack.enter_context(Stage(credentials))
    setting = Setting.create(folder)
    setting.write(stage.address, credentials)
    daemon = stack.enter_context(DaemonProcess(setting))
    screen.opening(stage.address, daemon.pid)
    daemon.wait_until_listening()
    failed = _walk(screen, stage, setting)
    screen.proof(stage.server.served)
    if failed:
        return _fail(f"{failed} of them failed; the daemon says:{daemon.last_words()}")
    if not once:
        screen.commands(setting)
        _stay(daemon)
    return ExitCode.DONE


def _walk(screen: Screen, stage: Stage, setting: Setting) -> int:
    """Show every step; the number of those that failed."""
    failed = 0
    try:
        screen.login(stage.address, *_timed(lambda: traffic.try_wrong_password(stage.address, USERNAME)))
    except traffic.StepFailed as error:
        screen.failure("login", f"{stage.address} with a wrong password for {USERNAME}", str(error))
        failed += 1
    for step in traffic.steps(setting):
        try:
            screen.step(step, *_timed(step.walk))
        except traffic.StepFailed as error:
            screen.failed_step(step, str(error))
            failed += 1
    served = stage.server.served
    if not failed and not (served[Command.CONNECT] and served[Command.UDP_ASSOCIATE]):
        screen.failure("proof", "all answers came, but not through the server", "")
        failed += 1
    return failed


def _timed(walk: Callable[[], str]) -> tuple[str, float]:
    began = time.perf_counter()
    carried = traffic.run(walk)
    return carried, time.perf_counter() - began


def _stay(daemon: DaemonProcess) -> None:
    """Until Ctrl-C, which is the way to end it, or until somebody stops the daemon."""
    try:
        daemon.wait()
    except KeyboardInterrupt:
        print()  # after the ^C of the terminal
        raise
    print("The daemon has been stopped, so this ends too.")


def _fail(reason: str) -> ExitCode:
    print(f"error: {reason}", file=sys.stderr)
    return ExitCode.FAILED


def _ending_signals() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """Every signal that ends a program raises _Interrupted; afterwards each does what it did before."""
    before = {number: signal.signal(number, _interrupt) for number in _ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise _Interrupted(number)


def _ignore_signals() -> None:
    for number in _ending_signals():
        signal.signal(number, signal.SIG_IGN)
