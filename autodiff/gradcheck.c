/*
 * The public gradient check: choose points, compare at them (gradcheck_probe.c), look for the
 * operation at fault, report.
 *
 *     points    random ones until one is finite and free of kinks; all of them fixed by the seed
 *     probe     every comparison at that point
 *     culprit   after a failure each operation alone, at the values that it has there: the first
 *               whose own gradient is wrong
 *     report    the worst comparison, in numbers and as one line of text
 */
#include "cotangent/inspect.h"

#include "gradcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/philox.h"

/* Purposes of random numbers; each point and each leaf has its own. */
#define PURPOSE_POINT UINT64_C(0x10000)
#define PURPOSE_INTEGER UINT64_C(0x20000)

/* How far states are moved from the values that they were to keep, when those lie at a kink. */
#define STATE_MOVE 1e-2

/* Where points are drawn: the next is taken when the function is not finite. */
typedef enum domain { ANYWHERE, AROUND_ONE, BELOW_ONE, N_DOMAINS } domain;

typedef struct job {
    cot_context *context;
    cot_gradcheck_options options; /* defaults filled in */
    coti_check *check;
    coti_check_result result;
    bool is_finite;
    int32_t n_points;
    domain domain;
    const char *op, *layer; /* of the culprit; borrowed from the graph; NULL: none */
} job;

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
    if (!(options->tolerance >= 0) || !(options->step >= 0) || !isfinite(options->tolerance) ||
        !isfinite(options->step)) {
        return COTI_FAIL(context, COT_E_ARG,
                         "gradcheck: tolerance or step is negative or not finite");
    }
    options->rows = options->rows == 0 ? 3 : options->rows;
    options->tolerance = options->tolerance == 0 ? 1e-6 : options->tolerance;
    options->step = options->step == 0 ? 1e-3 : options->step;
    options->n_directions = options->n_directions == 0 ? 3 : options->n_directions;
    options->n_points = options->n_points == 0 ? 8 : options->n_points;
    options->max_elements = options->max_elements == 0 ? 64 : options->max_elements;
    options->integer_bound = options->integer_bound == 0 ? 3 : options->integer_bound;
    return COT_OK;
}

/* ---- points ---- */

static bool is_state(const job *j, const coti_check_part *part) {
    return coti_node_at(j->check->source, part->id)->op == COT_OP_STATE;
}

static void draw_floats(const job *j, uint64_t seed, const coti_check_part *part) {
    double *x = j->check->x + part->at;
    for (int64_t i = 0; i < part->count; i++) {
        uint64_t purpose = PURPOSE_POINT + part->id;
        double uniform = coti_philox_uniform(coti_philox_make_key(seed, purpose), 0, (uint64_t)i);
        double v = j->domain == AROUND_ONE  ? 0.5 + uniform
                   : j->domain == BELOW_ONE ? 0.1 + 0.8 * uniform
                                            : coti_check_normal(seed, purpose, i);
        x[i] = coti_check_fit(j->check, part, v);
    }
}

