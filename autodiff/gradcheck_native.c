/*
 * The gradient as the graph itself computes it, f32 where it is f32, against the same gradient in
 * f64, which differences have proven. They may differ by what rounding explains, and by no more:
 *
 *     |g32 - g64| <= SHARE spread + 4 ulp of g64
 *
 * where spread is what trial roundings do to this gradient at this point (gradcheck_rounding.c), so
 * that a gradient that is well conditioned is held to a few ulp and one that cancels to as much
 * as is left of it. Where a value on the way lies beyond f32, infinite results are unclear.
 *
 * Points and cotangents must be numbers of the leaves' and outputs' own dtypes: otherwise their
 * conversion would be measured.
 */
#include "gradcheck.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "graph/eval.h"

/* How often a run may err beyond the worst of the trials. */
#define SHARE 8.0
#define TRIALS 8
/* The last bit of a subnormal f32, with a few to spare. */
#define SMALLEST 1e-44

#define PURPOSE_NATIVE UINT64_C(0x50000)

typedef struct native {
    coti_check *check;
    cot_graph
        *graph;      /* x, u -> J'u in the source's dtypes, without scans: trials round each step */
    coti_check *own; /* of that graph, for trials */
    coti_arena arena;
    double *u, *g64, *g, *exact, *spread;
    bool overflows;
} native;

/* ---- in the source's dtypes ---- */

static cot_dtype dtype_of(const native *n, const coti_check_part *part) {
    return (cot_dtype)coti_node_at(n->check->source, part->id)->dtype;
}

double coti_check_fit(const coti_check *check, const coti_check_part *part, double v) {
    return coti_node_at(check->source, part->id)->dtype == COT_F32 ? (double)(float)v : v;
}

/* A part of a vector of doubles as a tensor of its own dtype; from NULL: room. */
static cot_status to_tensor(native *n, const coti_check_part *part, const double *from,
                            coti_tensor *out) {
    size_t count = (size_t)part->count;
    *out = (coti_tensor){.dtype = dtype_of(n, part), .shape = part->shape, .data = part->data};
    if (part->at < 0) {
        return COT_OK;
    }
    out->data = coti_arena_array(&n->arena, count, cot_dtype_bytes(out->dtype));
    for (size_t i = 0; out->data != NULL && from != NULL && i < count; i++) {
        if (out->dtype == COT_F32) {
            ((float *)out->data)[i] = (float)from[i];
        } else {
            ((double *)out->data)[i] = from[i];
        }
    }
    return out->data == NULL ? COT_E_NOMEM : COT_OK;
}

static cot_status run_native(native *n) {
    const coti_check *check = n->check;
    size_t n_in = (size_t)check->n_leaves + (size_t)check->n_outputs;
    coti_tensor *in = coti_arena_array(&n->arena, n_in, sizeof *in);
    coti_tensor *out = coti_arena_array(&n->arena, (size_t)check->n_leaves, sizeof *out);
    int32_t n_out = 0;
    if (in == NULL || out == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < check->n_leaves; i++) {
        const coti_check_part *part = &check->leaf[i];
        COTI_TRY(to_tensor(n, part, check->x + part->at * (part->at >= 0), &in[i]));
        COTI_TRY(part->at >= 0 ? to_tensor(n, part, NULL, &out[n_out++]) : COT_OK);
    }
    for (int32_t i = 0; i < check->n_outputs; i++) {
        const coti_check_part *part = &check->output[i];
        COTI_TRY(to_tensor(n, part, n->u + part->at, &in[check->n_leaves + i]));
    }
    COTI_TRY(coti_eval_graph(n->graph, check->rows, in, out));
    int64_t at = 0;
    for (int32_t i = 0; i < n_out; i++) {
        int64_t count = coti_tensor_count(&out[i]);
        for (int64_t k = 0; k < count; k++) {
            n->g[at++] = coti_tensor_get(&out[i], k);
        }
    }
    return COT_OK;
}

/* ---- what rounding explains ---- */

void coti_check_lend_point(const coti_check *check, const double *u, coti_check *to) {
    int32_t k = 0;
    for (int32_t i = 0; i < to->n_leaves; i++) {
        coti_check_part *part = &to->leaf[i];
        while (to->source->input.data[k] != part->id) {
            k++;
        }
        bool is_leaf = k < check->n_leaves;
        const coti_check_part *from =
            is_leaf ? &check->leaf[k] : &check->output[k - check->n_leaves];
        if (part->at < 0) {
            memcpy(part->data, from->data, (size_t)part->count * cot_dtype_bytes(part->dtype));
        } else {
            memcpy(to->x + part->at, (is_leaf ? check->x : u) + from->at,
                   (size_t)part->count * sizeof(double));
        }
    }
}

