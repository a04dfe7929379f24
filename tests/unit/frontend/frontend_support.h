/*
 * What the frontend's tests share: contexts on the evaluator or on compiled kernels, the number
 * generator of the reference values, text that is collected, and tolerant comparisons.
 *
 * Reference values come from running Keras 3.16 (torch backend, float32); tensors there are made by
 * g(shape, offset, scale), weights by "setw": the i-th weight is g(shape, 7 i).
 */
#ifndef FRONTEND_SUPPORT_H
#define FRONTEND_SUPPORT_H

#include "check.h"
#include "cotangent.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define UNUSED __attribute__((unused))

/* Set by frontend_arguments: programs run on compiled kernels. */
static bool use_jit = false;

/* main's arguments: "jit" makes every context compile. */
UNUSED static void frontend_arguments(int argc, char **argv) {
    use_jit = argc > 1 && strcmp(argv[1], "jit") == 0;
}

/* threads 0: as many as there are cores. */
UNUSED static cot_context *new_context_of(uint64_t seed, bool compiled, int32_t threads) {
    cot_options options = {.struct_size = sizeof options,
                           .seed = seed,
                           .threads = threads,
                           .environment = COT_OFF,
                           .jit = compiled ? COT_ON : COT_OFF};
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    return context;
}

UNUSED static cot_context *new_context(uint64_t seed) {
    return new_context_of(seed, use_jit, 0);
}

/* ---- reference tensors ---- */

UNUSED static void fill_g(float *out, int64_t n, int64_t offset, double scale) {
    for (int64_t k = 0; k < n; k++) {
        int64_t step = ((k + offset) * 37 + 11) % 101;
        out[k] = (float)(((double)step / 101.0 - 0.5) * scale);
    }
}

UNUSED static int64_t count_of(const cot_variable *variable) {
    cot_shape shape = cot_variable_shape(variable);
    int64_t n = 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        n *= shape.dim[i];
    }
    return n;
}

#define MOST_ELEMENTS 4096

UNUSED static void set_weight(cot_context *context, cot_variable *variable, int64_t offset) {
    float value[MOST_ELEMENTS];
    int64_t n = count_of(variable);
    assert_in_range(n, 0, MOST_ELEMENTS);
    fill_g(value, n, offset, 1.0);
    CHECK_OK(context, cot_variable_set(variable, value, (size_t)n * sizeof(float)));
}

/* "setw". */
UNUSED static void set_weights(cot_model *model) {
    for (int32_t i = 0; i < cot_model_n_weights(model); i++) {
        set_weight(cot_model_context(model), cot_model_weight(model, i), 7 * i);
    }
}

/* ---- comparisons ---- */

#define CHECK_NEAR(found, expected, tolerance)                                                     \
    do {                                                                                           \
        double check_found_ = (double)(found), check_expected_ = (double)(expected);               \
        if (!(fabs(check_found_ - check_expected_) <= (tolerance))) {                              \
            fail_msg("%s is %.9g, expected %.9g", #found, check_found_, check_expected_);          \
        }                                                                                          \
    } while (0)

UNUSED static void check_floats(const char *what, const float *found, const double *expected,
                                int64_t n, double tolerance) {
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs((double)found[i] - expected[i]) <= tolerance)) {
            fail_msg("%s[%lld] is %.9g, expected %.9g", what, (long long)i, (double)found[i],
                     expected[i]);
        }
    }
}

UNUSED static void check_variable(const cot_variable *variable, const double *expected,
                                  double tolerance) {
    float value[MOST_ELEMENTS];
    int64_t n = count_of(variable);
    assert_in_range(n, 0, MOST_ELEMENTS);
    assert_int_equal(cot_variable_get(variable, value, (size_t)n * sizeof(float)), COT_OK);
    check_floats(cot_variable_name(variable), value, expected, n, tolerance);
}

/* ---- text ---- */

typedef struct collected {
    char text[1 << 16];
    size_t n;
    int64_t fail_after; /* pieces that are taken before one is refused; 0: all */
    int64_t n_pieces;
} collected;

UNUSED static bool collect(const char *text, size_t bytes, void *user) {
    collected *c = user;
    c->n_pieces++;
    if ((c->fail_after > 0 && c->n_pieces > c->fail_after) || c->n + bytes >= sizeof c->text) {
        return false;
    }
    memcpy(c->text + c->n, text, bytes);
    c->n += bytes;
    c->text[c->n] = '\0';
    return true;
}

UNUSED static cot_console console_for(collected *c) {
    cot_console console = COT_CONSOLE_INIT;
    memset(c, 0, sizeof *c);
    console.write = collect;
    console.user = c;
    return console;
}

/* ---- small data ---- */

UNUSED static cot_array array_of(const float *data, int64_t n_rows, int64_t row_elements) {
    return (cot_array){
        .data = data, .dtype = COT_F32, .n_rows = n_rows, .row_elements = row_elements};
}

UNUSED static cot_array labels_of(const int32_t *data, int64_t n_rows) {
    return (cot_array){.data = data, .dtype = COT_I32, .n_rows = n_rows, .row_elements = 1};
}

#endif
