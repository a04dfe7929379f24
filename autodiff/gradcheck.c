/*
 * The public gradient check: take points until one decides, compare at it, find what is at fault,
 * report.
 *
 *     points    random ones until one is finite and free of kinks; all of them fixed by the seed
 *     probe     every comparison at that point: derivatives against differences; if asked, the
 *               gradient in the graph's own dtypes; and the derivatives of the gradient, as a graph
 *               of its own
 *     culprit   after a failure the smallest part of the graph that fails
 *     report    the worst comparison, in numbers and as one line of text
 */
#include "gradcheck.h"

#include <math.h>
#include <string.h>

/* Elements of a Jacobian that is compared whole. */
#define MOST_JACOBIAN (INT64_C(1) << 24)

/* ---- options ---- */

static cot_status take_options(cot_context *context, const cot_gradcheck_options *given,
                               cot_gradcheck_options *options) {
    *options = (cot_gradcheck_options)COT_GRADCHECK_OPTIONS_INIT;
    if (given != NULL) {
        if (given->struct_size < sizeof given->struct_size ||
            given->struct_size > sizeof *options) {
            return COTI_FAIL(context, COT_E_ARG, "gradcheck: struct_size is %zu, expected %zu",
                             given->struct_size, sizeof *options);
        }
        memcpy(options, given, given->struct_size);
    }
    if (options->rows < 0 || options->n_directions < 0 || options->n_points < 0 ||
        options->max_elements < 0 || options->integer_bound < 0) {
        return COTI_FAIL(context, COT_E_ARG, "gradcheck: a count in the options is negative");
    }
    const double real[] = {options->tolerance, options->second_tolerance, options->step};
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        if (!(real[i] >= 0) || !isfinite(real[i])) {
            return COTI_FAIL(context, COT_E_ARG,
                             "gradcheck: tolerance or step is negative or not finite");
        }
    }
    return COT_OK;
}

static cot_status take_data(cot_context *context, const cot_gradcheck_options *options) {
    if (options->n_data < 0 || (options->n_data > 0 && options->data == NULL)) {
        return COTI_FAIL(context, COT_E_ARG, "gradcheck: data is NULL or n_data negative");
    }
    for (int32_t i = 0; i < options->n_data; i++) {
        if (options->data[i].input == NULL || options->data[i].data == NULL) {
            return COTI_FAIL(context, COT_E_ARG, "gradcheck: data %d lacks a name or data", (int)i);
        }
    }
    return COT_OK;
}

static void fill_defaults(cot_gradcheck_options *options) {
    options->rows = options->rows == 0 ? 3 : options->rows;
    options->tolerance = options->tolerance == 0 ? 1e-6 : options->tolerance;
    options->second_tolerance = options->second_tolerance == 0 ? 1e-5 : options->second_tolerance;
    options->step = options->step == 0 ? 1e-3 : options->step;
    options->n_directions = options->n_directions == 0 ? 3 : options->n_directions;
    options->n_points = options->n_points == 0 ? 8 : options->n_points;
    options->max_elements = options->max_elements == 0 ? 64 : options->max_elements;
    options->integer_bound = options->integer_bound == 0 ? 3 : options->integer_bound;
}

static cot_status check_options(coti_check_job *j, const cot_gradcheck_options *given) {
    COTI_TRY(take_options(j->context, given, &j->options));
    COTI_TRY(take_data(j->context, &j->options));
    fill_defaults(&j->options);
    return COT_OK;
}

static coti_check_settings settings_for(const coti_check_job *j, bool second, uint64_t seed) {
    const cot_gradcheck_options *o = &j->options;
    return (coti_check_settings){.tolerance = second ? o->second_tolerance : o->tolerance,
                                 .step = o->step,
                                 .n_directions = o->n_directions,
                                 .max_elements = o->jacobian == COT_OFF ? 0 : o->max_elements,
                                 .whole = o->jacobian == COT_ON,
                                 .seed = seed};
}

/* ---- what is checked ---- */

static cot_status make_room(coti_check *check, bool whole, coti_check_result *result) {
    size_t n = (size_t)check->n_leaves;
    int64_t elements = 0;
    if (whole && (!coti_size_mul(check->n_x, check->n_y, &elements) || elements > MOST_JACOBIAN)) {
        return COTI_FAIL(check->context, COT_E_ARG,
                         "gradcheck: the whole Jacobian would have %lld x %lld elements",
                         (long long)check->n_y, (long long)check->n_x);
    }
    result->leaf_error = coti_arena_array(&check->arena, n, sizeof *result->leaf_error);
    result->leaf_compared = coti_arena_array(&check->arena, n, sizeof *result->leaf_compared);
    bool made = result->leaf_error != NULL && result->leaf_compared != NULL;
    return made ? COT_OK : COT_E_NOMEM;
}

/* Name the inputs of the gradient's graph after what they stand for. */
static cot_status name_leaves(coti_check_job *j) {
    coti_check *second = j->second;
    const cot_graph *graph = j->gradient;
    int32_t k = 0;
    for (int32_t i = 0; i < second->n_leaves; i++) {
        coti_check_part *leaf = &second->leaf[i];
        while (graph->input.data[k] != leaf->id) {
            k++;
        }
        bool is_leaf = k < j->check->n_leaves;
        leaf->name = is_leaf ? j->check->leaf[k].name
                             : coti_arena_printf(&second->arena, "cotangent of %s",
                                                 j->check->output[k - j->check->n_leaves].name);
        if (leaf->name == NULL) {
            return COT_E_NOMEM;
        }
    }
    return COT_OK;
}

