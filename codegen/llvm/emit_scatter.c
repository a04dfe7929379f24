/*
 * SCATTER: a call's part of the result is filled with zeros; then the index is walked in order, and
 * each row of t updates whose place is in the part is added there, in vectors. Sums are made in
 * memory: an element has one, in the order of the index, whatever the vectors.
 */
#include "emit.h"

/* The part of one row [d, t] of the result that the call owns, and what is added to it. */
typedef struct part {
    LLVMValueRef v_result;     /* ptr: element 0 of the row */
    LLVMValueRef v_from, v_to; /* i64: places along d */
    LLVMValueRef v_updates;    /* i64: element number of updates [0, 0] of the row */
    LLVMValueRef v_index;      /* i64: element number of the row's first index */
} part;

static const coti_scatter *scatter_of(const coti_emit *e) {
    return &e->kernel->scatter;
}

static LLVMTypeRef element_type(const coti_emit *e) {
    return e->t_memory[scatter_of(e)->dtype];
}

/* v_base + v_index * stride */
static LLVMValueRef step_by(coti_emit *e, LLVMValueRef v_base, LLVMValueRef v_index,
                            int64_t stride) {
    LLVMValueRef v_step = LLVMBuildMul(e->builder, v_index, coti_l_i64(e, stride), "");
    return LLVMBuildAdd(e->builder, v_base, v_step, "");
}

/* ---- zeros ---- */

static void store_zeros(coti_emit *e, const part *p, LLVMValueRef v_at, int32_t lanes) {
    LLVMTypeRef type = coti_l_vector_type(element_type(e), lanes);
    LLVMValueRef v_to = coti_l_element(e, element_type(e), p->v_result, v_at, "");
    coti_l_store(e, LLVMConstNull(type), v_to);
}

static void emit_zeros(coti_emit *e, const part *p) {
    LLVMValueRef v_t = coti_l_i64(e, scatter_of(e)->t);
    LLVMValueRef v_begin = LLVMBuildMul(e->builder, p->v_from, v_t, "v_begin");
    LLVMValueRef v_end = LLVMBuildMul(e->builder, p->v_to, v_t, "v_end");
    LLVMValueRef v_count = LLVMBuildSub(e->builder, v_end, v_begin, "");
    v_count = LLVMBuildAnd(e->builder, v_count, coti_l_i64(e, -COTI_LANES), "");
    LLVMValueRef v_whole = LLVMBuildAdd(e->builder, v_begin, v_count, "v_whole");
    coti_loop loop;
    coti_loop_begin(e, &loop, v_begin, v_whole, COTI_LANES, "zeros");
    store_zeros(e, p, loop.v_i, COTI_LANES);
    coti_loop_end(e, &loop);
    coti_loop_begin(e, &loop, v_whole, v_end, 1, "zero");
    store_zeros(e, p, loop.v_i, 1);
    coti_loop_end(e, &loop);
}

/* ---- sums ---- */

/* `lanes` updates from number v_at on, `stride` apart. */
static LLVMValueRef load_updates(coti_emit *e, LLVMValueRef v_at, int64_t stride, int32_t lanes) {
    LLVMTypeRef t_element = element_type(e);
    LLVMValueRef v_ptr =
        coti_l_element(e, t_element, e->v_slot[scatter_of(e)->updates_slot], v_at, "");
    if (stride == 1 || lanes == 1) {
        return coti_l_load_vector(e, t_element, lanes, v_ptr, NULL, NULL, "");
    }
    if (stride == 0) {
        return coti_l_splat(e, coti_l_load(e, t_element, v_ptr, ""), lanes, "");
    }
    LLVMValueRef v_all = LLVMGetPoison(coti_l_vector_type(t_element, lanes));
    for (int32_t l = 0; l < lanes; l++) {
        LLVMValueRef v_lane = coti_l_element(e, t_element, v_ptr, coti_l_i64(e, l * stride), "");
        v_lane = coti_l_load(e, t_element, v_lane, "");
        v_all = LLVMBuildInsertElement(e->builder, v_all, v_lane, coti_l_i32(e, l), "");
    }
    return v_all;
}

