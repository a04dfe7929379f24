/* Scans, as the fuzzer of builders calls them: of bodies that fit, and of any graph. */
#include "builder_world.h"

/* A body of a carry and an element of a sequence, of the types given. */
static cot_graph *make_step(world *w, cot_value carry, cot_value element) {
    cot_graph *body = cot_graph_create(cot_graph_context(carry.graph), "step");
    if (body == NULL) {
        return NULL;
    }
    const cot_value c = cot_op_input(body, cot_value_dtype(carry), cot_value_shape(carry), "c");
    const cot_value x = cot_op_input(body, cot_value_dtype(element), cot_value_shape(element), "x");
    const cot_value y = cot_op_binary(pick_op(w, COTI_KIND_ELEMWISE, 2), c, x);
    (void)cot_graph_output(y, "c");
    (void)cot_graph_output(cot_op_unary(pick_op(w, COTI_KIND_ELEMWISE, 1), y), "y");
    return body;
}

/* A scan of a body of two values' types, or of any graph. The sequence is the second value along a
 * new axis. */
void call_scan(world *w) {
    cot_value operand[2] = {pick(w), pick(w)}, result[N_LIST], lengths = pick(w);
    const int32_t i = fuzz_below(&w->bytes, 32);
    cot_scan_options options = {.struct_size = sizeof options,
                                .n_carries = i < 28 ? 1 : i - 29,
                                .n_sequences = i < 30 ? 1 : i - 30,
                                .steps = pick_size(w),
                                .reverse = i % 2 == 1,
                                .lengths = i % 4 == 3 ? &lengths : NULL};
    cot_graph *made = i < 24 && operand[0].graph != NULL && operand[1].graph != NULL
                          ? make_step(w, operand[0], operand[1])
                          : NULL;
    const cot_graph *body = made != NULL ? made : pick_graph(w);
    cot_shape shape = cot_value_shape(operand[1]);
    if (operand[1].graph != NULL && shape.rank < COT_MAX_RANK && i < 26) {
        const int32_t axis = shape.batched ? 1 : 0;
        int32_t axes[COT_MAX_RANK];
        for (int32_t a = 0; a < shape.rank; a++) {
            axes[a] = a < axis ? a : a + 1;
        }
        for (int32_t a = shape.rank++; a > axis; a--) {
            shape.dim[a] = shape.dim[a - 1];
        }
        shape.dim[axis] = options.steps;
        operand[1] = cot_op_broadcast(operand[1], shape, axes, shape.rank - 1);
    }
    before(w);       /* what making these may have met is not the scan's */
    w->quiet = true; /* poisoned operands */
    if (body != NULL && cot_graph_n_outputs(body) <= N_LIST) {
        const cot_status status = cot_op_scan(body, operand, 2, &options, result);
        const int32_t n = status == COT_OK ? cot_graph_n_outputs(body) : 0;
        accept_status(w, status);
        for (int32_t k = 0; k < n; k++) {
            accept_value(w, result[k]);
        }
    }
    cot_graph_destroy(made);
}
