/*
 * Runs a lowered kernel from its description (kernel_interpret.h). Slow and dull: a scalar of raw
 * bytes for each expression, elementwise operations by the reference evaluator's own rules.
 */
#include "kernel_interpret.h"

#include "runtime/base/philox.h"

#include <math.h>
#include <string.h>

/* One scalar of any dtype. */
typedef union scalar {
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
} scalar;

/* A body at work at one point. */
typedef struct machine {
    cot_context *context;
    const coti_kernel *kernel;
    const cotr_args *args;
    const coti_body *body;
    int64_t index[COTI_MAX_DIMS];
    int64_t extent[COTI_MAX_DIMS]; /* with N bound; that of dimension 0 is not used */
    scalar acc;
    scalar *value; /* one for each expression */
    cot_status status;
} machine;

/* ---- scalars ---- */

static double get_real(scalar x, cot_dtype dtype) {
    switch (dtype) {
    case COT_F32:
        return (double)x.f32;
    case COT_F64:
        return x.f64;
    case COT_I32:
        return (double)x.i32;
    case COT_I64:
        return (double)x.i64;
    case COT_U8:
    case COT_BOOL:
        return x.u8;
    }
    return 0;
}

static scalar make_real(double value, cot_dtype dtype) {
    scalar x = {.i64 = 0};
    if (dtype == COT_F32) {
        x.f32 = (float)value;
    } else {
        x.f64 = value;
    }
    return x;
}

static scalar make_integer(int64_t value, cot_dtype dtype) {
    scalar x = {.i64 = 0};
    switch (dtype) {
    case COT_F32:
        x.f32 = (float)value;
        break;
    case COT_F64:
        x.f64 = (double)value;
        break;
    case COT_I32:
        x.i32 = (int32_t)(uint32_t)(uint64_t)value;
        break;
    case COT_I64:
        x.i64 = value;
        break;
    case COT_U8:
        x.u8 = (uint8_t)value;
        break;
    case COT_BOOL:
        x.u8 = value != 0;
        break;
    }
    return x;
}

