/*
 * Whole fits, as Keras made them (fits.py, data/fits.txt): the same history to 1e-5 of each number,
 * the same learning rates, stopped after the same epoch, the same weights and the same tables.
 * Models, data and callbacks are those of the functions of the same names there.
 */
#include "reference.h"
#include "tests/unit/frontend/frontend_support.h"

#include <unistd.h>

#define TOLERANCE 1e-5

enum { MOST_EPOCHS = 64 };

typedef struct world {
    cot_context *context;
    cot_model *model;
    cot_dataset *data, *validation;
    reference_data *reference;
    float rate[MOST_EPOCHS]; /* of each epoch's last step */
    int32_t n_epochs;
    double farthest; /* the largest deviation, as a share of the number */
} world;

static world begin(void) {
    world w = {.context = new_context(1)};
    w.reference = reference_read("fits.txt");
    return w;
}

static bool begins_with(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* name: what the names of the test's fits begin with; of these nothing may have been overlooked. */
static void end(world *w, const char *name) {
    for (int32_t i = 0; i < w->reference->n; i++) {
        if (begins_with(w->reference->cases[i].name, name)) {
            reference_check_used(&w->reference->cases[i]);
        }
    }
    print_message("%s: farthest from Keras by %.2g of a number\n", name, w->farthest);
    cot_dataset_destroy(w->data);
    cot_dataset_destroy(w->validation);
    cot_model_destroy(w->model);
    cot_context_destroy(w->context);
    reference_free(w->reference);
}

static reference_case *case_of(const world *w, const char *name) {
    for (int32_t i = 0; i < w->reference->n; i++) {
        if (strcmp(w->reference->cases[i].name, name) == 0) {
            return &w->reference->cases[i];
        }
    }
    fail_msg("fits.txt has no fit %s", name);
    return NULL;
}

/* ---- data by formula ---- */

/* The k-th integer that g is made of, 0 to 100. */
static int32_t step(int64_t k, int64_t offset) {
    return (int32_t)(((k + offset) * 37 + 11) % 101);
}

static void fill_classes(int32_t *out, int64_t n, int64_t width, int64_t offset,
                         int32_t n_classes) {
    for (int64_t i = 0; i < n; i++) {
        int32_t s[5];
        for (int64_t j = 0; j < 5; j++) {
            s[j] = step(i * width + j, offset);
        }
        int32_t label = (s[0] + s[1] > s[2] + s[3]) + (s[0] > s[4]) + (i % 7 == 3);
        out[i] = label % n_classes;
    }
}

static void fill_several(float *out, int64_t n, int64_t width, int64_t offset, int64_t n_labels) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n_labels; j++) {
            int32_t here = step(i * width + j, offset);
            out[i * n_labels + j] = here > step(i * width + (j + 2) % width, offset) ? 1.0f : 0.0f;
        }
    }
}

static void fill_surface(float *out, const float *x, int64_t n, int64_t width, int64_t columns) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < columns; j++) {
            const float *at = x + i * width + j;
            out[i * columns + j] = (float)((double)at[0] * (double)at[1] - 0.5 * (double)at[2]);
        }
    }
}

static void fill_row_weights(float *out, int64_t n, int64_t offset) {
    for (int64_t i = 0; i < n; i++) {
        int32_t s = step(i, offset);
        out[i] = s < 10 ? 0.0f : (float)(s / 50.0);
    }
}

static cot_dataset *data_of(world *w, cot_array_list inputs, cot_array_list targets) {
    cot_dataset *data = cot_dataset_create(w->context, inputs, targets, COT_COPY);
    assert_non_null(data);
    return data;
}

/* ---- what is compared ---- */

static void compare(world *w, const char *what, int64_t i, double found, double expected,
                    double size) {
    double distance = fabs(found - expected);
    if (!(distance <= TOLERANCE * size)) {
        fail_msg("%s[%lld] is %.9g, expected %.9g", what, (long long)i, found, expected);
    }
    w->farthest = distance > w->farthest * size ? distance / size : w->farthest;
}

