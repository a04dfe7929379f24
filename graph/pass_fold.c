/*
 * Constant folding: a node whose operands are all constants is evaluated, by the reference
 * evaluator, if its result is static and has at most FOLD_BYTES.
 *
 * A constant is a CONST, or a BROADCAST of one that is small: broadcasts themselves are not folded,
 * since a repeated scalar is worth more to code generation than a block of equal data. For the same
 * reason a result whose elements are all the same bits becomes a broadcast scalar. What runs a body
 * is not folded: the body may depend on N, and take long.
 */
#include "body.h"

#include <string.h>

enum { FOLD_BYTES = 4096, FOLD_INPUTS = 8 };

/* Bytes of a static value; -1 if it is batched or too large to fold. */
static int64_t small_bytes(cot_dtype dtype, const cot_shape *shape) {
    int64_t bytes = 0;
    if (shape->batched || !coti_shape_elements(shape, 1, &bytes) ||
        !coti_size_mul(bytes, (int64_t)cot_dtype_bytes(dtype), &bytes) || bytes > FOLD_BYTES) {
        return -1;
    }
    return bytes;
}

static bool is_constant(cot_value value) {
    const coti_node *node = coti_node_of(value);
    if (node->op == COT_OP_BROADCAST) {
        return small_bytes((cot_dtype)node->dtype, &node->shape) >= 0 &&
               coti_node_at(value.graph, node->input[0])->op == COT_OP_CONST;
    }
    return node->op == COT_OP_CONST;
}

/* Room for a value of this type, to be freed by the caller; data NULL: no memory. */
static coti_tensor make_tensor(cot_context *context, cot_dtype dtype, const cot_shape *shape) {
    coti_tensor tensor = {dtype, *shape, NULL};
    tensor.data = coti_calloc(context, 1, (size_t)small_bytes(dtype, shape));
    return tensor;
}

/* The data of a CONST, to be read only. */
static coti_tensor constant_tensor(const coti_node *node) {
    const coti_attr_DATA *attr = node->attr;
    /* The evaluator's tensors serve for inputs and outputs alike; it does not write to inputs. */
    void *data = (void *)(uintptr_t)attr->data.data;
    return (coti_tensor){(cot_dtype)node->dtype, node->shape, data};
}

/* The elements of a constant; those of a broadcast are made, and *owned_out is to be freed. */
static cot_status read_constant(cot_value value, coti_tensor *tensor_out, void **owned_out) {
    const coti_node *node = coti_node_of(value);
    cot_context *context = value.graph->context;
    *owned_out = NULL;
    if (node->op == COT_OP_CONST) {
        *tensor_out = constant_tensor(node);
        return COT_OK;
    }
    const coti_tensor source = constant_tensor(coti_node_at(value.graph, node->input[0]));
    *tensor_out = make_tensor(context, (cot_dtype)node->dtype, &node->shape);
    *owned_out = tensor_out->data;
    return tensor_out->data != NULL ? coti_eval_node(context, node, &source, 1, tensor_out)
                                    : COT_E_NOMEM;
}

/* Are all elements the same bits, and more than one? */
static bool is_uniform(const coti_tensor *tensor) {
    int64_t bytes = small_bytes(tensor->dtype, &tensor->shape);
    size_t element = cot_dtype_bytes(tensor->dtype);
    const char *data = tensor->data;
    for (int64_t i = (int64_t)element; i < bytes; i += (int64_t)element) {
        if (memcmp(data, data + i, element) != 0) {
            return false;
        }
    }
    return bytes > (int64_t)element;
}

static cot_value make_constant(cot_graph *to, const coti_tensor *result) {
    if (!is_uniform(result)) {
        return cot_op_constant_array(to, result->dtype, result->shape, result->data);
    }
    const cot_shape scalar = {.rank = 0};
    cot_value element = cot_op_constant_array(to, result->dtype, scalar, result->data);
    return cot_op_broadcast(element, result->shape, NULL, 0);
}

/* Evaluate the node on its constant operands. */
static cot_value evaluate(coti_rewrite *rewrite, const coti_node *node) {
    cot_context *context = rewrite->to->context;
    coti_tensor input[FOLD_INPUTS];
    void *owned[FOLD_INPUTS] = {NULL};
    coti_tensor result = make_tensor(context, (cot_dtype)node->dtype, &node->shape);
    cot_status status = result.data != NULL ? COT_OK : COT_E_NOMEM;
    for (int32_t i = 0; i < node->n_inputs && status == COT_OK; i++) {
        status = read_constant(rewrite->map[node->input[i]], &input[i], &owned[i]);
    }
    if (status == COT_OK) {
        status = coti_eval_node(context, node, input, 1, &result);
    }
    cot_value value = status == COT_OK ? make_constant(rewrite->to, &result) : coti_poison();
    for (int32_t i = 0; i < FOLD_INPUTS; i++) {
        coti_free(context, owned[i]);
    }
    coti_free(context, result.data);
    return value;
}

/* May it be folded, if its operands are constants? */
static bool is_foldable(const coti_node *node) {
    return node->n_inputs > 0 && node->n_inputs <= FOLD_INPUTS && node->op != COT_OP_BROADCAST &&
           node->op != COT_OP_BARRIER && !coti_runs_bodies(node) &&
           small_bytes((cot_dtype)node->dtype, &node->shape) >= 0;
}

/* user: a bool, set when a node is folded. */
static cot_value fold(coti_rewrite *rewrite, uint32_t id, void *user) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    bool *changed = user;
    bool constant = is_foldable(node);
    for (int32_t i = 0; i < node->n_inputs && constant; i++) {
        constant = is_constant(rewrite->map[node->input[i]]);
    }
    if (!constant) {
        return coti_rewrite_keep(rewrite, id);
    }
    *changed = true;
    return evaluate(rewrite, node);
}

/* A walk folds something if and only if there is a first node to fold. */
bool coti_fold_applies(const cot_graph *graph) {
    bool applies = graph->body.count > 0;
    for (uint32_t id = 1; id < graph->node.count && !applies; id++) {
        const coti_node *node = coti_node_at(graph, id);
        applies = node->n_inputs > 0 &&
                  is_constant((cot_value){(cot_graph *)(uintptr_t)graph, node->input[0]}) &&
                  is_foldable(node);
        for (int32_t i = 1; i < node->n_inputs && applies; i++) {
            applies = is_constant((cot_value){(cot_graph *)(uintptr_t)graph, node->input[i]});
        }
    }
    return applies;
}

/* One graph, without its bodies. */
static cot_status fold_one(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    bool changed = false;
    COTI_TRY(coti_graph_rewrite(graph, fold, &changed, result_out));
    *changed_out = changed || (*result_out)->node.count != graph->node.count;
    return COT_OK;
}

cot_status coti_pass_fold(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    return coti_graph_map_bodies(graph, fold_one, result_out, changed_out);
}
