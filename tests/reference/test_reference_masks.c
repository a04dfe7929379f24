/*
 * Masks against Keras's: which places count behind each layer, the losses, metrics and weights
 * after a step of training that they make, alone and with sample weights, and an evaluation in
 * batches; and the masked softmax.
 */
#include "probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Of a few layers and a step of training in f32. */
static const double tolerance = 1e-5;

enum { STEPS = 4, FEATURES = 3, HIDDEN = 3, CLASSES = 4, MOST_NUMBERS = 256 };

/* A model of masks.py, its data, and what is to be freed. */
typedef struct net {
    cot_context *context;
    cot_tensor in[2], out;
    int32_t n_inputs;
    cot_model *model;
    cot_dataset *inputs, *data, *weighted;
    void *memory[4];
    int n_memory;
} net;

/* ---- the model ---- */

/* What stands between the inputs and the last layer. */
static cot_tensor trunk(net *t, reference_case *c) {
    const double value = reference_number(c, "mask_value", NAN);
    const char *kind = c->name;
    bool rows = strcmp(kind, "rows") == 0;
    t->in[0] = rows ? cot_input(t->context, COT_F32, COT_SHAPE(FEATURES), "x1")
                    : cot_input(t->context, COT_F32, COT_SHAPE(STEPS, FEATURES), "x1");
    cot_tensor h = cot_dense(cot_masking(t->in[0], .mask_value = value), HIDDEN,
                             .activation = COT_TANH, .name = "h");
    t->n_inputs = 1;
    if (rows || strcmp(kind, "dense") == 0) {
        return cot_activation(h, COT_LINEAR);
    }
    if (strcmp(kind, "flatten") == 0) {
        return cot_flatten(h);
    }
    t->n_inputs = 2;
    cot_tensor x2 = t->in[1] = cot_input(t->context, COT_F32, COT_SHAPE(STEPS, HIDDEN), "x2");
    if (strcmp(kind, "add") == 0) {
        return cot_add(COT_TENSORS(h, cot_masking(x2, .mask_value = value)));
    }
    if (strcmp(kind, "add_unmasked") == 0) {
        return cot_add(COT_TENSORS(h, x2));
    }
    if (strcmp(kind, "join_time") == 0) {
        return cot_concatenate(COT_TENSORS(h, x2), .axis = 1);
    }
    if (strcmp(kind, "join_last") == 0) {
        return cot_concatenate(COT_TENSORS(h, cot_masking(x2, .mask_value = value)));
    }
    assert_string_equal(kind, "join_unmasked");
    return cot_concatenate(COT_TENSORS(h, x2));
}

static cot_reduction reduction_of(reference_case *c) {
    const char *text = reference_text(c, "reduction");
    return text == NULL               ? COT_REDUCTION_DEFAULT
           : strcmp(text, "sum") == 0 ? COT_REDUCTION_SUM
                                      : COT_MEAN_WITH_SAMPLE_WEIGHT;
}

static void compile(const net *t, reference_case *c, bool sparse) {
    const double ignored = reference_number(c, "ignore_class", -1.0);
    cot_compile_options options = {
        .struct_size = sizeof options,
        .optimizer = cot_sgd(.learning_rate = 0.5),
        .loss = sparse ? COT_SPARSE_CATEGORICAL_CROSSENTROPY : COT_MEAN_SQUARED_ERROR,
        .loss_options =
            cot_loss_numbers(.reduction = reduction_of(c), .ignores_class = ignored >= 0,
                             .ignore_class = ignored >= 0 ? (int32_t)ignored : 0),
        .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_SQUARED_ERROR), COT_ROOT_MEAN_SQUARED_ERROR,
                    COT_TRUE_POSITIVES},
        .weighted_metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)}};
    if (sparse) {
        options.metrics[0] = COT_SPARSE_CATEGORICAL_ACCURACY;
        options.metrics[1] = options.metrics[2] = COT_NO_METRIC;
        options.weighted_metrics[0] = COT_LOSS_AS_METRIC(COT_SPARSE_CATEGORICAL_CROSSENTROPY);
    }
    CHECK_OK(t->context, cot_model_compile_with(t->model, &options));
}

