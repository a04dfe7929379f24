/*
 * What a weight begins as, what its size adds to the loss, and what updates may not make of it:
 * matrices that are orthonormal, Keras's regularized traces, formulas by hand, gradients against
 * differences.
 */
#include "fit_support.h"

#include "cotangent/inspect.h"

/* ---- initializers ---- */

/* The kernel of a dense layer of `out` units on `in`, with these options. */
static void kernel_of(uint64_t seed, int64_t in, int64_t out, cot_initializer initializer,
                      const cot_initializer_options *numbers, float *value) {
    cot_context *context = new_context(seed);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(in), NULL);
    cot_tensor y = cot_dense(x, out, .kernel_initializer = initializer, .kernel_numbers = numbers);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(model);
    CHECK_OK(context, cot_variable_get(cot_model_weight(model, 0), value,
                                       (size_t)(in * out) * sizeof *value));
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* The fewer of rows and columns are orthonormal, times the gain. */
static void orthogonal_matrices(void **state) {
    (void)state;
    static const int64_t size[][2] = {{1, 1}, {1, 5}, {7, 1}, {20, 8}, {8, 20}, {33, 33}};
    static float w[33 * 33];
    for (size_t c = 0; c < sizeof size / sizeof size[0]; c++) {
        int64_t in = size[c][0], out = size[c][1];
        double gain = c % 2 == 0 ? 1.0 : -2.5;
        kernel_of(3, in, out, COT_ORTHOGONAL, cot_initializer_numbers(.gain = gain), w);
        bool rows = in < out;
        int64_t n = rows ? in : out, length = rows ? out : in;
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < n; j++) {
                double product = 0.0;
                for (int64_t k = 0; k < length; k++) {
                    product += rows ? (double)w[i * out + k] * (double)w[j * out + k]
                                    : (double)w[k * out + i] * (double)w[k * out + j];
                }
                CHECK_NEAR(product, i == j ? gain * gain : 0.0, 2e-6);
            }
        }
    }
}

static void identity_matrices(void **state) {
    (void)state;
    static const double expected[6] = {3, 0, 0, 3, 0, 0};
    float w[6];
    kernel_of(1, 3, 2, COT_IDENTITY, cot_initializer_numbers(.gain = 3), w);
    check_floats("kernel", w, expected, 6, 0.0);
}

static void seeds_of_ones_own(void **state) {
    (void)state;
    float a[12], b[12], c[12], d[12];
    kernel_of(1, 3, 4, COT_HE_NORMAL, cot_initializer_numbers(.seed = 5), a);
    kernel_of(2, 3, 4, COT_HE_NORMAL, cot_initializer_numbers(.seed = 5), b);
    kernel_of(1, 3, 4, COT_HE_NORMAL, cot_initializer_numbers(.seed = 6), c);
    kernel_of(5, 3, 4, COT_HE_NORMAL, NULL, d); /* the same number, as the context's seed */
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_not_equal(a, d, sizeof a);
}

/* Means, and the limits of a range that is not around 0. */
static void ranges_and_means(void **state) {
    (void)state;
    enum { N = 40 * 50 };
    static float w[N];
    double sum = 0.0;
    kernel_of(4, 40, 50, COT_RANDOM_UNIFORM, cot_initializer_numbers(.minval = 2, .maxval = 3), w);
    for (int i = 0; i < N; i++) {
        assert_true(w[i] >= 2.0f && w[i] <= 3.0f);
        sum += (double)w[i];
    }
    CHECK_NEAR(sum / (double)N, 2.5, 6 * 0.29 / sqrt(N));
    kernel_of(4, 40, 50, COT_TRUNCATED_NORMAL, cot_initializer_numbers(.mean = -7, .stddev = 0.5),
              w);
    sum = 0.0;
    for (int i = 0; i < N; i++) {
        assert_true(w[i] >= -8.0f && w[i] <= -6.0f);
        sum += (double)w[i];
    }
    CHECK_NEAR(sum / (double)N, -7.0, 6 * 0.45 / sqrt(N));
}

/* ---- regularizers ---- */

typedef struct regular {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float x[40], y[10];
} regular;

