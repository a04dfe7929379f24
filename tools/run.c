/* `cotangent run`: run a graph on random or zero inputs; show outputs, time, and kernels against
 * the evaluator. */
#include "command.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const command_run_help =
    "usage: cotangent run [options] FILE.cot\n\n"
    "Compiles the graph (FILE \"-\": standard input), runs it, and prints its outputs. Inputs and\n"
    "float states get numbers in [-0.5, 0.5) that depend on --seed alone, integers 0, 1, 2, ...\n\n"
    "  --rows N      rows of the batched inputs: 4\n"
    "  --steps N     how often to run: 1\n"
    "  --seed N      of the numbers: 0\n"
    "  --print N     most elements to show of each output: 8\n"
    "  --time        show the median time of a step\n"
    "  --profile     show the time of each kernel call\n"
    "  --compare     run the reference evaluator too; exit status 1 if an output differs by more "
    "than\n"
    "                --tolerance (1e-5) relative to its largest element\n";

typedef struct run_options {
    int64_t rows, steps, seed, print;
    double tolerance;
    bool time, profile, compare;
} run_options;

/* One run's outputs, as doubles. */
typedef struct run_result {
    int32_t n;
    double *value[64];
    int64_t count[64];
    double median_seconds;
} run_result;

static int64_t elements(cot_shape shape, int64_t rows) {
    int64_t n = shape.batched ? rows : 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        n *= shape.dim[i];
    }
    return n;
}

/* A number in [-0.5, 0.5) of a stream's k-th element: a hash, the same everywhere. */
static double number(uint64_t seed, uint64_t stream, int64_t k) {
    uint64_t z = seed * UINT64_C(0x9E3779B97F4A7C15) + stream * UINT64_C(0xBF58476D1CE4E5B9) +
                 (uint64_t)k * UINT64_C(0x94D049BB133111EB) + 1;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 40) * 0x1p-24 - 0.5;
}

static void fill(void *data, cot_dtype dtype, int64_t n, uint64_t seed, uint64_t stream) {
    for (int64_t k = 0; k < n; k++) {
        switch (dtype) {
        case COT_F32:
            ((float *)data)[k] = (float)number(seed, stream, k);
            break;
        case COT_F64:
            ((double *)data)[k] = number(seed, stream, k);
            break;
        case COT_I32:
            ((int32_t *)data)[k] = (int32_t)(k % 100);
            break;
        case COT_I64:
            ((int64_t *)data)[k] = k % 100;
            break;
        case COT_U8:
            ((uint8_t *)data)[k] = (uint8_t)(k % 100);
            break;
        case COT_BOOL:
            ((uint8_t *)data)[k] = (uint8_t)(k % 2);
            break;
        }
    }
}

static double element(const void *data, cot_dtype dtype, int64_t k) {
    switch (dtype) {
    case COT_F32:
        return ((const float *)data)[k];
    case COT_F64:
        return ((const double *)data)[k];
    case COT_I32:
        return ((const int32_t *)data)[k];
    case COT_I64:
        return (double)((const int64_t *)data)[k];
    case COT_U8:
    case COT_BOOL:
        return ((const uint8_t *)data)[k];
    }
    return NAN;
}

static bool fill_states(const cot_graph *graph, uint64_t seed) {
    for (int32_t i = 0; i < cot_graph_n_states(graph); i++) {
        cot_variable *variable = cot_graph_state_variable(graph, i);
        cot_dtype dtype = cot_variable_dtype(variable);
        int64_t n = elements(cot_variable_shape(variable), 1);
        size_t bytes = (size_t)n * cot_dtype_bytes(dtype);
        void *data = calloc(1, bytes + 1);
        if (data == NULL) {
            return false;
        }
        if (dtype == COT_F32 || dtype == COT_F64) {
            fill(data, dtype, n, seed, 1000 + (uint64_t)i);
        }
        cot_status status = cot_variable_set(variable, data, bytes);
        free(data);
        if (status != COT_OK) {
            return false;
        }
    }
    return true;
}

