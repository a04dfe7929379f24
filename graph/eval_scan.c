/*
 * The evaluator of SCAN: step by step, the body by the evaluator itself. Each result runs all steps
 * again. The recursion, scans in bodies of scans, ends at COTI_MAX_BODY_DEPTH.
 */
#include "eval.h"
#include "scan.h"

#include <string.h>

typedef struct loop {
    const coti_eval *eval;
    coti_scan scan;
    coti_tensor *input;  /* of the body; carries' and sequences' data are owned */
    coti_tensor *output; /* of the body, owned */
    int32_t n_inputs, n_outputs;
} loop;

static bool is_owned(const loop *l, int32_t i) {
    return i < l->scan.n_carries + l->scan.n_sequences;
}

static size_t bytes_of(const coti_tensor *tensor) {
    return (size_t)coti_tensor_count(tensor) * cot_dtype_bytes(tensor->dtype);
}

/* Room for a value of the body. */
static cot_status make_tensor(const loop *l, uint32_t id, coti_tensor *tensor) {
    const coti_node *node = coti_node_at(l->scan.body, id);
    tensor->dtype = (cot_dtype)node->dtype;
    tensor->shape = coti_shape_bind(&node->shape, l->eval->rows);
    tensor->data = coti_alloc(l->eval->context, bytes_of(tensor));
    return tensor->data != NULL ? COT_OK : COT_E_NOMEM;
}

/* The body's i-th input: room of its own, or the operand, where that is a constant. */
static cot_status make_input(const loop *l, int32_t i) {
    if (is_owned(l, i)) {
        return make_tensor(l, l->scan.body->input.data[i], &l->input[i]);
    }
    l->input[i] = l->eval->input[i];
    return COT_OK;
}

static cot_status make_tensors(loop *l) {
    l->input = coti_calloc(l->eval->context, (size_t)l->n_inputs, sizeof *l->input);
    l->output = coti_calloc(l->eval->context, (size_t)l->n_outputs, sizeof *l->output);
    if (l->input == NULL || l->output == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < l->n_inputs; i++) {
        COTI_TRY(make_input(l, i));
    }
    for (int32_t i = 0; i < l->n_outputs; i++) {
        COTI_TRY(make_tensor(l, l->scan.body->output.data[i].value, &l->output[i]));
    }
    return COT_OK;
}

static void free_tensors(loop *l) {
    for (int32_t i = 0; l->input != NULL && i < l->n_inputs; i++) {
        coti_free(l->eval->context, is_owned(l, i) ? l->input[i].data : NULL);
    }
    for (int32_t i = 0; l->output != NULL && i < l->n_outputs; i++) {
        coti_free(l->eval->context, l->output[i].data);
    }
    coti_free(l->eval->context, l->input);
    coti_free(l->eval->context, l->output);
}

static void copy(void *to, const void *from, size_t bytes) {
    if (bytes > 0) {
        memcpy(to, from, bytes);
    }
}

/* Element t of a stack of elements of the node's type: from the stack, or into it. */
static void copy_element(const loop *l, const coti_node *node, const coti_tensor *stack,
                         const coti_tensor *element, int64_t t, bool into) {
    const size_t n_rows = node->shape.batched ? (size_t)element->shape.dim[0] : 1;
    const size_t bytes = n_rows > 0 ? bytes_of(element) / n_rows : 0;
    for (size_t row = 0; row < n_rows; row++) {
        char *at = (char *)stack->data + (row * (size_t)l->scan.steps + (size_t)t) * bytes;
        char *own = (char *)element->data + row * bytes;
        copy(into ? at : own, into ? own : at, bytes);
    }
}

/* The sequences' elements of step t into the body's inputs. */
static void take_elements(const loop *l, int64_t t) {
    const coti_scan *scan = &l->scan;
    for (int32_t i = scan->n_carries; i < scan->n_carries + scan->n_sequences; i++) {
        const coti_node *node = coti_node_at(scan->body, scan->body->input.data[i]);
        copy_element(l, node, &l->eval->input[i], &l->input[i], t, false);
    }
}

static cot_status run_step(const loop *l, int64_t t) {
    const coti_scan *scan = &l->scan;
    const coti_node *element = coti_scan_element(scan, scan->result);
    take_elements(l, t);
    if (coti_scan_is_history(scan, scan->result)) {
        const int32_t i = scan->result - l->n_outputs;
        copy_element(l, element, l->eval->out, &l->input[i], t, true);
    }
    COTI_TRY(coti_eval_graph(scan->body, l->eval->rows, l->input, l->output));
    for (int32_t i = 0; i < scan->n_carries; i++) {
        copy(l->input[i].data, l->output[i].data, bytes_of(&l->input[i]));
    }
    if (!coti_scan_is_carry(scan, scan->result) && !coti_scan_is_history(scan, scan->result)) {
        copy_element(l, element, l->eval->out, &l->output[scan->result], t, true);
    }
    return COT_OK;
}

static cot_status run(const loop *l) {
    const coti_scan *scan = &l->scan;
    for (int32_t i = 0; i < scan->n_carries; i++) {
        copy(l->input[i].data, l->eval->input[i].data, bytes_of(&l->input[i]));
    }
    for (int64_t n = 0; n < scan->steps; n++) {
        COTI_TRY(run_step(l, scan->reverse ? scan->steps - 1 - n : n));
    }
    if (coti_scan_is_carry(scan, scan->result)) {
        copy(l->eval->out->data, l->input[scan->result].data, bytes_of(l->eval->out));
    }
    return COT_OK;
}

/* Fails with COT_E_NOMEM, and as the body's operations do. */
cot_status coti_eval_SCAN(const coti_eval *eval) {
    loop l = {.eval = eval, .scan = coti_scan_of(eval->node)};
    l.n_inputs = eval->node->n_inputs;
    l.n_outputs = l.scan.n_carries + l.scan.n_stacks;
    cot_status status = make_tensors(&l);
    status = status == COT_OK ? run(&l) : status;
    free_tensors(&l);
    return status;
}
