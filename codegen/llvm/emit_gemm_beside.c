/*
 * The end of a tile beside the sums of the next.
 *
 * An update of weights reads and writes two to four arrays as large as the product, takes a root
 * and a quotient of each element, and has no other work to do while it waits for them: after each
 * tile the units that multiply and add would stand still. So a finished tile waits. The steps of k
 * of the next tile are cut into as many pieces as the waiting one has vectors, and after each piece
 * one of them is finished: its operands come, its roots are taken, while the sums go on.
 *
 * What waits is told by a record in scratch (`waiting`), since the tile functions are apart from
 * the kernel's own: which vectors are left, where they lie, and what the expressions need besides,
 * the slots and the values that are the same at every point. One tile waits at most; the last of a
 * call is finished by itself.
 *
 * Each element is computed by the same expressions as at a tile's own end: no bit depends on it.
 */
#include "emit_gemm.h"

#include <string.h>

/* Words of the record; then the slots, then the uniform values, a word each. */
enum {
    N_LEFT, /* vectors that are still to be finished */
    ROW,    /* where the next one is: along s, ... */
    COLUMN, /* ... and along v */
    ROW_FIRST,
    ROW_END,
    ROW_BASE,
    COLUMN_BASE,
    COLUMN_END,
    SUMS, /* of (ROW_BASE, COLUMN_BASE) */
    ENTRY,
    ENTRY_INNER,
    N_WORDS,
    WORD_BYTES = 8
};

int64_t coti_gemm_waiting_bytes(const coti_kernel *kernel) {
    return (int64_t)(N_WORDS + kernel->n_slots + kernel->body.n_exprs) * WORD_BYTES;
}

bool coti_gemm_can_wait(const coti_body *body) {
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr_kind kind = body->expr[i].kind;
        if (kind == COTI_EXPR_INDEX || kind == COTI_EXPR_GATHER || kind == COTI_EXPR_RANDOM ||
            kind == COTI_EXPR_REDUCE) {
            return false;
        }
    }
    for (int32_t i = 0; i < body->n_accesses; i++) {
        if (body->access[i].bounded != 0) {
            return false;
        }
    }
    return true;
}

static LLVMValueRef word(coti_emit *e, LLVMValueRef v_waiting, int32_t at) {
    return coti_l_element(e, e->t_i64, v_waiting, coti_l_i64(e, at), "");
}

static LLVMValueRef load_word(coti_emit *e, LLVMValueRef v_waiting, int32_t at) {
    return coti_l_load(e, e->t_i64, word(e, v_waiting, at), "");
}

static void store_word(coti_emit *e, LLVMValueRef v_waiting, int32_t at, LLVMValueRef v_value) {
    coti_l_store(e, v_value, word(e, v_waiting, at));
}

/* Uniform expressions whose value others or stores ask for. */
static void find_asked(const coti_emit *e, bool asked[COTI_MAX_EXPRS]) {
    const coti_body *body = &e->kernel->body;
    memset(asked, 0, COTI_MAX_EXPRS * sizeof *asked);
    for (int32_t s = 0; s < body->n_stores; s++) {
        asked[body->store[s].expr] = true;
    }
    coti_body_close_wanted(body, e->v_uniform, asked);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        asked[i] &= e->v_uniform[i] != NULL;
    }
}

/* ---- in the kernel's own function ---- */

void coti_gemm_emit_waiting(coti_emit *e, LLVMValueRef v_waiting) {
    const coti_body *body = &e->kernel->body;
    bool asked[COTI_MAX_EXPRS];
    find_asked(e, asked);
    store_word(e, v_waiting, N_LEFT, coti_l_i64(e, 0));
    for (int32_t i = 0; i < e->kernel->n_slots; i++) {
        store_word(e, v_waiting, N_WORDS + i, e->v_slot[i]);
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (asked[i]) {
            LLVMValueRef v_memory = coti_l_to_memory(e, body->expr[i].dtype, e->v_uniform[i]);
            store_word(e, v_waiting, N_WORDS + e->kernel->n_slots + i, coti_l_lane(e, v_memory, 0));
        }
    }
}

void coti_gemm_emit_wait(coti_emit *e, const coti_gemm_plan *plan, const coti_gemm_done *done,
                         LLVMValueRef v_waiting) {
    LLVMValueRef v_length = coti_i64_sub(e, done->v_v_end, done->v_v_first);
    LLVMValueRef v_rows = coti_i64_sub(e, done->v_s_end, done->v_s_first);
    LLVMValueRef v_vectors = coti_i64_divide_up(e, v_length, plan->lanes);
    const struct {
        int32_t at;
        LLVMValueRef v_value;
    } set[] = {{N_LEFT, LLVMBuildMul(e->builder, v_vectors, v_rows, "v_left")},
               {ROW, done->v_s_first},
               {COLUMN, done->v_v_first},
               {ROW_FIRST, done->v_s_first},
               {ROW_END, done->v_s_end},
               {ROW_BASE, done->v_s_base},
               {COLUMN_BASE, done->v_v_base},
               {COLUMN_END, done->v_v_end},
               {SUMS, done->v_c},
               {ENTRY, done->entry.v_b},
               {ENTRY_INNER, done->entry.v_inner}};
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        store_word(e, v_waiting, set[i].at, set[i].v_value);
    }
}

