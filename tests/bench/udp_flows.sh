#!/bin/sh
# What many UDP flows cost a SOCKS5 server, by the forwarder that asks: sh tests/bench/udp_flows.sh [OPTIONS]
#
# All on loopback, with Dante as the server; PYTHON chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH=$here/../..:$here/.. exec "${PYTHON:-python3}" "$here/udp_flows.py" "$@"
