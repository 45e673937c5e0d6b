"""`dns query`, `flush`, `status`."""

import sys
from argparse import Namespace
from typing import Any

from sockslocal.cli import system_dns
from sockslocal.cli.context import Context
from sockslocal.cli.render import table
from sockslocal.cli.screen import count, size
from sockslocal.cli.stranded import told_when_dead
from sockslocal.cli.terminal import Line, line, print_json, say, write
from sockslocal.control.client import Client
from sockslocal.problems import ExitCode

_QUERY_SECONDS = 20.0
"""Longer than the resolver tries."""


def query(arguments: Namespace, context: Context) -> int:
    """The records on stdout, how they came on stderr; 1 where there is no answer."""
    client = Client(context.paths, deadline=_QUERY_SECONDS)
    result = client.call("dns.query", name=arguments.name, type=arguments.type.upper())
    if arguments.json:
        print_json(result)
    else:
        write(sys.stdout, [line(record) for record in result["answer"]])
        say(_summary(result), "dim" if result["rcode"] == "NOERROR" else "bad")
    return ExitCode.DONE if result["rcode"] == "NOERROR" else ExitCode.FAILED


def _summary(result: dict[str, Any]) -> str:
    origin = "the cache" if result["cached"] else " ".join(filter(None, (result["upstream"], result["path"])))
    came = f" from {origin}" if origin else ""
    reason = f": {result['error']}" if result["error"] else ""
    return f"{result['rcode']}{came} in {result['time_ms']:.1f} ms{reason}"


def flush(_arguments: Namespace, context: Context) -> int:
    """An empty cache."""
    removed = Client(context.paths).call("dns.flush")["removed"]
    say(f"forgot {count(removed, 'answer', 'answers')}")
    return ExitCode.DONE


def status(arguments: Namespace, context: Context) -> int:
    """The upstreams, the cache, and the names that failed most."""
    system = system_dns.shown()
    with told_when_dead():
        details = Client(context.paths).call("dns.status")
    if arguments.json:
        print_json({**details, "system": system})
        return ExitCode.DONE
    lines = [
        *([line(f"system: {system}")] if system else []),
        line(f"{count(details['queries'], 'query', 'queries')}, {details['failed']} failed"),
        line(f"{100 * details['hit_rate']:.0f} % were answered from the cache"),
        line(
            f"cache: {count(details['cache_entries'], 'answer', 'answers')}, {size(details['cache_bytes'])}"
        ),
        line(f"served past their end: {details['stale']}, asked for before it: {details['prefetched']}"),
        *_blocked(details),
        (),
        *table(("UPSTREAM", "ANSWERED", "FAILED", "LATENCY", "LAST ERROR"), _upstreams(details)),
    ]
    failures = [(failure["name"], str(failure["count"])) for failure in details["top_failures"]]
    if failures:
        lines += [(), *table(("NAMES THAT FAILED", "TIMES"), failures)]
    write(sys.stdout, lines)
    return ExitCode.DONE


def _blocked(details: dict[str, Any]) -> list[Line]:
    """Nothing where nothing is blocked."""
    if not details["blocked"] and not details["listed"]:
        return []
    names = count(details["listed"], "name", "names")
    return [line(f"blocked: {count(details['blocked'], 'query', 'queries')}; {names} in block lists")]


def _upstreams(details: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            upstream["name"],
            str(upstream["answered"]),
            str(upstream["failed"]),
            "-" if upstream["latency_ms"] is None else f"{upstream['latency_ms']:.0f} ms",
            upstream["last_error"] or "-",
        )
        for upstream in details["upstreams"]
    ]
