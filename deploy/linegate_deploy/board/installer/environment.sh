# shellcheck shell=sh
# The environment: made beside the old one, complete or not there.

# Where nothing was carried, requirements and the runtime's wheel come from a checkout.
find_requirements() {
    if [ -n "$kit" ]; then
        requirements=$kit/requirements-$(python_version).txt
        wheel=
    else
        requirements=$here/requirements.txt
        set -- "$here"/linegate_runtime-*.whl "$here"/../../../build/wheels/linegate_runtime-*.whl
        wheel=
        for file in "$@"; do
            [ -f "$file" ] || continue
            [ -z "$wheel" ] ||
                fail 2 "expected one wheel of the runtime, found $wheel and $file; remove one"
            wheel=$file
        done
        [ -n "$wheel" ] ||
            fail 2 "expected the runtime's wheel in build/wheels or beside this script, found" \
                "none. In a checkout: make wheels. Without network: linegate deploy-kit" \
                "--platform $(own_platform) on the workstation, and install.sh from that kit"
    fi
    # The name of the environment says what is in it, so the same is never installed twice.
    id=$({
        python_version
        echo "picamera2=$picamera2"
        cat "$requirements" ${wheel:+"$wheel"}
    } | sha256sum | cut -c1-12)
}

# One that is damaged stays until another is in its place: a line may run in it.
make_environment() {
    for env in "$APP/env-$id" "$APP/env-$id"-*; do
        [ -e "$env/SHA256SUMS" ] || continue
        if is_whole; then return 0; fi
        say "$env is damaged, see above; another is made"
    done
    env=$APP/env-$id
    if [ -e "$env" ] && ! is_half_made "$env"; then env=$env-$(date +%Y%m%d%H%M%S); fi
    rm -rf "$env"
    mkdir -p "$APP"
    building=$env
    changed=yes
    say "setting up $env"
    python -m venv --without-pip ${picamera2:+--system-site-packages} "$env"
    if [ -n "$kit" ]; then install_from_kit; else install_from_index; fi
    # Where the list is, doctor can compare; without hashes of wheels that are gone.
    install -m 644 "$requirements" "$env/requirements.txt"
    # The service cannot write here, so what it loads is compiled now; what it does not, need not be.
    "$env/bin/python" -I -m compileall -q "$env"/lib/python*/site-packages/linegate_*
    loads || fail 6 "the environment does not work here, see above; nothing was changed"
    seal
    building=
}

# The sums say that all is there, so they come last: a power cut leaves none, or all of it.
seal() {
    sync
    (cd "$env" && find . -type f ! -path './SHA256SUMS*' -exec sha256sum {} +) >"$env/SHA256SUMS.new"
    sync
    mv "$env/SHA256SUMS.new" "$env/SHA256SUMS"
    sync
}

is_whole() {
    (cd "$env" && sha256sum --check --quiet --strict SHA256SUMS) >&2 && [ -x "$env/bin/python" ]
}

# Made by a run that was interrupted; nothing has ever run in it.
is_half_made() { [ ! -e "$1/SHA256SUMS" ] && [ "$(readlink "$APP/env")" != "${1##*/}" ]; }

loads() {
    "$env/bin/python" -I -c '
import ai_edge_litert.interpreter, cv2, msgspec, numpy, onnxruntime, sqlite3
import asyncua, gpiozero, paho.mqtt.client, prometheus_client.exposition
import pymodbus.client, pymodbus.server'
}

install_from_kit() {
    install_wheels "$kit/$(listed 'wheels/pip-.*')" --no-index --find-links "$kit/wheels"
}

install_from_index() {
    python -m ensurepip --version >/dev/null 2>&1 ||
        fail 4 "python3-venv is missing: apt install python3-venv"
    bootstrap=$(mktemp -d "${TMPDIR:-/var/tmp}/linegate-pip.XXXXXX")
    # pip of the system may be too old to install for another environment; ours is pinned.
    { python -m venv "$bootstrap/venv" &&
        "$bootstrap/venv/bin/python" -I -m pip download --quiet --disable-pip-version-check \
            --no-input --retries 1 --timeout 20 --require-hashes --no-deps \
            --dest "$bootstrap" --requirement "$here/installer.txt"; } || not_fetched
    set -- "$bootstrap"/pip-*.whl
    install_wheels "$1" --retries 2 --timeout 30
    python "$1/pip" --python "$env/bin/python" install --quiet --disable-pip-version-check \
        --no-input --no-compile --no-deps --no-index "$wheel" || fail 6 "$wheel cannot be installed"
    rm -rf "$bootstrap"
    bootstrap=
}

not_fetched() {
    fail 7 "the wheels cannot be fetched from the package index, see above, and no kit was given." \
        "On a board without network: linegate deploy-kit --platform $(own_platform) on the" \
        "workstation, then here: sh install.sh --offline KIT.tar. Nothing was changed"
}

# pip runs from its own wheel, so that the environment needs none.
install_wheels() {
    pip=$1
    shift
    python "$pip/pip" --python "$env/bin/python" install --quiet --disable-pip-version-check \
        --no-input --no-cache-dir --no-compile --no-deps --only-binary=:all: --require-hashes \
        --root-user-action=ignore "$@" --requirement "$requirements" || {
        [ -n "$kit" ] || not_fetched
        fail 6 "the wheels of the kit cannot be installed, see above; nothing was changed"
    }
}

# lgpio reaches the pins and has no wheel for Python 3.13; Raspberry Pi OS has its own.
link_system_lgpio() {
    # Found and not imported: lgpio makes a file where it is imported.
    find='import importlib.util as i; print(*[i.find_spec(n).origin for n in ("lgpio", "_lgpio")])'
    "$env/bin/python" -I -c "$find" >/dev/null 2>&1 && return 0
    where=$(python -c "$find" 2>/dev/null) || return 0
    say "the pins are reached through the system's lgpio"
    for file in $where; do
        ln -sf "$file" "$(echo "$env"/lib/python3*/site-packages)/"
    done
    changed=yes
}
