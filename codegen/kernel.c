/*
 * Text and structural check of lowered kernels.
 *
 * The text is the key under which machine code is kept: it must tell all that the emitter reads,
 * and nothing else. Whoever adds a field to coti_kernel adds it here. coti_kernel_verify holds the
 * rules that the emitter relies on.
 *
 *     gemm rows [1, 1N, 512]
 *     slots 0 f32, 1 f32, 2 f32, 3 f32 written
 *     product f32 b 1 m 1N n 512 k 784
 *       a slot 0 [0, 784, 1]  b slot 1 [0, 512, 1]
 *       n_vectors tile 6 x 4 pack
 *     e0 = acc : f32
 *     e1 = load slot 2 [0, 0, 1] : f32
 *     e2 = add e0, e1 : f32
 *     store e2 to slot 3 [0, 512, 1]
 */
#include "kernel.h"

#include <inttypes.h>

static const char *const skeleton_name[] = {
#define SKELETON_NAME(id, name) [COTI_SKELETON_##id] = name,
    COTI_SKELETON_LIST(SKELETON_NAME)
#undef SKELETON_NAME
};

static const char *const expr_name[] = {
#define EXPR_NAME(id, name) [COTI_EXPR_##id] = name,
    COTI_EXPR_LIST(EXPR_NAME)
#undef EXPR_NAME
};

/* ---- print ---- */

static void print_extent(coti_str *out, int64_t extent, bool batched) {
    coti_str_printf(out, batched ? "%" PRId64 "N" : "%" PRId64, extent);
}

/* "[1N, 3 | 10]": the bar stands before the reduced dimensions. */
static void print_domain(coti_str *out, const coti_kernel *k) {
    bool is_gemm = k->skeleton == COTI_SKELETON_GEMM;
    coti_str_append(out, " [");
    for (int32_t d = 0; d < k->n_dims; d++) {
        coti_str_append(out, d == 0 ? "" : d == k->n_kept ? " | " : ", ");
        bool batched = (d == 0 && k->rows) || d == k->rows_dim;
        if (is_gemm) {
            batched = (d == 0 && k->gemm.b_rows) || (d == 1 && k->gemm.m_rows);
        }
        print_extent(out, k->extent[d], batched);
    }
    coti_str_append(out, "]\n");
}

static void print_slots(coti_str *out, const coti_kernel *k) {
    coti_str_append(out, "slots");
    for (int32_t s = 0; s < k->n_slots; s++) {
        coti_str_printf(out, "%s %" PRId32 " %s%s", s == 0 ? "" : ",", s,
                        cot_dtype_name(k->slot_dtype[s]), k->slot_written[s] ? " written" : "");
    }
    coti_str_append(out, "\n");
}

static void print_strides(coti_str *out, const int64_t *stride, int32_t n, int64_t offset) {
    coti_str_append(out, " [");
    for (int32_t d = 0; d < n; d++) {
        coti_str_printf(out, "%s%" PRId64, d == 0 ? "" : ", ", stride[d]);
    }
    coti_str_append(out, "]");
    if (offset != 0) {
        coti_str_printf(out, " + %" PRId64, offset);
    }
}

/* "slot 2 [0, 1] + 5 inside d1 [0, 9) else 0" */
static void print_access(coti_str *out, const coti_kernel *k, const coti_access *access) {
    if (access->slot >= 0) {
        coti_str_printf(out, "slot %" PRId32, access->slot);
    } else {
        coti_str_append(out, "element");
    }
    print_strides(out, access->stride, k->n_dims, access->offset);
    if (access->bounded == 0) {
        return;
    }
    coti_str_append(out, " inside");
    for (int32_t d = 0; d < k->n_dims; d++) {
        if ((access->bounded >> d & 1) != 0) {
            coti_str_printf(out, " d%" PRId32 " [%" PRId64 ", %" PRId64 ")", d, access->lo[d],
                            access->hi[d]);
        }
    }
    coti_str_append(out, " else ");
    coti_str_double(out, access->fill);
}

