/*
 * Graphs by their text, lowered fused and not, run by the interpreter for 1, 3 and 40 rows in
 * chunks and against their order, and compared with the reference evaluator: views as accesses,
 * forms of reductions and products, states.
 */
#include "fuse_case.h"

#include "alloc_fail.h"

#include <stdlib.h>

static cot_context *context;

/* ---- tables ---- */

static void check_list(const char *const *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        fuse_check_text(context, text[i]);
    }
}

#define CHECK_LIST(list) check_list((list), sizeof(list) / sizeof((list)[0]))

static const char *const views[] = {
    "graph @permute_both(%x: f32[N,3,4], %y: f32[N,4,3]) {\n"
    "  %0 = permute %x {axes=[0, 2, 1]} : f32[N,4,3]\n"
    "  %1 = mul %0, %y : f32[N,4,3]\n"
    "  %2 = exp %1 : f32[N,4,3]\n"
    "  %3 = permute %2 {axes=[0, 2, 1]} : f32[N,3,4]\n"
    "  %4 = add %3, %x : f32[N,3,4]\n"
    "  return a=%4, b=%2\n}\n",
    "graph @slice_flip_pad(%x: f32[N,9]) {\n"
    "  %0 = slice %x {start=[0, 1], stride=[1, 2]} : f32[N,4]\n"
    "  %1 = flip %0 {axes=[1]} : f32[N,4]\n"
    "  %2 = pad %1 {low=[0, 2], high=[0, 3], value=1.5} : f32[N,9]\n"
    "  %3 = sub %2, %x : f32[N,9]\n"
    "  %4 = flip %2 {axes=[1]} : f32[N,9]\n"
    "  %5 = slice %4 {start=[0, 1], stride=[1, 3]} : f32[N,3]\n"
    "  %6 = tanh %5 : f32[N,3]\n"
    "  return a=%3, b=%6\n}\n",
    "graph @pad_of_pad(%x: f32[3,2]) {\n"
    "  %0 = pad %x {low=[1, 0], high=[0, 1], value=2} : f32[4,3]\n"
    "  %1 = pad %0 {low=[0, 2], high=[1, 0], value=2} : f32[5,5]\n"
    "  %2 = pad %0 {low=[1, 1], high=[0, 0], value=-3} : f32[5,4]\n"
    "  %3 = slice %1 {start=[0, 0], stride=[1, 1]} : f32[1,5]\n"
    "  return a=%1, b=%2, c=%3\n}\n",
    "graph @pad_nowhere(%x: f32[4]) {\n"
    "  %0 = pad %x {low=[3], high=[0], value=7} : f32[7]\n"
    "  %1 = slice %0 {start=[1], stride=[1]} : f32[1]\n"
    "  %2 = broadcast %1 {axes=[0]} : f32[4]\n"
    "  %3 = add %2, %x : f32[4]\n"
    "  %4 = reshape %1 : f32[]\n"
    "  return a=%3, b=%4\n}\n",
    "graph @pad_scalar(%x: f32[N,5]) {\n"
    "  %0 = const {data=2} : f32[]\n"
    "  %1 = reshape %0 : f32[1]\n"
    "  %2 = pad %1 {low=[2], high=[2], value=0} : f32[5]\n"
    "  %3 = broadcast %2 {axes=[1]} : f32[N,5]\n"
    "  %4 = mul %3, %x : f32[N,5]\n"
    "  return a=%4\n}\n",
    "graph @reshape_in_memory(%x: f32[N,6], %y: f32[2N,3]) {\n"
    "  %0 = relu %x : f32[N,6]\n"
    "  %1 = reshape %0 : f32[2N,3]\n"
    "  %2 = add %1, %y : f32[2N,3]\n"
    "  %3 = reshape %2 : f32[N,2,3]\n"
    "  %4 = permute %3 {axes=[0, 2, 1]} : f32[N,3,2]\n"
    "  %5 = reshape %4 : f32[N,6]\n"
    "  %6 = add %5, %x : f32[N,6]\n"
    "  return a=%6, b=%1\n}\n",
    "graph @reshape_of_broadcast(%x: f32[4]) {\n"
    "  %0 = broadcast %x {axes=[1]} : f32[3,4]\n"
    "  %1 = reshape %0 : f32[12]\n"
    "  %2 = broadcast %x {axes=[0]} : f32[4,3]\n"
    "  %3 = reshape %2 : f32[2,2,3]\n"
    "  %4 = reshape %2 : f32[12]\n"
    "  %5 = add %1, %4 : f32[12]\n"
    "  return a=%1, b=%3, c=%5\n}\n",
    "graph @concat(%x: f32[N,2], %y: f32[N,3], %z: f32[N,1]) {\n"
    "  %0 = concat %x, %y, %z {axis=1} : f32[N,6]\n"
    "  %1 = exp %0 : f32[N,6]\n"
    "  %2 = concat %x, %x {axis=1} : f32[N,4]\n"
    "  %3 = concat %y {axis=1} : f32[N,3]\n"
    "  return a=%1, b=%2, c=%3, d=%0\n}\n",
    "graph @concat_integers(%x: i32[2,3], %y: i32[1,3], %b: bool[2,3]) {\n"
    "  %0 = concat %x, %y {axis=0} : i32[3,3]\n"
    "  %1 = concat %b, %b {axis=1} : bool[2,6]\n"
    "  %2 = cast %1 : f32[2,6]\n"
    "  return a=%0, b=%1, c=%2\n}\n",
    "graph @outputs_are_views(%x: f32[N,3], %c: i32[4], state %w: f32[3]) {\n"
    "  %0 = broadcast %w {axes=[1]} : f32[N,3]\n"
    "  %1 = neg %x : f32[N,3]\n"
    "  %2 = rows : i64[]\n"
    "  %3 = iota {axis=0} : i64[N,2]\n"
    "  return a=%x, b=%0, c=%w, d=%1, e=%1, f=%1, g=%2, h=%3, i=%c\n}\n",
    "graph @iota(%x: f32[N,3,5]) {\n"
    "  %0 = iota {axis=1} : f32[N,3,5]\n"
    "  %1 = iota {axis=2} : f32[N,3,5]\n"
    "  %2 = add %0, %1 : f32[N,3,5]\n"
    "  %3 = mul %2, %x : f32[N,3,5]\n"
    "  %4 = slice %1 {start=[0, 0, 1], stride=[1, 1, 2]} : f32[N,3,2]\n"
    "  return a=%3, b=%4\n}\n",
    "graph @empty(%x: f32[0,3], %y: f32[N,0]) {\n"
    "  %0 = exp %x : f32[0,3]\n"
    "  %1 = sum %x {axes=[0]} : f32[3]\n"
    "  %2 = sum %y {axes=[1]} : f32[N]\n"
    "  %3 = reshape %x : f32[3,0]\n"
    "  %4 = dot %x, %x {a_contract=[0], b_contract=[0]} : f32[3,3]\n"
    "  return a=%0, b=%1, c=%2, d=%3, e=%4\n}\n",
};

