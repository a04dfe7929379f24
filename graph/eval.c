/*
 * The reference evaluator: runs a tensor graph node by node in plain C. It is the meaning of the
 * ops, the constant folder, the oracle of the tests, and what runs when there is no JIT.
 *
 * One pass over the nodes in order, which is topological. Only nodes that outputs and updates reach
 * are computed; a value is freed after its last use, but for those that outputs and updates take.
 * Variables are written when everything has been computed, so every read sees the value before the
 * step, and a failure leaves them as they were. Rules: eval_<kind>.c; their contract: eval.h.
 */
#include "eval.h"

#include <string.h>

static const coti_eval_fn eval_table[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags) [COT_OP_##id] = coti_eval_##id,
#include "ops.def"
#undef COT_OP
};

cot_status coti_eval_bad_dtype(const coti_eval *eval) {
    return COTI_FAIL_OP(eval->context, COT_E_DTYPE, cot_op_name((cot_op)eval->node->op),
                        eval->node->layer, "the evaluator has no rule for %s",
                        cot_dtype_name(eval->out->dtype));
}

cot_status coti_eval_node(cot_context *context, const coti_node *node, const coti_tensor *input,
                          int64_t rows, coti_tensor *out) {
    coti_eval eval = {context, node, input, rows, out};
    COTI_ASSERT(context, node->op < COT_OP_COUNT);
    return eval_table[node->op](&eval);
}

/* ---- a run over a graph ---- */

/* Values of `last_use` that are no ids. */
#define NOT_NEEDED UINT32_C(0)
#define KEPT UINT32_MAX

/* Values and lifetimes, by node id. */
typedef struct run {
    const cot_graph *graph;
    cot_context *context;
    int64_t rows;
    coti_tensor *value;  /* data NULL: not computed, or freed. INPUT: the caller's data */
    uint32_t *last_use;  /* id of the last user, NOT_NEEDED, or KEPT until the end of the run */
    coti_tensor *gather; /* inputs of the node at work: room for the largest number of them */
} run;

static void release(run *r, uint32_t id) {
    if (coti_node_at(r->graph, id)->op != COT_OP_INPUT) {
        coti_free(r->context, r->value[id].data);
    }
    r->value[id].data = NULL;
}

static void run_free(run *r) {
    for (uint32_t id = 1; r->value != NULL && id < r->graph->node.count; id++) {
        release(r, id);
    }
    coti_free(r->context, r->value);
    coti_free(r->context, r->last_use);
    coti_free(r->context, r->gather);
}

/* Walk the nodes backwards: the first user met is the last one. */
static void find_last_uses(run *r) {
    const cot_graph *graph = r->graph;
    for (size_t i = 0; i < graph->output.count; i++) {
        r->last_use[graph->output.data[i].value] = KEPT;
    }
    for (size_t i = 0; i < graph->update.count; i++) {
        r->last_use[graph->update.data[i].value] = KEPT;
    }
    for (uint32_t id = (uint32_t)graph->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(graph, id);
        for (int32_t i = 0; r->last_use[id] != NOT_NEEDED && i < node->n_inputs; i++) {
            if (r->last_use[node->input[i]] == NOT_NEEDED) {
                r->last_use[node->input[i]] = id;
            }
        }
    }
}

static cot_status run_make(run *r) {
    size_t n_nodes = r->graph->node.count;
    size_t n_gather = 1;
    for (uint32_t id = 1; id < n_nodes; id++) {
        size_t n = (size_t)coti_node_at(r->graph, id)->n_inputs;
        n_gather = n > n_gather ? n : n_gather;
    }
    r->value = coti_calloc(r->context, n_nodes, sizeof *r->value);
    r->last_use = coti_calloc(r->context, n_nodes, sizeof *r->last_use);
    r->gather = coti_calloc(r->context, n_gather, sizeof *r->gather);
    if (r->value == NULL || r->last_use == NULL || r->gather == NULL) {
        return COT_E_NOMEM;
    }
    find_last_uses(r);
    return COT_OK;
}

/* Type and shape of a node's value with N bound, and its bytes; COT_E_SHAPE when they are too many.
 */
static cot_status bind_type(const run *r, uint32_t id, coti_tensor *tensor, size_t *bytes_out) {
    const coti_node *node = coti_node_at(r->graph, id);
    int64_t elements = 0, bytes = 0;
    if (!coti_shape_elements(&node->shape, r->rows, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes((cot_dtype)node->dtype), &bytes)) {
        return COTI_FAIL_OP(r->context, COT_E_SHAPE, cot_op_name((cot_op)node->op), node->layer,
                            "the result is too large at %lld rows", (long long)r->rows);
    }
    tensor->dtype = (cot_dtype)node->dtype;
    tensor->shape = coti_shape_bind(&node->shape, r->rows);
    *bytes_out = (size_t)bytes;
    return COT_OK;
}

