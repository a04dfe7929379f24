/*
 * SCAN: its parts (scan.h), its infer rule, its builder.
 *
 * Lengths are no part of the operation: the builder wraps the body, which then takes the step's
 * number as one more sequence and the lengths as one more constant, and selects.
 */
#include "scan.h"

#include "attr.h"
#include "body.h"
#include "infer.h"

#include <stdio.h>
#include <string.h>

/* ---- parts ---- */

coti_scan coti_scan_of(const coti_node *node) {
    const coti_attr_SCAN *attr = node->attr;
    return (coti_scan){.body = attr->body,
                       .n_carries = (int32_t)attr->n_carries,
                       .n_sequences = (int32_t)attr->n_sequences,
                       .n_constants =
                           (int32_t)(node->n_inputs - attr->n_carries - attr->n_sequences),
                       .n_stacks = (int32_t)((int64_t)attr->body->output.count - attr->n_carries),
                       .steps = attr->steps,
                       .reverse = attr->reverse != 0,
                       .result = (int32_t)attr->result};
}

bool coti_scan_stack(const cot_shape *element, int64_t steps, cot_shape *stack_out) {
    const int32_t axis = coti_scan_axis(element);
    cot_shape stack = *element;
    if (element->rank == COT_MAX_RANK) {
        return false;
    }
    for (int32_t i = stack.rank++; i > axis; i--) {
        stack.dim[i] = stack.dim[i - 1];
    }
    stack.dim[axis] = steps;
    *stack_out = stack;
    return true;
}

/* All of the node but its result. */
static coti_attr_SCAN key_of(const coti_node *node) {
    coti_attr_SCAN key = *(const coti_attr_SCAN *)node->attr;
    key.result = 0;
    return key;
}

uint64_t coti_scan_hash(const coti_node *node) {
    const coti_attr_SCAN key = key_of(node);
    uint64_t hash = coti_attr_hash(0, COTI_ATTR_SCAN, &key);
    return coti_hash(hash, node->input, (size_t)node->n_inputs * sizeof *node->input);
}

bool coti_scan_same(const coti_node *a, const coti_node *b) {
    const coti_attr_SCAN x = key_of(a), y = key_of(b);
    return a->op == b->op && a->n_inputs == b->n_inputs &&
           memcmp(a->input, b->input, (size_t)a->n_inputs * sizeof *a->input) == 0 &&
           coti_attr_equal(COTI_ATTR_SCAN, &x, &y);
}

cot_value coti_scan_add(cot_graph *graph, const coti_scan *scan, const cot_value *operand) {
    const coti_attr_SCAN attr = {.body = scan->body,
                                 .n_carries = scan->n_carries,
                                 .n_sequences = scan->n_sequences,
                                 .steps = scan->steps,
                                 .reverse = scan->reverse,
                                 .result = scan->result};
    const int32_t n = scan->n_carries + scan->n_sequences + scan->n_constants;
    return coti_graph_add(graph, COT_OP_SCAN, operand, n, &attr, COT_F32, NULL);
}

cot_value coti_scan_sibling(cot_graph *graph, uint32_t id, int32_t result) {
    const coti_node *node = coti_node_at(graph, id);
    coti_scan scan = coti_scan_of(node);
    const size_t n = (size_t)node->n_inputs;
    cot_value *operand = coti_calloc(graph->context, n, sizeof *operand);
    if (operand == NULL) {
        return coti_poison();
    }
    for (size_t i = 0; i < n; i++) {
        operand[i] = (cot_value){graph, node->input[i]};
    }
    scan.result = result;
    const cot_value sibling = coti_scan_add(graph, &scan, operand);
    coti_free(graph->context, operand);
    return sibling;
}

/* ---- inference ---- */

static const char *const part_name[] = {"carry", "sequence", "constant"};

/* Which part operand i is of, and its place there. */
static const char *part_of(const coti_scan *scan, int32_t i, int32_t *place_out) {
    const int32_t part = i < scan->n_carries ? 0 : i < scan->n_carries + scan->n_sequences ? 1 : 2;
    *place_out = i - (part > 0 ? scan->n_carries : 0) - (part > 1 ? scan->n_sequences : 0);
    return part_name[part];
}

