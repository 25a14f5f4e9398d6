#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# Process 1 of the guest. Puts the host's files under a writable layer, runs one command in them
# with its output on two virtio ports, reports the exit status there, and waits to be ended.
#
# Given by the host: /run.conf (NONCE, HOST_NAME, RELEASE, MODULES, OUT), /command (what to run),
# /copies (pairs of lines: a path on the host, the path to copy it to), /modules/list.
# The protocol on the ports is described in machine.py, which reads them.

PATH=/bin
export PATH

fail() {
    echo "gopherscope init: $*" >/dev/console
    sync
    poweroff -f
    sleep 60
}

must() {
    "$@" || fail "failed: $*"
}

# A mount that some kernels cannot do, and that the command may never miss.
may_mount() {
    mkdir -p "$4" 2>/dev/null
    mount -t "$1" -o "$2" "$3" "$4" 2>/dev/null || echo "gopherscope init: no $1" >/dev/console
}

# A path as overlay's options have it: a colon, a comma or a backslash in it is escaped.
layer_path() {
    printf %s "$1" | sed 's/[\\:,]/\\&/g'
}

# Kills what the command left running: all that is not in this script's session. The fields of
# /proc/PID/stat after the name, which may hold anything: state, parent, group, session.
end_command() {
    session=$(session_of 1)
    for process in /proc/[0-9]*; do
        [ "$(session_of "${process##*/}")" = "$session" ] || kill -9 "${process##*/}"
    done
}

session_of() {
    read -r line <"/proc/$1/stat" || return
    # shellcheck disable=SC2086
    set -- ${line##*) }
    echo "$4"
}

mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
must mount -t proc proc /proc
must mount -t sysfs sys /sys

while read -r module; do
    must insmod "/modules/$module"
done </modules/list
# shellcheck source=/dev/null
. /run.conf

# The host's files, below a layer in memory that takes every write.
must mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 hostroot /lower
must mount -t tmpfs -o mode=755 upper /upper
mkdir /upper/data /upper/work
must mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /root

cd /root || fail "no /root"
mkdir -p proc sys dev tmp run out
must mount -t proc proc proc
must mount -t sysfs sys sys
must mount -t devtmpfs dev dev
must mount -t tmpfs -o mode=1777 tmp tmp
must mount -t tmpfs -o mode=755 run run
mkdir -p run/lock dev/pts dev/shm
may_mount devpts mode=620,ptmxmode=666,gid=5 devpts dev/pts
may_mount tmpfs mode=1777 shm dev/shm
may_mount tracefs defaults tracefs sys/kernel/tracing
may_mount debugfs defaults debugfs sys/kernel/debug
may_mount securityfs defaults securityfs sys/kernel/security
may_mount bpf mode=700 bpf sys/fs/bpf
may_mount cgroup2 defaults cgroup2 sys/fs/cgroup
# What udev would have made.
[ -e dev/fd ] || ln -s /proc/self/fd dev/fd
[ -e dev/stdin ] || ln -s /proc/self/fd/0 dev/stdin
[ -e dev/stdout ] || ln -s /proc/self/fd/1 dev/stdout
[ -e dev/stderr ] || ln -s /proc/self/fd/2 dev/stderr

if [ "$OUT" = 1 ]; then
    must mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 out out
else
    must mount -t tmpfs -o mode=755 out out
fi

# The guest's own modules where modprobe looks for them.
if mkdir -p "lib/modules/$RELEASE"; then
    mount -o bind "/lower$MODULES" "lib/modules/$RELEASE" || echo "gopherscope init: no modules"
fi

# A folder is laid under a layer in memory of its own, as / is: it need not be copied.
layers=0
while read -r from && read -r to; do
    if [ -d "/lower$from" ]; then
        layers=$((layers + 1))
        must mkdir -p "/root$to" "/upper/data$layers" "/upper/work$layers"
        must mount -t overlay -o "lowerdir=$(layer_path "/lower$from"),upperdir=/upper/data$layers,workdir=/upper/work$layers" copy "/root$to"
    else
        must mkdir -p "/root${to%/*}"
        must cp -a "/lower$from" "/root$to"
    fi
done </copies

ip link set lo up
hostname "$HOST_NAME"

# The ports get their numbers as the driver finds them; their names are ours.
tries=0
while :; do
    for port in /sys/class/virtio-ports/*; do
        name=$(cat "$port/name" 2>/dev/null)
        [ "$name" = gopherscope.stdout ] && stdout=/dev/${port##*/}
        [ "$name" = gopherscope.stderr ] && stderr=/dev/${port##*/}
    done
    [ -c "$stdout" ] && [ -c "$stderr" ] && break
    tries=$((tries + 1))
    [ $tries -lt 200 ] || fail "the virtio ports did not appear"
    sleep 0.05
done
exec 3>"$stdout" 4>"$stderr"

# Pipes stand between the command and the ports: a port cannot be opened twice, and a program
# that opens /dev/stdout again would fail on it.
must mkfifo /stdout /stderr
cat /stdout >&3 &
relay_stdout=$!
cat /stderr >&4 &
relay_stderr=$!

# As a login on Debian would have them.
ulimit -Hn 524288
ulimit -Sn 1024
ulimit -l 8192

printf '\000gopherscope:%s start\n' "$NONCE" >&3
setsid chroot /root /bin/sh -c "$(cat /command)" </dev/null >/stdout 2>/stderr 3>&- 4>&-
status=$?

# Processes that the command left behind hold the pipes open: they get two seconds. The relays are
# spared, however long they take, as all they wait for is a slow reader on the host.
(
    sleep 2
    end_command
) 2>/dev/null &
wait $relay_stdout $relay_stderr
sync
printf '\000gopherscope:%s end\n' "$NONCE" >&4
printf '\000gopherscope:%s exit %s\n' "$NONCE" "$status" >&3
# The host ends the machine when it has read everything: powering off here could lose output.
while :; do sleep 60; done
