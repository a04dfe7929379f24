/*
 * Compiling a model.
 *
 *   options -> optimizer, heads, logs                          (optimizer.c, resolve.c)
 *   layers  -> forward graph -> losses, metrics, sums          (lower.c, loss.c, metric.c)
 *           -> gradients of the trainable weights              (autodiff: cot_grad)
 *           -> updates of weights and optimizer state          (optimizer.c)
 *           -> instruments, if asked for                       (instruments.c)
 *           -> for a memory budget, what is computed again     (budget.c)
 *   graph   -> program -> session                              (codegen: coti_program_begin)
 *
 * thrice: for training, evaluation (no gradients) and prediction (no targets). Each program serves
 * any number of rows up to its largest. The model is changed only when all has succeeded.
 */
#include "frontend/training/instruments.h"
#include "frontend/training/schedule.h"
#include "frontend/training/training.h"

#include <math.h>

enum { DEFAULT_MAX_BATCH = 128 };

/* Largest max_batch: row counts times extents must stay sizes. */
#define LARGEST_BATCH (INT64_C(1) << 30)

/* ---- graphs ---- */

/* How a graph is to be built. */
typedef struct building {
    const coti_training *training;
    coti_mode_id mode;
    int64_t max_rows, stretch_bytes;
    coti_stretches *stretches; /* NULL: nobody asks */
} building;

static cot_status mark_stretches(const building *b, cot_graph *graph) {
    coti_stretches none;
    return b->stretch_bytes == 0 && b->stretches == NULL
               ? COT_OK
               : coti_remat_mark(graph, b->max_rows, b->stretch_bytes,
                                 b->stretches != NULL ? b->stretches : &none);
}

static cot_status append_gradients(const coti_training *training, cot_graph *graph,
                                   const coti_forward *forward, cot_value loss) {
    cot_context *context = training->context;
    size_t room = training->model->weight.count;
    coti_trainee *weight = coti_calloc(context, room, sizeof *weight);
    cot_value *value = coti_calloc(context, 2 * room, sizeof *value);
    cot_value *gradient = value != NULL ? value + room : NULL;
    cot_status status = COT_E_NOMEM;
    if (weight != NULL && value != NULL) {
        int32_t n = coti_trainable(training->model, weight);
        for (int32_t i = 0; i < n; i++) {
            value[i] = cot_op_state(graph, weight[i].variable);
        }
        status = n > 0 ? cot_grad(coti_scale_loss(training, loss), value, n, gradient) : COT_OK;
        if (status == COT_OK) {
            status = coti_optimizer_update(training, graph, gradient);
        }
        if (status == COT_OK) {
            coti_unscale(training, gradient, n);
            status = coti_instruments_append(training, graph, forward,
                                             (coti_trained){weight, gradient, n});
        }
    }
    coti_free(context, weight);
    coti_free(context, value);
    return status;
}

static cot_status append_outputs(const cot_model *model, const coti_forward *forward) {
    for (size_t i = 0; i < model->output.count; i++) {
        COTI_TRY(cot_graph_output(forward->output[i].value, model->output_name.data[i]));
    }
    return COT_OK;
}

static cot_status append_mode(const building *b, cot_graph *graph, const coti_forward *forward) {
    const coti_training *training = b->training;
    if (b->mode == COTI_PREDICT) {
        return append_outputs(training->model, forward);
    }
    cot_value loss = coti_poison();
    COTI_TRY(coti_lower_heads(training, graph, b->mode, forward, &loss));
    if (b->mode != COTI_TRAIN) {
        return COT_OK;
    }
    COTI_TRY(mark_stretches(b, graph));
    return append_gradients(training, graph, forward, loss);
}

cot_graph *coti_build_graph(const coti_training *training, coti_mode_id mode, int64_t max_rows,
                            int64_t stretch_bytes, coti_stretches *stretches_out) {
    static const char *const suffix[COTI_MODE_COUNT] = {"train", "evaluate", "predict"};
    const building b = {training, mode, max_rows, stretch_bytes, stretches_out};
    cot_context *context = training->context;
    const cot_model *model = training->model;
    coti_str name;
    coti_forward forward = {NULL, NULL, {NULL, 0}};
    coti_str_init(&name, context);
    coti_str_printf(&name, "%s_%s", model->name, suffix[mode]);
    cot_graph *graph =
        coti_str_status(&name) == COT_OK ? cot_graph_create(context, coti_str_text(&name)) : NULL;
    coti_str_free(&name);
    if (graph == NULL) {
        return NULL;
    }
    cot_status status = coti_lower_forward(model, graph, mode == COTI_TRAIN, &forward);
    if (status == COT_OK) {
        status = append_mode(&b, graph, &forward);
    }
    coti_free(context, forward.output);
    coti_free(context, forward.call);
    if (status != COT_OK) {
        cot_graph_destroy(graph);
        return NULL;
    }
    return graph;
}

