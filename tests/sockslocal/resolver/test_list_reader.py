import io
import os
import subprocess
import sys
from array import array
from pathlib import Path

import msgspec
import pytest

from sockslocal.resolver import list_reader
from sockslocal.resolver.block_list import BlockList, hashed
from sockslocal.resolver.list_reader import Hashes, ListRead, Message, Progress, write_all
from sockslocal.resolver.names import to_wire


def written(octets: bytes) -> tuple[list[Message], "array[int]"]:
    """The messages, and the hashes that follow them."""
    messages: list[Message] = []
    while not messages or not isinstance(messages[-1], Hashes):
        line, _, octets = octets.partition(b"\n")
        messages.append(msgspec.json.decode(line, type=Message))
    hashes = array("Q")
    hashes.frombytes(octets)
    assert len(hashes) == messages[-1].count + messages[-1].exceptions
    return messages, hashes


def read(*paths: Path) -> tuple[list[Message], "array[int]"]:
    """What comes of the lists in `paths`."""
    out = io.BytesIO()
    write_all([str(path) for path in paths], out)
    return written(out.getvalue())


def test_all_formats_in_one_order(tmp_path: Path) -> None:
    """Hashes ascend, each once, whichever file a name is from."""
    hosts, names = tmp_path / "hosts", tmp_path / "names"
    hosts.write_text("# ads\n127.0.0.1 localhost\n0.0.0.0 a.example b.example\n")
    names.write_text("a.example\n*.c.example\n||d.example^\nwhat is this\n<html>\n")
    messages, hashes = read(hosts, names)
    assert messages == [
        ListRead(str(hosts), names=2),
        ListRead(str(names), names=3, wrong=2, first_wrong=4),
        Hashes(4),
    ]
    assert list(hashes) == sorted(set(hashes))
    blocks = BlockList(hashes)
    assert blocks.has(to_wire("a.example"))
    assert blocks.has(to_wire("b.example"))
    assert blocks.has_beneath(to_wire("c.example"))
    assert blocks.has_beneath(to_wire("d.example"))


def test_exceptions_and_rules_for_browsers(tmp_path: Path) -> None:
    """Exceptions follow in an order of their own; what only a browser can follow is counted."""
    ads, good = tmp_path / "ads", tmp_path / "good"
    ads.write_text("||ads.example^\n||x.example^$third-party\nexample.com##.ad\n||y.example^$dnstype=A\n")
    good.write_text("@@||good.example^\n@@||b.example^\n@@||good.example^\n")
    messages, hashes = read(ads, good)
    assert messages == [
        ListRead(str(ads), names=1, wrong=1, first_wrong=4, browsers=2),
        ListRead(str(good), names=3),
        Hashes(1, 2),
    ]
    assert hashes[1] < hashes[2]
    blocks = BlockList(hashes[:1], hashes[1:])
    assert blocks.has_beneath(to_wire("ads.example"))
    assert blocks.excepts([to_wire("good.example")])
    assert blocks.excepts([to_wire("b.example")])
    assert not blocks.excepts([to_wire("ads.example")])


def test_no_lists_are_no_hashes() -> None:
    """Nothing is told but that."""
    assert read() == ([Hashes(0)], array("Q"))


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """And the others are read; a pipe that nobody writes to is not waited for."""
    good, pipe = tmp_path / "good", tmp_path / "pipe"
    good.write_text("a.example\n")
    os.mkfifo(pipe)
    messages, hashes = read(tmp_path / "absent", pipe, tmp_path, good)
    told = [message.error for message in messages if isinstance(message, ListRead)]
    assert told == ["No such file or directory", "it is not a regular file", "Is a directory", None]
    assert len(hashes) == 1


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every so many lines."""
    monkeypatch.setattr(list_reader, "PROGRESS", 2)
    path = tmp_path / "list"
    path.write_text("a\nb\nc\nd\ne\n")
    messages, _ = read(path)
    assert messages == [Progress(2), Progress(4), ListRead(str(path), names=5), Hashes(5)]


def test_names_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is left out, and that is told."""
    monkeypatch.setattr(list_reader, "MAX_NAMES", 3)
    path = tmp_path / "list"
    path.write_text("".join(f"n{number}.example\n" for number in range(10)))
    messages, hashes = read(path)
    assert messages[0] == ListRead(str(path), names=3, error="there are more than 3 names in all lists")
    assert len(hashes) == 3


def test_a_byte_order_mark_is_not_of_the_first_line(tmp_path: Path) -> None:
    """Editors write one; a list that is shorter than one is a list too."""
    marked, short = tmp_path / "marked", tmp_path / "short"
    marked.write_text("\ufeffa.example\nb.example\n")
    short.write_text("c")
    messages, hashes = read(marked, short)
    assert messages[:2] == [ListRead(str(marked), names=2), ListRead(str(short), names=1)]
    assert set(hashes) == {hashed(to_wire(name)) for name in ("a.example", "b.example", "c")}


def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    """A file of one line is read in pieces, and none of them is a name."""
    path = tmp_path / "list"
    path.write_bytes(b"/" * 1_000_000)
    messages, hashes = read(path)
    assert isinstance(messages[0], ListRead)
    assert messages[0].wrong == 489
    assert not hashes


def test_the_child_itself(tmp_path: Path) -> None:
    """Paths come in, each ended by NUL."""
    path = tmp_path / "eine Liste für\nuns"
    path.write_text("a.example\n")
    done = subprocess.run(
        [sys.executable, "-m", "sockslocal.resolver.list_reader"],
        input=os.fsencode(path) + b"\0",
        capture_output=True,
        check=True,
    )
    messages, hashes = written(done.stdout)
    assert list(hashes) == [hashed(to_wire("a.example"))]
    assert isinstance(messages[0], ListRead)
    assert messages[0].names == 1
