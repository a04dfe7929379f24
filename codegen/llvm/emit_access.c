/*
 * Loads and stores of a run of points: how the lanes of an access lie in memory decides the
 * instructions. Equal for all lanes: one scalar, repeated. Adjacent: one vector, masked where the
 * point or bounds say so. Anything else: lane by lane, which on the machines that we know is no
 * slower than their gathers and works on all of them.
 *
 * A gather's place along one axis is a value. It is first brought within the axis, so that whatever
 * the value, what is read is an element of the operand; what was outside is 0. Where the value is
 * the same for all lanes, the lanes lie as those of any access do: rows of a table are whole
 * vectors.
 *
 * Lanes that are off or out of bounds are never read. Where a lane is read by itself, its address
 * is replaced by that of the argument block, which is always readable, and the value by `fill`.
 */
#include "emit.h"

/* An access at a point, taken apart. */
typedef struct place {
    LLVMTypeRef t_memory;
    LLVMValueRef v_base;   /* ptr: element of lane 0 (without the lanes' own indices) */
    int64_t lane_stride;   /* elements from lane to lane */
    LLVMValueRef v_offset; /* <lanes x i64> elements from v_base; NULL: lane * lane_stride */
    LLVMValueRef
        v_inside; /* i1: the point is within the bounds that all lanes share; NULL: always */
    LLVMValueRef v_lane_inside; /* <lanes x i1>: bounds that differ by lane; NULL: none */
} place;

/* Does dimension d's index differ from lane to lane? */
static bool varies(const coti_point *point, int32_t d) {
    return d == point->vector_dim || point->v_lane_index[d] != NULL;
}

static LLVMValueRef index_or_zero(coti_emit *e, const coti_point *point, int32_t d) {
    return point->v_index[d] != NULL ? point->v_index[d] : coti_l_i64(e, 0);
}

/* Each lane's index in dimension d. */
static LLVMValueRef lane_index(coti_emit *e, const coti_point *point, int32_t d) {
    if (point->v_lane_index[d] != NULL) {
        return point->v_lane_index[d];
    }
    LLVMValueRef v_first = coti_l_splat(e, index_or_zero(e, point, d), point->lanes, "");
    if (d != point->vector_dim) {
        return v_first;
    }
    return LLVMBuildAdd(e->builder, v_first, coti_l_iota(e->t_i64, point->lanes), "");
}

/* offset + sum of uniform indices * strides: i64. */
static LLVMValueRef base_index(coti_emit *e, const coti_access *access, const coti_point *point) {
    LLVMValueRef v_index = coti_l_i64(e, access->offset);
    for (int32_t d = 0; d < e->kernel->n_dims; d++) {
        if (access->stride[d] != 0 && point->v_index[d] != NULL && point->v_lane_index[d] == NULL) {
            LLVMValueRef v_step =
                LLVMBuildMul(e->builder, point->v_index[d], coti_l_i64(e, access->stride[d]), "");
            v_index = LLVMBuildAdd(e->builder, v_index, v_step, "");
        }
    }
    return v_index;
}

/* Sum of the lanes' own indices * strides: <lanes x i64>; NULL when no dimension has any. */
static LLVMValueRef lane_offset(coti_emit *e, const coti_access *access, const coti_point *point) {
    LLVMValueRef v_sum = NULL;
    for (int32_t d = 0; d < e->kernel->n_dims; d++) {
        LLVMValueRef v_lanes = point->v_lane_index[d];
        if (v_lanes == NULL || access->stride[d] == 0) {
            continue;
        }
        LLVMValueRef v_step =
            LLVMBuildMul(e->builder, v_lanes, coti_l_integer_like(v_lanes, access->stride[d]), "");
        v_sum = v_sum == NULL ? v_step : LLVMBuildAdd(e->builder, v_sum, v_step, "");
    }
    return v_sum;
}

LLVMValueRef coti_access_element(coti_emit *e, const coti_access *access, const coti_point *point) {
    LLVMValueRef v_element = coti_l_splat(e, base_index(e, access, point), point->lanes, "");
    LLVMValueRef v_offset = lane_offset(e, access, point);
    if (v_offset != NULL) {
        v_element = LLVMBuildAdd(e->builder, v_element, v_offset, "");
    }
    if (point->vector_dim >= 0 && access->stride[point->vector_dim] != 0) {
        LLVMValueRef v_iota = coti_l_iota(e->t_i64, point->lanes);
        LLVMValueRef v_stride = coti_l_integer_like(v_iota, access->stride[point->vector_dim]);
        v_element =
            LLVMBuildAdd(e->builder, v_element, LLVMBuildMul(e->builder, v_iota, v_stride, ""), "");
    }
    return v_element;
}

