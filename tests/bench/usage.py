"""What a process has used, by the kernel's own account (proc(5))."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and all its descendants, the dead ones too as far as CPU time goes."""

    cpu_seconds: float
    """User and system time of all threads, in steps of a clock tick (10 ms)."""
    resident_bytes: int


def usage(pid: int) -> Usage:
    """As of now; raises FileNotFoundError where the process is gone."""
    ticks, pages = 0, 0
    for process in (pid, *_descendants(pid)):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
        pages += int(fields[21])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)
