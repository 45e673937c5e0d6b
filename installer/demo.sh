#!/bin/sh
# Installs sockslocal from this checkout into an environment of its own and starts its demonstration there:
#
#     sh installer/demo.sh [--once]
#
# The environment lies in the user's cache folder and is used again for as long as nothing here has changed.
set -eu
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
home=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/sockslocal-demo

say() { printf 'sockslocal demo: %s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; }

makes_environments() { "$1" -c 'import ensurepip, venv' 2> /dev/null; }

find_python() { # the first that is new enough, one that can make environments before one that cannot
    for able in makes_environments true; do
        for python in python3 python3.14 python3.13 python3.12 python3.11; do
            if new_enough "$python" && "$able" "$python"; then command -v "$python"; return; fi
        done
    done
    say "there is no Python 3.11 or newer here"
    return 1
}

provide_venv() { # PYTHON: Debian has the module in a package of its own
    makes_environments "$1" && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        say "$1 cannot make environments; on Debian and Ubuntu this mends it:"
        say "    sudo apt-get install python3-venv"
        return 1
    fi
    say "installing python3-venv"
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv > /dev/null
    makes_environments "$1" || { say "$1 still cannot make environments"; return 1; }
}

fingerprint() { # what is installed, and with which Python
    "$1" -VV
    (cd "$checkout" && find pyproject.toml sockslocal tray -type f ! -name '*.pyc' -exec cksum {} + | sort)
}

install() { # from a copy, for building leaves files behind
    rm -rf "$home/environment" "$home/source"
    mkdir -p "$home/source"
    (cd "$checkout" && cp -R pyproject.toml README.md LICENSE sockslocal tray "$home/source/")
    say "making an environment in $home"
    "$1" -m venv "$home/environment"
    say "installing sockslocal and the libraries it needs"
    "$home/environment/bin/python" -m pip install --quiet --disable-pip-version-check "$home/source" >&2
    rm -rf "$home/source"
}

python=$(find_python)
provide_venv "$python"
mkdir -p "$home"
if command -v flock > /dev/null; then
    exec 9> "$home/lock"
    flock 9
fi
wanted=$(fingerprint "$python")
if [ ! -f "$home/installed" ] || [ "$wanted" != "$(cat "$home/installed")" ]; then
    rm -f "$home/installed"
    install "$python"
    printf '%s\n' "$wanted" > "$home/installed"
fi
exec 9>&-
exec "$home/environment/bin/sockslocal" demo "$@"
