# shellcheck shell=sh
# Removing all but the data.

stop_service() {
    if is_booted && [ -e "$UNIT" ]; then systemctl stop linegate || true; fi
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
# to another. What the service may have put at that place is no settings of ours, and goes out of
# the way while the data are still its own; so what lies there in root's data is root's.
set_settings_aside() {
    aside=$DATA/settings
    found=
    if [ -d "$SETTINGS" ] || [ -d "$UNIT.d" ]; then found=yes; fi
    [ -d "$DATA" ] || install -d -m 750 "$DATA"
    if [ -e "$aside" ] || [ -L "$aside" ]; then
        if [ -n "$found" ] || ! is_roots "$DATA"; then
            mv -T "$aside" "$aside-before-$(date +%Y%m%d-%H%M%S)"
        fi
    fi
    chown -hR root:root "$DATA"
    [ -n "$found" ] || return 0
    rm -rf "$aside.new"
    mkdir -m 700 "$aside.new"
    if [ -d "$SETTINGS" ]; then
        rm -f "$SETTINGS/linegate.toml.new"
        cp -a "$SETTINGS/." "$aside.new"
    fi
    if [ -d "$UNIT.d" ]; then cp -a "$UNIT.d" "$aside.new/linegate.service.d"; fi
    chown -hR root:root "$aside.new"
    sync
    mv -T "$aside.new" "$aside"
    rm -rf "$SETTINGS" "$UNIT.d"
}

remove_service() {
    if [ -e "$UNIT" ]; then systemctl disable --quiet linegate 2>/dev/null || true; fi
    rm -f "$UNIT" "$UNIT.new" "$JOURNAL" "$JOURNAL.new"
    rmdir "$(dirname "$JOURNAL")" 2>/dev/null || true
    if is_booted; then
        systemctl daemon-reload
        systemctl reset-failed linegate 2>/dev/null || true
    fi
    if [ -L "$COMMAND" ]; then rm -f "$COMMAND"; fi
}

remove_environments() {
    rm -rf "$APP/env" "$APP/env.new" "$APP"/env-*
    rmdir "$APP" 2>/dev/null || [ ! -d "$APP" ] || say "$APP has other files and stays"
}

remove_account() {
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
}
