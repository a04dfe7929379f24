/*
 * Fuzz target: the graph API. The bytes choose calls and their arguments, right and wrong: NULLs,
 * poisoned and forged values, values of other graphs and contexts, enumerators that are none, odd
 * shapes and axes, allocations that fail. After each call: a result that is no value comes with an
 * error or from poison, a value comes without; an error has its message; nothing is internal. In
 * the end the graphs hold all that graphs must hold.
 */
#include "builder_world.h"
#include "custom_function.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- calls: leaves and states ---- */

static void call_constant_array(world *w) {
    unsigned char data[N_DATA];
    cot_graph *graph = pick_graph(w);
    cot_dtype dtype = pick_dtype(w);
    cot_shape shape = pick_shape(w);
    int64_t elements = 0;
    bool odd = fuzz_below(&w->bytes, 8) == 7;
    for (int i = 0; i < N_DATA; i++) {
        data[i] = odd || dtype != COT_BOOL ? fuzz_byte(&w->bytes) : (unsigned char)(i & 1);
    }
    /* Where the data would not reach, the caller has none. */
    bool fits = shape.rank >= 0 && shape.rank <= COT_MAX_RANK &&
                coti_shape_elements(&shape, 1, &elements) && elements <= N_DATA / 8;
    accept_value(w, cot_op_constant_array(graph, dtype, shape, fits ? data : NULL));
}

static void call_leaf(world *w, int32_t which) {
    cot_graph *graph = pick_graph(w);
    cot_dtype dtype = pick_dtype(w);
    if (which == 0) {
        cot_shape shape = pick_shape(w);
        accept_value(w, cot_op_input(graph, dtype, shape, pick_name(w)));
    } else if (which == 1) {
        accept_value(w, cot_op_constant(graph, dtype, pick_number(w)));
    } else if (which == 2) {
        accept_value(w, cot_op_rows(graph));
    } else {
        cot_shape shape = pick_shape(w);
        accept_value(w, cot_op_iota(graph, dtype, shape, pick_axis(w)));
    }
}

static void call_variable_create(world *w) {
    int32_t i = fuzz_below(&w->bytes, N_VARIABLES);
    cot_context *context = w->context[fuzz_below(&w->bytes, 16) == 15];
    cot_dtype dtype = pick_dtype(w);
    cot_shape shape = pick_shape(w);
    cot_variable *variable = cot_variable_create(context, dtype, shape, pick_name(w));
    FUZZ_CHECK((variable == NULL) == (failed(w) != NULL), "a variable or an error, not both");
    check_failure(w);
    if (variable != NULL) {
        cot_variable_release(w->variable[i]);
        w->variable[i] = cot_variable_retain(variable);
        cot_variable_release(variable);
    }
}

static void call_variable_access(world *w) {
    unsigned char data[N_DATA] = {0};
    cot_variable *variable = w->variable[fuzz_below(&w->bytes, N_VARIABLES)];
    size_t bytes = fuzz_below(&w->bytes, 8) != 7 && variable != NULL ? (size_t)variable->bytes
                                                                     : fuzz_byte(&w->bytes);
    void *to = bytes <= N_DATA ? data : NULL;
    w->quiet = variable == NULL;
    if (fuzz_below(&w->bytes, 2) == 0) {
        accept_status(w, cot_variable_set(variable, to, bytes));
    } else {
        accept_status(w, cot_variable_get(variable, to, bytes));
    }
}

static void call_state(world *w) {
    cot_graph *graph = pick_graph(w);
    accept_value(w, cot_op_state(graph, w->variable[fuzz_below(&w->bytes, N_VARIABLES)]));
}

/* ---- calls: elementwise, views ---- */

static void call_elementwise(world *w, int32_t which) {
    cot_value a = pick(w), b = pick(w);
    if (which == 0) {
        accept_value(w, cot_op_unary(pick_op(w, COTI_KIND_ELEMWISE, 1), a));
    } else if (which == 1) {
        accept_value(w, cot_op_binary(pick_op(w, COTI_KIND_ELEMWISE, 2), a, b));
    } else if (which == 2) {
        accept_value(w, cot_op_select(pick(w), a, b));
    } else if (which == 3) {
        accept_value(w, cot_op_cast(a, pick_dtype(w)));
    } else {
        int32_t id = fuzz_below(&w->bytes, 8);
        accept_value(w, id < 4 ? cot_op_stop_gradient(a) : cot_op_barrier(a, id));
    }
}

