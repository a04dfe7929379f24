#!/usr/bin/env bash
# `cotangent search` on a small Fashion-MNIST of its own making: a table, a page, a CSV and weights; the same choices each time;
# what bad use gets.
#   test_search.sh COTANGENT EXAMPLE
set -euo pipefail
cotangent=$1 example=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "test_search: $*" >&2; exit 1; }
# expect TEXT FILE: the file holds the text
expect() { grep -qF -- "$1" "$2" || { cat "$2" >&2; fail "no '$1' in the output"; }; }
# refuse STATUS TEXT ARGUMENTS...: this exit status, the text on stderr
refuse() {
  local want=$1 text=$2 got=0
  shift 2
  "$cotangent" search "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
  [ "$got" = "$want" ] || { cat "$work/err" >&2; fail "exit status $got, not $want: $*"; }
  expect "$text" "$work/err"
}

# IDX files: images whose brightness is their label, with a pattern; 120 to train, 40 to test.
mkdir "$work/data"
perl -e '
  for my $part (["train", 120], ["t10k", 40]) {
    my ($name, $n) = @$part;
    open my $images, ">", "$ARGV[0]/$name-images-idx3-ubyte" or die;
    open my $labels, ">", "$ARGV[0]/$name-labels-idx1-ubyte" or die;
    print $images pack("N4", 0x803, $n, 28, 28);
    print $labels pack("N2", 0x801, $n);
    for my $i (0 .. $n - 1) {
      my $label = ($i * 7) % 10;
      print $labels pack("C", $label);
      print $images pack("C*", map { ($_ % 10 == $label ? 200 : 10) + ($i + $_) % 5 } 0 .. 783);
    }
  }' "$work/data"

# Help, wherever it is asked for.
for place in "--help" "fashion-mnist --help" "fashion-mnist --trials 2 --help"; do
  # shellcheck disable=SC2086
  "$cotangent" search $place >"$work/out" || fail "$place: exit status $?"
  expect 'usage: cotangent search EXAMPLE RANGES' "$work/out"
done

# A rate of 0 is 0, and no default: the first epoch, whose number is that of the second, is the best.
"$cotangent" search fashion-mnist --data "$work/data" --method grid --learning-rate 0,0.01 --units 4 --batch 16 --epochs 2 --no-test \
  --validation-split 0.25 --csv "$work/zero.csv" >"$work/out"
tr -d '\r' <"$work/zero.csv" | awk -F, '$8 == 0 { print $4, $5 }' | grep -qx '0 2' || fail "a rate of 0 trains: $(cat "$work/zero.csv")"
tr -d '\r' <"$work/zero.csv" | awk -F, '$8 == 0.01 { print $4, $5 }' | grep -qx '1 2' || fail "a rate of 0.01 does not train"

# A grid: every pair, the best first, the test set's number last.
"$cotangent" search fashion-mnist --data "$work/data" --method grid --learning-rate 1e-5,0.01 --units 4,8 --batch 16 --epochs 3 \
  --validation-split 0.25 --output "$work/page.html" --csv "$work/table.csv" --save "$work/best.safetensors" >"$work/out"
[ "$(grep -c '^trial [0-9]*: done after 3 epochs' "$work/out")" = 4 ] || { cat "$work/out" >&2; fail "not four trials"; }
tail -n 1 "$work/out" | grep -qE '^test accuracy: [01]\.[0-9]{4}$' || fail "no test accuracy"
[ "$(wc -l <"$work/table.csv")" = 5 ] || fail "the CSV has not five lines"
head -n 1 "$work/table.csv" | tr -d '\r' | grep -qx 'trial,state,val_loss,best_epoch,epochs,seconds,params,learning_rate,units,batch,message' ||
  fail "the CSV's head is another"
tr -d '\r' <"$work/table.csv" | awk -F, 'NR > 1 { print $1, $8, $9, $10, $5 }' | tr '\n' ';' |
  grep -qx '0 0.00001 4 16 3;1 0.00001 8 16 3;2 0.01 4 16 3;3 0.01 8 16 3;\|0 1e-05 4 16 3;1 1e-05 8 16 3;2 0.01 4 16 3;3 0.01 8 16 3;' ||
  fail "the grid's order is another: $(cat "$work/table.csv")"