/* An epoch's numbers; those of Keras are fewer where some epochs were not validated. */
static void compare_history(world *w, const reference_array *array) {
    const cot_history *history = cot_model_history(w->model);
    const double *value = cot_history_values(history, array->name + strlen("history/"));
    int64_t n = 0;
    if (value == NULL) {
        fail_msg("there is no %s", array->name);
    }
    for (int32_t i = 0; i < cot_history_n_epochs(history); i++) {
        if (!isnan(value[i])) {
            assert_in_range(n, 0, array->n - 1);
            compare(w, array->name, i, value[i], array->value[n], fabs(array->value[n]));
            n++;
        }
    }
    assert_int_equal(n, array->n);
}

/* Of a weight the largest element is the measure. */
static void compare_weight(world *w, const reference_array *array) {
    cot_variable *weight = cot_model_weight(w->model, atoi(array->name + strlen("weight/")));
    float value[MOST_ELEMENTS];
    double largest = 0.0;
    assert_int_equal(count_of(weight), array->n);
    assert_in_range(array->n, 1, MOST_ELEMENTS);
    CHECK_OK(w->context, cot_variable_get(weight, value, (size_t)array->n * sizeof(float)));
    for (int64_t i = 0; i < array->n; i++) {
        largest = fmax(largest, fabs(array->value[i]));
    }
    for (int64_t i = 0; i < array->n; i++) {
        compare(w, array->name, i, (double)value[i], array->value[i], largest);
    }
}

static void compare_fit(world *w, const char *name, cot_dataset *evaluated, int64_t batch) {
    reference_case *c = case_of(w, name);
    const reference_array *epochs = reference_need(c, "epochs"),
                          *rates = reference_need(c, "rates");
    const reference_array *numbers = reference_need(c, "evaluate");
    const cot_history *history = cot_model_history(w->model);
    int32_t n_names = 0, n_weights = 0;
    cot_logs report;
    assert_int_equal(cot_history_n_epochs(history), epochs->n);
    assert_int_equal(w->n_epochs, epochs->n);
    for (int32_t i = 0; i < epochs->n; i++) {
        assert_int_equal(cot_history_epoch(history, i), (int32_t)epochs->value[i]);
        compare(w, "rate", i, (double)w->rate[i], rates->value[i], rates->value[i]);
    }
    for (int32_t i = 0; i < c->n_arrays; i++) {
        const char *array = c->array[i].name;
        if (begins_with(array, "history/")) {
            compare_history(w, reference_need(c, array));
            n_names++;
        } else if (begins_with(array, "weight/")) {
            compare_weight(w, reference_need(c, array));
            n_weights++;
        }
    }
    assert_int_equal(n_names, cot_history_n_names(history));
    assert_int_equal(n_weights, cot_model_n_weights(w->model));
    CHECK_OK(w->context, cot_model_evaluate(w->model, evaluated, &report, .batch_size = batch));
    assert_int_equal(report.n, numbers->n);
    for (int32_t i = 0; i < report.n; i++) {
        compare(w, report.log[i].name, i, report.log[i].value, numbers->value[i],
                fabs(numbers->value[i]));
    }
}

static void compare_stop(world *w, const char *name, const cot_early_stopping_callback *stop) {
    reference_case *c = case_of(w, name);
    const reference_array *best = reference_need(c, "best");
    assert_int_equal(stop->stopped_epoch, (int32_t)reference_number(c, "stopped", -1));
    assert_int_equal(stop->best_epoch, (int32_t)reference_number(c, "best_epoch", -1));
    assert_int_equal(stop->wait, (int32_t)reference_number(c, "wait", -1));
    compare(w, "best", 0, stop->best, best->value[0], fabs(best->value[0]));
}

/* ---- tables ---- */

typedef struct table {
    char text[1 << 14];
    char *cell[1024];
    int64_t n_cells, n_columns;
} table;

