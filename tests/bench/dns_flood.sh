#!/bin/sh
# What others wait while names are asked without end: sh tests/bench/dns_flood.sh [OPTIONS OF dns_flood.py]
#
# All on loopback; PYTHON chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH=$here/../..:$here/.. exec "${PYTHON:-python3}" "$here/dns_flood.py" "$@"
