/* What the tests of whole programs share: models as a user would build them, data, and a context of
 * given options. */
#ifndef TESTS_PROMISES_H
#define TESTS_PROMISES_H

#include <cotangent.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A context with so many threads, seed 7, whatever the environment says. */
static inline cot_context *promise_context(int32_t threads) {
    cot_options options = {
        .struct_size = sizeof options, .threads = threads, .seed = 7, .environment = COT_OFF};
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    return context;
}

/* The lecture's network on `inputs` inputs: 20-15-10, ReLU and softmax. */
static inline cot_model *promise_lecture(cot_context *context, int64_t inputs) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(inputs), "x");
    cot_tensor h = cot_dense(x, 20, .activation = COT_RELU);
    h = cot_dense(h, 15, .activation = COT_RELU);
    cot_tensor y = cot_dense(h, 10, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), "lecture");
}

/* A residual network: `blocks` blocks of two layers of `width`. */
static inline cot_model *promise_residual(cot_context *context, int32_t blocks, int64_t width) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(width), "x");
    cot_tensor h = x;
    for (int32_t i = 0; i < blocks; i++) {
        cot_tensor branch = cot_dense(h, width, .activation = COT_RELU);
        h = cot_add(COT_TENSORS(h, cot_dense(branch, width)));
    }
    cot_tensor y = cot_dense(h, 10, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), "residual");
}

/* Rows of u8 pixels and labels in [0, 10): a copy inside the data set. */
static inline cot_dataset *promise_data(cot_context *context, int64_t rows, int64_t inputs) {
    uint8_t *x = malloc((size_t)(rows * inputs));
    int32_t *y = malloc((size_t)rows * sizeof *y);
    assert_non_null(x);
    assert_non_null(y);
    uint32_t state = 1;
    for (int64_t i = 0; i < rows * inputs; i++) {
        state = state * 1664525U + 1013904223U;
        x[i] = (uint8_t)(state >> 24);
    }
    for (int64_t i = 0; i < rows; i++) {
        y[i] = (int32_t)(i * 7 % 10);
    }
    cot_dataset *data = cot_dataset_create(
        context,
        COT_ARRAYS({.data = x,
                    .dtype = COT_U8,
                    .n_rows = rows,
                    .row_elements = inputs,
                    .scale = 1.0F / 255.0F}),
        COT_ARRAYS({.data = y, .dtype = COT_I32, .n_rows = rows, .row_elements = 1}), COT_COPY);
    assert_non_null(data);
    free(x);
    free(y);
    return data;
}

#endif