static void print_args(coti_str *out, const coti_expr *expr) {
    for (int32_t i = 0; i < expr->n_args; i++) {
        coti_str_printf(out, "%se%" PRId32, i == 0 ? " " : ", ", expr->arg[i]);
    }
}

static void print_expr(coti_str *out, const coti_kernel *k, const coti_body *body, int32_t i) {
    const coti_expr *expr = &body->expr[i];
    bool is_float = expr->dtype == COT_F32 || expr->dtype == COT_F64;
    coti_str_printf(out, "e%" PRId32 " = ", i);
    switch (expr->kind) {
    case COTI_EXPR_LOAD:
        coti_str_append(out, "load ");
        print_access(out, k, &body->access[expr->index]);
        break;
    case COTI_EXPR_CONST:
        coti_str_append(out, "const ");
        if (is_float) {
            coti_str_double(out, expr->number);
        } else {
            coti_str_printf(out, "%" PRId64, expr->integer);
        }
        break;
    case COTI_EXPR_INDEX:
        coti_str_printf(out, "index d%" PRId32, expr->index);
        break;
    case COTI_EXPR_RANDOM:
        coti_str_printf(out, "random %s stream %" PRId64,
                        expr->distribution == COT_NORMAL ? "normal" : "uniform", expr->integer);
        print_args(out, expr);
        coti_str_append(out, ", ");
        print_access(out, k, &body->access[expr->index]);
        break;
    case COTI_EXPR_GATHER:
        coti_str_append(out, "gather");
        print_args(out, expr);
        coti_str_printf(out, " of %" PRId64 " by %" PRId64 ", ", expr->integer, expr->step);
        print_access(out, k, &body->access[expr->index]);
        break;
    case COTI_EXPR_REDUCE:
        coti_str_printf(out, "reduce %s", cot_op_name(expr->op));
        print_args(out, expr);
        break;
    case COTI_EXPR_OP:
        coti_str_append(out, cot_op_name(expr->op));
        print_args(out, expr);
        break;
    case COTI_EXPR_ROWS:
    case COTI_EXPR_ACC:
        coti_str_append(out, expr_name[expr->kind]);
        break;
    }
    coti_str_printf(out, " : %s%s\n", cot_dtype_name(expr->dtype), expr->full ? " full" : "");
}

static void print_body(coti_str *out, const coti_kernel *k, const coti_body *body) {
    for (int32_t i = 0; i < body->n_exprs; i++) {
        print_expr(out, k, body, i);
    }
    for (int32_t i = 0; i < body->n_stores; i++) {
        coti_str_printf(out, "store e%" PRId32 " to ", body->store[i].expr);
        print_access(out, k, &body->access[body->store[i].access]);
        coti_str_append(out, "\n");
    }
}

static void print_pair(coti_str *out, const char *name, const int64_t pair[2]) {
    coti_str_printf(out, " %s %" PRId64 " %" PRId64, name, pair[0], pair[1]);
}

static void print_window(coti_str *out, const coti_window *w) {
    coti_str_append(out, w->role == COTI_WINDOW_ROWS ? "\n  windows as m:" : "\n  windows as k:");
    print_pair(out, "x", w->x);
    print_pair(out, "taps", w->k);
    print_pair(out, "places", w->o);
    print_pair(out, "stride", w->stride);
    print_pair(out, "dilation", w->dilation);
    print_pair(out, "low", w->low);
    print_pair(out, "spread", w->spread);
    coti_str_printf(out, " channels %" PRId64 " columns %" PRId64 " images %" PRId64 " apart",
                    w->channels, w->columns, w->image_stride);
    print_pair(out, "x", w->x_stride);
    if (w->role == COTI_WINDOW_TAPS) {
        coti_str_printf(out, " run %" PRId64, w->run);
    }
}

