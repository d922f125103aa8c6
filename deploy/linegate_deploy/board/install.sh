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

# Exit codes: 2 wrong options, 3 the kit is damaged, 4 this system does not fit, 6 wheels, engine
# or bundle fail here, 7 something cannot be written or fetched, 8 the service does not start.

# --- what is there ---------------------------------------------------------------------------

find_kit() {
    here=$(dirname "$script")
    kit=
    unpacked=
    if [ -n "$offline" ]; then
        [ -e "$offline" ] || fail 2 "--offline $offline: there is no such folder or file"
        if [ -f "$offline" ]; then
            unpacked=$(mktemp -d /var/tmp/linegate-kit.XXXXXX) ||
                fail 7 "/var/tmp cannot be written to; unpack the kit and run its install.sh"
            tar -xf "$offline" --no-same-owner -C "$unpacked" ||
                fail 3 "$offline: expected a kit as \`linegate deploy-kit\` makes it; it cannot be" \
                    "unpacked into /var/tmp ($(free_mb /var/tmp) MB free), see above"
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

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

# Isolated: neither the caller's folder nor variables have a say in what root runs.
python3() { command python3 -I "$@"; }

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
    free=$(free_mb /opt)
    [ "$free" -ge "$NEEDED_MB" ] ||
        fail 7 "expected $NEEDED_MB MB free below /opt, got $free MB; nothing was changed"
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
    if [ -e "$env/.complete" ]; then
        is_whole && return 0
        say "$env is damaged, see above; it is made anew"
    fi
    rm -rf "$env"
    mkdir -p "$APP"
    building=$env
    changed=yes
    say "setting up $env"
    python3 -m venv --without-pip ${picamera2:+--system-site-packages} "$env"
    if [ -n "$kit" ]; then install_from_kit; else install_from_index; fi
    # Where the list is, doctor can compare; without hashes of wheels that are gone.
    install -m 644 "$requirements" "$env/requirements.txt"
    compile_environment
    # A power cut must not leave empty files behind a mark that says that all is there.
    sync
    : >"$env/.complete"
    sync
    building=
}

# Is every file of the environment as its wheel had it?
is_whole() {
    python3 -c '
import base64, csv, hashlib, pathlib, sys
site, = pathlib.Path(sys.argv[1]).glob("lib/python3*/site-packages")
wrong = 0
for record in site.glob("*.dist-info/RECORD"):
    for name, expected, _ in csv.reader(record.read_text().splitlines()):
        kind, _, digest = expected.partition("=")
        if kind != "sha256":
            continue
        try:
            found = hashlib.sha256((site / name).read_bytes()).digest()
        except OSError:
            found = b""
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != digest:
            print(f"{site / name}: missing or altered", file=sys.stderr)
            wrong += 1
listed = {line.split("==")[0].lower().replace("-", "_") for line in
          pathlib.Path(sys.argv[1], "requirements.txt").read_text().splitlines() if "==" in line
          and ";" not in line}
there = {one.name.removesuffix(".dist-info").rpartition("-")[0].lower().replace(".", "_").replace("-", "_")
         for one in site.glob("*.dist-info")}
for name in sorted(listed - there):
    print(f"{name}: missing", file=sys.stderr)
    wrong += 1
sys.exit(1 if wrong else 0)' "$env"
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
        "$bootstrap/venv/bin/python" -I -m pip download --quiet --disable-pip-version-check \
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
    "$env/bin/python" -I -m compileall -q "$env"/lib/python*/site-packages/linegate_*
    "$env/bin/python" -I -c '
import ai_edge_litert.interpreter, cv2, msgspec, numpy, onnxruntime, sqlite3
import asyncua, gpiozero, paho.mqtt.client, prometheus_client.exposition
import pymodbus.client, pymodbus.server' ||
        fail 6 "the environment does not work here, see above; nothing was changed"
}

