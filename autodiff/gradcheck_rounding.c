/*
 * What rounding may do to a graph's outputs, by trial. The graph is evaluated in f64, node by node,
 * and each result is then moved onto a grid as coarse as the source's dtype: numbers with as many
 * bits, but shifted by a fraction of the last one, another fraction in each trial. What the
 * trials make of an output differs from its value in f64 by as much as f32 may, whose own grid is
 * the one that is not shifted.
 *
 * A number that the dtype holds exactly stays, and so does one that is on the grid. So a value that
 * is only chosen, moved, negated or compared with its copy behaves as it does in f32: no tie of
 * equals is broken. A sum in the dtype (adds_in_dtype) is as wrong as its terms are large: its grid
 * is that of the sum of their absolute values.
 */
#include "gradcheck.h"

#include <float.h>
#include <math.h>

#include "graph/eval.h"
#include "runtime/base/philox.h"

/* Bits of a result: of f32, and of f64, whose last four are left to the f64 evaluation itself. */
enum { NARROW_BITS = 24, WIDE_BITS = 49 };

#define PURPOSE_SHIFT UINT64_C(0x40000)

typedef struct trial {
    const coti_check *check;
    const coti_rounding *rounding;
    bool rounds;  /* false: the exact values */
    double shift; /* of the grid, in units of the last bit */
    bool overflows;
    coti_tensor *value; /* by node */
    coti_tensor *in;    /* of the node at work, and their absolute values */
    coti_tensor *magnitude;
} trial;

/* ---- one number ---- */

/* v on the grid of numbers as large as `size` with so many bits. */
static double snap(double v, double size, int bits, double shift) {
    int exponent = 0;
    if (v == 0 || !isfinite(v) || !isfinite(size) || size == 0) {
        return v;
    }
    (void)frexp(size, &exponent);
    double units = ldexp(fabs(v), bits - exponent);
    return copysign(ldexp(rint(units - shift) + shift, exponent - bits), v);
}

/* Has v no more than so many bits? */
static bool fits(double v, int bits) {
    int exponent = 0;
    double mantissa = ldexp(frexp(v, &exponent), bits);
    return mantissa == rint(mantissa);
}

/* ---- one node ---- */

/* Sums of products of their float operands' elements: linear in each, so that absolute values give
 * the sums of the terms' absolute values. */
static bool is_sum(cot_op op) {
    static const bool sums[COT_OP_COUNT] = {
        [COT_OP_SUM] = true,     [COT_OP_DOT] = true,     [COT_OP_CONV] = true,
        [COT_OP_CONV_DX] = true, [COT_OP_CONV_DW] = true, [COT_OP_SCATTER_ADD] = true,
    };
    return sums[op];
}

static cot_status room_for(const trial *t, coti_arena *arena, uint32_t id, coti_tensor *out) {
    const coti_node *node = coti_node_at(t->check->forward, id);
    int64_t count = 0;
    *out = (coti_tensor){.dtype = (cot_dtype)node->dtype,
                         .shape = coti_shape_bind(&node->shape, t->check->rows)};
    if (!coti_shape_elements(&node->shape, t->check->rows, &count)) {
        return COTI_FAIL(t->check->context, COT_E_SHAPE, "gradcheck: a value is too large");
    }
    out->data = coti_arena_array(arena, (size_t)count, cot_dtype_bytes(out->dtype));
    return out->data == NULL ? COT_E_NOMEM : COT_OK;
}

static void round_result(trial *t, uint32_t id, const double *size) {
    coti_tensor *y = &t->value[id];
    bool narrow = t->check->is_narrow[id];
    int bits = (narrow ? NARROW_BITS : WIDE_BITS) - t->rounding->bits_lost;
    int64_t count = coti_tensor_count(y);
    for (int64_t i = 0; i < count; i++) {
        double *v = &((double *)y->data)[i];
        t->overflows = t->overflows || (narrow && !(fabs(*v) <= FLT_MAX));
        if (t->rounds && (size != NULL || !fits(*v, narrow ? NARROW_BITS : DBL_MANT_DIG - 1))) {
            *v = snap(*v, size != NULL ? size[i] : *v, bits, t->shift);
        }
    }
}

/* out: as many as x has. */
static void take_magnitude(const coti_tensor *x, double *out) {
    const double *from = x->data;
    int64_t count = coti_tensor_count(x);
    for (int64_t k = 0; k < count; k++) {
        out[k] = fabs(from[k]);
    }
}