static bool is_real(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

static scalar add(scalar a, scalar b, cot_dtype dtype) {
    switch (dtype) {
    case COT_F32:
        a.f32 += b.f32;
        return a;
    case COT_F64:
        a.f64 += b.f64;
        return a;
    case COT_I32:
        return make_integer((int64_t)a.i32 + b.i32, dtype);
    case COT_I64:
        a.i64 = (int64_t)((uint64_t)a.i64 + (uint64_t)b.i64);
        return a;
    case COT_U8:
    case COT_BOOL:
        return make_integer(a.u8 + b.u8, dtype);
    }
    return a;
}

/* Does a beat b as a maximum? A NaN beats all numbers, and no NaN. */
static bool beats(scalar a, scalar b, cot_dtype dtype) {
    if (dtype == COT_I64) {
        return a.i64 > b.i64;
    }
    double x = get_real(a, dtype);
    double y = get_real(b, dtype);
    return x > y || (isnan(x) && !isnan(y));
}

/* ---- expressions ---- */

static int64_t element(const machine *m, const coti_access *access) {
    int64_t at = access->offset;
    for (int32_t d = 0; d < m->kernel->n_dims; d++) {
        at += m->index[d] * access->stride[d];
    }
    return at;
}

static scalar load(const machine *m, const coti_access *access) {
    cot_dtype dtype = m->kernel->slot_dtype[access->slot];
    for (int32_t d = 0; d < m->kernel->n_dims; d++) {
        bool bounded = (access->bounded >> d & 1) != 0;
        if (bounded && (m->index[d] < access->lo[d] || m->index[d] >= access->hi[d])) {
            return is_real(dtype) ? make_real(access->fill, dtype)
                                  : make_integer((int64_t)access->fill, dtype);
        }
    }
    scalar x = {.i64 = 0};
    size_t bytes = cot_dtype_bytes(dtype);
    const char *base = m->args->buffer[access->slot];
    memcpy(&x, base + element(m, access) * (int64_t)bytes, bytes);
    return x;
}

/* The element where an expression says, or 0. */
static scalar gather(const machine *m, const coti_expr *expr) {
    const coti_access *access = &m->body->access[expr->index];
    const scalar *index = &m->value[expr->arg[0]];
    bool is_long = m->body->expr[expr->arg[0]].dtype == COT_I64;
    int64_t at = is_long ? index->i64 : index->i32;
    scalar x = {.i64 = 0};
    if (at >= 0 && at < expr->integer) {
        size_t bytes = cot_dtype_bytes(expr->dtype);
        const char *base = m->args->buffer[access->slot];
        memcpy(&x, base + (element(m, access) + at * expr->step) * (int64_t)bytes, bytes);
    }
    return x;
}

static void store(const machine *m, const coti_store *store) {
    const coti_access *access = &m->body->access[store->access];
    size_t bytes = cot_dtype_bytes(m->kernel->slot_dtype[access->slot]);
    char *base = m->args->buffer[access->slot];
    memcpy(base + element(m, access) * (int64_t)bytes, &m->value[store->expr], bytes);
}

static scalar random_number(const machine *m, const coti_expr *expr) {
    uint64_t seed = (uint64_t)m->value[expr->arg[0]].i64;
    uint64_t step = (uint64_t)m->value[expr->arg[1]].i64;
    uint64_t at = (uint64_t)element(m, &m->body->access[expr->index]);
    coti_philox_key key = coti_philox_make_key(seed, (uint64_t)expr->integer);
    double value = expr->distribution == COT_NORMAL ? coti_philox_normal(key, step, at)
                                                    : coti_philox_uniform(key, step, at);
    return make_real(value, expr->dtype);
}

/* By the evaluator's rule of the op, on tensors of one element. */
static scalar operate(machine *m, const coti_expr *expr) {
    coti_tensor input[3];
    scalar result = {.i64 = 0};
    for (int32_t i = 0; i < expr->n_args; i++) {
        input[i] =
            (coti_tensor){m->body->expr[expr->arg[i]].dtype, {.rank = 0}, &m->value[expr->arg[i]]};
    }
    coti_node node = {
        .op = (uint16_t)expr->op, .dtype = (uint8_t)expr->dtype, .n_inputs = expr->n_args};
    coti_tensor out = {expr->dtype, {.rank = 0}, &result};
    cot_status status = coti_eval_node(m->context, &node, input, m->args->rows, &out);
    m->status = m->status == COT_OK ? status : m->status;
    return result;
}

static scalar evaluate(machine *m, const coti_expr *expr) {
    switch (expr->kind) {
    case COTI_EXPR_LOAD:
        return load(m, &m->body->access[expr->index]);
    case COTI_EXPR_CONST:
        return is_real(expr->dtype) ? make_real(expr->number, expr->dtype)
                                    : make_integer(expr->integer, expr->dtype);
    case COTI_EXPR_INDEX:
        return make_integer(m->index[expr->index], expr->dtype);
    case COTI_EXPR_ROWS:
        return make_integer(m->args->rows, COT_I64);
    case COTI_EXPR_ACC:
        return m->acc;
    case COTI_EXPR_GATHER:
        return gather(m, expr);
    case COTI_EXPR_RANDOM:
        return random_number(m, expr);
    case COTI_EXPR_OP:
        return operate(m, expr);
    case COTI_EXPR_REDUCE:
        break;
    }
    return (scalar){.i64 = 0};
}

/* All expressions before `limit` that are full, or are not; reductions are left alone. */
static void evaluate_all(machine *m, int32_t limit, bool full) {
    for (int32_t i = 0; i < limit; i++) {
        const coti_expr *expr = &m->body->expr[i];
        if (expr->full == full && expr->kind != COTI_EXPR_REDUCE) {
            m->value[i] = evaluate(m, expr);
        }
    }
}

/* ---- walking a domain ---- */

/* Points of dimensions [from, to). */
static int64_t count_points(const machine *m, int32_t from, int32_t to) {
    int64_t n = 1;
    for (int32_t d = from; d < to; d++) {
        n *= m->extent[d];
    }
    return n;
}

/* Set the indices of dimensions [from, to) to their point number `at`, the last one fastest. */
static void set_point(machine *m, int32_t from, int32_t to, int64_t at) {
    for (int32_t d = to - 1; d >= from; d--) {
        m->index[d] = at % m->extent[d];
        at /= m->extent[d];
    }
}

/* ---- skeletons ---- */

static void run_load(const coti_kernel *k, const cotr_args *args, int64_t begin, int64_t end) {
    const cotr_source *source = args->buffer[0];
    cot_dtype to = k->slot_dtype[1];
    cot_dtype from = (cot_dtype)source->dtype;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = args->first + i;
        int64_t row = source->index != NULL ? source->index[at] : at;
        const unsigned char *data = source->base + row * source->row_bytes;
        char *out = (char *)args->buffer[1] + i * k->extent[1] * (int64_t)cot_dtype_bytes(to);
        for (int64_t c = 0; c < k->extent[1]; c++) {
            scalar x = {.i64 = 0};
            memcpy(&x, data + (size_t)c * cot_dtype_bytes(from), cot_dtype_bytes(from));
            if (from == COT_U8 && to == COT_F32) {
                x = (scalar){.f32 = (float)x.u8 * source->scale + source->offset};
            } else if (from != to) {
                x = make_integer(from == COT_I64 ? x.i64 : x.u8, to);
            }
            memcpy(out + (size_t)c * cot_dtype_bytes(to), &x, cot_dtype_bytes(to));
        }
    }
}