static void call_view(world *w, int32_t which) {
    int32_t axes[N_LIST];
    int32_t n = 0;
    cot_value x = pick(w);
    if (which == 0) {
        accept_value(w, cot_op_reshape(x, pick_shape(w)));
        return;
    }
    const int32_t *list = pick_axes(w, axes, &n);
    if (which == 1) {
        accept_value(w, cot_op_permute(x, list, n));
    } else if (which == 2) {
        accept_value(w, cot_op_flip(x, list, n));
    } else {
        accept_value(w, cot_op_broadcast(x, pick_shape(w), list, n));
    }
}

static void call_part(world *w, bool is_slice) {
    int64_t first[N_LIST], second[N_LIST], third[N_LIST];
    cot_value x = pick(w);
    const int64_t *a = pick_sizes(w, first, 0);
    const int64_t *b = pick_sizes(w, second, 1);
    if (is_slice) {
        accept_value(w, cot_op_slice(x, a, b, pick_sizes(w, third, 1)));
    } else {
        accept_value(w, cot_op_pad(x, a, b, pick_number(w)));
    }
}

static void call_window(world *w) {
    int64_t first[N_LIST], second[N_LIST], third[N_LIST];
    cot_value x = pick(w);
    int32_t axis = fuzz_below(&w->bytes, 8) - 1;
    int32_t n = fuzz_below(&w->bytes, 5);
    const int64_t *size = pick_sizes(w, first, 1);
    const int64_t *stride = pick_sizes(w, second, 1);
    accept_value(w, cot_op_window(x, axis, n, size, stride, pick_sizes(w, third, 1)));
}

static void call_concat(world *w) {
    cot_value x[N_LIST];
    int32_t i = fuzz_below(&w->bytes, 32);
    int32_t n = i < 30 ? i % 10 : i == 30 ? -1 : 2;
    bool quiet = n < 1 || i == 31;
    for (int32_t k = 0; k < n; k++) {
        x[k] = pick(w);
    }
    w->quiet = w->quiet || quiet;
    accept_value(w, cot_op_concat(i == 31 ? NULL : x, n, pick_axis(w)));
}

/* ---- calls: reductions, products, the rest ---- */

static void call_reduce(world *w, int32_t which) {
    int32_t axes[N_LIST];
    int32_t n = 0;
    cot_value x = pick(w);
    bool keep = fuzz_below(&w->bytes, 2) == 1;
    const int32_t *list = pick_axes(w, axes, &n);
    if (which == 0) {
        accept_value(w, cot_op_reduce(pick_op(w, COTI_KIND_REDUCE, 1), x, list, n, keep));
    } else if (which == 1) {
        accept_value(w, cot_op_mean(x, list, n, keep));
    } else {
        int32_t axis = pick_axis(w);
        accept_value(w, keep ? cot_op_argmin(x, axis) : cot_op_argmax(x, axis));
    }
}

static void call_dot(world *w) {
    cot_dot_axes axes = {0};
    cot_value a = pick(w), b = pick(w);
    int32_t i = fuzz_below(&w->bytes, 64);
    axes.n_batch = i < 48 ? i % 3 : i == 48 ? -1 : i == 49 ? COT_MAX_RANK + 1 : 0;
    axes.n_contract = i < 48 ? i / 3 % 3 : i == 50 ? -1 : i == 51 ? INT32_MAX : 1;
    for (int32_t k = 0; k < COT_MAX_RANK && k < axes.n_batch + axes.n_contract; k++) {
        axes.a_batch[k] = pick_axis(w);
        axes.b_batch[k] = pick_axis(w);
        axes.a_contract[k] = pick_axis(w);
        axes.b_contract[k] = pick_axis(w);
    }
    if (i == 63) {
        accept_value(w, cot_op_dot(a, b, NULL));
    } else {
        accept_value(w, i < 48 ? cot_op_dot(a, b, &axes) : cot_op_matmul(a, b));
    }
}

static void call_indexing(world *w, int32_t which) {
    cot_value a = pick(w);
    if (which == 0) {
        int64_t depth = pick_size(w);
        accept_value(w, cot_op_one_hot(a, depth, pick_dtype(w)));
        return;
    }
    cot_value b = pick(w);
    cot_dtype dtype = pick_dtype(w);
    cot_shape shape = pick_shape(w);
    cot_distribution distribution = (cot_distribution)fuzz_below(&w->bytes, 3);
    accept_value(w, cot_op_random(a, b, dtype, shape, distribution, pick_size(w)));
}

static int32_t pick_batch(world *w) {
    int32_t i = fuzz_below(&w->bytes, 32);
    return i < 28 ? i % 3 : i == 28 ? -1 : i == 29 ? INT32_MAX : i == 30 ? INT32_MIN : 9;
}

