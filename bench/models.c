/* Workloads a, b and c, and the smallest step: models of dense layers, trained by cot_model_fit. */
#include "export.h"
#include "peak.h"
#include "subject.h"

#include <math.h>
#include <stdlib.h>

enum { N_CLASSES = 10 };

typedef struct model_shape {
    const char *name, *what;
    int64_t inputs;   /* elements of a row */
    int64_t width[3]; /* units of hidden layers, ended by 0 */
    int32_t blocks;   /* residual blocks of two layers after them */
    enum { SGD, NESTEROV, ADAM } optimizer;
    int64_t steps; /* in a pass over the data */
    int64_t batch;
} model_shape;

static const model_shape shapes[] = {
    {"a", "3072-20-15-10, SGD", 3072, {20, 15}, 0, SGD, 64, 128},
    {"b", "784-512-10, Adam", 784, {512}, 0, ADAM, 16, 128},
    {"b-nesterov", "784-512-10, SGD with Nesterov momentum", 784, {512}, 0, NESTEROV, 16, 128},
    {"c", "784-256, 100 residual blocks of 2 x 256, 10, Adam", 784, {256}, 100, ADAM, 2, 128},
    {"smallest",
     "a step of fit that has next to nothing to do: 1-10, SGD, batch 1",
     1,
     {0},
     0,
     SGD,
     4096,
     1},
};

typedef struct model_subject {
    bench_subject base; /* first: a bench_subject * is one of these */
    const model_shape *shape;
    cot_model *model;
    cot_dataset *dataset;
    float *x;
    int32_t *y;
    bool shuffle;
    cot_csv_logger_callback csv; /* filename NULL: the plain step */
    bench_data data;
} model_subject;

static int64_t n_blocks(const model_shape *shape, const bench_setup *setup) {
    return shape->blocks > 0 ? bench_size(setup, shape->blocks) : 0;
}

static cot_model *build(cot_context *context, const model_shape *shape, const bench_setup *setup) {
    cot_tensor input =
        cot_input(context, COT_F32, COT_SHAPE(bench_size(setup, shape->inputs)), "x");
    cot_tensor x = input;
    for (int i = 0; shape->width[i] != 0; i++) {
        x = cot_dense(x, bench_size(setup, shape->width[i]), .activation = COT_RELU);
    }
    for (int64_t i = 0; i < n_blocks(shape, setup); i++) {
        int64_t width = cot_tensor_shape(x).dim[1];
        cot_tensor branch = cot_dense(x, width, .activation = COT_RELU);
        x = cot_add(COT_TENSORS(x, cot_dense(branch, width)));
    }
    cot_tensor y = cot_dense(x, N_CLASSES, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(input), COT_TENSORS(y), NULL);
}

/* 2*M*K*N for a layer's product, as much for its weights' gradient, and, but for the first layer,
 * for its input's. */
static double step_flops(const model_shape *shape, const bench_setup *setup, int64_t batch) {
    double rows = (double)batch;
    double flops = 0.0;
    int64_t fan_in = bench_size(setup, shape->inputs);
    for (int i = 0; shape->width[i] != 0; i++) {
        int64_t width = bench_size(setup, shape->width[i]);
        flops += (i == 0 ? 4.0 : 6.0) * rows * (double)(fan_in * width);
        fan_in = width;
    }
    flops += 2.0 * (double)n_blocks(shape, setup) * 6.0 * rows * (double)(fan_in * fan_in);
    return flops + 6.0 * rows * (double)(fan_in * N_CLASSES);
}

static cot_status compile(cot_model *model, const model_shape *shape, int64_t batch) {
    const cot_optimizer *optimizer[] = {
        [SGD] = cot_sgd(.learning_rate = 0.01),
        [NESTEROV] = cot_sgd(.learning_rate = 0.01, .momentum = 0.9, .nesterov = true),
        [ADAM] = cot_adam(.learning_rate = 1e-4)};
    return cot_model_compile(model, .optimizer = optimizer[shape->optimizer],
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .max_batch = batch);
}

/* The same with what a user adds: two metrics, a schedule that stays near the plain rate for as
 * long as is measured, clipping by value. */
static cot_status compile_with_all(cot_model *model, const model_shape *shape, int64_t batch) {
    const double clip = 0.5;
    const cot_schedule *schedule = cot_cosine_decay(.decay_steps = 1e7);
    const cot_optimizer *optimizer[] = {
        [SGD] = cot_sgd(.learning_rate = 0.01, .schedule = schedule, .clipvalue = clip),
        [NESTEROV] = cot_sgd(.learning_rate = 0.01, .momentum = 0.9, .nesterov = true,
                             .schedule = schedule, .clipvalue = clip),
        [ADAM] = cot_adam(.learning_rate = 1e-4, .schedule = schedule, .clipvalue = clip)};
    return cot_model_compile(model, .optimizer = optimizer[shape->optimizer],
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                             .metrics = {COT_ACCURACY, COT_SPARSE_TOP_K_CATEGORICAL_ACCURACY},
                             .max_batch = batch);
}

/*
 * The kernels at the ends of the residual blocks start at a tenth: by Glorot's alone, without
 * normalisation, a hundred blocks double their input's variance a hundred times, and the loss of
 * 1e8 that follows depends on every rounding, so that nobody's could be compared.
 */
