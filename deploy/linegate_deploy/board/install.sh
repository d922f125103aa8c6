#!/bin/sh
# Sets up linegate on this board, or removes it. Run `sh install.sh --help`.
#
# It looks at everything first and changes nothing until that is well. What it writes, it writes
# beside and renames, so that it may be interrupted and run again.
set -eu

APP=/opt/linegate
SETTINGS=/etc/linegate
DATA=/var/lib/linegate
UNIT=/etc/systemd/system/linegate.service
JOURNAL=/etc/systemd/journald.conf.d/linegate.conf
COMMAND=/usr/local/bin/linegate
LOCK=/run/linegate-install.lock
ACCOUNT=linegate
# Cameras, the camera's own memory, pins.
GROUPS_WANTED="video render gpio"
# The environment takes 330 MB at most; wheels are unpacked beside it, one at a time.
NEEDED_MB=450
SIGNED="Installed by linegate's install.sh"

usage() {
    cat <<'USAGE'
usage: sh install.sh [--offline DIR] [--with-picamera2] [--no-start]
       sh install.sh --uninstall

Installs linegate as a service on a 64-bit Debian, Raspberry Pi OS or Ubuntu.

  --offline DIR      take wheels, bundle and settings from this folder of a kit, or from the
                     kit's .tar file; needless if this script lies in a kit
  --with-picamera2   for cameras at a Raspberry Pi's own connector: the environment sees the
                     system's python3-picamera2
  --no-start         do not start the service
  --uninstall        remove everything but the data in /var/lib/linegate; the settings are
                     moved there, and a later installation takes them again
USAGE
}

say() { printf '%s\n' "linegate: $*"; }
fail() {
    code=$1
    shift
    printf '%s\n' "linegate: error: $*" >&2
    exit "$code"
}
has() { command -v "$1" >/dev/null 2>&1; }

# Exit codes: 2 wrong options, 4 this system does not fit, 6 an engine or wheels fail,
# 7 something cannot be written, 3 a file of the kit is damaged.

# --- what is there ---------------------------------------------------------------------------

