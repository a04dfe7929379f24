/*
 * Products alone, each a program of one operation on inputs as they lie in memory, row-major: the
 * matrix products of dense layers and squares, and the convolutions of workload d, forward, by data
 * and by weights. "gemm-MxKxN": [M,K] by [K,N]; "gemmt-MxNxK": out [M,N] from the transposes of
 * [K,M] and [K,N], as a weights' gradient; "conv-fwd-CIN-COUT-EXTENT", "conv-dx-..", "conv-dw-..":
 * 3x3, padding "same", batch 64; "group-fwd-CHANNELS-GROUPS-EXTENT" and so on: of as many channels
 * in as out, depthwise if there are as many groups. "empty": a step that counts and does nothing
 * else.
 */
#include "peak.h"
#include "subject.h"

#include <stdlib.h>
#include <string.h>

enum { CONV_BATCH = 64, MOST_NAME = 48 };

static const char *const names[] = {
    "gemm-128x3072x20",    "gemm-128x784x512",    "gemm-128x512x10",    "gemm-128x256x256",
    "gemm-1024x1024x1024", "gemm-2048x2048x2048", "gemm-256x256x256",   "gemm-64x64x64",
    "gemmt-3072x20x128",   "gemmt-784x512x128",   "gemmt-256x256x128",  "conv-fwd-3-32-32",
    "conv-fwd-32-32-32",   "conv-fwd-32-64-16",   "conv-fwd-64-64-16",  "conv-dx-32-32-32",
    "conv-dx-32-64-16",    "conv-dx-64-64-16",    "conv-dw-3-32-32",    "conv-dw-32-32-32",
    "conv-dw-32-64-16",    "conv-dw-64-64-16",    "group-fwd-64-64-56", "group-dx-64-64-56",
    "group-dw-64-64-56",   "group-fwd-128-32-28", "group-dx-128-32-28", "group-dw-128-32-28",
};

const char *bench_product_name(int32_t i) {
    return (size_t)i < sizeof names / sizeof names[0] ? names[i] : NULL;
}

typedef struct product {
    bench_subject base; /* first: a bench_subject * is one of these */
    char name[MOST_NAME];
    cot_graph *graph;
    cot_program *program;
    cot_session *session;
    cot_variable *counter; /* of the empty step */
    int64_t rows;          /* of a run */
    int64_t n_out;
    float *operand[2], *out; /* owned */
} product;

static void destroy(bench_subject *subject) {
    product *own = (product *)subject;
    cot_session_destroy(own->session);
    cot_program_destroy(own->program);
    cot_graph_destroy(own->graph);
    cot_variable_release(own->counter);
    free(own->operand[0]);
    free(own->operand[1]);
    free(own->out);
    free(own);
}

static cot_status run(bench_subject *subject, int64_t rounds) {
    product *own = (product *)subject;
    cot_status status = COT_OK;
    for (int64_t i = 0; i < rounds && status == COT_OK; i++) {
        status = cot_session_run(own->session, own->rows);
    }
    double sum = 0.0;
    for (int64_t i = 0; i < own->n_out; i += 1 + own->n_out / 1000) {
        sum += (double)own->out[i];
    }
    subject->loss = sum;
    if (status != COT_OK) {
        (void)fprintf(stderr, "bench %s: %s\n", subject->name, cot_session_message(own->session));
    }
    return status;
}

static product *create(cot_context *context, const char *name) {
    product *own = calloc(1, sizeof *own);
    if (own == NULL) {
        return NULL;
    }
    (void)snprintf(own->name, sizeof own->name, "%s", name);
    own->base = (bench_subject){.name = own->name,
                                .what = "",
                                .context = context,
                                .units = 1,
                                .run = run,
                                .destroy = destroy};
    own->graph = cot_graph_create(context, "product");
    own->rows = 1;
    return own;
}

static int64_t elements(cot_shape shape, int64_t rows) {
    int64_t n = shape.batched ? rows : 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        n *= shape.dim[i];
    }
    return n;
}

/* Data for the two inputs "a" and "b", and room for the output "y". */
static cot_status bind(product *own) {
    for (int32_t i = 0; i < 2; i++) {
        cot_shape shape = cot_value_shape(cot_graph_input_at(own->graph, i));
        int64_t rows = shape.batched ? own->rows : 1;
        int64_t n = elements(shape, own->rows);
        own->operand[i] = malloc((size_t)n * sizeof(float));
        if (own->operand[i] == NULL) {
            return COT_E_NOMEM;
        }
        bench_fill(own->operand[i], n, (uint64_t)i);
        cot_array array = {
            .data = own->operand[i], .dtype = COT_F32, .n_rows = rows, .row_elements = n / rows};
        cot_status status = cot_session_bind(own->session, i == 0 ? "a" : "b", &array);
        if (status != COT_OK) {
            return status;
        }
    }
    own->n_out = elements(cot_value_shape(cot_graph_output_at(own->graph, 0)), own->rows);
    own->out = malloc((size_t)own->n_out * sizeof(float));
    return own->out == NULL ? COT_E_NOMEM
                            : cot_session_bind_output(own->session, "y", own->out,
                                                      (size_t)own->n_out * sizeof(float));
}