static void print_product(coti_str *out, const coti_gemm *g) {
    coti_str_printf(out, "product %s b ", cot_dtype_name(g->dtype));
    print_extent(out, g->b, g->b_rows);
    if (g->inner > 0) {
        coti_str_printf(out, " by %" PRId64, g->inner);
    }
    coti_str_append(out, " m ");
    print_extent(out, g->m, g->m_rows);
    coti_str_append(out, " n ");
    print_extent(out, g->n, false);
    coti_str_append(out, " k ");
    print_extent(out, g->k, g->k_rows);
    coti_str_printf(out, "\n  a slot %" PRId32, g->a_slot);
    print_strides(out, g->a_stride, g->inner > 0 ? 4 : 3, g->a_offset);
    coti_str_printf(out, "  b slot %" PRId32, g->b_slot);
    print_strides(out, g->b_stride, g->inner > 0 ? 4 : 3, g->b_offset);
    if (g->window.role != COTI_WINDOW_NONE) {
        print_window(out, &g->window);
    }
    coti_str_printf(out, "\n  %s tile %" PRId32 " x %" PRId32 "%s",
                    g->form == COTI_GEMM_N_VECTORS ? "n_vectors" : "m_vectors", g->tile_broadcast,
                    g->tile_vectors, g->pack ? " pack" : "");
    if (!g->b_rows && !g->m_rows) {
        coti_str_printf(out, " unit %" PRId64 " x %" PRId64, g->unit_m, g->unit_n);
    }
    coti_str_append(out, "\n");
}

static void print_scatter(coti_str *out, const coti_scatter *s) {
    coti_str_printf(out, "scatter %s b %" PRId64 " l ", cot_dtype_name(s->dtype), s->b);
    print_extent(out, s->l, s->l_rows);
    coti_str_append(out, " i ");
    print_extent(out, s->i, s->i_rows);
    coti_str_printf(out, " d %" PRId64 " t %" PRId64 " by %s\n  updates slot %" PRId32, s->d, s->t,
                    s->by_row ? "row" : "place", s->updates_slot);
    print_strides(out, s->updates_stride, 4, s->updates_offset);
    coti_str_printf(out, "  index %s slot %" PRId32, cot_dtype_name(s->index_dtype), s->index_slot);
    print_strides(out, s->index_stride, 2, s->index_offset);
    coti_str_printf(out, "  to slot %" PRId32 "\n", s->result_slot);
}

void coti_kernel_print(coti_str *out, const coti_kernel *kernel) {
    coti_str_append(out, skeleton_name[kernel->skeleton]);
    coti_str_append(out, kernel->rows ? " rows" : "");
    print_domain(out, kernel);
    print_slots(out, kernel);
    if (kernel->skeleton == COTI_SKELETON_GEMM) {
        print_product(out, &kernel->gemm);
    }
    if (kernel->skeleton == COTI_SKELETON_SCATTER) {
        print_scatter(out, &kernel->scatter);
    }
    print_body(out, kernel, &kernel->body);
    if (kernel->gemm.side.n_exprs > 0) {
        coti_str_append(out, "side\n");
        print_body(out, kernel, &kernel->gemm.side);
    }
}

/* ---- verify ---- */

#define BAD(context, ...) COTI_FAIL((context), COT_E_INTERNAL, __VA_ARGS__)

static bool is_dtype(cot_dtype dtype) {
    return cot_dtype_bytes(dtype) != 0;
}

/* Dtypes of an OP's arguments against its result's. */
static bool op_types_fit(const coti_body *body, const coti_expr *expr) {
    const coti_op_info *info = &coti_op_table[expr->op];
    if (expr->n_args != info->n_inputs) {
        return false;
    }
    cot_dtype arg[3] = {COT_F32, COT_F32, COT_F32};
    for (int32_t i = 0; i < expr->n_args; i++) {
        arg[i] = body->expr[expr->arg[i]].dtype;
    }
    if (info->kind == COTI_KIND_COMPARE) {
        return expr->dtype == COT_BOOL && arg[0] == arg[1];
    }
    if (info->kind == COTI_KIND_ELEMWISE) {
        return expr->dtype == arg[0] && (expr->n_args < 2 || arg[1] == arg[0]);
    }
    if (expr->op == COT_OP_SELECT) {
        return arg[0] == COT_BOOL && arg[1] == expr->dtype && arg[2] == expr->dtype;
    }
    return expr->op == COT_OP_CAST;
}

