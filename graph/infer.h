/*
 * Inference: the dtype and shape of a node from its inputs and attributes, and every check that a
 * node must pass. coti_graph_add and the verifier are the only callers, so whoever sees a node in a
 * graph may trust all that is checked here.
 *
 * Requirements on every rule:
 * - it reads operands by coti_infer_in, attributes from infer->attr (never NULL where the row has
 *   one), and sets infer->dtype and infer->shape; both hold what the caller wants before, which
 *   counts only for the ops whose result is not implied (graph.h, coti_graph_add);
 * - a wish that an op of the second sort cannot fulfil is an error, never corrected;
 * - it checks attributes as if they came from a stranger (the parser): list lengths, ranges,
 *   duplicates;
 * - it fails by COTI_INFER_FAIL, whose text is followed by the operands' types;
 * - extents are multiplied and added by runtime/base/size.h alone; whether the result's shape is
 *   within limits is checked once, after the rule.
 *
 * Batched shapes. Only a leading axis is batched, its extent is dim[0]*N, and a result is batched
 * when the leading axis it comes from is. Rules never let N land on another axis.
 */
#ifndef COTI_INFER_H
#define COTI_INFER_H

#include "graph.h"

typedef struct coti_infer {
    const cot_graph *graph;
    cot_op op;
    const char *layer; /* may be NULL */
    int32_t n_inputs;
    const uint32_t *input; /* ids */
    const void *attr;
    cot_dtype dtype;
    cot_shape shape;
} coti_infer;

typedef cot_status (*coti_infer_fn)(coti_infer *infer);

/* Rules shared by a kind. */
cot_status coti_infer_elementwise(coti_infer *infer); /* infer_elementwise.c: ELEMWISE, COMPARE */
cot_status coti_infer_reduce(coti_infer *infer);      /* infer_reduce.c: REDUCE */

/* A rule of its own for each row of the other kinds. */
#define COTI_INFER_NAME_LEAF(id) coti_infer_##id
#define COTI_INFER_NAME_ELEMWISE(id) coti_infer_elementwise
#define COTI_INFER_NAME_COMPARE(id) coti_infer_elementwise
#define COTI_INFER_NAME_VIEW(id) coti_infer_##id
#define COTI_INFER_NAME_REDUCE(id) coti_infer_reduce
#define COTI_INFER_NAME_CONTRACT(id) coti_infer_##id
#define COTI_INFER_NAME_COMPOSITE(id) coti_infer_##id
#define COTI_INFER_NAME_OTHER(id) coti_infer_##id

#define COT_OP(id, name, n_inputs, kind, attr, grad, flags)                                        \
    cot_status COTI_INFER_NAME_##kind(id)(coti_infer * infer);
#include "ops.def"
#undef COT_OP

/*
 * Check the operands, run the op's rule, check the result. On success infer->dtype and
 * infer->shape are the node's, the extents beyond the rank zero. infer->input must be ids of the
 * graph.
 */
cot_status coti_infer_run(coti_infer *infer);

/* ---- for rules ---- */

static inline const coti_node *coti_infer_in(const coti_infer *infer, int32_t i) {
    return coti_node_at(infer->graph, infer->input[i]);
}

/* Is this axis the one whose extent is a multiple of N? */
static inline bool coti_axis_batched(const cot_shape *shape, int32_t axis) {
    return shape->batched && axis == 0;
}

/* Extents of two axes are equal, N included. */
static inline bool coti_axis_equal(const cot_shape *a, int32_t i, const cot_shape *b, int32_t j) {
    return a->dim[i] == b->dim[j] && coti_axis_batched(a, i) == coti_axis_batched(b, j);
}

/* What operand i of an op is called in messages: "a", "condition", "x", ... */
const char *coti_operand_name(cot_op op, int32_t n_inputs, int32_t i);

/* Fail with: op "layer": <text>: a is f32[..], b is f32[..]. */
cot_status coti_infer_fail_at(const coti_infer *infer, const char *file, int32_t line,
                              cot_status status, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
#define COTI_INFER_FAIL(infer, status, ...)                                                        \
    coti_infer_fail_at((infer), __FILE__, __LINE__, (status), __VA_ARGS__)

/*
 * Check a list of axes of a tensor of this rank: each within [0, rank), none twice; ascending if
 * asked. Sets bit i of *mask_out for each axis i. `what` names the list in messages.
 */
cot_status coti_infer_axes(const coti_infer *infer, const coti_attr_AXES_type *axes, int32_t rank,
                           bool ascending, const char *what, uint32_t *mask_out);

/* COT_E_SHAPE unless axis is within [0, rank). */
cot_status coti_infer_axis(const coti_infer *infer, int32_t axis, int32_t rank);

/* COT_E_SHAPE unless input i has a last axis that is not N and not empty (infer_other.c). */
cot_status coti_infer_last_axis(const coti_infer *infer, int32_t i);

/* COT_E_DTYPE or COT_E_SHAPE unless inputs i and j have the same dtype / the same shape. */
cot_status coti_infer_same_dtype(const coti_infer *infer, int32_t i, int32_t j);
cot_status coti_infer_same_shape(const coti_infer *infer, int32_t i, int32_t j);

/* shape without the axes in mask; batched only if the leading axis stays. */
cot_shape coti_shape_drop(const cot_shape *shape, uint32_t mask);

/* ---- for rules of what runs bodies (infer_body.c) ---- */

/* Is it sealed, of the graph's context, and has it so many inputs and outputs? `what` names it. */
cot_status coti_infer_body(const coti_infer *infer, const cot_graph *body, const char *what,
                           int64_t n_inputs, int64_t n_outputs);

/* What an input or an output of a body must be, and as what: "the cotangent". */
typedef struct coti_body_type {
    const char *role;
    cot_dtype dtype;
    const cot_shape *shape;
} coti_body_type;

/* COT_E_DTYPE or COT_E_SHAPE unless the body's i-th input or output, which it has, is of the type.
 */
cot_status coti_infer_body_input(const coti_infer *infer, const cot_graph *body, size_t i,
                                 const coti_body_type *wanted);
cot_status coti_infer_body_output(const coti_infer *infer, const cot_graph *body, size_t i,
                                  const coti_body_type *wanted);

#endif
