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

remove_service() {
    if [ -e "$UNIT" ]; then systemctl disable --quiet linegate 2>/dev/null || true; fi
    rm -f "$UNIT" "$JOURNAL"
    rmdir "$(dirname "$JOURNAL")" 2>/dev/null || true
    if is_booted; then
        systemctl daemon-reload
        systemctl reset-failed linegate 2>/dev/null || true
    fi
    if [ -L "$COMMAND" ]; then rm -f "$COMMAND"; fi
}

remove_environments() {
    rm -rf "$APP/env" "$APP"/env-*
    rmdir "$APP" 2>/dev/null || [ ! -d "$APP" ] || say "$APP has other files and stays"
}

remove_account() {
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
}