find_kit() {
    here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
    kit=
    unpacked=
    if [ -n "$offline" ]; then
        [ -e "$offline" ] || fail 2 "--offline $offline: there is no such folder or file"
        if [ -f "$offline" ]; then
            unpacked=$(mktemp -d "${TMPDIR:-/var/tmp}/linegate-kit.XXXXXX")
            tar -xf "$offline" -C "$unpacked" 2>/dev/null ||
                fail 3 "$offline: expected a kit as \`linegate deploy-kit\` makes it, cannot unpack it"
            set -- "$unpacked"/*/kit.conf
            offline=$(dirname "$1")
        fi
        [ -f "$offline/kit.conf" ] ||
            fail 2 "--offline $offline: expected a kit's folder, with kit.conf and wheels; make" \
                "one on the workstation: linegate deploy-kit --platform $(own_platform)"
        kit=$(cd "$offline" && pwd)
    elif [ -f "$here/kit.conf" ]; then
        kit=$here
    fi
}

own_platform() {
    case "$(architecture)-$(python_version)" in
        amd64-*) echo debian-x86 ;;
        *-3.13) echo rpi-trixie ;;
        *) echo rpi-bookworm ;;
    esac
}

architecture() { dpkg --print-architecture 2>/dev/null || uname -m; }

python_version() { python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

kit_says() { sed -n "s/^$1=//p" "$kit/kit.conf"; }

# --- does this system fit --------------------------------------------------------------------

check_system() {
    has dpkg || fail 4 "expected Raspberry Pi OS, Debian or Ubuntu, got a system without dpkg"
    case "$(architecture)" in
        arm64 | amd64) ;;
        *)
            fail 4 "expected a 64-bit system, this one is $(architecture): the engines" \
                "(ai-edge-litert, onnxruntime) have no builds for 32 bit. On a Raspberry Pi" \
                "Zero 2 W, 3, 4 or 5 write the 64-bit Raspberry Pi OS to the card. A 64-bit" \
                "kernel (uname -m says $(uname -m)) under a 32-bit system is not enough"
            ;;
    esac
    has python3 || fail 4 "python3 is missing: apt install python3"
    case "$(python_version)" in
        3.11 | 3.12 | 3.13) ;;
        *)
            fail 4 "expected Python 3.11, 3.12 or 3.13, got $(python_version): Debian 12 and 13," \
                "Raspberry Pi OS of the same names and Ubuntu 24.04 have them"
            ;;
    esac
    python3 -c 'import venv' 2>/dev/null || fail 4 "python3 has no venv: apt install python3-venv"
    has useradd || fail 4 "useradd is missing: apt install passwd"
    has systemctl || fail 4 "systemctl is missing: linegate runs as a service of systemd"
}

check_kit() {
    [ -n "$kit" ] || return 0
    wanted="$(architecture) $(python_version)"
    fits=
    for python in $(kit_says pythons); do
        [ "$(kit_says architecture) $python" = "$wanted" ] && fits=yes
    done
    [ -n "$fits" ] ||
        fail 4 "this kit is for another platform: $(kit_says title) (architecture" \
            "$(kit_says architecture), Python $(kit_says pythons)); this is $wanted. Make one on" \
            "the workstation: linegate deploy-kit --platform $(own_platform)"
    say "checking the kit"
    (cd "$kit" && sha256sum --check --quiet --strict SHA256SUMS) >&2 ||
        fail 3 "the kit is damaged, see above; copy it to the board once more"
}

check_writable() {
    for folder in /opt /etc /var/lib /usr/local/bin; do
        probe=$folder/.linegate-$$
        { mkdir -p "$folder" && : >"$probe"; } 2>/dev/null ||
            fail 7 "$folder cannot be written to: the system's disk is read-only (an overlay or" \
                "read-only root; on a Raspberry Pi: raspi-config, Performance, Overlay File" \
                "System) or full; nothing was changed"
        rm -f "$probe"
    done
}

check_space() {
    [ -e "$APP/env-$id/.complete" ] && return 0
    free_mb=$(df -Pm /opt | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -ge "$NEEDED_MB" ] ||
        fail 7 "expected $NEEDED_MB MB free below /opt, got $free_mb MB; nothing was changed"
}

# What bears our name and is not ours is left alone.
check_foreign() {
    for file in "$UNIT" /lib/systemd/system/linegate.service /usr/lib/systemd/system/linegate.service; do
        if [ -e "$file" ] && ! grep -q "$SIGNED" "$file"; then
            fail 4 "$file is there and not of linegate's installer: another program has a service" \
                "of this name. Rename or remove it; nothing was changed"
        fi
    done
    if [ -e "$COMMAND" ] || [ -L "$COMMAND" ]; then
        [ "$(readlink "$COMMAND")" = "$APP/env/bin/linegate" ] ||
            fail 4 "$COMMAND is there and not of linegate's installer; remove it; nothing was changed"
    fi
    home=$(getent passwd "$ACCOUNT" | cut -d: -f6)
    if [ -n "$home" ] && [ "$home" != "$DATA" ]; then
        fail 4 "the user $ACCOUNT exists and is somebody else's (home $home); nothing was changed"
    fi
}

# --- the environment -------------------------------------------------------------------------

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
            if [ -f "$file" ]; then wheel=$file; fi
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

make_environment() {
    env=$APP/env-$id
    [ -e "$env/.complete" ] && return 0
    rm -rf "$env"
    mkdir -p "$APP"
    building=$env
    say "setting up $env"
    python3 -m venv --without-pip ${picamera2:+--system-site-packages} "$env"
    if [ -n "$kit" ]; then install_from_kit; else install_from_index; fi
    # Where the list is, doctor can compare; without hashes of wheels that are gone.
    cp "$requirements" "$env/requirements.txt"
    compile_environment
    : >"$env/.complete"
    building=
}

install_from_kit() {
    set -- "$kit"/wheels/pip-*.whl
    install_wheels "$1" --no-index --find-links "$kit/wheels"
}

install_from_index() {
    python3 -m ensurepip --version >/dev/null 2>&1 ||
        fail 4 "python3-venv is missing: apt install python3-venv"
    bootstrap=$(mktemp -d "${TMPDIR:-/var/tmp}/linegate-pip.XXXXXX")
    # pip of the system may be too old to install for another environment; ours is pinned.
    { python3 -m venv "$bootstrap/venv" &&
        "$bootstrap/venv/bin/python" -m pip download --quiet --disable-pip-version-check \
            --no-input --retries 1 --timeout 20 --require-hashes --no-deps \
            --dest "$bootstrap" --requirement "$here/installer.txt"; } || no_network
    set -- "$bootstrap"/pip-*.whl
    install_wheels "$1" --retries 2 --timeout 30
    python3 "$1/pip" --python "$env/bin/python" install --quiet --disable-pip-version-check \
        --no-input --no-compile --no-deps --no-index "$wheel" || fail 6 "$wheel cannot be installed"
    rm -rf "$bootstrap"
    bootstrap=
}

no_network() {
    fail 7 "no network, or no package index can be reached (see above), and no kit was given." \
        "On the workstation: linegate deploy-kit --platform $(own_platform); then here:" \
        "sh install.sh --offline KIT.tar. Nothing was changed"
}

# pip runs from its own wheel, so that the environment needs none.
install_wheels() {
    pip=$1
    shift
    python3 "$pip/pip" --python "$env/bin/python" install --quiet --disable-pip-version-check \
        --no-input --no-cache-dir --no-compile --no-deps --only-binary=:all: --require-hashes \
        --root-user-action=ignore "$@" --requirement "$requirements" || {
        [ -n "$kit" ] || no_network
        fail 6 "the wheels of the kit cannot be installed, see above; nothing was changed"
    }
}

# The service cannot write here, so what it loads is compiled now; what it does not, need not be.
compile_environment() {
    "$env/bin/python" -m compileall -q "$env"/lib/python*/site-packages/linegate_*
    env -u PYTHONDONTWRITEBYTECODE "$env/bin/python" -c '
import ai_edge_litert.interpreter, cv2, msgspec, numpy, onnxruntime, sqlite3
import asyncua, gpiozero, paho.mqtt.client, prometheus_client.exposition
import pymodbus.client, pymodbus.server' ||
        fail 6 "the environment does not work here, see above; nothing was changed"
}

