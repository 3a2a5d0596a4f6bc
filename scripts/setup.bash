# What scripts/demo and scripts/test share: Debian packages, virtual environments and npm's packages, installed once.
# Sourced, after `set -euo pipefail`; $root is the checkout.

# The real parts that tests run against: a broker, a sound server, a voice, a browser with a font, a C compiler (PyAudio,
# a delegate), GStreamer by the system's own Python; strace shows what a run does.
test_packages=(mosquitto mosquitto-clients portaudio19-dev pulseaudio pulseaudio-utils libasound2-plugins
    alsa-utils espeak-ng chromium fonts-dejavu-core gcc libc6-dev python3-dev openssl systemd strace
    python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good)
# What the box is installed from, in this order.
locks=("$root/device/build.lock" "$root/device/requirements.lock")

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# need_packages PACKAGE...: install those Debian packages that are missing.
need_packages() {
    local missing=() package
    command -v dpkg-query >/dev/null ||
        fail "this is not Debian, Ubuntu or Raspberry Pi OS; install what is called there: $*"
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local become=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail "packages are missing; run: sudo apt-get install ${missing[*]}"
        become=(sudo -n)
    fi
    echo "installing ${missing[*]}" >&2
    "${become[@]}" apt-get update -qq >&2 || fail "'apt-get update' failed; is the network there?"
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        </dev/null >&2 || fail "'apt-get install ${missing[*]}' failed"
}

# find_python: print the first Python from 3.10 to 3.13, preferring `python3`.
find_python() {
    local python
    for python in python3 python3.11 python3.12 python3.13 python3.10; do
        if "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
            "$python" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "no Python from 3.10 to 3.13 found; install python3"
}

# fetch_detector FOLDER: let the affectd of this environment fetch BlazeFace, which tests need, unless it is there.
fetch_detector() {
    "$1/bin/affectd" fetch blazeface >&2 || fail "BlazeFace could not be fetched; the line before says why"
}

# find_new_python: print the newest Python from 3.12 to 3.13, on the PATH or a pyenv's; nothing where there is none.
find_new_python() {
    local name python
    for name in python3.13 python3.12; do
        for python in "$name" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/"$name"; do
            "$python" -c 'import sys; print(sys.executable)' 2>/dev/null && return
        done
    done
    return 0
}

# has_system_cameras PYTHON: whether this Python has camera libraries that come as Debian packages only, so that a virtual
# environment must see them: picamera2 in Raspberry Pi OS, and GStreamer by PyGObject.
has_system_cameras() {
    "$1" -c '
import importlib.util
if not importlib.util.find_spec("picamera2"):
    import gi
    gi.require_version("GstApp", "1.0")
' 2>/dev/null
}

# locked LOCK...: print what these lock files name, for pip's --constraint: it takes no hashes there.
locked() { sed -n 's/ *\\$//; /^[a-z].*==/p' "$@"; }

# make_venv FOLDER EXTRAS [PYTHON LOCK...]: a virtual environment with this checkout and its extras in it, made again
# when pyproject.toml, the extras, the Python, its camera libraries or a lock file change, and left alone otherwise. What
# the lock files name is installed as scripts/install-device does, and the extras move none of it.
make_venv() {
    local folder=$1 extras=$2 python=${3:-} locks=("${@:4}") lock stamp options=() constraint=()
    [ -n "$python" ] || python=$(find_python)
    has_system_cameras "$python" && options=(--system-site-packages)
    stamp=$({ "$python" -VV; echo "$extras" "${options[@]}"; cat "$root/pyproject.toml" "${locks[@]}"; } | sha256sum)
    [ "$(cat "$folder/installed" 2>/dev/null)" = "$stamp" ] && return
    "$python" -c 'import venv, ensurepip' 2>/dev/null || need_packages python3-venv
    echo "installing affectd[$extras] into $folder (once; some minutes on a small board)" >&2
    "$python" -m venv --clear "${options[@]}" "$folder" || fail "'$python -m venv' failed; is python3-venv installed?"
    local pip=("$folder/bin/python" -m pip --quiet --disable-pip-version-check install --use-pep517)
    if [ ${#locks[@]} -gt 0 ]; then
        pip+=(--no-build-isolation)
        locked "${locks[@]}" >"$folder/constraints.txt"
        constraint=(--constraint "$folder/constraints.txt")
    fi
    for lock in "${locks[@]}"; do
        "${pip[@]}" --require-hashes --requirement "$lock" || fail "pip could not install $lock; its last lines say why"
    done
    "${pip[@]}" "${constraint[@]}" --editable "$root[$extras]" ||
        fail "pip could not install affectd[$extras]; its last lines say why"
    echo "$stamp" >"$folder/installed"
}

# make_node_modules FOLDER: what its package-lock.json names, installed by npm, again when that changes.
make_node_modules() {
    local folder=$1 stamp
    stamp=$(sha256sum <"$folder/package-lock.json")
    [ "$(cat "$folder/node_modules/installed" 2>/dev/null)" = "$stamp" ] && return
    # Some packages of nodejs bring npm along, and Debian's npm does not go with those.
    command -v npm >/dev/null || need_packages nodejs npm
    echo "installing what $folder/package-lock.json names (once)" >&2
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent ||
        fail "'npm ci --prefix $folder' failed; is the network there?"
    echo "$stamp" >"$folder/node_modules/installed"
}