static void run_map(machine *m, int64_t begin, int64_t end) {
    int32_t n = m->kernel->n_dims;
    int64_t inner = count_points(m, 1, n);
    for (int64_t i = begin; i < end; i++) {
        for (int64_t p = 0; p < inner; p++) {
            m->index[0] = i;
            set_point(m, 1, n, p);
            evaluate_all(m, m->body->n_exprs, false);
            evaluate_all(m, m->body->n_exprs, true);
            for (int32_t s = 0; s < m->body->n_stores; s++) {
                store(m, &m->body->store[s]);
            }
        }
    }
}

/* A reduction under way: a sum in lanes (one, for a column), or the best element and its place. */
typedef struct reduction {
    cot_op op;
    cot_dtype dtype; /* of the argument */
    scalar lane[COTI_LANES];
    int64_t at;
} reduction;

/* Take up element number `p`. */
static void take(reduction *r, int64_t p, int32_t lane, scalar x) {
    if (r->op == COT_OP_SUM) {
        r->lane[lane] = add(r->lane[lane], x, r->dtype);
    } else if (p == 0 || beats(x, r->lane[0], r->dtype)) {
        r->lane[0] = x;
        r->at = p;
    }
}

static scalar finish(reduction *r) {
    if (r->op == COT_OP_ARGMAX) {
        return make_integer(r->at, COT_I32);
    }
    for (int32_t half = COTI_LANES / 2; half > 0 && r->op == COT_OP_SUM; half /= 2) {
        for (int32_t l = 0; l < half; l++) {
            r->lane[l] = add(r->lane[l], r->lane[l + half], r->dtype);
        }
    }
    return r->lane[0];
}

/* Reduction e at the kept point where the machine stands. All before it is evaluated, but for what
 * is full. */
