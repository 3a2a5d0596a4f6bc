# A virtual machine with a kernel of Debian's, for drivers that this machine's kernel has not: vivid (V4L2 cameras),
# snd-aloop (an ALSA card). Its root is made once; each run starts from it anew, and has the checkout as it is now.
# Sourced after setup.bash, as root. It is emulated (KVM may be there and fail, as inside another machine): booting takes
# half a minute.
#
#   make_vm [SUITE]      the image below $PROVE_BOARDS_FOLDER/vm-SUITE: bookworm (Debian 12), or trixie (13)
#   in_vm COMMAND...     boot it, run the command in /checkout as root, and return its status; what it prints comes as it
#                        is printed. `affectd` and `python` are of the device install with the code of /checkout, which
#                        is read-only; what the command leaves in /job is in $vm_job when it has ended.
#
# $vm_minutes (15) bounds a run, $vm_memory (2G) is what it has; the kernel's messages are in $vm_job/console.log.

: "${PROVE_BOARDS_FOLDER:=/var/tmp/affectd-boards}"
vm_packages=(linux-image-amd64 v4l-utils alsa-utils iproute2 mosquitto mosquitto-clients strace)

make_vm() {
    local suite=${1:-bookworm} stamp
    need_packages mmdebstrap e2fsprogs qemu-system-x86 util-linux
    work=$PROVE_BOARDS_FOLDER/vm-$suite
    vm_job=$work/job-$$
    mkdir -p "$work"
    find "$work" -maxdepth 1 -name 'job-*' -mmin +1440 -exec rm -r {} +
    source "$root/scripts/tree.bash"
    (
        flock 9 # of those that come while it is made, each would make it
        stamp=$({ declare -p vm_packages; declare -f make_vm vm_entry; cat "${locks[@]}"; } | sha256sum)
        [ "$(cat "$work/made" 2>/dev/null)" = "$stamp" ] && exit
        echo "making $work (once; some ten minutes)" >&2
        rm -rf "$tree" "$work/made"
        make_tree "$suite" "${vm_packages[@]}" >"$work/mmdebstrap.log" 2>&1 ||
            fail "the tree could not be made; see $work/mmdebstrap.log"
        copy_checkout
        install_into_tree clip
        vm_entry >"$tree/sbin/vm-entry"
        chmod +x "$tree/sbin/vm-entry"
        mkdir -p "$tree/checkout" "$tree/job"
        # Only what finds the root, for all the drivers that there are would be unpacked at each boot.
        echo MODULES=list >"$tree/etc/initramfs-tools/conf.d/affectd"
        printf '%s\n' virtio_pci virtio_blk ext4 9p 9pnet_virtio >>"$tree/etc/initramfs-tools/modules"
        chroot "$tree" update-initramfs -u >>"$work/mmdebstrap.log" 2>&1 || fail "no initrd; see $work/mmdebstrap.log"
        cp "$tree"/boot/vmlinuz-* "$work/vmlinuz"
        cp "$tree"/boot/initrd.img-* "$work/initrd"
        rm -f "$work/root.img"
        mkfs.ext4 -q -d "$tree" "$work/root.img" 8G
        echo "$stamp" >"$work/made"
    ) 9>"$work/lock"
}

# vm_entry: the machine's first process; what it does is the job's.
vm_entry() {
    cat <<'END'
#!/bin/sh
modprobe -a 9p 9pnet_virtio
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 job /job
exec /job/init
END
}

vm_init() {
    cat <<'END'
#!/bin/bash
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw
export PATH=/opt/affectd/current/bin:/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8
export PYTHONPATH=/checkout/device:/checkout/tests PYTHONDONTWRITEBYTECODE=1
hostname affectd-vm
echo '127.0.0.1 localhost affectd-vm' >/etc/hosts
mount -t tmpfs tmpfs /tmp
ip link set lo up
/lib/systemd/systemd-udevd --daemon 2>/dev/null
udevadm trigger --type=subsystems --action=add
udevadm trigger --type=devices --action=add
udevadm settle
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,ro,cache=loose checkout /checkout
cd /checkout
bash /job/command
echo $? >/job/status
sync
poweroff -f -f >/dev/null 2>&1
END
}

in_vm() {
    local status
    rm -rf "$vm_job"
    mkdir "$vm_job"
    vm_init >"$vm_job/init"
    chmod +x "$vm_job/init"
    printf '%q ' "$@" >"$vm_job/command"
    nice -n 10 timeout "$((${vm_minutes:-15} * 60))" qemu-system-x86_64 \
        -machine q35 -accel tcg,tb-size=512 -cpu max -smp 2 -m "${vm_memory:-2G}" -nic none -display none -monitor none \
        -no-reboot -kernel "$work/vmlinuz" -initrd "$work/initrd" \
        -append "root=/dev/vda rw console=ttyS0 loglevel=5 panic=-1 mitigations=off no_timer_check init=/sbin/vm-entry" \
        -drive "file=$work/root.img,if=virtio,format=raw,snapshot=on" \
        -virtfs "local,path=$vm_job,mount_tag=job,security_model=none" \
        -virtfs "local,path=$root,mount_tag=checkout,security_model=none,readonly=on" \
        -serial "file:$vm_job/console.log" -chardev stdio,id=output,signal=off -serial chardev:output \
        </dev/null 2>>"$vm_job/console.log"
    status=$(cat "$vm_job/status" 2>/dev/null) ||
        fail "the machine ended, or its ${vm_minutes:-15} minutes did, before the command; see $vm_job/console.log"
    return "$status"
}
