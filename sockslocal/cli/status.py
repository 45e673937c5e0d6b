"""`status`, with and without `--json` and `--watch`."""

import contextlib
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from sockslocal.cli.context import Context
from sockslocal.cli.propose import config_of, same, spelled
from sockslocal.cli.render import short_path, width_of_terminal
from sockslocal.cli.screen import ASCII, UNICODE, View, screen
from sockslocal.cli.stranded import told_when_dead
from sockslocal.cli.terminal import Line, has_colour, has_unicode, is_screen, line, print_json, text_of, write
from sockslocal.control.client import Client
from sockslocal.problems import ExitCode
from sockslocal.status import Status

_ANEW = "\x1b[H"  # to the top left, without clearing: nothing flickers
_REST = "\x1b[J"
_LINE_REST = "\x1b[K"


def show(arguments: Namespace, context: Context) -> int:
    """What is, once or as it changes."""
    client = Client(context.paths)
    draw = partial(_lines, context.paths.config)
    with told_when_dead():
        _show(arguments, client, draw)
    return ExitCode.DONE


def _show(arguments: Namespace, client: Client, draw: Callable[[Status], list[Line]]) -> None:
    if arguments.watch:
        with contextlib.suppress(KeyboardInterrupt):  # the way to leave
            _watch(client, draw, as_json=arguments.json)
    elif arguments.json:
        print_json(client.call("status"))  # as it came: a newer daemon may say more
    else:
        write(sys.stdout, draw(client.status()))


def _lines(config: Path, status: Status) -> list[Line]:
    """The picture, where `config` is the file that the person may think of."""
    used = config_of(status, config)
    view = View(
        width_of_terminal(),
        UNICODE if has_unicode(sys.stdout) else ASCII,
        partial(spelled, config=used),
        "" if same(used, config) else short_path(used),
    )
    return screen(status, view)


def _watch(client: Client, draw: Callable[[Status], list[Line]], *, as_json: bool) -> None:
    if as_json:
        for _, status in client.watch():
            print_json(msgspec.to_builtins(status), indent=None)
    elif is_screen(sys.stdout):
        with _whole_screen():
            for _, status in client.watch():
                _redraw(draw(status))
    else:
        for number, (_, status) in enumerate(client.watch()):
            write(sys.stdout, [*([()] if number else []), *draw(status)])
            sys.stdout.flush()


@contextlib.contextmanager
def _whole_screen() -> Iterator[None]:
    """The terminal without cursor, from an empty screen on; at the end the last picture stays."""
    sys.stdout.write("\x1b[?25l\x1b[2J")
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?25h")
        sys.stdout.flush()


def _redraw(lines: list[Line]) -> None:
    height = shutil.get_terminal_size().lines - 1
    if len(lines) > height:
        lines = [*lines[: height - 1], line("… more than fits: sockslocal status", "dim")]
    colour = has_colour(sys.stdout)
    text = "".join(f"{text_of(part, colour=colour)}{_LINE_REST}\n" for part in lines)
    sys.stdout.write(f"{_ANEW}{text}{_REST}")
    sys.stdout.flush()