/* The variable's values; moved a little when they have been tried already. */
static cot_status read_state(const job *j, uint64_t seed, const coti_check_part *part) {
    const coti_attr_VARIABLE *attr = coti_node_at(j->check->source, part->id)->attr;
    cot_dtype dtype = cot_variable_dtype(attr->variable);
    size_t bytes = (size_t)part->count * cot_dtype_bytes(dtype);
    coti_tensor stored = {.dtype = dtype, .shape = part->shape};
    stored.data = coti_alloc(j->context, bytes);
    if (stored.data == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = cot_variable_get(attr->variable, stored.data, bytes);
    for (int64_t i = 0; status == COT_OK && i < part->count; i++) {
        double move = coti_check_normal(seed, PURPOSE_POINT + part->id, i);
        double v = coti_tensor_get(&stored, i) + (j->n_points > 0 ? STATE_MOVE * move : 0.0);
        j->check->x[part->at + i] = coti_check_fit(j->check, part, v);
    }
    coti_free(j->context, stored.data);
    return status;
}

static void draw_integers(const job *j, uint64_t seed, const coti_check_part *part) {
    coti_philox_key key = coti_philox_make_key(seed, PURPOSE_INTEGER + part->id);
    int64_t bound = part->dtype == COT_BOOL ? 2 : j->options.integer_bound;
    bound = part->dtype == COT_U8 && bound > 256 ? 256 : bound;
    bound = part->dtype == COT_I32 && bound > INT32_MAX ? INT32_MAX : bound;
    for (int64_t i = 0; i < part->count; i++) {
        int64_t value = (int64_t)coti_philox_below(key, 0, (uint64_t)i, (uint64_t)bound);
        switch (part->dtype) {
        case COT_I32:
            ((int32_t *)part->data)[i] = (int32_t)value;
            break;
        case COT_I64:
            ((int64_t *)part->data)[i] = value;
            break;
        case COT_U8:
        case COT_BOOL:
            ((uint8_t *)part->data)[i] = (uint8_t)value;
            break;
        case COT_F32:
        case COT_F64:
            break;
        }
    }
}

static cot_status draw_point(const job *j, uint64_t seed) {
    cot_status status = COT_OK;
    for (int32_t i = 0; status == COT_OK && i < j->check->n_leaves; i++) {
        const coti_check_part *part = &j->check->leaf[i];
        bool state = is_state(j, part);
        if (part->at >= 0 && state && j->options.keep_states == COT_ON) {
            status = read_state(j, seed, part);
        } else if (part->at >= 0) {
            draw_floats(j, seed, part);
        } else if (!state) {
            draw_integers(j, seed, part);
        }
    }
    return status;
}

/* Probe points until one decides. */
static cot_status probe_points(job *j) {
    const cot_gradcheck_options *o = &j->options;
    coti_check_settings settings = {.tolerance = o->tolerance,
                                    .step = o->step,
                                    .n_directions = o->n_directions,
                                    .max_elements = o->max_elements};
    bool decided = false;
    while (!decided && j->n_points < o->n_points) {
        settings.seed = o->seed + (uint64_t)j->n_points * UINT64_C(0x9E3779B97F4A7C15);
        COTI_TRY(draw_point(j, settings.seed));
        COTI_TRY(coti_check_probe(j->check, &settings, &j->result, &j->is_finite));
        bool native = o->f32 == COT_ON && j->is_finite && j->result.n_unclear == 0;
        if (native && !j->result.failed) {
            COTI_TRY(coti_check_probe_native(j->check, settings.seed, &j->result));
        }
        j->n_points++;
        decided = j->is_finite && (j->result.failed || j->result.n_unclear == 0);
        j->domain = j->is_finite ? j->domain : (j->domain + 1) % N_DOMAINS;
    }
    return COT_OK;
}

/* ---- the culprit ---- */

/* One node of the source alone, its inputs leaves. */
typedef struct lone {
    cot_graph *graph;
    int32_t n_leaves;
    uint32_t *origin; /* of each leaf: the source's node */
    coti_check *check;
} lone;

static bool is_float_id(const cot_graph *graph, uint32_t id) {
    uint8_t dtype = coti_node_at(graph, id)->dtype;
    return dtype == COT_F32 || dtype == COT_F64;
}

static cot_dtype promoted(const cot_graph *graph, uint32_t id) {
    return is_float_id(graph, id) ? COT_F64 : (cot_dtype)coti_node_at(graph, id)->dtype;
}

/* The leaf that stands for a node's input, made at its first use. */
static cot_value lone_leaf(lone *l, const cot_graph *source, uint32_t id, cot_value *leaf) {
    int32_t i = 0;
    while (i < l->n_leaves && l->origin[i] != id) {
        i++;
    }
    if (i == l->n_leaves) {
        char name[COTI_NAME_BYTES];
        (void)snprintf(name, sizeof name, "in%d", (int)i);
        leaf[i] =
            cot_op_input(l->graph, promoted(source, id), coti_node_at(source, id)->shape, name);
        l->origin[l->n_leaves++] = id;
    }
    return leaf[i];
}

static cot_status lone_make(lone *l, const job *j, uint32_t id, coti_arena *arena) {
    const cot_graph *source = j->check->source;
    const coti_node *node = coti_node_at(source, id);
    size_t n = (size_t)node->n_inputs;
    cot_value *input = coti_arena_array(arena, n, sizeof *input);
    cot_value *leaf = coti_arena_array(arena, n, sizeof *leaf);
    l->origin = coti_arena_array(arena, n, sizeof *l->origin);
    l->graph = cot_graph_create(j->context, "gradcheck");
    if (input == NULL || leaf == NULL || l->origin == NULL || l->graph == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = lone_leaf(l, source, node->input[i], leaf);
    }
    const void *attr = NULL;
    COTI_TRY(coti_body_map_attr(&j->check->bodies, &l->graph->arena, node, &attr));
    cot_value y = coti_graph_add(l->graph, (cot_op)node->op, input, node->n_inputs, attr,
                                 promoted(source, id), &node->shape);
    if (y.graph == NULL) {
        return cot_error_get(j->context).status;
    }
    COTI_TRY(cot_graph_output(y, "y"));
    return coti_check_create(l->graph, j->check->rows, &l->check);
}

static cot_status lone_probe(lone *l, const job *j, const coti_tensor *value, bool *failed_out) {
    for (int32_t i = 0; i < l->check->n_leaves; i++) {
        const coti_check_part *part = &l->check->leaf[i];
        void *to = part->at >= 0 ? (void *)(l->check->x + part->at) : part->data;
        size_t bytes = (size_t)part->count * cot_dtype_bytes(part->dtype);
        memcpy(to, value[l->origin[i]].data, bytes);
    }
    coti_check_settings settings = {.tolerance = j->options.tolerance,
                                    .step = j->options.step,
                                    .n_directions = 2,
                                    .seed = j->options.seed};
    coti_check_result result = {0};
    bool is_finite = false;
    COTI_TRY(coti_check_probe(l->check, &settings, &result, &is_finite));
    *failed_out = result.failed;
    return COT_OK;
}

static cot_status is_culprit(const job *j, uint32_t id, const coti_tensor *value, bool *is_out) {
    const coti_node *node = coti_node_at(j->check->source, id);
    bool has_float = false;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        has_float = has_float || is_float_id(j->check->source, node->input[i]);
    }
    *is_out = false;
    if (!has_float || !is_float_id(j->check->source, id) || value[id].data == NULL) {
        return COT_OK;
    }
    lone l = {0};
    coti_arena arena;
    coti_arena_init(&arena, j->context);
    cot_status status = lone_make(&l, j, id, &arena);
    if (status == COT_OK) {
        status = lone_probe(&l, j, value, is_out);
    }
    coti_check_destroy(l.check);
    cot_graph_destroy(l.graph);
    coti_arena_clear(&arena);
    return status;
}

