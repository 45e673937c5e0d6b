"""What was before and what takes its place, as it is kept while the system asks the resolver.

Pure: records and their JSON. The file is written before anything is changed and removed when all is as it
was, so whoever finds one, after whatever end of whichever process, knows what to bring back.
"""

import base64
import binascii
import ipaddress
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

Method = Literal["systemd-resolved", "NetworkManager", "resolv.conf", "scutil", "NRPT"]
Step = Literal["applying", "applied", "restoring"]
Kind = Literal["absent", "link", "file"]

MAX_BYTES = 1 << 20
"""Of a journal; what it keeps is a few small files."""

MAX_KEPT = 1 << 18
"""Octets of one file that was before; larger ones are nobody's resolv.conf."""

RESOLV_CONF = "etc/resolv.conf"
RESOLVED_DROP_IN = "run/systemd/resolved.conf.d/50-sockslocal.conf"
NETWORK_MANAGER_DROP_IN = "run/NetworkManager/conf.d/50-sockslocal.conf"
PATHS = (RESOLV_CONF, RESOLVED_DROP_IN, NETWORK_MANAGER_DROP_IN)
"""All that is ever written or removed besides the journal, below the root folder."""

_VERSION = 1


class JournalError(ValueError):
    """What was read is no journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is at a path; `content` is that of the file, or where the link points to."""

    kind: Kind = "absent"
    content: bytes = b""
    mode: int = 0
    user: int = 0
    group: int = 0
    label: bytes = b""
    """SELinux's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """At `path` there was `before`, and `after` is to be; whether a `folder` was to be made for it."""

    path: str
    before: Snapshot
    after: bytes
    folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """One switching of the system to the resolver at 127.0.0.1:`port`.

    `token` tells it from the next one. `servers` were asked before, with the domains of `search`. With
    `fail_open` the keeper undoes it all when the resolver is gone.
    """

    token: str
    method: Method
    port: int
    step: Step
    fail_open: bool
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    redirect: bool = False
    """Whether the system asks port 53, which leads to `port`."""
    boot: str = ""
    """Which start of the machine it was in, where the machine tells."""


def encode(journal: Journal) -> bytes:
    """`journal` as it is kept."""
    kept = {
        "version": _VERSION,
        "token": journal.token,
        "method": journal.method,
        "port": journal.port,
        "step": journal.step,
        "fail_open": journal.fail_open,
        "servers": journal.servers,
        "search": journal.search,
        "changes": [_from_change(change) for change in journal.changes],
        "redirect": journal.redirect,
        "boot": journal.boot,
    }
    return json.dumps(kept, indent=1).encode() + b"\n"


def decode(content: bytes) -> Journal:
    """What `encode` wrote; raises JournalError for all else."""
    try:
        kept = json.loads(content)
        if _of(kept, "version", int) != _VERSION:
            raise JournalError("it is of another version")
        return _to_journal(kept)
    except (RecursionError, UnicodeDecodeError, json.JSONDecodeError, binascii.Error) as error:
        raise JournalError(str(error)) from None


def is_port(value: object) -> bool:
    """Whether `value` is the number of a port that can be listened on."""
    return isinstance(value, int) and 0 < value < 65536


def is_server(text: str) -> bool:
    """Whether `text` is the address of a DNS server; an IPv6 one may have a scope."""
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _to_journal(kept: Any) -> Journal:
    method, step, port = _of(kept, "method", str), _of(kept, "step", str), _of(kept, "port", int)
    servers, search = _texts(kept, "servers"), _texts(kept, "search")
    if method not in get_args(Method) or step not in get_args(Step) or not is_port(port):
        raise JournalError("its method, step or port is none")
    if not all(map(is_server, servers)):
        raise JournalError("a server's address is none")
    return Journal(
        token=_of(kept, "token", str),
        method=method,
        port=port,
        step=step,
        fail_open=_of(kept, "fail_open", bool),
        servers=servers,
        search=search,
        changes=tuple(_to_change(change) for change in _of(kept, "changes", list)),
        redirect=_of(kept, "redirect", bool),
        boot=_of(kept, "boot", str),
    )


def _to_change(kept: Any) -> Change:
    path = _of(kept, "path", str)
    if path not in PATHS:
        raise JournalError("it names a file that is none of ours")
    before = _of(kept, "before", dict)
    kind = _of(before, "kind", str)
    if kind not in get_args(Kind):
        raise JournalError("there was something unknown before")
    return Change(
        path=path,
        before=Snapshot(
            kind=kind,
            content=_bytes(before, "content"),
            mode=_of(before, "mode", int) & 0o7777,
            user=_of(before, "user", int),
            group=_of(before, "group", int),
            label=_bytes(before, "label"),
        ),
        after=_bytes(kept, "after"),
        folder=_of(kept, "folder", bool),
    )


def _from_change(change: Change) -> dict[str, object]:
    before = change.before
    return {
        "path": change.path,
        "before": {
            "kind": before.kind,
            "content": base64.b64encode(before.content).decode(),
            "mode": before.mode,
            "user": before.user,
            "group": before.group,
            "label": base64.b64encode(before.label).decode(),
        },
        "after": base64.b64encode(change.after).decode(),
        "folder": change.folder,
    }


def _of(kept: Any, key: str, kind: type) -> Any:
    """The value of `key`, which has to be of just that `kind`."""
    value = kept.get(key) if isinstance(kept, dict) else None
    if type(value) is not kind:
        raise JournalError(f"its {key} is missing, or of the wrong kind")
    return value


def _texts(kept: Any, key: str) -> tuple[str, ...]:
    values = _of(kept, key, list)
    if not all(isinstance(value, str) for value in values):
        raise JournalError(f"its {key} are no texts")
    return tuple(values)


def _bytes(kept: Any, key: str) -> bytes:
    try:
        return base64.b64decode(_of(kept, key, str), validate=True)
    except ValueError as error:
        raise JournalError(f"its {key} cannot be read: {error}") from None