/* Is a tensor that the caller gave what node `id` needs? `what` and `name` are for the message. */
static cot_status check_given(const run *r, uint32_t id, const coti_tensor *given, const char *what,
                              const char *name) {
    coti_tensor wanted = {.data = NULL};
    size_t bytes = 0;
    COTI_TRY(bind_type(r, id, &wanted, &bytes));
    bool same_shape = given->shape.rank == wanted.shape.rank && !given->shape.batched;
    for (int32_t d = 0; same_shape && d < wanted.shape.rank; d++) {
        same_shape = given->shape.dim[d] == wanted.shape.dim[d];
    }
    char found[COTI_TYPE_BYTES], expected[COTI_TYPE_BYTES];
    if (given->dtype != wanted.dtype || !same_shape) {
        return COTI_FAIL(r->context, same_shape ? COT_E_DTYPE : COT_E_SHAPE,
                         "%s \"%s\" is %s, expected %s at %lld rows", what, name,
                         coti_type_text(found, given->dtype, &given->shape),
                         coti_type_text(expected, wanted.dtype, &wanted.shape), (long long)r->rows);
    }
    if (given->data == NULL && bytes > 0) {
        return COTI_FAIL(r->context, COT_E_ARG, "%s \"%s\" has no data", what, name);
    }
    return COT_OK;
}

static cot_status bind_inputs(run *r, const coti_tensor *input) {
    for (size_t i = 0; i < r->graph->input.count; i++) {
        uint32_t id = r->graph->input.data[i];
        const coti_attr_NAME *attr = coti_node_at(r->graph, id)->attr;
        COTI_TRY(check_given(r, id, &input[i], "input", attr->name));
        r->value[id] = input[i];
    }
    return COT_OK;
}

static cot_status compute_node(run *r, uint32_t id) {
    const coti_node *node = coti_node_at(r->graph, id);
    coti_tensor *out = &r->value[id];
    size_t bytes = 0;
    COTI_TRY(bind_type(r, id, out, &bytes));
    for (int32_t i = 0; i < node->n_inputs; i++) {
        r->gather[i] = r->value[node->input[i]];
    }
    out->data = coti_alloc(r->context, bytes);
    if (out->data == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_eval_node(r->context, node, r->gather, r->rows, out));
    for (int32_t i = 0; i < node->n_inputs; i++) {
        if (r->last_use[node->input[i]] == id) {
            release(r, node->input[i]);
        }
    }
    return COT_OK;
}

static cot_status compute(run *r) {
    cot_status status = COT_OK;
    for (uint32_t id = 1; id < r->graph->node.count && status == COT_OK; id++) {
        bool needed = r->last_use[id] != NOT_NEEDED;
        if (needed && coti_node_at(r->graph, id)->op != COT_OP_INPUT) {
            status = compute_node(r, id);
        }
    }
    return status;
}

static size_t value_bytes(const coti_tensor *value) {
    return (size_t)coti_tensor_count(value) * cot_dtype_bytes(value->dtype);
}

/* Everything has been computed: hand out the outputs, then write the variables. */
static cot_status deliver(const run *r, coti_tensor *output) {
    const cot_graph *graph = r->graph;
    for (size_t i = 0; i < graph->output.count; i++) {
        const coti_tensor *value = &r->value[graph->output.data[i].value];
        if (value_bytes(value) > 0) {
            memcpy(output[i].data, value->data, value_bytes(value));
        }
    }
    for (size_t i = 0; i < graph->update.count; i++) {
        const coti_attr_VARIABLE *attr = coti_node_at(graph, graph->update.data[i].state)->attr;
        const coti_tensor *value = &r->value[graph->update.data[i].value];
        COTI_TRY(cot_variable_set(attr->variable, value->data, value_bytes(value)));
    }
    return COT_OK;
}

cot_status coti_eval_graph(const cot_graph *graph, int64_t rows, const coti_tensor *input,
                           coti_tensor *output) {
    run r = {.graph = graph, .context = graph->context, .rows = rows};
    if (rows < 0) {
        return COTI_FAIL(graph->context, COT_E_ARG, "%lld rows, expected 0 or more",
                         (long long)rows);
    }
    cot_status status = run_make(&r);
    if (status == COT_OK) {
        status = bind_inputs(&r, input);
    }
    for (size_t i = 0; status == COT_OK && i < graph->output.count; i++) {
        status = check_given(&r, graph->output.data[i].value, &output[i], "output",
                             graph->output.data[i].name);
    }
    if (status == COT_OK) {
        status = compute(&r);
    }
    if (status == COT_OK) {
        status = deliver(&r, output);
    }
    run_free(&r);
    return status;
}