/* ---- programs ---- */

static void close_mode(coti_mode *mode) {
    cot_session_destroy(mode->session);
    cot_program_destroy(mode->program);
    mode->session = NULL;
    mode->program = NULL;
}

/* A program of the graph, begun, whose dumps tell what it computes again. */
static cot_program *begin_program(const coti_training *training, const cot_graph *graph,
                                  int64_t max_rows, int64_t budget, cot_memory_info *memory) {
    const cot_program_options options = {
        .struct_size = sizeof options, .max_rows = max_rows, .memory_budget = budget};
    coti_str note;
    coti_str_init(&note, training->context);
    cot_program *program = NULL;
    if (budget == 0 || coti_describe_regions(graph, memory, &note) == COT_OK) {
        program = coti_program_begin(graph, &options, budget > 0 ? coti_str_text(&note) : NULL);
    }
    coti_str_free(&note);
    return program;
}

static cot_status failure(const coti_training *training) {
    cot_status status = cot_error_get(training->context).status;
    return status != COT_OK ? status : COT_E_INTERNAL;
}

/* A mode's program for up to max_rows rows, fitted and begun: `made` is empty on failure. */
static cot_status begin_fitted(const coti_training *training, coti_mode_id id,
                               coti_fitting *fitting, coti_mode *made) {
    const int64_t budget = id == COTI_TRAIN ? training->memory_budget : 0;
    cot_graph *graph = coti_build_graph(training, id, made->max_rows, fitting->stretch_bytes, NULL);
    if (graph != NULL) {
        made->program = begin_program(training, graph, made->max_rows, budget, &fitting->memory);
        cot_graph_destroy(graph);
    }
    return made->program != NULL ? COT_OK : failure(training);
}

/* The same; memory_out: of a training step. */
static cot_status begin_mode(const coti_training *training, coti_mode_id id, int64_t max_rows,
                             coti_mode *made, cot_memory_info *memory_out) {
    coti_fitting fitting = {0};
    *made = training->mode[id];
    made->program = NULL;
    made->session = NULL;
    made->max_rows = max_rows;
    if (id == COTI_TRAIN && training->memory_budget > 0) {
        COTI_TRY(coti_fit_budget(training, max_rows, &fitting));
    }
    COTI_TRY(begin_fitted(training, id, &fitting, made));
    if (id == COTI_TRAIN) {
        const cot_program_info info = cot_program_get_info(made->program);
        *memory_out = fitting.memory;
        memory_out->bytes = info.memory_bytes;
        memory_out->flops = info.flops;
        if (training->memory_budget == 0) {
            memory_out->plain_bytes = info.memory_bytes;
            memory_out->plain_flops = info.flops;
        }
    }
    return COT_OK;
}

static bool needs_mode(const coti_training *training, coti_mode_id id) {
    switch (id) {
    case COTI_TRAIN:
        return training->optimizer.base.kind != 0;
    case COTI_EVALUATE:
        return training->n_sums > 0;
    case COTI_PREDICT:
        return true;
    case COTI_MODE_COUNT:
        break;
    }
    return false;
}

/* Modes that have been begun, finished together, with their sessions; all are closed on failure. */
static cot_status finish_modes(const coti_training *training, coti_mode *const *mode, int32_t n) {
    cot_program *program[COTI_MODE_COUNT] = {NULL};
    for (int32_t i = 0; i < n; i++) {
        program[i] = mode[i]->program;
    }
    cot_status status = coti_programs_finish(program, n);
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        mode[i]->session = cot_session_create(program[i]);
        status = mode[i]->session != NULL ? COT_OK : failure(training);
    }
    for (int32_t i = 0; i < n && status != COT_OK; i++) {
        close_mode(mode[i]);
    }
    return status;
}

static cot_status open_modes(coti_training *training) {
    coti_mode *open[COTI_MODE_COUNT];
    int32_t n = 0;
    for (int32_t i = 0; i < COTI_MODE_COUNT; i++) {
        if (!needs_mode(training, (coti_mode_id)i)) {
            continue;
        }
        open[n] = &training->mode[i];
        COTI_TRY(begin_mode(training, (coti_mode_id)i, training->max_batch, open[n++],
                            &training->memory));
    }
    return finish_modes(training, open, n);
}

