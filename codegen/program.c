/*
 * Programs: what compiling leaves behind, on kernels or on the evaluator.
 *
 * A program keeps nothing of the graph that it was made from: of variables it holds references,
 * constant arrays and names it copies, and for the evaluator it has a graph of its own.
 */
#include "compile.h"

#include <string.h>
#include <time.h>

enum { DEFAULT_MAX_ROWS = 128 };

/* ---- life ---- */

cot_program *coti_program_new(cot_context *context, const char *name) {
    cot_program *program = coti_calloc(context, 1, sizeof *program);
    if (program == NULL) {
        return NULL;
    }
    program->context = context;
    coti_arena_init(&program->arena, context);
    program->name = coti_arena_strdup(&program->arena, name);
    if (program->name == NULL) {
        cot_program_destroy(program);
        return NULL;
    }
    return program;
}

void cot_program_destroy(cot_program *program) {
    if (program == NULL) {
        return;
    }
    cot_context *context = program->context;
    for (int32_t i = 0; i < program->n_variables; i++) {
        cot_variable_release(program->variable[i]);
    }
    for (int32_t i = 0; i < program->n_constants; i++) {
        coti_free_aligned(context, program->constant[i]);
    }
    coti_compilation_free(program->begun);
    coti_plan_destroy(program->plan);
    cot_graph_destroy(program->reference);
    coti_arena_clear(&program->arena);
    coti_free(context, program);
}

cot_status coti_program_check(const cot_graph *graph, const cot_program_options *options,
                              coti_request *request_out) {
    cot_context *context = graph->context;
    cot_program_options given = {.struct_size = sizeof given};
    if (context->error.status != COT_OK) {
        return context->error.status;
    }
    if (options != NULL) {
        if (options->struct_size < sizeof options->struct_size ||
            options->struct_size > sizeof given) {
            return COTI_FAIL(context, COT_E_ARG,
                             "cot_program_options.struct_size is %zu, expected %zu",
                             options->struct_size, sizeof given);
        }
        memcpy(&given, options, options->struct_size);
    }
    if (given.max_rows < 0 || given.max_rows > COTI_SIZE_MAX) {
        return COTI_FAIL(
            context, COT_E_ARG,
            "cot_program_options.max_rows is %lld, expected 0 (the default, %d) or more",
            (long long)given.max_rows, DEFAULT_MAX_ROWS);
    }
    if (given.memory_budget < 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_program_options.memory_budget is %lld, expected 0 (any) or more",
                         (long long)given.memory_budget);
    }
    if (graph->output.count == 0 && graph->update.count == 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "graph \"%s\" has neither outputs nor updates: it would do nothing",
                         graph->name);
    }
    *request_out = (coti_request){
        .max_rows = given.max_rows == 0 ? DEFAULT_MAX_ROWS : given.max_rows,
        .memory_budget = given.memory_budget,
        .until = COTI_STAGE_COUNT,
    };
    return COT_OK;
}

static double now_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

cot_program *coti_program_begin(const cot_graph *graph, const cot_program_options *options,
                                const char *note) {
    const double start = now_seconds();
    coti_request request;
    if (graph == NULL || coti_program_check(graph, options, &request) != COT_OK) {
        return NULL;
    }
    request.note = note;
    cot_program *program = coti_program_new(graph->context, graph->name);
    if (program == NULL ||
        coti_compile_begin(graph, &request, program, &program->begun) != COT_OK) {
        cot_program_destroy(program);
        return NULL;
    }
    program->info.compile_seconds = now_seconds() - start;
    return program;
}

cot_status coti_programs_finish(cot_program *const *program, int32_t n) {
    const double start = now_seconds();
    if (n == 0) {
        return COT_OK;
    }
    cot_context *context = program[0]->context;
    coti_compilation **begun = (coti_compilation **)coti_calloc(context, (size_t)n, sizeof *begun);
    if (begun == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        begun[i] = program[i]->begun;
    }
    const cot_status status = coti_compile_finish(begun, n);
    for (int32_t i = 0; i < n; i++) {
        coti_compilation_free(program[i]->begun);
        program[i]->begun = NULL;
    }
    program[0]->info.compile_seconds += now_seconds() - start;
    coti_free(context, (void *)begun);
    return status;
}

cot_program *coti_program_make(const cot_graph *graph, const cot_program_options *options,
                               const char *note) {
    cot_program *program = coti_program_begin(graph, options, note);
    if (program != NULL && coti_programs_finish(&program, 1) != COT_OK) {
        cot_program_destroy(program);
        return NULL;
    }
    return program;
}

cot_program *cot_program_create(const cot_graph *graph, const cot_program_options *options) {
    return coti_program_make(graph, options, NULL);
}