static bench_subject *finish(product *own, cot_value y) {
    cot_status status =
        own->counter != NULL ? COT_OK : cot_graph_output(y, "y"); /* the empty step has none */
    cot_program_options options = {.struct_size = sizeof options, .max_rows = own->rows};
    double start = bench_seconds();
    own->program = status == COT_OK ? cot_program_create(own->graph, &options) : NULL;
    own->session = own->program == NULL ? NULL : cot_session_create(own->program);
    own->base.compile_seconds = bench_seconds() - start;
    if (own->session == NULL || (own->counter == NULL && bind(own) != COT_OK)) {
        destroy(&own->base);
        return NULL;
    }
    own->base.info = cot_program_get_info(own->program);
    return &own->base;
}

static bench_subject *matrix_product(product *own, const int64_t size[3], bool transposed) {
    int64_t m = size[0];
    int64_t k = transposed ? size[2] : size[1];
    int64_t n = transposed ? size[1] : size[2];
    cot_value a =
        cot_op_input(own->graph, COT_F32, transposed ? COT_SHAPE(k, m) : COT_SHAPE(m, k), "a");
    cot_value b = cot_op_input(own->graph, COT_F32, COT_SHAPE(k, n), "b");
    cot_dot_axes axes = {.n_contract = 1, .a_contract = {transposed ? 0 : 1}};
    own->base.flops = 2.0 * (double)(m * k * n);
    return finish(own, cot_op_dot(a, b, &axes));
}

/* size: channels in, channels out, extent; kind: 'f' forward, 'x' by data, 'w' by weights. */
static bench_subject *convolution(product *own, const int64_t size[3], int64_t groups, char kind) {
    const cot_conv_axes same = {.low = {1, 1}, .high = {1, 1}, .groups = groups};
    static const int64_t taps[] = {3, 3};
    int64_t extent = size[2];
    const int64_t extents[] = {extent, extent};
    own->rows = CONV_BATCH;
    cot_shape x_shape = COT_BATCH(extent, extent, size[0]);
    cot_shape y_shape = COT_BATCH(extent, extent, size[1]);
    cot_shape w_shape = COT_SHAPE(3, 3, size[0] / groups, size[1]);
    cot_value a = cot_op_input(own->graph, COT_F32, kind == 'x' ? y_shape : x_shape, "a");
    cot_value b = cot_op_input(own->graph, COT_F32, kind == 'w' ? y_shape : w_shape, "b");
    cot_value y = kind == 'f'   ? cot_op_conv(a, b, &same)
                  : kind == 'x' ? cot_op_conv_dx(a, b, extents, &same)
                                : cot_op_conv_dw(a, b, taps, &same);
    double needed = 3.0 * (double)extent - 2.0;
    own->base.flops =
        2.0 * CONV_BATCH * needed * needed * (double)(size[0] * size[1]) / (double)groups;
    return finish(own, y);
}

/* size: channels in and out, groups, extent. */
static bench_subject *grouped(product *own, const int64_t size[3], char kind) {
    const int64_t of_one[3] = {size[0], size[0], size[2]};
    return convolution(own, of_one, size[1], kind);
}

/* Three numbers behind the prefix, parted by `separator`. */
static bool read_sizes(const char *text, char separator, int64_t size_out[3]) {
    for (int32_t i = 0; i < 3; i++) {
        char *end = NULL;
        size_out[i] = strtoll(text, &end, 10);
        if (end == text || size_out[i] < 1 || size_out[i] > 1 << 20 ||
            *end != (i < 2 ? separator : '\0')) {
            return false;
        }
        text = end + 1;
    }
    return true;
}

bench_subject *bench_make_product(cot_context *context, const bench_setup *setup,
                                  const char *name) {
    static const struct {
        const char *prefix;
        char separator, kind;
        bool groups;
    } form[] = {{"gemm-", 'x', 'g', false},     {"gemmt-", 'x', 't', false},
                {"conv-fwd-", '-', 'f', false}, {"conv-dx-", '-', 'x', false},
                {"conv-dw-", '-', 'w', false},  {"group-fwd-", '-', 'f', true},
                {"group-dx-", '-', 'x', true},  {"group-dw-", '-', 'w', true}};
    for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
        size_t n = strlen(form[i].prefix);
        int64_t size[3];
        if (strncmp(name, form[i].prefix, n) != 0 ||
            !read_sizes(name + n, form[i].separator, size)) {
            continue;
        }
        product *own = create(context, name);
        if (own == NULL) {
            return NULL;
        }
        for (int32_t k = 0; k < 3; k++) {
            size[k] = bench_size(setup, size[k]);
        }
        bool is_matrix = form[i].separator == 'x';
        return is_matrix        ? matrix_product(own, size, form[i].kind == 't')
               : form[i].groups ? grouped(own, size, form[i].kind)
                                : convolution(own, size, 1, form[i].kind);
    }
    (void)fprintf(stderr, "bench: there is no \"%s\"\n", name);
    return NULL;
}

bench_subject *bench_make_empty(cot_context *context, const bench_setup *setup, int32_t variant) {
    (void)setup;
    (void)variant;
    product *own = create(context, "empty");
    if (own == NULL) {
        return NULL;
    }
    own->base.what = "a run of a graph that counts itself";
    own->counter = cot_variable_create(context, COT_I64, COT_SCALAR, "iterations");
    cot_value before =
        own->counter == NULL ? (cot_value){NULL, 0} : cot_op_state(own->graph, own->counter);
    cot_value one = cot_op_constant(own->graph, COT_I64, 1.0);
    cot_status status = cot_graph_update(before, cot_op_binary(COT_OP_ADD, before, one));
    if (own->counter == NULL || status != COT_OK) {
        destroy(&own->base);
        return NULL;
    }
    return finish(own, before);
}
