#!/bin/sh
# Names over a bad way, and without any for minutes, under load: sh tests/bench/dns_outage.sh [OPTIONS]
#
# In a network namespace of its own, which ends with it; PYTHON chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
own_user=
[ "$(id -u)" = 0 ] || own_user="--user --map-root-user"
# shellcheck disable=SC2086  # two words or none
PYTHONPATH=$here/../..:$here/.. exec unshare --net $own_user "${PYTHON:-python3}" "$here/dns_outage.py" "$@"
