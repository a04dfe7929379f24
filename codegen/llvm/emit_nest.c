/*
 * Loop nests over dimensions of the domain: which loops there are, and what is worked out before
 * which of them.
 */
#include "emit.h"

/* Does any index expression name dimension d? Then its own index must be right. */
static bool index_is_read(const coti_body *body, int32_t d) {
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (body->expr[i].kind == COTI_EXPR_INDEX && body->expr[i].index == d) {
            return true;
        }
    }
    return false;
}

/* May dimension d join the loop whose index is dim's, and whose extent is `count` so far? */
static bool can_join(const coti_body *body, int32_t d, int32_t dim, int64_t count) {
    if (count < 0 || index_is_read(body, d) || index_is_read(body, dim)) {
        return false;
    }
    for (int32_t a = 0; a < body->n_accesses; a++) {
        const coti_access *access = &body->access[a];
        bool bounded = (access->bounded >> d & 1) != 0 || (access->bounded >> dim & 1) != 0;
        if (bounded || access->stride[d] != count * access->stride[dim]) {
            return false;
        }
    }
    return true;
}

/* A loop over dimension d alone. */
static coti_nest_loop one_loop(coti_emit *e, int32_t d) {
    bool batched = coti_dim_is_batched(e->kernel, d);
    return (coti_nest_loop){.dim = d,
                            .dims = UINT32_C(1) << d,
                            .extent = batched ? -1 : e->kernel->extent[d],
                            .v_begin = d == 0 ? e->v_begin : coti_l_i64(e, 0),
                            .v_end = d == 0 ? e->v_end : e->v_extent[d]};
}

/* Make dimension d the outermost of what `loop` runs over. */
static void join(coti_emit *e, coti_nest_loop *loop, int32_t d) {
    coti_nest_loop outer = one_loop(e, d);
    LLVMValueRef v_inner = coti_l_i64(e, loop->extent);
    loop->dims |= outer.dims;
    loop->v_begin = LLVMBuildMul(e->builder, outer.v_begin, v_inner, "v_begin");
    loop->v_end = LLVMBuildMul(e->builder, outer.v_end, v_inner, "v_end");
    int64_t count = -1;
    if (outer.extent < 0 || !coti_size_mul(outer.extent, loop->extent, &count)) {
        count = -1;
    }
    loop->extent = count;
}

void coti_nest_make(coti_emit *e, int32_t first, int32_t last, coti_nest *nest) {
    coti_nest_loop reversed[COTI_MAX_DIMS]; /* innermost first */
    int32_t n = 0;
    for (int32_t d = last - 1; d >= 0 && d >= first; d--) {
        bool skip = d != 0 && coti_dim_is_one(e->kernel, d) && !(d == first && n == 0);
        if (skip) {
            continue;
        }
        coti_nest_loop *inner = n > 0 ? &reversed[n - 1] : NULL;
        if (inner != NULL && can_join(&e->kernel->body, d, inner->dim, inner->extent)) {
            join(e, inner, d);
        } else {
            reversed[n++] = one_loop(e, d);
        }
    }
    nest->n_loops = n;
    for (int32_t l = 0; l < n; l++) {
        nest->loop[l] = reversed[n - 1 - l];
    }
}

int32_t coti_nest_depth(const coti_nest *nest, uint32_t depends) {
    for (int32_t l = nest->n_loops - 1; l >= 0; l--) {
        if ((nest->loop[l].dims & depends) != 0) {
            return l + 1;
        }
    }
    return 0;
}

int32_t coti_nest_lanes(const coti_nest_loop *loop) {
    int32_t lanes = COTI_LANES;
    while (lanes > 1 && loop->extent >= 0 && lanes / 2 >= loop->extent) {
        lanes /= 2;
    }
    return lanes;
}

void coti_nest_start(coti_emit *e, LLVMValueRef *v_given) {
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        LLVMValueRef v_uniform = e->v_uniform[i];
        v_given[i] = v_uniform != NULL ? coti_emit_fit(e, v_uniform, COTI_LANES) : NULL;
    }
}

void coti_nest_hoist(coti_emit *e, const coti_point *point, const uint32_t *depends,
                     uint32_t within, const bool *wanted, LLVMValueRef *v_given) {
    const coti_body *body = &e->kernel->body;
    bool now[COTI_MAX_EXPRS];
    LLVMValueRef v_value[COTI_MAX_EXPRS];
    bool any = false;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        bool known = v_given[i] != NULL;
        /* A constant costs nothing where it is used. */
        bool trivial = body->expr[i].kind == COTI_EXPR_CONST;
        now[i] = wanted[i] && !known && !trivial && (depends[i] & ~within) == 0;
        any = any || now[i];
    }
    if (!any) {
        return;
    }
    bool closed[COTI_MAX_EXPRS];
    for (int32_t i = 0; i < body->n_exprs; i++) {
        closed[i] = now[i];
    }
    coti_body_close_wanted(body, v_given, closed);
    coti_point uniform = *point;
    uniform.lanes = e->target->lanes;
    uniform.vector_dim = -1;
    uniform.v_mask = NULL;
    uniform.v_given = v_given;
    coti_emit_values(e, body, &uniform, closed, v_value);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (now[i]) {
            v_given[i] = coti_emit_fit(e, v_value[i], COTI_LANES);
        }
    }
}