/* A reduction of something that varies, or of nothing else. */
static bool reduce_fits(const coti_kernel *k, const coti_body *body, const coti_expr *expr) {
    bool reduces = k->skeleton == COTI_SKELETON_ROWRED || k->skeleton == COTI_SKELETON_COLRED;
    if (!reduces || expr->n_args != 1 || expr->full || body == &k->gemm.side) {
        return false;
    }
    const coti_expr *arg = &body->expr[expr->arg[0]];
    bool same = expr->op == COT_OP_SUM || expr->op == COT_OP_REDUCE_MAX;
    bool typed =
        same ? expr->dtype == arg->dtype : expr->op == COT_OP_ARGMAX && expr->dtype == COT_I32;
    return typed && arg->full;
}

/* Does the access move along a reduced dimension? */
static bool access_is_full(const coti_kernel *k, const coti_access *access) {
    for (int32_t d = k->n_kept; d < k->n_dims; d++) {
        if (access->stride[d] != 0 || (access->bounded >> d & 1) != 0) {
            return true;
        }
    }
    return false;
}

/* An element of memory, where an integer says. */
static bool gather_fits(const coti_kernel *k, const coti_body *body, const coti_expr *expr) {
    const coti_access *access = &body->access[expr->index];
    if (expr->n_args != 1 || access->slot < 0 || access->bounded != 0 || expr->integer < 1) {
        return false;
    }
    const coti_expr *index = &body->expr[expr->arg[0]];
    return (index->dtype == COT_I32 || index->dtype == COT_I64) &&
           expr->dtype == k->slot_dtype[access->slot] &&
           (expr->full || (!access_is_full(k, access) && !index->full));
}

static bool leaf_fits(const coti_kernel *k, const coti_body *body, const coti_expr *expr) {
    switch (expr->kind) {
    case COTI_EXPR_LOAD: {
        const coti_access *access = &body->access[expr->index];
        return expr->n_args == 0 && access->slot >= 0 &&
               expr->dtype == k->slot_dtype[access->slot] &&
               (expr->full || !access_is_full(k, access));
    }
    case COTI_EXPR_RANDOM:
        return expr->n_args == 2 && body->access[expr->index].slot == -1 &&
               body->expr[expr->arg[0]].dtype == COT_I64 &&
               body->expr[expr->arg[1]].dtype == COT_I64;
    case COTI_EXPR_GATHER:
        return gather_fits(k, body, expr);
    case COTI_EXPR_INDEX:
        return expr->n_args == 0 && expr->dtype != COT_BOOL &&
               (expr->full || expr->index < k->n_kept);
    case COTI_EXPR_ROWS:
        return expr->n_args == 0 && expr->dtype == COT_I64;
    case COTI_EXPR_ACC:
        return expr->n_args == 0 && k->skeleton == COTI_SKELETON_GEMM &&
               expr->dtype == k->gemm.dtype;
    case COTI_EXPR_CONST:
        return expr->n_args == 0;
    case COTI_EXPR_REDUCE:
        return reduce_fits(k, body, expr);
    case COTI_EXPR_OP:
        return op_types_fit(body, expr);
    }
    return false;
}

