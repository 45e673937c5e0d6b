#!/bin/sh
# Renews requirements.lock: each package the tests need, for every platform and Python, with its hashes.
# Needs uv, which is on the package index. Without --upgrade what still fits keeps its version.
set -eu
cd "$(dirname "$0")/.."
exec uv pip compile pyproject.toml --group dev --quiet --no-config --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command "sh tests/lock.sh" --output-file requirements.lock "$@" > /dev/null
