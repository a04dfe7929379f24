#!/usr/bin/env bash
# House rules that a compiler does not check: file length, calls that end the host's process or talk behind its back,
# left-over marks, and that the README's table of environment variables and the gradient check's numbers are the sources'.
#   check_texts.sh SOURCE-DIR
set -euo pipefail
cd "$1"
bad=0
complain() { echo "$*" >&2; bad=1; }

library=$(find runtime graph autodiff codegen frontend -name '*.[ch]')
all="$library $(find tools examples bench -name '*.[ch]')"
[ "$(echo "$library" | wc -w)" -gt 20 ] || complain "too few sources were found"

for file in $all; do
  lines=$(wc -l <"$file")
  [ "$lines" -le 1000 ] || complain "$file: $lines lines; 1000 is the limit"
done
# shellcheck disable=SC2086
if grep -nE 'TODO|FIXME|\bXXX\b|#if 0' $all >&2; then complain "left-over marks"; fi
# The default allocator is the one place that knows malloc.
calls='(^|[^a-z_.>])(abort|exit|_exit|printf|fprintf|puts|perror|assert|malloc|calloc|realloc|free)\('
for file in $library; do
  [ "$file" = runtime/base/context.c ] && continue
  if grep -nE "$calls" "$file" | grep -vE '^[0-9]+: *(\*|/\*)' >&2; then complain "$file: a call that the library must not make"; fi
done

rows=$(tr -d '\n' <runtime/base/options.c | sed 's/\\ */ /g' |
  grep -oE 'X\("COT_[A-Z_]+", [a-z_]+, "[^"]*", *"[^"]*"\)' |
  sed -E 's/X\("(COT_[A-Z_]+)", [a-z_]+, "([^"]*)", *"([^"]*)"\)/| `\1` | \2 | \3 |/')
[ "$(echo "$rows" | wc -l)" -ge 5 ] || complain "the table of environment variables was not found"
while IFS= read -r row; do
  grep -qF -- "$row" README.md || complain "README.md lacks: $row"
done <<<"$rows"

# The numbers that docs/gradcheck.md names are those of the sources.
grep -E '^\| [A-Z_]+ \| [a-z_/.]+ \| ' docs/gradcheck.md | tr -d '|' | while read -r name file value; do
  grep -qF "#define $name $value" "$file" || echo "docs/gradcheck.md: $name is not $value in $file"
done | grep . >&2 && bad=1
exit $bad