static void *keep(net *t, void *memory) {
    assert_non_null(memory);
    t->memory[t->n_memory++] = memory;
    return memory;
}

static void load_data(net *t, reference_case *c, bool sparse) {
    static const char *const names[2] = {"x1", "x2"};
    cot_array x[2];
    for (int32_t i = 0; i < t->n_inputs; i++) {
        const reference_array *array = reference_need(c, names[i]);
        x[i] = probe_floats(array, keep(t, reference_floats(array)));
    }
    const reference_array *y = reference_need(c, "target"), *w = reference_find(c, "weight");
    const cot_array target = sparse ? probe_integers(y, keep(t, reference_integers(y)))
                                    : probe_floats(y, keep(t, reference_floats(y)));
    const cot_array_list in = {x, t->n_inputs};
    t->inputs = cot_dataset_create(t->context, in, COT_NO_ARRAYS, COT_BORROW);
    t->data = cot_dataset_create(t->context, in, (cot_array_list){&target, 1}, COT_BORROW);
    assert_true(t->inputs != NULL && t->data != NULL);
    if (w != NULL) {
        const cot_array weight = probe_floats(w, keep(t, reference_floats(w)));
        t->weighted =
            cot_dataset_with_sample_weights(t->data, (cot_array_list){&weight, 1}, COT_BORROW);
        assert_non_null(t->weighted);
    }
}

/* Weights to, or against, the arrays of the names "<prefix>h/kernel" ... */
static void each_weight(const net *t, reference_case *c, const char *prefix, bool set) {
    for (int32_t i = 0; i < cot_model_n_weights(t->model); i++) {
        cot_variable *weight = cot_model_weight(t->model, i);
        char name[64];
        float found[MOST_NUMBERS];
        (void)snprintf(name, sizeof name, "%s%s", prefix, cot_variable_name(weight));
        const reference_array *array = reference_need(c, name);
        const size_t bytes = (size_t)array->n * sizeof(float);
        assert_true(array->n <= MOST_NUMBERS);
        if (set) {
            float *value = reference_floats(array);
            CHECK_OK(t->context, cot_variable_set(weight, value, bytes));
            free(value);
        } else {
            CHECK_OK(t->context, cot_variable_get(weight, found, bytes));
            reference_check(c, array, 0, found, array->n, tolerance);
        }
    }
}

static net *net_make(reference_case *c, bool sparse) {
    net *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->context = probe_context();
    cot_tensor h = trunk(t, c);
    t->out = sparse ? cot_dense(h, CLASSES, .activation = COT_SOFTMAX, .name = "out")
                    : cot_dense(h, CLASSES, .name = "out");
    t->model = cot_model_create(t->context, (cot_tensor_list){t->in, t->n_inputs},
                                COT_TENSORS(t->out), NULL);
    if (t->model == NULL) {
        fail_msg("%s", cot_error_message(t->context));
    }
    each_weight(t, c, "", true);
    compile(t, c, sparse);
    load_data(t, c, sparse);
    return t;
}

static void net_free(net *t) {
    cot_dataset_destroy(t->weighted);
    cot_dataset_destroy(t->data);
    cot_dataset_destroy(t->inputs);
    cot_model_destroy(t->model);
    for (int i = 0; i < t->n_memory; i++) {
        free(t->memory[i]);
    }
    free(t);
}

/* ---- what it does ---- */

/* The mask of the output as a model of its own, or that there is none. */
static void check_mask(const net *t, reference_case *c) {
    const reference_array *expected = reference_find(c, "mask");
    unsigned char found[MOST_NUMBERS];
    assert_int_equal(cot_tensor_has_mask(t->out), expected != NULL);
    if (expected == NULL) {
        return;
    }
    cot_model *model = cot_model_create(t->context, (cot_tensor_list){t->in, t->n_inputs},
                                        COT_TENSORS(cot_tensor_mask(t->out)), NULL);
    assert_non_null(model);
    CHECK_OK(t->context, cot_model_compile(model, .max_batch = 8));
    CHECK_OK(t->context,
             cot_model_predict(model, t->inputs, COT_BUFFERS({found, (size_t)expected->n})));
    for (int64_t i = 0; i < expected->n; i++) {
        assert_int_equal(found[i], (int)expected->value[i]);
    }
    cot_model_destroy(model);
}

