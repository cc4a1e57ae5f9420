#!/usr/bin/env bash
# The robot's DDS for Python: cyclonedds 0.10.2, built on the C library of the system's packages.
#
#   bash requirements/cyclonedds.sh PYTHON      PYTHON: the interpreter to install into, such as .venv/bin/python
#
# PyPI has 0.10.2 as wheels up to Python 3.10 only, and as source for the others; its build looks for library and headers
# in one folder, which Debian and Ubuntu do not have, so such a folder of links is made beside the interpreter. Newer
# versions are no way out: they crash the robot's computers. Nothing is done where it is installed already.
set -euo pipefail

version=0.10.2
python=${1:?which Python to install into, such as .venv/bin/python}

if "$python" -I -c "
import importlib.metadata, cyclonedds.domain
assert importlib.metadata.version('cyclonedds') == '$version'" 2>/dev/null; then
  exit 0
fi

say() { echo "the robot's DDS (cyclonedds $version): $*"; }

if "$python" -c 'import sys; sys.exit(sys.version_info >= (3, 11))'; then
  say "installing the wheel"
  exec "$python" -m pip install --quiet --disable-pip-version-check --only-binary cyclonedds "cyclonedds==$version"
fi

libraries=$(ldconfig -p | awk '/libddsc\.so /{print $NF; exit}' | xargs -r dirname)
if [ -z "$libraries" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing the system's cyclonedds-dev"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends cyclonedds-dev >/dev/null
    libraries=$(ldconfig -p | awk '/libddsc\.so /{print $NF; exit}' | xargs -r dirname)
  else
    say "needs: sudo apt-get install cyclonedds-dev gcc"
    exit 1
  fi
fi
[ -n "$libraries" ] || { say "this system's packages have no libddsc; build tag $version of it from source"; exit 1; }

found=$(readlink -f "$libraries/libddsc.so")
case "$found" in
  *."$version") ;;
  *) say "the system's library is $found; it must be $version: build that tag from source"; exit 1 ;;
esac
command -v gcc >/dev/null || { say "needs a C compiler: sudo apt-get install gcc"; exit 1; }

home=$("$python" -c 'import sys; print(sys.prefix)')/cyclonedds
mkdir -p "$home/lib" "$home/include" "$home/bin"
ln -sf "$libraries"/libddsc.so* "$libraries"/libcycloneddsidl.so* "$home/lib/"
ln -sfn /usr/include/dds "$home/include/dds"
ln -sfn /usr/include/idl "$home/include/idl"
say "building"
# Not from pip's cache: a wheel remembers the folder that it was built with.
CYCLONEDDS_HOME=$home "$python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps "cyclonedds==$version"