# lgpio reaches the pins and has no wheel for Python 3.13; Raspberry Pi OS has its own.
link_system_lgpio() {
    # Found and not imported: lgpio makes a file where it is imported.
    find='import importlib.util as i; print(*[i.find_spec(n).origin for n in ("lgpio", "_lgpio")])'
    "$env/bin/python" -I -c "$find" >/dev/null 2>&1 && return 0
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

# The sandbox shows the service this folder, not what a link in its place points to.
check_data() {
    [ ! -L "$DATA" ] ||
        fail 4 "$DATA is a link: to keep data on another disk mount it there, in /etc/fstab, such" \
            "as: $(readlink -f "$DATA") $DATA none bind 0 0; nothing was changed"
}

# Data of an installation that was removed belongs to root. What is in it belongs to the service,
# which may be in an attacker's hands: root follows no link there and writes nothing there.
make_data() {
    [ -d "$DATA" ] || install -d -m 750 -o "$ACCOUNT" -g "$ACCOUNT" "$DATA"
    [ "$(stat -c %U "$DATA")" = "$ACCOUNT" ] || chown -hR "$ACCOUNT:$ACCOUNT" "$DATA"
    as_account mkdir -p "$DATA/bundles"
}

as_account() { setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --init-groups -- "$@"; }

# write MODE GROUP FROM TO: replaced as a whole, and only if it differs; never where others write.
write() {
    [ "$(stat -c '%a %U %G' "$4" 2>/dev/null)" = "$1 root $2" ] && cmp -s "$3" "$4" && return 0
    mkdir -p "$(dirname "$4")"
    install -m "$1" -o root -g "$2" "$3" "$4.new"
    sync "$4.new" 2>/dev/null || true
    mv "$4.new" "$4"
    changed=yes
}

# The kit's bundle, else the one of the settings; it is put to use once it was verified.
find_bundle() {
    carried=
    bundle=$(settings_bundle)
    [ -n "$kit" ] || return 0
    for file in "$kit"/bundle/*.linegate; do
        [ -f "$file" ] || continue
        carried=$(basename "$file")
        bundle=$DATA/bundles/$carried
        if ! as_account cmp -s - "$bundle" <"$file"; then
            bundle=$DATA/bundles/.$carried.new
            # shellcheck disable=SC2016 # for the inner shell
            as_account sh -c 'umask 027 && cat >"$1" && sync "$1"' sh "$bundle" <"$file" ||
                fail 7 "the bundle cannot be written to $DATA/bundles"
        fi
    done
}

# What the settings say, as a path; nothing if they name none or cannot be read.
settings_bundle() {
    python3 -c '
import pathlib, sys, tomllib
path = pathlib.Path(sys.argv[1])
try:
    named = tomllib.loads(path.read_text()).get("bundle", "")
except (OSError, ValueError):
    named = ""
found = path.parent / named
print(found if isinstance(named, str) and named and found.is_file() else "")' \
        "$SETTINGS/linegate.toml"
}

verify_bundle() {
    [ -n "$bundle" ] || return 0
    say "linegate verify $bundle"
    if ! (cd "$DATA" && as_account env HOME="$DATA" PYTHONDONTWRITEBYTECODE=1 \
        "$env/bin/linegate" verify "$bundle"); then
        if [ "$bundle" = "$DATA/bundles/.$carried.new" ]; then as_account rm -f "$bundle"; fi
        fail 6 "the bundle does not answer on this board as it did on the workstation, see" \
            "above; the service is as it was"
    fi
}

# Only what the kit brought is linked; a bundle that somebody put there is kept.
use_bundle() {
    [ -n "$carried" ] || return 0
    if [ "$bundle" = "$DATA/bundles/.$carried.new" ]; then
        as_account mv -fT "$bundle" "$DATA/bundles/$carried"
        bundle=$DATA/bundles/$carried
        changed=yes
    fi
    used=$DATA/bundle.linegate
    [ "$(readlink "$used")" != "bundles/$carried" ] || return 0
    if [ -e "$used" ] && [ ! -L "$used" ]; then
        kept=bundles/before-$(date +%Y%m%d-%H%M%S).linegate
        say "keeping $used as $DATA/$kept"
        as_account mv -nT "$used" "$DATA/$kept"
    fi
    as_account ln -sfn "bundles/$carried" "$used.new"
    as_account mv -fT "$used.new" "$used"
    changed=yes
}

# link TARGET NAME: NAME points to TARGET, at every moment to the one or the other.
link() {
    [ "$(readlink "$2")" != "$1" ] || return 0
    ln -sfn "$1" "$2.new"
    mv -T "$2.new" "$2"
    changed=yes
}

# Settings are the user's: they are never written over. Those that an uninstallation set aside are
# taken if the data still belong to root, so that nobody else can have put them there.
place_settings() {
    [ -d "$SETTINGS" ] || install -d -m 750 -o root -g "$ACCOUNT" "$SETTINGS"
    if [ ! -e "$SETTINGS/linegate.toml" ] && is_roots "$DATA" && is_roots "$DATA/settings"; then
        say "taking the settings of the installation before, from $DATA/settings"
        # What was said with `systemctl edit`.
        if [ -d "$DATA/settings/linegate.service.d" ] && [ ! -e "$UNIT.d" ]; then
            mv "$DATA/settings/linegate.service.d" "$UNIT.d"
        fi
        chgrp -hR "$ACCOUNT" "$DATA/settings"
        find "$DATA/settings" -mindepth 1 -maxdepth 1 -exec mv -n -t "$SETTINGS" {} +
        rmdir "$DATA/settings" 2>/dev/null || say "some were there already; see $DATA/settings"
        changed=yes
    fi
    from=$files/linegate.toml
    if [ -n "$kit" ] && [ -f "$kit/settings.toml" ]; then from=$kit/settings.toml; fi
    if [ ! -e "$SETTINGS/linegate.toml" ]; then
        write 640 "$ACCOUNT" "$from" "$SETTINGS/linegate.toml"
    elif [ "$from" != "$files/linegate.toml" ] && ! cmp -s "$from" "$SETTINGS/linegate.toml"; then
        say "$SETTINGS/linegate.toml is there and kept; the kit's are $from"
    fi
    # An interruption may have left them unreadable for the service.
    for owned in "$SETTINGS" "$SETTINGS/linegate.toml"; do
        [ "$(stat -c %G "$owned")" = "$ACCOUNT" ] || { chgrp "$ACCOUNT" "$owned" && changed=yes; }
    done
}

is_roots() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %U "$1")" = root ]; }

# --- the service -----------------------------------------------------------------------------

is_booted() { [ -d /run/systemd/system ]; }

place_service() {
    link "env-$id" "$APP/env"
    mkdir -p "$(dirname "$COMMAND")"
    [ -L "$COMMAND" ] || ln -s "$APP/env/bin/linegate" "$COMMAND"
    if ! cmp -s "$files/journald.conf" "$JOURNAL"; then
        write 644 root "$files/journald.conf" "$JOURNAL"
        if is_booted; then systemctl restart systemd-journald || true; fi
    fi
    if ! cmp -s "$files/linegate.service" "$UNIT"; then
        write 644 root "$files/linegate.service" "$UNIT"
    fi
    if is_booted; then systemctl daemon-reload; fi
    systemctl is-enabled --quiet linegate 2>/dev/null || systemctl enable --quiet linegate
}

start_service() {
    if ! is_booted; then
        say "systemd does not run here; the service starts with the system"
    elif [ -n "$no_start" ]; then
        say "not started, as asked: systemctl restart linegate"
    elif [ -z "$(settings_bundle)" ]; then
        say "there is no bundle yet: copy one to $DATA/bundles, then" \
            "ln -s bundles/NAME.linegate $DATA/bundle.linegate and systemctl start linegate"
    elif [ -n "$changed" ] || ! systemctl is-active --quiet linegate; then
        systemctl reset-failed linegate 2>/dev/null || true
        systemctl restart linegate || take_back
    fi
}

# A line that ran before is to run again, whatever is wrong with the new environment.
take_back() {
    if [ -n "$env_before" ] && [ "$env_before" != "env-$id" ] && [ -d "$APP/$env_before" ]; then
        link "$env_before" "$APP/env"
        systemctl restart linegate || true
        fail 8 "the service does not start in the new environment and goes on in the one before;" \
            "journalctl -u linegate -n 50"
    fi
    fail 8 "it is installed, but the service does not start: journalctl -u linegate -n 50"
}

# None that a process runs in: a line that goes on in an old one needs it to start its cameras.
remove_old_environments() {
    for old in "$APP"/env-*; do
        if [ "$old" = "$env" ] || [ ! -d "$old" ]; then continue; fi
        if ! grep -lqs "$old/" /proc/[0-9]*/cmdline; then rm -rf "$old"; fi
    done
}

# --- the two things it does ------------------------------------------------------------------

do_install() {
    check_system
    check_data
    check_foreign
    check_writable
    find_kit
    files=${kit:-$here}
    check_kit
    keep_picamera2
    check_picamera2
    find_requirements
    check_space
    changed=
    env_before=$(readlink "$APP/env" || true)
    make_environment
    link_system_lgpio
    make_account
    place_settings
    make_data
    find_bundle
    verify_bundle
    use_bundle
    place_service
    start_service
    remove_old_environments
    if [ -n "$changed" ]; then say "installed"; else say "nothing to do: all is as it should be"; fi
    say "settings: $SETTINGS/linegate.toml; then: linegate doctor; systemctl restart linegate"
}

# Who asked for it once need not ask again with every update.
keep_picamera2() {
    if grep -qs '^include-system-site-packages = true' "$APP/env/pyvenv.cfg"; then picamera2=yes; fi
}

check_picamera2() {
    [ -n "$picamera2" ] || return 0
    python3 -c 'import picamera2' 2>/dev/null ||
        fail 4 "--with-picamera2: the system has no picamera2: apt install python3-picamera2"
}

do_uninstall() {
    check_foreign
    check_data
    if is_booted && [ -e "$UNIT" ]; then systemctl stop linegate || true; fi
    check_nobody_runs
    if [ -e "$UNIT" ]; then systemctl disable --quiet linegate 2>/dev/null || true; fi
    set_settings_aside
    rm -f "$UNIT" "$JOURNAL"
    rmdir "$(dirname "$JOURNAL")" 2>/dev/null || true
    if is_booted; then
        systemctl daemon-reload
        systemctl reset-failed linegate 2>/dev/null || true
    fi
    rm -rf "$APP/env" "$APP"/env-*
    rmdir "$APP" 2>/dev/null || [ ! -d "$APP" ] || say "$APP has other files and stays"
    if [ -L "$COMMAND" ]; then rm -f "$COMMAND"; fi
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
    say "removed; data and settings stay in $DATA"
}

# Before anything is removed: the account cannot be while a process of it runs.
check_nobody_runs() {
    uid=$(id -u "$ACCOUNT" 2>/dev/null) || return 0
    for status in /proc/[0-9]*/status; do
        if [ "$(awk '$1 == "Uid:" { print $2 }' "$status" 2>/dev/null)" = "$uid" ]; then
            process=$(basename "$(dirname "$status")")
            fail 4 "process $process of the user $ACCOUNT still runs: $(tr '\0' ' ' \
                <"/proc/$process/cmdline"); end it, then uninstall again"
        fi
    done
}

# Into the data, which belong to root from now on: the number of a user who is gone may be given
# to another. What the service may have put at that place is no settings of ours.
set_settings_aside() {
    [ -d "$DATA" ] || install -d -m 750 "$DATA"
    chown -hR root:root "$DATA"
    [ -d "$SETTINGS" ] || return 0
    if [ -e "$DATA/settings" ] || [ -L "$DATA/settings" ]; then
        mv -T "$DATA/settings" "$DATA/settings-before-$(date +%Y%m%d-%H%M%S)"
    fi
    mkdir -m 700 "$DATA/settings"
    chown -hR root:root "$SETTINGS"
    find "$SETTINGS" -mindepth 1 -maxdepth 1 -exec mv -t "$DATA/settings" {} +
    rmdir "$SETTINGS" 2>/dev/null || rm -f "$SETTINGS"
    if [ -d "$UNIT.d" ]; then mv "$UNIT.d" "$DATA/settings/linegate.service.d"; fi
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
    script=$(readlink -f "$0")
    case $offline in "" | /*) ;; *) offline=$PWD/$offline ;; esac
    # Programs that look into the current folder find nothing of the caller's.
    cd /
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
