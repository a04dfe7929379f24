#!/usr/bin/env bash
# The README's program compiles with pedantic warnings as errors, in 25 lines or so, and does what the README says; the
# umbrella header shows the same program.
#   test_readme.sh SOURCE-DIR BUILD-DIR C-COMPILER LIBRARY
set -euo pipefail
source=$1 build=$2 cc=$3 library=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -n '/^```c$/,/^```$/p' "$source/README.md" | sed '1d;$d' >"$work/xor.c"
lines=$(wc -l <"$work/xor.c")
[ "$lines" -ge 20 ] && [ "$lines" -le 30 ] || { echo "the README's program has $lines lines" >&2; exit 1; }
sed -n '/^ \* #include/,/^ \* }$/p' "$source/frontend/include/cotangent.h" | sed 's/^ \* \{0,1\}//' | diff - "$work/xor.c"
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror -I "$source/frontend/include" -I "$build/include" "$work/xor.c" \
  -o "$work/xor" "$library" -Wl,-rpath,"$(dirname "$library")"
"$work/xor" | grep -qx 'accuracy: 1.00'