/* a AND b, where either may be NULL (true). */
static LLVMValueRef both(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    if (v_a == NULL || v_b == NULL) {
        return v_a != NULL ? v_a : v_b;
    }
    return LLVMBuildAnd(e->builder, v_a, v_b, "");
}

/*
 * A flag for all lanes, by way of i32. LLVM 19 selects a whole load for a half of an AVX2 masked
 * load whose mask is the AND of a constant and a repeated i1: half of the lanes off for good.
 */
static LLVMValueRef flag_lanes(coti_emit *e, LLVMValueRef v_flag, int32_t lanes) {
    LLVMValueRef v_wide = LLVMBuildSExt(e->builder, v_flag, e->t_i32, "");
    v_wide = coti_l_splat(e, v_wide, lanes, "");
    return LLVMBuildICmp(e->builder, LLVMIntSLT, v_wide, coti_l_integer_like(v_wide, 0), "");
}

static void place_bounds(coti_emit *e, const coti_access *access, const coti_point *point,
                         place *at) {
    for (int32_t d = 0; d < e->kernel->n_dims; d++) {
        if ((access->bounded >> d & 1) == 0) {
            continue;
        }
        bool by_lane = varies(point, d);
        LLVMValueRef v_index = by_lane ? lane_index(e, point, d) : index_or_zero(e, point, d);
        LLVMValueRef v_lo = coti_l_i64(e, access->lo[d]), v_hi = coti_l_i64(e, access->hi[d]);
        if (by_lane) {
            v_lo = coti_l_splat(e, v_lo, point->lanes, "");
            v_hi = coti_l_splat(e, v_hi, point->lanes, "");
        }
        LLVMValueRef v_in = both(e, LLVMBuildICmp(e->builder, LLVMIntSGE, v_index, v_lo, ""),
                                 LLVMBuildICmp(e->builder, LLVMIntSLT, v_index, v_hi, ""));
        LLVMValueRef *v_all = by_lane ? &at->v_lane_inside : &at->v_inside;
        *v_all = both(e, *v_all, v_in);
    }
}

static place place_of(coti_emit *e, const coti_access *access, cot_dtype dtype,
                      const coti_point *point) {
    place at = {.t_memory = e->t_memory[dtype]};
    at.v_base =
        coti_l_element(e, at.t_memory, e->v_slot[access->slot], base_index(e, access, point), "");
    at.lane_stride = point->vector_dim >= 0 ? access->stride[point->vector_dim] : 0;
    at.v_offset = lane_offset(e, access, point);
    if (at.v_offset != NULL && at.lane_stride != 0) {
        LLVMValueRef v_iota = coti_l_iota(e->t_i64, point->lanes);
        LLVMValueRef v_stride = coti_l_integer_like(v_iota, at.lane_stride);
        at.v_offset = LLVMBuildAdd(e->builder, at.v_offset,
                                   LLVMBuildMul(e->builder, v_iota, v_stride, ""), "");
    }
    place_bounds(e, access, point, &at);
    return at;
}

/* Address of one lane. */
static LLVMValueRef lane_address(coti_emit *e, const place *at, int32_t lane) {
    LLVMValueRef v_offset = at->v_offset != NULL ? coti_l_lane(e, at->v_offset, lane)
                                                 : coti_l_i64(e, lane * at->lane_stride);
    return coti_l_element(e, at->t_memory, at->v_base, v_offset, "");
}

/* Memory form to value form and back: bool is a byte, 0 or 1, in memory. */
LLVMValueRef coti_l_from_memory(coti_emit *e, cot_dtype dtype, LLVMValueRef v_memory) {
    if (dtype != COT_BOOL) {
        return v_memory;
    }
    return LLVMBuildICmp(e->builder, LLVMIntNE, v_memory, LLVMConstNull(LLVMTypeOf(v_memory)), "");
}

