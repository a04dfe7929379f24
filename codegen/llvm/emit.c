/*
 * The frame of every kernel: module, function, arguments, what is worked out once; then the
 * skeleton.
 *
 *   entry     load the argument block; return at once when the range is empty
 *   body      uniform expressions; the skeleton's blocks
 *   return
 */
#include "emit.h"

#include <stdio.h>
#include <string.h>

void coti_emit_fail(coti_emit *e, cot_status status, const char *format, ...) {
    if (e->status != COT_OK) {
        return;
    }
    char text[COTI_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *hint = e->kernel->hint != NULL ? e->kernel->hint : "";
    e->status = COTI_FAIL(e->context, status, "kernel \"%s\": %s", hint, text);
}

static void make_types(coti_emit *e) {
    e->t_void = LLVMVoidTypeInContext(e->llvm);
    e->t_ptr = LLVMPointerTypeInContext(e->llvm, 0);
    e->t_i1 = LLVMInt1TypeInContext(e->llvm);
    e->t_i8 = LLVMInt8TypeInContext(e->llvm);
    e->t_i32 = LLVMInt32TypeInContext(e->llvm);
    e->t_i64 = LLVMInt64TypeInContext(e->llvm);
    e->t_f32 = LLVMFloatTypeInContext(e->llvm);
    e->t_f64 = LLVMDoubleTypeInContext(e->llvm);
    e->t_value[COT_F32] = e->t_f32;
    e->t_value[COT_F64] = e->t_f64;
    e->t_value[COT_I32] = e->t_i32;
    e->t_value[COT_I64] = e->t_i64;
    e->t_value[COT_U8] = e->t_i8;
    e->t_value[COT_BOOL] = e->t_i1;
    for (int32_t d = 0; d < COTI_DTYPES; d++) {
        e->t_memory[d] = d == COT_BOOL ? e->t_i8 : e->t_value[d];
    }
}

/* Field `i` of the argument block, each 8 bytes (kernel_abi.h). */
static LLVMValueRef load_field(coti_emit *e, LLVMTypeRef type, LLVMValueRef v_block, int32_t i,
                               const char *name) {
    LLVMValueRef v_field = coti_l_element(e, e->t_i64, v_block, coti_l_i64(e, i), "");
    return coti_l_load(e, type, v_field, name);
}

static void load_arguments(coti_emit *e) {
    LLVMValueRef v_buffer = load_field(e, e->t_ptr, e->v_args, 0, "v_buffer");
    e->v_rows = load_field(e, e->t_i64, e->v_args, 1, "v_rows");
    e->v_first = load_field(e, e->t_i64, e->v_args, 2, "v_first");
    e->v_scratch = load_field(e, e->t_ptr, e->v_args, 3, "v_scratch");
    for (int32_t s = 0; s < e->kernel->n_slots; s++) {
        e->v_slot[s] = load_field(e, e->t_ptr, v_buffer, s, "v_slot");
    }
    for (int32_t d = 0; d < e->kernel->n_dims; d++) {
        e->v_extent[d] = coti_l_i64(e, e->kernel->extent[d]);
        if (coti_dim_is_batched(e->kernel, d)) {
            e->v_extent[d] = LLVMBuildMul(e->builder, e->v_extent[d], e->v_rows, "v_extent");
        }
    }
}

static void make_function(coti_emit *e, const char *symbol) {
    LLVMTypeRef argument[] = {e->t_ptr, e->t_i64, e->t_i64};
    LLVMTypeRef type = LLVMFunctionType(e->t_void, argument, 3, false);
    e->v_function = LLVMAddFunction(e->module, symbol, type);
    unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", strlen("nounwind"));
    LLVMAddAttributeAtIndex(e->v_function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->llvm, kind, 0));
    static const char *const names[] = {"v_args", "v_begin", "v_end"};
    LLVMValueRef *value[] = {&e->v_args, &e->v_begin, &e->v_end};
    for (unsigned i = 0; i < 3; i++) {
        *value[i] = LLVMGetParam(e->v_function, i);
        LLVMSetValueName2(*value[i], names[i], strlen(names[i]));
    }
}

/* The expressions that are the same at all points, into v_uniform. */
static void emit_uniforms(coti_emit *e, const coti_body *body, LLVMValueRef *v_uniform) {
    uint32_t depends[COTI_MAX_EXPRS];
    bool wanted[COTI_MAX_EXPRS];
    coti_point point = {.lanes = e->target->lanes, .vector_dim = -1};
    coti_body_dependence(e->kernel, body, depends);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        wanted[i] = depends[i] == 0 && body->expr[i].kind != COTI_EXPR_CONST;
    }
    coti_body_close_wanted(body, NULL, wanted);
    coti_emit_values(e, body, &point, wanted, v_uniform);
}