static void call_gather(world *w, int32_t which) {
    cot_value x = pick(w);
    cot_value index = pick(w);
    int32_t axis = pick_axis(w);
    if (which == 0) {
        accept_value(w, cot_op_gather(x, index, axis, pick_batch(w)));
    } else if (which == 1) {
        accept_value(w, cot_op_take_along_axis(x, index, axis));
    } else {
        int32_t n_batch = pick_batch(w);
        accept_value(w, cot_op_scatter_add(x, index, axis, n_batch, pick_size(w)));
    }
}

static void call_order(world *w, int32_t which) {
    cot_value x = pick(w), more = {0};
    int32_t axis = pick_axis(w);
    if (which == 0) {
        cot_value start = pick(w);
        accept_value(w, cot_op_dynamic_slice(x, start, axis, pick_size(w)));
    } else if (which == 1) {
        cot_value update = pick(w);
        accept_value(w, cot_op_dynamic_update(x, update, pick(w), axis));
    } else if (which == 2) {
        accept_value(w, axis % 2 == 0 ? cot_op_argsort(x, axis > 0) : cot_op_sort(x, axis > 0));
    } else if (which == 3) {
        accept_value(w, cot_op_cumsum(x, axis));
    } else {
        cot_op_top_k(x, pick_size(w), &x, &more);
        FUZZ_CHECK((x.graph == NULL) == (more.graph == NULL), "values and places of top_k");
        accept_value(w, x);
    }
}

static void call_composite(world *w, int32_t which) {
    cot_value x = pick(w);
    if (which == 0) {
        accept_value(w, cot_op_softmax(x));
    } else if (which == 1) {
        accept_value(w, cot_op_log_softmax(x));
    } else {
        accept_value(w, cot_op_softmax_cross_entropy(x, pick(w)));
    }
}

static void call_conv(world *w, int32_t which) {
    int64_t list[N_LIST];
    cot_conv_axes axes = {0};
    cot_pool_axes pool = {.size = {2, 2, 2}};
    cot_value a = pick(w), b = pick(w);
    const int64_t *size = pick_sizes(w, list, 3);
    for (int32_t i = 0; i < COT_MAX_SPATIAL && fuzz_below(&w->bytes, 2) == 1; i++) {
        pool.stride[i] = axes.stride[i] = pick_size(w);
        pool.size[i] = axes.dilation[i] = pick_size(w);
        pool.low[i] = axes.low[i] = pick_size(w);
        pool.high[i] = axes.high[i] = pick_size(w);
        axes.groups = pick_size(w);
    }
    bool none = fuzz_below(&w->bytes, 32) == 0;
    if (which == 0) {
        accept_value(w, cot_op_conv(a, b, none ? NULL : &axes));
    } else if (which == 1) {
        accept_value(w, cot_op_conv_dx(a, b, size, none ? NULL : &axes));
    } else if (which == 2) {
        accept_value(w, cot_op_conv_dw(a, b, size, none ? NULL : &axes));
    } else if (which == 3) {
        accept_value(w, cot_op_max_pool(a, none ? NULL : &pool));
    } else {
        accept_value(w, cot_op_avg_pool(a, none ? NULL : &pool));
    }
}

/* Right functions of the operand, or any two graphs as bodies of any operands. */
static void call_custom(world *w) {
    cot_value x[N_LIST];
    int32_t i = fuzz_below(&w->bytes, 32);
    x[0] = pick(w);
    bool is_float = cot_value_dtype(x[0]) == COT_F32 || cot_value_dtype(x[0]) == COT_F64;
    if (i < 8 && is_float) {
        w->quiet = w->quiet || x[0].graph == NULL;
        accept_value(w, i < 4 ? custom_tanh(x[0], i) : custom_product(x[0], x[0]));
        return;
    }
    int32_t n = i < 30 ? 1 + i % 3 : i == 30 ? -1 : 1;
    for (int32_t k = 1; k < n; k++) {
        x[k] = pick(w);
    }
    const cot_graph *forward = pick_graph(w);
    const cot_graph *backward = pick_graph(w);
    w->quiet = w->quiet || n < 1 || i == 31;
    accept_value(w, cot_op_custom(forward, backward, i == 31 ? NULL : x, n));
}

static void call_norm(world *w) {
    cot_value x = pick(w), scale = pick(w), offset = pick(w);
    int32_t which = fuzz_below(&w->bytes, 4);
    double epsilon = pick_number(w);
    if (which == 0) {
        accept_value(w, cot_op_layer_norm(x, scale, offset, epsilon));
    } else if (which == 1) {
        accept_value(w, cot_op_batch_norm(x, scale, offset, epsilon));
    } else if (which == 2) {
        accept_value(w, cot_op_group_norm(x, scale, offset, pick_size(w), epsilon));
    } else {
        accept_value(w, cot_op_rms_norm(x, scale, epsilon));
    }
}