static cot_status verify_expr(cot_context *context, const coti_kernel *k, const coti_body *body,
                              int32_t i) {
    const coti_expr *expr = &body->expr[i];
    bool has_access = expr->kind == COTI_EXPR_LOAD || expr->kind == COTI_EXPR_RANDOM ||
                      expr->kind == COTI_EXPR_GATHER;
    int32_t limit = has_access ? body->n_accesses : k->n_dims;
    if ((uint32_t)expr->kind > COTI_EXPR_OP || !is_dtype(expr->dtype) ||
        (uint32_t)expr->op >= COT_OP_COUNT) {
        return BAD(context, "kernel: e%" PRId32 " has no such kind, op or dtype", i);
    }
    if ((has_access || expr->kind == COTI_EXPR_INDEX) &&
        (expr->index < 0 || expr->index >= limit)) {
        return BAD(context, "kernel: e%" PRId32 " has index %" PRId32 " of %" PRId32, i,
                   expr->index, limit);
    }
    if (expr->n_args < 0 || expr->n_args > 3) {
        return BAD(context, "kernel: e%" PRId32 " has %" PRId32 " arguments", i, expr->n_args);
    }
    for (int32_t a = 0; a < expr->n_args; a++) {
        if (expr->arg[a] < 0 || expr->arg[a] >= i) {
            return BAD(context, "kernel: e%" PRId32 " uses e%" PRId32 ", which is not before it", i,
                       expr->arg[a]);
        }
        if (expr->kind == COTI_EXPR_OP && body->expr[expr->arg[a]].full && !expr->full) {
            return BAD(context, "kernel: e%" PRId32 " is not full but its argument e%" PRId32 " is",
                       i, expr->arg[a]);
        }
    }
    if (!leaf_fits(k, body, expr)) {
        return BAD(context, "kernel: e%" PRId32 ", %s%s%s of dtype %s, does not fit its arguments",
                   i, expr_name[expr->kind], expr->kind == COTI_EXPR_OP ? " " : "",
                   expr->kind == COTI_EXPR_OP ? cot_op_name(expr->op) : "",
                   cot_dtype_name(expr->dtype));
    }
    return COT_OK;
}

static bool access_equal(const coti_kernel *k, const coti_access *a, const coti_access *b) {
    bool equal = a->offset == b->offset && a->bounded == b->bounded;
    for (int32_t d = 0; d < k->n_dims; d++) {
        equal = equal && a->stride[d] == b->stride[d];
    }
    return equal;
}

/*
 * Loads of a written slot are of the very element that is written, and by the body that writes it:
 * the body of a product and its side reduction run over different points.
 */
static cot_status verify_in_place(cot_context *context, const coti_kernel *k, const coti_body *body,
                                  const coti_access *written) {
    const coti_body *bodies[2] = {&k->body, &k->gemm.side};
    for (int32_t b = 0; b < 2; b++) {
        for (int32_t i = 0; i < bodies[b]->n_exprs; i++) {
            const coti_expr *expr = &bodies[b]->expr[i];
            bool gathers = expr->kind == COTI_EXPR_GATHER;
            if (expr->kind != COTI_EXPR_LOAD && !gathers) {
                continue;
            }
            const coti_access *read = &bodies[b]->access[expr->index];
            if (read->slot == written->slot &&
                (gathers || bodies[b] != body || !access_equal(k, read, written))) {
                return BAD(context, "kernel: slot %" PRId32 " is read elsewhere than written",
                           written->slot);
            }
        }
    }
    return COT_OK;
}

static cot_status verify_stores(cot_context *context, const coti_kernel *k, const coti_body *body,
                                int32_t *n_written) {
    for (int32_t i = 0; i < body->n_stores; i++) {
        const coti_store *store = &body->store[i];
        if (store->expr < 0 || store->expr >= body->n_exprs || store->access < 0 ||
            store->access >= body->n_accesses) {
            return BAD(context, "kernel: store %" PRId32 " is out of range", i);
        }
        const coti_access *access = &body->access[store->access];
        const coti_expr *expr = &body->expr[store->expr];
        if (access->slot < 0 || access->bounded != 0 || !k->slot_written[access->slot] ||
            k->slot_dtype[access->slot] != expr->dtype) {
            return BAD(context, "kernel: store %" PRId32 " does not fit its slot %" PRId32, i,
                       access->slot);
        }
        if (access_is_full(k, access) != expr->full ||
            (expr->full && k->skeleton == COTI_SKELETON_COLRED)) {
            return BAD(context, "kernel: store %" PRId32 " is of another rank than e%" PRId32, i,
                       store->expr);
        }
        n_written[access->slot]++;
        COTI_TRY(verify_in_place(context, k, body, access));
    }
    return COT_OK;
}