LLVMValueRef coti_l_to_memory(coti_emit *e, cot_dtype dtype, LLVMValueRef v_value) {
    if (dtype != COT_BOOL) {
        return v_value;
    }
    LLVMTypeRef type = coti_l_vector_type(e->t_i8, coti_l_lanes(v_value));
    return LLVMBuildZExt(e->builder, v_value, type, "");
}

/* The fill value as <lanes x T> in memory form. */
static LLVMValueRef fill_vector(coti_emit *e, const coti_access *access, cot_dtype dtype,
                                int32_t lanes) {
    bool real = dtype == COT_F32 || dtype == COT_F64;
    int64_t integer = real ? 0 : dtype == COT_BOOL ? access->fill != 0 : (int64_t)access->fill;
    LLVMValueRef v_fill = real
                              ? LLVMConstReal(e->t_memory[dtype], access->fill)
                              : LLVMConstInt(e->t_memory[dtype], (unsigned long long)integer, true);
    return coti_l_splat(e, v_fill, lanes, "");
}

/* A scalar at `v_ptr`; without a touch, and of no known value, where v_on (may be NULL) is false.
 */
static LLVMValueRef load_if(coti_emit *e, LLVMTypeRef type, LLVMValueRef v_on, LLVMValueRef v_ptr) {
    if (v_on != NULL) {
        v_ptr = coti_l_select(e, v_on, v_ptr, e->v_args, "");
    }
    return coti_l_load(e, type, v_ptr, "");
}

/* Lane by lane; v_on: <lanes x i1> or NULL. */
static LLVMValueRef load_lanes(coti_emit *e, const place *at, int32_t lanes, LLVMValueRef v_on) {
    LLVMValueRef v_all = LLVMGetPoison(coti_l_vector_type(at->t_memory, lanes));
    for (int32_t l = 0; l < lanes; l++) {
        LLVMValueRef v_lane_on = v_on != NULL ? coti_l_lane(e, v_on, l) : NULL;
        if (v_lane_on != NULL && LLVMIsConstant(v_lane_on) && LLVMIsNull(v_lane_on)) {
            continue;
        }
        LLVMValueRef v_lane = load_if(e, at->t_memory, v_lane_on, lane_address(e, at, l));
        v_all = LLVMBuildInsertElement(e->builder, v_all, v_lane, coti_l_i32(e, l), "");
    }
    return v_all;
}

/* The elements at a place, as values. */
static LLVMValueRef load_place(coti_emit *e, const coti_access *access, cot_dtype dtype,
                               const coti_point *point, place at) {
    int32_t lanes = point->lanes;
    bool bounded = access->bounded != 0;
    LLVMValueRef v_fill = bounded ? fill_vector(e, access, dtype, lanes) : NULL;
    LLVMValueRef v_inside = at.v_lane_inside; /* <lanes x i1>, all bounds */
    if (at.v_inside != NULL) {
        v_inside = both(e, v_inside, flag_lanes(e, at.v_inside, lanes));
    }
    LLVMValueRef v_value = NULL;
    if (at.v_offset == NULL && at.lane_stride == 0 && at.v_lane_inside == NULL) {
        v_value = load_if(e, at.t_memory, at.v_inside, at.v_base);
        v_value = coti_l_splat(e, v_value, lanes, "");
    } else if (at.v_offset == NULL && at.lane_stride == 1) {
        return coti_l_from_memory(e, dtype,
                                  coti_l_load_vector(e, at.t_memory, lanes, at.v_base,
                                                     both(e, point->v_mask, v_inside), v_fill, ""));
    } else {
        v_value = load_lanes(e, &at, lanes, both(e, point->v_mask, v_inside));
    }
    if (bounded) {
        v_value = coti_l_select(e, v_inside, v_value, v_fill, "");
    }
    return coti_l_from_memory(e, dtype, v_value);
}

LLVMValueRef coti_access_load(coti_emit *e, const coti_access *access, cot_dtype dtype,
                              const coti_point *point) {
    return load_place(e, access, dtype, point, place_of(e, access, dtype, point));
}

/* An index, vector or scalar, as i64 within [0, extent): 0 where it was outside. *v_inside_out:
 * where it was not. */
