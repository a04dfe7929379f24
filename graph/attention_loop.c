/*
 * Attention as a loop (attention.h), for scores that would not stay in cache.
 *
 *     heads    [N,heads,t,c] is a sequence of [N,t,c], of q, k, v and g alike
 *     blocks   [N,t,c] is a sequence of [N,block,c], of q and g; k and v are the same at each step
 *
 * Without N alike. Blocks are of one size: the last has queries that are none, zeros, which see no
 * key, so that nothing of theirs, no NaN either, comes to the cotangents of k and v. Which keys
 * its queries see is told to a block by the position of its first.
 *
 * A mask that has been broadcast is cut as it was before: of a mask of keys alone nothing as large
 * as the scores is made.
 *
 * The choice depends on shapes alone. Heads come first: a head's keys, values and their cotangents
 * stay near while its blocks go by, and its products are the longer. The price is that the backward
 * part makes scores and weights again, one product of seven.
 */
#include "attention.h"

#include "attr.h"

#include <stdio.h>
#include <string.h>

enum {
    SCORE_BYTES = 1024 * 1024, /* of a step: a small core's second cache */
    LEAST_BLOCK = 16,          /* queries: products of fewer have no full tiles */
    BLOCK_GRAIN = 8
};

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* ---- the choice ---- */

/* The axis behind N, where time runs in sequences. */
static int32_t first_axis(const cot_shape *shape) {
    return shape->batched ? 1 : 0;
}

/* Matrices of scores in a row of the batch. */
static int64_t n_heads(const cot_shape *q) {
    int64_t n = 1;
    for (int32_t axis = first_axis(q); axis < q->rank - 2; axis++) {
        n *= q->dim[axis];
    }
    return n;
}

/* Queries whose scores are few enough; of c*N rows c come together. */
static double most_queries(const cot_value *input) {
    const cot_shape k = cot_value_shape(input[1]);
    const double rows = k.batched ? (double)k.dim[0] : 1, keys = (double)k.dim[k.rank - 2];
    const double bytes = rows * keys * (double)cot_dtype_bytes(cot_value_dtype(input[1]));
    return SCORE_BYTES / (bytes > 1 ? bytes : 1);
}

/* Has q [N,*,t,c] leading axes besides N? */
static bool has_heads(const cot_shape *q) {
    return q->rank - 2 > first_axis(q);
}

bool coti_attention_loops(const cot_value *input) {
    if (input[0].graph == NULL || input[1].graph == NULL) {
        return false;
    }
    const cot_shape q = cot_value_shape(input[0]);
    const double most = most_queries(input), queries = (double)q.dim[q.rank - 2];
    return has_heads(&q) ? (double)n_heads(&q) * queries > most
                         : queries > most && queries > LEAST_BLOCK;
}

/* ---- pieces ---- */

/* x [N,*,t,c] as a stack: of heads [N,heads,t,c]; of blocks [N,steps,block,c], in which what is
 * missing of the last is zeros. */
static cot_value cut(const coti_attention_loop *loop, cot_value x) {
    const cot_shape shape = cot_value_shape(x);
    const int32_t axis = first_axis(&shape), last = shape.rank - 1;
    cot_shape stack = {.rank = axis + 3, .batched = shape.batched, .dim = {shape.dim[0]}};
    stack.dim[axis] = loop->steps;
    stack.dim[axis + 1] = loop->block > 0 ? loop->block : shape.dim[last - 1];
    stack.dim[axis + 2] = shape.dim[last];
    if (loop->block > 0 && loop->steps * loop->block > shape.dim[last - 1]) {
        const int64_t low[COT_MAX_RANK] = {0};
        int64_t high[COT_MAX_RANK] = {0};
        high[last - 1] = loop->steps * loop->block - shape.dim[last - 1];
        x = cot_op_pad(x, low, high, 0.0);
    }
    return cot_op_reshape(x, stack);
}