/* result[v_to + t ..] += updates[v_from + t ..], `lanes` of them. */
static void add_lanes(coti_emit *e, const part *p, LLVMValueRef v_to, LLVMValueRef v_from,
                      LLVMValueRef v_t, int32_t lanes) {
    int64_t stride = scatter_of(e)->updates_stride[3];
    LLVMValueRef v_updates = load_updates(e, step_by(e, v_from, v_t, stride), stride, lanes);
    LLVMValueRef v_at = LLVMBuildAdd(e->builder, v_to, v_t, "");
    LLVMValueRef v_ptr = coti_l_element(e, element_type(e), p->v_result, v_at, "");
    LLVMValueRef v_sum = coti_l_load_vector(e, element_type(e), lanes, v_ptr, NULL, NULL, "");
    bool real = scatter_of(e)->dtype == COT_F32 || scatter_of(e)->dtype == COT_F64;
    v_sum = real ? LLVMBuildFAdd(e->builder, v_sum, v_updates, "v_sum")
                 : LLVMBuildAdd(e->builder, v_sum, v_updates, "v_sum");
    coti_l_store(e, v_sum, v_ptr);
}

/* One row of updates; the rest after the whole vectors in ever narrower ones. */
static void add_row(coti_emit *e, const part *p, LLVMValueRef v_to, LLVMValueRef v_from) {
    int64_t t = scatter_of(e)->t, whole = t - t % COTI_LANES;
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), coti_l_i64(e, whole), COTI_LANES, "vectors");
    add_lanes(e, p, v_to, v_from, loop.v_i, COTI_LANES);
    coti_loop_end(e, &loop);
    for (int32_t lanes = COTI_LANES / 2; lanes > 0; lanes /= 2) {
        if ((t & lanes) != 0) {
            add_lanes(e, p, v_to, v_from, coti_l_i64(e, whole), lanes);
            whole += lanes;
        }
    }
}

static void emit_sums(coti_emit *e, const part *p) {
    const coti_scatter *s = scatter_of(e);
    LLVMTypeRef t_index = e->t_memory[s->index_dtype];
    LLVMValueRef v_count = coti_l_i64(e, s->i);
    if (s->i_rows) {
        v_count = LLVMBuildMul(e->builder, v_count, e->v_rows, "v_count");
    }
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), v_count, 1, "index");
    LLVMValueRef v_at = step_by(e, p->v_index, loop.v_i, s->index_stride[1]);
    v_at =
        coti_l_load(e, t_index, coti_l_element(e, t_index, e->v_slot[s->index_slot], v_at, ""), "");
    v_at = LLVMBuildIntCast2(e->builder, v_at, e->t_i64, true, "v_at");
    LLVMValueRef v_past = LLVMBuildSub(e->builder, v_at, p->v_from, "");
    LLVMValueRef v_places = LLVMBuildSub(e->builder, p->v_to, p->v_from, "");
    coti_branch own; /* below from: a large unsigned number */
    coti_branch_begin(e, &own, LLVMBuildICmp(e->builder, LLVMIntULT, v_past, v_places, ""), "own");
    LLVMValueRef v_to = LLVMBuildMul(e->builder, v_at, coti_l_i64(e, s->t), "");
    add_row(e, p, v_to, step_by(e, p->v_updates, loop.v_i, s->updates_stride[2]));
    coti_branch_end(e, &own);
    coti_loop_end(e, &loop);
}

/* ---- rows ---- */

void coti_emit_scatter(coti_emit *e) {
    const coti_scatter *s = scatter_of(e);
    part p = {.v_from = s->by_row ? coti_l_i64(e, 0) : e->v_begin,
              .v_to = s->by_row ? coti_l_i64(e, s->d) : e->v_end};
    coti_loop rows;
    coti_loop_begin(e, &rows, s->by_row ? e->v_begin : coti_l_i64(e, 0),
                    s->by_row ? e->v_end : coti_l_i64(e, s->b * s->l), 1, "rows");
    LLVMValueRef v_b = coti_l_i64(e, 0), v_l = rows.v_i;
    if (!s->l_rows && s->l > 0) {
        v_b = LLVMBuildUDiv(e->builder, rows.v_i, coti_l_i64(e, s->l), "v_b");
        v_l = LLVMBuildURem(e->builder, rows.v_i, coti_l_i64(e, s->l), "v_l");
    }
    p.v_updates = step_by(e, coti_l_i64(e, s->updates_offset), v_b, s->updates_stride[0]);
    p.v_updates = step_by(e, p.v_updates, v_l, s->updates_stride[1]);
    p.v_index = step_by(e, coti_l_i64(e, s->index_offset), v_b, s->index_stride[0]);
    LLVMValueRef v_first =
        LLVMBuildMul(e->builder, rows.v_i, coti_l_i64(e, s->d * s->t), "v_first");
    p.v_result = coti_l_element(e, element_type(e), e->v_slot[s->result_slot], v_first, "");
    emit_zeros(e, &p);
    emit_sums(e, &p);
    coti_loop_end(e, &rows);
}
