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
    if [ -d "$DATA" ]; then
        if { [ -e "$aside" ] || [ -L "$aside" ]; } && ! is_roots "$DATA"; then keep_aside; fi
        chown -hR root:root "$DATA"
    fi
    if [ -e "$SETTINGS/linegate.toml" ] || { [ -d "$SETTINGS" ] && [ ! -d "$aside" ]; }; then
        [ -d "$DATA" ] || install -d -m 750 "$DATA"
        if [ -e "$aside" ]; then keep_aside; fi
        copy_settings
    elif [ -d "$SETTINGS" ]; then
        # A run that was interrupted has begun to take or to remove them.
        chown -hR root:root "$SETTINGS"
        move_missing "$SETTINGS" "$aside"
    fi
    if [ -d "$UNIT.d" ] && [ ! -e "$aside/linegate.service.d" ]; then
        install -d -m 700 "$aside"
        cp -a "$UNIT.d" "$aside/linegate.service.d"
    fi
    # The file goes first: where it is missing, the next run knows that they were set aside.
    rm -f "$SETTINGS/linegate.toml"
    rm -rf "$SETTINGS" "$UNIT.d"
}

keep_aside() { mv -T "$aside" "$aside-before-$(date +%Y%m%d-%H%M%S)"; }

copy_settings() {
    rm -rf "$aside.new"
    mkdir -m 700 "$aside.new"
    rm -f "$SETTINGS/linegate.toml.new"
    cp -a "$SETTINGS/." "$aside.new"
    if [ -d "$UNIT.d" ]; then cp -a "$UNIT.d" "$aside.new/linegate.service.d"; fi
    chown -hR root:root "$aside.new"
    sync
    mv -T "$aside.new" "$aside"
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
    rm -rf "$APP/env" "$APP/env.new" "$APP"/env-* "$BEFORE" "$BEFORE.new" "$DUE"
    rmdir "$APP" 2>/dev/null || [ ! -d "$APP" ] || say "$APP has other files and stays"
}

remove_account() {
    if getent passwd "$ACCOUNT" >/dev/null; then userdel "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
}
