#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Proves that the README's two commands work from nothing: makes a minimal Debian in a folder, copies a clean clone of the last
# commit into it, and runs there what the README says. Root. Prints PASS or FAIL.
#
# Passed through are this kernel (/proc, /sys, /dev) and how this machine reaches registries: settings of apt, pip and Go,
# certificates, name resolution. Not passed is anything installed here.
#
# Environment: FRESH_SUITE (bookworm), FRESH_DIR (a folder in the user's cache), KEEP=1 (leave the Debian there),
# WORKTREE=1 (the files as they stand instead of the last commit).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suite=${FRESH_SUITE:-bookworm}
base=${FRESH_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/gopherscope/fresh}
root=$base/$suite
home=/home/fresh

# In a mount namespace of its own nothing stays mounted, whatever ends the script.
if [ "${FRESH_INSIDE-}" != 1 ]; then
  [ "$(id -u)" = 0 ] || { echo "error: chroot and mounts need root: sudo make fresh" >&2; exit 1; }
  mkdir -p "$base"
  exec 9>"$base/lock"
  flock --nonblock 9 || { echo "error: another make fresh is at work in $base" >&2; exit 1; }
  status=0
  FRESH_INSIDE=1 unshare --mount --propagation private "$0" || status=$?
  [ "${KEEP-}" = 1 ] || rm -rf --one-file-system "$root"
  if [ "$status" = 0 ]; then echo "PASS"; else echo "FAIL"; fi
  exit "$status"
fi

step() { printf '\n=== %s\n' "$*"; }

step "a minimal Debian ($suite) in $root"
rm -rf --one-file-system "$root"
mkdir -p "$root"
# The mirror that this machine's apt uses for Debian.
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
[ -n "$mirror" ] || { echo "error: this machine's apt knows no Debian mirror" >&2; exit 1; }
/usr/sbin/debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$base/debootstrap.log" 2>&1 || { tail -n 20 "$base/debootstrap.log"; exit 1; }

step "this machine's settings"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
rm -f "$root"/etc/apt/apt.conf.d/*docker* "$root/etc/apt/apt.conf.d/20packagekit" "$root/etc/apt/apt.conf.d/50appstream"
printf 'deb %s %s main\ndeb %s %s-updates main\n' "$mirror" "$suite" "$mirror" "$suite" >"$root/etc/apt/sources.list"
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
  [ ! -e "$file" ] || cp -L "$file" "$root$file"
done
mkdir -p "$root$home" "$root/etc/ssl/certs" "$root/usr/local/share/ca-certificates"
for file in .config/go/env .config/pip/pip.conf .pip/pip.conf .netrc; do
  [ ! -e "$HOME/$file" ] || install -D -m 600 "$HOME/$file" "$root$home/$file"
done
# As a local authority, so that it is still there when the package ca-certificates makes the bundle anew.
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/machine.crt"
fi

step "a clean clone"
if [ "${WORKTREE-}" = 1 ]; then
  mkdir -p "$root$home/gopherscope"
  git ls-files -co --exclude-standard -z | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' _ | tar -c --null -T - | tar -x -C "$root$home/gopherscope"
else
  git -c safe.directory='*' clone --quiet --no-hardlinks "$PWD" "$root$home/gopherscope"
fi

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
[ ! -d /opt/wheels ] || { mkdir -p "$root/opt/wheels"; mount --bind -o ro /opt/wheels "$root/opt/wheels"; }

inside() { # in the clone, with the settings that name registries and certificates, and a new machine's PATH
  chroot "$root" /usr/bin/env -u FRESH_INSIDE -u GOROOT -u GOPATH -u GOCACHE -u GOMODCACHE -u XDG_CACHE_HOME -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u VIRTUAL_ENV \
    HOME="$home" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    sh -c "cd $home/gopherscope && $1"
}

step "what the README asks for beforehand: git and make"
chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends git make' >"$base/apt.log" 2>&1 ||
  { tail -n 20 "$base/apt.log"; exit 1; }

mapfile -t commands < <(awk '/^```sh$/ { on = 1; next } /^```$/ { if (on) exit } on' README.md | sed 's/ *#.*//' | grep '^make ')
[ "${commands[*]}" = "make demo make test" ] || { echo "error: the README's first block holds other commands: ${commands[*]}"; exit 1; }

step "${commands[0]}"
inside "${commands[0]}" 2>&1 | tee "$base/demo.log"
grep -qF 'main.ebpfDemo(a1=100, a2=true, a3=66.88)' "$base/demo.log"
grep -qF '→ (r1=100, r2=200, r3="test for ebpf")' "$base/demo.log"

step "${commands[0]} again, without network"
inside "unshare --net ${commands[0]}" >"$base/demo2.log" 2>&1 || { cat "$base/demo2.log"; exit 1; }
if grep -E '^(installing|making|fetching)' "$base/demo2.log"; then echo "error: work was done twice"; exit 1; fi

step "${commands[1]}"
inside "CI=true ${commands[1]}"