cot_status coti_reopen_mode(coti_training *training, coti_mode_id id, int64_t max_rows) {
    coti_mode made, *open = &made;
    COTI_TRY(begin_mode(training, id, max_rows, &made, &training->memory));
    COTI_TRY(finish_modes(training, &open, 1));
    close_mode(&training->mode[id]);
    training->mode[id] = made;
    return COT_OK;
}

/* ---- training state ---- */

/* An f64 sum of one mode: n numbers, a scalar if it is one; name NULL: no memory for it. */
static cot_status make_sum(coti_training *training, coti_mode_id id, int32_t i_sum, int32_t n,
                           const char *name) {
    const cot_shape shape = {.rank = n > 1 ? 1 : 0, .dim = {n > 1 ? n : 0}};
    cot_variable *sum =
        name != NULL ? cot_variable_create(training->context, COT_F64, shape, name) : NULL;
    training->mode[id].sum[i_sum] = sum;
    return sum != NULL ? COT_OK : COT_E_NOMEM;
}

/* "class/sum_0_loss", "class/sum_1_accuracy". */
static cot_status make_head_sums(coti_training *training, coti_mode_id id, const coti_head *head) {
    coti_arena *arena = &training->arena;
    int32_t n = 0;
    if (head->i_loss_sum >= 0) {
        const char *name = coti_arena_printf(arena, "%s/sum_%d_loss", head->name, (int)n++);
        COTI_TRY(make_sum(training, id, head->i_loss_sum, 1, name));
    }
    for (int32_t i = 0; i < head->n_judges; i++) {
        const coti_judge *judge = &head->judge[i];
        const char *name =
            coti_arena_printf(arena, "%s/sum_%d_%s", head->name, (int)n++, judge->name);
        COTI_TRY(make_sum(training, id, head->i_metric_sum + i, coti_metric_sums(judge), name));
    }
    return COT_OK;
}

/* The f64 sums of one mode, in the order of their indices. */
static cot_status make_sums(coti_training *training, coti_mode_id id) {
    coti_mode *mode = &training->mode[id];
    size_t n = (size_t)training->n_sums;
    mode->sum = (cot_variable **)coti_arena_array(&training->arena, n, sizeof(cot_variable *));
    mode->weighting =
        coti_arena_array(&training->arena, (size_t)training->n_heads, sizeof *mode->weighting);
    if (mode->sum == NULL || mode->weighting == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t h = 0; h < training->n_heads; h++) {
        COTI_TRY(make_head_sums(training, id, &training->head[h]));
    }
    return training->i_penalty_sum >= 0
               ? make_sum(training, id, training->i_penalty_sum, 1, "regularization/sum")
               : COT_OK;
}

void coti_training_destroy(coti_training *training) {
    if (training == NULL) {
        return;
    }
    for (int32_t i = 0; i < COTI_MODE_COUNT; i++) {
        coti_mode *mode = &training->mode[i];
        close_mode(mode);
        for (int32_t k = 0; mode->sum != NULL && k < training->n_sums; k++) {
            cot_variable_release(mode->sum[k]);
        }
    }
    for (int32_t i = 0; i < training->n_variables; i++) {
        cot_variable_release(training->variable[i]);
    }
    coti_resume_forget(training);
    coti_instruments_destroy(training->instruments);
    coti_arena_clear(&training->arena);
    coti_free(training->context, training);
}

static cot_status check_trainable(const coti_training *training) {
    bool has_loss = false;
    for (int32_t i = 0; i < training->n_heads; i++) {
        has_loss = has_loss || training->head[i].i_loss_sum >= 0;
    }
    return training->optimizer.base.kind == 0 || has_loss
               ? COT_OK
               : COTI_FAIL(training->context, COT_E_ARG,
                           "model \"%s\": an optimizer is given, but no output has a loss",
                           training->model->name);
}

static cot_status make_training(coti_training *training, const cot_compile_options *options) {
    COTI_TRY(coti_optimizer_read(training->context, &training->arena, options->optimizer,
                                 &training->optimizer));
    COTI_TRY(coti_resolve_heads(training, options));
    COTI_TRY(check_trainable(training));
    COTI_TRY(coti_resolve_logs(training));
    COTI_TRY(coti_optimizer_make_variables(training));
    COTI_TRY(make_sums(training, COTI_TRAIN));
    COTI_TRY(make_sums(training, COTI_EVALUATE));
    COTI_TRY(
        coti_instruments_create(training->context, options->instruments, &training->instruments));
    return open_modes(training);
}