static cot_status find_culprit(job *j) {
    const cot_graph *source = j->check->source;
    coti_arena arena;
    coti_tensor *value = NULL;
    coti_arena_init(&arena, j->context);
    cot_status status = coti_check_values(j->check, &arena, &value);
    bool found = false;
    for (uint32_t id = 1; status == COT_OK && !found && id < source->node.count; id++) {
        status = is_culprit(j, id, value, &found);
        if (status == COT_OK && found) {
            j->op = coti_op_table[coti_node_at(source, id)->op].name;
            j->layer = coti_node_at(source, id)->layer;
        }
    }
    coti_arena_clear(&arena);
    return status;
}

/* ---- report ---- */

static void append_leaf(coti_str *out, const job *j, int32_t leaf) {
    const coti_check_part *part = &j->check->leaf[leaf];
    coti_str_printf(out, "%s \"%s\"", is_state(j, part) ? "state" : "input", part->name);
}

/* `d output "y"[3] / d input "x"[5]`, or what stands for either. */
static void append_place(coti_str *out, const job *j, const coti_check_entry *entry) {
    coti_str_append(out, "d ");
    if (entry->output < 0) {
        coti_str_append(out, "(a combination of the outputs)");
    } else {
        coti_str_printf(out, "output \"%s\"[%lld]", j->check->output[entry->output].name,
                        (long long)entry->output_element);
    }
    coti_str_append(out, " / d ");
    if (entry->leaf < 0) {
        coti_str_append(out, "(a random direction)");
    } else {
        append_leaf(out, j, entry->leaf);
        coti_str_printf(out, "[%lld]", (long long)entry->element);
    }
}

static void append_failure(coti_str *out, const job *j) {
    const coti_check_entry *worst = &j->result.worst;
    append_place(out, j, worst);
    coti_str_append(out, " is ");
    coti_str_double(out, worst->analytic);
    coti_str_append(out, j->result.native_failed ? " in the graph's own dtypes and "
                                                 : " by cot_grad and ");
    coti_str_double(out, worst->numeric);
    if (j->result.native_failed) {
        coti_str_append(out, " in f64, and rounding explains no more than ");
        coti_str_double(out, j->result.native_allowed);
        return;
    }
    coti_str_append(out, " by differences");
    if (j->op != NULL) {
        coti_str_printf(out, "; suspect: %s", j->op);
    } else {
        coti_str_append(out, "; no operation is wrong by itself");
    }
    if (j->layer != NULL) {
        coti_str_printf(out, " \"%s\"", j->layer);
    }
}

