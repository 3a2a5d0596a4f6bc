# What the proofs in a Debian tree share: a Debian root tree with this checkout's affectd in it.
# Sourced after setup.bash; $work is a folder to keep.

tree=$work/tree

say() { printf '\n== %s\n' "$*"; }

# make_tree SUITE PACKAGE...: with what scripts/install-device needs, and those packages; kept for the next time.
make_tree() { make_bare_tree "$1" python3 python3-venv python3-dev gcc libc6-dev portaudio19-dev "${@:2}"; }

# make_bare_tree SUITE PACKAGE...: a system with systemd, and those packages; of $architecture, if that is set.
make_bare_tree() {
    local suite=$1 packages=(systemd systemd-sysv dbus udev procps ca-certificates "${@:2}") include
    [ -e "$tree/etc/debian_version" ] && return
    include=$(IFS=,; echo "${packages[*]}")
    rm -rf "$tree.new"
    mmdebstrap ${architecture:+--architectures="$architecture"} --variant=minbase --include="$include" \
        "$suite" "$tree.new" >&2
    mv "$tree.new" "$tree"
}

# A copy, so that it can be given the next version, and does not change while it is proved.
copy_checkout() {
    rm -rf "$work/checkout" && mkdir "$work/checkout"
    cp -r "$root"/{device,convert,models,systemd,scripts,tests,pyproject.toml,setup.py,README.md,LICENSE} "$work/checkout"
}

# install_into_tree EXTRA: $work/checkout, and for the proof alone one of its extras, which moves nothing that the lock
# names.
install_into_tree() {
    locked "$work"/checkout/device/*.lock >"$tree/var/tmp/locked.txt"
    # shellcheck disable=SC2016
    lend_network bash -euc '
        "$2/scripts/install-device" --prefix "$1"
        # setuptools too, which the tests need and install-device leaves out of a box.
        chroot "$1" /opt/affectd/current/bin/python -m pip install --quiet --constraint /var/tmp/locked.txt \
            "affectd[$3]" setuptools
    ' - "$tree" "$work/checkout" "$1" >"$work/install.log" 2>&1 || fail "the installation failed; see $work/install.log"
}

# boot_tree: systemd as process 1 of the tree, with a network of its own; `inside` runs a command in it.
boot_tree() {
    systemd-nspawn --quiet --directory="$tree" --boot --register=no --keep-unit --private-network \
        --bind-ro="$work/checkout:/checkout" </dev/null >"$work/console.log" 2>&1 &
    nspawn=$!
    # shellcheck disable=SC2064
    trap "kill $nspawn 2>/dev/null; wait $nspawn || true" EXIT
    await "the container's process 1" pgrep -P "$nspawn"
    leader=$(pgrep -P "$nspawn")
    await "multi-user.target" inside systemctl is-active multi-user.target
}

inside() { nsenter -t "$leader" -m -u -i -n -p -C -- "$@"; }

# await WHAT COMMAND...: until the command succeeds, for $deadline_s (180) seconds.
await() {
    local what=$1 end=$((SECONDS + ${deadline_s:-180}))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what did not come in ${deadline_s:-180} s; see $work"
        sleep 0.2
    done
}

# lend_network COMMAND...: run it while the tree has this machine's way to the package index, no longer.
lend_network() {
    touch "$tree/etc/pip.conf" "$tree/etc/resolv.conf"
    # shellcheck disable=SC2016
    unshare --mount bash -euc '
        tree=$1 && shift
        for file in /etc/resolv.conf /etc/pip.conf /etc/ssl/certs; do
            [ ! -e "$file" ] || mount --bind "$file" "$tree$file"
        done
        exec "$@"
    ' - "$tree" "$@"
}