static void check_prediction(const net *t, reference_case *c) {
    const reference_array *expected = reference_need(c, "prediction");
    float found[MOST_NUMBERS];
    CHECK_OK(t->context,
             cot_model_predict(t->model, t->inputs,
                               COT_BUFFERS({found, (size_t)expected->n * sizeof *found})));
    reference_check(c, expected, 0, found, expected->n, tolerance);
}

/* The logs are the numbers of the arrays "<prefix>loss", ..., no more and no fewer. */
static void check_logs(reference_case *c, const char *prefix, const cot_logs *logs) {
    int32_t n = 0;
    for (int32_t i = 0; i < c->n_arrays; i++) {
        n += strncmp(c->array[i].name, prefix, strlen(prefix)) == 0;
    }
    assert_int_equal(logs->n, n);
    for (int32_t i = 0; i < logs->n; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s%s", prefix, logs->log[i].name);
        reference_check_number(c, name, logs->log[i].value, reference_need(c, name)->value[0],
                               tolerance);
    }
}

static void one_model(reference_case *c) {
    bool sparse = strcmp(reference_text(c, "loss"), "sparse") == 0;
    net *t = net_make(c, sparse);
    const cot_dataset *data = t->weighted != NULL ? t->weighted : t->data;
    cot_logs logs = {0};
    check_mask(t, c);
    check_prediction(t, c);
    CHECK_OK(t->context, cot_model_train_on_batch(t->model, data, &logs));
    check_logs(c, "trained/", &logs);
    each_weight(t, c, "after/", false);
    CHECK_OK(t->context, cot_model_evaluate(t->model, data, &logs, .batch_size = 2));
    check_logs(c, "evaluated/", &logs);
    net_free(t);
}

/* The mask is the rows' other input: a Masking of ones and zeros along an axis of 1. */
static void one_softmax(reference_case *c) {
    const reference_array *x = reference_need(c, "x"), *mask = reference_need(c, "mask");
    const reference_array *y = reference_need(c, "y");
    cot_context *context = probe_context();
    cot_shape row = {.rank = x->rank - 1}, places = {.rank = mask->rank};
    for (int32_t i = 0; i < row.rank; i++) {
        row.dim[i] = x->dim[i + 1];
        places.dim[i] = mask->dim[i + 1];
    }
    places.dim[places.rank - 1] = 1;
    cot_tensor in[2] = {cot_input(context, COT_F32, row, "x"),
                        cot_input(context, COT_F32, places, "places")};
    cot_tensor out = cot_softmax(in[0], .axis = (int32_t)reference_number(c, "axis", NAN),
                                 .mask = cot_tensor_mask(cot_masking(in[1])));
    cot_model *model = cot_model_create(context, (cot_tensor_list){in, 2}, COT_TENSORS(out), NULL);
    if (model == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    CHECK_OK(context, cot_model_compile(model, .max_batch = 8));
    float *number = reference_floats(x), *place = reference_floats(mask), found[MOST_NUMBERS];
    const cot_array arrays[2] = {probe_floats(x, number), probe_floats(mask, place)};
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){arrays, 2}, COT_NO_ARRAYS, COT_BORROW);
    assert_non_null(data);
    CHECK_OK(context,
             cot_model_predict(model, data, COT_BUFFERS({found, (size_t)y->n * sizeof *found})));
    reference_check(c, y, 0, found, y->n, 2e-6);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    free(number);
    free(place);
}

static void as_keras(void **state) {
    reference_case *c = *state;
    if (strcmp(c->kind, "mask") == 0) {
        one_model(c);
    } else {
        one_softmax(c);
    }
    reference_check_used(c);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "masks.txt", as_keras);
}
