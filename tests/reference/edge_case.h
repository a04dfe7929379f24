/*
 * What the tests of edges and of callbacks share: a context with the data and the reference values
 * of edges.py, small models, and comparisons of a fit's history and of the weights after it.
 */
#ifndef EDGE_CASE_H
#define EDGE_CASE_H

#include "reference.h"
#include "tests/unit/frontend/frontend_support.h"

#define TOLERANCE 2e-6

typedef struct edge {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    reference_data *reference;
    float x[40], hot[20]; /* 10 rows g(4), 2, and their targets, row % 2, also as labels */
    int32_t label[10];
} edge;

#define FIT(e, ...)                                                                                \
    CHECK_OK((e)->context, cot_model_fit((e)->model, (e)->data, .shuffle = COT_OFF, __VA_ARGS__))
#define COMPILE(e, ...) CHECK_OK((e)->context, cot_model_compile((e)->model, __VA_ARGS__))

UNUSED static void end(edge *e) {
    cot_dataset_destroy(e->data);
    cot_model_destroy(e->model);
    cot_context_destroy(e->context);
    reference_free(e->reference);
}

/* Data of one input and one target. */
UNUSED static void put_data(edge *e, const float *x, int64_t width, cot_array target) {
    const cot_array input = array_of(x, target.n_rows, width);
    cot_dataset_destroy(e->data);
    e->data = cot_dataset_create(e->context, (cot_array_list){&input, 1},
                                 (cot_array_list){&target, 1}, COT_COPY);
    assert_non_null(e->data);
}

UNUSED static edge begin(void) {
    edge e = {.context = new_context(1)};
    e.reference = reference_read("edges.txt");
    fill_g(e.x, 40, 0, 2.0);
    for (int i = 0; i < 10; i++) {
        e.label[i] = i % 2;
        e.hot[2 * i + i % 2] = 1.0f;
    }
    put_data(&e, e.x, 4, array_of(e.hot, 10, 2));
    return e;
}

/* 4 -> hidden -> last, with weights g(7 i). */
UNUSED static void put_model(edge *e, int64_t hidden, cot_activation_kind first, int64_t units,
                             cot_activation_kind last) {
    cot_model_destroy(e->model);
    e->model = cot_sequential_create(e->context, COT_F32, COT_SHAPE(4), NULL);
    cot_sequential_add(e->model, cot_dense_layer(e->context, hidden, .activation = first));
    cot_sequential_add(e->model, cot_dense_layer(e->context, units, .activation = last));
    set_weights(e->model);
}

UNUSED static edge begin_classifier(void) {
    edge e = begin();
    put_model(&e, 3, COT_RELU, 2, COT_SOFTMAX);
    return e;
}

UNUSED static void compile_classifier(edge *e, const cot_optimizer *optimizer) {
    COMPILE(e, .optimizer = optimizer, .loss = COT_CATEGORICAL_CROSSENTROPY,
            .metrics = {COT_ACCURACY});
}

/* ---- comparisons ---- */

UNUSED static reference_case *case_of(const edge *e, const char *name, const char *what) {
    for (int32_t i = 0; i < e->reference->n; i++) {
        reference_case *c = &e->reference->cases[i];
        const char *text = reference_text(c, "what");
        if (strcmp(c->name, name) == 0 && strcmp(text != NULL ? text : "", what) == 0) {
            return c;
        }
    }
    fail_msg("edges.txt has no edge %s, %s", name, what);
    return NULL;
}

/* Of numbers that not every epoch has, Keras has fewer. */
UNUSED static void compare_history(const edge *e, const reference_case *c,
                                   const reference_array *array) {
    const cot_history *history = cot_model_history(e->model);
    const double *value = cot_history_values(history, array->name + strlen("history/"));
    const int32_t n_epochs = cot_history_n_epochs(history);
    int64_t n = 0;
    if (value == NULL) {
        fail_msg("%s:%d: there is no %s", c->file, c->line, array->name);
    }
    for (int32_t i = 0; i < n_epochs; i++) {
        if (array->n == n_epochs || !isnan(value[i])) {
            assert_in_range(n, 0, array->n - 1);
            reference_check_number(c, array->name, value[i], array->value[n], TOLERANCE);
            n++;
        }
    }
    assert_int_equal(n, array->n);
}

UNUSED static void compare_weight(const edge *e, const reference_case *c,
                                  const reference_array *array) {
    cot_variable *weight = cot_model_weight(e->model, atoi(array->name + strlen("weight/")));
    float value[MOST_ELEMENTS];
    assert_int_equal(count_of(weight), array->n);
    assert_in_range(array->n, 1, MOST_ELEMENTS);
    CHECK_OK(e->context, cot_variable_get(weight, value, (size_t)array->n * sizeof(float)));
    reference_check(c, array, 0, value, array->n, TOLERANCE);
}

/* The latest fit's history and the weights after it. */
UNUSED static void compare(const edge *e, reference_case *c) {
    int32_t n_names = 0;
    for (int32_t i = 0; i < c->n_arrays; i++) {
        const char *name = c->array[i].name;
        if (strncmp(name, "history/", strlen("history/")) == 0) {
            compare_history(e, c, reference_need(c, name));
            n_names++;
        } else if (strncmp(name, "weight/", strlen("weight/")) == 0) {
            compare_weight(e, c, reference_need(c, name));
        }
    }
    assert_int_equal(n_names, cot_history_n_names(cot_model_history(e->model)));
    reference_check_used(c);
}

#endif
