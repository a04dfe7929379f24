/*
 * How long compiling takes: all of cot_model_compile (programs for training, evaluation and
 * prediction, their memory, optimizer's variables) of the lecture's network and of residual
 * networks of 10, 100 and 1,000 blocks, cold and from the object cache; and a graph of 10,000
 * layers from its first node to its program.
 *
 * A sample is a context of its own. Cold ones have no cache; warm ones share one, in a folder that
 * is made for them, filled by one more sample, and removed. Wall time is what a user waits; the
 * processor time of all threads is what the work costs, whoever shares the machine.
 */
#include "compile.h"

#include "samples.h"

#include <cotangent.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_CLASSES = 10, BATCH = 128, PATH_BYTES = 512 };

typedef struct network {
    const char *name;
    int64_t inputs;
    int64_t width[3];  /* units of hidden layers, ended by 0 */
    int64_t blocks;    /* residual blocks of two layers after them */
    bool adam;         /* else SGD */
    int64_t chain;     /* instead of all that: layers of a graph */
    int64_t parameter; /* its width */
} network;

static const network networks[] = {
    {"3072-20-15-10, SGD", 3072, {20, 15}, 0, false, 0, 0},
    {"10 blocks of 2 x 64, Adam", 784, {64}, 10, true, 0, 0},
    {"100 blocks of 2 x 64, Adam", 784, {64}, 100, true, 0, 0},
    {"1,000 blocks of 2 x 64, Adam", 784, {64}, 1000, true, 0, 0},
    {"10,000 layers of 8, graph", 0, {0}, 0, false, 10000, 8},
};
enum { N_NETWORKS = sizeof networks / sizeof networks[0] };

/* What one sample tells. */
typedef struct sample {
    double wall, processor;
    int64_t kernels, compiled;
} sample;

typedef struct clocks {
    double wall, processor;
} clocks;

static clocks read_clocks(void) {
    return (clocks){bench_now(BENCH_WALL), bench_now(BENCH_PROCESSOR)};
}

static void stop(sample *s, clocks start) {
    const clocks end = read_clocks();
    s->wall = end.wall - start.wall;
    s->processor = end.processor - start.processor;
}

/* ---- models ---- */

static cot_model *build(cot_context *context, const network *net, const bench_setup *setup) {
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(net->inputs), "x");
    cot_tensor x = input;
    for (int i = 0; net->width[i] != 0; i++) {
        x = cot_dense(x, net->width[i], .activation = COT_RELU);
    }
    const int64_t blocks = net->blocks > 0 ? bench_size(setup, net->blocks) : 0;
    for (int64_t i = 0; i < blocks; i++) {
        cot_tensor branch = cot_dense(x, net->width[0], .activation = COT_RELU);
        x = cot_add(COT_TENSORS(x, cot_dense(branch, net->width[0])));
    }
    cot_tensor y = cot_dense(x, N_CLASSES, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(input), COT_TENSORS(y), NULL);
}

static cot_status time_model(cot_context *context, const network *net, const bench_setup *setup,
                             sample *out) {
    cot_model *model = build(context, net, setup);
    if (model == NULL) {
        return cot_error_get(context).status;
    }
    const cot_optimizer *optimizer =
        net->adam ? cot_adam(.learning_rate = 1e-4) : cot_sgd(.learning_rate = 0.01);
    const clocks start = read_clocks();
    const cot_status status =
        cot_model_compile(model, .optimizer = optimizer,
                          .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .max_batch = BATCH);
    stop(out, start);
    out->kernels = cot_program_get_info(cot_model_train_program(model)).n_kernels;
    out->compiled = cot_context_kernels_compiled(context);
    cot_model_destroy(model);
    return status;
}

/* ---- a graph ---- */

/* x + relu(x w_i) in turn, its mean square, gradients of all weights, and their steps. */
static cot_graph *build_chain(cot_context *context, const network *net, int64_t layers,
                              cot_variable **variable, cot_value *weight, cot_value *gradient) {
    static const int32_t axes[] = {0, 1};
    cot_graph *graph = cot_graph_create(context, "chain");
    cot_value x = cot_op_input(graph, COT_F32, COT_BATCH(net->parameter), "x");
    for (int64_t i = 0; i < layers; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "w%lld", (long long)i);
        variable[i] =
            cot_variable_create(context, COT_F32, COT_SHAPE(net->parameter, net->parameter), name);
        weight[i] = cot_op_state(graph, variable[i]);
        x = cot_op_binary(COT_OP_ADD, x, cot_op_unary(COT_OP_RELU, cot_op_matmul(x, weight[i])));
    }
    cot_value loss = cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_MUL, x, x), axes, 2, false);
    cot_status status = cot_grad(loss, weight, (int32_t)layers, gradient);
    cot_value rate = cot_op_constant(graph, COT_F32, 0.01);
    for (int64_t i = 0; i < layers && status == COT_OK; i++) {
        cot_value step = cot_op_binary(COT_OP_MUL, gradient[i], rate);
        status = cot_graph_update(weight[i], cot_op_binary(COT_OP_SUB, weight[i], step));
    }
    if (status == COT_OK) {
        status = cot_graph_output(loss, "loss");
    }
    if (status != COT_OK) {
        cot_graph_destroy(graph);
        return NULL;
    }
    return graph;
}