static bool same_type(const coti_node *a, const coti_node *b) {
    return a->dtype == b->dtype && coti_shape_equal(&a->shape, &b->shape);
}

/* Operand i is what the body's input i wants. */
static cot_status check_operand(const coti_infer *infer, const coti_scan *scan, int32_t i) {
    const coti_node *given = coti_infer_in(infer, i);
    const coti_node *element = coti_node_at(scan->body, scan->body->input.data[i]);
    cot_shape wanted = element->shape;
    int32_t place = 0;
    const char *part = part_of(scan, i, &place);
    char found[COTI_TYPE_BYTES], expected[COTI_TYPE_BYTES];
    if (i >= scan->n_carries && i < scan->n_carries + scan->n_sequences &&
        !coti_scan_stack(&element->shape, scan->steps, &wanted)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "sequence %d would have more than %d axes",
                               place, COT_MAX_RANK);
    }
    if (given->dtype != element->dtype || !coti_shape_equal(&given->shape, &wanted)) {
        return COTI_INFER_FAIL(infer, given->dtype != element->dtype ? COT_E_DTYPE : COT_E_SHAPE,
                               "%s %d is %s, the body's input \"%s\" and %lld steps need %s", part,
                               place, coti_type_text(found, (cot_dtype)given->dtype, &given->shape),
                               element->name, (long long)scan->steps,
                               coti_type_text(expected, (cot_dtype)element->dtype, &wanted));
    }
    return COT_OK;
}

/* The body gives each carry a new value of its type. */
static cot_status check_carry(const coti_infer *infer, const coti_scan *scan, int32_t i) {
    const coti_node *before = coti_node_at(scan->body, scan->body->input.data[i]);
    const coti_node *after = coti_node_at(scan->body, scan->body->output.data[i].value);
    char found[COTI_TYPE_BYTES], expected[COTI_TYPE_BYTES];
    if (!same_type(before, after)) {
        return COTI_INFER_FAIL(infer, before->dtype != after->dtype ? COT_E_DTYPE : COT_E_SHAPE,
                               "carry %d is %s, the body's output \"%s\" makes it %s", i,
                               coti_type_text(expected, (cot_dtype)before->dtype, &before->shape),
                               scan->body->output.data[i].name,
                               coti_type_text(found, (cot_dtype)after->dtype, &after->shape));
    }
    return COT_OK;
}

static cot_status check_counts(const coti_infer *infer, const coti_attr_SCAN *attr) {
    const int64_t n_outputs = (int64_t)attr->body->output.count;
    if (attr->n_carries < 0 || attr->n_sequences < 0 || attr->n_carries > infer->n_inputs ||
        attr->n_sequences > infer->n_inputs - attr->n_carries) {
        return COTI_INFER_FAIL(
            infer, COT_E_ARG, "%lld carries and %lld sequences do not fit %d operands",
            (long long)attr->n_carries, (long long)attr->n_sequences, infer->n_inputs);
    }
    if ((int64_t)attr->body->input.count != infer->n_inputs) {
        return COTI_INFER_FAIL(infer, COT_E_ARG,
                               "the body \"%s\" has %zu inputs, %d operands are "
                               "given",
                               attr->body->name, attr->body->input.count, infer->n_inputs);
    }
    if (n_outputs < attr->n_carries) {
        return COTI_INFER_FAIL(infer, COT_E_ARG,
                               "the body \"%s\" has %lld outputs, too few for %lld carries",
                               attr->body->name, (long long)n_outputs, (long long)attr->n_carries);
    }
    if (attr->steps < 0 || attr->steps > COTI_SIZE_MAX || (attr->reverse & ~INT64_C(1)) != 0) {
        return COTI_INFER_FAIL(infer, COT_E_ARG,
                               "%lld steps, reverse %lld: expected 0 or more "
                               "steps, and 0 or 1",
                               (long long)attr->steps, (long long)attr->reverse);
    }
    if (attr->result < 0 || attr->result >= n_outputs + attr->n_carries) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "result %lld does not exist, there are %lld",
                               (long long)attr->result, (long long)(n_outputs + attr->n_carries));
    }
    return COT_OK;
}