/* 4 -> 3 relu -> 1, "setw"; ten rows. */
static void begin_regular(regular *r, const cot_dense_options *first) {
    r->context = new_context(1);
    cot_tensor in = cot_input(r->context, COT_F32, COT_SHAPE(4), NULL);
    cot_dense_options options = *first;
    options.struct_size = sizeof options;
    options.units = 3;
    options.activation = COT_RELU;
    cot_tensor h = cot_dense_with(in, &options);
    cot_tensor out = cot_dense(h, 1);
    r->model = cot_model_create(r->context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_non_null(r->model);
    set_weights(r->model);
    fill_g(r->x, 40, 0, 2.0);
    fill_g(r->y, 10, 40, 1.0);
    const cot_array x = array_of(r->x, 10, 4), y = array_of(r->y, 10, 1);
    r->data = cot_dataset_create(r->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
}

static void end_regular(regular *r) {
    cot_dataset_destroy(r->data);
    cot_model_destroy(r->model);
    cot_context_destroy(r->context);
}

static double loss_of(const regular *r, int64_t batch) {
    cot_logs report;
    CHECK_OK(r->context, cot_model_evaluate(r->model, r->data, &report, .batch_size = batch));
    return cot_logs_get(&report, "loss");
}

static void a_regularized_fit_of_keras(void **state) {
    (void)state;
    static const double losses[2] = {0.2628987729549408, 0.1764703094959259};
    regular r;
    begin_regular(&r, &(cot_dense_options){.kernel_regularizer = cot_l2(0.01),
                                           .activity_regularizer = cot_l1(0.1)});
    CHECK_OK(r.context, cot_model_compile(r.model, .optimizer = cot_sgd(.learning_rate = 0.1),
                                          .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_NEAR(loss_of(&r, 4), 0.2955523431301117, 2e-7);
    CHECK_OK(r.context, cot_model_fit(r.model, r.data, .epochs = 2, .batch_size = 5,
                                      .shuffle = COT_OFF, .validation_data = r.data));
    check_history(r.model, "loss", losses, 2, 5e-7);
    const double after[1] = {loss_of(&r, 5)};
    CHECK_NEAR(cot_history_values(cot_model_history(r.model), "val_loss")[1], after[0], 1e-12);
    end_regular(&r);
}

static void weights_of(const regular *r, int32_t i, double *out, int64_t n) {
    float value[16];
    CHECK_OK(r->context,
             cot_variable_get(cot_model_weight(r->model, i), value, (size_t)n * sizeof *value));
    for (int64_t k = 0; k < n; k++) {
        out[k] = (double)value[k];
    }
}

/* Mean over pairs of rows (or columns) of |cosine|, by factor. */
static double orthogonality(const double *w, int64_t rows, int64_t columns, bool of_rows) {
    int64_t n = of_rows ? rows : columns, length = of_rows ? columns : rows;
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < i; j++) {
            double ij = 0.0, ii = 0.0, jj = 0.0;
            for (int64_t k = 0; k < length; k++) {
                double a = of_rows ? w[i * columns + k] : w[k * columns + i];
                double b = of_rows ? w[j * columns + k] : w[k * columns + j];
                ij += a * b;
                ii += a * a;
                jj += b * b;
            }
            sum += fabs(ij) / sqrt(ii * jj);
        }
    }
    return sum / ((double)n * ((double)n - 1) / 2);
}

static cot_value cubes(cot_value w, void *user) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const double *factor = user;
    cot_value cube = cot_op_binary(COT_OP_MUL, w, cot_op_binary(COT_OP_MUL, w, w));
    cot_value sum = cot_op_reduce(COT_OP_SUM, cube, axes, cot_value_shape(w).rank, false);
    return cot_op_binary(COT_OP_MUL, sum, cot_op_constant(w.graph, COT_F32, *factor));
}

/* What each regularizer adds to the loss of the same model without. */
static void terms_by_hand(void **state) {
    (void)state;
    static double factor = 0.3;
    double w[12], b[3], l1 = 0.0, l2 = 0.0, cube = 0.0, of_bias = 0.0;
    regular plain;
    begin_regular(&plain, &(cot_dense_options){.units = 3});
    CHECK_OK(plain.context, cot_model_compile(plain.model, .loss = COT_MEAN_SQUARED_ERROR));
    double base = loss_of(&plain, 10);
    weights_of(&plain, 0, w, 12);
    weights_of(&plain, 1, b, 3);
    for (int i = 0; i < 12; i++) {
        l1 += fabs(w[i]);
        l2 += w[i] * w[i];
        cube += w[i] * w[i] * w[i];
    }
    for (int i = 0; i < 3; i++) {
        of_bias += b[i] * b[i];
    }
    const struct {
        cot_dense_options options;
        double expected;
    } cases[] = {
        {{.kernel_regularizer = cot_l1(0.01)}, 0.01 * l1},
        {{.kernel_regularizer = cot_l2(0.01)}, 0.01 * l2},
        {{.kernel_regularizer = cot_l1_l2(0.5, 0.25)}, 0.5 * l1 + 0.25 * l2},
        {{.bias_regularizer = cot_l2(0.1), .kernel_regularizer = cot_l1(0.2)},
         0.1 * of_bias + 0.2 * l1},
        {{.kernel_regularizer = cot_orthogonal_regularizer(0.01, COT_VECTORS_ROWS)},
         0.01 * orthogonality(w, 4, 3, true)},
        {{.kernel_regularizer = cot_orthogonal_regularizer(2.0, COT_VECTORS_COLUMNS)},
         2.0 * orthogonality(w, 4, 3, false)},
        {{.kernel_regularizer = cot_regularizer_of(.function = cubes, .user = &factor)},
         0.3 * cube},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        regular r;
        begin_regular(&r, &cases[i].options);
        CHECK_OK(r.context, cot_model_compile(r.model, .loss = COT_MEAN_SQUARED_ERROR));
        CHECK_NEAR(loss_of(&r, 10) - base, cases[i].expected, 1e-6);
        CHECK_NEAR(loss_of(&r, 3) - base, cases[i].expected, 1e-6); /* of no batch's size */
        end_regular(&r);
    }
    end_regular(&plain);
}

/* A frozen layer's weights cost nothing; its outputs do. */
static void frozen_weights_are_not_regularized(void **state) {
    (void)state;
    regular r;
    begin_regular(&r, &(cot_dense_options){.trainable = COT_OFF, .kernel_regularizer = cot_l2(9)});
    CHECK_OK(r.context, cot_model_compile(r.model, .loss = COT_MEAN_SQUARED_ERROR));
    double base = loss_of(&r, 10);
    assert_true(base < 1.0);
    cot_layer *first = cot_model_layer(r.model, 1);
    CHECK_OK(r.context, cot_layer_set_activity_regularizer(first, cot_l2(0.5)));
    CHECK_OK(r.context, cot_model_compile(r.model, .loss = COT_MEAN_SQUARED_ERROR));
    float h[30];
    cot_tensor in = cot_model_input(r.model, 0);
    cot_tensor out = cot_call(first, in);
    cot_model *half = cot_model_create(r.context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    CHECK_OK(r.context, cot_model_compile(half, .max_batch = 16));
    CHECK_OK(r.context, cot_model_predict(half, r.data, COT_BUFFERS({h, sizeof h})));
    double squares = 0.0;
    for (int i = 0; i < 30; i++) {
        squares += (double)h[i] * (double)h[i];
    }
    CHECK_NEAR(loss_of(&r, 10) - base, 0.5 * squares / 10, 1e-6);
    CHECK_OK(r.context, cot_layer_set_activity_regularizer(first, NULL));
    CHECK_OK(r.context, cot_model_compile(r.model, .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_NEAR(loss_of(&r, 10), base, 0.0);
    cot_model_destroy(half);
    end_regular(&r);
}

/* Gradients of every term, against differences. */
static void gradients_of_terms(void **state) {
    (void)state;
    regular r;
    cot_gradcheck_report report;
    begin_regular(
        &r, &(cot_dense_options){.kernel_regularizer =
                                     cot_regularizer_of(.l1 = 0.1, .l2 = 0.2, .orthogonal = 0.5),
                                 .bias_regularizer = cot_l1_l2(0.3, 0.1),
                                 .activity_regularizer = cot_l2(0.2)});
    CHECK_OK(r.context,
             cot_model_compile(r.model, .optimizer = cot_sgd(), .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_OK(r.context, cot_model_gradcheck(r.model, NULL, &report));
    assert_true(report.passed);
    end_regular(&r);
}

/* ---- constraints ---- */

static cot_value halve(cot_value w, void *user) {
    (void)user;
    return cot_op_binary(COT_OP_MUL, w, cot_op_constant(w.graph, COT_F32, 0.5));
}

/* What a constraint makes of w [4, 3]. */
static void constrain(const cot_constraint *c, const double *w, double *out) {
    bool rows = c->n_axes > 0 && c->axes[0] == 1;
    double most = c->max_value != 0.0                  ? c->max_value
                  : c->kind == COT_CONSTRAINT_MAX_NORM ? 2.0
                                                       : 1.0;
    double rate = c->rate != 0.0 ? c->rate : 1.0;
    for (int i = 0; i < 12; i++) {
        double squares = 0.0;
        for (int k = 0; k < 12; k++) {
            bool beside = rows ? k / 3 == i / 3 : k % 3 == i % 3;
            squares += beside ? w[k] * w[k] : 0.0;
        }
        double norm = sqrt(squares), wanted = norm;
        if (c->kind == COT_CONSTRAINT_MAX_NORM) {
            wanted = fmin(norm, most);
        } else if (c->kind == COT_CONSTRAINT_UNIT_NORM) {
            wanted = 1.0;
        } else if (c->kind == COT_CONSTRAINT_MIN_MAX_NORM) {
            wanted = rate * fmax(c->min_value, fmin(most, norm)) + (1 - rate) * norm;
        }
        out[i] = c->kind == COT_CONSTRAINT_NON_NEG  ? fmax(w[i], 0.0)
                 : c->kind == COT_CONSTRAINT_CUSTOM ? w[i] / 2
                                                    : w[i] * wanted / (norm + 1e-7);
    }
}

/* One step with a constraint is the constraint of one step without. */
static void constraints_end_a_step(void **state) {
    (void)state;
    const cot_constraint *cases[] = {
        cot_max_norm(.max_value = 0.5),
        cot_max_norm(),
        cot_max_norm(.max_value = 0.3, .axes = {1}, .n_axes = 1),
        cot_non_neg(),
        cot_unit_norm(),
        cot_unit_norm(.axes = {1}, .n_axes = 1),
        cot_min_max_norm(.min_value = 0.4, .max_value = 0.6),
        cot_min_max_norm(.min_value = 0.9, .rate = 0.25),
        cot_custom_constraint(halve),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double w[12], expected[12];
        for (int constrained = 0; constrained < 2; constrained++) {
            regular r;
            begin_regular(&r,
                          &(cot_dense_options){.kernel_constraint = constrained ? cases[i] : NULL});
            CHECK_OK(r.context,
                     cot_model_compile(r.model, .optimizer = cot_adam(.learning_rate = 0.05),
                                       .loss = COT_MEAN_SQUARED_ERROR));
            CHECK_OK(r.context, cot_model_train_on_batch(r.model, r.data, NULL));
            if (constrained) {
                check_variable(cot_model_weight(r.model, 0), expected, 2e-6);
            } else {
                weights_of(&r, 0, w, 12);
                constrain(cases[i], w, expected);
            }
            end_regular(&r);
        }
    }
}

/* A column of zeros has no norm to bring to 1, and makes no NaN. */
static void a_zero_norm_stays(void **state) {
    (void)state;
    regular r;
    static const float zeros[12] = {0};
    begin_regular(&r, &(cot_dense_options){.kernel_constraint = cot_unit_norm()});
    CHECK_OK(r.context, cot_variable_set(cot_model_weight(r.model, 0), zeros, sizeof zeros));
    CHECK_OK(r.context, cot_model_compile(r.model, .optimizer = cot_sgd(.learning_rate = COT_ZERO),
                                          .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_OK(r.context, cot_model_train_on_batch(r.model, r.data, NULL));
    double w[12];
    weights_of(&r, 0, w, 12);
    for (int i = 0; i < 12; i++) {
        assert_true(w[i] == 0.0);
    }
    end_regular(&r);
}

/* ---- misuse ---- */

static cot_value nothing(cot_value w, void *user) {
    (void)w;
    (void)user;
    return (cot_value){NULL, 0};
}
static cot_value itself(cot_value w, void *user) {
    (void)user;
    return w;
}
static cot_value a_number(cot_value w, void *user) {
    (void)user;
    return cot_op_constant(w.graph, COT_F32, 1.0);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    const struct {
        cot_dense_options options;
        cot_status status;
        const char *text;
    } cases[] = {
        {{.kernel_numbers = cot_initializer_numbers(.stddev = -1)},
         COT_E_ARG,
         "kernel_initializer: stddev is -1"},
        {{.bias_numbers = cot_initializer_numbers(.minval = 1, .maxval = -1)},
         COT_E_ARG,
         "minval 1, maxval -1"},
        {{.kernel_numbers = cot_initializer_numbers(.mode = (cot_fan)9)}, COT_E_ARG, "mode 9"},
        {{.bias_initializer = COT_ORTHOGONAL}, COT_E_SHAPE, "d/bias has rank 1"},
        {{.bias_initializer = COT_IDENTITY}, COT_E_SHAPE, "(identity) expects 2"},
        {{.kernel_initializer = (cot_initializer)77}, COT_E_ARG, "kernel_initializer 77"},
        {{.kernel_regularizer = cot_l2(-0.1)}, COT_E_ARG, "kernel_regularizer: l2 is -0.1"},
        {{.activity_regularizer = cot_l1(NAN)}, COT_E_ARG, "activity_regularizer: l1 is nan"},
        {{.bias_regularizer = cot_orthogonal_regularizer(0.1, COT_VECTORS_ROWS)},
         COT_E_SHAPE,
         "orthogonal regularizer expects 2"},
        {{.kernel_regularizer = cot_orthogonal_regularizer(0.1, (cot_vectors)5)},
         COT_E_ARG,
         "5 is no cot_vectors"},
        {{.kernel_constraint = cot_max_norm(.max_value = -1)}, COT_E_ARG, "norms from 0 to -1"},
        {{.kernel_constraint = cot_min_max_norm(.min_value = 3)}, COT_E_ARG, "norms from 3 to 1"},
        {{.kernel_constraint = cot_min_max_norm(.rate = 2)}, COT_E_ARG, "at a rate of 2"},
        {{.kernel_constraint = cot_unit_norm(.axes = {1, 0}, .n_axes = 2)},
         COT_E_ARG,
         "axes must ascend"},
        {{.bias_constraint = cot_unit_norm(.axes = {1}, .n_axes = 1)},
         COT_E_SHAPE,
         "norms over axis 1"},
        {{.kernel_constraint = cot_custom_constraint(NULL)}, COT_E_ARG, "function is NULL"},
        {{.kernel_constraint = cot_constraint_of((cot_constraint_kind)9, .n_axes = 0)},
         COT_E_ARG,
         "9 is no constraint"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_context *context = new_context(1);
        cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
        cot_dense_options options = cases[i].options;
        options.struct_size = sizeof options;
        options.units = 3;
        options.name = "d";
        assert_int_equal(cot_dense_with(x, &options).id, 0);
        CHECK_ERROR(context, cases[i].status, cases[i].text);
        assert_string_equal(cot_layer_name(cot_tensor_layer(cot_dense(x, 2))), "dense");
        cot_context_destroy(context);
    }
    assert_int_equal(cot_layer_set_activity_regularizer(NULL, NULL), COT_E_ARG);
}

/* Functions that give what they may not: compile says so. */
static void wrong_functions_are_refused(void **state) {
    (void)state;
    const struct {
        cot_dense_options options;
        const char *text;
    } cases[] = {
        {{.kernel_regularizer = cot_regularizer_of(.function = nothing)},
         "a regularizer's function gives no value"},
        {{.activity_regularizer = cot_regularizer_of(.function = itself)},
         "a regularizer's function gives f32[N,3]"},
        {{.kernel_constraint = cot_custom_constraint(nothing)},
         "a constraint's function gives no value of the weight's graph, dtype and shape, f32[4,3]"},
        {{.kernel_constraint = cot_custom_constraint(a_number)}, "a constraint's function"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        regular r;
        begin_regular(&r, &cases[i].options);
        cot_status status =
            cot_model_compile(r.model, .optimizer = cot_sgd(), .loss = COT_MEAN_SQUARED_ERROR);
        assert_int_not_equal(status, COT_OK);
        CHECK_ERROR(r.context, status, cases[i].text);
        end_regular(&r);
    }
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orthogonal_matrices),
        cmocka_unit_test(identity_matrices),
        cmocka_unit_test(seeds_of_ones_own),
        cmocka_unit_test(ranges_and_means),
        cmocka_unit_test(a_regularized_fit_of_keras),
        cmocka_unit_test(terms_by_hand),
        cmocka_unit_test(frozen_weights_are_not_regularized),
        cmocka_unit_test(gradients_of_terms),
        cmocka_unit_test(constraints_end_a_step),
        cmocka_unit_test(a_zero_norm_stays),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(wrong_functions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
