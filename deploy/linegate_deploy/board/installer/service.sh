# shellcheck shell=sh
# The service: unit, log limits, command.

is_booted() { [ -d /run/systemd/system ]; }

place_service() {
    link "${env##*/}" "$APP/env"
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
