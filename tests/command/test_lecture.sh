#!/usr/bin/env bash
# A program on the lecture, in its short form: its claims are seen, its picture is a whole SVG of moderate size without
# numbers that are none; without its data it says what is missing and is skipped. Status 77 where the data are not there.
#   test_lecture.sh PROGRAM NAME
set -euo pipefail
program=$1 name=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { cat "$work/out" >&2; echo "test_lecture: $name: $*" >&2; exit 1; }

status=0
"$program" --quick --pictures "$work" --data "$work" >"$work/out" 2>"$work/err" || status=$?
if [ "$status" != 0 ]; then # it needs the data set, which is not in that directory
  [ "$status" = 77 ] || fail "status $status without data"
  grep -q 'dataset-fashion-mnist' "$work/err" || fail "no word on where the data come from"
  status=0
  "$program" --quick --pictures "$work" >"$work/out" || status=$?
fi
[ "$status" = 77 ] && exit 77
[ "$status" = 0 ] || fail "status $status"
[ "$(grep -c '^seen: ' "$work/out")" -ge 2 ] || fail "too few claims"
! grep -q 'NOT SEEN' "$work/out" || fail "a claim was not seen, and the status was 0"

picture=$work/$name.svg
[ "$(stat -c %s "$picture")" -lt 60000 ] || fail "the picture is large"
head -c 5 "$picture" | grep -q '^<svg ' || fail "no SVG"
[ "$(tail -n 1 "$picture")" = '</svg>' ] || fail "the picture has no end"
# Places in paths are numbers: what is not finite leaves a gap.
! grep -oE ' d="[^"]*"' "$picture" | grep -qE 'nan|inf' || fail "a place that is no number"
! "$program" --unknown >/dev/null 2>"$work/err" || fail "an unknown option was taken"
grep -q '^usage: ' "$work/err" || fail "no usage"
