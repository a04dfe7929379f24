/*
 * The builder of attention, which broadcasts the mask.
 */
#include "build.h"

#include <math.h>
#include <string.h>

/* The given options over the defaults. False with COT_E_ARG recorded. */
static bool take_options(cot_graph *graph, const cot_attention_options *options,
                         cot_attention_options *out) {
    *out = (cot_attention_options){.struct_size = sizeof *out};
    if (options == NULL) {
        return true;
    }
    if (options->struct_size < sizeof options->struct_size || options->struct_size > sizeof *out) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, "attention", graph->layer,
                     "cot_attention_options.struct_size is %zu, expected %zu", options->struct_size,
                     sizeof *out);
        return false;
    }
    memcpy(out, options, options->struct_size);
    return true;
}

/* Does a mask of this shape broadcast to the scores', aligned at the last axis? */
static bool can_become(const cot_shape *mask, const cot_shape *scores) {
    int32_t shift = scores->rank - mask->rank;
    for (int32_t axis = 0; shift >= 0 && axis < mask->rank; axis++) {
        bool is_one = mask->dim[axis] == 1 && !coti_axis_batched(mask, axis);
        if (!is_one && !coti_axis_equal(mask, axis, scores, axis + shift)) {
            return false;
        }
    }
    return shift >= 0;
}

/* The mask as it is, if it is right or cannot be made so: the infer rule says what is wrong. */
static cot_value fit_mask(cot_value q, cot_value k, cot_value mask) {
    cot_shape scores = cot_value_shape(q);
    cot_shape keys = cot_value_shape(k);
    cot_shape from = cot_value_shape(mask);
    if (scores.rank < 2 || keys.rank < 2) {
        return mask;
    }
    scores.dim[scores.rank - 1] = keys.dim[keys.rank - 2];
    int32_t axes[COT_MAX_RANK];
    for (int32_t axis = 0; axis < from.rank; axis++) {
        axes[axis] = scores.rank - from.rank + axis;
    }
    if (coti_shape_equal(&from, &scores) || !can_become(&from, &scores)) {
        return mask;
    }
    return cot_op_broadcast(mask, scores, axes, from.rank);
}

cot_value cot_op_attention(cot_value q, cot_value k, cot_value v, cot_value mask,
                           const cot_attention_options *options) {
    cot_value input[4] = {q, k, v, mask};
    const int32_t n = mask.graph != NULL ? 4 : 3;
    cot_attention_options given;
    cot_graph *graph = coti_graph_of("attention", input, n);
    if (graph == NULL || !take_options(graph, options, &given)) {
        return coti_poison();
    }
    const cot_shape shape = cot_value_shape(q);
    coti_attr_ATTENTION attr = {.scale = given.scale, .causal = given.causal ? 1 : 0};
    if (attr.scale == 0 && shape.rank > 0) {
        attr.scale = 1 / sqrt((double)shape.dim[shape.rank - 1]);
    }
    if (n == 4) {
        input[3] = fit_mask(q, k, mask);
    }
    return coti_graph_add(graph, COT_OP_ATTENTION, input, n, &attr, COT_F32, NULL);
}