static cot_status verify_body(cot_context *context, const coti_kernel *k, const coti_body *body,
                              int32_t *n_written) {
    if (body->n_exprs < 0 || body->n_exprs > COTI_MAX_EXPRS || body->n_accesses < 0 ||
        body->n_stores < 0) {
        return BAD(context, "kernel: %" PRId32 " expressions, %" PRId32 " stores", body->n_exprs,
                   body->n_stores);
    }
    for (int32_t i = 0; i < body->n_accesses; i++) {
        if (body->access[i].slot < -1 || body->access[i].slot >= k->n_slots) {
            return BAD(context, "kernel: access %" PRId32 " has slot %" PRId32, i,
                       body->access[i].slot);
        }
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        COTI_TRY(verify_expr(context, k, body, i));
    }
    return verify_stores(context, k, body, n_written);
}

static cot_status verify_frame(cot_context *context, const coti_kernel *k) {
    bool reduces = k->skeleton == COTI_SKELETON_ROWRED || k->skeleton == COTI_SKELETON_COLRED;
    if ((uint32_t)k->skeleton > COTI_SKELETON_GEMM || k->n_dims < 1 || k->n_dims > COTI_MAX_DIMS ||
        k->n_kept < 1 || k->n_kept > k->n_dims || reduces != (k->n_kept < k->n_dims)) {
        return BAD(context, "kernel: %" PRId32 " dimensions, %" PRId32 " kept", k->n_dims,
                   k->n_kept);
    }
    if (k->n_slots < 0 || k->n_slots > COTI_MAX_SLOTS || k->rows_dim < -1 || k->rows_dim == 0 ||
        k->rows_dim >= k->n_dims) {
        return BAD(context, "kernel: %" PRId32 " slots, rows_dim %" PRId32, k->n_slots,
                   k->rows_dim);
    }
    for (int32_t d = 0; d < k->n_dims; d++) {
        if (k->extent[d] < 0) {
            return BAD(context, "kernel: dimension %" PRId32 " has a negative extent", d);
        }
    }
    for (int32_t s = 0; s < k->n_slots; s++) {
        if (!is_dtype(k->slot_dtype[s])) {
            return BAD(context, "kernel: slot %" PRId32 " has no dtype", s);
        }
    }
    return COT_OK;
}