/* Cells of a file of lines that end with CR LF. */
static void read_table(const char *path, char separator, table *t) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(t->text, 1, sizeof t->text - 1, file);
    assert_int_equal(fclose(file), 0);
    t->text[n] = '\0';
    t->n_cells = t->n_columns = 0;
    for (char *at = t->text; *at != '\0';) {
        const char ends[] = {separator, '\r', '\0'};
        assert_in_range(t->n_cells, 0, 1023);
        t->cell[t->n_cells++] = at;
        at += strcspn(at, ends);
        bool is_last = *at == '\r';
        *at++ = '\0';
        if (is_last) {
            assert_true(*at == '\n');
            *at++ = '\0';
            t->n_columns = t->n_columns == 0 ? t->n_cells : t->n_columns;
            assert_int_equal(t->n_cells % t->n_columns, 0);
        }
    }
}

/* The same columns in the same order, the same rows; Keras's "NA" is NaN in the reference. */
static void compare_table(world *w, const char *name, const char *path, char separator) {
    reference_case *c = case_of(w, name);
    static table t;
    int64_t n_columns = 0;
    read_table(path, separator, &t);
    for (int32_t i = 0; i < c->n_arrays; i++) {
        if (!begins_with(c->array[i].name, "column/")) {
            continue;
        }
        const reference_array *array = reference_need(c, c->array[i].name);
        int64_t column = n_columns++;
        assert_in_range(column, 0, t.n_columns - 1);
        assert_string_equal(t.cell[column], strrchr(array->name, '/') + 1);
        assert_int_equal(t.n_cells, t.n_columns * (array->n + 1));
        for (int64_t row = 0; row < array->n; row++) {
            const char *cell = t.cell[(row + 1) * t.n_columns + column];
            double expected = array->value[row];
            if (isnan(expected)) {
                assert_string_equal(cell, "NA");
            } else {
                compare(w, array->name, row, strtod(cell, NULL), expected, fabs(expected));
            }
        }
    }
    assert_int_equal(n_columns, t.n_columns);
}

/* ---- callbacks ---- */

static cot_status note_rate(cot_model *model, int64_t batch, void *user) {
    world *w = user;
    w->n_epochs += batch == 0;
    assert_in_range(w->n_epochs, 1, MOST_EPOCHS);
    w->rate[w->n_epochs - 1] = (float)cot_model_learning_rate(model);
    return COT_OK;
}

static cot_callback rates_into(world *w) {
    w->n_epochs = 0;
    return (cot_callback){
        .struct_size = sizeof(cot_callback), .user = w, .on_batch_begin = note_rate};
}

/* ---- the fits ---- */

static void classes(void **state) {
    (void)state;
    world w = begin();
    float x[72 * 6], x_validation[30 * 6];
    int32_t y[72], y_validation[30];
    fill_g(x, 72 * 6, 0, 2.0);
    fill_classes(y, 72, 6, 0, 3);
    fill_g(x_validation, 30 * 6, 437, 2.0);
    fill_classes(y_validation, 30, 6, 437, 3);
    const cot_array inputs[2] = {array_of(x, 72, 6), array_of(x_validation, 30, 6)};
    const cot_array targets[2] = {labels_of(y, 72), labels_of(y_validation, 30)};
    w.data = data_of(&w, (cot_array_list){inputs, 1}, (cot_array_list){targets, 1});
    w.validation = data_of(&w, (cot_array_list){inputs + 1, 1}, (cot_array_list){targets + 1, 1});

    cot_context *context = w.context;
    w.model = cot_sequential_create(context, COT_F32, COT_SHAPE(6), NULL);
    cot_sequential_add(w.model, cot_dense_layer(context, 16, .activation = COT_RELU));
    cot_sequential_add(w.model, cot_dense_layer(context, 12, .activation = COT_TANH));
    cot_sequential_add(w.model, cot_dense_layer(context, 3, .activation = COT_SOFTMAX));
    set_weights(w.model);
    CHECK_OK(context,
             cot_model_compile(
                 w.model,
                 .optimizer = cot_sgd(.learning_rate = 0.05, .momentum = 0.9, .nesterov = true),
                 .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY}));
    const cot_callback rates = rates_into(&w);
    cot_early_stopping_callback stop = {
        .base = cot_early_stopping_base(), .patience = 3, .restore_best_weights = true};
    CHECK_OK(context,
             cot_model_fit(w.model, w.data, .batch_size = 16, .epochs = 40, .shuffle = COT_OFF,
                           .validation_data = w.validation, .callbacks = {&stop.base, &rates}));
    compare_fit(&w, "classes", w.validation, 16);
    compare_stop(&w, "classes", &stop);
    end(&w, "classes");
}

