#!/bin/sh
# Makes a small, configured Debian in a folder, as a board has it; enter.sh runs commands in it.
# usage: tree.sh SUITE ARCH DIR      SUITE: bookworm, trixie; ARCH: arm64, amd64
# A tree that is there already and was made from the same recipe stays as it is.
set -eu

# What a board's minimal system has beside the essential packages: no pip, no venv, no compiler.
# The engines and OpenCV load the libraries; the installer needs passwd and systemd's commands.
PACKAGES=python3,libstdc++6,libgomp1,libatomic1,zlib1g,passwd,systemd

fail() {
    echo "tree.sh: $1" >&2
    exit 125
}

need() {
    command -v "$1" >/dev/null || fail "expected the program $1; install the package $2"
}

# Lets the kernel start programs of arm64 through qemu. The flag F: the kernel holds qemu's file
# open, so that it is found from inside a tree that has none.
register_qemu() {
    formats=/proc/sys/fs/binfmt_misc
    [ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats ||
        fail "cannot mount $formats; the kernel needs binfmt_misc"
    for format in qemu-aarch64 linegate-aarch64; do
        if grep -q '^enabled' $formats/$format 2>/dev/null &&
            grep -q '^flags:.*F' $formats/$format; then
            return 0
        fi
    done
    # Magic and mask of 64-bit ARM, little endian; the flag P: qemu learns argv[0].
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s\n' ":linegate-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):PF" \
        >$formats/register || fail "the kernel refuses to register qemu in $formats"
    echo "tree.sh: registered qemu for arm64 programs, until the next start of this machine;" \
        "to undo: echo -1 > $formats/linegate-aarch64" >&2
}

[ $# -eq 3 ] || fail "expected three arguments SUITE ARCH DIR, got $#"
suite=$1 arch=$2 dir=${3%/}
case $suite in bookworm | trixie) ;; *) fail "expected bookworm or trixie, got '$suite'" ;; esac
[ "$(id -u)" -eq 0 ] || fail "expected root, for chroot and mounts; try: sudo $0 $*"
need mmdebstrap mmdebstrap
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
    fail "expected Debian's keys; install the package debian-archive-keyring"
case $arch:$(uname -m) in
arm64:aarch64 | amd64:x86_64) ;;
arm64:*)
    need qemu-aarch64-static qemu-user-static
    need arch-test arch-test
    register_qemu
    ;;
amd64:*) fail "a tree of amd64 needs an x86-64 machine, this is $(uname -m)" ;;
*) fail "expected arm64 or amd64, got '$arch'" ;;
esac

# Two makers of one tree wait for each other.
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9

# The one tree with pip, so that an installation from an index can be tried without a board.
if [ "$suite/$arch" = trixie/amd64 ]; then PACKAGES=$PACKAGES,python3-venv; fi

recipe=$(sha256sum <"$0" | cut -c1-64)
stamp="$suite $arch $recipe"
if [ "$(cat "$dir/etc/linegate-tree" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
if [ -e "$dir" ] && [ ! -e "$dir/etc/linegate-tree" ] && [ -n "$(ls -A "$dir")" ]; then
    fail "$dir: expected a tree that this script made, or nothing; got other files; name another folder"
fi

echo "tree.sh: making Debian $suite for $arch in $dir (a minute or two)" >&2
making=$dir.making
rm -rf "$making"
# Scripts of packages run as on that core: qemu's own default, max, computes int8 wrongly.
QEMU_CPU=cortex-a72 mmdebstrap --quiet --variant=essential --arch="$arch" --include=$PACKAGES \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$making" 9>&- >"$dir.log" 2>&1 || {
    cat "$dir.log" >&2
    fail "mmdebstrap failed, see above; is there a network?"
}
rm "$dir.log"
# Names of this machine are none of the tree's.
echo board >"$making/etc/hostname"
printf '127.0.0.1 localhost board\n::1 localhost\n' >"$making/etc/hosts"
rm -f "$making/etc/resolv.conf"
echo "$stamp" >"$making/etc/linegate-tree"
rm -rf "$dir"
mv "$making" "$dir"