static cot_status calm_blocks(const cot_model *model, int64_t blocks) {
    enum { FIRST_LAYER = 2, OF_BLOCK = 4, KERNEL = 2 };
    for (int64_t i = 0; i < blocks; i++) {
        cot_variable *kernel =
            cot_model_weight(model, FIRST_LAYER + OF_BLOCK * (int32_t)i + KERNEL);
        cot_shape shape = cot_variable_shape(kernel);
        size_t n = (size_t)(shape.dim[0] * shape.dim[1]);
        float *value = malloc(n * sizeof *value);
        cot_status status =
            value == NULL ? COT_E_NOMEM : cot_variable_get(kernel, value, n * sizeof *value);
        for (size_t k = 0; k < n && status == COT_OK; k++) {
            value[k] *= 0.1F;
        }
        status = status == COT_OK ? cot_variable_set(kernel, value, n * sizeof *value) : status;
        free(value);
        if (status != COT_OK) {
            return status;
        }
    }
    return COT_OK;
}

/* The library's copy of the data, in huge pages, as NumPy's arrays are for the peers. */
static cot_status make_data(model_subject *own) {
    bench_data *data = &own->data;
    own->x = malloc((size_t)(data->rows * data->x_elements) * sizeof *own->x);
    own->y = malloc((size_t)data->rows * sizeof *own->y);
    if (own->x == NULL || own->y == NULL) {
        return COT_E_NOMEM;
    }
    bench_fill(own->x, data->rows * data->x_elements, 0);
    bench_fill_labels(own->y, data->rows, N_CLASSES, 1);
    data->x = own->x;
    data->y = own->y;
    own->dataset = cot_dataset_create(
        own->base.context,
        COT_ARRAYS({.data = own->x,
                    .dtype = COT_F32,
                    .n_rows = data->rows,
                    .row_elements = data->x_elements}),
        COT_ARRAYS({.data = own->y, .dtype = COT_I32, .n_rows = data->rows, .row_elements = 1}),
        COT_COPY);
    return own->dataset == NULL ? COT_E_NOMEM : COT_OK;
}

static cot_status run(bench_subject *subject, int64_t rounds) {
    model_subject *own = (model_subject *)subject;
    cot_status status =
        cot_model_fit(own->model, own->dataset, .epochs = (int32_t)rounds,
                      .batch_size = own->data.batch, .shuffle = own->shuffle ? COT_ON : COT_OFF,
                      .allow_nonfinite = true, .verbose = COT_VERBOSE_SILENT,
                      .callbacks = {own->csv.filename != NULL ? &own->csv.base : NULL});
    const cot_history *history = cot_model_history(own->model);
    const double *loss = status == COT_OK ? cot_history_values(history, "loss") : NULL;
    subject->loss = loss == NULL ? NAN : 0.0;
    for (int32_t i = 0; loss != NULL && i < cot_history_n_epochs(history); i++) {
        subject->loss += loss[i] / (double)rounds;
    }
    return status;
}

static cot_status write(bench_subject *subject, const char *directory) {
    model_subject *own = (model_subject *)subject;
    int32_t n = cot_model_n_weights(own->model);
    cot_variable **weight = (cot_variable **)calloc((size_t)n + 1, sizeof *weight);
    if (weight == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        weight[i] = cot_model_weight(own->model, i);
    }
    cot_status status = bench_export(directory, weight, n, &own->data);
    free((void *)weight);
    return status;
}

static void destroy(bench_subject *subject) {
    model_subject *own = (model_subject *)subject;
    cot_dataset_destroy(own->dataset);
    cot_model_destroy(own->model);
    free(own->x);
    free(own->y);
    free(own);
}

bench_subject *bench_make_model(cot_context *context, const bench_setup *setup, int32_t variant) {
    const model_shape *shape = &shapes[variant];
    model_subject *own = calloc(1, sizeof *own);
    if (own == NULL) {
        return NULL;
    }
    int64_t batch = setup->batch > 0 ? setup->batch : shape->batch;
    own->shape = shape;
    own->shuffle = setup->shuffle;
    /* Added to: a file is emptied once in a training, and here once a sample would be counted. */
    own->csv = (cot_csv_logger_callback){
        .base = cot_csv_logger_base(), .filename = setup->log, .append = true};
    own->data = (bench_data){.rows = shape->steps * batch,
                             .batch = batch,
                             .x_elements = bench_size(setup, shape->inputs),
                             .y_elements = 1};
    own->base = (bench_subject){.name = shape->name,
                                .what = shape->what,
                                .context = context,
                                .flops = step_flops(shape, setup, batch),
                                .units = shape->steps,
                                .run = run,
                                .write = write,
                                .destroy = destroy};
    own->model = build(context, shape, setup);
    double start = bench_seconds();
    cot_status status = own->model == NULL   ? COT_E_NOMEM
                        : setup->log == NULL ? compile(own->model, shape, batch)
                                             : compile_with_all(own->model, shape, batch);
    own->base.compile_seconds = bench_seconds() - start;
    if (status != COT_OK || calm_blocks(own->model, n_blocks(shape, setup)) != COT_OK ||
        make_data(own) != COT_OK) {
        destroy(&own->base);
        return NULL;
    }
    own->base.info = cot_program_get_info(cot_model_train_program(own->model));
    return &own->base;
}
