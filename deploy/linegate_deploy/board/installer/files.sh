# shellcheck shell=sh
# How files get to their places: beside, then renamed, and only if they differ.

# write MODE GROUP FROM TO: replaced as a whole, and only if it differs; never where others write.
write() {
    [ "$(stat -c '%a %U %G' "$4" 2>/dev/null)" = "$1 root $2" ] && cmp -s "$3" "$4" && return 0
    mkdir -p "$(dirname "$4")"
    install -m "$1" -o root -g "$2" "$3" "$4.new"
    sync "$4.new" 2>/dev/null || true
    mv "$4.new" "$4"
    changed=yes
}

# link TARGET NAME: NAME points to TARGET, at every moment to the one or the other.
link() {
    [ "$(readlink "$2")" != "$1" ] || return 0
    ln -sfn "$1" "$2.new"
    mv -T "$2.new" "$2"
    changed=yes
}

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }
