#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the GOROOT of a Go version, fetching it when it is not there: scripts/go-toolchain.sh 1.21.13
#
# A toolchain is a module (golang.org/toolchain), which any Go since 1.16 can download and which stays in the module cache;
# so an old distribution's Go, which knows nothing of GOTOOLCHAIN, brings every other version. Runs without network when the version is there.
set -euo pipefail

version=${1:?usage: $0 VERSION (as 1.21.13)}
say() { printf '%s\n' "$*" >&2; }

command -v go >/dev/null || { say "error: no go on PATH"; say "hint: make demo installs the distribution's"; exit 1; }

case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) say "error: no Go toolchain is known for $(uname -m)"; exit 1 ;;
esac

# Outside of any module, so that no go.mod's wish for a toolchain or a vendor folder has a say.
cd /
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GO111MODULE=on

if [ "$(go env GOVERSION)" = "go$version" ]; then
  go env GOROOT
  exit 0
fi

name="golang.org/toolchain@v0.0.1-go$version.linux-$arch"
root="$(go env GOMODCACHE)/$name"
[ -n "$(go env GOMODCACHE)" ] || root="$(go env GOPATH)/pkg/mod/$name"

# Two tests that want the same version at once must not both unpack it half.
lock="${TMPDIR:-/tmp}/gopherscope-toolchain-$(id -u).lock"
exec 9>"$lock"
flock 9

if [ ! -x "$root/bin/go" ] || [ ! -x "$root/pkg/tool/linux_$arch/compile" ]; then
  if [ ! -d "$root" ]; then
    say "fetching Go $version"
    if ! out=$(go mod download "$name" 2>&1); then
      say "error: Go $version could not be fetched: $(tail -n 1 <<<"$out")"
      exit 1
    fi
  fi
  # Modules come without execute bits.
  chmod -R u+w "$root/bin" "$root/pkg/tool"
  chmod +x "$root"/bin/* "$root/pkg/tool/linux_$arch"/*
fi
printf '%s\n' "$root"
