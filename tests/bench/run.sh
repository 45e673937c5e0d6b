#!/bin/sh
# Builds the load generators and compares the forwarders: sh tests/bench/run.sh [OPTIONS OF compare.py]
#
# All of it runs in network namespaces of its own, which end with it; PYTHON chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
make -s -C "$here" BUILD="$build"
own_user=
[ "$(id -u)" = 0 ] || own_user="--user --map-root-user"
# shellcheck disable=SC2086  # two words or none
PYTHONPATH=$here/../..:$here/.. unshare --net $own_user "${PYTHON:-python3}" "$here/compare.py" --generators "$build" "$@"
