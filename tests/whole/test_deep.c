/*
 * Ten thousand layers (a thousand among the quick tests) from the first node to a step of training:
 * nothing recurses, for it all happens on a small stack, and nothing grows faster than the graph,
 * or this would not end. Every layer is x + relu(x w) with w = d I, so that the loss and each
 * weight's gradient have closed forms.
 */
#include "promises.h"

#include "effort.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { WIDTH = 4, ROWS = 2, STACK_BYTES = 1 << 20 };

static const float x[ROWS * WIDTH] = {0.5F, 0.25F, 0.125F, 0.75F, 0.375F, 0.625F, 0.5F, 0.25F};

/* What the thread found; checked by cmocka's own. */
typedef struct deep {
    int64_t layers;
    cot_status status;
    char message[256];
    int64_t kernels, compiled;
    float loss;
    float first[WIDTH * WIDTH], middle[WIDTH * WIDTH], last[WIDTH * WIDTH]; /* after a step */
} deep;

/* d: x grows by e in all. */
static double growth(int64_t layers) {
    return 1.0 / (double)layers;
}

static const double rate = 0.001;

static cot_graph *build(cot_context *context, int64_t layers, cot_variable **variable,
                        cot_value *weight, cot_value *gradient) {
    static const int32_t axes[] = {0, 1};
    cot_graph *graph = cot_graph_create(context, "deep");
    cot_value value = cot_op_input(graph, COT_F32, COT_BATCH(WIDTH), "x");
    float diagonal[WIDTH * WIDTH] = {0};
    for (int i = 0; i < WIDTH; i++) {
        diagonal[i * WIDTH + i] = (float)growth(layers);
    }
    for (int64_t i = 0; i < layers; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "w%lld", (long long)i);
        variable[i] = cot_variable_create(context, COT_F32, COT_SHAPE(WIDTH, WIDTH), name);
        if (variable[i] == NULL ||
            cot_variable_set(variable[i], diagonal, sizeof diagonal) != COT_OK) {
            break;
        }
        weight[i] = cot_op_state(graph, variable[i]);
        cot_value branch = cot_op_unary(COT_OP_RELU, cot_op_matmul(value, weight[i]));
        value = cot_op_binary(COT_OP_ADD, value, branch);
    }
    cot_value loss =
        cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_MUL, value, value), axes, 2, false);
    if (cot_grad(loss, weight, (int32_t)layers, gradient) == COT_OK) {
        cot_value scale = cot_op_constant(graph, COT_F32, rate);
        for (int64_t i = 0; i < layers; i++) {
            cot_value step = cot_op_binary(COT_OP_MUL, gradient[i], scale);
            (void)cot_graph_update(weight[i], cot_op_binary(COT_OP_SUB, weight[i], step));
        }
        (void)cot_graph_output(loss, "loss");
    }
    return graph;
}

static void train(const cot_program *program, cot_variable *const *variable, deep *d) {
    const cot_array array = {.data = x, .n_rows = ROWS, .row_elements = WIDTH, .dtype = COT_F32};
    cot_session *session = cot_session_create(program);
    cot_status status = session != NULL ? cot_session_bind(session, "x", &array) : COT_E_NOMEM;
    status = status == COT_OK ? cot_session_bind_output(session, "loss", &d->loss, sizeof d->loss)
                              : status;
    d->status = status == COT_OK ? cot_session_run(session, ROWS) : status;
    cot_session_destroy(session);
    (void)cot_variable_get(variable[0], d->first, sizeof d->first);
    (void)cot_variable_get(variable[d->layers / 2], d->middle, sizeof d->middle);
    (void)cot_variable_get(variable[d->layers - 1], d->last, sizeof d->last);
}

static void *run(void *user) {
    deep *d = user;
    cot_context *context = promise_context(2);
    const size_t n = (size_t)d->layers;
    cot_variable **variable = (cot_variable **)calloc(n, sizeof *variable);
    cot_value *value = calloc(2 * n, sizeof *value);
    d->status = COT_E_NOMEM;
    if (variable != NULL && value != NULL) {
        cot_graph *graph = build(context, d->layers, variable, value, value + n);
        cot_program *program = cot_program_create(graph, NULL);
        d->kernels = cot_program_get_info(program).n_kernels;
        d->compiled = cot_program_get_info(program).n_compiled;
        cot_graph_destroy(graph);
        if (program != NULL) {
            train(program, variable, d);
        }
        cot_program_destroy(program);
    }
    (void)snprintf(d->message, sizeof d->message, "%s", cot_error_message(context));
    for (size_t i = 0; i < n && variable != NULL; i++) {
        cot_variable_release(variable[i]);
    }
    free((void *)variable);
    free(value);
    cot_context_destroy(context);
    return NULL;
}

static deep make_deep(int64_t layers) {
    static deep d;
    pthread_attr_t attributes;
    pthread_t thread;
    d = (deep){.layers = layers};
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run, &d), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)pthread_attr_destroy(&attributes);
    if (d.status != COT_OK) {
        fail_msg("%lld layers: %s", (long long)layers, d.message);
    }
    return d;
}

/* Rounding of so many layers, each by half an ulp or so, in one direction at worst. */
static void close_to(double found, double expected, int64_t layers) {
    if (!(fabs(found - expected) <= 1e-7 * (double)layers * fabs(expected))) {
        fail_msg("found %.9g, expected %.9g", found, expected);
    }
}

/* c = 1 + d, x_n = c^n x_0: the loss is c^2n |x_0|^2, and the gradient of any w
 * 2 c^(2n - 1) x_0' x_0. */
static void check(const deep *d) {
    const double c = 1.0 + growth(d->layers), n = (double)d->layers;
    double squares = 0.0;
    for (int i = 0; i < ROWS * WIDTH; i++) {
        squares += (double)x[i] * (double)x[i];
    }
    close_to((double)d->loss, squares * pow(c, 2.0 * n), d->layers);
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < WIDTH; j++) {
            double outer = 0.0;
            for (int r = 0; r < ROWS; r++) {
                outer += (double)x[r * WIDTH + i] * (double)x[r * WIDTH + j];
            }
            const double step = rate * 2.0 * pow(c, 2.0 * n - 1.0) * outer;
            const double was = i == j ? growth(d->layers) : 0.0;
            close_to((double)d->first[i * WIDTH + j], was - step, d->layers);
            close_to((double)d->middle[i * WIDTH + j], was - step, d->layers);
            close_to((double)d->last[i * WIDTH + j], was - step, d->layers);
        }
    }
}

static void depth_costs_no_kernels_and_no_stack(void **state) {
    (void)state;
    const deep few = make_deep(100), many = make_deep(effort_is_quick() ? 1000 : 10000);
    check(&few);
    check(&many);
    assert_int_equal(few.kernels, many.kernels);
    assert_int_equal(few.compiled, many.compiled);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(depth_costs_no_kernels_and_no_stack)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