/* The sums of the absolute values of a sum's terms, in `arena`. */
static cot_status sum_sizes(trial *t, coti_arena *arena, uint32_t id, coti_tensor *size) {
    const coti_node *node = coti_node_at(t->check->forward, id);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        t->magnitude[i] = t->in[i];
        if (t->in[i].dtype != COT_F64) {
            continue; /* indices */
        }
        COTI_TRY(room_for(t, arena, node->input[i], &t->magnitude[i]));
        COTI_ASSERT(t->check->context, t->magnitude[i].data != NULL);
        take_magnitude(&t->in[i], t->magnitude[i].data);
    }
    COTI_TRY(room_for(t, arena, id, size));
    return coti_eval_node(t->check->context, node, t->magnitude, t->check->rows, size);
}

static cot_status run_node(trial *t, coti_arena *arena, uint32_t id) {
    const coti_node *node = coti_node_at(t->check->forward, id);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        t->in[i] = t->value[node->input[i]];
    }
    COTI_TRY(room_for(t, arena, id, &t->value[id]));
    COTI_TRY(coti_eval_node(t->check->context, node, t->in, t->check->rows, &t->value[id]));
    if (node->dtype != COT_F64) {
        return COT_OK;
    }
    coti_tensor size = {.data = NULL};
    if (t->rounds && t->rounding->adds_in_dtype && is_sum((cot_op)node->op)) {
        COTI_TRY(sum_sizes(t, arena, id, &size));
    }
    round_result(t, id, size.data);
    return COT_OK;
}

/* ---- a trial ---- */

/* The inputs of `forward` are the leaves, in order. */
static void bind_leaves(trial *t) {
    const coti_check *check = t->check;
    for (int32_t i = 0; i < check->n_leaves; i++) {
        const coti_check_part *part = &check->leaf[i];
        t->value[check->forward->input.data[i]] =
            (coti_tensor){.dtype = part->dtype,
                          .shape = part->shape,
                          .data = part->at >= 0 ? (void *)(check->x + part->at) : part->data};
    }
}

static cot_status run_trial(trial *t, coti_arena *arena, double *y) {
    const coti_check *check = t->check;
    const cot_graph *graph = check->forward;
    size_t widest = 1;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        size_t n = (size_t)coti_node_at(graph, id)->n_inputs;
        widest = n > widest ? n : widest;
    }
    t->value = coti_arena_array(arena, graph->node.count, sizeof *t->value);
    t->in = coti_arena_array(arena, widest, sizeof *t->in);
    t->magnitude = coti_arena_array(arena, widest, sizeof *t->magnitude);
    if (t->value == NULL || t->in == NULL || t->magnitude == NULL) {
        return COT_E_NOMEM;
    }
    bind_leaves(t);
    for (uint32_t id = 1; id < graph->node.count; id++) {
        COTI_TRY(t->value[id].data == NULL ? run_node(t, arena, id) : COT_OK);
    }
    for (int32_t i = 0; i < check->n_outputs; i++) {
        const coti_check_part *part = &check->output[i];
        const double *from = t->value[graph->output.data[i].value].data;
        for (int64_t k = 0; k < part->count; k++) {
            y[part->at + k] = from[k];
        }
    }
    return COT_OK;
}

static cot_status run_one(trial *t, double *y) {
    coti_arena arena;
    coti_arena_init(&arena, t->check->context);
    cot_status status = run_trial(t, &arena, y);
    coti_arena_clear(&arena);
    return status;
}

cot_status coti_check_rounding(const coti_check *check, const coti_rounding *rounding,
                               double *exact, double *spread, bool *overflows_out) {
    size_t n = (size_t)check->n_y;
    double *moved = coti_calloc(check->context, n + 1, sizeof *moved);
    trial t = {.check = check, .rounding = rounding};
    cot_status status = moved == NULL ? COT_E_NOMEM : run_one(&t, exact);
    for (size_t i = 0; i < n; i++) {
        spread[i] = 0;
    }
    coti_philox_key key = coti_philox_make_key(rounding->seed, PURPOSE_SHIFT);
    t.rounds = true;
    for (int32_t k = 0; status == COT_OK && k < rounding->n_samples; k++) {
        t.shift = 0.1 + 0.8 * coti_philox_uniform(key, 0, (uint64_t)k);
        status = run_one(&t, moved);
        for (size_t i = 0; status == COT_OK && i < n; i++) {
            spread[i] = fmax(spread[i], fabs(moved[i] - exact[i]));
        }
    }
    *overflows_out = t.overflows;
    coti_free(check->context, moved);
    return status;
}
