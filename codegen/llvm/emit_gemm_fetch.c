/*
 * Fetching ahead what a tile's epilogue will read and write.
 *
 * An update of weights has two to four arrays as large as the product, once a step, and a layer its
 * activations: they come from memory, while the sums are in registers and in the first cache. So
 * the addresses of the lines that the epilogue of a tile will touch are put into a table before the
 * tile is summed, and each step of k asks for one of them. By the end they are there.
 *
 * What is finished beside the next tile's sums comes that much later, and a vector at a time: from
 * the second cache, since the first has more use for its lines meanwhile.
 *
 * A prefetch of an address outside an operand is harmless, so whole tiles are asked for.
 */
#include "emit_gemm.h"

enum {
    LINE = 16 /* f32 elements */,
    POINTERS = 8 /* written at once */,
    SECOND_CACHE = 2,
    FIRST_CACHE = 3
};

void coti_gemm_emit_prefetch(coti_emit *e, LLVMValueRef v_ptr, int32_t locality) {
    LLVMValueRef v_read = coti_l_i32(e, 0), v_data = coti_l_i32(e, 1);
    LLVMValueRef v_arg[] = {v_ptr, v_read, coti_l_i32(e, locality), v_data};
    LLVMTypeRef type = e->t_ptr;
    coti_l_intrinsic(e, "llvm.prefetch", &type, 1, v_arg, 4, "");
}

/* Lines along a run of this many elements. */
static int32_t lines_of(int32_t elements) {
    return (elements + LINE - 1) / LINE;
}

static bool same_access(const coti_access *a, const coti_access *b) {
    return a->slot == b->slot && a->offset == b->offset && a->stride[0] == b->stride[0] &&
           a->stride[1] == b->stride[1] && a->stride[2] == b->stride[2];
}

/* Does access i read or write memory of its own for each element of the product, in runs, that no
 * access before it does? */
static bool worth_it(const coti_gemm_plan *plan, const coti_body *body, int32_t i) {
    const coti_access *access = &body->access[i];
    int32_t along = plan->end_along_s ? plan->s.dim : plan->v.dim;
    int32_t across = plan->end_along_s ? plan->v.dim : plan->s.dim;
    for (int32_t j = 0; j < i; j++) {
        if (same_access(access, &body->access[j])) {
            return false;
        }
    }
    return access->slot >= 0 && access->bounded == 0 && access->stride[along] == 1 &&
           access->stride[across] != 0;
}

int32_t coti_gemm_count_fetches(const coti_kernel *kernel, const coti_gemm_plan *plan) {
    const coti_body *body = &kernel->body;
    int32_t rows = plan->end_along_s ? plan->width : plan->height;
    int32_t lines = lines_of(plan->end_along_s ? plan->height : plan->width), n = 0;
    for (int32_t i = 0; i < body->n_accesses; i++) {
        n += worth_it(plan, body, i) ? rows * lines : 0;
    }
    return n <= COTI_GEMM_MAX_FETCHES ? n : COTI_GEMM_MAX_FETCHES;
}

/* Byte offset of line number i of an access' tile. */
static int64_t line_offset(const coti_gemm_plan *plan, const coti_access *access, int32_t i) {
    int32_t lines = lines_of(plan->end_along_s ? plan->height : plan->width);
    int32_t across = plan->end_along_s ? plan->v.dim : plan->s.dim;
    int64_t elements = i / lines * access->stride[across] + (int64_t)(i % lines) * LINE;
    return elements * (int64_t)sizeof(float);
}

/* Eight addresses, from line `first` of an access on, into the table at entry `at`. */
static void emit_pointers(coti_emit *e, const coti_gemm_plan *plan, const coti_access *access,
                          LLVMValueRef v_base, int32_t first, LLVMValueRef v_table, int32_t at) {
    LLVMValueRef v_offset[POINTERS];
    for (int32_t i = 0; i < POINTERS; i++) {
        v_offset[i] = coti_l_i64(e, line_offset(plan, access, first + i));
    }
    LLVMValueRef v_offsets = LLVMConstVector(v_offset, POINTERS);
    LLVMValueRef v_splat = coti_l_splat(e, v_base, POINTERS, "v_base");
    coti_l_store(e, LLVMBuildAdd(e->builder, v_splat, v_offsets, "v_lines"),
                 coti_l_element(e, e->t_i64, v_table, coti_l_i64(e, at), ""));
}

void coti_gemm_emit_fetch_table(coti_emit *e, const coti_gemm_plan *plan,
                                const coti_gemm_entry *entry, LLVMValueRef v_s, LLVMValueRef v_v) {
    const coti_body *body = &e->kernel->body;
    int32_t rows = plan->end_along_s ? plan->width : plan->height;
    int32_t lines = rows * lines_of(plan->end_along_s ? plan->height : plan->width), at = 0;
    LLVMValueRef v_table =
        coti_l_element(e, e->t_i8, e->v_scratch, coti_l_i64(e, plan->fetch_at), "v_fetches");
    coti_point point = {.lanes = 1, .vector_dim = -1};
    point.v_index[0] = entry->v_b;
    point.v_index[3] = entry->v_inner;
    point.v_index[plan->s.dim] = v_s;
    point.v_index[plan->v.dim] = v_v;
    for (int32_t i = 0; i < body->n_accesses && at < plan->n_fetches; i++) {
        const coti_access *access = &body->access[i];
        if (!worth_it(plan, body, i)) {
            continue;
        }
        LLVMValueRef v_element = coti_l_lane(e, coti_access_element(e, access, &point), 0);
        LLVMValueRef v_first =
            coti_l_element(e, e->t_f32, e->v_slot[access->slot], v_element, "v_first_line");
        LLVMValueRef v_base = LLVMBuildPtrToInt(e->builder, v_first, e->t_i64, "v_base");
        for (int32_t l = 0; l < lines && at < plan->n_fetches; l += POINTERS, at += POINTERS) {
            emit_pointers(e, plan, access, v_base, l, v_table, at);
        }
    }
}

void coti_gemm_emit_fetch(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_table,
                          LLVMValueRef v_k) {
    LLVMValueRef v_last = coti_l_i64(e, plan->n_fetches - 1);
    LLVMValueRef v_inside = LLVMBuildICmp(e->builder, LLVMIntSLT, v_k, v_last, "");
    LLVMValueRef v_i = coti_l_select(e, v_inside, v_k, v_last, "");
    LLVMValueRef v_line =
        coti_l_load(e, e->t_ptr, coti_l_element(e, e->t_ptr, v_table, v_i, ""), "v_line");
    coti_gemm_emit_prefetch(e, v_line, plan->beside ? SECOND_CACHE : FIRST_CACHE);
}