# The table's first row is the trial of the least val_loss.
best=$(tr -d '\r' <"$work/table.csv" | tail -n +2 | sort -t, -k3,3g | head -n 1 | cut -d, -f1)
[ "$(grep -A1 '^  trial' "$work/out" | tail -n 1 | awk '{ print $1 }')" = "$best" ] || fail "the best trial is not the first row"
[ -s "$work/best.safetensors" ] || fail "no weights"

# The page: balanced, alone, with a chart an option.
expect '<!DOCTYPE html>' "$work/page.html"
for text in '<h3>All trials</h3>' '<h3>learning_rate</h3>' '<h3>units</h3>' 'On the test set, evaluated once: loss' "Best of 4 trials: trial $best,"; do
  expect "$text" "$work/page.html"
done
! grep -qiE 'http|<script' "$work/page.html" || fail "the page refers to something outside"
perl -0777 -ne '
  my @open;
  while (m{<(/?)([a-z0-9]+)[^>]*?(/?)>}g) {
    next if $2 eq "meta" || $3;
    if ($1) { my $top = pop @open; die "<$top> is closed by </$2>\n" if $top ne $2; } else { push @open, $2; }
  }
  die "open: @open\n" if @open;' "$work/page.html" || fail "tags are not balanced"

# Halving: nine, three, one; the same numbers however many run side by side.
for beside in 1 2; do
  COT_THREADS=2 "$cotangent" search fashion-mnist --data "$work/data" --method halving --learning-rate log:1e-5..0.5 --optimizer sgd,adam \
    --activation relu,tanh --layers 1..2 --units 4 --batch 16 --trials 9 --epochs 9 --seed 5 --side-by-side $beside --rows 100 --no-test \
    --csv "$work/halving$beside.csv" >"$work/out"
  ! grep -q 'test accuracy' "$work/out" || fail "the test set was evaluated"
  cut -d, -f1-5,7- "$work/halving$beside.csv" >"$work/numbers$beside"
done
cmp "$work/numbers1" "$work/numbers2" || fail "two side by side have other numbers"
[ "$(cut -d, -f5 "$work/halving1.csv" | tail -n +2 | sort -n | uniq -c | awk '{ printf "%s of %s;", $1, $2 }')" = '6 of 1;2 of 3;1 of 9;' ] ||
  fail "halving spent other epochs: $(cat "$work/halving1.csv")"

# The example: four trials by thirds, of which one goes on.
"$example" "$work/data" 4 >"$work/out"
[ "$(grep -c 'after 1 epochs, outranked$' "$work/out")" = 3 ] || { cat "$work/out" >&2; fail "the example's trials are others"; }
grep -q 'after 9 epochs, done$' "$work/out" || fail "the example trained none to the end"
tail -n 1 "$work/out" | grep -qE '^test accuracy: [01]\.[0-9]{4}$' || fail "the example has no test accuracy"

refuse 2 'usage: cotangent search'
refuse 2 'usage: cotangent search' nonsense --units 4
refuse 2 'usage: cotangent search' fashion-mnist
refuse 2 'needs --data' cifar10 --units 4
refuse 2 'unknown option' fashion-mnist --wideness 4
refuse 2 '--learning-rate "fast" is no range of numbers' fashion-mnist --learning-rate fast
refuse 2 'is no range of numbers' fashion-mnist --learning-rate 0.1..
refuse 2 'is no range of numbers' fashion-mnist --learning-rate 0.1,,0.2
refuse 2 'is no range of whole numbers' fashion-mnist --units 4.5,8
refuse 2 'is no range of whole numbers' fashion-mnist --units "$(seq -s, 65)"
refuse 2 'is no range of whole numbers' fashion-mnist --units log:4..8
refuse 2 "unknown activation 'swoosh'" fashion-mnist --activation relu,swoosh
refuse 2 "unknown optimizer 'magic'" fashion-mnist --optimizer magic
refuse 2 "unknown method 'luck'" fashion-mnist --units 4 --method luck
refuse 2 '--layers are 0 to 64' fashion-mnist --layers 1..65
refuse 1 '(uniform) is from 2 to 1' fashion-mnist --data "$work/data" --learning-rate 2..1
refuse 1 'expected a number of the validation set' fashion-mnist --data "$work/data" --units 4 --monitor loss
refuse 1 'no trial has come to a number' fashion-mnist --data "$work/data" --units 4 --monitor val_nothing
refuse 1 'train-images-idx3-ubyte' fashion-mnist --data "$work" --units 4