static cot_status read_options(cot_model *model, const cot_compile_options *options,
                               cot_compile_options *own) {
    COTI_TRY(coti_options_copy(model->context, "cot_model_compile", options, own, sizeof *own));
    own->max_batch = own->max_batch == 0 ? DEFAULT_MAX_BATCH : own->max_batch;
    if (own->max_batch < 1 || own->max_batch > LARGEST_BATCH) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_compile: max_batch is %lld, expected 1 to 2^30",
                         (long long)own->max_batch);
    }
    if (own->memory_budget < 0) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_compile: memory_budget is %lld, expected 0 (any) or more",
                         (long long)own->memory_budget);
    }
    if (model->running) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_compile: model \"%s\" is being fitted", model->name);
    }
    return COT_OK;
}

cot_status cot_model_compile_with(cot_model *model, const cot_compile_options *options) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    cot_compile_options own;
    COTI_TRY(read_options(model, options, &own));
    coti_training *training = coti_calloc(model->context, 1, sizeof *training);
    if (training == NULL) {
        return COT_E_NOMEM;
    }
    training->context = model->context;
    training->model = model;
    training->max_batch = own.max_batch;
    training->memory_budget = own.memory_budget;
    coti_arena_init(&training->arena, model->context);
    cot_status status = make_training(training, &own);
    if (status != COT_OK) {
        coti_training_destroy(training);
        return status;
    }
    coti_training_destroy(model->training);
    model->training = training;
    return COT_OK;
}

/* ---- asking ---- */

cot_status coti_training_of(const cot_model *model, const char *function,
                            coti_training **training_out) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    *training_out = model->training;
    return model->training != NULL
               ? COT_OK
               : COTI_FAIL(model->context, COT_E_ARG,
                           "%s: model \"%s\" is not compiled: call cot_model_compile first",
                           function, model->name);
}

static const cot_program *program_of(const cot_model *model, coti_mode_id id) {
    return model != NULL && model->training != NULL ? model->training->mode[id].program : NULL;
}

const cot_program *cot_model_train_program(const cot_model *model) {
    return program_of(model, COTI_TRAIN);
}

const cot_program *cot_model_evaluate_program(const cot_model *model) {
    return program_of(model, COTI_EVALUATE);
}

const cot_program *cot_model_predict_program(const cot_model *model) {
    return program_of(model, COTI_PREDICT);
}

cot_memory_info cot_model_train_memory(const cot_model *model) {
    return model != NULL && model->training != NULL ? model->training->memory
                                                    : (cot_memory_info){0};
}

int32_t cot_model_n_optimizer_variables(const cot_model *model) {
    return model != NULL && model->training != NULL ? model->training->n_variables : 0;
}

cot_variable *cot_model_optimizer_variable(const cot_model *model, int32_t i) {
    return i >= 0 && i < cot_model_n_optimizer_variables(model) ? model->training->variable[i]
                                                                : NULL;
}

cot_status coti_learning_rate(const coti_training *training, double *rate_out) {
    const cot_schedule *schedule = training->optimizer.all.schedule;
    float rate = NAN;
    int64_t iterations = 0;
    *rate_out = NAN;
    if (training->n_variables == 0) {
        return COT_OK;
    }
    if (schedule == NULL) {
        COTI_TRY(cot_variable_get(training->variable[1], &rate, sizeof rate));
        *rate_out = (double)rate;
        return COT_OK;
    }
    COTI_TRY(cot_variable_get(training->variable[0], &iterations, sizeof iterations));
    COTI_TRY(coti_schedule_at(training->context, schedule, iterations, rate_out));
    *rate_out = (double)(float)*rate_out; /* as the step rounds it */
    return COT_OK;
}

double cot_model_learning_rate(const cot_model *model) {
    double rate = NAN;
    bool is_known = model != NULL && model->training != NULL &&
                    coti_learning_rate(model->training, &rate) == COT_OK;
    return is_known ? rate : NAN;
}

cot_status cot_model_set_learning_rate(cot_model *model, double learning_rate) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_set_learning_rate", &training));
    if (training->n_variables == 0) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_set_learning_rate: model \"%s\" has no optimizer", model->name);
    }
    if (training->optimizer.all.schedule != NULL) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_set_learning_rate: model \"%s\": the learning rate follows a "
                         "schedule (%s)",
                         model->name, cot_schedule_name(training->optimizer.all.schedule->kind));
    }
    if (!(learning_rate >= 0.0 && learning_rate <= 3e38)) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_set_learning_rate: %g, expected 0 to 3e38", learning_rate);
    }
    float rate = (float)learning_rate;
    return cot_variable_set(training->variable[1], &rate, sizeof rate);
}
