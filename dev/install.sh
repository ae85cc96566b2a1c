#!/bin/sh
# Makes .venv hold exactly what uv.lock names. Quick when it does already.
set -eu
cd "$(dirname "$0")/.."

wanted=$(cat pyproject.toml uv.lock | cksum)
if [ "$(cat .venv/.installed 2>/dev/null || :)" = "$wanted" ] &&
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
    exit 0
fi

python=$(sh dev/find-python.sh)
echo "Installing into .venv with $python ..."

# A .venv that another Python left, or whose Python is gone, is made anew.
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
    "$python" -m venv --clear .venv
fi
rm -f .venv/.installed

uv=.venv/bin/uv
if ! [ -x "$uv" ]; then
    pinned=$(sed -n '/^name = "uv"$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)
    if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$pinned"; then
        echo "uv $pinned could not be installed from PyPI: check that this machine reaches PyPI (or that pip knows your mirror)." >&2
        exit 1
    fi
fi
UV_PROJECT_ENVIRONMENT=.venv "$uv" sync --locked --quiet --python .venv/bin/python
echo "$wanted" >.venv/.installed
