/* Models around numbers that are looked at: probe.h. */
#include "probe.h"

#include "effort.h"

#include <stdlib.h>

/* Compiled kernels among the quick tests: one case of so many. */
enum { QUICK_STRIDE = 8 };

static bool use_jit = false;

/* Of all cases, so that a kernel that many of them have is compiled once. */
static cot_context *all_cases = NULL;

int probe_run(int argc, char **argv, const char *file, void (*one)(void **state)) {
    use_jit = argc > 1 && strcmp(argv[1], "jit") == 0;
    int failed = reference_run(file, use_jit && effort_is_quick() ? QUICK_STRIDE : 1, one);
    cot_context_destroy(all_cases);
    all_cases = NULL;
    return failed;
}

cot_context *probe_context(void) {
    cot_options options = {.struct_size = sizeof options,
                           .seed = 1,
                           .threads = 1, /* the cases are tiny */
                           .environment = COT_OFF,
                           .jit = use_jit ? COT_ON : COT_OFF};
    if (all_cases == NULL) {
        all_cases = cot_context_create(&options);
        assert_non_null(all_cases);
    }
    cot_error_clear(all_cases);
    return all_cases;
}

/* ---- the model ---- */

void probe_begin_dense(probe *p, const reference_array *numbers, cot_dense_options options) {
    assert_true(numbers->rank >= 2);
    *p = (probe){.context = probe_context(),
                 .n_rows = numbers->dim[0],
                 .n_last = numbers->dim[numbers->rank - 1]};
    p->n_vectors = numbers->n / p->n_last;
    cot_shape row = {.rank = numbers->rank - 1};
    for (int32_t i = 0; i < row.rank; i++) {
        row.dim[i] = i + 1 < row.rank ? numbers->dim[i + 1] : p->n_vectors;
    }
    p->in = cot_input(p->context, COT_F32, row, "x");
    options.struct_size = sizeof options;
    options.units = p->n_last;
    options.use_bias = COT_OFF;
    options.name = "numbers";
    p->numbers = cot_dense_with(p->in, &options);
    p->identity = calloc((size_t)(p->n_vectors * p->n_vectors), sizeof(float));
    assert_non_null(p->identity);
    for (int64_t i = 0; i < p->n_vectors; i++) {
        p->identity[i * p->n_vectors + i] = 1.0f;
    }
}

void probe_begin(probe *p, const reference_array *numbers) {
    probe_begin_dense(p, numbers, (cot_dense_options)COT_DENSE_OPTIONS_INIT);
}

void probe_end(probe *p) {
    cot_model_destroy(p->model);
    free(p->identity);
    free(p->weights);
}

/* The weight stays, the slot is the gradient. */
static cot_value keep_gradient(const cot_update_step *step, cot_value *new_slot, void *user) {
    (void)user;
    new_slot[0] = step->gradient;
    return step->weight;
}

void probe_compile(probe *p, cot_tensor out, const reference_array *numbers,
                   cot_compile_options options) {
    p->model = cot_model_create(p->context, COT_TENSORS(p->in), COT_TENSORS(out), "probe");
    if (p->model == NULL) {
        fail_msg("%s", cot_error_message(p->context));
    }
    options.struct_size = sizeof options;
    const cot_optimizer *keeper = cot_custom_optimizer(keep_gradient, .n_slots = 1);
    options.optimizer = options.optimizer != NULL ? options.optimizer : keeper;
    CHECK_OK(p->context, cot_model_compile_with(p->model, &options));
    float *value = reference_floats(numbers);
    CHECK_OK(p->context, cot_variable_set(cot_model_weight(p->model, 0), value,
                                          (size_t)numbers->n * sizeof *value));
    free(value);
}

cot_value probe_inner_product(cot_value target, cot_value output, void *user) {
    static const int32_t last[1] = {-1};
    (void)user;
    return cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_MUL, target, output), last, 1, false);
}

/* ---- what it does ---- */

static cot_array input_of(const probe *p) {
    return (cot_array){.data = p->identity,
                       .dtype = COT_F32,
                       .n_rows = p->n_rows,
                       .row_elements = p->n_vectors / p->n_rows * p->n_vectors};
}

double probe_train(probe *p, cot_array target) {
    const cot_array x = input_of(p);
    cot_dataset *data = cot_dataset_create(p->context, (cot_array_list){&x, 1},
                                           (cot_array_list){&target, 1}, COT_BORROW);
    assert_non_null(data);
    cot_dataset *weighted = NULL;
    if (p->weights != NULL) {
        const cot_array w = {.data = p->weights,
                             .dtype = COT_F32,
                             .n_rows = p->n_rows,
                             .row_elements = p->n_weights / p->n_rows};
        weighted = cot_dataset_with_sample_weights(data, (cot_array_list){&w, 1}, COT_BORROW);
        assert_non_null(weighted);
    }
    cot_logs logs;
    CHECK_OK(p->context,
             cot_model_train_on_batch(p->model, weighted != NULL ? weighted : data, &logs));
    double loss = cot_logs_get(&logs, "loss");
    cot_dataset_destroy(weighted);
    cot_dataset_destroy(data);
    return loss;
}

void probe_check_gradient(probe *p, const reference_case *c, const reference_array *expected,
                          double tolerance) {
    int64_t n = p->n_vectors * p->n_last;
    float *gradient = malloc((size_t)n * sizeof *gradient);
    assert_non_null(gradient);
    assert_int_equal(cot_model_n_optimizer_variables(p->model), 3);
    CHECK_OK(p->context, cot_variable_get(cot_model_optimizer_variable(p->model, 2), gradient,
                                          (size_t)n * sizeof *gradient));
    assert_int_equal(expected->n, n);
    reference_check(c, expected, 0, gradient, n, tolerance);
    free(gradient);
}

void probe_check_prediction(probe *p, const reference_case *c, const reference_array *expected,
                            double tolerance) {
    const cot_array x = input_of(p);
    cot_dataset *data =
        cot_dataset_create(p->context, (cot_array_list){&x, 1}, COT_NO_ARRAYS, COT_BORROW);
    float *found = malloc((size_t)expected->n * sizeof *found);
    assert_true(data != NULL && found != NULL);
    CHECK_OK(p->context,
             cot_model_predict(p->model, data,
                               COT_BUFFERS({found, (size_t)expected->n * sizeof *found})));
    reference_check(c, expected, 0, found, expected->n, tolerance);
    cot_dataset_destroy(data);
    free(found);
}

/* ---- arrays ---- */

cot_array probe_floats(const reference_array *array, const float *data) {
    int64_t n_rows = array->dim[0];
    return (cot_array){.data = data,
                       .dtype = COT_F32,
                       .n_rows = n_rows,
                       .row_elements = n_rows > 0 ? array->n / n_rows : 0};
}

cot_array probe_integers(const reference_array *array, const int32_t *data) {
    cot_array a = probe_floats(array, NULL);
    a.data = data;
    a.dtype = COT_I32;
    return a;
}
