# shellcheck shell=sh
# Does this system fit, and the kit? Nothing is changed here.

architecture() { dpkg --print-architecture 2>/dev/null || uname -m; }

# Isolated: neither the caller's folder nor variables have a say in what root runs.
python() { python3 -I "$@"; }

python_version() { python -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

own_platform() {
    case "$(architecture)-$(python_version)" in
        amd64-*) echo debian-x86 ;;
        *-3.12) echo ubuntu-arm64 ;;
        *-3.13) echo rpi-trixie ;;
        *) echo rpi-bookworm ;;
    esac
}

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
    python -c 'import venv' 2>/dev/null || fail 4 "python3 has no venv: apt install python3-venv"
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

kit_says() { sed -n "s/^$1=//p" "$kit/kit.conf"; }

# Files of the kit that match, by its own list: another kit may have been unpacked here before.
listed() { if [ -n "$kit" ]; then sed -n "s|^[0-9a-f]*  \($1\)\$|\1|p" "$kit/SHA256SUMS"; fi; }

check_writable() {
    for folder in /opt /etc /var/lib /usr/local/bin; do
        probe=$folder/.linegate-$$
        (mkdir -p "$folder" && touch "$probe") 2>/dev/null ||
            fail 7 "$folder cannot be written to: the system's disk is read-only (an overlay or" \
                "read-only root; on a Raspberry Pi: raspi-config, Performance, Overlay File" \
                "System) or full; nothing was changed"
        rm -f "$probe"
    done
}

# A root that forgets is writable all the same.
warn_of_overlay() {
    [ "$(stat -f -c %T /opt)" = overlayfs ] || return 0
    say "warning: /opt lies on an overlay; if its upper layer is in memory, all of this is lost at the" \
        "next start. On a Raspberry Pi switch it off before (raspi-config, Performance, Overlay" \
        "File System), restart, install, and switch it on again"
}

check_space() {
    [ -e "$APP/env-$id/SHA256SUMS" ] && return 0
    if is_half_made "$APP/env-$id"; then rm -rf "$APP/env-$id"; fi
    free=$(free_mb /opt)
    [ "$free" -ge "$NEEDED_MB" ] ||
        fail 7 "expected $NEEDED_MB MB free below /opt, got $free MB; nothing was changed"
}

# What bears our name and is not ours is left alone.
check_foreign() {
    for folder in /etc /run /usr/local/lib /lib /usr/lib; do
        file=$folder/systemd/system/linegate.service
        if [ "$(readlink "$file")" = /dev/null ]; then
            fail 4 "the service is masked: systemctl unmask linegate; nothing was changed"
        fi
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
    if [ -z "$home" ] && getent group "$ACCOUNT" >/dev/null; then
        fail 4 "the group $ACCOUNT exists without a user of that name, so it is somebody else's:" \
            "groupdel $ACCOUNT if nothing needs it; nothing was changed"
    fi
}

# Who asked for it once need not ask again with every update.
keep_picamera2() {
    if grep -qs '^include-system-site-packages = true' "$APP/env/pyvenv.cfg"; then picamera2=yes; fi
}

check_picamera2() {
    [ -n "$picamera2" ] || return 0
    python -c 'import picamera2' 2>/dev/null ||
        fail 4 "--with-picamera2: the system has no picamera2: apt install python3-picamera2"
}
