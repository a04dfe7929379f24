/*
 * Inference: the table of rules, the checks that all ops share, and the one form of its messages.
 */
#include "infer.h"

#include <stdio.h>
#include <string.h>

static const coti_infer_fn rules[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags)                                        \
    [COT_OP_##id] = COTI_INFER_NAME_##kind(id),
#include "ops.def"
#undef COT_OP
};

/* ---- messages ---- */

cot_status coti_op_fail_at(cot_context *context, const char *file, int32_t line, cot_status status,
                           const char *op, const char *layer, const char *format, ...) {
    char text[COTI_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (layer == NULL) {
        return coti_fail_at(context, file, line, status, op, layer, "%s: %s", op, text);
    }
    return coti_fail_at(context, file, line, status, op, layer, "%s \"%s\": %s", op, layer, text);
}

const char *coti_operand_name(cot_op op, int32_t n_inputs, int32_t i) {
    enum { MOST = 4 };
    static const char *const own[COT_OP_COUNT][MOST] = {
        [COT_OP_SELECT] = {"condition", "a", "b"},
        [COT_OP_RANDOM] = {"seed", "step"},
        [COT_OP_SOFTMAX_XENT] = {"target", "logits"},
        [COT_OP_GATHER] = {"x", "index"},
        [COT_OP_SCATTER_ADD] = {"updates", "index"},
        [COT_OP_DYNAMIC_SLICE] = {"x", "start"},
        [COT_OP_DYNAMIC_UPDATE] = {"x", "update", "start"},
        [COT_OP_CONV] = {"x", "w"},
        [COT_OP_CONV_DX] = {"g", "w"},
        [COT_OP_CONV_DW] = {"x", "g"},
        [COT_OP_LAYER_NORM] = {"x", "scale", "offset"},
        [COT_OP_RMS_NORM] = {"x", "scale"},
        [COT_OP_GROUP_NORM] = {"x", "scale", "offset"},
        [COT_OP_BATCH_NORM] = {"x", "scale", "offset"},
        [COT_OP_ATTENTION] = {"q", "k", "v", "mask"},
    };
    static const char *const single[MOST] = {"x"};
    static const char *const pair[MOST] = {"a", "b"};
    static const char *const list[MOST] = {"x0", "x1", "x2", "x3"};
    bool known = (size_t)op < COT_OP_COUNT;
    const char *const *names = n_inputs == 1 ? single : pair;
    if (known && own[op][0] != NULL) {
        names = own[op];
    } else if (known && coti_op_table[op].n_inputs < 0) {
        names = list;
    }
    /* There may be more operands than the op takes: that is what the message is about. */
    return i < MOST && names[i] != NULL ? names[i] : "a further operand";
}

/* Append "a is f32[..], b is f32[..]"; of many operands the first four. */
static void describe_operands(const coti_infer *infer, char *text, size_t capacity) {
    size_t used = 0;
    for (int32_t i = 0; i < infer->n_inputs && i < 4; i++) {
        const coti_node *node = coti_infer_in(infer, i);
        char type[COTI_TYPE_BYTES];
        int n = snprintf(text + used, capacity - used, "%s%s is %s", i == 0 ? ": " : ", ",
                         coti_operand_name(infer->op, infer->n_inputs, i),
                         coti_type_text(type, (cot_dtype)node->dtype, &node->shape));
        if (n < 0 || (size_t)n >= capacity - used) {
            return;
        }
        used += (size_t)n;
    }
    if (infer->n_inputs > 4) {
        (void)snprintf(text + used, capacity - used, ", ...");
    }
}

cot_status coti_infer_fail_at(const coti_infer *infer, const char *file, int32_t line,
                              cot_status status, const char *format, ...) {
    char text[COTI_MESSAGE_BYTES];
    char operands[COTI_MESSAGE_BYTES] = "";
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    describe_operands(infer, operands, sizeof operands);
    return coti_op_fail_at(infer->graph->context, file, line, status, cot_op_name(infer->op),
                           infer->layer, "%s%s", text, operands);
}

/* ---- checks that rules share ---- */

cot_status coti_infer_axis(const coti_infer *infer, int32_t axis, int32_t rank) {
    if (axis < 0 || axis >= rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "axis %d is out of range for rank %d", axis,
                               rank);
    }
    return COT_OK;
}

