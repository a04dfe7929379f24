#!/usr/bin/env bash
# The CIFAR-10 example on files in the data set's true binary format, which this test writes: records of a label byte and
# 3072 bytes of planes R, G, B. Class c's images are bright in one colour and corner, so that the network can learn them.
# With COT_CIFAR10_DIR set, also on the real files there.
#   test_cifar10.sh EXAMPLE
set -euo pipefail
example=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# record CLASS: 3073 bytes. The plane of colour c % 3 is bright (byte 240) in its first or second half by c, else dark.
byte() { printf "\\$(printf '%03o' "$1")"; }
run() { head -c "$2" /dev/zero | tr '\0' "\\$(printf '%03o' "$1")"; }
record() {
  local class=$1 plane
  byte "$class"
  for plane in 0 1 2; do
    if [ $((class % 3)) -eq "$plane" ]; then
      run $((60 + 18 * class)) 512
      run $((240 - 18 * class)) 512
    else
      run $((20 + 10 * class)) 1024
    fi
  done
}
for class in 0 1 2 3 4 5 6 7 8 9; do record "$class"; done >"$work/ten"
[ "$(stat -c %s "$work/ten")" -eq 30730 ]
# batch FILE N: N times the ten records
batch() { for _ in $(seq "$2"); do cat "$work/ten"; done >"$work/$1"; }
batch data_batch_1.bin 40
batch data_batch_2.bin 40
batch test_batch.bin 10

"$example" "$work" 60 >"$work/out"
tail -n 1 "$work/out" | grep -qE '^test accuracy: [01]\.[0-9]{4}$'
accuracy=$(tail -n 1 "$work/out" | sed 's/.*: //')
awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.3) }' || { cat "$work/out"; echo "accuracy $accuracy: nothing was learned"; exit 1; }

# A truncated file and a label out of range are refused by name.
head -c 30000 "$work/ten" >"$work/data_batch_2.bin"
! "$example" "$work" 1 >/dev/null 2>"$work/err"
grep -q data_batch_2.bin "$work/err"
{ byte 10; tail -c +2 "$work/ten"; } >"$work/data_batch_2.bin"
! "$example" "$work" 1 >/dev/null 2>"$work/err"
grep -q '10' "$work/err"

if [ -n "${COT_CIFAR10_DIR:-}" ]; then
  "$example" "$COT_CIFAR10_DIR" 1 | tail -n 1 | grep -q 'test accuracy'
fi
