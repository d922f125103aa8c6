# shellcheck shell=sh
# From what was in use to what came now; and back, if the service does not start with it.

BEFORE=$APP/before
# In memory: when the system starts, all is started anyway.
DUE=/run/linegate-restart-due

# Keeps what is in use until the service has started with what comes now, even if this run is
# interrupted.
prepare_switch() {
    is_switch || return 0
    changed=yes
    # Else that of an interrupted run is still what the service last started with.
    if is_booted && is_up_to_date; then rm -rf "$BEFORE"; fi
    python -c 'import time; print(time.monotonic_ns() // 1000)' >"$DUE"
    [ ! -d "$BEFORE" ] || return 0
    rm -rf "$BEFORE.new"
    mkdir "$BEFORE.new"
    readlink "$APP/env" >"$BEFORE.new/env" || true
    readlink "$USED" >"$BEFORE.new/bundle" || true
    if [ -e "$UNIT" ]; then cp -p "$UNIT" "$BEFORE.new/linegate.service"; fi
    sync
    mv -T "$BEFORE.new" "$BEFORE"
}

is_switch() {
    [ -n "$changed" ] || is_new || [ "$(readlink "$APP/env")" != "${env##*/}" ] ||
        ! cmp -s "$files/linegate.service" "$UNIT" ||
        { [ -n "$carried" ] && [ "$(readlink "$USED")" != "bundles/$carried" ]; }
}

# Does it run, and was it started since the last switch?
is_up_to_date() {
    systemctl is-active --quiet linegate || return 1
    [ -e "$DUE" ] || return 0
    [ "$(systemctl show linegate -p ExecMainStartTimestampMonotonic --value)" -ge "$(cat "$DUE")" ]
}

forget_before() { rm -rf "$BEFORE" "$DUE"; }

start_service() {
    if ! is_booted; then
        forget_before
        say "systemd does not run here; the service starts with the system"
    elif [ -n "$no_start" ]; then
        say "not started, as asked: systemctl restart linegate"
    elif [ -z "$(settings_bundle)" ]; then
        say "there is no bundle yet: copy one to $DATA/bundles, then" \
            "ln -s bundles/NAME.linegate $DATA/bundle.linegate and systemctl start linegate"
    elif [ -n "$changed" ] || ! is_up_to_date; then
        changed=yes
        systemctl reset-failed linegate 2>/dev/null || true
        systemctl restart linegate || take_back
        forget_before
    else
        forget_before
    fi
}

# A line that ran before is to run again, whatever is wrong with what came now.
take_back() {
    log="journalctl -u linegate -n 50"
    is_there_another_before || fail 8 "it is installed, but the service does not start: $log"
    link "$(cat "$BEFORE/env")" "$APP/env"
    write 644 root "$BEFORE/linegate.service" "$UNIT"
    if [ -s "$BEFORE/bundle" ]; then link_bundle "$(cat "$BEFORE/bundle")"; fi
    systemctl daemon-reload
    systemctl reset-failed linegate 2>/dev/null || true
    systemctl restart linegate ||
        fail 8 "the service starts neither with what came now nor as before: $log"
    forget_before
    fail 8 "the service does not start with what came now, and goes on as before; $log"
}

is_there_another_before() {
    [ -s "$BEFORE/env" ] && [ -d "$APP/$(cat "$BEFORE/env")" ] && [ -e "$BEFORE/linegate.service" ] ||
        return 1
    [ "$(cat "$BEFORE/env")" != "${env##*/}" ] || ! cmp -s "$BEFORE/linegate.service" "$UNIT" ||
        [ "$(cat "$BEFORE/bundle")" != "$(readlink "$USED")" ]
}

# None that a process runs in, for it starts its cameras from there, and none to go back to.
remove_old_environments() {
    for old in "$APP"/env-*; do
        if [ "$old" = "$env" ] || [ ! -d "$old" ]; then continue; fi
        if [ -d "$BEFORE" ] && [ "${old##*/}" = "$(cat "$BEFORE/env")" ]; then continue; fi
        if ! grep -lqs "$old/" /proc/[0-9]*/cmdline; then rm -rf "$old"; fi
    done
}