cot_value coti_attention_loop_join(const coti_attention_loop *loop, cot_value stack,
                                   const cot_shape *shape) {
    static const int64_t zeros[COT_MAX_RANK] = {0}, ones[COT_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    cot_shape whole = *shape;
    if (stack.graph == NULL) {
        return stack;
    }
    if (loop->block > 0) {
        whole.dim[whole.rank - 2] = loop->steps * loop->block;
    }
    const cot_value joined = cot_op_reshape(stack, whole);
    return coti_shape_equal(&whole, shape) ? joined : cot_op_slice(joined, zeros, shape->dim, ones);
}

/* ---- operands ---- */

/* An operand; its input in the body, of the operand's type without the axis, -1: with all. */
static cot_value add_operand(coti_attention_loop *loop, cot_value x, int32_t axis) {
    char name[COTI_NAME_BYTES];
    cot_shape shape = cot_value_shape(x);
    if (x.graph == NULL) {
        loop->failed = true;
        return x;
    }
    (void)snprintf(name, sizeof name, "x%d", (int)loop->n_operands);
    loop->operand[loop->n_operands++] = x;
    for (int32_t i = axis; axis >= 0 && i + 1 < shape.rank; i++) {
        shape.dim[i] = shape.dim[i + 1];
    }
    shape.rank -= axis >= 0;
    return cot_op_input(loop->body, cot_value_dtype(x), shape, name);
}

static cot_value add_stack(coti_attention_loop *loop, cot_value stack) {
    const cot_shape shape = cot_value_shape(stack);
    loop->n_sequences++;
    return add_operand(loop, stack, first_axis(&shape));
}

cot_value coti_attention_loop_carry(coti_attention_loop *loop, cot_value like) {
    const cot_value zero = cot_op_constant(loop->graph, cot_value_dtype(like), 0.0);
    loop->n_carries++;
    return add_operand(loop, cot_op_broadcast(zero, cot_value_shape(like), NULL, 0), -1);
}

cot_value coti_attention_loop_sequence(coti_attention_loop *loop, cot_value x) {
    return add_stack(loop, cut(loop, x));
}

/* ---- the mask ---- */

/* What a mask was before it was broadcast: [N,*,t,k] with extents of 1 where it repeats, and
 * without N if it is the same for all rows. `rows`: the mask has N. */
static cot_value mask_source(cot_value mask, bool rows) {
    const coti_node *node = coti_node_of(mask);
    if (node->op != COT_OP_BROADCAST) {
        return mask;
    }
    const coti_attr_AXES_type *axes = &((const coti_attr_AXES *)node->attr)->axes;
    const cot_value source = {mask.graph, node->input[0]};
    const cot_shape from = cot_value_shape(source);
    const int32_t dropped = rows && !from.batched ? 1 : 0;
    cot_shape shape = {.rank = node->shape.rank - dropped, .batched = from.batched};
    for (int32_t axis = 0; axis < shape.rank; axis++) {
        shape.dim[axis] = 1;
    }
    for (int32_t i = 0; i < axes->n; i++) {
        if (axes->v[i] >= dropped) {
            shape.dim[axes->v[i] - dropped] = from.dim[i];
        }
    }
    return cot_op_reshape(source, shape);
}

/* [N,1,t,k] as [N,t,k]. */
static cot_value drop_heads(cot_value source) {
    const cot_shape from = cot_value_shape(source);
    const int32_t axis = first_axis(&from);
    cot_shape shape = {.rank = axis + 2, .batched = from.batched, .dim = {from.dim[0]}};
    shape.dim[axis] = from.dim[from.rank - 2];
    shape.dim[axis + 1] = from.dim[from.rank - 1];
    return cot_op_reshape(source, shape);
}

/* A mask of some heads is made one of all. */
static cot_value repeat_heads(cot_value source, const cot_shape *mask) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_shape shape = cot_value_shape(source);
    const int32_t dropped = mask->rank - shape.rank;
    for (int32_t axis = first_axis(&shape); axis < shape.rank - 2; axis++) {
        shape.dim[axis] = mask->dim[axis + dropped];
    }
    return cot_op_broadcast(source, shape, axes, shape.rank);
}

