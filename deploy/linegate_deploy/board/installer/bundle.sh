# shellcheck shell=sh
# The bundle: verified before it is put to use.

# The kit's bundle, else the one of the settings; it is put to use once it was verified.
find_bundle() {
    carried=
    bundle=$(settings_bundle)
    [ -n "$kit" ] || return 0
    for file in "$kit"/bundle/*.linegate; do
        [ -f "$file" ] || continue
        carried=$(basename "$file")
        bundle=$DATA/bundles/$carried
        if ! as_account cmp -s - "$bundle" <"$file"; then
            bundle=$DATA/bundles/.$carried.new
            # shellcheck disable=SC2016 # for the inner shell
            as_account sh -c 'umask 027 && cat >"$1" && sync "$1"' sh "$bundle" <"$file" ||
                fail 7 "the bundle cannot be written to $DATA/bundles"
        fi
    done
}

# What the settings say, as a path; nothing if they name none or cannot be read.
settings_bundle() {
    python3 -c '
import pathlib, sys, tomllib
path = pathlib.Path(sys.argv[1])
try:
    named = tomllib.loads(path.read_text()).get("bundle", "")
except (OSError, ValueError):
    named = ""
found = path.parent / named
print(found if isinstance(named, str) and named and found.is_file() else "")' \
        "$SETTINGS/linegate.toml"
}

verify_bundle() {
    [ -n "$bundle" ] || return 0
    say "linegate verify $bundle"
    if ! (cd "$DATA" && as_account env HOME="$DATA" PYTHONDONTWRITEBYTECODE=1 \
        "$env/bin/linegate" verify "$bundle"); then
        if [ "$bundle" = "$DATA/bundles/.$carried.new" ]; then as_account rm -f "$bundle"; fi
        fail 6 "the bundle does not answer on this board as it did on the workstation, see" \
            "above; the service is as it was"
    fi
}

# Only what the kit brought is linked; a bundle that somebody put there is kept.
use_bundle() {
    [ -n "$carried" ] || return 0
    if [ "$bundle" = "$DATA/bundles/.$carried.new" ]; then
        as_account mv -fT "$bundle" "$DATA/bundles/$carried"
        bundle=$DATA/bundles/$carried
        changed=yes
    fi
    used=$DATA/bundle.linegate
    [ "$(readlink "$used")" != "bundles/$carried" ] || return 0
    if [ -e "$used" ] && [ ! -L "$used" ]; then
        kept=bundles/before-$(date +%Y%m%d-%H%M%S).linegate
        say "keeping $used as $DATA/$kept"
        as_account mv -nT "$used" "$DATA/$kept"
    fi
    as_account ln -sfn "bundles/$carried" "$used.new"
    as_account mv -fT "$used.new" "$used"
    changed=yes
}