static void test_views(void **state) {
    (void)state;
    CHECK_LIST(views);
}

static const char *const reductions[] = {
    "graph @forms(%x: f32[N,3,4,5]) {\n"
    "  %0 = sum %x {axes=[3]} : f32[N,3,4]\n"
    "  %1 = sum %x {axes=[1, 2, 3]} : f32[N]\n"
    "  %2 = sum %x {axes=[0]} : f32[3,4,5]\n"
    "  %3 = sum %x {axes=[0, 1]} : f32[4,5]\n"
    "  %4 = sum %x {axes=[0, 1, 2, 3]} : f32[]\n"
    "  %5 = sum %x {axes=[1]} : f32[N,4,5]\n"
    "  %6 = sum %x {axes=[1, 3]} : f32[N,4]\n"
    "  %7 = sum %x {axes=[0, 2]} : f32[3,5]\n"
    "  %8 = sum %x {axes=[0, 3]} : f32[3,4]\n"
    "  return a=%0, b=%1, c=%2, d=%3, e=%4, f=%5, g=%6, h=%7, i=%8\n}\n",
    "graph @maxima(%x: f32[N,3,4], %k: i32[5,2]) {\n"
    "  %0 = reduce_max %x {axes=[2]} : f32[N,3]\n"
    "  %1 = reduce_max %x {axes=[0]} : f32[3,4]\n"
    "  %2 = argmax %x {axis=2} : i32[N,3]\n"
    "  %3 = argmax %x {axis=1} : i32[N,4]\n"
    "  %4 = argmax %x {axis=0} : i32[3,4]\n"
    "  %5 = reduce_max %k {axes=[0, 1]} : i32[]\n"
    "  %6 = sum %k {axes=[0]} : i32[2]\n"
    "  return a=%0, b=%1, c=%2, d=%3, e=%4, f=%5, g=%6\n}\n",
    "graph @of_views(%x: f32[N,4,6]) {\n"
    "  %0 = slice %x {start=[0, 1, 0], stride=[1, 2, 1]} : f32[N,2,6]\n"
    "  %1 = sum %0 {axes=[0, 1]} : f32[6]\n"
    "  %2 = permute %x {axes=[0, 2, 1]} : f32[N,6,4]\n"
    "  %3 = sum %2 {axes=[2]} : f32[N,6]\n"
    "  %4 = pad %x {low=[0, 1, 0], high=[0, 0, 2], value=3} : f32[N,5,8]\n"
    "  %5 = sum %4 {axes=[2]} : f32[N,5]\n"
    "  %6 = sum %4 {axes=[0, 1]} : f32[8]\n"
    "  return a=%1, b=%3, c=%5, d=%6\n}\n",
    "graph @of_one(%x: f32[N,1,5], %y: f32[1,1]) {\n"
    "  %0 = sum %x {axes=[1]} : f32[N,5]\n"
    "  %1 = argmax %x {axis=1} : i32[N,5]\n"
    "  %2 = sum %y {axes=[0, 1]} : f32[]\n"
    "  %3 = reduce_max %y {axes=[1]} : f32[1]\n"
    "  %4 = sum %x {axes=[0, 1, 2]} : f32[]\n"
    "  return a=%0, b=%1, c=%2, d=%3, e=%4\n}\n",
    "graph @variance(%x: f32[N,6]) {\n"
    "  %0 = const {data=6} : f32[]\n"
    "  %1 = sum %x {axes=[1]} : f32[N]\n"
    "  %2 = broadcast %0 : f32[N]\n"
    "  %3 = div %1, %2 : f32[N]\n"
    "  %4 = broadcast %3 {axes=[0]} : f32[N,6]\n"
    "  %5 = sub %x, %4 : f32[N,6]\n"
    "  %6 = mul %5, %5 : f32[N,6]\n"
    "  %7 = sum %6 {axes=[1]} : f32[N]\n"
    "  %8 = sum %6 {axes=[0]} : f32[6]\n"
    "  return a=%7, b=%8, c=%5\n}\n",
    "graph @repeated(%x: f32[N,4], %y: f32[4]) {\n"
    "  %0 = sum %x {axes=[1]} : f32[N]\n"
    "  %1 = broadcast %0 {axes=[0]} : f32[N,4]\n"
    "  %2 = sum %1 {axes=[1]} : f32[N]\n"
    "  %3 = broadcast %y {axes=[1]} : f32[N,4]\n"
    "  %4 = sum %3 {axes=[0]} : f32[4]\n"
    "  %5 = sum %3 {axes=[1]} : f32[N]\n"
    "  %6 = add %0, %5 : f32[N]\n"
    "  return a=%2, b=%4, c=%6\n}\n",
    "graph @totals(%x: f32[N], state %sum: f64[], state %count: i64[]) {\n"
    "  %0 = exp %x : f32[N]\n"
    "  %1 = cast %0 : f64[N]\n"
    "  %2 = sum %1 {axes=[0]} : f64[]\n"
    "  %3 = add %sum, %2 : f64[]\n"
    "  %4 = rows : i64[]\n"
    "  %5 = add %count, %4 : i64[]\n"
    "  update %sum <- %3\n"
    "  update %count <- %5\n"
    "  return a=%3, b=%0\n}\n",
};