/* The windows' axes are the product's, and tiles stay within them. */
static cot_status verify_window(cot_context *context, const coti_gemm *g) {
    const coti_window *w = &g->window;
    const int64_t taps = w->k[0] * w->k[1] * w->channels, places = w->o[0] * w->o[1];
    const bool rows = w->role == COTI_WINDOW_ROWS;
    if (w->role == COTI_WINDOW_NONE) {
        return COT_OK;
    }
    for (int32_t i = 0; i < 2; i++) {
        if (w->x[i] < 1 || w->k[i] < 1 || w->o[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1) {
            return BAD(context, "kernel: windows of this form");
        }
        if (w->spread[i] < 1 ||
            (w->spread[i] > 1 && (!rows || w->stride[i] > 1 || (i == 0 && w->dilation[i] > 1)))) {
            return BAD(context, "kernel: windows of elements that are spread");
        }
    }
    if (w->channels < 1 || w->columns < 1 || g->n % w->columns != 0 ||
        (rows ? g->k : g->m) != taps || (rows ? g->m : g->k) % places != 0 || g->b != 1 ||
        g->b_rows || (rows ? g->k_rows : g->m_rows) || g->form != COTI_GEMM_N_VECTORS) {
        return BAD(context, "kernel: windows and product differ");
    }
    const int64_t run = rows ? w->o[1] : w->run;
    const bool divides = rows || (run > 0 && w->k[1] * w->channels % run == 0 &&
                                  (run > w->channels || w->channels % run == 0));
    const bool in_step = g->tile_broadcast % w->spread[1] == 0 || g->tile_broadcast == run;
    if (!divides || !in_step || g->tile_broadcast > run || (!g->m_rows && g->unit_m % run != 0)) {
        return BAD(context, "kernel: tiles of %" PRId32 " cross runs of %" PRId64,
                   g->tile_broadcast, run);
    }
    return COT_OK;
}

static cot_status verify_gemm(cot_context *context, const coti_kernel *k) {
    const coti_gemm *g = &k->gemm;
    bool parts = g->inner > 0 ? k->n_dims == 4 && k->extent[3] == g->inner : k->n_dims == 3;
    bool sizes = parts && k->extent[0] == g->b && k->extent[1] == g->m && k->extent[2] == g->n &&
                 g->k >= 0 && k->rows == (g->b_rows || g->m_rows);
    bool slots =
        g->a_slot >= 0 && g->a_slot < k->n_slots && g->b_slot >= 0 && g->b_slot < k->n_slots;
    if (!sizes || g->b_rows + g->m_rows + g->k_rows > 1) {
        return BAD(context, "kernel: product and domain differ");
    }
    if (!slots || k->slot_written[g->a_slot] || k->slot_written[g->b_slot] ||
        k->slot_dtype[g->a_slot] != g->dtype || k->slot_dtype[g->b_slot] != g->dtype) {
        return BAD(context, "kernel: slots %" PRId32 " and %" PRId32 " cannot be a product's",
                   g->a_slot, g->b_slot);
    }
    return verify_window(context, g);
}

static cot_status verify_scatter(cot_context *context, const coti_kernel *k) {
    const coti_scatter *s = &k->scatter;
    int64_t rows = s->b * s->l;
    bool sizes = k->n_dims == 2 && s->b >= 0 && s->l >= 0 && s->i >= 0 && s->d >= 0 && s->t >= 0 &&
                 k->extent[0] == (s->by_row ? rows : s->d) &&
                 k->extent[1] == (s->by_row ? s->d * s->t : rows * s->t);
    bool batch = k->rows ? s->by_row && !s->i_rows : !s->l_rows;
    if (!sizes || !batch || (s->l_rows && s->b != 1) || k->body.n_exprs != 0 ||
        k->body.n_stores != 0 || k->gemm.side.n_exprs != 0) {
        return BAD(context, "kernel: scatter and domain differ");
    }
    const int32_t slot[3] = {s->updates_slot, s->index_slot, s->result_slot};
    for (int32_t i = 0; i < 3; i++) {
        cot_dtype dtype = i == 1 ? s->index_dtype : s->dtype;
        if (slot[i] < 0 || slot[i] >= k->n_slots || k->slot_dtype[slot[i]] != dtype ||
            k->slot_written[slot[i]] != (i == 2)) {
            return BAD(context, "kernel: slot %" PRId32 " cannot be a scatter's", slot[i]);
        }
    }
    if (s->dtype == COT_BOOL || (s->index_dtype != COT_I32 && s->index_dtype != COT_I64)) {
        return BAD(context, "kernel: a scatter of %s by %s", cot_dtype_name(s->dtype),
                   cot_dtype_name(s->index_dtype));
    }
    return COT_OK;
}

cot_status coti_kernel_verify(cot_context *context, const coti_kernel *kernel) {
    int32_t n_written[COTI_MAX_SLOTS] = {0};
    COTI_TRY(verify_frame(context, kernel));
    if (kernel->skeleton == COTI_SKELETON_LOAD) {
        bool fits = kernel->n_dims == 2 && kernel->n_slots == 2 && kernel->rows &&
                    kernel->slot_written[1] && kernel->body.n_exprs == 0;
        return fits ? COT_OK : BAD(context, "kernel: a load of this form");
    }
    if (kernel->skeleton == COTI_SKELETON_SCATTER) {
        return verify_scatter(context, kernel);
    }
    if (kernel->skeleton == COTI_SKELETON_GEMM) {
        COTI_TRY(verify_gemm(context, kernel));
    }
    COTI_TRY(verify_body(context, kernel, &kernel->body, n_written));
    COTI_TRY(verify_body(context, kernel, &kernel->gemm.side, n_written));
    for (int32_t s = 0; s < kernel->n_slots; s++) {
        if (n_written[s] != (kernel->slot_written[s] ? 1 : 0)) {
            return BAD(context, "kernel: slot %" PRId32 " is stored %" PRId32 " times", s,
                       n_written[s]);
        }
    }
    return COT_OK;
}