cot_status coti_infer_axes(const coti_infer *infer, const coti_attr_AXES_type *axes, int32_t rank,
                           bool ascending, const char *what, uint32_t *mask_out) {
    uint32_t mask = 0;
    if (axes->n < 0 || axes->n > COT_MAX_RANK) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%s: %d axes are out of range 0..%d", what,
                               axes->n, COT_MAX_RANK);
    }
    for (int32_t i = 0; i < axes->n; i++) {
        int32_t axis = axes->v[i];
        if (axis < 0 || axis >= rank) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%s: axis %d is out of range for rank %d",
                                   what, axis, rank);
        }
        if ((mask >> axis & 1) != 0) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%s: axis %d is given twice", what, axis);
        }
        if (ascending && i > 0 && axis < axes->v[i - 1]) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%s: axis %d follows %d, must ascend", what,
                                   axis, axes->v[i - 1]);
        }
        mask |= (uint32_t)1 << axis;
    }
    *mask_out = mask;
    return COT_OK;
}

cot_status coti_infer_same_dtype(const coti_infer *infer, int32_t i, int32_t j) {
    if (coti_infer_in(infer, i)->dtype != coti_infer_in(infer, j)->dtype) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "dtypes of %s and %s differ",
                               coti_operand_name(infer->op, infer->n_inputs, i),
                               coti_operand_name(infer->op, infer->n_inputs, j));
    }
    return COT_OK;
}

cot_status coti_infer_same_shape(const coti_infer *infer, int32_t i, int32_t j) {
    if (!coti_shape_equal(&coti_infer_in(infer, i)->shape, &coti_infer_in(infer, j)->shape)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "shapes of %s and %s differ",
                               coti_operand_name(infer->op, infer->n_inputs, i),
                               coti_operand_name(infer->op, infer->n_inputs, j));
    }
    return COT_OK;
}

cot_shape coti_shape_drop(const cot_shape *shape, uint32_t mask) {
    cot_shape kept = {.rank = 0, .batched = shape->batched && (mask & 1) == 0};
    for (int32_t i = 0; i < shape->rank; i++) {
        if ((mask >> i & 1) == 0) {
            kept.dim[kept.rank++] = shape->dim[i];
        }
    }
    return kept;
}

/* ---- checks of every node ---- */

static cot_status check_count(const coti_infer *infer) {
    int32_t expected = coti_op_table[infer->op].n_inputs;
    if (expected < 0 ? infer->n_inputs >= 1 : infer->n_inputs == expected) {
        return COT_OK;
    }
    return COTI_INFER_FAIL(infer, COT_E_ARG, "%d operands given, %d%s expected", infer->n_inputs,
                           expected < 0 ? 1 : expected, expected < 0 ? " or more" : "");
}

/* What the FLOATS, NUMBERS and BOOLS flags of the row say of every operand. */
static cot_status check_dtypes(const coti_infer *infer) {
    uint32_t flags = coti_op_table[infer->op].flags;
    for (int32_t i = 0; i < infer->n_inputs; i++) {
        cot_dtype dtype = (cot_dtype)coti_infer_in(infer, i)->dtype;
        const char *wanted = NULL;
        if ((flags & COTI_FLOATS) != 0 && dtype != COT_F32 && dtype != COT_F64) {
            wanted = "f32 or f64";
        } else if ((flags & COTI_NUMBERS) != 0 && dtype == COT_BOOL) {
            wanted = "a float or an integer";
        } else if ((flags & COTI_BOOLS) != 0 && dtype != COT_BOOL) {
            wanted = "bool";
        }
        if (wanted != NULL) {
            return COTI_INFER_FAIL(infer, COT_E_DTYPE, "%s must be %s",
                                   coti_operand_name(infer->op, infer->n_inputs, i), wanted);
        }
    }
    return COT_OK;
}

cot_status coti_infer_run(coti_infer *infer) {
    cot_context *context = infer->graph->context;
    const char *name = cot_op_name(infer->op);
    if ((size_t)infer->op >= COT_OP_COUNT) {
        return COTI_FAIL(context, COT_E_ARG, "%d is no operation", (int)infer->op);
    }
    if (infer->attr == NULL && coti_op_table[infer->op].attr != COTI_ATTR_NO_ATTR) {
        return COTI_INFER_FAIL(infer, COT_E_INTERNAL, "attributes are missing");
    }
    if (cot_dtype_bytes(infer->dtype) == 0) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "%d is no dtype", (int)infer->dtype);
    }
    COTI_TRY(check_count(infer));
    COTI_TRY(check_dtypes(infer));
    COTI_TRY(coti_shape_check(context, &infer->shape, name, infer->layer));
    COTI_TRY(rules[infer->op](infer));
    COTI_TRY(coti_shape_check(context, &infer->shape, name, infer->layer));
    for (int32_t i = infer->shape.rank; i < COT_MAX_RANK; i++) {
        infer->shape.dim[i] = 0;
    }
    return COT_OK;
}
