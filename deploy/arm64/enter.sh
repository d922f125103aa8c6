#!/bin/sh
# Runs a command in a tree of tree.sh, as on a board with that core.
# usage: enter.sh [--upper DIR] [--bind HOST:GUEST]... TREE CORE COMMAND...
#   CORE: a53 (Raspberry Pi 3), a72 (4), a76 (5); host: that of this machine, not emulated
#   --upper DIR         keep what the command changes there; otherwise it is thrown away
#   --bind HOST:GUEST   show a folder or file of this machine in the tree
# The tree itself never changes. Signals and exit codes are the command's; 125: it was not started.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "enter.sh: $1" >&2
    exit 125
}

# Runs in a mount namespace of its own: what is mounted here nobody else sees, and it is gone
# with the last process of the command.
enter_namespace() {
    mount -t tmpfs tmpfs "$tree/mnt"
    layers=${upper:-$tree/mnt}
    mkdir -p "$layers/upper" "$layers/work"
    mount -t overlay -o "lowerdir=$tree,upperdir=$layers/upper,workdir=$layers/work" overlay "$tree" ||
        fail "cannot lay an overlay over $tree; its changes cannot be kept on every kind of disk, try another --upper"
    mount -t proc proc "$tree/proc"
    if [ "$core" = host ]; then
        mount -t sysfs -o ro sysfs "$tree/sys"
    else
        show_core
    fi
    make_devices
    # One --bind a line.
    printf '%s' "$binds" | while IFS= read -r bind; do
        host=${bind%%:*} guest=$tree/${bind#*:}
        if [ -d "$host" ]; then mkdir -p "$guest"; else
            mkdir -p "$(dirname "$guest")"
            touch "$guest"
        fi
        mount --bind "$host" "$guest"
    done
}

# Programs choose their kernels by what the kernel says about the processor. This machine's own
# would crash them, or let them compute by other kernels than a board's.
show_core() {
    mount --bind "$here/cpuinfo-$core" "$tree/proc/cpuinfo"
    mount -t tmpfs tmpfs "$tree/sys"
    mkdir -p "$tree/sys/devices/system/cpu"
    for file in possible present online; do echo 0-3 >"$tree/sys/devices/system/cpu/$file"; done
}

# Only what every system has: no disks, cameras or pins of this machine.
make_devices() {
    mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
    for device in null zero full random urandom tty; do
        touch "$tree/dev/$device"
        mount --bind "/dev/$device" "$tree/dev/$device"
    done
    mkdir "$tree/dev/shm" "$tree/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$tree/dev/pts"
    ln -s pts/ptmx "$tree/dev/ptmx"
    ln -s /proc/self/fd "$tree/dev/fd"
    for number in 0:stdin 1:stdout 2:stderr; do
        ln -s "/proc/self/fd/${number%:*}" "$tree/dev/${number#*:}"
    done
}

if [ "${1:-}" = --in-namespace ]; then
    tree=$2 core=$3 upper=$4 binds=$5
    shift 5
    trap '[ $? -eq 125 ] || echo "enter.sh: $tree cannot be entered" >&2; exit 125' EXIT
    enter_namespace
    set -- chroot "$tree" "$@"
    # Every process of the tree needs it: qemu's own default, max, computes int8 wrongly.
    [ "$core" = host ] || set -- "QEMU_CPU=cortex-$core" "$@"
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 "$@"
fi

upper='' binds=''
while [ $# -gt 0 ]; do
    case $1 in
    --upper)
        [ $# -gt 1 ] || fail "--upper: expected a folder"
        mkdir -p "$2"
        upper=$(cd "$2" && pwd)
        shift 2
        ;;
    --bind)
        case ${2:-} in ?*:/?*) ;; *) fail "--bind: expected HOST:GUEST, GUEST absolute, got '${2:-}'" ;; esac
        [ -e "${2%%:*}" ] || fail "--bind: ${2%%:*} does not exist"
        binds="$binds$2
"
        shift 2
        ;;
    -*) fail "unknown option $1" ;;
    *) break ;;
    esac
done
[ $# -ge 3 ] || fail "expected TREE CORE COMMAND..., got '$*'"
[ -e "$1/etc/linegate-tree" ] || fail "$1: expected a tree; make it with: $here/tree.sh SUITE ARCH $1"
tree=$(cd "$1" && pwd) core=$2
shift 2
[ "$(id -u)" -eq 0 ] || fail "expected root, for chroot and mounts"
read -r _ arch _ <"$tree/etc/linegate-tree"
case $core:$arch:$(uname -m) in
host:arm64:aarch64 | host:amd64:x86_64) ;;
host:*) fail "expected a53, a72 or a76: this machine ($(uname -m)) does not run a tree of $arch itself" ;;
a53:arm64:x86_64 | a72:arm64:x86_64 | a76:arm64:x86_64)
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || [ -e /proc/sys/fs/binfmt_misc/linegate-aarch64 ] ||
        fail "the kernel does not know qemu (any more); run tree.sh again"
    ;;
*) fail "expected the core host, or for arm64 emulated on x86-64 a53, a72 or a76, got '$core' for $arch on $(uname -m)" ;;
esac
exec unshare --mount sh "$0" --in-namespace "$tree" "$core" "$upper" "$binds" "$@"