/* As many axes as a kernel has dimensions, in an order that does not merge. */
static const char *const many_axes[] = {
    "graph @all(%x: f32[2,2,3,2,2,2,2,2]) {\n"
    "  %0 = permute %x {axes=[7, 5, 6, 3, 4, 1, 2, 0]} : f32[2,2,2,2,2,2,3,2]\n"
    "  %1 = sum %0 {axes=[0, 1, 2, 3, 4, 5, 6, 7]} : f32[]\n"
    "  %2 = mul %0, %0 : f32[2,2,2,2,2,2,3,2]\n"
    "  %3 = sum %2 {axes=[0, 1, 2, 3, 4, 5, 6, 7]} : f32[]\n"
    "  %4 = sum %0 {axes=[1, 3, 5]} : f32[2,2,2,3,2]\n"
    "  return a=%1, b=%3, c=%4\n}\n",
    "graph @rows(%x: f32[N,2,3,2,2,2,2,2], %y: f32[2,1,2,1,2,1,2]) {\n"
    "  %0 = permute %x {axes=[0, 5, 6, 3, 4, 1, 2, 7]} : f32[N,2,2,2,2,2,3,2]\n"
    "  %1 = sum %0 {axes=[0, 1, 2, 3, 4, 5, 6, 7]} : f32[]\n"
    "  %2 = exp %0 : f32[N,2,2,2,2,2,3,2]\n"
    "  %3 = sum %2 {axes=[1, 2, 3, 4, 5, 6, 7]} : f32[N]\n"
    "  return a=%1, b=%3, c=%2\n}\n",
};

