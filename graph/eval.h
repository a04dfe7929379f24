/*
 * What the files of the reference evaluator share: the rule of each op, index walks, element
 * access.
 *
 * The evaluator is the meaning of the ops, so it is dull on purpose: dense row-major tensors, one
 * loop a rule, no blocking, no threads. A rule gets typed and shaped tensors that the infer rules
 * have approved; it checks only what depends on the run (an empty batch). f32 sums and products are
 * accumulated in double, f64 ones in long double, and rounded once; integers wrap.
 */
#ifndef COTI_EVAL_H
#define COTI_EVAL_H

#include "graph.h"

/* One node at work. `input` has node->n_inputs tensors (INPUT: one, the tensor bound to it). */
typedef struct coti_eval {
    cot_context *context;
    const coti_node *node;
    const coti_tensor *input;
    int64_t rows;
    coti_tensor *out;
} coti_eval;

/* A rule fills eval->out. Fails with what it needs memory for, or COT_E_DTYPE and COT_E_SHAPE as
 * its file says. */
typedef cot_status (*coti_eval_fn)(const coti_eval *eval);

#define COT_OP(id, name, n_inputs, kind, attr, grad, flags)                                        \
    cot_status coti_eval_##id(const coti_eval *eval);
#include "ops.def"
#undef COT_OP

/* The dtype of the node is not one that the rule takes: infer let through what it should not. */
cot_status coti_eval_bad_dtype(const coti_eval *eval);

/* ---- index walks (eval_walk.c) ---- */

/*
 * Walks an index space in row-major order and keeps two element offsets up to date, each a sum of
 * index[d] * stride. Use: begin, then one coti_walk_next after each of coti_walk_count(...) points.
 */
typedef struct coti_walk {
    int32_t rank;
    int64_t extent[COT_MAX_RANK];
    int64_t index[COT_MAX_RANK];
    int64_t stride[2][COT_MAX_RANK];
    int64_t offset[2];
} coti_walk;

/* At index 0, all strides and offsets 0; the caller then sets strides and first offsets. */
coti_walk coti_walk_make(int32_t rank, const int64_t *extent);
/* Points of the space: the product of the extents. */
int64_t coti_walk_count(const coti_walk *walk);
/* To the next point; after the last one back to the first. */
void coti_walk_next(coti_walk *walk);

/* Row-major strides, in elements, of a bound shape. */
void coti_dense_strides(const cot_shape *shape, int64_t stride[COT_MAX_RANK]);

/* ---- elements (eval_walk.c) ---- */

int64_t coti_tensor_count(const coti_tensor *tensor);

/* Store a real number rounded to the tensor's float dtype. */
void coti_tensor_set(coti_tensor *tensor, int64_t i, long double value);
/* Store an integer, wrapped to the tensor's integer dtype (bool: value != 0). */
void coti_tensor_set_int(coti_tensor *tensor, int64_t i, int64_t value);

/* value (float) truncated and saturated to an integer dtype, NaN to 0; to bool: value != 0. */
int64_t coti_saturate(double value, cot_dtype dtype);

static inline bool coti_dtype_is_float(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

#endif
