/*
 * What the tests of searches share: a line through points, y = x . (1, -2, 0.5) + 0.25, that one
 * dense unit learns, fast or slowly or not at all by its learning rate.
 */
#ifndef SEARCH_SUPPORT_H
#define SEARCH_SUPPORT_H

#include "frontend_support.h"

#include "frontend/data/dataset.h"

enum { ROWS = 40, VALIDATION = 8, FEATURES = 3 };
#define SHARE 0.2

typedef struct problem {
    cot_context *context;
    cot_dataset *data;
    float *x, *y;
} problem;

UNUSED static cot_context *context_with(uint64_t seed, int32_t threads) {
    cot_options options = {.struct_size = sizeof options,
                           .seed = seed,
                           .threads = threads,
                           .environment = COT_OFF,
                           .jit = use_jit ? COT_ON : COT_OFF};
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    return context;
}

UNUSED static void fill_line(float *x, float *y) {
    fill_g(x, ROWS * FEATURES, 3, 2.0);
    for (int i = 0; i < ROWS; i++) {
        y[i] = x[3 * i] - 2.0f * x[3 * i + 1] + 0.5f * x[3 * i + 2] + 0.25f;
    }
}

UNUSED static problem problem_make(uint64_t seed, int32_t threads) {
    problem p = {.context = context_with(seed, threads),
                 .x = calloc(ROWS * FEATURES, sizeof(float)),
                 .y = calloc(ROWS, sizeof(float))};
    fill_line(p.x, p.y);
    cot_array x = array_of(p.x, ROWS, FEATURES), y = array_of(p.y, ROWS, 1);
    p.data =
        cot_dataset_create(p.context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1}, COT_BORROW);
    assert_non_null(p.data);
    return p;
}

UNUSED static void problem_free(problem *p) {
    cot_dataset_destroy(p->data);
    cot_context_destroy(p->context);
    free(p->x);
    free(p->y);
}

UNUSED static cot_model *line_model(cot_context *context, const cot_optimizer *optimizer) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(FEATURES), "x");
    cot_tensor y = cot_dense(x, 1, .name = "y");
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    if (model != NULL) {
        (void)cot_model_compile(model, .optimizer = optimizer, .loss = COT_MEAN_SQUARED_ERROR,
                                .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)},
                                .max_batch = 8);
    }
    return model;
}

/* ---- ways to build ---- */

/* A learning rate, whatever the options are called. */
UNUSED static cot_model *build_plain(const cot_trial *trial, cot_fit_options *fit, void *user) {
    (void)fit;
    (void)user;
    return line_model(cot_trial_context(trial), cot_sgd(.learning_rate = 0.01));
}

UNUSED static cot_model *build_nothing(const cot_trial *trial, cot_fit_options *fit, void *user) {
    (void)trial;
    (void)fit;
    (void)user;
    return NULL;
}

/* "rate", and "batch" where user is not NULL. */
UNUSED static cot_model *build_line(const cot_trial *trial, cot_fit_options *fit, void *user) {
    fit->batch_size = user != NULL ? cot_trial_int(trial, "batch") : 4;
    return line_model(cot_trial_context(trial),
                      cot_sgd(.learning_rate = cot_trial_float(trial, "rate")));
}

UNUSED static cot_model *averaged_model(cot_context *context, double rate) {
    return line_model(context, cot_adam(.learning_rate = rate, .use_ema = true, .ema_momentum = 0.9,
                                        .ema_overwrite_frequency = 0));
}

/* Averages of weights, and callbacks with states. */
UNUSED static cot_model *build_averaged(const cot_trial *trial, cot_fit_options *fit, void *user) {
    (void)user;
    cot_reduce_lr_callback *reduce = cot_trial_alloc(trial, sizeof *reduce);
    cot_early_stopping_callback *stop = cot_trial_alloc(trial, sizeof *stop);
    if (reduce == NULL || stop == NULL) {
        return NULL;
    }
    *reduce = (cot_reduce_lr_callback){.base = cot_reduce_lr_base(), .patience = 2};
    *stop = (cot_early_stopping_callback){.base = cot_early_stopping_base(), .patience = 11};
    fit->callbacks[0] = &reduce->base;
    fit->callbacks[1] = &stop->base;
    fit->batch_size = 4;
    return averaged_model(cot_trial_context(trial), cot_trial_float(trial, "rate"));
}

UNUSED static cot_model *build_impatient(const cot_trial *trial, cot_fit_options *fit, void *user) {
    cot_early_stopping_callback *stop = cot_trial_alloc(trial, sizeof *stop);
    if (stop == NULL) {
        return NULL;
    }
    *stop = (cot_early_stopping_callback){
        .base = cot_early_stopping_base(), .patience = 1, .min_delta = 1e6};
    fit->callbacks[0] = &stop->base;
    return build_line(trial, fit, user);
}

/* ---- searching ---- */

UNUSED static cot_search_options options_for(const problem *p) {
    static const double rate[] = {1e-6, 0.01, 0.2, 1e9};
    static const cot_range range = {
        .name = "rate", .kind = COT_RANGE_NUMBERS, .number = rate, .n = 4};
    cot_search_options o = COT_SEARCH_OPTIONS_INIT;
    o.build = build_line;
    o.ranges = (cot_range_list){&range, 1};
    o.data = p->data;
    o.validation_split = SHARE;
    o.epochs = 6;
    return o;
}

UNUSED static cot_search_result *search_ok(const problem *p, const cot_search_options *options) {
    cot_search_result *result = NULL;
    CHECK_OK(p->context, cot_search_with(p->context, &result, options));
    assert_non_null(result);
    return result;
}

#endif
