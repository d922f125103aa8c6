#!/bin/sh
# Sets up linegate on this board, or removes it. Run `sh install.sh --help`.
#
# It looks at everything first and changes nothing until that is well. What it writes, it writes
# beside and renames, so that it may be interrupted and run again. Its steps lie in installer/.
set -eu

APP=/opt/linegate
SETTINGS=/etc/linegate
DATA=/var/lib/linegate
USED=$DATA/bundle.linegate
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

  --offline DIR      install this kit: its folder, or its .tar file; needless if this script
                     lies in a kit
  --with-picamera2   for cameras at a Raspberry Pi's own connector: the environment sees the
                     system's python3-picamera2
  --no-start         do not start the service
  --uninstall        remove everything but the data in /var/lib/linegate; the settings are
                     moved there, and a later installation takes them again
USAGE
}

say() { printf '%s\n' "linegate: $*"; }

# Codes: 1 something unforeseen failed, 2 wrong options, 3 the kit is damaged, 4 this system does
# not fit or the settings are wrong, 6 wheels, engine or bundle fail here, 7 something cannot be
# written or fetched, 8 the service does not start.
fail() {
    code=$1
    shift
    explained=yes
    printf '%s\n' "linegate: error: $*" >&2
    exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

# What the steps find out, in this order; each reads only what those before it have set.
#   kit           the kit's folder; empty in a checkout     files         where the board's files lie
#   requirements  the list for this Python                  wheel         the runtime's, in a checkout
#   id            what is to be in the environment          env           its folder
#   carried       the kit's bundle, as it is called         bundle        where that lies now
#   changed       anything was written that the service must start again for
do_install() {
    check_system
    check_data
    check_foreign
    check_writable
    check_kit
    keep_picamera2
    check_picamera2
    find_requirements
    check_space
    changed=
    make_environment
    link_system_lgpio
    make_account
    place_settings
    make_data
    check_settings
    find_bundle
    verify_bundles
    prepare_switch
    use_bundle
    place_service
    start_service
    remove_old_environments
    warn_of_overlay
    if [ -n "$changed" ]; then say "installed"; else say "nothing to do: all is as it should be"; fi
    say "settings: $SETTINGS/linegate.toml; then: linegate doctor; systemctl restart linegate"
}

do_uninstall() {
    check_foreign
    check_data
    stop_service
    check_nobody_runs
    # First, so that nothing starts again, and gives the data away, if this is interrupted.
    remove_service
    set_settings_aside
    remove_environments
    remove_account
    say "removed; data and settings stay in $DATA"
}

# A kit is installed by its own installer, whatever version this script is.
hand_over() {
    found=$offline
    [ -e "$offline" ] || fail 2 "--offline $offline: there is no such folder or file"
    if [ -f "$offline" ]; then
        unpacked=$(mktemp -d /var/tmp/linegate-kit.XXXXXX) ||
            fail 7 "/var/tmp cannot be written to; unpack the kit and run its install.sh"
        tar -xf "$offline" --no-same-owner -C "$unpacked" ||
            fail 3 "$offline: expected a kit as \`linegate deploy-kit\` makes it; it cannot be" \
                "unpacked into /var/tmp ($(df -Pm /var/tmp | awk 'NR == 2 { print $4 }') MB" \
                "free), see above"
        set -- "$unpacked"/*/kit.conf
        found=$(dirname "$1")
    fi
    if [ ! -f "$found/kit.conf" ] || [ ! -f "$found/install.sh" ]; then
        fail 2 "--offline $offline: expected a kit, with kit.conf and install.sh; make one on the" \
            "workstation: linegate deploy-kit"
    fi
    # What it had to say, it has said.
    explained=yes
    sh "$found/install.sh" ${picamera2:+--with-picamera2} ${no_start:+--no-start}
}

load_steps() {
    kit=
    files=$here
    if [ -f "$here/kit.conf" ]; then
        kit=$here
        # Before any of them runs as root; check_kit looks at the wheels.
        (cd "$kit" && grep '  install' SHA256SUMS | sha256sum --check --quiet --strict) >&2 ||
            fail 3 "the kit is damaged, see above; copy it to the board once more"
    fi
    [ -d "$here/installer" ] ||
        fail 2 "expected the folder installer beside this script, found none: run it in a kit's" \
            "folder or a checkout, or say --offline KIT.tar"
    # shellcheck source-path=SCRIPTDIR source=installer/files.sh
    . "$here/installer/files.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/system.sh
    . "$here/installer/system.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/environment.sh
    . "$here/installer/environment.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/data.sh
    . "$here/installer/data.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/bundle.sh
    . "$here/installer/bundle.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/service.sh
    . "$here/installer/service.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/switch.sh
    . "$here/installer/switch.sh"
    # shellcheck source-path=SCRIPTDIR source=installer/removal.sh
    . "$here/installer/removal.sh"
}

clean_up() {
    code=$?
    if [ -n "${building:-}" ]; then rm -rf "$building"; fi
    if [ -n "${unpacked:-}" ]; then rm -rf "$unpacked"; fi
    if [ -n "${bootstrap:-}" ]; then rm -rf "$bootstrap"; fi
    rmdir "$APP" 2>/dev/null || true
    if [ "$code" = 0 ] || [ -n "${explained:-}" ]; then exit "$code"; fi
    printf '%s\n' "linegate: error: a command failed that never should, see above; when its cause" \
        "is gone run this again, it goes on where it stopped" >&2
    exit 1
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
    here=$(dirname "$(readlink -f "$0")")
    case $offline in "" | /*) ;; *) offline=$PWD/$offline ;; esac
    # Programs that look into the current folder find nothing of the caller's.
    cd /
    unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
    trap clean_up EXIT
    trap 'explained=yes; exit 130' INT
    trap 'explained=yes; exit 143' TERM HUP
    if [ -n "$offline" ] && [ "$action" = do_install ]; then
        hand_over
        exit
    fi
    (: >"$LOCK") 2>/dev/null ||
        fail 7 "$LOCK cannot be written to: the system is read-only; nothing was changed"
    exec 9>"$LOCK"
    flock -n 9 || fail 4 "another installation of linegate runs on this board"
    load_steps
    "$action"
}

main "$@"