static LLVMValueRef clamp_index(coti_emit *e, LLVMValueRef v_index, LLVMTypeRef type,
                                LLVMValueRef v_extent, LLVMValueRef *v_inside_out) {
    v_index = LLVMBuildIntCast2(e->builder, v_index, type, true, "");
    *v_inside_out = LLVMBuildICmp(e->builder, LLVMIntULT, v_index, v_extent, "v_inside");
    return coti_l_select(e, *v_inside_out, v_index, LLVMConstNull(type), "");
}

LLVMValueRef coti_access_gather(coti_emit *e, const coti_access *access, cot_dtype dtype,
                                const coti_point *point, const coti_gathered *g) {
    place at = place_of(e, access, dtype, point);
    LLVMValueRef v_inside = NULL;
    LLVMValueRef v_extent = coti_l_i64(e, g->extent);
    if (g->uniform) {
        LLVMValueRef v_index =
            clamp_index(e, coti_l_lane(e, g->v_index, 0), e->t_i64, v_extent, &v_inside);
        v_index = LLVMBuildMul(e->builder, v_index, coti_l_i64(e, g->step), "");
        at.v_base = coti_l_element(e, at.t_memory, at.v_base, v_index, "");
    } else {
        LLVMValueRef v_iota = coti_l_iota(e->t_i64, point->lanes);
        LLVMValueRef v_index = clamp_index(e, g->v_index, LLVMTypeOf(v_iota),
                                           coti_l_splat(e, v_extent, point->lanes, ""), &v_inside);
        v_index = LLVMBuildMul(e->builder, v_index, coti_l_integer_like(v_iota, g->step), "");
        if (at.v_offset == NULL) {
            at.v_offset =
                LLVMBuildMul(e->builder, v_iota, coti_l_integer_like(v_iota, at.lane_stride), "");
        }
        at.v_offset = LLVMBuildAdd(e->builder, at.v_offset, v_index, "");
    }
    LLVMValueRef v_value = load_place(e, access, dtype, point, at);
    return coti_l_select(e, v_inside, v_value, LLVMConstNull(LLVMTypeOf(v_value)), "");
}

/* Lane by lane, or a scatter where only the machine knows which lanes are on. */
static void store_lanes(coti_emit *e, const place *at, const coti_point *point,
                        LLVMValueRef v_memory) {
    int32_t lanes = point->lanes;
    if (point->v_mask != NULL && !LLVMIsConstant(point->v_mask)) {
        LLVMValueRef v_offset = at->v_offset;
        if (v_offset == NULL) {
            LLVMValueRef v_iota = coti_l_iota(e->t_i64, lanes);
            v_offset =
                LLVMBuildMul(e->builder, v_iota, coti_l_integer_like(v_iota, at->lane_stride), "");
        }
        LLVMValueRef v_address = coti_l_element(e, at->t_memory, at->v_base, v_offset, "");
        LLVMValueRef v_align = coti_l_i32(e, coti_l_element_bytes(at->t_memory));
        LLVMTypeRef type[] = {LLVMTypeOf(v_memory), LLVMTypeOf(v_address)};
        LLVMValueRef v_arg[] = {v_memory, v_address, v_align, point->v_mask};
        coti_l_intrinsic(e, "llvm.masked.scatter", type, 2, v_arg, 4, "");
        return;
    }
    for (int32_t l = 0; l < lanes; l++) {
        if (point->v_mask != NULL && LLVMIsNull(coti_l_lane(e, point->v_mask, l))) {
            continue;
        }
        coti_l_store(e, coti_l_lane(e, v_memory, l), lane_address(e, at, l));
    }
}

void coti_access_store(coti_emit *e, const coti_access *access, cot_dtype dtype,
                       const coti_point *point, LLVMValueRef v_value) {
    if (access->bounded != 0) {
        coti_emit_fail(e, COT_E_INTERNAL, "a store has bounds");
        return;
    }
    place at = place_of(e, access, dtype, point);
    LLVMValueRef v_memory = coti_l_to_memory(e, dtype, v_value);
    if (at.v_offset == NULL && at.lane_stride == 0) {
        coti_l_store(e, coti_l_lane(e, v_memory, 0), at.v_base);
    } else if (at.v_offset == NULL && at.lane_stride == 1) {
        coti_l_store_vector(e, v_memory, at.v_base, point->v_mask);
    } else {
        store_lanes(e, &at, point, v_memory);
    }
}