static void emit_skeleton(coti_emit *e) {
    switch (e->kernel->skeleton) {
    case COTI_SKELETON_LOAD:
        coti_emit_load_skeleton(e);
        break;
    case COTI_SKELETON_MAP:
        coti_emit_map(e);
        break;
    case COTI_SKELETON_ROWRED:
        coti_emit_rowred(e);
        break;
    case COTI_SKELETON_COLRED:
        coti_emit_colred(e);
        break;
    case COTI_SKELETON_SCATTER:
        coti_emit_scatter(e);
        break;
    case COTI_SKELETON_GEMM:
        coti_emit_gemm(e);
        break;
    }
}

/* Does the kernel store anything, for some row count? Where an extent is 0 its operands may be
 * empty, and nothing of them may be read, not even what is the same at all points. */
static bool has_points(const coti_kernel *kernel) {
    for (int32_t d = 0; d < kernel->n_kept; d++) {
        if (kernel->extent[d] == 0) {
            return false;
        }
    }
    return true;
}

/* The body of a kernel, where the call's range is not empty. */
static void emit_points(coti_emit *e) {
    coti_branch any;
    coti_branch_begin(e, &any, LLVMBuildICmp(e->builder, LLVMIntSLT, e->v_begin, e->v_end, ""),
                      "body");
    emit_uniforms(e, &e->kernel->body, e->v_uniform);
    emit_uniforms(e, &e->kernel->gemm.side, e->v_uniform_side);
    emit_skeleton(e);
    coti_branch_end(e, &any);
}

static void emit_function(coti_emit *e, const char *symbol) {
    make_types(e);
    make_function(e, symbol);
    LLVMPositionBuilderAtEnd(e->builder, coti_l_block(e, "entry"));
    load_arguments(e);
    if (has_points(e->kernel)) {
        emit_points(e);
    }
    LLVMBuildRetVoid(e->builder);
}

/* What the emitters index by without looking again. */
static cot_status check_limits(cot_context *context, const coti_kernel *kernel) {
    const coti_body *body = &kernel->body, *side = &kernel->gemm.side;
    bool reduces =
        kernel->skeleton == COTI_SKELETON_ROWRED || kernel->skeleton == COTI_SKELETON_COLRED;
    if (kernel->n_dims < 1 || kernel->n_dims > COTI_MAX_DIMS || kernel->n_slots > COTI_MAX_SLOTS ||
        body->n_exprs > COTI_MAX_EXPRS || side->n_exprs > COTI_MAX_EXPRS) {
        return COTI_FAIL(context, COT_E_UNSUPPORTED,
                         "a kernel of %d dimensions, %d slots and %d expressions: at most %d, %d "
                         "and %d are possible",
                         (int)kernel->n_dims, (int)kernel->n_slots, (int)body->n_exprs,
                         COTI_MAX_DIMS, COTI_MAX_SLOTS, COTI_MAX_EXPRS);
    }
    if (reduces && (kernel->n_kept < 1 || kernel->n_kept >= kernel->n_dims)) {
        return COTI_FAIL(context, COT_E_INTERNAL,
                         "a reduction keeps %d of %d dimensions: it needs one to keep and one to "
                         "reduce",
                         (int)kernel->n_kept, (int)kernel->n_dims);
    }
    return COT_OK;
}

cot_status coti_emit_kernel(cot_context *context, LLVMContextRef llvm, const coti_kernel *kernel,
                            const coti_target *target, const char *symbol,
                            LLVMModuleRef *module_out) {
    *module_out = NULL;
    COTI_TRY(check_limits(context, kernel));
    coti_emit *e = coti_calloc(context, 1, sizeof *e);
    if (e == NULL) {
        return COT_E_NOMEM;
    }
    e->context = context;
    e->kernel = kernel;
    e->target = target;
    e->llvm = llvm;
    e->module = LLVMModuleCreateWithNameInContext(symbol, llvm);
    e->builder = LLVMCreateBuilderInContext(llvm);
    emit_function(e, symbol);
    LLVMDisposeBuilder(e->builder);
    cot_status status = e->status;
    if (status == COT_OK) {
        *module_out = e->module; /* the caller owns it now */
    } else {
        LLVMDisposeModule(e->module);
    }
    coti_free(context, e);
    return status;
}
