#!/bin/sh
# find_python.sh openfhe|spu [PYTHON]
# Print the path of a CPython for which a wheel of the library exists and can load here:
# the one that is named, or the first that fits on PATH, under pyenv, or through uv.
# Shell builtins only, so that the closing message appears whatever PATH holds.
set -u

# Versions in the order of preference, and the glibc that the wheel for each needs.
case "${1:-}" in
openfhe)
    versions="3.10 3.12"
    oldest_glibc="{(3, 10): (2, 34), (3, 12): (2, 38)}"
    supported="CPython 3.10 (on Ubuntu 22.04, Debian 12 or newer) or CPython 3.12 (on Ubuntu 24.04, Debian 13 or newer)"
    needs="OpenFHE has wheels only for" variable=PYTHON
    ;;
spu)
    versions="3.11"
    oldest_glibc="{(3, 11): (2, 17)}"
    supported="CPython 3.11"
    needs="SPU runs here under" variable=SPU_PYTHON
    ;;
*)
    printf 'usage: find_python.sh openfhe|spu [PYTHON]\n' >&2
    exit 2
    ;;
esac
supported="$supported on x86-64 Linux with the venv module"
advice="point to one with \"make $variable=/path/to/python${versions%% *}\""

# Exits with 0 and prints the interpreter's path where it fits, else with 3 and prints the reason.
# It has to be understood by any Python: whatever stands behind the name is asked.
probe='
import platform, sys
oldest_glibc = '"$oldest_glibc"'
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
    for version in $versions; do
        candidate=$(uv python find --system --no-project "$version" 2>/dev/null) && offer "$candidate"
    done
    version=${versions%% *}
    printf 'No fitting Python on this machine: uv fetches CPython %s.\n' "$version" >&2
    uv python install "$version" >&2 || return 0
    candidate=$(uv python find --system --no-project "$version" 2>/dev/null) && offer "$candidate"
}

if [ -n "${2:-}" ]; then
    offer "$2"
    printf '%s=%s %s; %s %s: %s.\n' "$variable" "$2" "$answer" "$needs" "$supported" "$advice" >&2
    exit 1
fi
for version in $versions; do on_path "python$version"; done
for version in $versions; do under_pyenv "python$version"; done
through_uv
printf 'No fitting Python found: %s %s: %s.\n' "$needs" "$supported" "$advice" >&2
exit 1