static void test_reductions(void **state) {
    (void)state;
    CHECK_LIST(reductions);
    CHECK_LIST(many_axes);
}

static const char *const products[] = {
    "graph @operands(%x: f32[N,3,4], state %w: f32[4,5], state %v: f32[5,4]) {\n"
    "  %0 = dot %x, %w {a_contract=[2], b_contract=[0]} : f32[N,3,5]\n"
    "  %1 = dot %x, %v {a_contract=[2], b_contract=[1]} : f32[N,3,5]\n"
    "  %2 = mul %0, %1 : f32[N,3,5]\n"
    "  %3 = dot %2, %v {a_contract=[2], b_contract=[0]} : f32[N,3,4]\n"
    "  %4 = dot %x, %2 {a_contract=[0, 1], b_contract=[0, 1]} : f32[4,5]\n"
    "  %5 = dot %2, %x {a_contract=[1, 0], b_contract=[1, 0]} : f32[5,4]\n"
    "  return a=%3, b=%4, c=%5\n}\n",
    "graph @batched(%q: f32[N,6,4], %k: f32[N,5,4]) {\n"
    "  %0 = dot %q, %k {a_batch=[0], b_batch=[0], a_contract=[2], b_contract=[2]} : f32[N,6,5]\n"
    "  %1 = softmax %0 : f32[N,6,5]\n"
    "  %2 = dot %1, %k {a_batch=[0], b_batch=[0], a_contract=[2], b_contract=[1]} : f32[N,6,4]\n"
    "  %3 = add %2, %q : f32[N,6,4]\n"
    "  return a=%3\n}\n",
    "graph @heads(%x: f32[N,3,8], state %w: f32[8,8]) {\n"
    "  %0 = dot %x, %w {a_contract=[2], b_contract=[0]} : f32[N,3,8]\n"
    "  %1 = reshape %0 : f32[N,3,2,4]\n"
    "  %2 = permute %1 {axes=[0, 2, 1, 3]} : f32[N,2,3,4]\n"
    "  %3 = dot %2, %2 {a_batch=[0, 1], b_batch=[0, 1], a_contract=[3], b_contract=[3]} : "
    "f32[N,2,3,3]\n"
    "  %4 = dot %3, %2 {a_batch=[0, 1], b_batch=[0, 1], a_contract=[3], b_contract=[2]} : "
    "f32[N,2,3,4]\n"
    "  %5 = permute %4 {axes=[0, 2, 1, 3]} : f32[N,3,2,4]\n"
    "  %6 = reshape %5 : f32[N,3,8]\n"
    "  %7 = add %6, %x : f32[N,3,8]\n"
    "  return a=%7\n}\n",
    "graph @static_batch(%a: f32[2,3,4], %b: f32[2,5,4], %x: f32[N,4]) {\n"
    "  %0 = dot %a, %b {a_batch=[0], b_batch=[0], a_contract=[2], b_contract=[2]} : f32[2,3,5]\n"
    "  %1 = dot %a, %b {a_batch=[0], b_batch=[0], a_contract=[], b_contract=[]} : f32[2,3,4,5,4]\n"
    "  %2 = dot %x, %x {a_contract=[0, 1], b_contract=[0, 1]} : f32[]\n"
    "  %3 = dot %x, %x {a_batch=[1], b_batch=[1], a_contract=[0], b_contract=[0]} : f32[4]\n"
    "  %4 = dot %x, %x {a_batch=[0, 1], b_batch=[0, 1]} : f32[N,4]\n"
    "  return a=%0, b=%1, c=%2, d=%3, e=%4\n}\n",
    "graph @views_of_operands(%x: f32[N,6], state %w: f32[6,4]) {\n"
    "  %0 = flip %x {axes=[1]} : f32[N,6]\n"
    "  %1 = slice %w {start=[0, 1], stride=[2, 1]} : f32[3,2]\n"
    "  %2 = slice %0 {start=[0, 1], stride=[1, 2]} : f32[N,3]\n"
    "  %3 = dot %2, %1 {a_contract=[1], b_contract=[0]} : f32[N,2]\n"
    "  %4 = const {data=1} : f32[]\n"
    "  %5 = broadcast %4 : f32[6,3]\n"
    "  %6 = dot %x, %5 {a_contract=[1], b_contract=[0]} : f32[N,3]\n"
    "  %7 = pad %x {low=[0, 1], high=[0, 0], value=2} : f32[N,7]\n"
    "  %8 = dot %7, %7 {a_contract=[0], b_contract=[0]} : f32[7,7]\n"
    "  return a=%3, b=%6, c=%8\n}\n",
    "graph @epilogues(%x: f32[N,4], state %w: f32[4,3], state %b: f32[3], state %t: f32[3,4]) {\n"
    "  %0 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,3]\n"
    "  %1 = broadcast %b {axes=[1]} : f32[N,3]\n"
    "  %2 = add %0, %1 : f32[N,3]\n"
    "  %3 = iota {axis=1} : f32[N,3]\n"
    "  %4 = mul %2, %3 : f32[N,3]\n"
    "  %5 = dot %x, %4 {a_contract=[0], b_contract=[0]} : f32[4,3]\n"
    "  %6 = permute %5 {axes=[1, 0]} : f32[3,4]\n"
    "  %7 = add %6, %t : f32[3,4]\n"
    "  update %t <- %7\n"
    "  return a=%4, b=%5\n}\n",
    "graph @random_in_epilogue(%x: f32[N,4], state %w: f32[4,6], state %step: i64[]) {\n"
    "  %0 = const {data=9} : i64[]\n"
    "  %1 = random %0, %step {distribution=uniform, stream=1030} : f32[N,6]\n"
    "  %2 = const {data=0.5} : f32[]\n"
    "  %3 = broadcast %2 : f32[N,6]\n"
    "  %4 = lt %1, %3 : bool[N,6]\n"
    "  %5 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,6]\n"
    "  %6 = const {data=0} : f32[]\n"
    "  %7 = broadcast %6 : f32[N,6]\n"
    "  %8 = select %4, %5, %7 : f32[N,6]\n"
    "  %9 = dot %8, %w {a_contract=[1], b_contract=[1]} : f32[N,4]\n"
    "  %10 = select %4, %5, %8 : f32[N,6]\n"
    "  %11 = const {data=1} : i64[]\n"
    "  %12 = add %step, %11 : i64[]\n"
    "  update %step <- %12\n"
    "  return a=%9, b=%10\n}\n",
};

