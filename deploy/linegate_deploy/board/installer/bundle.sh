# shellcheck shell=sh
# The bundle: verified before it is put to use.

# The kit's, beside those that are there.
find_bundle() {
    carried=$(listed 'bundle/.*[.]linegate')
    carried=${carried#bundle/}
    bundle=
    [ -n "$carried" ] || return 0
    bundle=$DATA/bundles/$carried
    # shellcheck disable=SC2016 # for the inner shells
    if ! as_account sh -c '[ -f "$1" ] && cmp -s - "$1"' sh "$bundle" <"$kit/bundle/$carried"; then
        bundle=$DATA/bundles/.$carried.new
        as_account sh -c 'umask 027 && rm -rf "$1" && cat >"$1" && sync "$1"' sh "$bundle" \
            <"$kit/bundle/$carried" || fail 7 "the bundle cannot be written to $DATA/bundles"
    fi
}

# What the settings say, as a path; nothing if they name none.
settings_bundle() {
    python -c '
import pathlib, sys, tomllib
path = pathlib.Path(sys.argv[1])
named = tomllib.loads(path.read_text()).get("bundle", "")
found = path.parent / named
print(found if named and found.is_file() else "")' "$SETTINGS/linegate.toml"
}

# The kit's and the one that will judge, which the settings may have named themselves.
verify_bundles() {
    named=$(settings_bundle)
    if [ -n "$carried" ]; then
        case $named in "$USED" | "$DATA/bundles/$carried") named= ;; esac
    fi
    for one in "$bundle" "$named"; do
        if [ -n "$one" ]; then verify "$one"; fi
    done
    if [ -n "$carried" ] && [ -n "$named" ]; then
        say "the settings name $named, so that judges; for the kit's say there: bundle = \"$USED\""
    fi
}

verify() {
    say "linegate verify $1"
    as_account env -C "$DATA" HOME="$DATA" PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 \
        "$env/bin/linegate" verify "$1" </dev/null && return 0
    if is_new; then as_account rm -f "$bundle"; fi
    fail 6 "$1 does not answer on this board as it did on the workstation, see above;" \
        "the service is as it was"
}

is_new() { [ -n "$carried" ] && [ "$bundle" = "$DATA/bundles/.$carried.new" ]; }

# Only what the kit brought is linked; what somebody put there is kept.
use_bundle() {
    [ -n "$carried" ] || return 0
    aside=before-$(date +%Y%m%d-%H%M%S)
    if is_new; then
        bundle=$DATA/bundles/$carried
        keep "$bundle" "bundles/$aside-$carried" "bundles/$carried"
        as_account mv -fT "$DATA/bundles/.$carried.new" "$bundle"
    fi
    [ "$(readlink "$USED")" != "bundles/$carried" ] || return 0
    if [ -e "$USED" ] && [ ! -L "$USED" ]; then
        say "keeping $USED as $DATA/bundles/$aside.linegate"
        keep "$USED" "bundles/$aside.linegate" ""
    fi
    link_bundle "bundles/$carried"
}

# keep FILE NAME USED: FILE gets NAME too, or that alone if it is no file; if what was in use is
# called USED, it is that now. FILE is then replaced as a whole, so a bundle is there at any moment.
keep() {
    as_account test -e "$1" || return 0
    as_account ln -T "$1" "$DATA/$2" 2>/dev/null || as_account mv -nT "$1" "$DATA/$2"
    if [ "$(cat "$BEFORE/bundle")" = "$3" ]; then echo "$2" >"$BEFORE/bundle"; fi
}

link_bundle() {
    as_account rm -rf "$USED.new"
    as_account ln -sfn "$1" "$USED.new"
    as_account mv -fT "$USED.new" "$USED"
}
