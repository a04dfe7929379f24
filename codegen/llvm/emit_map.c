/*
 * MAP: every expression at every point. Loops over all dimensions but the innermost loop's, which
 * runs in vectors: whole ones, then the rest under a mask. Short static rows are written out.
 */
#include "emit.h"

enum { MAX_UNROLLED_VECTORS = 4 };

/* One kernel's emission. */
typedef struct map {
    coti_nest nest;
    coti_point point; /* v_given is `v_given` */
    uint32_t depends[COTI_MAX_EXPRS];
    bool wanted[COTI_MAX_EXPRS];
    LLVMValueRef v_given[COTI_MAX_EXPRS];
} map;

static void emit_run(coti_emit *e, map *m, LLVMValueRef v_index, int32_t lanes,
                     LLVMValueRef v_mask) {
    coti_point point = m->point;
    int32_t d = m->nest.loop[m->nest.n_loops - 1].dim;
    point.lanes = lanes;
    point.vector_dim = d;
    point.v_index[d] = v_index;
    point.v_mask = v_mask;
    coti_emit_body(e, &e->kernel->body, &point);
}

/* What is left after the whole vectors: one masked vector, or, where masks are dear, one by one. */
static void emit_rest(coti_emit *e, map *m, LLVMValueRef v_whole, LLVMValueRef v_end,
                      int32_t lanes) {
    if (e->target->isa == COT_ISA_BASELINE) {
        coti_loop loop;
        coti_loop_begin(e, &loop, v_whole, v_end, 1, "rest");
        emit_run(e, m, loop.v_i, 1, NULL);
        coti_loop_end(e, &loop);
        return;
    }
    coti_branch branch;
    coti_branch_begin(e, &branch, LLVMBuildICmp(e->builder, LLVMIntSLT, v_whole, v_end, ""),
                      "rest");
    LLVMValueRef v_count = LLVMBuildSub(e->builder, v_end, v_whole, "");
    emit_run(e, m, v_whole, lanes, coti_l_mask(e, v_count, lanes));
    coti_branch_end(e, &branch);
}

/* A row whose length is known: no loop. The rest under a mask, or, where masked stores are dear, in
 * ever narrower vectors. */
static void emit_short_row(coti_emit *e, map *m, int64_t count, int32_t lanes) {
    bool masks = e->target->isa == COT_ISA_AVX512;
    for (int64_t i = 0; i < count;) {
        int64_t left = count - i;
        while (!masks && lanes > left) {
            lanes /= 2;
        }
        LLVMValueRef v_mask = left < lanes ? coti_l_mask(e, coti_l_i64(e, left), lanes) : NULL;
        emit_run(e, m, coti_l_i64(e, i), lanes, v_mask);
        i += lanes;
    }
}

static void emit_row(coti_emit *e, map *m) {
    const coti_nest_loop *row = &m->nest.loop[m->nest.n_loops - 1];
    bool whole_row = (row->dims & 1) == 0; /* dimension 0 has a range */
    int32_t lanes = coti_nest_lanes(row);
    if (whole_row && row->extent >= 0 && row->extent <= MAX_UNROLLED_VECTORS * COTI_LANES) {
        emit_short_row(e, m, row->extent, lanes);
        return;
    }
    LLVMValueRef v_count = LLVMBuildSub(e->builder, row->v_end, row->v_begin, "");
    v_count = LLVMBuildAnd(e->builder, v_count, coti_l_i64(e, -lanes), "");
    LLVMValueRef v_whole = LLVMBuildAdd(e->builder, row->v_begin, v_count, "v_whole");
    coti_loop loop;
    coti_loop_begin(e, &loop, row->v_begin, v_whole, lanes, "vectors");
    emit_run(e, m, loop.v_i, lanes, NULL);
    coti_loop_end(e, &loop);
    if (lanes > 1) {
        emit_rest(e, m, v_whole, row->v_end, lanes);
    }
}

void coti_emit_map(coti_emit *e) {
    const coti_body *body = &e->kernel->body;
    map m = {.point = {.lanes = e->target->lanes, .vector_dim = -1}};
    coti_loop loop[COTI_MAX_DIMS];
    coti_nest_make(e, 0, e->kernel->n_dims, &m.nest);
    coti_body_dependence(e->kernel, body, m.depends);
    coti_nest_start(e, m.v_given);
    for (int32_t s = 0; s < body->n_stores; s++) {
        m.wanted[body->store[s].expr] = true;
    }
    coti_body_close_wanted(body, NULL, m.wanted);
    m.point.v_given = m.v_given;
    uint32_t open = 0;
    int32_t n_outer = m.nest.n_loops - 1;
    coti_nest_hoist(e, &m.point, m.depends, open, m.wanted, m.v_given);
    for (int32_t l = 0; l < n_outer; l++) {
        const coti_nest_loop *at = &m.nest.loop[l];
        coti_loop_begin(e, &loop[l], at->v_begin, at->v_end, 1, "rows");
        m.point.v_index[at->dim] = loop[l].v_i;
        open |= at->dims;
        coti_nest_hoist(e, &m.point, m.depends, open, m.wanted, m.v_given);
    }
    emit_row(e, &m);
    for (int32_t l = n_outer - 1; l >= 0; l--) {
        coti_loop_end(e, &loop[l]);
    }
}