static void test_products(void **state) {
    (void)state;
    CHECK_LIST(products);
}

static const char *const states[] = {
    "graph @exchange(state %a: f32[3], state %b: f32[3]) {\n"
    "  update %a <- %b\n"
    "  update %b <- %a\n"
    "  return s=%a\n}\n",
    "graph @own_value(state %a: f32[3], state %b: f32[]) {\n"
    "  %0 = exp %a : f32[3]\n"
    "  update %a <- %a\n"
    "  update %b <- %b\n"
    "  return s=%0\n}\n",
    "graph @read_elsewhere(state %a: f32[4,4], state %b: f32[4]) {\n"
    "  %0 = permute %a {axes=[1, 0]} : f32[4,4]\n"
    "  %1 = add %0, %a : f32[4,4]\n"
    "  %2 = flip %b {axes=[0]} : f32[4]\n"
    "  %3 = sub %2, %b : f32[4]\n"
    "  update %a <- %1\n"
    "  update %b <- %3\n"
    "  return\n}\n",
    "graph @reduced_state(state %a: f32[3,4], state %n: f32[3]) {\n"
    "  %0 = sum %a {axes=[1]} : f32[3]\n"
    "  %1 = add %0, %n : f32[3]\n"
    "  %2 = broadcast %1 {axes=[0]} : f32[3,4]\n"
    "  %3 = sub %a, %2 : f32[3,4]\n"
    "  update %a <- %3\n"
    "  update %n <- %1\n"
    "  return\n}\n",
    "graph @product_of_state(%x: f32[N,3], state %w: f32[3,3]) {\n"
    "  %0 = dot %w, %w {a_contract=[1], b_contract=[0]} : f32[3,3]\n"
    "  %1 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,3]\n"
    "  update %w <- %0\n"
    "  return s=%1\n}\n",
    "graph @one_value_two_states(state %a: f32[3], state %b: f32[3]) {\n"
    "  %0 = add %a, %b : f32[3]\n"
    "  update %a <- %0\n"
    "  update %b <- %0\n"
    "  return s=%0, t=%0\n}\n",
    "graph @reader_needs_writer(%x: f32[N,3], state %w: f32[3]) {\n"
    "  %0 = sum %x {axes=[0]} : f32[3]\n"
    "  %1 = add %w, %0 : f32[3]\n"
    "  %2 = exp %1 : f32[3]\n"
    "  %3 = broadcast %2 {axes=[1]} : f32[N,3]\n"
    "  %4 = mul %x, %3 : f32[N,3]\n"
    "  %5 = broadcast %w {axes=[1]} : f32[N,3]\n"
    "  %6 = add %4, %5 : f32[N,3]\n"
    "  update %w <- %1\n"
    "  return s=%6\n}\n",
    "graph @side_reads_what_the_product_writes(%x: f32[N,3], %g: f32[N,4], state %w: f32[3,4], "
    "state %b: f32[4]) {\n"
    "  %0 = dot %x, %g {a_contract=[0], b_contract=[0]} : f32[3,4]\n"
    "  %1 = sum %g {axes=[0]} : f32[4]\n"
    "  %2 = broadcast %b {axes=[1]} : f32[3,4]\n"
    "  %3 = add %0, %2 : f32[3,4]\n"
    "  %4 = sub %b, %1 : f32[4]\n"
    "  update %w <- %3\n"
    "  update %b <- %4\n"
    "  return\n}\n",
    "graph @side_of_a(%x: f32[N,3], %g: f32[N,4], state %w: f32[4,3], state %b: f32[4]) {\n"
    "  %0 = dot %g, %x {a_contract=[0], b_contract=[0]} : f32[4,3]\n"
    "  %1 = sum %g {axes=[0]} : f32[4]\n"
    "  %2 = add %w, %0 : f32[4,3]\n"
    "  %3 = add %b, %1 : f32[4]\n"
    "  update %w <- %2\n"
    "  update %b <- %3\n"
    "  return\n}\n",
    "graph @side_of_no_rows(%x: f32[N,0], %g: f32[N,4], state %b: f32[4]) {\n"
    "  %0 = dot %x, %g {a_contract=[0], b_contract=[0]} : f32[0,4]\n"
    "  %1 = sum %g {axes=[0]} : f32[4]\n"
    "  %2 = add %b, %1 : f32[4]\n"
    "  update %b <- %2\n"
    "  return d=%0\n}\n",
    "graph @sequences(%x: f32[N,2,3], %g: f32[N,2,4], state %w: f32[3,4], state %b: f32[4]) {\n"
    "  %0 = dot %x, %g {a_contract=[0, 1], b_contract=[0, 1]} : f32[3,4]\n"
    "  %1 = sum %g {axes=[0, 1]} : f32[4]\n"
    "  %2 = sub %w, %0 : f32[3,4]\n"
    "  %3 = sub %b, %1 : f32[4]\n"
    "  update %w <- %2\n"
    "  update %b <- %3\n"
    "  return\n}\n",
};