/* ---- where the sums are ---- */

/* The vector after (v_row, v_column) is next: all rows of a vector's columns before the next. */
static void emit_advance(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_waiting,
                         LLVMValueRef v_row, LLVMValueRef v_column) {
    LLVMValueRef v_next = coti_i64_add(e, v_row, coti_l_i64(e, 1));
    LLVMValueRef v_more =
        LLVMBuildICmp(e->builder, LLVMIntSLT, v_next, load_word(e, v_waiting, ROW_END), "");
    LLVMValueRef v_first = load_word(e, v_waiting, ROW_FIRST);
    LLVMValueRef v_further = coti_i64_add(e, v_column, coti_l_i64(e, plan->lanes));
    store_word(e, v_waiting, ROW, coti_l_select(e, v_more, v_next, v_first, ""));
    store_word(e, v_waiting, COLUMN, coti_l_select(e, v_more, v_column, v_further, ""));
}

/* What the expressions are given, as vectors. */
static void load_uniforms(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_waiting,
                          LLVMValueRef v_given[COTI_MAX_EXPRS]) {
    const coti_body *body = &e->kernel->body;
    bool asked[COTI_MAX_EXPRS];
    find_asked(e, asked);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        v_given[i] = NULL;
        if (asked[i]) {
            const cot_dtype dtype = body->expr[i].dtype;
            LLVMValueRef v_scalar = coti_l_load(
                e, e->t_memory[dtype], word(e, v_waiting, N_WORDS + e->kernel->n_slots + i), "");
            v_given[i] =
                coti_l_from_memory(e, dtype, coti_l_splat(e, v_scalar, plan->lanes, "v_given"));
        }
    }
}

/* The sums of the vector at (v_row, v_column). */
static LLVMValueRef load_sums(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_waiting,
                              LLVMValueRef v_row, LLVMValueRef v_column) {
    LLVMValueRef v_at = coti_i64_sub(e, v_row, load_word(e, v_waiting, ROW_BASE));
    v_at = coti_i64_times(e, v_at, plan->width);
    v_at = coti_i64_add(e, v_at, coti_i64_sub(e, v_column, load_word(e, v_waiting, COLUMN_BASE)));
    LLVMValueRef v_sums = coti_l_load(e, e->t_ptr, word(e, v_waiting, SUMS), "");
    v_sums = coti_l_element(e, coti_gemm_element(e), v_sums, v_at, "v_sums");
    return coti_l_load_vector(e, coti_gemm_element(e), plan->lanes, v_sums, NULL, NULL,
                              "v_product");
}

void coti_gemm_emit_waiting_vector(coti_emit *e, const coti_gemm_plan *plan,
                                   LLVMValueRef v_waiting) {
    LLVMValueRef v_row = load_word(e, v_waiting, ROW), v_column = load_word(e, v_waiting, COLUMN);
    LLVMValueRef v_slot[COTI_MAX_SLOTS], v_given[COTI_MAX_EXPRS];
    memcpy(v_slot, e->v_slot, sizeof v_slot);
    for (int32_t i = 0; i < e->kernel->n_slots; i++) {
        e->v_slot[i] = coti_l_load(e, e->t_ptr, word(e, v_waiting, N_WORDS + i), "");
    }
    load_uniforms(e, plan, v_waiting, v_given);
    coti_point point = {.lanes = plan->lanes, .vector_dim = plan->v.dim, .v_given = v_given};
    if (plan->ragged_v) {
        LLVMValueRef v_left = coti_i64_sub(e, load_word(e, v_waiting, COLUMN_END), v_column);
        point.v_mask = coti_l_mask(e, v_left, plan->lanes);
    }
    point.v_index[0] = load_word(e, v_waiting, ENTRY);
    point.v_index[3] = load_word(e, v_waiting, ENTRY_INNER);
    point.v_index[plan->s.dim] = v_row;
    point.v_index[plan->v.dim] = v_column;
    point.v_acc = load_sums(e, plan, v_waiting, v_row, v_column);
    coti_emit_body(e, &e->kernel->body, &point);
    emit_advance(e, plan, v_waiting, v_row, v_column);
    memcpy(e->v_slot, v_slot, sizeof v_slot);
}

LLVMValueRef coti_gemm_take_waiting(coti_emit *e, LLVMValueRef v_waiting) {
    LLVMValueRef v_left = load_word(e, v_waiting, N_LEFT);
    store_word(e, v_waiting, N_LEFT, coti_l_i64(e, 0));
    return v_left;
}

/* ---- the last tile ---- */

void coti_gemm_emit_last(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_waiting) {
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), coti_gemm_take_waiting(e, v_waiting), 1, "last");
    coti_gemm_emit_waiting_vector(e, plan, v_waiting);
    coti_loop_end(e, &loop);
}