static scalar reduce(machine *m, int32_t e) {
    const coti_kernel *k = m->kernel;
    const coti_expr *expr = &m->body->expr[e];
    bool columns = k->skeleton == COTI_SKELETON_COLRED;
    int64_t n = count_points(m, k->n_kept, k->n_dims);
    int64_t block = COTI_ROW_BLOCK * count_points(m, k->n_kept + 1, k->n_dims);
    reduction r = {.op = expr->op, .dtype = m->body->expr[expr->arg[0]].dtype};
    scalar total = {.i64 = 0};
    for (int64_t p = 0; p < n; p++) {
        set_point(m, k->n_kept, k->n_dims, p);
        evaluate_all(m, e, true);
        take(&r, p, columns ? 0 : (int32_t)(p % COTI_LANES), m->value[expr->arg[0]]);
        if (columns && expr->op == COT_OP_SUM && ((p + 1) % block == 0 || p + 1 == n)) {
            total = add(total, r.lane[0], r.dtype);
            r.lane[0] = (scalar){.i64 = 0};
        }
    }
    return columns && expr->op == COT_OP_SUM ? total : finish(&r);
}

static void run_reducing(machine *m, int64_t begin, int64_t end) {
    const coti_kernel *k = m->kernel;
    int64_t kept = count_points(m, 1, k->n_kept);
    int64_t reduced = count_points(m, k->n_kept, k->n_dims);
    for (int64_t q = begin * kept; q < end * kept; q++) {
        m->index[0] = q / kept;
        set_point(m, 1, k->n_kept, q % kept);
        for (int32_t e = 0; e < m->body->n_exprs; e++) {
            const coti_expr *expr = &m->body->expr[e];
            if (expr->kind == COTI_EXPR_REDUCE) {
                m->value[e] = reduce(m, e);
            } else if (!expr->full) {
                m->value[e] = evaluate(m, expr);
            }
        }
        for (int64_t p = 0; p < reduced; p++) {
            set_point(m, k->n_kept, k->n_dims, p);
            evaluate_all(m, m->body->n_exprs, true);
            for (int32_t s = 0; s < m->body->n_stores; s++) {
                if (m->body->expr[m->body->store[s].expr].full) {
                    store(m, &m->body->store[s]);
                }
            }
        }
        for (int32_t s = 0; s < m->body->n_stores; s++) {
            if (!m->body->expr[m->body->store[s].expr].full) {
                store(m, &m->body->store[s]);
            }
        }
    }
}

/* ---- scatters ---- */

static scalar read_scalar(const machine *m, int32_t slot, int64_t at) {
    scalar x = {.i64 = 0};
    size_t bytes = cot_dtype_bytes(m->kernel->slot_dtype[slot]);
    memcpy(&x, (const char *)m->args->buffer[slot] + at * (int64_t)bytes, bytes);
    return x;
}

/* Places [from, to) of one row of the result. */
static void scatter_row(const machine *m, int64_t row, int64_t from, int64_t to) {
    const coti_scatter *s = &m->kernel->scatter;
    int64_t b = s->l_rows ? 0 : row / s->l, l = s->l_rows ? row : row % s->l;
    int64_t n = s->i_rows ? s->i * m->args->rows : s->i;
    size_t bytes = cot_dtype_bytes(s->dtype);
    for (int64_t p = from * s->t; p < to * s->t; p++) {
        scalar sum = {.i64 = 0};
        for (int64_t i = 0; i < n; i++) {
            scalar index =
                read_scalar(m, s->index_slot,
                            s->index_offset + b * s->index_stride[0] + i * s->index_stride[1]);
            if ((s->index_dtype == COT_I64 ? index.i64 : index.i32) == p / s->t) {
                int64_t at = s->updates_offset + b * s->updates_stride[0] +
                             l * s->updates_stride[1] + i * s->updates_stride[2] +
                             p % s->t * s->updates_stride[3];
                sum = add(sum, read_scalar(m, s->updates_slot, at), s->dtype);
            }
        }
        char *out = m->args->buffer[s->result_slot];
        memcpy(out + (row * s->d * s->t + p) * (int64_t)bytes, &sum, bytes);
    }
}

static void run_scatter(const machine *m, int64_t begin, int64_t end) {
    const coti_scatter *s = &m->kernel->scatter;
    int64_t first = s->by_row ? begin : 0, last = s->by_row ? end : s->b * s->l;
    for (int64_t row = first; row < last; row++) {
        scatter_row(m, row, s->by_row ? 0 : begin, s->by_row ? s->d : end);
    }
}

