#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All of `make lint`: every check runs, then the status tells whether one failed. Needs what `make lint` installs.
#   scripts/lint.sh PYTHON
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
py=${1:?usage: $0 PYTHON}
failed=()

check() { # NAME COMMAND…
  local name=$1
  shift
  if "$@"; then
    echo "ok    $name"
  else
    echo "FAIL  $name"
    failed+=("$name")
  fi
}

compile_all() { # COMPILER
  local status=0 file
  for file in offsets/*.c collector/*.c; do
    # -O2, because several of the warnings need the optimiser's view of the data flow.
    # shellcheck disable=SC2046 # a list of flags
    "$1" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror $(pkg-config --cflags libelf libdw capstone libdeflate) \
      -c -o /dev/null "$file" || status=1
  done
  return $status
}

c_format() { clang-format --dry-run -Werror offsets/*.[ch] collector/*.[ch] bpf_c/*.[ch] tests/fuzz/*.[ch]; }

spdx() {
  local missing
  missing=$(git ls-files -co --exclude-standard '*.c' '*.h' '*.py' '*.pyi' '*.sh' '*.go' Makefile .ci/run | while read -r file; do
    [ -s "$file" ] && { head -n 3 "$file" | grep -q 'SPDX-License-Identifier' || echo "$file"; }
  done)
  [ -z "$missing" ] || { printf 'no SPDX line: %s\n' "$missing"; return 1; }
}

go_format() {
  command -v gofmt >/dev/null || return 0
  local out
  out=$(gofmt -l examples tests bench)
  [ -z "$out" ] || { printf 'not gofmt-ed: %s\n' "$out"; return 1; }
}

shell_syntax() {
  local status=0 file
  for file in scripts/*.sh .ci/run; do bash -n "$file" || status=1; done
  return $status
}

check "gcc -Wall -Wextra -Werror" compile_all gcc
check "clang -Wall -Wextra -Werror" compile_all clang
check "clang-format" c_format
check "ruff check" "$py" -m ruff check .
check "ruff format" "$py" -m ruff format --check .
check "mypy --strict tracer" "$py" -m mypy --strict tracer setup.py
check "mypy --strict vm" env -C vm MYPYPATH=. "$PWD/$py" -m mypy --strict .
check "gofmt" go_format
check "shell syntax" shell_syntax
check "SPDX lines" spdx

if [ ${#failed[@]} -gt 0 ]; then
  printf 'lint failed: %s\n' "${failed[*]}"
  exit 1
fi