static cot_status bind_inputs(const cot_graph *graph, cot_session *session, int64_t rows,
                              uint64_t seed, void **memory) {
    for (int32_t i = 0; i < cot_graph_n_inputs(graph); i++) {
        cot_value input = cot_graph_input_at(graph, i);
        cot_shape shape = cot_value_shape(input);
        cot_array array = {.dtype = cot_value_dtype(input),
                           .n_rows = shape.batched ? rows : 1,
                           .row_elements = elements(shape, 1)};
        int64_t n = array.n_rows * array.row_elements;
        memory[i] = calloc((size_t)n + 1, cot_dtype_bytes(array.dtype));
        if (memory[i] == NULL) {
            return COT_E_NOMEM;
        }
        fill(memory[i], array.dtype, n, seed, (uint64_t)i);
        array.data = memory[i];
        cot_status status = cot_session_bind(session, cot_graph_input_name(graph, i), &array);
        if (status != COT_OK) {
            return status;
        }
    }
    return COT_OK;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Run the steps; median_out: median seconds of one. */
static cot_status run_steps(cot_session *session, int64_t rows, int64_t steps, double *median_out) {
    double *seconds = calloc((size_t)steps, sizeof *seconds);
    if (seconds == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = COT_OK;
    for (int64_t i = 0; i < steps && status == COT_OK; i++) {
        struct timespec start = {0};
        struct timespec end = {0};
        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        status = cot_session_run(session, rows);
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        seconds[i] =
            (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    }
    qsort(seconds, (size_t)steps, sizeof *seconds, compare_doubles);
    *median_out = seconds[steps / 2];
    free(seconds);
    return status;
}

/* Bind outputs, run, and read them into the result as doubles. */
static cot_status run_bound(const cot_graph *graph, cot_session *session,
                            const run_options *options, run_result *out) {
    void *memory[64] = {0};
    cot_status status = COT_OK;
    out->n = cot_graph_n_outputs(graph) < 64 ? cot_graph_n_outputs(graph) : 64;
    for (int32_t i = 0; i < out->n && status == COT_OK; i++) {
        cot_value output = cot_graph_output_at(graph, i);
        out->count[i] = elements(cot_value_shape(output), options->rows);
        size_t bytes = (size_t)out->count[i] * cot_dtype_bytes(cot_value_dtype(output));
        memory[i] = calloc(1, bytes + 1);
        out->value[i] = calloc((size_t)out->count[i] + 1, sizeof(double));
        status = memory[i] == NULL || out->value[i] == NULL
                     ? COT_E_NOMEM
                     : cot_session_bind_output(session, cot_graph_output_name(graph, i), memory[i],
                                               bytes);
    }
    if (status == COT_OK) {
        status = run_steps(session, options->rows, options->steps, &out->median_seconds);
    }
    for (int32_t i = 0; i < out->n; i++) {
        for (int64_t k = 0; k < out->count[i] && memory[i] != NULL && status == COT_OK; k++) {
            out->value[i][k] =
                element(memory[i], cot_value_dtype(cot_graph_output_at(graph, i)), k);
        }
        free(memory[i]);
    }
    return status;
}

/* Compile the file's graph in a context of its own, with the JIT or without, and run it. */
static int run_once(const char *path, const run_options *options, cot_switch jit, run_result *out,
                    cot_graph **graph_out, cot_context **context_out) {
    cot_options context_options = {.struct_size = sizeof context_options, .jit = jit};
    cot_context *context = cot_context_create(&context_options);
    *context_out = context;
    if (context == NULL) {
        return COMMAND_FAILED;
    }
    cot_graph *graph = command_read_graph(context, path);
    *graph_out = graph;
    if (graph == NULL) {
        return COMMAND_FAILED;
    }
    cot_program_options program_options = {.struct_size = sizeof program_options,
                                           .max_rows = options->rows > 0 ? options->rows : 1};
    cot_program *program = cot_program_create(graph, &program_options);
    cot_session *session = program == NULL ? NULL : cot_session_create(program);
    void **memory = (void **)calloc((size_t)cot_graph_n_inputs(graph) + 1, sizeof *memory);
    cot_status status = session == NULL || memory == NULL ? COT_E_NOMEM : COT_OK;
    uint64_t seed = (uint64_t)options->seed;
    if (status == COT_OK) {
        status = fill_states(graph, seed) ? bind_inputs(graph, session, options->rows, seed, memory)
                                          : COT_E_NOMEM;
    }
    if (status == COT_OK) {
        cot_session_set_profiling(session, options->profile);
        status = run_bound(graph, session, options, out);
    }
    if (status == COT_OK && options->profile && jit != COT_OFF &&
        !command_print_profile(session, options->steps)) {
        status = COT_E_NOMEM;
    }
    if (status != COT_OK) {
        const char *message = session == NULL ? "" : cot_session_message(session);
        (void)fprintf(stderr, "cotangent run: %s\n",
                      message[0] != '\0' ? message : cot_error_message(context));
    }
    for (int32_t i = 0; memory != NULL && i < cot_graph_n_inputs(graph); i++) {
        free(memory[i]);
    }
    free((void *)memory);
    cot_session_destroy(session);
    cot_program_destroy(program);
    return status == COT_OK ? COMMAND_OK : COMMAND_FAILED;
}

static void print_outputs(const cot_graph *graph, const run_result *result, int64_t most) {
    for (int32_t i = 0; i < result->n; i++) {
        (void)printf("%s =", cot_graph_output_name(graph, i));
        for (int64_t k = 0; k < result->count[i] && k < most; k++) {
            (void)printf(" %.9g", result->value[i][k]);
        }
        (void)printf("%s\n", result->count[i] > most ? " ..." : "");
    }
}

/* Largest difference of two runs' outputs relative to each output's largest element; NaN against a
 * number: infinity. */
static double largest_difference(const run_result *a, const run_result *b, int32_t *worst_out) {
    double worst = 0.0;
    for (int32_t i = 0; i < a->n; i++) {
        double scale = 1e-30;
        for (int64_t k = 0; k < a->count[i]; k++) {
            if (isfinite(b->value[i][k])) {
                scale = fmax(scale, fabs(b->value[i][k]));
            }
        }
        for (int64_t k = 0; k < a->count[i]; k++) {
            double x = a->value[i][k];
            double y = b->value[i][k];
            bool equal = x == y || (isnan(x) && isnan(y));
            double difference = equal ? 0.0 : fabs(x - y) / scale;
            difference = isnan(difference) ? INFINITY : difference;
            if (difference > worst) {
                worst = difference;
                *worst_out = i;
            }
        }
    }
    return worst;
}

static void release(run_result *result, cot_graph *graph, cot_context *context) {
    for (int32_t i = 0; i < result->n; i++) {
        free(result->value[i]);
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static int run_and_show(const char *path, const run_options *options) {
    run_result kernels = {0};
    run_result reference = {0};
    cot_graph *graph[2] = {NULL, NULL};
    cot_context *context[2] = {NULL, NULL};
    int status = run_once(path, options, COT_DEFAULT, &kernels, &graph[0], &context[0]);
    if (status == COMMAND_OK) {
        print_outputs(graph[0], &kernels, options->print);
        if (options->time) {
            (void)printf("# %.3f us a step, median of %lld\n", 1e6 * kernels.median_seconds,
                         (long long)options->steps);
        }
    }
    if (status == COMMAND_OK && options->compare) {
        status = run_once(path, options, COT_OFF, &reference, &graph[1], &context[1]);
        int32_t worst = 0;
        if (status == COMMAND_OK) {
            double difference = largest_difference(&kernels, &reference, &worst);
            (void)printf("# largest difference from the evaluator: %.3g%s%s\n", difference,
                         difference > 0.0 ? ", in " : "",
                         difference > 0.0 ? cot_graph_output_name(graph[0], worst) : "");
            status = difference <= options->tolerance ? COMMAND_OK : COMMAND_FAILED;
        }
    }
    release(&kernels, graph[0], context[0]);
    release(&reference, graph[1], context[1]);
    return status;
}

int command_run(int argc, char **argv) {
    const char *path = NULL;
    run_options options = {.rows = 4, .steps = 1, .print = 8, .tolerance = 1e-5};
    const command_option table[] = {{"--rows", 'i', &options.rows},
                                    {"--steps", 'i', &options.steps},
                                    {"--seed", 'i', &options.seed},
                                    {"--print", 'i', &options.print},
                                    {"--tolerance", 'f', &options.tolerance},
                                    {"--time", 'b', &options.time},
                                    {"--profile", 'b', &options.profile},
                                    {"--compare", 'b', &options.compare},
                                    {NULL, 0, NULL}};
    if (command_parse(argc, argv, table, &path, 1) != 1 || options.steps < 1 || options.rows < 1) {
        (void)fputs(command_run_help, stderr);
        return COMMAND_USAGE;
    }
    if (options.compare && strcmp(path, "-") == 0) {
        (void)fputs("cotangent run: --compare reads the file twice: it needs a name\n", stderr);
        return COMMAND_USAGE;
    }
    return run_and_show(path, &options);
}