/* ---- products ---- */

static int64_t product_rows(const machine *m) {
    return m->kernel->gemm.k_rows ? m->kernel->gemm.k * m->args->rows : m->kernel->gemm.k;
}

/* Element `at` of an operand of a product. */
static scalar factor(const void *operand, cot_dtype dtype, int64_t at) {
    return dtype == COT_F32 ? (scalar){.f32 = ((const float *)operand)[at]}
                            : (scalar){.f64 = ((const double *)operand)[at]};
}

/* a * b + c, rounded once. */
static scalar multiply_add(scalar a, scalar b, scalar c, cot_dtype dtype) {
    return dtype == COT_F32 ? (scalar){.f32 = fmaf(a.f32, b.f32, c.f32)}
                            : (scalar){.f64 = fma(a.f64, b.f64, c.f64)};
}

/* Element k of row m of an operand in windows, as column n meets it, in *at_out; false: it is
 * outside of the image. */
static bool window_element(const coti_gemm *g, int64_t m, int64_t n, int64_t k, int64_t *at_out) {
    const coti_window *w = &g->window;
    const int64_t place = w->role == COTI_WINDOW_ROWS ? m : k;
    const int64_t tap = w->role == COTI_WINDOW_ROWS ? k : m;
    const int64_t o[2] = {place / w->o[1] % w->o[0], place % w->o[1]};
    const int64_t t[2] = {tap / w->channels / w->k[1], tap / w->channels % w->k[1]};
    int64_t at = g->a_offset + place / w->o[1] / w->o[0] * w->image_stride + tap % w->channels;
    at += n / w->columns * w->channels;
    for (int32_t i = 0; i < 2; i++) {
        const int64_t x = o[i] * w->stride[i] + t[i] * w->dilation[i] - w->low[i];
        if (x < 0 || x % w->spread[i] != 0 || x / w->spread[i] >= w->x[i]) {
            return false;
        }
        at += x / w->spread[i] * w->x_stride[i];
    }
    *at_out = at;
    return true;
}

/* acc[b, m, n] at the machine's point. */
static scalar dot(const machine *m) {
    const coti_gemm *g = &m->kernel->gemm;
    const void *a = m->args->buffer[g->a_slot];
    const void *b = m->args->buffer[g->b_slot];
    int64_t a_at = g->a_offset + m->index[0] * g->a_stride[0] + m->index[1] * g->a_stride[1] +
                   m->index[3] * g->a_stride[3];
    int64_t b_at = g->b_offset + m->index[0] * g->b_stride[0] + m->index[2] * g->b_stride[2] +
                   m->index[3] * g->b_stride[3];
    int64_t n = product_rows(m);
    scalar total = make_real(0, g->dtype);
    scalar sum = total;
    for (int64_t k = 0; k < n; k++) {
        int64_t at = a_at + k * g->a_stride[2];
        if (g->window.role == COTI_WINDOW_NONE ||
            window_element(g, m->index[1], m->index[2], k, &at)) {
            sum = multiply_add(factor(a, g->dtype, at),
                               factor(b, g->dtype, b_at + k * g->b_stride[1]), sum, g->dtype);
        }
        if (g->k_rows && ((k + 1) % COTI_ROW_BLOCK == 0 || k + 1 == n)) {
            total = add(total, sum, g->dtype);
            sum = make_real(0, g->dtype);
        }
    }
    return g->k_rows ? total : sum;
}

/* The sum of column (b, n) of B at the machine's point. */
static scalar side_sum(const machine *m) {
    const coti_gemm *g = &m->kernel->gemm;
    const void *b = m->args->buffer[g->b_slot];
    int64_t at = g->b_offset + m->index[0] * g->b_stride[0] + m->index[2] * g->b_stride[2];
    int64_t n = product_rows(m);
    scalar total = make_real(0, g->dtype);
    scalar sum = total;
    for (int64_t k = 0; k < n; k++) {
        sum = add(sum, factor(b, g->dtype, at + k * g->b_stride[1]), g->dtype);
        if ((k + 1) % COTI_ROW_BLOCK == 0 || k + 1 == n) {
            total = add(total, sum, g->dtype);
            sum = make_real(0, g->dtype);
        }
    }
    return total;
}

