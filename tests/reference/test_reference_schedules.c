/*
 * Every schedule against Keras's over 1,000 steps: the rate that each training step leaves in the
 * optimizer's variable.
 */
#include "probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the largest rate of the schedule. Keras computes powers and cosines of the step in f32; of
 * restarts, the number of rounds, of which there are up to 40 here: numbers that are 4e-6 apart. */
static double tolerance_of(const reference_case *c) {
    return strcmp(c->name, "cosine_decay_restarts") == 0 ? 4e-6 : 1e-6;
}

enum { N_STEPS = 1000, MOST_BOUNDARIES = 8 };

/* A schedule, and what it borrows. */
typedef struct plan {
    union {
        cot_schedule base;
        cot_exponential_decay_options exponential; /* and inverse time */
        cot_piecewise_constant_decay_options piecewise;
        cot_polynomial_decay_options polynomial;
        cot_cosine_decay_options cosine;
        cot_cosine_decay_restarts_options restarts;
    } as;
    int64_t boundaries[MOST_BOUNDARIES];
    double values[MOST_BOUNDARIES + 1];
} plan;

static double number_of(reference_case *c, const char *key) {
    double value = reference_number(c, key, NAN);
    return isnan(value) ? 0.0 : value == 0.0 ? COT_ZERO : value;
}

static void read_pieces(reference_case *c, plan *p) {
    const reference_array *boundaries = reference_need(c, "boundaries"),
                          *values = reference_need(c, "values");
    assert_true(boundaries->n <= MOST_BOUNDARIES && values->n == boundaries->n + 1);
    for (int64_t i = 0; i < boundaries->n; i++) {
        p->boundaries[i] = (int64_t)boundaries->value[i];
    }
    for (int64_t i = 0; i < values->n; i++) {
        p->values[i] = values->value[i];
    }
    p->as.piecewise = (cot_piecewise_constant_decay_options){
        .base = {sizeof p->as.piecewise, COT_SCHEDULE_PIECEWISE_CONSTANT_DECAY},
        .boundaries = p->boundaries,
        .values = p->values,
        .n_boundaries = (int32_t)boundaries->n};
}

static void read_plan(reference_case *c, plan *p) {
    const double initial = number_of(c, "initial_learning_rate"),
                 steps = number_of(c, "decay_steps"), alpha = number_of(c, "alpha");
    int kind = COT_SCHEDULE_NONE;
    while (strcmp(cot_schedule_name((cot_schedule_kind)kind), c->name) != 0) {
        assert_true(++kind < (int)COT_SCHEDULE_CUSTOM_SCHEDULE);
    }
    *p = (plan){.boundaries = {0}};
    if (kind == COT_SCHEDULE_PIECEWISE_CONSTANT_DECAY) {
        read_pieces(c, p);
    } else if (kind == COT_SCHEDULE_POLYNOMIAL_DECAY) {
        p->as.polynomial =
            (cot_polynomial_decay_options){{sizeof p->as.polynomial, COT_SCHEDULE_POLYNOMIAL_DECAY},
                                           initial,
                                           steps,
                                           number_of(c, "end_learning_rate"),
                                           number_of(c, "power"),
                                           reference_switch(c, "cycle")};
    } else if (kind == COT_SCHEDULE_COSINE_DECAY) {
        p->as.cosine = (cot_cosine_decay_options){{sizeof p->as.cosine, COT_SCHEDULE_COSINE_DECAY},
                                                  initial,
                                                  steps,
                                                  alpha,
                                                  number_of(c, "warmup_target"),
                                                  number_of(c, "warmup_steps")};
    } else if (kind == COT_SCHEDULE_COSINE_DECAY_RESTARTS) {
        p->as.restarts = (cot_cosine_decay_restarts_options){
            {sizeof p->as.restarts, COT_SCHEDULE_COSINE_DECAY_RESTARTS},
            initial,
            number_of(c, "first_decay_steps"),
            number_of(c, "t_mul"),
            number_of(c, "m_mul"),
            alpha};
    } else {
        p->as.exponential =
            (cot_exponential_decay_options){{sizeof p->as.exponential, (cot_schedule_kind)kind},
                                            initial,
                                            steps,
                                            number_of(c, "decay_rate"),
                                            reference_switch(c, "staircase")};
    }
}

static void check_rates(reference_case *c, cot_model *model, const cot_dataset *data) {
    const reference_array *steps = reference_need(c, "steps"), *rates = reference_need(c, "rates");
    double largest = 0.0;
    for (int64_t i = 0; i < rates->n; i++) {
        largest = fmax(largest, rates->value[i]);
    }
    for (int64_t step = 0, i = 0; step < N_STEPS; step++) {
        float rate = NAN;
        CHECK_OK(probe_context(), cot_model_train_on_batch(model, data, NULL));
        if (i == steps->n || (double)step != steps->value[i]) {
            continue;
        }
        CHECK_OK(probe_context(),
                 cot_variable_get(cot_model_optimizer_variable(model, 1), &rate, sizeof rate));
        if (!(fabs((double)rate - rates->value[i]) <= tolerance_of(c) * largest)) {
            fail_msg("%s:%d: %s: %.9g at step %d, expected %.9g", c->file, c->line, c->title,
                     (double)rate, (int)step, rates->value[i]);
        }
        i++;
    }
}

static void a_thousand_steps(void **state) {
    reference_case *c = *state;
    static const float one[1] = {1};
    const cot_array x = {.data = one, .dtype = COT_F32, .n_rows = 1, .row_elements = 1};
    plan p;
    read_plan(c, &p);
    cot_tensor in = cot_input(probe_context(), COT_F32, COT_SHAPE(1), NULL);
    cot_tensor out = cot_dense(in, 1, .use_bias = COT_OFF);
    cot_model *model = cot_model_create(in.context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_non_null(model);
    CHECK_OK(in.context, cot_model_compile(model, .optimizer = cot_sgd(.schedule = &p.as.base),
                                           .loss = COT_MEAN_SQUARED_ERROR));
    cot_dataset *data = cot_dataset_create(in.context, (cot_array_list){&x, 1},
                                           (cot_array_list){&x, 1}, COT_BORROW);
    assert_non_null(data);
    check_rates(c, model, data);
    reference_check_used(c);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "schedules.txt", a_thousand_steps);
}
