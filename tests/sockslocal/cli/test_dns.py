import json
from typing import Any

from fakes.cli import CommandLine
from fakes.control import fake_daemon
from sockslocal.control.server import Handler
from sockslocal.errors import ControlError
from sockslocal.paths import Paths

FOUND = {
    "rcode": "NOERROR",
    "answer": ["db.internal. 60 IN A 10.0.0.5", "db.internal. 60 IN A 10.0.0.6"],
    "upstream": "udp://9.9.9.9:53",
    "path": "udp",
    "time_ms": 12.34,
    "cached": False,
    "error": None,
}
DETAILS = {
    "queries": 100,
    "cache_hits": 80,
    "hit_rate": 0.8,
    "failed": 1,
    "cache_entries": 7,
    "cache_bytes": 2100,
    "stale": 3,
    "prefetched": 12,
    "blocked": 0,
    "listed": 0,
    "upstreams": [
        {
            "name": "udp://9.9.9.9:53",
            "answered": 19,
            "failed": 1,
            "mismatched": 0,
            "latency_ms": 12.3,
            "resting": False,
            "last_error": "time-out",
        },
        {
            "name": "tcp://8.8.8.8:53",
            "answered": 0,
            "failed": 0,
            "mismatched": 0,
            "latency_ms": None,
            "resting": False,
            "last_error": None,
        },
    ],
    "top_failures": [],
}


def answering(value: object) -> Handler:
    """A handler that answers `value`."""

    async def handle(_parameters: dict[str, Any]) -> object:
        return value

    return handle


def test_records_are_data_and_the_rest_is_talk(cli: CommandLine, paths: Paths) -> None:
    """One record a line on stdout; how it came on stderr."""
    with fake_daemon(paths, {"dns.query": answering(FOUND)}) as daemon:
        done = cli("dns", "query", "db.internal")
        cli("dns", "query", "db.internal", "mx")
        assert [parameters for _, parameters in daemon.calls] == [
            {"name": "db.internal", "type": "A"},
            {"name": "db.internal", "type": "MX"},
        ]
    assert done == (
        0,
        "db.internal. 60 IN A 10.0.0.5\ndb.internal. 60 IN A 10.0.0.6\n",
        "NOERROR from udp://9.9.9.9:53 udp in 12.3 ms\n",
    )


def test_a_name_that_is_not_there_is_exit_code_1(cli: CommandLine, paths: Paths) -> None:
    """So that a script can tell."""
    missing = FOUND | {"rcode": "NXDOMAIN", "answer": [], "cached": True}
    with fake_daemon(paths, {"dns.query": answering(missing)}):
        assert cli("dns", "query", "nope") == (1, "", "NXDOMAIN from the cache in 12.3 ms\n")


def test_no_answer_says_why(cli: CommandLine, paths: Paths) -> None:
    """The resolver's own word."""
    failed = FOUND | {"rcode": "SERVFAIL", "answer": [], "upstream": "", "path": "", "error": "server down"}
    with fake_daemon(paths, {"dns.query": answering(failed)}):
        assert cli("dns", "query", "nope").err == "SERVFAIL in 12.3 ms: server down\n"


def test_answers_for_programs(cli: CommandLine, paths: Paths) -> None:
    """As they came, and nothing on stderr."""
    with fake_daemon(paths, {"dns.query": answering(FOUND), "dns.status": answering(DETAILS)}):
        done = cli("dns", "query", "db.internal", "--json")
        assert (json.loads(done.out), done.err) == (FOUND, "")
        assert json.loads(cli("dns", "status", "--json").out) == DETAILS | {"system": ""}


def test_a_record_cannot_paint_the_terminal(cli: CommandLine, paths: Paths) -> None:
    """What stands in a zone is anybody's text."""
    with fake_daemon(paths, {"dns.query": answering(FOUND | {"answer": ["x. 1 IN TXT \x1b[2J"]})}):
        assert cli("dns", "query", "x", "TXT").out == "x. 1 IN TXT \\x1b[2J\n"


def test_flushing_tells_how_much(cli: CommandLine, paths: Paths) -> None:
    """One answer is one answer."""
    with fake_daemon(paths, {"dns.flush": answering({"removed": 1})}):
        assert cli("dns", "flush") == (0, "", "forgot 1 answer\n")


def test_the_status_of_the_resolver(cli: CommandLine, paths: Paths) -> None:
    """Counts, cache, each upstream; names that failed only where there are any."""
    with fake_daemon(paths, {"dns.status": answering(DETAILS)}):
        assert cli("dns", "status").out == (
            "100 queries, 1 failed\n"
            "80 % were answered from the cache\n"
            "cache: 7 answers, 2.1 kB\n"
            "served past their end: 3, asked for before it: 12\n"
            "\n"
            "UPSTREAM          ANSWERED  FAILED  LATENCY  LAST ERROR\n"
            "udp://9.9.9.9:53  19        1       12 ms    time-out\n"
            "tcp://8.8.8.8:53  0         0       -        -\n"
        )
    failures = DETAILS | {"top_failures": [{"name": "nope.example.", "count": 3}]}
    with fake_daemon(paths, {"dns.status": answering(failures)}):
        assert cli("dns", "status").out.endswith("NAMES THAT FAILED  TIMES\nnope.example.      3\n")


def test_without_a_resolver_the_remedy_is_told(cli: CommandLine, paths: Paths) -> None:
    """The daemon says what is missing."""

    async def refuse(_parameters: dict[str, Any]) -> object:
        raise ControlError.of("dns-off")

    with fake_daemon(paths, {"dns.flush": refuse}):
        done = cli("dns", "flush")
    assert done.code == 1
    assert "error: the resolver" in done.err


def test_what_is_blocked_is_counted(cli: CommandLine, paths: Paths) -> None:
    """Where anything is."""
    blocking = DETAILS | {"blocked": 1, "listed": 1_000_000}
    with fake_daemon(paths, {"dns.status": answering(blocking)}):
        assert "\nblocked: 1 query; 1000000 names in block lists\n" in cli("dns", "status").out
    with fake_daemon(paths, {"dns.status": answering(DETAILS)}):
        assert "blocked" not in cli("dns", "status").out