/* One point of a product or of its side reduction; entry: of the batch, its parts as one. */
static void run_product_point(machine *m, const coti_body *body, int64_t entry, int64_t i,
                              int64_t j) {
    const int64_t inner = coti_gemm_inner(&m->kernel->gemm);
    m->body = body;
    m->index[0] = entry / inner;
    m->index[3] = entry % inner;
    m->index[1] = i;
    m->index[2] = j;
    m->acc = body == &m->kernel->gemm.side ? side_sum(m) : dot(m);
    evaluate_all(m, body->n_exprs, false);
    evaluate_all(m, body->n_exprs, true);
    for (int32_t s = 0; s < body->n_stores; s++) {
        store(m, &body->store[s]);
    }
}

/* Points of entries [b0, b1) x [i0, i1) x [j0, j1), and the side reduction's where i0 is 0. */
static void run_block(machine *m, int64_t b0, int64_t b1, int64_t i0, int64_t i1, int64_t j0,
                      int64_t j1) {
    const coti_kernel *k = m->kernel;
    for (int64_t b = b0; b < b1; b++) {
        for (int64_t j = j0; j < j1 && i0 == 0 && k->gemm.side.n_exprs > 0; j++) {
            run_product_point(m, &k->gemm.side, b, 0, j);
        }
        for (int64_t i = i0; i < i1; i++) {
            for (int64_t j = j0; j < j1; j++) {
                run_product_point(m, &k->body, b, i, j);
            }
        }
    }
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void run_gemm(machine *m, int64_t begin, int64_t end) {
    const coti_gemm *g = &m->kernel->gemm;
    const int64_t inner = coti_gemm_inner(g);
    if (g->m_rows) {
        run_block(m, 0, g->b * inner, begin, end, 0, g->n);
        return;
    }
    if (g->b_rows) {
        run_block(m, begin * inner, end * inner, 0, g->m, 0, g->n);
        return;
    }
    int64_t n_i = (g->m + g->unit_m - 1) / g->unit_m;
    int64_t n_j = (g->n + g->unit_n - 1) / g->unit_n;
    for (int64_t u = begin; u < end; u++) {
        int64_t j = u % n_j * g->unit_n;
        int64_t i = u / n_j % n_i * g->unit_m;
        int64_t b = u / n_j / n_i;
        run_block(m, b, b + 1, i, smaller(i + g->unit_m, g->m), j, smaller(j + g->unit_n, g->n));
    }
}

cot_status coti_kernel_interpret(cot_context *context, const coti_kernel *kernel,
                                 const cotr_args *args, int64_t begin, int64_t end) {
    machine m = {.context = context, .kernel = kernel, .args = args, .body = &kernel->body};
    for (int32_t d = 0; d < kernel->n_dims; d++) {
        m.extent[d] = d == kernel->rows_dim ? kernel->extent[d] * args->rows : kernel->extent[d];
    }
    m.value = coti_calloc(context, COTI_MAX_EXPRS, sizeof *m.value);
    if (m.value == NULL) {
        return COT_E_NOMEM;
    }
    switch (kernel->skeleton) {
    case COTI_SKELETON_LOAD:
        run_load(kernel, args, begin, end);
        break;
    case COTI_SKELETON_MAP:
        run_map(&m, begin, end);
        break;
    case COTI_SKELETON_ROWRED:
    case COTI_SKELETON_COLRED:
        run_reducing(&m, begin, end);
        break;
    case COTI_SKELETON_SCATTER:
        run_scatter(&m, begin, end);
        break;
    case COTI_SKELETON_GEMM:
        run_gemm(&m, begin, end);
        break;
    }
    coti_free(context, m.value);
    return m.status;
}
