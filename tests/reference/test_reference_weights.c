/*
 * Regularizers of weights and of outputs, their numbers and gradients, and constraints after a step
 * of SGD, against Keras's.
 */
#include "probe.h"

#include <math.h>
#include <stdlib.h>

static const double tolerance = 2e-6;

/* A loss of 0: what is left is the regularization. */
static const cot_loss_options *nothing(void) {
    static const cot_loss_options options = {.struct_size = sizeof options,
                                             .function = probe_inner_product,
                                             .reduction = COT_REDUCTION_SUM};
    return &options;
}

static void regularizer(reference_case *c, bool of_output) {
    const reference_array *numbers = reference_need(c, "numbers");
    const char *mode = reference_text(c, "mode");
    const cot_regularizer how = {.struct_size = sizeof how,
                                 .l1 = reference_number(c, "l1", 0.0),
                                 .l2 = reference_number(c, "l2", 0.0),
                                 .orthogonal = reference_number(c, "factor", 0.0),
                                 .vectors = mode != NULL && strcmp(mode, "columns") == 0
                                                ? COT_VECTORS_COLUMNS
                                                : COT_VECTORS_ROWS};
    probe p;
    probe_begin_dense(&p, numbers,
                      (cot_dense_options){.kernel_regularizer = of_output ? NULL : &how,
                                          .activity_regularizer = of_output ? &how : NULL});
    probe_compile(&p, p.numbers, numbers,
                  (cot_compile_options){.loss = COT_CUSTOM_LOSS, .loss_options = nothing()});
    float *zeros = calloc((size_t)numbers->n, sizeof *zeros);
    assert_non_null(zeros);
    double value = probe_train(&p, probe_floats(numbers, zeros));
    reference_check_number(c, "value", value, reference_need(c, "value")->value[0], tolerance);
    probe_check_gradient(&p, c, reference_need(c, "gradient"), tolerance);
    free(zeros);
    probe_end(&p);
}

static double number_of(reference_case *c, const char *key) {
    double value = reference_number(c, key, NAN);
    return isnan(value) ? 0.0 : value == 0.0 ? COT_ZERO : value;
}

static cot_constraint constraint_of(reference_case *c) {
    static const struct {
        const char *name;
        cot_constraint_kind kind;
    } known[] = {{"max_norm", COT_CONSTRAINT_MAX_NORM},
                 {"non_neg", COT_CONSTRAINT_NON_NEG},
                 {"unit_norm", COT_CONSTRAINT_UNIT_NORM},
                 {"min_max_norm", COT_CONSTRAINT_MIN_MAX_NORM}};
    cot_constraint how = COT_CONSTRAINT_INIT;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        how.kind = strcmp(known[i].name, c->name) == 0 ? known[i].kind : how.kind;
    }
    assert_true(how.kind != COT_NO_CONSTRAINT);
    how.max_value = number_of(c, "max_value");
    how.min_value = reference_number(c, "min_value", 0.0);
    how.rate = number_of(c, "rate");
    how.axes[0] = (int32_t)reference_number(c, "axis", 0.0);
    how.n_axes = 1;
    return how;
}

static void constraint(reference_case *c) {
    const reference_array *numbers = reference_need(c, "numbers"),
                          *gradient = reference_need(c, "gradient"),
                          *after = reference_need(c, "after");
    const cot_constraint how = constraint_of(c);
    probe p;
    probe_begin_dense(&p, numbers, (cot_dense_options){.kernel_constraint = &how});
    probe_compile(&p, p.numbers, numbers,
                  (cot_compile_options){.optimizer = cot_sgd(.learning_rate = 0.1),
                                        .loss = COT_CUSTOM_LOSS,
                                        .loss_options = nothing()});
    float *g = reference_floats(gradient), *found = malloc((size_t)after->n * sizeof *found);
    assert_non_null(found);
    (void)probe_train(&p, probe_floats(gradient, g));
    CHECK_OK(p.context, cot_variable_get(cot_model_weight(p.model, 0), found,
                                         (size_t)after->n * sizeof *found));
    reference_check(c, after, 0, found, after->n, tolerance);
    free(g);
    free(found);
    probe_end(&p);
}

static void one_case(void **state) {
    reference_case *c = *state;
    if (strcmp(c->kind, "constraint") == 0) {
        constraint(c);
    } else {
        regularizer(c, strcmp(c->kind, "activity") == 0);
    }
    reference_check_used(c);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "weights.txt", one_case);
}
