#!/usr/bin/env bash
# The command on a small graph: help, every dump, run against the evaluator, gradient check, and what bad use gets.
#   test_command.sh COTANGENT SOURCE-DIR HAVE-LLVM
set -euo pipefail
cotangent=$1 graph=$2/tests/command/mlp.cot llvm=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "test_command: $*" >&2; exit 1; }
# expect TEXT FILE: the file holds the text
expect() { grep -qF -- "$1" "$2" || { cat "$2" >&2; fail "no '$1' in the output"; }; }
# refuse STATUS ARGUMENTS...: this exit status, nothing on stdout, a line on stderr
refuse() {
  local want=$1 got=0
  shift
  "$cotangent" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
  [ "$got" = "$want" ] || fail "exit status $got, not $want: $*"
  [ -s "$work/err" ] || fail "no word on stderr: $*"
}

"$cotangent" --help >"$work/help"
expect "cotangent COMMAND --help" "$work/help"
"$cotangent" --version | grep -q '^cotangent [0-9]'
for command in dump run gradcheck train search report; do
  "$cotangent" "$command" --help >"$work/help"
  expect "usage: cotangent $command" "$work/help"
done

"$cotangent" dump --stage graph "$graph" >"$work/graph"
expect "softmax_xent" "$work/graph"
"$cotangent" dump --stage graph "$work/graph" | cmp - "$work/graph" || fail "the text form does not read back"
"$cotangent" dump --stage grad "$graph" >"$work/grad"
expect "d_w1=" "$work/grad"
"$cotangent" dump --stage opt "$work/grad" >"$work/opt"
expect "exp" "$work/opt"
if [ "$llvm" = 1 ]; then
  "$cotangent" dump --stage fuse "$work/grad" >"$work/fuse"
  expect "gemm" "$work/fuse"
  "$cotangent" dump --stage plan "$work/grad" >"$work/plan"
  expect "phase" "$work/plan"
  "$cotangent" dump --stage llvm "$work/grad" >"$work/llvm"
  expect "define" "$work/llvm"
  "$cotangent" dump --stage asm "$work/grad" >"$work/asm"
  expect "ret" "$work/asm"
fi

"$cotangent" run --rows 5 --compare --time --steps 3 "$work/grad" >"$work/run"
expect "loss = " "$work/run"
expect "largest difference from the evaluator" "$work/run"
if [ "$llvm" = 1 ]; then
  "$cotangent" run --rows 5 --steps 20 --profile "$work/grad" >"$work/run"
  calls=$(grep -c '^    call ' "$work/plan")
  [ "$(grep -cE '^# +[0-9]+ +[0-9]+ +[0-9.]+ ' "$work/run")" = "$calls" ] || fail "the profile has not all $calls calls"
  awk '/^# +[0-9]+ / { share += $5 } END { exit share < 99 || share > 101 }' "$work/run" || fail "shares are not 100 %"
fi
"$cotangent" gradcheck "$graph" >"$work/check"
expect "passed" "$work/check"
"$cotangent" gradcheck --f32 --second --full --seed 3 --tolerance 1e-6 "$graph" >"$work/check"
expect "of second order, largest error" "$work/check"

# A wrong gradient: the smallest part that fails is a graph that fails, too.
cat >"$work/wrong.cot" <<'GRAPH'
graph @wrong(%x: f32[N,3], %y: f32[N,3]) {
  %0 = tanh %x : f32[N,3]
  %1 = mul %0, %y : f32[N,3]
  %2 = stop_gradient %1 : f32[N,3]
  %3 = add %2, %x : f32[N,3]
  return z=%3
}
GRAPH
status=0
"$cotangent" gradcheck "$work/wrong.cot" >"$work/check" || status=$?
[ "$status" = 1 ] || fail "gradcheck of a wrong gradient: status $status"
expect "suspect: stop_gradient" "$work/check"
sed -n '/^the smallest part that fails:/,/^}/p' "$work/check" | tail -n +2 >"$work/part.cot"
expect "# in0 = [" "$work/part.cot"
expect "stop_gradient %in0" "$work/part.cot"
[ "$(grep -c ' = [a-z_]* %' "$work/part.cot")" = 1 ] || fail "the part has more than one operation"
status=0
"$cotangent" gradcheck --quiet "$work/part.cot" >"$work/check" || status=$?
[ "$status" = 1 ] || fail "gradcheck of the part: status $status"

refuse 2
refuse 2 frobnicate
refuse 2 dump "$graph"
refuse 2 dump --stage plan
refuse 2 run --rows zero "$graph"
refuse 2 run --rows 0 "$graph"
refuse 2 train
refuse 2 train cifar10
refuse 1 dump --stage nonsense "$graph"
refuse 1 dump --stage graph "$work/missing.cot"
head -c 200 "$graph" >"$work/short.cot"
refuse 1 dump --stage graph "$work/short.cot"
refuse 1 train fashion-mnist --data "$work"
