/*
 * Embeddings, recurrent layers under masks and multi-head attention as graphs of the library's
 * operations, against Keras's numbers: values, and gradients of inputs and weights.
 *
 * The golden numbers, by which the library was specified before it had this folder, are checked
 * here and in:
 *     activations                         unit/frontend/test_activations.c
 *     Dense                               unit/frontend/test_layers.c
 *     PReLU                               unit/frontend/test_units.c
 *     optimizers                          unit/frontend/test_optimizers.c; Nadam's differ in 4e-6
 *                                         between Keras's backends and are TensorFlow's
 *     schedules                           unit/frontend/test_schedules.c
 *     losses, metrics                     unit/frontend/test_losses.c, those with weights of rows
 *                                         in test_row_weights.c; F1 in test_reference_metrics.c
 *     Conv2D, DepthwiseConv2D, pools      unit/graph/test_conv.c, test_pool.c
 *     layer, group and batch norm         unit/graph/test_norm.c
 *     SimpleRNN, LSTM, GRU                unit/graph/test_scan.c
 *     Embedding, masked SimpleRNN,
 *     MultiHeadAttention                  here, the arrays "golden"; also unit/graph/
 *                                         test_attention.c
 *     fits, weights after them            unit/frontend/test_fit.c, test_fit_models.c,
 *                                         test_row_weights.c (class weights), test_weights.c
 *                                         (regularizers)
 *     EarlyStopping                       unit/frontend/test_callbacks.c
 *     console and CSV                     unit/frontend/test_summary.c, test_callbacks.c
 */
#include "probe.h"

#include "graph/graph.h"
#include "scan_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_WEIGHTS = 8, MOST_TENSORS = 24, MOST_AXES = 8 };

static const double tolerance = 2e-6;

/* A graph of the case's arrays and what it is to give. */
typedef struct layer_case {
    reference_case *c;
    cot_graph *graph;
    cot_value x, ids, cotangent, w[MOST_WEIGHTS];
    int32_t n_weights;
    void *input[MOST_TENSORS]; /* the data of graph->input[i] */
    int64_t rows;
} layer_case;

/* ---- inputs ---- */

static cot_shape shape_of(const reference_array *array, bool batched) {
    cot_shape shape = {.rank = array->rank, .batched = batched};
    for (int32_t i = 0; i < array->rank; i++) {
        shape.dim[i] = batched && i == 0 ? 1 : array->dim[i];
    }
    return shape;
}

/* An array as an input of its name; poison if the case has none. */
static cot_value add_input(layer_case *l, const char *name, cot_dtype dtype, bool batched) {
    const reference_array *array = reference_find(l->c, name);
    if (array == NULL) {
        return (cot_value){NULL, 0};
    }
    size_t at = l->graph->input.count;
    assert_true(at < MOST_TENSORS);
    l->input[at] = dtype == COT_F32 ? (void *)reference_floats(array) : reference_integers(array);
    l->rows = batched ? array->dim[0] : l->rows;
    return cot_op_input(l->graph, dtype, shape_of(array, batched), name);
}

static void begin(layer_case *l, reference_case *c) {
    *l = (layer_case){.c = c, .rows = 1, .graph = cot_graph_create(probe_context(), "layer")};
    assert_non_null(l->graph);
    l->ids = add_input(l, "ids", COT_I32, true);
    l->x = add_input(l, "x", COT_F32, true);
    l->cotangent = add_input(l, "cotangent", COT_F32, true);
    for (int32_t i = 0; i < MOST_WEIGHTS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "w%d", (int)i);
        l->w[i] = add_input(l, name, COT_F32, false);
        l->n_weights += l->w[i].graph != NULL;
    }
}

/* ---- running ---- */

static void bind(const layer_case *l, cot_session *session) {
    for (size_t i = 0; i < l->graph->input.count; i++) {
        const coti_node *node = coti_node_at(l->graph, l->graph->input.data[i]);
        int64_t elements = 0;
        assert_true(coti_shape_elements(&node->shape, 1, &elements));
        CHECK_OK(l->graph->context,
                 cot_session_bind(session, ((const coti_attr_NAME *)node->attr)->name,
                                  &(cot_array){.data = l->input[i],
                                               .dtype = node->dtype,
                                               .n_rows = node->shape.batched ? l->rows : 1,
                                               .row_elements = elements}));
    }
}