/* The mask as an operand: *cut_out, if the steps see pieces of it, else they see all. */
static cot_value mask_operand(const coti_attention_loop *loop, bool *cut_out) {
    const cot_shape mask = cot_value_shape(loop->input[3]);
    const cot_value source = mask_source(loop->input[3], mask.batched);
    const cot_shape shape = cot_value_shape(source);
    *cut_out = false;
    if (source.graph == NULL) {
        return source;
    }
    if (loop->block > 0) {
        *cut_out = shape.dim[shape.rank - 2] > 1;
        return *cut_out ? cut(loop, source) : source;
    }
    *cut_out = n_heads(&shape) > 1;
    return *cut_out ? cut(loop, repeat_heads(source, &mask)) : drop_heads(source);
}

/* ---- a step ---- */

/* x, whose axes are the last ones of a shape, in that shape. */
static cot_value stretch(cot_value x, const cot_shape *shape) {
    int32_t axes[COT_MAX_RANK];
    const cot_shape from = cot_value_shape(x);
    for (int32_t i = 0; i < from.rank; i++) {
        axes[i] = shape->rank - from.rank + i;
    }
    return cot_op_broadcast(x, *shape, axes, from.rank);
}

static bool is_padded(const coti_attention_loop *loop) {
    const cot_shape q = cot_value_shape(loop->input[0]);
    return loop->block > 0 && loop->steps * loop->block > q.dim[q.rank - 2];
}

/* Is it told to a block where it begins? */
static bool has_position(const coti_attention_loop *loop) {
    const coti_attr_ATTENTION *attr = loop->node->attr;
    return loop->block > 0 && (attr->causal != 0 || is_padded(loop));
}

/* Positions of the first queries of blocks: i32 [steps]. */
static cot_value positions(const coti_attention_loop *loop) {
    const cot_shape shape = {.rank = 1, .dim = {loop->steps}};
    return cot_op_binary(COT_OP_MUL, cot_op_iota(loop->graph, COT_I32, shape, 0),
                         cot_op_constant(loop->graph, COT_I32, (double)loop->block));
}

/* bool [block,k]: which keys do the queries from this position on see? */
static cot_value allowed_from(const coti_attention_loop *loop, cot_value position) {
    const coti_attr_ATTENTION *attr = loop->node->attr;
    const cot_shape q = cot_value_shape(loop->input[0]), k = cot_value_shape(loop->input[1]);
    const cot_shape shape = {.rank = 2, .dim = {loop->block, k.dim[k.rank - 2]}};
    const cot_value query =
        cot_op_binary(COT_OP_ADD, position, cot_op_iota(loop->body, COT_I32, shape, 0));
    const cot_value end = cot_op_constant(loop->body, COT_I32, (double)q.dim[q.rank - 2]);
    const cot_value exists = is_padded(loop) ? cot_op_binary(COT_OP_LT, query, end) : coti_poison();
    if (attr->causal == 0) {
        return exists;
    }
    const cot_value lower =
        cot_op_binary(COT_OP_GE, query, cot_op_iota(loop->body, COT_I32, shape, 1));
    return is_padded(loop) ? cot_op_binary(COT_OP_AND, exists, lower) : lower;
}

/* The operands as the step sees them; *mask_out, what it is given of the mask, and *position_out,
 * where it begins, are poison where there is no such. */
static void add_operands(coti_attention_loop *loop, cot_value *formal, cot_value *mask_out,
                         cot_value *position_out) {
    bool mask_is_cut = false;
    const bool has_mask = loop->node->n_inputs == 4;
    const cot_value mask = has_mask ? mask_operand(loop, &mask_is_cut) : coti_poison();
    *mask_out = *position_out = coti_poison();
    for (int32_t i = 0; i < 3; i++) {
        if (loop->cut[i]) {
            formal[i] = coti_attention_loop_sequence(loop, loop->input[i]);
        }
    }
    if (mask_is_cut) {
        *mask_out = add_stack(loop, mask);
    }
    if (has_position(loop)) {
        *position_out = add_stack(loop, positions(loop));
    }
    for (int32_t i = 0; i < 3; i++) {
        if (!loop->cut[i]) {
            formal[i] = add_operand(loop, loop->input[i], -1);
        }
    }
    if (has_mask && !mask_is_cut) {
        *mask_out = add_operand(loop, mask, -1);
    }
}

