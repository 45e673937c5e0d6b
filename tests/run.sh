#!/bin/sh
# Everything that must hold: style, types, layers, tests, coverage; on this Python and on the newest other one.
#
#     sh tests/run.sh                  all of it
#     sh tests/run.sh -x -k relay      only pytest, with these arguments
#     PYTHON=/path/to/python sh tests/run.sh
#
# What is tested is the built wheel, in an environment made from requirements.lock: a module that the wheel
# forgets fails here and not at the user's. Types and layers are checked on the sources.
set -eu
cd "$(dirname "$0")/.."

packages="python3-venv dante-server libnss-wrapper microsocks openssh-server shadowsocks-libev v2ray redsocks
stunnel4 unbound bind9-dnsutils knot-dnsutils curl netcat-openbsd gnome-keyring groff-base dbus iproute2 nftables procps strace
pipx zenity trayer xvfb xfce4-panel xfconf xdotool dunst"

# Installed, these would run this machine's network and look up its names: they are unpacked for the tests' own machines.
unpacked="systemd systemd-resolved network-manager dbus polkitd pkexec"

say() { printf '== %s\n' "$*" >&2; }

# --- Debian's packages -------------------------------------------------------------------------------------------

missing_packages() {
    for package in $packages; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true) in
            installed) ;;
            *) printf ' %s' "$package" ;;
        esac
    done
}

# The tests start servers themselves: the packages must not, so they are told not to for as long as they install.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        policy=
    else
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM HUP
    fi
    apt-get update -qq || say "apt-get update failed; going on with the lists that are there"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" > /dev/null ||
        say "some packages could not be installed; tests that need them are skipped"
    [ -z "$policy" ] || rm -f "$policy"
    trap - EXIT INT TERM HUP
}

provide_packages() {
    command -v dpkg-query > /dev/null || { say "not Debian: tests of programs that are absent are skipped"; return 0; }
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        say "installing$missing"
        # shellcheck disable=SC2086  # one word for each package
        install_packages $missing
    else
        say "tests that need the missing packages are skipped; to have them all:"
        say "    sudo apt-get install --no-install-recommends$missing"
    fi
}

unpack_packages() { # FOLDER: with what they need that is not installed here
    [ ! -d "$1" ] && [ "$(id -u)" = 0 ] && command -v dpkg-query > /dev/null || return 0
    say "unpacking $unpacked"
    archives=$(mktemp -d)
    mkdir "$archives/partial" "$archives/tree"
    # shellcheck disable=SC2086  # one word for each package
    if apt-get install --download-only -qq -y --no-install-recommends -o "Dir::Cache::archives=$archives" \
        -o APT::Sandbox::User=root $unpacked > /dev/null; then
        for archive in "$archives"/*.deb; do
            [ ! -e "$archive" ] || dpkg-deb --extract "$archive" "$archives/tree"
        done
        chmod 755 "$archives/tree"
        mv "$archives/tree" "$1"
    else
        say "they could not be had; tests that need them are skipped"
    fi
    rm -rf "$archives"
}

# --- Python ------------------------------------------------------------------------------------------------------

usable() { # PYTHON: new enough, and able to make an environment
    "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

main_python() { # the system's own where it will do, else the first one found
    for python in ${PYTHON:-/usr/bin/python3 python3 python3.11 python3.12 python3.13 python3.14}; do
        if usable "$python"; then printf '%s\n' "$python"; return; fi
    done
    say "no Python 3.11 or newer with venv here; on Debian: sudo apt-get install python3-venv"
    return 1
}

other_python() { # the newest of another version than $1; nothing where there is none
    for wanted in 3.14 3.13 3.12 3.11; do
        [ "$wanted" != "$1" ] || continue
        for python in "$(command -v "python$wanted" || true)" "$HOME/.pyenv/versions/$wanted".*/bin/python; do
            if [ -x "$python" ] && usable "$python"; then printf '%s\n' "$python"; return; fi
        done
    done
}

provide_environment() { # PYTHON ENVIRONMENT: the locked packages, made anew when the lock has changed
    cmp -s requirements.lock "$2/requirements.lock" && return 0
    say "making $2"
    rm -rf "$2"
    "$1" -m venv "$2"
    "$2/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        -r requirements.lock
    cp requirements.lock "$2/"
}

install_wheel() { # ENVIRONMENT: built from a copy, for setuptools leaves a folder behind that it would pack next time
    rm -rf "$1/wheel"
    mkdir "$1/wheel"
    cp -R pyproject.toml README.md LICENSE sockslocal tray "$1/wheel/"
    "$1/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --wheel-dir "$1/wheel" "$1/wheel"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall \
        "$1"/wheel/*.whl
}