/* Plan and no more; a peak's text where `peak` is not NULL. */
static cot_status plan_only(const cot_graph *graph, const cot_program_options *options, char *peak,
                            size_t peak_bytes, cot_program_info *info_out) {
    cot_context *context = graph->context;
    coti_request request;
    COTI_TRY(coti_program_check(graph, options, &request));
    request.until = COTI_STAGE_PLAN;
    request.peak = peak;
    request.peak_bytes = peak_bytes;
    cot_program *program = coti_program_new(context, graph->name);
    if (program == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = coti_compile(graph, &request, program);
    *info_out = program->info;
    cot_program_destroy(program);
    return status;
}

cot_status coti_program_measure(const cot_graph *graph, const cot_program_options *options,
                                cot_program_info *info_out) {
    return plan_only(graph, options, NULL, 0, info_out);
}

cot_status coti_program_peak(const cot_graph *graph, const cot_program_options *options, char *text,
                             size_t bytes) {
    cot_program_info info;
    return plan_only(graph, options, text, bytes, &info);
}

/* ---- filling ---- */

/* Hold the variables of a graph: their storage must outlive it. */
static cot_status retain_variables(cot_program *program, const cot_graph *graph) {
    const size_t n = graph->state.count;
    program->variable =
        (cot_variable **)coti_arena_array(&program->arena, n, sizeof *program->variable);
    if (program->variable == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const coti_attr_VARIABLE *attr = coti_node_at(graph, graph->state.data[i])->attr;
        program->variable[program->n_variables++] = cot_variable_retain(attr->variable);
    }
    return COT_OK;
}

/* The elements of a constant array, where no graph is needed. */
static cot_status copy_constant(cot_program *program, const coti_node *node, void **copy_out) {
    const coti_attr_DATA_type *data = &((const coti_attr_DATA *)node->attr)->data;
    void *copy = coti_alloc_aligned(program->context, (size_t)data->bytes);
    if (copy == NULL) {
        return COT_E_NOMEM;
    }
    if (data->bytes > 0) {
        memcpy(copy, data->data, (size_t)data->bytes);
    }
    program->constant[program->n_constants++] = copy;
    *copy_out = copy;
    return COT_OK;
}

static cot_status bind_states(cot_program *program, coti_plan *plan) {
    const size_t n = (size_t)plan->program.n_states;
    program->constant = (void **)coti_arena_array(&program->arena, n, sizeof *program->constant);
    if (program->constant == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = COT_OK;
    for (size_t i = 0; i < n && status == COT_OK; i++) {
        const coti_node *node = plan->state_node[i];
        if (node->op == COT_OP_STATE) {
            plan->state[i] = ((const coti_attr_VARIABLE *)node->attr)->variable->storage;
        } else {
            status = copy_constant(program, node, &plan->state[i]);
        }
    }
    return status;
}

static void describe(cot_program *program) {
    const cotr_program *runtime = &program->runtime;
    cot_program_info *info = &program->info;
    for (int32_t i = 0; i < runtime->n_phases; i++) {
        info->n_phases += !runtime->phase[i].serial;
    }
    info->n_calls = program->plan->n_calls;
    info->n_kernels = program->plan->n_kernels;
    info->scratch_bytes = runtime->scratch_bytes + runtime->local_bytes;
}

cot_status coti_program_take_plan(cot_program *program, const cot_graph *graph, coti_plan **plan) {
    COTI_TRY(retain_variables(program, graph));
    COTI_TRY(bind_states(program, *plan));
    program->plan = *plan;
    *plan = NULL;
    program->plan->kernel = NULL; /* they die with the groups */
    program->runtime = program->plan->program;
    describe(program);
    return COT_OK;
}

/* An input that some node, output or update reads gets a buffer: so the runtime knows that it must
 * be bound. */
static cot_status mark_inputs(cot_program *program, const cot_graph *graph) {
    bool *used = coti_arena_array(&program->arena, graph->node.count, sizeof *used);
    cotr_buffer *buffer = coti_arena_array(&program->arena, graph->input.count, sizeof *buffer);
    if (used == NULL || buffer == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        for (int32_t i = 0; i < node->n_inputs; i++) {
            used[node->input[i]] = true;
        }
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        used[graph->output.data[i].value] = true;
    }
    for (size_t i = 0; i < graph->update.count; i++) {
        used[graph->update.data[i].value] = true;
    }
    for (size_t i = 0; i < graph->input.count; i++) {
        if (used[graph->input.data[i]]) {
            buffer[program->runtime.n_buffers++] =
                (cotr_buffer){.kind = COTR_SOURCE, .offset = (int64_t)i};
        }
    }
    program->runtime.buffer = buffer;
    return COT_OK;
}

cot_status coti_program_take_reference(cot_program *program, cot_graph **reference,
                                       int64_t max_rows) {
    COTI_TRY(retain_variables(program, *reference));
    COTI_TRY(coti_plan_types(&program->arena, *reference, &program->runtime));
    COTI_TRY(mark_inputs(program, *reference));
    program->runtime.max_rows = max_rows;
    program->reference = *reference;
    *reference = NULL;
    return COT_OK;
}

/* ---- questions ---- */

cot_program_info cot_program_get_info(const cot_program *program) {
    return program != NULL ? program->info : (cot_program_info){0};
}

int64_t cot_context_kernels_compiled(const cot_context *context) {
    return context != NULL ? context->n_kernels_compiled : 0;
}

static int32_t find_type(const cotr_input *type, int32_t n, const char *name) {
    for (int32_t i = 0; i < n && name != NULL; i++) {
        if (strcmp(type[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int32_t coti_program_find_input(const cot_program *program, const char *name) {
    return find_type(program->runtime.input, program->runtime.n_inputs, name);
}

int32_t coti_program_find_output(const cot_program *program, const char *name) {
    return find_type(program->runtime.output, program->runtime.n_outputs, name);
}
