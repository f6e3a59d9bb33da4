#!/bin/sh
# Print the path of a CPython for which an OpenFHE wheel exists and can load here:
# the one that is named as the argument, or the first that fits on PATH, under pyenv, or through uv.
# Shell builtins only, so that the closing message appears whatever PATH holds.
set -u

# Exits with 0 and prints the interpreter's path where it fits, else with 3 and prints the reason.
# It has to be understood by any Python: whatever stands behind the name is asked.
probe='
import platform, sys
oldest_glibc = {(3, 10): (2, 34), (3, 12): (2, 38)}
version = tuple(sys.version_info[:2])
libc, release = platform.libc_ver()
reason = None
if platform.python_implementation() != "CPython" or version not in oldest_glibc:
    reason = "is %s %d.%d" % ((platform.python_implementation(),) + version)
elif sys.platform != "linux" or platform.machine() != "x86_64":
    reason = "runs on %s %s" % (sys.platform, platform.machine())
elif libc != "glibc" or tuple(map(int, release.split(".")[:2])) < oldest_glibc[version]:
    reason = "would need glibc %d.%d and finds %s %s" % (oldest_glibc[version] + (libc or "no glibc", release))
else:
    try:
        import ensurepip, venv
    except ImportError:
        reason = "has no venv and ensurepip modules (Debian and Ubuntu: python%d.%d-venv)" % version
print(reason or sys.executable)
sys.exit(3 if reason else 0)
'
supported="CPython 3.10 (on Ubuntu 22.04, Debian 12 or newer) or CPython 3.12 (on Ubuntu 24.04, Debian 13 or newer)"
supported="$supported on x86-64 Linux with the venv module"

# Running it is the only test: a pyenv shim lies on PATH for versions that are not switched on.
answer_of() {
    "$1" -E -s -c "$probe" 2>/dev/null || { [ $? -eq 3 ] || printf 'does not run'; return 1; }
}

offer() {
    if answer=$(answer_of "$1"); then
        printf '%s\n' "$answer"
        exit 0
    fi
}

on_path() {
    saved_ifs=$IFS
    IFS=:
    for folder in ${PATH:-}; do
        IFS=$saved_ifs
        [ ! -x "$folder/$1" ] || offer "$folder/$1"
    done
    IFS=$saved_ifs
}

under_pyenv() {
    for candidate in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/bin/"$1"; do
        [ ! -x "$candidate" ] || offer "$candidate"
    done
}

through_uv() {
    command -v uv >/dev/null 2>&1 || return 0
    for version in 3.10 3.12; do
        candidate=$(uv python find --system --no-project "$version" 2>/dev/null) && offer "$candidate"
    done
    printf 'No fitting Python on this machine: uv fetches CPython 3.10.\n' >&2
    uv python install 3.10 >&2 || return 0
    candidate=$(uv python find --system --no-project 3.10 2>/dev/null) && offer "$candidate"
}

if [ -n "${1:-}" ]; then
    offer "$1"
    printf 'PYTHON=%s %s; OpenFHE has wheels only for %s: point to one with "make PYTHON=/path/to/python3.10".\n' \
        "$1" "$answer" "$supported" >&2
    exit 1
fi
for name in python3.10 python3.12; do on_path "$name"; done
for name in python3.10 python3.12; do under_pyenv "$name"; done
through_uv
printf 'No fitting Python found: OpenFHE has wheels only for %s: point to one with "make PYTHON=/path/to/python3.10".\n' \
    "$supported" >&2
exit 1
