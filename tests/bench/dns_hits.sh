#!/bin/sh
# What an answer from the cache costs, beside other caches: sh tests/bench/dns_hits.sh [OPTIONS OF dns_hits.py]
#
# All on loopback; PYTHON chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH=$here/../..:$here/.. exec "${PYTHON:-python3}" "$here/dns_hits.py" "$@"
