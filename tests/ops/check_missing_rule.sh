#!/usr/bin/env bash
# A row of graph/ops.def without its rules must not build: every stage that has a rule an operation pastes its table
# from the rows, and so does the matrix of gradient cases. Adds a row to a copy of the table and looks whether each then
# fails to compile, or asks the linker for a rule that nobody has.
#   check_missing_rule.sh SOURCE-DIR COMPILER [LLVM-INCLUDE-DIR]
set -euo pipefail
source_dir=$1 compiler=$2 llvm=${3-}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
bad=0
complain() { echo "$*" >&2; bad=1; }

for folder in runtime graph autodiff codegen frontend; do cp -r "$source_dir/$folder" "$copy/"; done
mkdir -p "$copy/tests/unit"
cp -r "$source_dir/tests/support" "$source_dir/tests/grad_cases.def" "$copy/tests/"
cp -r "$source_dir/tests/unit/autodiff" "$copy/tests/unit/"
mkdir -p "$copy/generated/cotangent"
flags="-std=c17 -D_GNU_SOURCE -w -I$copy -I$copy/frontend/include -I$copy/generated -I$copy/tests -I$copy/tests/support ${llvm:+-I$llvm}"

# table KIND: the op table, with a row MADE_UP of that kind unless it is "none".
table() {
  cp "$source_dir/graph/ops.def" "$copy/graph/ops.def"
  [ "$1" = none ] || echo "COT_OP(MADE_UP, \"made_up\", 1, $1, NO_ATTR, RULE, NO_FLAGS)" >>"$copy/graph/ops.def"
  cp "$copy/graph/ops.def" "$copy/generated/cotangent/ops.def"
}

# builds FILE: it compiles and needs no rule MADE_UP.
builds() {
  # shellcheck disable=SC2086
  "$compiler" $flags -c "$copy/$1" -o "$copy/object.o" 2>"$copy/errors" || return 1
  ! nm -u "$copy/object.o" | grep -q '_MADE_UP$'
}

while read -r kind file; do
  [[ $file == codegen/llvm/* && -z $llvm ]] && continue
  table none
  builds "$file" || complain "$file does not build as it is: $(head -1 "$copy/errors")"
  table "$kind"
  if builds "$file"; then complain "$file: a row without a rule would build"; fi
done <<'RULES'
OTHER graph/infer.c
OTHER graph/eval.c
OTHER autodiff/grad.c
COMPOSITE graph/pass_expand.c
ELEMWISE codegen/llvm/emit_op.c
ELEMWISE tests/unit/autodiff/grad_case.c
RULES

# Nor does the table of gradient cases where one class of one operation has no case.
table none
sed '/^GRAD_CASE(SUM, odd,/d' "$source_dir/tests/grad_cases.def" >"$copy/tests/grad_cases.def"
if builds tests/unit/autodiff/grad_case.c; then complain "a hole in the matrix of gradient cases would build"; fi
grep -q 'cell_SUM_odd' "$copy/errors" || complain "the hole is not named: $(head -1 "$copy/errors")"
exit $bad