/* Compile, run, and compare every output with the array of its name. */
static void finish(layer_case *l) {
    cot_context *context = l->graph->context;
    float *found[MOST_TENSORS] = {NULL};
    size_t n = l->graph->output.count;
    cot_program *program = cot_program_create(l->graph, NULL);
    if (program == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    cot_session *session = cot_session_create(program);
    assert_true(session != NULL && n <= MOST_TENSORS);
    bind(l, session);
    for (size_t i = 0; i < n; i++) {
        const char *name = l->graph->output.data[i].name;
        size_t bytes = (size_t)reference_need(l->c, name)->n * sizeof(float);
        found[i] = malloc(bytes);
        assert_non_null(found[i]);
        CHECK_OK(context, cot_session_bind_output(session, name, found[i], bytes));
    }
    CHECK_OK(context, cot_session_run(session, l->rows));
    for (size_t i = 0; i < n; i++) {
        const reference_array *want = reference_need(l->c, l->graph->output.data[i].name);
        reference_check(l->c, want, 0, found[i], want->n, tolerance);
        const reference_array *golden =
            reference_find(l->c, strcmp(want->name, "y") == 0 ? "golden" : "golden_scores");
        if (golden != NULL && strncmp(want->name, "gradient", 8) != 0) {
            assert_true(golden->n <= want->n);
            reference_check(l->c, golden, 0, found[i], golden->n, tolerance);
        }
        free(found[i]);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    for (size_t i = 0; i < l->graph->input.count; i++) {
        free(l->input[i]);
    }
    cot_graph_destroy(l->graph);
}

/* y and its gradients are what the graph gives. */
static void give(const layer_case *l, cot_value y) {
    cot_value wrt[MOST_WEIGHTS + 1], gradient[MOST_WEIGHTS + 1];
    int32_t n = 0;
    for (int32_t i = 0; i < l->n_weights; i++) {
        wrt[n++] = l->w[i];
    }
    if (l->x.graph != NULL) {
        wrt[n++] = l->x;
    }
    CHECK_OK(l->graph->context, cot_graph_output(y, "y"));
    CHECK_OK(l->graph->context, cot_vjp(y, l->cotangent, wrt, n, gradient));
    for (int32_t i = 0; i < n; i++) {
        char name[16] = "gradient/x";
        if (i < l->n_weights) {
            (void)snprintf(name, sizeof name, "gradient/w%d", (int)i);
        }
        CHECK_OK(l->graph->context, cot_graph_output(gradient[i], name));
    }
}

/* ---- embedding ---- */

/* The gradient is the scatter-add that gather's rule makes: ids that occur twice add up. */
static void embedding(layer_case *l) {
    give(l, cot_op_gather(l->w[0], l->ids, 0, 0));
}

/* ---- recurrent layers ---- */

static const scan_case *cell_of(reference_case *c) {
    const char *reset_after = reference_text(c, "reset_after");
    const bool before = reset_after != NULL && strcmp(reset_after, "no") == 0;
    const char *name = strcmp(c->name, "simplernn") == 0 ? "rnn" : before ? "grus" : c->name;
    const scan_case *cell = scan_case_find(name);
    assert_non_null(cell);
    return cell;
}

/* Do all rows end in zeros, and have none before? Then lengths say what the mask does. */
static bool is_padded(const layer_case *l, const reference_array *ids) {
    const int64_t steps = ids->dim[1];
    bool padded = true;
    for (int64_t i = 0; i < ids->n; i++) {
        padded = padded && (i % steps == 0 || ids->value[i] == 0 || ids->value[i - 1] != 0);
    }
    return padded && l->rows > 0;
}

/* What a step's operand is inside of the body: a sequence without its axis of time. */
static cot_value body_input(cot_graph *body, cot_value operand, bool sequence, int32_t at) {
    cot_shape shape = cot_value_shape(operand);
    char name[16];
    for (int32_t i = 1; sequence && i + 1 < shape.rank; i++) {
        shape.dim[i] = shape.dim[i + 1];
    }
    shape.rank -= sequence ? 1 : 0;
    (void)snprintf(name, sizeof name, "i%d", (int)at);
    return cot_op_input(body, cot_value_dtype(operand), shape, name);
}

/* A cell's step where the mask, the operand after the carries, says so; else all stays. The first
 * carry is what is given, of a step that is left out the one before. */
static cot_graph *masked_body(const scan_case *cell, const cot_value *operand) {
    cot_graph *body = cot_graph_create(cot_graph_context(operand[0].graph), "masked");
    const int32_t n_carries = cell->n_carries, n = n_carries + 2 + cell->n_constants;
    cot_value in[SCAN_CASE_OPERANDS + 1], out[SCAN_CASE_RESULTS], kept = {NULL, 0};
    assert_non_null(body);
    for (int32_t i = 0; i < n; i++) {
        in[i] = body_input(body, operand[i], i == n_carries || i == n_carries + 1, i);
    }
    const cot_value mask = in[n_carries];
    for (int32_t i = n_carries; i + 1 < n; i++) {
        in[i] = in[i + 1];
    }
    cell->step(in, out);
    for (int32_t i = 0; i < n_carries; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "o%d", (int)i);
        const cot_value next = cot_op_select(mask, out[i], in[i]);
        kept = i == 0 ? next : kept;
        CHECK_OK(body->context, cot_graph_output(next, name));
    }
    CHECK_OK(body->context, cot_graph_output(kept, "history"));
    return body;
}

static void masked_scan(const cot_value *operand, const scan_case *cell, bool reverse,
                        cot_value *results) {
    cot_graph *body = masked_body(cell, operand);
    const cot_scan_options options = {.struct_size = sizeof options,
                                      .n_carries = cell->n_carries,
                                      .n_sequences = 2,
                                      .steps = cot_value_shape(operand[cell->n_carries]).dim[1],
                                      .reverse = reverse};
    CHECK_OK(body->context, cot_op_scan(body, operand, cell->n_carries + 2 + cell->n_constants,
                                        &options, results));
    cot_graph_destroy(body);
}

/* An embedding, then the recurrence: by lengths where they do, else by a mask inside of it. */
static void recurrent(layer_case *l) {
    const scan_case *cell = cell_of(l->c);
    const reference_array *ids = reference_need(l->c, "ids");
    const bool sequences = reference_switch(l->c, "return_sequences");
    const bool reverse = reference_switch(l->c, "go_backwards");
    const int64_t steps = ids->dim[1], units = cot_value_shape(l->w[2]).dim[0];
    cot_value operand[SCAN_CASE_OPERANDS + 1], results[SCAN_CASE_RESULTS];
    const cot_value nothing = cot_op_constant(l->graph, COT_I32, 0);
    const cot_value mask = cot_op_binary(COT_OP_NE, l->ids, nothing);
    const bool by_lengths = is_padded(l, ids) && !sequences;
    int32_t n = 0;
    for (; n < cell->n_carries; n++) {
        operand[n] =
            cot_op_broadcast(cot_op_constant(l->graph, COT_F32, 0.0),
                             (cot_shape){.rank = 2, .dim = {1, units}, .batched = true}, NULL, 0);
    }
    if (!by_lengths) {
        operand[n++] =
            cot_op_reshape(mask, (cot_shape){.rank = 3, .dim = {1, steps, 1}, .batched = true});
    }
    operand[n++] = cot_op_gather(l->w[0], l->ids, 0, 0);
    for (int32_t i = 1; i < l->n_weights; i++) {
        operand[n++] = l->w[i];
    }
    if (by_lengths) {
        const int32_t time[1] = {1};
        const cot_value lengths =
            cot_op_reduce(COT_OP_SUM, cot_op_cast(mask, COT_I32), time, 1, false);
        CHECK_OK(l->graph->context,
                 scan_case_build(cell->name, operand, reverse, &lengths, results));
    } else {
        masked_scan(operand, cell, reverse, results);
    }
    give(l, sequences ? results[cell->n_carries] : results[0]);
}

/* ---- attention ---- */

/* x [N,t,d] by a kernel [d,heads,k] and a bias [heads,k]: [N,heads,t,k]. */
static cot_value project(cot_value x, cot_value kernel, cot_value bias) {
    static const int32_t heads_first[MOST_AXES] = {0, 2, 1, 3};
    const cot_dot_axes axes = {.n_contract = 1, .a_contract = {2}, .b_contract = {0}};
    const cot_value y = cot_op_binary(COT_OP_ADD, cot_op_dot(x, kernel, &axes), bias);
    return cot_op_permute(y, heads_first, 4);
}

/* The weights of the values, which attention itself does not give. */
static cot_value scores_of(cot_value q, cot_value k, cot_value mask) {
    const cot_dot_axes axes = {.n_batch = 2,
                               .a_batch = {0, 1},
                               .b_batch = {0, 1},
                               .n_contract = 1,
                               .a_contract = {3},
                               .b_contract = {3}};
    const double scale = 1.0 / sqrt((double)cot_value_shape(q).dim[3]);
    cot_value s = cot_op_dot(q, k, &axes);
    s = cot_op_binary(COT_OP_MUL, s, cot_op_constant(q.graph, COT_F32, scale));
    if (mask.graph != NULL) {
        s = cot_op_select(mask, s, cot_op_constant(q.graph, COT_F32, -1e9));
    }
    return cot_op_softmax(s);
}

/* bool [t_q,t_k]: keys up to the query's own position. */
static cot_value causal_mask(cot_graph *graph, int64_t n_queries, int64_t n_keys) {
    const cot_shape shape = {.rank = 2, .dim = {n_queries, n_keys}};
    return cot_op_binary(COT_OP_GE, cot_op_iota(graph, COT_I32, shape, 0),
                         cot_op_iota(graph, COT_I32, shape, 1));
}

/* [N,1,t_q,t_k] of the case's mask; poison if it has none. */
static cot_value mask_of(layer_case *l) {
    cot_value mask = add_input(l, "mask", COT_I32, true);
    if (mask.graph == NULL) {
        return mask;
    }
    cot_shape shape = cot_value_shape(mask);
    shape = (cot_shape){.rank = 4, .dim = {1, 1, shape.dim[1], shape.dim[2]}, .batched = true};
    mask = cot_op_binary(COT_OP_NE, mask, cot_op_constant(l->graph, COT_I32, 0));
    return cot_op_reshape(mask, shape);
}

static void multi_head_attention(layer_case *l) {
    const bool causal = reference_switch(l->c, "causal");
    const cot_value other = add_input(l, "keys", COT_F32, true);
    const cot_value keys = other.graph != NULL ? other : l->x;
    const cot_value q = project(l->x, l->w[0], l->w[1]), k = project(keys, l->w[2], l->w[3]);
    const cot_value v = project(keys, l->w[4], l->w[5]), mask = mask_of(l);
    const cot_attention_options options = {.struct_size = sizeof options, .causal = causal};
    const cot_dot_axes axes = {.n_contract = 2, .a_contract = {1, 3}, .b_contract = {0, 1}};
    cot_value y = cot_op_attention(q, k, v, mask, &options);
    y = cot_op_binary(COT_OP_ADD, cot_op_dot(y, l->w[6], &axes), l->w[7]);
    if (mask.graph == NULL) {
        const cot_value seen =
            causal ? causal_mask(l->graph, cot_value_shape(q).dim[2], cot_value_shape(k).dim[2])
                   : mask;
        CHECK_OK(l->graph->context, cot_graph_output(scores_of(q, k, seen), "scores"));
    }
    give(l, y);
}

static void one_case(void **state) {
    static const struct {
        const char *name;
        void (*build)(layer_case *l);
    } known[] = {{"embedding", embedding},
                 {"simplernn", recurrent},
                 {"lstm", recurrent},
                 {"gru", recurrent},
                 {"multi_head_attention", multi_head_attention}};
    reference_case *c = *state;
    layer_case l;
    begin(&l, c);
    size_t i = 0;
    while (i < sizeof known / sizeof known[0] && strcmp(known[i].name, c->name) != 0) {
        i++;
    }
    assert_true(i < sizeof known / sizeof known[0]);
    known[i].build(&l);
    finish(&l);
    reference_check_used(c);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "layers.txt", one_case);
}
