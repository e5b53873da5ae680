#!/bin/sh
# Makes .venv and installs what `make run` (or, with the word dev, `make test`) needs; does nothing when that is there.
# With the word judges: .venv-azure (see judges.sh).
set -eu
cd "$(dirname "$0")/.."
want=${1:-run}
[ "$want" != judges ] || exec sh tools/judges.sh

# Where PYTHONDONTWRITEBYTECODE is set, every start of the command would compile the package anew: half of its time.
compile() {
    .venv/bin/python -m compileall -q pipeline
}

# What is installed depends on these files and, for an editable install, on where the checkout lies.
state="$(cat pyproject.toml models/diabetes/requirements.txt tools/setup.sh | cksum) $PWD"
if [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null; then
    for stamp in ".venv/$want.stamp" .venv/dev.stamp; do
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ]; then
            compile
            exit 0
        fi
    done
else
    rm -rf .venv
fi

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 2
}

# A virtual environment of another checkout's has that one's path in its scripts.
if [ -f .venv/home.stamp ] && [ "$(cat .venv/home.stamp)" != "$PWD" ]; then rm -rf .venv; fi

if [ ! -d .venv ]; then
    python=
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "Python 3.11 or newer is needed, and none was found." \
        "On Debian and Ubuntu: apt-get install python3 python3-venv; elsewhere name one: make run PYTHON=/path/to/python3"
    echo "making .venv with $("$python" --version)"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -c 'import virtualenv' 2>/dev/null; then
        "$python" -m virtualenv -q .venv
    elif command -v uv >/dev/null 2>&1; then
        uv venv -q --seed --python "$python" .venv
    elif "$python" -c 'import venv, pip' 2>/dev/null; then
        # Debian keeps ensurepip in python3-venv; with python3-pip alone, pip can install itself into the new place.
        "$python" -m venv --without-pip .venv
        "$python" -m pip --python .venv/bin/python install -q pip || { rm -rf .venv; fail "pip could not be installed."; }
    else
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$python cannot make virtual environments." \
            "On Debian and Ubuntu: apt-get install python$version-venv; or install uv or virtualenv; then try again."
    fi
    printf '%s' "$PWD" > .venv/home.stamp
fi

echo "installing what make $([ "$want" = dev ] && echo test || echo run) needs into .venv"
if [ "$want" = dev ]; then
    set -- -e '.[dev]' -r models/diabetes/requirements.txt
else
    set -- -e .
fi
# Compatible mode is one line in a .pth file; the other mode costs each start of the command some milliseconds.
.venv/bin/python -m pip install -qq --disable-pip-version-check --config-settings editable_mode=compat "$@" ||
    fail "pip could not install what is needed: see its message above." \
        "It uses your own settings: an index (pip config set global.index-url ...), a proxy (HTTPS_PROXY), a CA (PIP_CERT)."
printf '%s' "$state" > ".venv/$want.stamp"
compile