static void test_states(void **state) {
    (void)state;
    CHECK_LIST(states);
}

/* ---- homes, limits, failures ---- */

/* A variable whose home is column-major is read and written by strides. */
static void test_transposed_home(void **state) {
    (void)state;
    static const char text[] = "graph @home(%x: f32[N,3], %g: f32[N,5], state %w: f32[3,5]) {\n"
                               "  %0 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,5]\n"
                               "  %1 = dot %x, %g {a_contract=[0], b_contract=[0]} : f32[3,5]\n"
                               "  %2 = sub %w, %1 : f32[3,5]\n"
                               "  %3 = reshape %w : f32[15]\n"
                               "  %4 = exp %3 : f32[15]\n"
                               "  update %w <- %2\n"
                               "  return a=%0, b=%4, c=%w\n}\n";
    cot_graph *graph = cot_graph_parse(context, text, sizeof text - 1);
    assert_non_null(graph);
    cot_graph_find_variable(graph, "w")->transposed = true;
    fuse_check(graph, 7, 5, 2e-5);
    cot_graph_destroy(graph);
}

/* Column sums of more rows than a block, and of rows and units together. */
static void test_many_rows(void **state) {
    (void)state;
    static const char text[] =
        "graph @many(%x: f32[N,2,3], %g: f32[N,2,4], state %w: f32[3,4], state %b: f32[4]) {\n"
        "  %0 = dot %x, %g {a_contract=[0, 1], b_contract=[0, 1]} : f32[3,4]\n"
        "  %1 = sum %g {axes=[0, 1]} : f32[4]\n"
        "  %2 = sum %x {axes=[0, 1]} : f32[3]\n"
        "  %3 = argmax %x {axis=0} : i32[2,3]\n"
        "  %4 = reduce_max %x {axes=[0]} : f32[2,3]\n"
        "  update %w <- %0\n"
        "  update %b <- %1\n"
        "  return a=%2, b=%3, c=%4\n}\n";
    cot_graph *graph = cot_graph_parse(context, text, sizeof text - 1);
    assert_non_null(graph);
    fuse_check(graph, 1100, 8, 1e-4);
    cot_graph_destroy(graph);
}

