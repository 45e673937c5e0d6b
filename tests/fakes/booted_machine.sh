# A machine of its own: `install` once in a mount namespace, then `boot` in new namespaces for each start.
#
#     install FOLDER PACKAGES         Debian as it is here, with PACKAGES over it; nothing of it is on the disk
#     boot FOLDER SHOWN...            becomes systemd as its process 1; what is SHOWN is seen where it is
set -e
verb=$1 folder=$2
root=$folder/root

install() {
    mount -t tmpfs tmpfs "$folder"
    mkdir "$folder/upper" "$folder/work" "$root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
    tar -C "$1" -c . | tar -x --keep-directory-symlink -C "$root"
    rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/resolv.conf "$root"/var/lib/sockslocal
    systemd-sysusers --root="$root" 2> /dev/null
    : > "$root/etc/machine-id"
    : > "$root/etc/tmpfiles.d/tmp.conf"  # or all below /tmp would go
    # nothing that looks at the hardware, or sets the clock
    for unit in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
        systemd-udev-trigger.service systemd-timesyncd.service systemd-binfmt.service systemd-sysctl.service \
        systemd-modules-load.service dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
}

mount_kernel() {
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    mkdir "$root/dev/pts" "$root/dev/shm"
    for name in null zero full random urandom tty; do
        : > "$root/dev/$name"
        mount --bind "/dev/$name" "$root/dev/$name"
    done
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    cat /proc/sys/kernel/random/uuid > "$folder/boot_id"
    mount --bind "$folder/boot_id" "$root/proc/sys/kernel/random/boot_id"
}

boot() {
    mount --make-rprivate /
    mount_kernel
    for path; do
        if [ "$(stat -c %d "$path")" != "$(stat -c %d /)" ]; then
            mkdir -p "$root$path"
            mount --bind "$path" "$root$path"
        fi
    done
    ip link set lo up
    cd "$root"
    pivot_root . mnt
    umount -l /mnt
    exec env -i container=sockslocal-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no
}

shift 2
"$verb" "$@"