# lgpio reaches the pins and has no wheel for Python 3.13; Raspberry Pi OS has its own.
link_system_lgpio() {
    # Found and not imported: lgpio makes a file where it is imported.
    find='import importlib.util as i; print(*[i.find_spec(n).origin for n in ("lgpio", "_lgpio")])'
    "$env/bin/python" -c "$find" >/dev/null 2>&1 && return 0
    where=$(python3 -c "$find" 2>/dev/null) || return 0
    say "the pins are reached through the system's lgpio"
    for file in $where; do
        ln -sf "$file" "$(echo "$env"/lib/python3*/site-packages)/"
    done
    changed=yes
}

# --- accounts, data, settings ----------------------------------------------------------------

make_account() {
    getent passwd "$ACCOUNT" >/dev/null ||
        useradd --system --user-group --home-dir "$DATA" --no-create-home \
            --shell /usr/sbin/nologin --comment "linegate" "$ACCOUNT"
    for group in $GROUPS_WANTED; do
        getent group "$group" >/dev/null || continue
        id -nG "$ACCOUNT" | tr ' ' '\n' | grep -qx "$group" || usermod -aG "$group" "$ACCOUNT"
    done
}

# Data of an installation that was removed belongs to nobody any more.
make_data() {
    install -d -m 750 "$DATA" "$DATA/bundles"
    if [ "$(stat -c %U "$DATA")" != "$ACCOUNT" ]; then
        chown -R "$ACCOUNT:$ACCOUNT" "$DATA"
    fi
    chown "$ACCOUNT:$ACCOUNT" "$DATA/bundles"
}

# write MODE FROM TO: replaced as a whole, and only if it differs.
write() {
    cmp -s "$2" "$3" && return 0
    mkdir -p "$(dirname "$3")"
    install -m "$1" "$2" "$3.new"
    sync "$3.new" 2>/dev/null || true
    mv "$3.new" "$3"
    changed=yes
}