/* And its outputs, one for each leaf that is a float. */
static cot_status name_outputs(coti_check_job *j) {
    coti_check *second = j->second;
    int32_t n = 0;
    for (int32_t i = 0; i < j->check->n_leaves; i++) {
        const coti_check_part *leaf = &j->check->leaf[i];
        if (leaf->at < 0) {
            continue;
        }
        const char *name = coti_arena_printf(&second->arena, "gradient by %s", leaf->name);
        if (name == NULL) {
            return COT_E_NOMEM;
        }
        second->output[n++].name = name;
    }
    return COT_OK;
}

static bool has_float_leaf(const coti_check *check) {
    for (int32_t i = 0; i < check->n_leaves; i++) {
        if (check->leaf[i].at >= 0) {
            return true;
        }
    }
    return false;
}

/* The gradient as a graph whose derivatives are checked; none where it is a constant. */
static cot_status make_second(coti_check_job *j) {
    coti_check *trial = NULL;
    j->u = coti_arena_array(&j->check->arena, (size_t)j->check->n_y, sizeof *j->u);
    if (j->u == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_check_native(j->check, &j->gradient));
    COTI_TRY(coti_check_create_forward(j->gradient, j->options.rows, &trial));
    bool varies = has_float_leaf(trial);
    coti_check_destroy(trial);
    if (!varies) {
        return COT_OK;
    }
    COTI_TRY(coti_check_create(j->gradient, j->options.rows, &j->second));
    COTI_TRY(name_leaves(j));
    COTI_TRY(name_outputs(j));
    return make_room(j->second, j->options.jacobian == COT_ON, &j->second_result);
}

/* ---- points ---- */

/* One check at its point: against differences, then in the graph's own dtypes. */
static cot_status probe_check(const coti_check_job *j, coti_check *check,
                              const coti_check_settings *settings, coti_check_result *result,
                              bool *is_finite_out) {
    COTI_TRY(coti_check_probe(check, settings, result, is_finite_out));
    if (j->options.f32 == COT_ON && *is_finite_out && !result->failed && result->n_unclear == 0) {
        return coti_check_probe_native(check, settings->seed, result);
    }
    return COT_OK;
}

static cot_status probe_point(coti_check_job *j, uint64_t seed) {
    coti_check_settings settings = settings_for(j, false, seed);
    COTI_TRY(coti_check_draw_point(j, seed));
    COTI_TRY(probe_check(j, j->check, &settings, &j->result, &j->is_finite));
    if (j->second == NULL || !j->is_finite || j->result.failed || j->result.n_unclear > 0) {
        return COT_OK;
    }
    coti_check_draw_cotangent(j->check, seed, j->u);
    coti_check_lend_point(j->check, j->u, j->second);
    settings = settings_for(j, true, seed);
    return probe_check(j, j->second, &settings, &j->second_result, &j->is_finite);
}

/* Probe points until one decides; *seed_out: its seed. */
static cot_status probe_points(coti_check_job *j, uint64_t *seed_out) {
    bool decided = false;
    while (!decided && j->n_points < j->options.n_points) {
        *seed_out = j->options.seed + (uint64_t)j->n_points * UINT64_C(0x9E3779B97F4A7C15);
        COTI_TRY(probe_point(j, *seed_out));
        j->n_points++;
        bool failed = j->result.failed || j->second_result.failed;
        decided = j->is_finite && (failed || j->result.n_unclear + j->second_result.n_unclear == 0);
        j->domain = j->is_finite ? j->domain : (j->domain + 1) % COTI_N_DOMAINS;
    }
    return COT_OK;
}

/* ---- one call ---- */

static cot_status find_culprit(coti_check_job *j, uint64_t seed) {
    bool second = !j->result.failed;
    const coti_check_result *result = second ? &j->second_result : &j->result;
    coti_check_settings settings = settings_for(j, second, seed);
    settings.whole = false;
    return coti_check_find_culprit(second ? j->second : j->check, &settings, result->native_failed,
                                   &j->culprit);
}

static cot_status run_job(coti_check_job *j, const cot_graph *graph,
                          cot_gradcheck_report *report_out) {
    uint64_t seed = 0;
    COTI_TRY(coti_check_create(graph, j->options.rows, &j->check));
    COTI_TRY(make_room(j->check, j->options.jacobian == COT_ON, &j->result));
    COTI_TRY(j->options.second == COT_ON ? make_second(j) : COT_OK);
    COTI_TRY(probe_points(j, &seed));
    if (j->result.failed || j->second_result.failed) {
        COTI_TRY(find_culprit(j, seed));
    }
    return coti_check_report(j, report_out);
}

cot_status cot_gradcheck(const cot_graph *graph, const cot_gradcheck_options *options,
                         cot_gradcheck_report *report_out) {
    if (graph == NULL) {
        return COT_E_ARG;
    }
    coti_check_job j = {.context = graph->context};
    if (report_out == NULL) {
        return COTI_FAIL(graph->context, COT_E_ARG, "gradcheck: report_out is NULL");
    }
    COTI_TRY(check_options(&j, options));
    coti_str_init(&j.culprit.text, j.context);
    cot_status status = run_job(&j, graph, report_out);
    coti_str_free(&j.culprit.text);
    coti_check_destroy(j.second);
    cot_graph_destroy(j.gradient);
    coti_check_destroy(j.check);
    return status;
}
