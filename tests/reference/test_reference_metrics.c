/*
 * Every metric against Keras's, weighted and not: of the rows of the first batch, of the first two,
 * and so on, evaluated batch by batch.
 */
#include "probe.h"

#include <stdlib.h>

/* Keras sums in f32, ten rows of up to 15 values; we in f64. */
static const double tolerance = 2e-6;

enum { BATCH = 4 };

static cot_metric metric_of(const reference_case *c) {
    for (int metric = 1; metric < (int)COT_METRIC_COUNT; metric++) {
        if (strcmp(cot_metric_name((cot_metric)metric), c->name) == 0) {
            return (cot_metric)metric;
        }
    }
    for (int loss = 1; loss < (int)COT_CUSTOM_LOSS; loss++) {
        if (strcmp(cot_loss_name((cot_loss)loss), c->name) == 0) {
            return COT_LOSS_AS_METRIC(loss);
        }
    }
    fail_msg("no metric %s", c->name);
    return COT_NO_METRIC;
}

static bool is_sparse(const reference_case *c) {
    return strncmp(c->name, "sparse_", strlen("sparse_")) == 0;
}

/* A model that passes rows through. */
static cot_model *identity(reference_case *c, const reference_array *output) {
    cot_shape row = {.rank = output->rank - 1};
    for (int32_t i = 0; i < row.rank; i++) {
        row.dim[i] = output->dim[i + 1];
    }
    cot_tensor x = cot_input(probe_context(), COT_F32, row, NULL);
    cot_tensor y = cot_activation(x, COT_LINEAR);
    cot_model *model = cot_model_create(x.context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(model);
    const cot_metric metric = metric_of(c);
    const bool weighted = reference_find(c, "weights") != NULL;
    cot_compile_options options = COT_COMPILE_OPTIONS_INIT;
    options.top_k = (int32_t)reference_number(c, "top_k", 0);
    *(weighted ? options.weighted_metrics : options.metrics) = metric;
    CHECK_OK(x.context, cot_model_compile_with(model, &options));
    return model;
}

/* The one number of an evaluation that is not the loss. */
static double judged(cot_model *model, const cot_dataset *data) {
    cot_logs logs;
    CHECK_OK(probe_context(), cot_model_evaluate(model, data, &logs, .batch_size = BATCH));
    for (int32_t i = 0; i < logs.n; i++) {
        if (strcmp(logs.log[i].name, "loss") != 0) {
            return logs.log[i].value;
        }
    }
    fail_msg("no metric in the logs");
    return 0.0;
}

/* Rows [0, n) of the case. `data` is what its arrays are as numbers. */
typedef struct columns {
    float *output, *target, *weights;
    int32_t *classes;
} columns;

static cot_dataset *first_rows(reference_case *c, const columns *all, int64_t n) {
    const reference_array *target = reference_need(c, "target");
    cot_array x = probe_floats(reference_need(c, "output"), all->output);
    cot_array t =
        is_sparse(c) ? probe_integers(target, all->classes) : probe_floats(target, all->target);
    x.n_rows = t.n_rows = n;
    cot_dataset *data = cot_dataset_create(probe_context(), (cot_array_list){&x, 1},
                                           (cot_array_list){&t, 1}, COT_BORROW);
    assert_non_null(data);
    if (all->weights == NULL) {
        return data;
    }
    const cot_array w = {.data = all->weights, .dtype = COT_F32, .n_rows = n, .row_elements = 1};
    cot_dataset *weighted =
        cot_dataset_with_sample_weights(data, (cot_array_list){&w, 1}, COT_BORROW);
    assert_non_null(weighted);
    cot_dataset_destroy(data);
    return weighted;
}

static void after_each_batch(void **state) {
    reference_case *c = *state;
    const reference_array *output = reference_need(c, "output"),
                          *target = reference_need(c, "target"),
                          *weights = reference_find(c, "weights"),
                          *expected = reference_need(c, "values");
    columns all = {.output = reference_floats(output),
                   .target = reference_floats(target),
                   .weights = weights != NULL ? reference_floats(weights) : NULL,
                   .classes = is_sparse(c) ? reference_integers(target) : NULL};
    cot_model *model = identity(c, output);
    for (int64_t i = 0; i < expected->n; i++) {
        int64_t n = BATCH * (i + 1) < output->dim[0] ? BATCH * (i + 1) : output->dim[0];
        cot_dataset *data = first_rows(c, &all, n);
        reference_check_number(c, "the value", judged(model, data), expected->value[i], tolerance);
        cot_dataset_destroy(data);
    }
    reference_check_used(c);
    cot_model_destroy(model);
    free(all.output);
    free(all.target);
    free(all.weights);
    free(all.classes);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "metrics.txt", after_each_batch);
}
