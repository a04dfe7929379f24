/*
 * Builders of pools, and the stages of one (pool.h).
 */
#include "build.h"
#include "pool.h"

/* ---- builders ---- */

static cot_value add_pool(cot_op op, cot_value x, const cot_pool_axes *axes) {
    if (coti_graph_of(cot_op_name(op), &x, 1) == NULL) {
        return coti_poison();
    }
    if (axes == NULL) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, op, &x, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "\"axes\" is NULL");
        return coti_poison();
    }
    /* Where x's rank is wrong, the infer rule will say so. */
    int32_t n = coti_node_of(x)->shape.rank - 2;
    n = n < 0 ? 0 : n > COT_MAX_SPATIAL ? COT_MAX_SPATIAL : n;
    coti_attr_POOL attr = {.size.n = n, .stride.n = n, .low.n = n, .high.n = n};
    for (int32_t i = 0; i < n; i++) {
        attr.size.v[i] = axes->size[i];
        attr.stride.v[i] = axes->stride[i] == 0 ? axes->size[i] : axes->stride[i];
        attr.low.v[i] = axes->low[i];
        attr.high.v[i] = axes->high[i];
    }
    return coti_graph_add(x.graph, op, &x, 1, &attr, COT_F32, NULL);
}

cot_value cot_op_max_pool(cot_value x, const cot_pool_axes *axes) {
    return add_pool(COT_OP_MAX_POOL, x, axes);
}

cot_value cot_op_avg_pool(cot_value x, const cot_pool_axes *axes) {
    return add_pool(COT_OP_AVG_POOL, x, axes);
}

/* ---- stages ---- */

cot_value coti_pool_pad(cot_value x, const coti_attr_POOL *attr, double value) {
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    bool any = false;
    for (int32_t i = 0; i < attr->size.n; i++) {
        low[i + 1] = attr->low.v[i];
        high[i + 1] = attr->high.v[i];
        any = any || low[i + 1] != 0 || high[i + 1] != 0;
    }
    return any ? cot_op_pad(x, low, high, value) : x;
}

coti_attr_WINDOW coti_pool_window(const coti_attr_POOL *attr, int32_t i) {
    return (coti_attr_WINDOW){.axis = i + 1,
                              .size = {1, {attr->size.v[i]}},
                              .stride = {1, {attr->stride.v[i]}},
                              .dilation = {1, {1}}};
}

cot_value coti_pool_windows(cot_value x, const coti_attr_POOL *attr, int32_t i) {
    const coti_attr_WINDOW w = coti_pool_window(attr, i);
    return cot_op_window(x, w.axis, 1, w.size.v, w.stride.v, w.dilation.v);
}

cot_value coti_pool_reduce(cot_op op, cot_value windows, int32_t i) {
    const int32_t axis = i + 2;
    return cot_op_reduce(op, windows, &axis, 1, false);
}
