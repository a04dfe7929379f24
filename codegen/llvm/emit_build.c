/*
 * The emitter's vocabulary: constants, vectors, fma, memory. Thin over LLVM's builder, so that the
 * emitters read like the code that they make. Nothing here fails: a missing intrinsic or a bad type
 * would be a bug that the module's verification reports.
 */
#include "emit.h"

#include <string.h>

/* ---- types and constants ---- */

LLVMTypeRef coti_l_vector_type(LLVMTypeRef t_element, int32_t lanes) {
    return LLVMVectorType(t_element, (unsigned)lanes);
}

int32_t coti_l_lanes(LLVMValueRef v_vector) {
    return (int32_t)LLVMGetVectorSize(LLVMTypeOf(v_vector));
}

LLVMTypeRef coti_l_element_type(LLVMValueRef v_vector) {
    return LLVMGetElementType(LLVMTypeOf(v_vector));
}

LLVMValueRef coti_l_i32(coti_emit *e, int32_t value) {
    return LLVMConstInt(e->t_i32, (unsigned long long)(long long)value, true);
}

LLVMValueRef coti_l_i64(coti_emit *e, int64_t value) {
    return LLVMConstInt(e->t_i64, (unsigned long long)value, true);
}

/* Every lane of a vector constant is v_lane. */
static LLVMValueRef constant_splat(LLVMValueRef v_lane, int32_t lanes) {
    LLVMValueRef v_lanes[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        v_lanes[l] = v_lane;
    }
    return LLVMConstVector(v_lanes, (unsigned)lanes);
}

LLVMValueRef coti_l_number_like(LLVMValueRef v_like, double value) {
    return constant_splat(LLVMConstReal(coti_l_element_type(v_like), value), coti_l_lanes(v_like));
}

LLVMValueRef coti_l_integer_like(LLVMValueRef v_like, int64_t value) {
    return constant_splat(
        LLVMConstInt(coti_l_element_type(v_like), (unsigned long long)value, true),
        coti_l_lanes(v_like));
}

LLVMValueRef coti_l_iota(LLVMTypeRef t_integer, int32_t lanes) {
    LLVMValueRef v_lanes[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        v_lanes[l] = LLVMConstInt(t_integer, (unsigned long long)l, false);
    }
    return LLVMConstVector(v_lanes, (unsigned)lanes);
}

/* ---- vectors ---- */

/* A shuffle that takes lanes first, first + step, ... of one vector. */
static LLVMValueRef shuffle(coti_emit *e, LLVMValueRef v_vector, int32_t first, int32_t step,
                            int32_t lanes, const char *name) {
    LLVMValueRef v_mask[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        v_mask[l] = coti_l_i32(e, first + l * step);
    }
    return LLVMBuildShuffleVector(e->builder, v_vector, LLVMGetPoison(LLVMTypeOf(v_vector)),
                                  LLVMConstVector(v_mask, (unsigned)lanes), name);
}

LLVMValueRef coti_l_splat(coti_emit *e, LLVMValueRef v_scalar, int32_t lanes, const char *name) {
    if (LLVMIsConstant(v_scalar)) {
        return constant_splat(v_scalar, lanes);
    }
    LLVMTypeRef type = coti_l_vector_type(LLVMTypeOf(v_scalar), lanes);
    LLVMValueRef v_first = LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), v_scalar,
                                                  coti_l_i32(e, 0), lanes == 1 ? name : "");
    return lanes == 1 ? v_first : shuffle(e, v_first, 0, 0, lanes, name);
}

LLVMValueRef coti_l_lane(coti_emit *e, LLVMValueRef v_vector, int32_t lane) {
    return LLVMBuildExtractElement(e->builder, v_vector, coti_l_i32(e, lane), "");
}

LLVMValueRef coti_l_slice(coti_emit *e, LLVMValueRef v_vector, int32_t first, int32_t lanes,
                          const char *name) {
    if (first == 0 && lanes == coti_l_lanes(v_vector)) {
        return v_vector;
    }
    return shuffle(e, v_vector, first, 1, lanes, name);
}

LLVMValueRef coti_emit_fit(coti_emit *e, LLVMValueRef v_value, int32_t lanes) {
    int32_t have = coti_l_lanes(v_value);
    if (have >= lanes) {
        return coti_l_slice(e, v_value, 0, lanes, "");
    }
    return shuffle(e, v_value, 0, 0, lanes, "");
}

LLVMValueRef coti_l_mask(coti_emit *e, LLVMValueRef v_count, int32_t lanes) {
    LLVMValueRef v_short = LLVMBuildTrunc(e->builder, v_count, e->t_i32, "");
    return LLVMBuildICmp(e->builder, LLVMIntSLT, coti_l_iota(e->t_i32, lanes),
                         coti_l_splat(e, v_short, lanes, ""), "v_mask");
}