# The kit's bundle, or the one that is there; it is put to use once it was verified.
place_bundle() {
    bundle=
    if [ -e "$DATA/bundle.linegate" ]; then bundle=$(readlink -f "$DATA/bundle.linegate"); fi
    [ -n "$kit" ] || return 0
    for file in "$kit"/bundle/*.linegate; do
        [ -f "$file" ] || continue
        bundle=$DATA/bundles/$(basename "$file")
        write 640 "$file" "$bundle"
        chown "$ACCOUNT:$ACCOUNT" "$bundle"
    done
}

# link TARGET NAME: NAME points to TARGET, at every moment to the one or the other.
link() {
    [ "$(readlink "$2")" != "$1" ] || return 0
    ln -sfn "$1" "$2.new"
    mv -T "$2.new" "$2"
    changed=yes
}

# Settings are the user's: they are never written over.
place_settings() {
    install -d -m 750 -g "$ACCOUNT" "$SETTINGS"
    if [ -e "$SETTINGS/linegate.toml" ]; then
        if [ -n "$kit" ] && [ -f "$kit/settings.toml" ]; then
            cmp -s "$kit/settings.toml" "$SETTINGS/linegate.toml" ||
                say "$SETTINGS/linegate.toml is there and kept; the kit's are $kit/settings.toml"
        fi
        return 0
    fi
    if [ -d "$DATA/settings" ]; then
        say "taking the settings of the installation before, from $DATA/settings"
        find "$DATA/settings" -mindepth 1 -maxdepth 1 -exec mv -t "$SETTINGS" {} +
        rmdir "$DATA/settings"
        # What was said with `systemctl edit`.
        if [ -d "$SETTINGS/linegate.service.d" ]; then mv "$SETTINGS/linegate.service.d" "$UNIT.d"; fi
        chown -R "root:$ACCOUNT" "$SETTINGS"
    fi
    if [ ! -e "$SETTINGS/linegate.toml" ]; then
        from=$files/linegate.toml
        if [ -n "$kit" ] && [ -f "$kit/settings.toml" ]; then from=$kit/settings.toml; fi
        write 640 "$from" "$SETTINGS/linegate.toml"
        chgrp "$ACCOUNT" "$SETTINGS/linegate.toml"
    fi
}

# --- the service -----------------------------------------------------------------------------

is_booted() { [ -d /run/systemd/system ]; }

as_account() { setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --init-groups -- "$@"; }

verify_bundle() {
    [ -n "$bundle" ] || return 0
    say "linegate verify $bundle"
    (cd "$DATA" && as_account env HOME="$DATA" PYTHONDONTWRITEBYTECODE=1 \
        "$env/bin/linegate" verify "$bundle") ||
        fail 6 "the bundle does not answer on this board as it did on the workstation, see" \
            "above; the service is as it was"
    link "bundles/$(basename "$bundle")" "$DATA/bundle.linegate"
}

place_service() {
    link "env-$id" "$APP/env"
    mkdir -p "$(dirname "$COMMAND")"
    [ -L "$COMMAND" ] || ln -s "$APP/env/bin/linegate" "$COMMAND"
    before=$changed
    changed=
    write 644 "$files/journald.conf" "$JOURNAL"
    if [ -n "$changed" ] && is_booted; then systemctl restart systemd-journald || true; fi
    changed=
    write 644 "$files/linegate.service" "$UNIT"
    if [ -n "$changed" ] && is_booted; then systemctl daemon-reload; fi
    changed=$before$changed
    systemctl is-enabled --quiet linegate 2>/dev/null || systemctl enable --quiet linegate
}

start_service() {
    if ! is_booted; then
        say "systemd does not run here; the service starts with the system"
    elif [ -n "$no_start" ]; then
        say "not started, as asked: systemctl start linegate"
    elif [ ! -e "$DATA/bundle.linegate" ]; then
        say "there is no bundle yet: copy one to $DATA/bundles, then" \
            "ln -s bundles/NAME.linegate $DATA/bundle.linegate and systemctl start linegate"
    elif [ -n "$changed" ] || ! systemctl is-active --quiet linegate; then
        systemctl reset-failed linegate 2>/dev/null || true
        systemctl restart linegate || say "the service does not start: journalctl -u linegate -n 50"
    fi
}

# Only once the service runs in the new environment.
remove_old_environments() {
    for old in "$APP"/env-*; do
        [ "$old" = "$env" ] || rm -rf "$old"
    done
}

# --- the two things it does ------------------------------------------------------------------

do_install() {
    find_kit
    files=${kit:-$here}
    check_system
    check_foreign
    check_kit
    check_picamera2
    check_writable
    find_requirements
    check_space
    changed=
    make_environment
    link_system_lgpio
    make_account
    make_data
    place_bundle
    place_settings
    verify_bundle
    place_service
    start_service
    remove_old_environments
    if [ -n "$changed" ]; then say "installed"; else say "nothing to do: all is as it should be"; fi
    say "settings: $SETTINGS/linegate.toml; then: linegate doctor; systemctl restart linegate"
}

check_picamera2() {
    [ -n "$picamera2" ] || return 0
    python3 -c 'import picamera2' 2>/dev/null ||
        fail 4 "--with-picamera2: the system has no picamera2: apt install python3-picamera2"
}

do_uninstall() {
    check_foreign
    if is_booted && [ -e "$UNIT" ]; then systemctl stop linegate || true; fi
    if [ -e "$UNIT" ]; then systemctl disable --quiet linegate 2>/dev/null || true; fi
    rm -f "$UNIT" "$JOURNAL"
    rmdir /etc/systemd/journald.conf.d 2>/dev/null || true
    if is_booted; then
        systemctl daemon-reload
        systemctl reset-failed linegate 2>/dev/null || true
    fi
    rm -rf "$APP"
    if [ -L "$COMMAND" ]; then rm -f "$COMMAND"; fi
    if [ -d "$SETTINGS" ]; then
        install -d -m 700 "$DATA" "$DATA/settings"
        if [ -d "$UNIT.d" ]; then mv "$UNIT.d" "$SETTINGS/linegate.service.d"; fi
        find "$SETTINGS" -mindepth 1 -maxdepth 1 -exec mv -t "$DATA/settings" {} +
        rmdir "$SETTINGS"
    fi
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT" 2>/dev/null; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
    if [ -d "$DATA" ]; then
        # The number of a user who is gone may be given to another.
        chown -R root:root "$DATA"
        say "removed; data and settings stay in $DATA"
    else
        say "removed"
    fi
}

clean_up() {
    if [ -n "${building:-}" ]; then rm -rf "$building"; fi
    if [ -n "${unpacked:-}" ]; then rm -rf "$unpacked"; fi
    if [ -n "${bootstrap:-}" ]; then rm -rf "$bootstrap"; fi
    rmdir "$APP" 2>/dev/null || true
}

main() {
    offline=
    picamera2=
    no_start=
    action=do_install
    while [ $# -gt 0 ]; do
        case $1 in
            --offline)
                [ $# -ge 2 ] || fail 2 "--offline needs a folder or a kit's .tar file"
                offline=$2
                shift
                ;;
            --with-picamera2) picamera2=yes ;;
            --no-start) no_start=yes ;;
            --uninstall) action=do_uninstall ;;
            --help | -h)
                usage
                exit 0
                ;;
            *)
                usage >&2
                fail 2 "unknown option $1"
                ;;
        esac
        shift
    done
    [ "$(id -u)" = 0 ] || fail 2 "this needs root: sudo sh $0"
    # Commands of the system, whatever the caller's PATH is; files readable for the service.
    PATH=/usr/sbin:/usr/bin:/sbin:/bin
    umask 022
    unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    (: >"$LOCK") 2>/dev/null ||
        fail 7 "$LOCK cannot be written to: the system is read-only; nothing was changed"
    exec 9>"$LOCK"
    flock -n 9 || fail 4 "another installation of linegate runs on this board"
    "$action"
}

main "$@"
