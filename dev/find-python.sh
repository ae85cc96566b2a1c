#!/bin/sh
# Prints the path of a Python that can run this project, newest tested version first: on PATH, in
# pyenv's versions (its shims may hide them), among uv's own. Says what is missing when there is none.
set -eu

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

candidates() {
    for version in 3.13 3.14 3.12; do
        command -v "python$version" || :
        for home in "${PYENV_ROOT:-$HOME/.pyenv}/versions" "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"; do
            ls -d "$home"/"$version".*/bin/python "$home"/cpython-"$version".*/bin/python 2>/dev/null || :
        done
    done
    command -v python3 || :
    command -v python || :
}

candidates | {
    while read -r python; do
        if usable "$python"; then
            echo "$python"
            exit 0
        fi
    done
    exit 1
} && exit 0

# A machine without any: uv can fetch one, where it is installed and may reach its downloads.
if command -v uv >/dev/null 2>&1 && uv python install --quiet 3.13 2>/dev/null; then
    uv python find 3.13
    exit 0
fi

echo "Python 3.12 or later (with its venv module) was not found on PATH, under pyenv or through uv: install one, for example with 'pyenv install 3.13' or 'apt install python3.13-venv'." >&2
exit 1
