#!/usr/bin/env bash
# Each public header compiles alone as C11, C17 and C++17 with all warnings as errors, in gcc and in clang when there.
#   check_headers.sh SOURCE-DIR BUILD-DIR
set -euo pipefail
source=$1 build=$2
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0
compile() { # COMPILER LANGUAGE STANDARD HEADER
  printf '#include "%s"\nint cot_header_test_dummy;\n' "$4" >"$work/t"
  # shellcheck disable=SC2086
  "$1" -x "$2" "-std=$3" $warnings -I "$source/frontend/include" -I "$build/include" "$work/t"
  n=$((n + 1))
}
for header in cotangent.h $(cd "$source/frontend/include" && ls cotangent/*.h); do
  for compiler in gcc clang-19; do
    command -v "$compiler" >/dev/null || continue
    compile "$compiler" c c11 "$header"
    compile "$compiler" c c17 "$header"
  done
  for compiler in g++ clang++-19; do
    command -v "$compiler" >/dev/null || continue
    compile "$compiler" c++ c++17 "$header"
  done
done
[ "$n" -ge 6 ] || { echo "only $n compilations ran" >&2; exit 1; }
echo "$n compilations"