/* A large array is summed by its first axis' units, then over these. */
static void test_large_sum(void **state) {
    (void)state;
    static const char text[] = "graph @large(%x: f32[70,300], %y: f32[40,300], state %s: f32[]) {\n"
                               "  %0 = mul %x, %x : f32[70,300]\n"
                               "  %1 = sum %0 {axes=[0, 1]} : f32[]\n"
                               "  %2 = sum %y {axes=[0, 1]} : f32[]\n"
                               "  %3 = add %1, %2 : f32[]\n"
                               "  update %s <- %3\n"
                               "  return a=%1\n}\n";
    cot_graph *graph = cot_graph_parse(context, text, sizeof text - 1);
    assert_non_null(graph);
    coti_groups *groups = fuse_groups(graph, 1);
    int64_t most_units = 0;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        int64_t units = groups->group[g].n_units;
        most_units = units > most_units ? units : most_units;
    }
    assert_int_equal(groups->n_groups, 3);
    assert_int_equal(most_units, 70);
    coti_groups_destroy(groups);
    fuse_check(graph, 1, 8, 1e-4);
    cot_graph_destroy(graph);
}

/* A concat of more operands than a kernel has slots, and a value of more readers' outputs. */
static void test_many_operands(void **state) {
    (void)state;
    enum { N_PARTS = 70 };
    cot_graph *graph = cot_graph_create(context, "many_parts");
    cot_shape rows = {.rank = 2, .batched = true, .dim = {1, 2}};
    cot_value part[N_PARTS];
    cot_value x = cot_op_input(graph, COT_F32, rows, "x");
    for (int32_t i = 0; i < N_PARTS; i++) {
        cot_value factor = cot_op_constant(graph, COT_F32, i + 1);
        part[i] = cot_op_unary(COT_OP_TANH, cot_op_binary(COT_OP_MUL, x, factor));
    }
    cot_value all = cot_op_concat(part, N_PARTS, 1);
    CHECK_OK(context, cot_graph_output(all, "all"));
    CHECK_OK(context, cot_graph_output(cot_op_unary(COT_OP_EXP, all), "exp"));
    for (int32_t fuse = 0; fuse < 2; fuse++) {
        context->fuse = fuse == 1;
        fuse_check(graph, 5, 1, 1e-5);
    }
    context->fuse = true;
    cot_graph_destroy(graph);
}