cot_value coti_attention_loop_step(coti_attention_loop *loop, cot_value *formal_out) {
    coti_attr_ATTENTION attr = *(const coti_attr_ATTENTION *)loop->node->attr;
    cot_value operand[4] = {coti_poison()}, mask, position;
    add_operands(loop, operand, &mask, &position);
    memcpy(formal_out, operand, 3 * sizeof *operand);
    if (loop->failed || operand[0].graph == NULL || operand[1].graph == NULL) {
        return coti_poison();
    }
    const bool has_mask = loop->node->n_inputs == 4;
    const cot_shape k = cot_value_shape(operand[1]);
    cot_shape scores = cot_value_shape(operand[0]);
    scores.dim[scores.rank - 1] = k.dim[k.rank - 2];
    operand[3] = has_mask ? stretch(mask, &scores) : coti_poison();
    if (has_position(loop)) {
        const cot_value allowed = stretch(allowed_from(loop, position), &scores);
        operand[3] = has_mask ? cot_op_binary(COT_OP_AND, operand[3], allowed) : allowed;
        attr.causal = 0;
    }
    return coti_graph_add(loop->body, COT_OP_ATTENTION, operand,
                          has_mask || has_position(loop) ? 4 : 3, &attr, COT_F32, NULL);
}

/* ---- the whole ---- */

static void choose_steps(coti_attention_loop *loop) {
    const cot_shape q = cot_value_shape(loop->input[0]);
    const int64_t queries = q.dim[q.rank - 2];
    loop->cut[0] = true;
    loop->cut[1] = loop->cut[2] = has_heads(&q);
    loop->steps = n_heads(&q);
    if (!has_heads(&q)) { /* blocks of about one size */
        const int64_t most = (int64_t)most_queries(loop->input) / BLOCK_GRAIN * BLOCK_GRAIN;
        loop->steps = divide_up(queries, most > LEAST_BLOCK ? most : LEAST_BLOCK);
        loop->block = divide_up(divide_up(queries, loop->steps), BLOCK_GRAIN) * BLOCK_GRAIN;
        loop->steps = divide_up(queries, loop->block);
    }
}

cot_status coti_attention_loop_begin(coti_attention_loop *loop, const coti_node *node,
                                     const cot_value *input) {
    cot_graph *graph = input[0].graph;
    *loop = (coti_attention_loop){.graph = graph, .node = node, .input = input};
    choose_steps(loop);
    loop->body = cot_graph_create(graph->context, "attention");
    if (loop->body == NULL) {
        return COT_E_NOMEM;
    }
    cot_graph_set_layer(loop->body, node->layer);
    return node->layer == NULL || loop->body->layer != NULL ? COT_OK : COT_E_NOMEM;
}

void coti_attention_loop_output(coti_attention_loop *loop, cot_value value) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "y%d", (int)loop->n_outputs++);
    if (value.graph != NULL) {
        (void)cot_graph_output(value, name); /* what fails is missing at the end */
    }
}

void coti_attention_loop_end(coti_attention_loop *loop, cot_value *results_out) {
    const cot_scan_options options = {.struct_size = sizeof options,
                                      .n_carries = loop->n_carries,
                                      .n_sequences = loop->n_sequences,
                                      .steps = loop->steps};
    const bool whole = loop->body != NULL && !loop->failed && loop->n_outputs > 0 &&
                       loop->n_outputs == (int32_t)loop->body->output.count;
    cot_status status =
        whole ? cot_op_scan(loop->body, loop->operand, loop->n_operands, &options, results_out)
              : COT_E_INTERNAL;
    for (int32_t i = 0; i < loop->n_outputs && status != COT_OK; i++) {
        results_out[i] = coti_poison();
    }
    cot_graph_destroy(loop->body);
}
