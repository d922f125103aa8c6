# shellcheck shell=sh
# Account, data and settings.

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

# What runs as the account may be an attacker's: it gets no terminal to type into, no lock, no way to
# rights, and not for ever.
as_account() {
    setsid --wait timeout 600 setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --init-groups --no-new-privs \
        --inh-caps=-all --bounding-set=-all -- "$@" 9>&-
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
        move_missing "$DATA/settings" "$SETTINGS"
        rmdir "$DATA/settings" 2>/dev/null || say "some were there already; see $DATA/settings"
        changed=yes
    fi
    from=$files/linegate.toml
    if [ -n "$(listed settings.toml)" ]; then from=$kit/settings.toml; fi
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

# move_missing FROM TO: what TO does not have. The settings' own file goes last: while it is not
# there, the next run goes on here.
move_missing() {
    for one in "$1"/* "$1"/.[!.]*; do
        name=${one##*/}
        [ "$name" != linegate.toml ] || continue
        if [ -e "$one" ] && [ ! -e "$2/$name" ]; then mv "$one" "$2/"; fi
    done
    if [ -e "$1/linegate.toml" ] && [ ! -e "$2/linegate.toml" ]; then mv "$1/linegate.toml" "$2/"; fi
}

is_roots() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %U "$1")" = root ]; }

# As the service reads them, before anything is switched: a line must not end over settings that
# were wrong before, or that a new version refuses.
check_settings() {
    as_account env -C "$DATA" "$env/bin/python" -I -c '
import pathlib, sys
from linegate_bundle.errors import LinegateError
from linegate_runtime.config_file import Overrides, load_config
try:
    load_config(pathlib.Path(sys.argv[1]), Overrides()).check_plugins()
except LinegateError as error:
    print(error, file=sys.stderr)
    sys.exit(4)' "$SETTINGS/linegate.toml" </dev/null && return 0
    [ $? -ne 4 ] ||
        fail 4 "the settings are wrong, see above: correct them and run this again; the service is" \
            "as it was"
    fail 6 "the environment does not work here, see above; the service is as it was"
}