/*
 * Operands: C carries, Q sequences, constants, as the body's inputs want them; result `result`: of
 * a carry's type, or a stack of the type of a body's output or of a carry.
 */
cot_status coti_infer_SCAN(coti_infer *infer) {
    const coti_attr_SCAN *attr = infer->attr;
    if (attr->body == NULL) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "there is no body");
    }
    COTI_TRY(check_counts(infer, attr));
    const coti_node node = {.attr = attr, .n_inputs = infer->n_inputs};
    const coti_scan scan = coti_scan_of(&node);
    for (int32_t i = 0; i < infer->n_inputs; i++) {
        COTI_TRY(check_operand(infer, &scan, i));
    }
    for (int32_t i = 0; i < scan.n_carries; i++) {
        COTI_TRY(check_carry(infer, &scan, i));
    }
    const coti_node *element = coti_scan_element(&scan, scan.result);
    infer->dtype = (cot_dtype)element->dtype;
    infer->shape = element->shape;
    if (!coti_scan_is_carry(&scan, scan.result) &&
        !coti_scan_stack(&element->shape, scan.steps, &infer->shape)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "result %d would have more than %d axes",
                               scan.result, COT_MAX_RANK);
    }
    return COT_OK;
}

/* ---- lengths ---- */

/* A graph of the same inputs and outputs as a body, and two inputs more. */
typedef struct wrapping {
    const cot_graph *body; /* as the caller gave it */
    int32_t n_carries, n_inputs, n_outputs;
    cot_graph *graph;
    cot_value *input, *output; /* by the body's */
    cot_value active;          /* [N], bool: has the row this step? */
} wrapping;

static cot_value copy_input(wrapping *w, int32_t i) {
    const coti_node *node = coti_node_at(w->body, w->body->input.data[i]);
    return cot_op_input(w->graph, (cot_dtype)node->dtype, node->shape, node->name);
}

/* A name that no input of the body has. */
static const char *free_name(const cot_graph *body, const char *base, char *name, size_t bytes) {
    for (int32_t n = 0;; n++) {
        bool taken = false;
        (void)snprintf(name, bytes, n == 0 ? "%s" : "%s_%d", base, (int)n);
        for (size_t i = 0; i < body->input.count; i++) {
            taken = taken || strcmp(coti_node_at(body, body->input.data[i])->name, name) == 0;
        }
        if (!taken) {
            return name;
        }
    }
}

/* The body's inputs, with the step's number after the sequences and the lengths after all. */
static bool make_inputs(wrapping *w, int32_t n_before, const cot_shape *lengths) {
    char name[COTI_NAME_BYTES];
    cot_value step = coti_poison();
    for (int32_t i = 0; i <= w->n_inputs; i++) {
        if (i == n_before) {
            step = cot_op_input(w->graph, COT_I32, (cot_shape){.rank = 0},
                                free_name(w->body, "step", name, sizeof name));
        }
        if (i < w->n_inputs) {
            w->input[i] = copy_input(w, i);
        }
    }
    const cot_value length =
        cot_op_input(w->graph, COT_I32, *lengths, free_name(w->body, "length", name, sizeof name));
    w->active = step.graph != NULL && length.graph != NULL ? cot_op_binary(COT_OP_LT, step, length)
                                                           : coti_poison();
    return w->active.graph != NULL;
}

/* active ? value : otherwise, over whole rows. */
static cot_value select_rows(const wrapping *w, cot_value value, cot_value otherwise) {
    const cot_shape shape = cot_value_shape(value);
    return cot_op_select(cot_op_broadcast(w->active, shape, &(int32_t){0}, 1), value, otherwise);
}

static cot_status wrap_outputs(wrapping *w) {
    for (int32_t i = 0; i < w->n_outputs; i++) {
        const cot_value otherwise =
            i < w->n_carries ? w->input[i]
                             : cot_op_constant(w->graph, cot_value_dtype(w->output[i]), 0.0);
        const cot_value value = select_rows(w, w->output[i], otherwise);
        if (value.graph == NULL) {
            return w->graph->context->error.status;
        }
        COTI_TRY(cot_graph_output(value, w->body->output.data[i].name));
    }
    return COT_OK;
}

