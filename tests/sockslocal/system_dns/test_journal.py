import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.system_dns.journal import (
    RESOLV_CONF,
    Change,
    Journal,
    JournalError,
    Snapshot,
    decode,
    encode,
    is_port,
    is_server,
)

FILE = Snapshot(
    kind="file", content=b"nameserver 192.0.2.1\n\xff\0", mode=0o640, user=1, group=2, label=b"x\0"
)
JOURNAL = Journal(
    token="ab12",
    method="resolv.conf",
    port=53,
    step="applied",
    fail_open=True,
    servers=("192.0.2.1", "fe80::1%eth0"),
    search=("lan.test",),
    redirect=True,
    boot="a5b6",
    changes=(
        Change(path=RESOLV_CONF, before=FILE, after=b"nameserver 127.0.0.1\n"),
        Change(path=RESOLV_CONF, before=Snapshot(kind="link", content=b"../a"), after=b"", folder=True),
    ),
)
GOOD: dict[str, Any] = json.loads(encode(JOURNAL))


def without(*path: str) -> Any:
    """The good one without the value at `path`, where a number leads into a list."""
    return changed(*path, value=None)


def changed(*path: str | int, value: object) -> Any:
    """The good one with another value at `path`."""
    kept = json.loads(json.dumps(GOOD))
    place = kept
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return kept


def test_what_is_kept_is_read_as_it_was() -> None:
    """Bytes of every kind, links, and what was not there."""
    assert decode(encode(JOURNAL)) == JOURNAL
    absent = dataclasses.replace(JOURNAL, changes=(Change(path=RESOLV_CONF, before=Snapshot(), after=b""),))
    assert decode(encode(absent)) == absent


@pytest.mark.parametrize(
    "kept",
    [
        [],
        without("version"),
        changed("version", value=2),
        changed("version", value=True),
        changed("method", value="magic"),
        changed("step", value="begun"),
        changed("port", value=0),
        changed("port", value=65536),
        changed("port", value="53"),
        changed("token", value=7),
        changed("fail_open", value=1),
        changed("redirect", value=53),
        changed("boot", value=None),
        changed("servers", value=["dns.example"]),
        changed("servers", value=[1]),
        changed("search", value="lan"),
        changed("changes", value={}),
        changed("changes", value=["etc/resolv.conf"]),
        changed("changes", 0, "path", value="etc/shadow"),
        changed("changes", 0, "before", value=[]),
        changed("changes", 0, "before", "kind", value="device"),
        changed("changes", 0, "before", "mode", value="0644"),
        changed("changes", 0, "before", "content", value="a"),
        changed("changes", 0, "after", value="é"),
        changed("changes", 0, "folder", value=None),
    ],
)
def test_what_is_no_journal_is_refused(kept: object) -> None:
    """Root does nothing by such a file; above all it names no other path."""
    with pytest.raises(JournalError):
        decode(json.dumps(kept).encode())


@given(st.binary())
def test_no_bytes_do_harm(content: bytes) -> None:
    """A journal, or JournalError."""
    with pytest.raises(JournalError):
        decode(content)


def test_a_nest_without_end_is_refused() -> None:
    """As other garbage."""
    with pytest.raises(JournalError):
        decode(b"[" * 100_000)


def test_a_mode_is_only_a_mode() -> None:
    """Bits of the kind of a file are no part of it."""
    kept = changed("changes", 0, "before", "mode", value=0o100644)
    assert decode(json.dumps(kept).encode()).changes[0].before.mode == 0o644


@pytest.mark.parametrize(
    ("value", "port"), [(1, True), (65535, True), (0, False), (65536, False), ("1", False)]
)
def test_ports(value: object, port: bool) -> None:  # noqa: FBT001  the table's column
    """From 1 to 65535."""
    assert is_port(value) is port


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("9.9.9.9", True),
        ("fe80::1%eth0", True),
        ("0.0.0.0", False),
        ("::", False),
        ("dns", False),
        ("", False),
    ],
)
def test_servers(text: str, server: bool) -> None:  # noqa: FBT001  as above
    """Addresses that somebody can be asked at."""
    assert is_server(text) is server
