#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Gets what the project needs and this machine lacks. Nothing that is there is installed again, and with everything there
# no network is used.
#
#   scripts/bootstrap.sh packages GROUP…   system packages; groups: build demo test lint fresh vm
#   scripts/bootstrap.sh venv              .venv, from the system's Python, which is the one that has BCC
#   scripts/bootstrap.sh dev               the Python tools of requirements-dev.txt into .venv
#   scripts/bootstrap.sh services          what exports of `services` need, requirements-services.txt, into .venv
#   scripts/bootstrap.sh toolchains        the Go versions that the tests build programs with
#
# Environment: PYTHON (default /usr/bin/python3), VENV (default .venv).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-/usr/bin/python3}
venv=${VENV:-.venv}
# A version manager's or a caller's settings must not turn the system's Python into another one.
unset PYTHONHOME PYTHONPATH

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }
have_pkg() { have pkg-config && pkg-config --exists "$1"; }
# One compiled line tells whether a header is where the compiler looks.
have_header() { have gcc && echo "#include <$1>" | gcc -E -xc - -o /dev/null 2>/dev/null; }
have_module() { [ -x "$python" ] && "$python" -Ic "import importlib.util as u, sys; sys.exit(not u.find_spec('$1'))" 2>/dev/null; }
have_python_h() {
  [ -x "$python" ] || return 1
  [ -e "$("$python" -Ic 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ]
}

# Debian package · how to tell that it is not needed. The README's table has the names in other distributions.
needs_build() {
  cat <<'NEEDS'
gcc have gcc
libc6-dev have_header stdlib.h
pkg-config have pkg-config
libelf-dev have_pkg libelf
libdw-dev have_pkg libdw
libcapstone-dev have_pkg capstone
zlib1g-dev have_pkg zlib
libdeflate-dev have_pkg libdeflate
libbpfcc-dev have_header bcc/libbpf.h
python3 test -x /usr/bin/python3
python3-dev have_python_h
python3-venv have_module ensurepip
python3-pip have_module pip
python3-setuptools have_module setuptools
python3-wheel have_module wheel
python3-cffi have_module cffi
python3-bpfcc have_module bcc
NEEDS
}
needs_demo() {
  cat <<'NEEDS'
golang-go have go
ca-certificates test -d /etc/ssl/certs
NEEDS
}
needs_test() {
  needs_demo
  cat <<'NEEDS'
llvm have llvm-dwarfdump
gdb have gdb
binutils have objdump
groff-base have groff
zsh have zsh
fish have fish
NEEDS
}
needs_lint() {
  cat <<'NEEDS'
clang have clang
clang-format have clang-format
NEEDS
}
needs_fresh() {
  cat <<'NEEDS'
debootstrap have debootstrap
git have git
NEEDS
}
needs_vm() {
  cat <<'NEEDS'
qemu-system-x86 have qemu-system-x86_64
busybox-static have busybox
kmod have depmod
zstd have zstd
NEEDS
}

missing_of() { # GROUP… → Debian package names, one a line
  local group package check
  for group in "$@"; do
    "needs_$group" | while read -r package check; do
      # shellcheck disable=SC2086 # the check is a command and its argument
      $check || echo "$package"
    done
  done | sort -u
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    say "error: root is needed for: $*"
    say "hint: install sudo, or run that as root and then make again"
    exit 1
  fi
}

packages() {
  local missing
  missing=$(missing_of "$@" | tr '\n' ' ')
  [ -n "${missing// /}" ] || return 0
  if ! have apt-get; then
    say "error: needed and not found (names as Debian has them): $missing"
    say "hint: install what your distribution calls them (the table in README.md), then run make again"
    exit 1
  fi
  say "installing: $missing"
  # shellcheck disable=SC2086 # a list
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
  fi
  hash -r
  missing=$(missing_of "$@" | tr '\n' ' ')
  if [ -n "${missing// /}" ]; then
    say "error: installed, and still not found: $missing"
    say "hint: if $python is not the distribution's Python, set PYTHON to the one that 'import bcc' works in"
    exit 1
  fi
}

make_venv() {
  local want
  want="$("$python" -Ic 'import sys; print(sys.version)') $python"
  [ "$(cat "$venv/.made-from" 2>/dev/null)" = "$want" ] && return 0
  say "making $venv from $python"
  rm -rf "$venv"
  "$python" -m venv --system-site-packages "$venv"
  printf '%s\n' "$want" >"$venv/.made-from"
}

dev_tools() {
  local want
  want=$(sha256sum <requirements-dev.txt)
  [ "$(cat "$venv/.dev-tools" 2>/dev/null)" = "$want" ] && return 0
  say "installing the tools of requirements-dev.txt into $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
  printf '%s\n' "$want" >"$venv/.dev-tools"
}

service_packages() {
  local want
  want=$(sha256sum <requirements-services.txt)
  [ "$(cat "$venv/.services" 2>/dev/null)" = "$want" ] && return 0
  say "installing requirements-services.txt into $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-services.txt
  printf '%s\n' "$want" >"$venv/.services"
}

toolchains() {
  local version
  # Kept in one place: the tests ask for these.
  sed -n 's/^ *"1\.[0-9]*": "\(1\.[0-9.]*\)".*/\1/p' tests/go_versions.py | while read -r version; do
    scripts/go-toolchain.sh "$version" >/dev/null
  done
}

case ${1-} in
  packages) shift; packages "$@" ;;
  missing) shift; missing_of "$@" ;;
  venv) make_venv ;;
  dev) dev_tools ;;
  services) service_packages ;;
  toolchains) toolchains ;;
  *) sed -n '3,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
