#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Run the fuzzers that are built in build/fuzz, one after the other. The status tells whether one found something.
#   scripts/fuzz.sh SECONDS TARGET…      SECONDS for all of them together
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:?usage: $0 SECONDS TARGET…}
shift
seconds=$(((seconds + $# - 1) / $#))
status=0
mkdir -p build/fuzz/found
for target in "$@"; do
  mkdir -p "build/fuzz/new/$target"
  words=()
  [[ -e tests/fuzz/$target.dict ]] && words=(-dict="tests/fuzz/$target.dict")
  echo "fuzz $target, $seconds s"
  if ! "build/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=1048576 \
    "${words[@]}" -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/found/$target-" \
    "build/fuzz/new/$target" "build/fuzz/corpus/$target" 2>"build/fuzz/$target.log"; then
    status=1
    tail -n 40 "build/fuzz/$target.log"
    echo "FAIL  $target: the input stands in build/fuzz/found"
  fi
  grep -E "number_of_executed_units|peak_rss_mb" "build/fuzz/$target.log" | sed 's/^/      /'
done
exit $status