void coti_check_draw_cotangent(const coti_check *check, uint64_t seed, double *u) {
    for (int32_t i = 0; i < check->n_outputs; i++) {
        const coti_check_part *part = &check->output[i];
        for (int64_t k = 0; k < part->count; k++) {
            double v = coti_check_normal(seed, PURPOSE_NATIVE + (uint64_t)i, k);
            u[part->at + k] = coti_check_fit(check, part, v);
        }
    }
}

/* Take up one element of the gradient; `share`: how much of what is explained it needs. */
static void judge(const native *n, int32_t leaf, int64_t element, double block,
                  coti_check_result *result) {
    const coti_check_part *part = &n->check->leaf[leaf];
    int64_t i = part->at + element;
    double ulp = dtype_of(n, part) == COT_F32 ? FLT_EPSILON : DBL_EPSILON;
    double allowed = SHARE * n->spread[i] + 4 * ulp * fabs(n->g64[i]) + SMALLEST;
    double difference = fabs(n->g[i] - n->g64[i]);
    result->n_compared++;
    if (n->overflows && !isfinite(n->g[i])) {
        result->n_unclear++;
        return;
    }
    double share = isfinite(difference) ? difference / allowed : INFINITY;
    bool failed = !(share <= 1) && !(isnan(n->g[i]) && isnan(n->g64[i]));
    if (share > result->native_share) {
        result->native_share = share;
    }
    if (failed && (!result->native_failed || share >= result->native_share)) {
        double scale = fmax(fmax(fabs(n->g[i]), fabs(n->g64[i])), 1e-3 * block);
        result->worst =
            (coti_check_entry){.analytic = n->g[i],
                               .numeric = n->g64[i],
                               .error = isfinite(difference) ? difference / scale : INFINITY,
                               .leaf = leaf,
                               .output = -1,
                               .element = element,
                               .output_element = -1};
        result->native_failed = true;
        result->failed = true;
        result->native_allowed = allowed;
    }
}

static void judge_all(const native *n, coti_check_result *result) {
    for (int32_t i = 0; i < n->check->n_leaves; i++) {
        const coti_check_part *part = &n->check->leaf[i];
        double block = 0;
        for (int64_t k = 0; part->at >= 0 && k < part->count; k++) {
            block = fmax(block, fabs(n->g64[part->at + k]));
        }
        for (int64_t k = 0; part->at >= 0 && k < part->count; k++) {
            judge(n, i, k, block, result);
        }
    }
}

/* ---- at a point ---- */

static cot_status make_arrays(native *n) {
    size_t n_x = (size_t)n->check->n_x;
    double **of_x[] = {&n->g64, &n->g, &n->exact, &n->spread};
    n->u = coti_arena_array(&n->arena, (size_t)n->check->n_y, sizeof *n->u);
    bool complete = n->u != NULL;
    for (size_t i = 0; i < sizeof of_x / sizeof *of_x; i++) {
        *of_x[i] = coti_arena_array(&n->arena, n_x, sizeof(double));
        complete = complete && *of_x[i] != NULL;
    }
    return complete ? COT_OK : COT_E_NOMEM;
}

static cot_status unroll(native *n) {
    cot_graph *unrolled = NULL;
    bool changed = false;
    COTI_TRY(coti_pass_unroll(n->graph, &unrolled, &changed));
    cot_graph_destroy(n->graph);
    n->graph = unrolled;
    return COT_OK;
}

static cot_status run(native *n, uint64_t seed, coti_check_result *result) {
    const coti_check *check = n->check;
    COTI_TRY(make_arrays(n));
    coti_check_draw_cotangent(check, seed, n->u);
    COTI_TRY(coti_check_native(n->check, &n->graph));
    COTI_TRY(unroll(n));
    COTI_TRY(coti_check_create_forward(n->graph, check->rows, &n->own));
    coti_check_lend_point(check, n->u, n->own);
    coti_rounding rounding = {.n_samples = TRIALS, .seed = seed};
    COTI_TRY(coti_check_rounding(n->own, &rounding, n->exact, n->spread, &n->overflows));
    COTI_TRY(run_native(n));
    COTI_TRY(coti_check_reverse(check, check->x, n->u, n->g64));
    judge_all(n, result);
    return COT_OK;
}

cot_status coti_check_probe_native(coti_check *check, uint64_t seed, coti_check_result *result) {
    native n = {.check = check};
    coti_arena_init(&n.arena, check->context);
    cot_status status = run(&n, seed, result);
    coti_check_destroy(n.own);
    cot_graph_destroy(n.graph);
    coti_arena_clear(&n.arena);
    return status;
}