/* Data and its weights, which it then has. */
static cot_dataset *weighted(world *w, cot_dataset *data, cot_array_list weights) {
    cot_dataset *result = cot_dataset_with_sample_weights(data, weights, COT_COPY);
    cot_dataset_destroy(data);
    if (result == NULL) {
        fail_msg("%s", cot_error_get(w->context).message);
    }
    return result;
}

static cot_dataset *surface_data(world *w, int64_t n, int64_t offset, int64_t weight_offset) {
    float x[50 * 5], y[50 * 2], weight[50];
    fill_g(x, n * 5, offset, 2.0);
    fill_surface(y, x, n, 5, 2);
    fill_row_weights(weight, n, weight_offset);
    const cot_array input = array_of(x, n, 5), target = array_of(y, n, 2);
    const cot_array weights = array_of(weight, n, 1);
    cot_dataset *data = data_of(w, (cot_array_list){&input, 1}, (cot_array_list){&target, 1});
    return weighted(w, data, (cot_array_list){&weights, 1});
}

static void surface(void **state) {
    (void)state;
    world w = begin();
    w.data = surface_data(&w, 50, 3, 0);
    w.validation = surface_data(&w, 21, 611, 5);
    cot_context *context = w.context;
    w.model = cot_sequential_create(context, COT_F32, COT_SHAPE(5), NULL);
    cot_sequential_add(w.model, cot_dense_layer(context, 16, .activation = COT_ELU));
    cot_sequential_add(w.model, cot_dense_layer(context, 16, .activation = COT_GELU));
    cot_sequential_add(w.model, cot_dense_layer(context, 8, .activation = COT_ELU));
    cot_sequential_add(w.model, cot_dense_layer(context, 8, .activation = COT_GELU));
    cot_sequential_add(w.model, cot_dense_layer(context, 2));
    set_weights(w.model);
    CHECK_OK(
        context,
        cot_model_compile(
            w.model, .optimizer = cot_adam(.learning_rate = 0.01), .loss = COT_MEAN_SQUARED_ERROR,
            .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR), COT_ROOT_MEAN_SQUARED_ERROR},
            .weighted_metrics = {COT_LOSS_AS_METRIC(COT_MEAN_SQUARED_LOGARITHMIC_ERROR)}));
    const cot_callback rates = rates_into(&w);
    CHECK_OK(context,
             cot_model_fit(w.model, w.data, .batch_size = 16, .epochs = 20, .shuffle = COT_OFF,
                           .validation_data = w.validation,
                           .callbacks = {cot_reduce_lr_on_plateau(.factor = 0.5, .patience = 1,
                                                                  .min_delta = 0.02, .cooldown = 2,
                                                                  .min_lr = 0.002),
                                         &rates}));
    compare_fit(&w, "surface", w.validation, 16);
    end(&w, "surface");
}

/* 64 rows with two inputs and two targets, and a weight of each row for each target. */
static void make_branches_data(world *w) {
    static float x[64 * 8], meta[64 * 3], hot[64 * 4], value[64], weight[2][64];
    int32_t label[64];
    fill_g(x, 64 * 8, 11, 2.0);
    fill_g(meta, 64 * 3, 29, 2.0);
    fill_classes(label, 64, 8, 11, 4);
    fill_surface(value, x, 64, 8, 1);
    memset(hot, 0, sizeof hot);
    for (int i = 0; i < 64; i++) {
        hot[4 * i + label[i]] = 1.0f;
    }
    fill_row_weights(weight[0], 64, 2);
    fill_row_weights(weight[1], 64, 60);
    const cot_array weights[2] = {array_of(weight[0], 64, 1), array_of(weight[1], 64, 1)};
    const cot_array inputs[2] = {array_of(x, 64, 8), array_of(meta, 64, 3)};
    const cot_array targets[2] = {array_of(hot, 64, 4), array_of(value, 64, 1)};
    const cot_array_list input_list = {inputs, 2}, target_list = {targets, 2};
    w->validation = data_of(w, input_list, target_list); /* without weights */
    w->data = weighted(w, data_of(w, input_list, target_list), (cot_array_list){weights, 2});
}