/* Every carry and stack is of rows, as many as there are lengths. */
static cot_status check_lengths(const cot_graph *body, cot_graph *graph, cot_value lengths,
                                int64_t steps) {
    const cot_shape shape = cot_value_shape(lengths);
    if (lengths.graph != graph || cot_value_dtype(lengths) != COT_I32 || shape.rank != 1 ||
        !shape.batched) {
        char text[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "scan", graph->layer,
                            "lengths are %s, expected i32[N] of the operands' graph",
                            lengths.graph == NULL
                                ? "a poisoned value"
                                : coti_type_text(text, cot_value_dtype(lengths), &shape));
    }
    for (size_t i = 0; i < body->output.count; i++) {
        const coti_node *row = coti_node_at(body, body->output.data[i].value);
        if (!row->shape.batched || row->shape.dim[0] != shape.dim[0]) {
            char text[COTI_TYPE_BYTES];
            return COTI_OP_FAIL(graph->context, COT_E_SHAPE, "scan", graph->layer,
                                "with lengths every carry and stack is of rows, as many as there "
                                "are lengths: the body's output \"%s\" is %s",
                                body->output.data[i].name,
                                coti_type_text(text, (cot_dtype)row->dtype, &row->shape));
        }
    }
    if (steps > INT32_MAX) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "scan", graph->layer,
                            "%lld steps are too many for lengths of i32", (long long)steps);
    }
    return COT_OK;
}

static cot_status fill_wrapping(wrapping *w, int32_t n_before, const cot_shape *lengths) {
    w->input = coti_calloc(w->graph->context, (size_t)w->n_inputs, sizeof *w->input);
    w->output = coti_calloc(w->graph->context, (size_t)w->n_outputs, sizeof *w->output);
    if (w->input == NULL || w->output == NULL) {
        return COT_E_NOMEM;
    }
    if (!make_inputs(w, n_before, lengths)) {
        return w->graph->context->error.status;
    }
    COTI_TRY(coti_graph_inline(w->graph, w->body, w->input, w->output));
    return wrap_outputs(w);
}

/* The body that heeds lengths, held by the operands' graph. n_before: carries and sequences. */
static cot_status wrap_body(const cot_graph *body, cot_graph *graph, int32_t n_carries,
                            int32_t n_before, const cot_shape *lengths,
                            const cot_graph **wrapped_out) {
    wrapping w = {.body = body,
                  .n_carries = n_carries,
                  .n_inputs = (int32_t)body->input.count,
                  .n_outputs = (int32_t)body->output.count};
    w.graph = cot_graph_create(graph->context, body->name);
    if (w.graph == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = fill_wrapping(&w, n_before, lengths);
    status = status == COT_OK ? coti_graph_body(graph, w.graph, wrapped_out) : status;
    coti_free(graph->context, w.input);
    coti_free(graph->context, w.output);
    cot_graph_destroy(w.graph);
    return status;
}

/* ---- the builder ---- */

/* The call's parts, checked; operand has room for two more. */
typedef struct scan_call {
    cot_graph *graph;
    coti_scan scan;
    cot_value *operand;
    int32_t n_operands;
} scan_call;

/* The lengths as a part of body and operands. */
static cot_status add_lengths(scan_call *call, cot_value lengths) {
    coti_scan *scan = &call->scan;
    const int32_t n_before = scan->n_carries + scan->n_sequences;
    const cot_shape shape = cot_value_shape(lengths);
    COTI_TRY(check_lengths(scan->body, call->graph, lengths, scan->steps));
    COTI_TRY(wrap_body(scan->body, call->graph, scan->n_carries, n_before, &shape, &scan->body));
    const cot_shape time = {.rank = 1, .dim = {scan->steps}};
    for (int32_t i = call->n_operands; i > n_before; i--) {
        call->operand[i] = call->operand[i - 1];
    }
    call->operand[n_before] = cot_op_iota(call->graph, COT_I32, time, 0);
    call->operand[call->n_operands + 1] = lengths;
    call->n_operands += 2;
    scan->n_sequences++;
    scan->n_constants++;
    return COT_OK;
}

/* May these options be what the body and the operands want? What is left is for the infer rule. */
static cot_status check_options(cot_graph *graph, const cot_graph *body, int32_t n_operands,
                                const cot_scan_options *options) {
    if (options == NULL || options->struct_size != sizeof *options) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "scan", graph->layer,
                            "the options are NULL, or their struct_size is not %zu",
                            sizeof *options);
    }
    if (body == NULL || body == graph) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "scan", graph->layer,
                            body == NULL ? "the body is NULL"
                                         : "the body is the graph that the operands belong to");
    }
    if (options->n_carries < 0 || options->n_sequences < 0 || options->n_carries > n_operands ||
        options->n_sequences > n_operands - options->n_carries ||
        (size_t)n_operands != body->input.count ||
        (size_t)options->n_carries > body->output.count) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "scan", graph->layer,
                            "%d carries and %d sequences do not fit %d operands and body \"%s\" "
                            "with %zu inputs and %zu outputs",
                            options->n_carries, options->n_sequences, n_operands, body->name,
                            body->input.count, body->output.count);
    }
    return COT_OK;
}