static void check_refused(const char *text, const char *message) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    coti_groups *groups = NULL;
    assert_non_null(graph);
    assert_int_equal(coti_fuse(&graph, &fuse_target, 16, &groups), COT_E_UNSUPPORTED);
    CHECK_ERROR(context, COT_E_UNSUPPORTED, message);
    assert_null(groups);
    cot_graph_destroy(graph);
}

/* What there is no kernel for is said, by name. */
static void test_refused(void **state) {
    (void)state;
    check_refused("graph @composite(%x: f32[N,3]) {\n  %0 = softmax %x : f32[N,3]\n  return "
                  "y=%0\n}\n",
                  "softmax: there is no kernel");
}

static cot_status fuse_scenario(cot_context *scenario_context, void *user) {
    const char *text = user;
    coti_groups *groups = NULL;
    cot_graph *graph = cot_graph_parse(scenario_context, text, strlen(text));
    cot_status status = graph != NULL ? COT_OK : cot_error_get(scenario_context).status;
    if (status == COT_OK) {
        status = coti_fuse(&graph, &fuse_target, 16, &groups);
    }
    if (status == COT_OK) {
        coti_str out;
        coti_str_init(&out, scenario_context);
        coti_groups_print(&out, groups);
        status = coti_str_status(&out);
        coti_str_free(&out);
    }
    coti_groups_destroy(groups);
    cot_graph_destroy(graph);
    return status;
}

/* Every allocation of coti_fuse refused in turn: reported, and nothing leaks. */
static void test_out_of_memory(void **state) {
    (void)state;
    static const char text[] =
        "graph @oom(%x: f32[N,4], %y: f32[N,3], state %w: f32[4,3], state %b: f32[3], state %s: "
        "f32[], state %a: f32[4,3]) {\n"
        "  %0 = pad %x {low=[0, 1], high=[0, 0], value=0} : f32[N,5]\n"
        "  %1 = sum %0 {axes=[0, 1]} : f32[]\n"
        "  %2 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,3]\n"
        "  %3 = broadcast %b {axes=[1]} : f32[N,3]\n"
        "  %4 = add %2, %3 : f32[N,3]\n"
        "  %5 = sub %4, %y : f32[N,3]\n"
        "  %6 = dot %x, %5 {a_contract=[0], b_contract=[0]} : f32[4,3]\n"
        "  %7 = sum %5 {axes=[0]} : f32[3]\n"
        "  %8 = sub %w, %6 : f32[4,3]\n"
        "  %9 = sub %b, %7 : f32[3]\n"
        "  %10 = add %s, %1 : f32[]\n"
        "  %11 = concat %2, %5 {axis=1} : f32[N,6]\n"
        "  update %w <- %8\n"
        "  update %b <- %9\n"
        "  update %s <- %10\n"
        "  update %a <- %w\n"
        "  return loss=%10, c=%11\n}\n";
    char buffer[256];
    char copy[sizeof text];
    memcpy(copy, text, sizeof text);
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, &options, fuse_scenario, copy));
}

static int setup(void **state) {
    (void)state;
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    return context == NULL;
}

static int teardown(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),           cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_products),        cmocka_unit_test(test_states),
        cmocka_unit_test(test_transposed_home), cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_large_sum),       cmocka_unit_test(test_many_operands),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