static void call_attention(world *w) {
    const cot_value none = {NULL, 0};
    cot_value q = pick(w), k = pick(w), v = pick(w);
    int32_t i = fuzz_below(&w->bytes, 16);
    cot_attention_options options = {.struct_size = sizeof options, .causal = i % 2 == 1};
    options.scale = i % 4 < 2 ? 0 : pick_number(w);
    options.struct_size = i == 15 ? fuzz_byte(&w->bytes) : sizeof options;
    cot_value mask = i < 8 ? none : pick(w);
    accept_value(w, cot_op_attention(q, k, v, mask, i == 14 ? NULL : &options));
}

static void call_statistics(world *w) {
    int32_t axes[N_LIST];
    int32_t n = 0;
    cot_value x = pick(w), mean, variance;
    int32_t which = fuzz_below(&w->bytes, 6);
    const int32_t *list = pick_axes(w, axes, &n);
    if (which < 2) {
        accept_value(w, cot_op_variance(x, list, n, which == 0));
    } else if (which < 4) {
        accept_value(w, cot_op_logsumexp(x, list, n, which == 2));
    } else {
        accept_status(w, cot_op_moments(x, list, n, which == 4, &mean, &variance));
        FUZZ_CHECK((mean.graph == NULL) == (variance.graph == NULL), "one of two moments");
    }
}

/* ---- calls: results, gradients, text ---- */

static void call_result(world *w, int32_t which) {
    cot_value value = pick(w);
    if (which == 0) {
        accept_status(w, cot_graph_output(value, pick_name(w)));
    } else {
        accept_status(w, cot_graph_update(pick(w), value));
    }
}

static void call_gradient(world *w, bool is_grad) {
    cot_value wrt[N_LIST], grad[N_LIST];
    cot_value y = pick(w);
    cot_value cotangent = is_grad ? y : pick(w);
    int32_t i = fuzz_below(&w->bytes, 32);
    int32_t n = i < 30 ? i % 4 : i - 31;
    for (int32_t k = 0; k < n; k++) {
        wrt[k] = pick(w);
        grad[k] = y;
    }
    cot_status status = is_grad ? cot_grad(y, i == 29 ? NULL : wrt, n, grad)
                                : cot_vjp(y, cotangent, i == 29 ? NULL : wrt, n, grad);
    accept_status(w, status);
    for (int32_t k = 0; k < n; k++) {
        FUZZ_CHECK((grad[k].graph != NULL) == (status == COT_OK), "gradient %d after %s", (int)k,
                   cot_status_name(status));
        if (status == COT_OK) {
            accept_value(w, grad[k]);
        }
    }
}

/* Products with Jacobians and Hessians, and a Jacobian: each result there, or none. */
static void call_product(world *w, int32_t which) {
    cot_value wrt[N_LIST], vector[N_LIST], out[N_LIST];
    cot_value y = pick(w);
    int32_t i = fuzz_below(&w->bytes, 32);
    int32_t n = which == 2 ? 1 : i < 30 ? i % 3 : i - 31;
    for (int32_t k = 0; k < n; k++) {
        wrt[k] = pick(w);
        vector[k] = pick(w);
    }
    out[0] = y;
    const cot_value *list = i == 29 ? NULL : wrt;
    cot_status status = which == 0   ? cot_jvp(&y, 1, list, vector, n, out)
                        : which == 1 ? cot_hvp(y, list, vector, n, out)
                                     : cot_jacobian(y, wrt[0], out);
    accept_status(w, status);
    int32_t n_out = which == 1 ? n : 1;
    for (int32_t k = 0; k < n_out; k++) {
        FUZZ_CHECK((out[k].graph != NULL) == (status == COT_OK), "product %d after %s", (int)k,
                   cot_status_name(status));
        if (status == COT_OK) {
            accept_value(w, out[k]);
        }
    }
}

static bool swallow(const char *text, size_t bytes, void *user) {
    (void)text;
    int32_t *left = user;
    return bytes == 0 || --*left > 0;
}