static void append_verdict(coti_str *out, const job *j, bool passed) {
    if (!j->is_finite) {
        coti_str_printf(out, "the outputs are not finite at %d points", (int)j->n_points);
    } else if (j->result.failed) {
        append_failure(out, j);
    } else if (!passed) {
        coti_str_printf(out, "undecided, there is a kink near each of %d points", (int)j->n_points);
    } else {
        coti_str_printf(out, "%lld derivatives, largest error ", (long long)j->result.n_compared);
        coti_str_double(out, j->result.worst.error);
        coti_str_append(out, " in ");
        append_place(out, j, &j->result.worst);
    }
}

static void append_inputs(coti_str *out, const job *j) {
    for (int32_t i = 0; i < j->check->n_leaves; i++) {
        const coti_check_part *part = &j->check->leaf[i];
        if (part->at < 0) {
            continue;
        }
        append_leaf(out, j, i);
        coti_str_append(out, " ");
        coti_str_type(out, part->dtype, &part->shape);
        coti_str_printf(out, ": %lld derivatives by element, largest error ",
                        (long long)j->result.leaf_compared[i]);
        coti_str_double(out, j->result.leaf_error[i]);
        coti_str_append(out, "\n");
    }
}

static void fill_report(const job *j, bool passed, const char *message,
                        cot_gradcheck_report *report) {
    const coti_check_entry *worst = &j->result.worst;
    const coti_check *check = j->check;
    *report = (cot_gradcheck_report){.passed = passed,
                                     .error = worst->error,
                                     .analytic = worst->analytic,
                                     .numeric = worst->numeric,
                                     .element = worst->element,
                                     .output_element = worst->output_element,
                                     .n_compared = j->result.n_compared,
                                     .n_points = j->n_points};
    (void)snprintf(report->input, sizeof report->input, "%s",
                   worst->leaf < 0 ? "" : check->leaf[worst->leaf].name);
    (void)snprintf(report->output, sizeof report->output, "%s",
                   worst->output < 0 ? "" : check->output[worst->output].name);
    (void)snprintf(report->op, sizeof report->op, "%s", j->op == NULL ? "" : j->op);
    (void)snprintf(report->layer, sizeof report->layer, "%s", j->layer == NULL ? "" : j->layer);
    (void)snprintf(report->message, sizeof report->message, "%s", message);
}

static cot_status give_report(const job *j, cot_gradcheck_report *report_out) {
    bool passed = j->is_finite && !j->result.failed && j->result.n_unclear == 0;
    coti_str text;
    coti_str lines;
    coti_str_init(&text, j->context);
    coti_str_init(&lines, j->context);
    append_verdict(&text, j, passed);
    append_inputs(&lines, j);
    cot_status status = coti_str_status(&text);
    status = status == COT_OK ? coti_str_status(&lines) : status;
    if (status == COT_OK && j->options.write != NULL && lines.count > 0 &&
        !j->options.write(lines.data, lines.count, j->options.user)) {
        status = COTI_FAIL(j->context, COT_E_IO, "gradcheck: the caller stopped the report");
    }
    if (status == COT_OK) {
        fill_report(j, passed, coti_str_text(&text), report_out);
    }
    coti_str_free(&text);
    coti_str_free(&lines);
    return status;
}

static cot_status run_job(job *j, const cot_graph *graph, cot_gradcheck_report *report_out) {
    COTI_TRY(coti_check_create(graph, j->options.rows, &j->check));
    size_t n = (size_t)j->check->n_leaves;
    coti_arena *arena = &j->check->arena;
    j->result.leaf_error = coti_arena_array(arena, n, sizeof *j->result.leaf_error);
    j->result.leaf_compared = coti_arena_array(arena, n, sizeof *j->result.leaf_compared);
    if (j->result.leaf_error == NULL || j->result.leaf_compared == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(probe_points(j));
    bool wrong_rule = j->result.failed && !j->result.native_failed;
    COTI_TRY(wrong_rule ? find_culprit(j) : COT_OK);
    return give_report(j, report_out);
}

cot_status cot_gradcheck(const cot_graph *graph, const cot_gradcheck_options *options,
                         cot_gradcheck_report *report_out) {
    if (graph == NULL) {
        return COT_E_ARG;
    }
    job j = {.context = graph->context};
    if (report_out == NULL) {
        return COTI_FAIL(graph->context, COT_E_ARG, "gradcheck: report_out is NULL");
    }
    COTI_TRY(take_options(graph->context, options, &j.options));
    cot_status status = run_job(&j, graph, report_out);
    coti_check_destroy(j.check);
    return status;
}
