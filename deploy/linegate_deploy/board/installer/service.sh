# shellcheck shell=sh
# The service: unit, log limits, command; started, and taken back.

is_booted() { [ -d /run/systemd/system ]; }

place_service() {
    unit_before=$(cat "$UNIT" 2>/dev/null || true)
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

# A line that ran before is to run again, whatever is wrong with what came now.
take_back() {
    log="journalctl -u linegate -n 50"
    if [ -z "$env_before" ] || [ ! -d "$APP/$env_before" ] || [ -z "$unit_before" ] || is_as_before; then
        fail 8 "it is installed, but the service does not start: $log"
    fi
    link "$env_before" "$APP/env"
    printf '%s\n' "$unit_before" >"$UNIT.new"
    mv "$UNIT.new" "$UNIT"
    if [ -n "$bundle_before" ]; then link_bundle "$bundle_before"; fi
    systemctl daemon-reload
    systemctl reset-failed linegate 2>/dev/null || true
    if systemctl restart linegate; then
        fail 8 "the service does not start with what came now, and goes on as before; $log"
    fi
    fail 8 "the service starts neither with what came now nor as before: $log"
}

is_as_before() {
    [ "$env_before" = "env-$id" ] && [ "$unit_before" = "$(cat "$UNIT")" ] &&
        [ "$bundle_before" = "$(readlink "$USED" || true)" ]
}