/* The getters fail never; the printer, when its writer has enough. */
static void call_look(world *w) {
    cot_graph *graph = pick_graph(w);
    cot_value value = pick(w);
    int32_t i = pick_axis(w);
    cot_graph_set_layer(graph, pick_name(w));
    cot_graph_set_remat(graph, fuzz_below(&w->bytes, 2) == 1);
    (void)cot_value_dtype(value);
    (void)cot_value_shape(value);
    (void)cot_graph_input_name(graph, i);
    (void)cot_graph_output_name(graph, i);
    (void)cot_graph_find_variable(graph, pick_name(w));
    FUZZ_CHECK((cot_graph_state_variable(graph, i) == NULL) ==
                   (cot_graph_state_at(graph, i).graph == NULL),
               "a state has a variable");
    check_failure(w);
    cot_error_clear(graph != NULL ? graph->context : NULL);
    before(w);
    int32_t left = fuzz_below(&w->bytes, 16);
    w->quiet = graph == NULL;
    accept_status(w, cot_graph_print(graph, left == 15 ? NULL : swallow, &left));
}

static void call_any(world *w) {
    before(w);
    int32_t which = fuzz_below(&w->bytes, 70);
    if (which < 6) {
        call_leaf(w, which % 4);
    } else if (which < 8) {
        call_constant_array(w);
    } else if (which < 10) {
        call_variable_create(w);
    } else if (which < 11) {
        call_variable_access(w);
    } else if (which < 13) {
        call_state(w);
    } else if (which < 20) {
        call_elementwise(w, which < 15 ? which - 13 : which - 15);
    } else if (which < 25) {
        call_view(w, which % 4);
    } else if (which < 28) {
        call_part(w, which != 27);
    } else if (which < 29) {
        call_concat(w);
    } else if (which < 32) {
        call_reduce(w, which - 29);
    } else if (which < 35) {
        call_dot(w);
    } else if (which < 37) {
        call_indexing(w, which - 35);
    } else if (which < 40) {
        call_composite(w, which - 37);
    } else if (which < 42) {
        call_result(w, which - 40);
    } else if (which < 43) {
        call_gradient(w, fuzz_below(&w->bytes, 2) == 0);
    } else if (which < 44) {
        call_look(w);
    } else if (which < 45) {
        call_window(w);
    } else if (which < 48) {
        call_gather(w, which - 45);
    } else if (which < 53) {
        call_conv(w, which - 48);
    } else if (which < 54) {
        call_custom(w);
    } else if (which < 56) {
        call_norm(w);
    } else if (which < 58) {
        call_attention(w);
    } else if (which < 59) {
        call_statistics(w);
    } else if (which < 62) {
        call_product(w, which - 59);
    } else if (which < 65) {
        call_scan(w);
    } else {
        call_order(w, which - 65);
    }
}

/* ---- the whole ---- */

/* Values of related shapes to begin with. */
static void begin(world *w) {
    before(w);
    accept_value(w, cot_op_input(w->graph[0], COT_F32, (cot_shape){2, true, {1, 3}}, "input"));
    accept_value(w, cot_op_input(w->graph[0], COT_F32, (cot_shape){2, false, {3, 3}}, "weight"));
    accept_value(w, cot_op_input(w->graph[0], COT_I32, (cot_shape){1, true, {1}}, "label"));
}

/* Every value in the pool becomes an output of its graph. */
static void output_values(world *w) {
    for (int32_t i = 0; i < w->n_values && i < N_VALUES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "out%d", (int)i);
        FUZZ_CHECK(cot_graph_output(w->value[i], name) == COT_OK, "output: %s",
                   cot_error_message(w->value[i].graph->context));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    world w = {.bytes = {data, data + size}};
    for (int i = 0; i < N_CONTEXTS; i++) {
        w.context[i] = fuzz_context_create(&w.heap[i], fuzz_limit(size));
    }
    for (int i = 0; i < N_GRAPHS; i++) {
        w.graph[i] = cot_graph_create(w.context[i / 2], "fuzz");
    }
    begin(&w);
    int64_t fail_at = fuzz_byte(&w.bytes);
    w.heap[0].fail_at = fail_at == 0 ? 0 : w.heap[0].n_calls + fail_at;
    while (w.bytes.at < w.bytes.end) {
        call_any(&w);
    }
    before(&w);
    for (int i = 0; i < N_CONTEXTS; i++) {
        w.heap[i].fail_at = 0;
        w.heap[i].limit = SIZE_MAX;
    }
    output_values(&w);
    for (int i = 0; i < N_GRAPHS; i++) {
        fuzz_check_graph(w.graph[i]);
        cot_graph_destroy(w.graph[i]);
    }
    for (int i = 0; i < N_VARIABLES; i++) {
        cot_variable_release(w.variable[i]);
    }
    for (int i = 0; i < N_CONTEXTS; i++) {
        fuzz_context_destroy(w.context[i], &w.heap[i]);
    }
    return 0;
}