/* ---- arithmetic ---- */

LLVMValueRef coti_l_intrinsic(coti_emit *e, const char *intrinsic, LLVMTypeRef *type,
                              int32_t n_types, LLVMValueRef *v_arg, int32_t n_args,
                              const char *name) {
    unsigned id = LLVMLookupIntrinsicID(intrinsic, strlen(intrinsic));
    LLVMValueRef v_callee = LLVMGetIntrinsicDeclaration(e->module, id, type, (size_t)n_types);
    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(v_callee), v_callee, v_arg,
                          (unsigned)n_args, name);
}

LLVMValueRef coti_l_fma(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, LLVMValueRef v_c,
                        const char *name) {
    if (!e->target->fma) {
        LLVMValueRef v_product = LLVMBuildFMul(e->builder, v_a, v_b, "");
        return LLVMBuildFAdd(e->builder, v_product, v_c, name);
    }
    LLVMTypeRef type = LLVMTypeOf(v_a);
    return coti_l_intrinsic(e, "llvm.fma", &type, 1, (LLVMValueRef[]){v_a, v_b, v_c}, 3, name);
}

LLVMValueRef coti_l_select(coti_emit *e, LLVMValueRef v_condition, LLVMValueRef v_then,
                           LLVMValueRef v_else, const char *name) {
    return LLVMBuildSelect(e->builder, v_condition, v_then, v_else, name);
}

/* ---- memory ---- */

LLVMValueRef coti_l_element(coti_emit *e, LLVMTypeRef t_element, LLVMValueRef v_base,
                            LLVMValueRef v_index, const char *name) {
    return LLVMBuildGEP2(e->builder, t_element, v_base, &v_index, 1, name);
}

int32_t coti_l_element_bytes(LLVMTypeRef type) {
    if (LLVMGetTypeKind(type) == LLVMVectorTypeKind) {
        type = LLVMGetElementType(type);
    }
    switch ((int)LLVMGetTypeKind(type)) {
    case LLVMFloatTypeKind:
        return 4;
    case LLVMDoubleTypeKind:
    case LLVMPointerTypeKind:
        return 8;
    default:
        return (int32_t)LLVMGetIntTypeWidth(type) / 8;
    }
}

LLVMValueRef coti_l_load(coti_emit *e, LLVMTypeRef type, LLVMValueRef v_ptr, const char *name) {
    LLVMValueRef v_load = LLVMBuildLoad2(e->builder, type, v_ptr, name);
    LLVMSetAlignment(v_load, (unsigned)coti_l_element_bytes(type));
    return v_load;
}

void coti_l_store(coti_emit *e, LLVMValueRef v_value, LLVMValueRef v_ptr) {
    LLVMValueRef v_store = LLVMBuildStore(e->builder, v_value, v_ptr);
    LLVMSetAlignment(v_store, (unsigned)coti_l_element_bytes(LLVMTypeOf(v_value)));
}

LLVMValueRef coti_l_load_vector(coti_emit *e, LLVMTypeRef t_element, int32_t lanes,
                                LLVMValueRef v_ptr, LLVMValueRef v_mask, LLVMValueRef v_off,
                                const char *name) {
    LLVMTypeRef type = coti_l_vector_type(t_element, lanes);
    if (v_mask == NULL) {
        return coti_l_load(e, type, v_ptr, name);
    }
    LLVMValueRef v_align = coti_l_i32(e, coti_l_element_bytes(type));
    v_off = v_off != NULL ? v_off : LLVMConstNull(type);
    return coti_l_intrinsic(e, "llvm.masked.load", (LLVMTypeRef[]){type, e->t_ptr}, 2,
                            (LLVMValueRef[]){v_ptr, v_align, v_mask, v_off}, 4, name);
}

void coti_l_store_vector(coti_emit *e, LLVMValueRef v_vector, LLVMValueRef v_ptr,
                         LLVMValueRef v_mask) {
    if (v_mask == NULL) {
        coti_l_store(e, v_vector, v_ptr);
        return;
    }
    LLVMTypeRef type = LLVMTypeOf(v_vector);
    LLVMValueRef v_align = coti_l_i32(e, coti_l_element_bytes(type));
    coti_l_intrinsic(e, "llvm.masked.store", (LLVMTypeRef[]){type, e->t_ptr}, 2,
                     (LLVMValueRef[]){v_vector, v_ptr, v_align, v_mask}, 4, "");
}

/* ---- blocks ---- */

LLVMBasicBlockRef coti_l_block(coti_emit *e, const char *name) {
    return LLVMAppendBasicBlockInContext(e->llvm, e->v_function, name);
}

LLVMBasicBlockRef coti_l_here(coti_emit *e) {
    return LLVMGetInsertBlock(e->builder);
}