static cot_status time_chain(cot_context *context, const network *net, const bench_setup *setup,
                             sample *out) {
    const int64_t layers = bench_size(setup, net->chain);
    cot_variable **variable = (cot_variable **)calloc((size_t)layers, sizeof *variable);
    cot_value *value = calloc(2 * (size_t)layers, sizeof *value);
    cot_graph *graph = NULL;
    cot_program *program = NULL;
    if (variable != NULL && value != NULL) {
        const clocks start = read_clocks();
        graph = build_chain(context, net, layers, variable, value, value + layers);
        program = graph != NULL ? cot_program_create(graph, NULL) : NULL;
        stop(out, start);
    }
    out->kernels = cot_program_get_info(program).n_kernels;
    out->compiled = cot_program_get_info(program).n_compiled;
    const bool good = program != NULL;
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    for (int64_t i = 0; i < layers && variable != NULL; i++) {
        cot_variable_release(variable[i]);
    }
    free((void *)variable);
    free(value);
    const cot_status status = cot_error_get(context).status;
    return good ? COT_OK : status != COT_OK ? status : COT_E_NOMEM;
}

/* ---- samples ---- */

static bool take(const network *net, const bench_setup *setup, const char *cache, sample *out) {
    const cot_options options = {.struct_size = sizeof options,
                                 .threads = setup->threads,
                                 .cache = cache != NULL ? COT_ON : COT_OFF,
                                 .cache_dir = cache};
    cot_context *context = cot_context_create(&options);
    if (context == NULL) {
        return false;
    }
    *out = (sample){0};
    const cot_status status = net->chain > 0 ? time_chain(context, net, setup, out)
                                             : time_model(context, net, setup, out);
    if (status != COT_OK) {
        (void)fprintf(stderr, "bench compile, %s: %s\n", net->name, cot_error_message(context));
    }
    cot_context_destroy(context);
    return status == COT_OK;
}

/* Medians of samples, the last of which is given. */
static bool take_all(const network *net, const bench_setup *setup, const char *cache, int n,
                     sample *out) {
    static double wall[BENCH_MOST_SAMPLES], processor[BENCH_MOST_SAMPLES];
    for (int i = 0; i < n; i++) {
        if (!take(net, setup, cache, out)) {
            return false;
        }
        wall[i] = out->wall;
        processor[i] = out->processor;
    }
    out->wall = bench_quartile(wall, n, 2);
    out->processor = bench_quartile(processor, n, 2);
    return true;
}

/* Remove a folder and the files in it. */
static void remove_folder(const char *path) {
    DIR *folder = opendir(path);
    for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL;
         entry = readdir(folder)) {
        char name[PATH_BYTES];
        (void)snprintf(name, sizeof name, "%s/%.255s", path, entry->d_name);
        (void)unlink(name); /* "." and ".." are refused */
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    (void)rmdir(path);
}

static bool show_network(const network *net, const bench_setup *setup, int samples) {
    char cache[] = "/tmp/cotangent_bench_XXXXXX";
    sample cold = {0}, warm = {0};
    if (mkdtemp(cache) == NULL) {
        return false;
    }
    const bool good = take_all(net, setup, NULL, samples, &cold) &&
                      take(net, setup, cache, &warm) && take_all(net, setup, cache, samples, &warm);
    remove_folder(cache);
    if (good) {
        (void)printf("   %-30s %9.1f %9.1f   %9.1f %9.1f   %7lld %9lld\n", net->name,
                     1e3 * cold.wall, 1e3 * cold.processor, 1e3 * warm.wall, 1e3 * warm.processor,
                     (long long)cold.kernels, (long long)warm.compiled);
    }
    return good;
}

bool bench_show_compile(const bench_setup *setup, int samples) {
    bool good = true;
    (void)printf(
        "compile, ms of the wall's time and of all threads' processor time, medians of %d\n"
        "   %-30s %19s   %19s   %7s %9s\n",
        samples, "", "cold", "from the cache", "kernels", "compiled");
    for (int i = 0; i < N_NETWORKS; i++) {
        good = show_network(&networks[i], setup, samples) && good;
    }
    (void)printf("\n");
    return good;
}