# --- the checks --------------------------------------------------------------------------------------------------

failed=       # the names of all that failed
failed_checks=0   # how many of them are no tests, which the reports count

check() { # NAME COMMAND...: goes on after a failure, so that one run shows them all
    name=$1
    shift
    say "$name"
    "$@" 9>&- || { failed="$failed, $name"; failed_checks=$((failed_checks + 1)); }
}

check_types() { # PLATFORM PACKAGE...
    platform=$1
    shift
    (cd "$tree" && "$bin/mypy" --cache-dir "$environment/mypy-$platform" --platform "$platform" "$@")
}

check_layers() { (cd "$tree" && PYTHONSAFEPATH='' "$bin/lint-imports" --no-logo --cache-dir "$tree/layers"); }

pytest_here() { # PYTHON ARGUMENTS...: pytest without the checkout on its path, where the sources are
    python=$1
    shift
    "$python" -m pytest -o pythonpath=tests "$@"
}

# Most tests wait for other processes rather than compute, and many of the slow ones stand together: two for each
# of two processors, and who is done takes over from who has most left.
parallel="-n 4 --dist worksteal"

tests() { # NAME REPORT COMMAND...: as `check`; the failures are in the report, unless pytest itself failed
    name=$1
    report=$reports/$2.xml
    shift 2
    say "$name"
    "$@" --junitxml="$report" 9>&- && return 0
    failed="$failed, $name"
    if ! grep -q -E ' (errors|failures)="[1-9]' "$report" 2> /dev/null; then
        failed_checks=$((failed_checks + 1))
    fi
}

summary() { # the closing line: passed, failed and skipped in all reports, a failed check counting as one
    sed -n 's/.*<testsuite [^>]*errors="\([0-9]*\)" failures="\([0-9]*\)" skipped="\([0-9]*\)" tests="\([0-9]*\)".*/\1 \2 \3 \4/p' \
        "$reports"/*.xml | awk -v failed="$failed_checks" \
        '{ bad += $1 + $2; skipped += $3; all += $4 }
         END { printf "%d passed, %d failed, %d skipped\n", all - bad - skipped, bad + failed, skipped }'
}

# --- the run -----------------------------------------------------------------------------------------------------

provide_packages
unpack_packages "$PWD/.venv-test-packages"
python=$(main_python)
number=$(version "$python")
environment=$PWD/.venv-test-$number
bin=$environment/bin
unset PYTHONPATH
export PYTHONSAFEPATH=1  # the sources are no import path: what is tested is what was installed

if command -v flock > /dev/null; then
    exec 9> ".venv-test.lock"
    flock -n 9 || { say "waiting for another run in this checkout"; flock 9; }
    # each check is started with 9>&-: what it leaves running must not keep the next run waiting
fi

provide_environment "$python" "$environment"
install_wheel "$environment"
[ $# = 0 ] || { pytest_here "$bin/python" "$@" 9>&-; exit; }

tree=$environment/tree  # the sources under the names they are imported by
rm -rf "$tree"
mkdir "$tree"
for part in pyproject.toml sockslocal tests; do ln -s "$PWD/$part" "$tree/$part"; done
ln -s "$PWD/tray" "$tree/sockslocal_tray"
reports=$environment/reports
rm -rf "$reports"
mkdir "$reports"
export COVERAGE_FILE="$reports/coverage"

check "style" "$bin/ruff" check .
check "format" "$bin/ruff" format --check .
check "types: linux" check_types linux sockslocal sockslocal_tray tests
check "types: win32" check_types win32 sockslocal sockslocal_tray
check "types: darwin" check_types darwin sockslocal sockslocal_tray
check "layers" check_layers
check "coverage of the pure modules" "$bin/python" tests/pure_coverage.py

# shellcheck disable=SC2086  # one word for each
tests "tests on $number" parallel "$bin/coverage" run -m pytest -o pythonpath=tests $parallel -m "not serial"
tests "tests on $number that need the machine for themselves" serial pytest_here "$bin/python" -m serial
check "coverage" "$bin/coverage" report --skip-covered --skip-empty

other=$(other_python "$number")
if [ -n "$other" ]; then
    number=$(version "$other")
    environment=$PWD/.venv-test-$number
    provide_environment "$other" "$environment"
    install_wheel "$environment"
    # shellcheck disable=SC2086  # one word for each
    tests "tests on $number" other pytest_here "$environment/bin/python" $parallel -m "not serial"
fi

[ -z "$failed" ] || say "FAILED:${failed#,}"
summary
[ -z "$failed" ]