static double three_quarters_from_3(int32_t epoch, double rate, void *user) {
    (void)user;
    return epoch < 3 ? rate : rate * 0.75;
}

static void branches(void **state) {
    (void)state;
    world w = begin();
    make_branches_data(&w);
    cot_context *context = w.context;
    cot_tensor first = cot_input(context, COT_F32, COT_SHAPE(8), "first");
    cot_tensor second = cot_input(context, COT_F32, COT_SHAPE(3), "second");
    cot_tensor low = cot_dense(first, 12, .activation = COT_RELU, .name = "low");
    cot_tensor high = cot_dense(low, 12, .activation = COT_TANH, .name = "high");
    cot_tensor sum = cot_add(COT_TENSORS(low, high), .name = "sum");
    cot_tensor both = cot_concatenate(COT_TENSORS(sum, second), .name = "both");
    cot_tensor kind = cot_dense(both, 4, .activation = COT_SOFTMAX, .name = "kind");
    cot_tensor value = cot_dense(both, 1, .name = "value");
    w.model = cot_model_create(context, COT_TENSORS(first, second), COT_TENSORS(kind, value), NULL);
    assert_non_null(w.model);
    set_weights(w.model);
    CHECK_OK(
        context,
        cot_model_compile(
            w.model,
            .optimizer =
                cot_adamw(.learning_rate = 0.01, .weight_decay = 0.01, .global_clipnorm = 0.5),
            .top_k = 2,
            .outputs = {
                cot_output("kind", .loss = COT_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY},
                           .weighted_metrics = {COT_TOP_K_CATEGORICAL_ACCURACY}),
                cot_output("value", .loss = COT_HUBER, .loss_weight = 0.3,
                           .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)},
                           .weighted_metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)})}));
    const cot_callback rates = rates_into(&w);
    CHECK_OK(
        context,
        cot_model_fit(w.model, w.data, .batch_size = 12, .epochs = 12, .shuffle = COT_OFF,
                      .validation_split = 0.25,
                      .callbacks = {cot_learning_rate_scheduler(three_quarters_from_3), &rates}));
    compare_fit(&w, "branches", w.validation, 12);
    end(&w, "branches");
}

/* The name of a file that is not there yet. */
static void new_path(char path[64]) {
    (void)snprintf(path, 64, "/tmp/cotangent_fits_XXXXXX");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    assert_int_equal(unlink(path), 0);
}

static void units(void **state) {
    (void)state;
    world w = begin();
    float x[60 * 7], y[60];
    int32_t label[60];
    char path[64];
    fill_g(x, 60 * 7, 5, 2.0);
    fill_classes(label, 60, 7, 5, 2);
    for (int i = 0; i < 60; i++) {
        y[i] = (float)label[i];
    }
    const cot_array input = array_of(x, 60, 7), target = array_of(y, 60, 1);
    w.data = data_of(&w, (cot_array_list){&input, 1}, (cot_array_list){&target, 1});

    cot_context *context = w.context;
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(7), NULL);
    cot_tensor most = cot_maxout(cot_dense(in, 16), 8);
    cot_tensor out = cot_dense(cot_prelu(cot_dense(most, 8)), 1, .activation = COT_SIGMOID);
    w.model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_non_null(w.model);
    set_weights(w.model);
    CHECK_OK(
        context,
        cot_model_compile(
            w.model,
            .optimizer = cot_rmsprop(.momentum = 0.5, .centered = true,
                                     .schedule = cot_cosine_decay(.initial_learning_rate = 0.005,
                                                                  .decay_steps = 25, .alpha = 0.1)),
            .loss = COT_BINARY_CROSSENTROPY,
            .metrics = {COT_ACCURACY, COT_AUC, COT_PRECISION, COT_RECALL},
            .weighted_metrics = {COT_BINARY_ACCURACY}));
    const cot_callback rates = rates_into(&w);
    new_path(path);
    CHECK_OK(context,
             cot_model_fit(w.model, w.data, .batch_size = 16, .epochs = 10, .shuffle = COT_OFF,
                           .validation_split = 0.2, .class_weight = COT_CLASS_WEIGHTS(0.5, 1.75),
                           .validation_freq = 2,
                           .callbacks = {&rates, cot_csv_logger(path, .separator = ';')}));
    compare_fit(&w, "units", w.data, 16);
    compare_table(&w, "units", path, ';');
    unlink(path);
    end(&w, "units");
}