static cot_status build(scan_call *call, const cot_graph *body, const cot_scan_options *options,
                        cot_value *results_out) {
    coti_scan *scan = &call->scan;
    *scan = (coti_scan){.n_carries = options->n_carries,
                        .n_sequences = options->n_sequences,
                        .n_constants = call->n_operands - options->n_carries - options->n_sequences,
                        .steps = options->steps,
                        .reverse = options->reverse};
    COTI_TRY(coti_graph_body(call->graph, body, &scan->body));
    const int32_t n_results = (int32_t)scan->body->output.count;
    if (options->lengths != NULL) {
        COTI_TRY(add_lengths(call, *options->lengths));
    }
    for (scan->result = 0; scan->result < n_results; scan->result++) {
        results_out[scan->result] = coti_scan_add(call->graph, scan, call->operand);
        if (results_out[scan->result].graph == NULL) {
            return call->graph->context->error.status;
        }
    }
    return COT_OK;
}

static cot_status copy_and_build(cot_graph *graph, const cot_graph *body, const cot_value *operands,
                                 int32_t n_operands, const cot_scan_options *options,
                                 cot_value *results_out) {
    COTI_TRY(check_options(graph, body, n_operands, options));
    scan_call call = {.graph = graph, .n_operands = n_operands};
    call.operand = coti_calloc(graph->context, (size_t)n_operands + 2, sizeof *call.operand);
    if (call.operand == NULL) {
        return COT_E_NOMEM;
    }
    memcpy(call.operand, operands, (size_t)n_operands * sizeof *operands);
    cot_status status = build(&call, body, options, results_out);
    coti_free(graph->context, call.operand);
    return status;
}

cot_status cot_op_scan(const cot_graph *body, const cot_value *operands, int32_t n_operands,
                       const cot_scan_options *options, cot_value *results_out) {
    cot_graph *graph =
        operands != NULL && n_operands > 0 ? coti_graph_of("scan", operands, n_operands) : NULL;
    cot_status status = COT_E_ARG;
    if (graph != NULL && results_out != NULL) {
        status = copy_and_build(graph, body, operands, n_operands, options, results_out);
    } else if (body != NULL && body->context->error.status == COT_OK) {
        status = COTI_OP_FAIL(body->context, COT_E_ARG, "scan", NULL,
                              "there are no operands, or there is no place for results");
    }
    /* What spoilt the body was an error before this one. */
    if (status != COT_OK && body != NULL && body->context->error.status != COT_OK) {
        status = body->context->error.status;
    }
    for (size_t i = 0;
         status != COT_OK && body != NULL && results_out != NULL && i < body->output.count; i++) {
        results_out[i] = coti_poison();
    }
    return status;
}
