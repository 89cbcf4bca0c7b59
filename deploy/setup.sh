#!/usr/bin/env bash
# Makes or renews the virtual environment $1 from requirements.lock, then fetches the broker's jars.
# Ends with one sentence where it can't.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

fail() {
  echo "setup: $*" >&2
  exit 1
}

command -v "$python" >/dev/null || fail "$python was not found: install Python 3.11 or newer, or name it: make setup PYTHON=/path/to/python3."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail "$python ($("$python" -V 2>&1 | head -n 1)) won't do: Python 3.11 or newer is needed; name one with make setup PYTHON=/path/to/python3."

# A virtual environment whose Python is gone or of another version is made anew.
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ -e "$venv" ] && ! "$venv/bin/python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
  rm -rf "$venv"
fi

if command -v uv >/dev/null; then
  [ -e "$venv" ] || uv venv --quiet --python "$(command -v "$python")" "$venv" || fail "uv could not make $venv."
  install() { VIRTUAL_ENV=$venv uv pip install --quiet "$@"; }
else
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=python$version-venv
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      fail "$python can't make virtual environments: run apt-get install $package (as root), then make setup again."
    echo "setup: installing the system package $package" >&2
    { apt-get install -y -qq "$package" || { apt-get update -qq && apt-get install -y -qq "$package"; }; } >/dev/null 2>&1 ||
      fail "the system package $package could not be installed: run apt-get install $package, then make setup again."
  fi
  # Made again where an earlier try was cut short before it had pip.
  [ -x "$venv/bin/pip" ] || "$python" -m venv --clear "$venv" || fail "$python could not make $venv."
  install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
fi

echo "setup: installing Python packages into $venv (once, about 1.5 GB)" >&2
install -r requirements.lock ||
  fail "the Python packages could not be installed (the reason is above): check the network and the free disk space, then run make setup again."
# The build backend is in the lock: nothing is resolved or downloaded here.
install --no-deps --no-build-isolation --editable . || fail "the project itself could not be installed into $venv."
"$venv/bin/python" -m deploy.embedded.jars
"$venv/bin/python" -m deploy.embedded.archive
