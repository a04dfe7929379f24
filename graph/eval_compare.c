/*
 * The meaning of comparisons (any dtype, bool result, false with a NaN but for NE), of select, and
 * of casts. Floats are compared as doubles, integers as int64: both hold every value exactly.
 *
 * Casts: float to integer truncates toward zero and saturates, NaN gives 0; integer to integer
 * wraps; to float rounds to nearest; anything to bool is x != 0.
 */
#include "eval.h"

#include <string.h>

/* ---- comparisons ---- */

/* Is the relation true of a and b? One for each arithmetic. */
typedef struct compare_rule {
    bool (*real)(double a, double b);
    bool (*integer)(int64_t a, int64_t b);
} compare_rule;

static cot_status compare(const coti_eval *eval, compare_rule rule) {
    const coti_tensor *a = &eval->input[0];
    const coti_tensor *b = &eval->input[1];
    bool real = coti_dtype_is_float(a->dtype);
    int64_t count = coti_tensor_count(eval->out);
    for (int64_t i = 0; i < count; i++) {
        bool truth = real ? rule.real(coti_tensor_get(a, i), coti_tensor_get(b, i))
                          : rule.integer(coti_tensor_get_int(a, i), coti_tensor_get_int(b, i));
        coti_tensor_set_int(eval->out, i, truth);
    }
    return COT_OK;
}

static bool eq_real(double a, double b) {
    return a == b;
}
static bool eq_int(int64_t a, int64_t b) {
    return a == b;
}
static bool ne_real(double a, double b) {
    return a != b;
}
static bool ne_int(int64_t a, int64_t b) {
    return a != b;
}
static bool lt_real(double a, double b) {
    return a < b;
}
static bool lt_int(int64_t a, int64_t b) {
    return a < b;
}
static bool le_real(double a, double b) {
    return a <= b;
}
static bool le_int(int64_t a, int64_t b) {
    return a <= b;
}
static bool gt_real(double a, double b) {
    return a > b;
}
static bool gt_int(int64_t a, int64_t b) {
    return a > b;
}
static bool ge_real(double a, double b) {
    return a >= b;
}
static bool ge_int(int64_t a, int64_t b) {
    return a >= b;
}

cot_status coti_eval_EQ(const coti_eval *eval) {
    return compare(eval, (compare_rule){eq_real, eq_int});
}
cot_status coti_eval_NE(const coti_eval *eval) {
    return compare(eval, (compare_rule){ne_real, ne_int});
}
cot_status coti_eval_LT(const coti_eval *eval) {
    return compare(eval, (compare_rule){lt_real, lt_int});
}
cot_status coti_eval_LE(const coti_eval *eval) {
    return compare(eval, (compare_rule){le_real, le_int});
}
cot_status coti_eval_GT(const coti_eval *eval) {
    return compare(eval, (compare_rule){gt_real, gt_int});
}
cot_status coti_eval_GE(const coti_eval *eval) {
    return compare(eval, (compare_rule){ge_real, ge_int});
}

/* ---- select and cast ---- */

cot_status coti_eval_SELECT(const coti_eval *eval) {
    size_t bytes = cot_dtype_bytes(eval->out->dtype);
    int64_t count = coti_tensor_count(eval->out);
    for (int64_t i = 0; i < count; i++) {
        const coti_tensor *from = &eval->input[coti_tensor_get_int(&eval->input[0], i) ? 1 : 2];
        memcpy((char *)eval->out->data + (size_t)i * bytes,
               (const char *)from->data + (size_t)i * bytes, bytes);
    }
    return COT_OK;
}

cot_status coti_eval_CAST(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0];
    coti_tensor *out = eval->out;
    bool from_float = coti_dtype_is_float(x->dtype);
    bool to_float = coti_dtype_is_float(out->dtype);
    int64_t count = coti_tensor_count(out);
    for (int64_t i = 0; i < count; i++) {
        if (from_float && to_float) {
            coti_tensor_set(out, i, coti_tensor_get(x, i));
        } else if (from_float) {
            coti_tensor_set_int(out, i, coti_saturate(coti_tensor_get(x, i), out->dtype));
        } else {
            coti_tensor_set_int(out, i, coti_tensor_get_int(x, i));
        }
    }
    return COT_OK;
}
