/*
 * What the tests of fit share: the network of the reference fits, 4 -> 3 relu -> 2 softmax, its
 * ten rows, and checks of its history and weights.
 */
#ifndef FIT_SUPPORT_H
#define FIT_SUPPORT_H

#include "frontend_support.h"

typedef struct world {
    cot_context *context;
    cot_model *model;
    cot_dataset *data; /* 10 rows g(4), 2; targets one-hot of row % 2 */
    float x[40], y[20];
} world;

UNUSED static void begin(world *w) {
    memset(w, 0, sizeof *w);
    w->context = new_context(1);
    w->model = cot_sequential_create(w->context, COT_F32, COT_SHAPE(4), NULL);
    CHECK_OK(w->context,
             cot_sequential_add(w->model, cot_dense_layer(w->context, 3, .activation = COT_RELU)));
    CHECK_OK(w->context, cot_sequential_add(
                             w->model, cot_dense_layer(w->context, 2, .activation = COT_SOFTMAX)));
    set_weights(w->model);
    fill_g(w->x, 40, 0, 2.0);
    for (int i = 0; i < 10; i++) {
        w->y[2 * i + i % 2] = 1.0f;
    }
    cot_array x = array_of(w->x, 10, 4), y = array_of(w->y, 10, 2);
    w->data = cot_dataset_create(w->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
    assert_non_null(w->data);
}

UNUSED static void end(world *w) {
    cot_dataset_destroy(w->data);
    cot_model_destroy(w->model);
    cot_context_destroy(w->context);
}

UNUSED static void compile_sgd(world *w, double learning_rate) {
    CHECK_OK(w->context,
             cot_model_compile(w->model, .optimizer = cot_sgd(.learning_rate = learning_rate),
                               .loss = COT_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY}));
}

UNUSED static void check_history(const cot_model *model, const char *name, const double *expected,
                                 int32_t n, double tolerance) {
    const cot_history *history = cot_model_history(model);
    assert_int_equal(cot_history_n_epochs(history), n);
    const double *value = cot_history_values(history, name);
    assert_non_null(value);
    for (int32_t i = 0; i < n; i++) {
        if (!(fabs(value[i] - expected[i]) <= tolerance)) {
            fail_msg("%s of epoch %d is %.9g, expected %.9g", name, i, value[i], expected[i]);
        }
    }
}

UNUSED static void read_weights(const cot_model *model, float out[23]) {
    for (int32_t i = 0, at = 0; i < cot_model_n_weights(model); i++) {
        int64_t n = count_of(cot_model_weight(model, i));
        assert_int_equal(
            cot_variable_get(cot_model_weight(model, i), out + at, (size_t)n * sizeof(float)),
            COT_OK);
        at += (int32_t)n;
    }
}

#endif