static cot_dataset *labels_data(world *w, int64_t n, int64_t offset) {
    float x[40 * 6], y[40 * 5];
    fill_g(x, n * 6, offset, 2.0);
    fill_several(y, n, 6, offset, 5);
    const cot_array input = array_of(x, n, 6), target = array_of(y, n, 5);
    return data_of(w, (cot_array_list){&input, 1}, (cot_array_list){&target, 1});
}

static void begin_labels(world *w) {
    w->data = labels_data(w, 40, 9);
    w->validation = labels_data(w, 16, 777);
    cot_context *context = w->context;
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(6), NULL);
    cot_tensor h = cot_dense(in, 14, .activation = COT_RELU, .kernel_regularizer = cot_l2(0.003),
                             .kernel_constraint = cot_max_norm(.max_value = 1.0),
                             .activity_regularizer = cot_l1(0.001));
    cot_tensor out = cot_dense(h, 5, .activation = COT_SIGMOID, .bias_regularizer = cot_l1(0.01));
    w->model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_non_null(w->model);
    set_weights(w->model);
    CHECK_OK(context,
             cot_model_compile(
                 w->model,
                 .optimizer = cot_nadam(.learning_rate = 0.02, .use_ema = true, .ema_momentum = 0.8,
                                        .gradient_accumulation_steps = 2, .clipnorm = 1.0),
                 .loss = COT_BINARY_CROSSENTROPY,
                 .loss_options = cot_loss_numbers(.label_smoothing = 0.1),
                 .metrics = {COT_BINARY_ACCURACY}));
}

static void fit_labels(world *w, const char *name, int32_t first, int32_t epochs,
                       cot_early_stopping_callback *stop, const char *log) {
    const cot_callback rates = rates_into(w);
    CHECK_OK(
        w->context,
        cot_model_fit(w->model, w->data, .batch_size = 12, .epochs = first + epochs,
                      .initial_epoch = first, .shuffle = COT_OFF, .validation_data = w->validation,
                      .callbacks = {&rates, &stop->base, cot_csv_logger(log, .append = true)}));
    compare_fit(w, name, w->validation, 12);
    compare_stop(w, name, stop);
}

static void labels(void **state) {
    (void)state;
    world w = begin();
    char path[64];
    begin_labels(&w);
    new_path(path);
    cot_early_stopping_callback stop = {.base = cot_early_stopping_base(),
                                        .min_delta = 0.03,
                                        .patience = 2,
                                        .baseline = 0.3,
                                        .start_from_epoch = 2};
    fit_labels(&w, "labels", 0, 20, &stop, path);
    cot_early_stopping_callback again = {.base = cot_early_stopping_base(),
                                         .monitor = "loss",
                                         .patience = 5,
                                         .restore_best_weights = true};
    fit_labels(&w, "labels_again", stop.stopped_epoch + 1, 4, &again, path);
    compare_table(&w, "labels_again", path, ',');
    unlink(path);
    end(&w, "labels");
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes), cmocka_unit_test(surface), cmocka_unit_test(branches),
        cmocka_unit_test(units),   cmocka_unit_test(labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
