/*
 * Inference of what runs bodies: that a body's inputs and outputs are of the types that its node
 * needs; and of CUSTOM.
 */
#include "infer.h"

cot_status coti_infer_body(const coti_infer *infer, const cot_graph *body, const char *what,
                           int64_t n_inputs, int64_t n_outputs) {
    if (body == NULL || body->seal.text == NULL) {
        return COTI_INFER_FAIL(infer, COT_E_INTERNAL, "%s is no body", what);
    }
    if (body->context != infer->graph->context) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%s \"%s\" belongs to another context", what,
                               body->name);
    }
    if ((int64_t)body->input.count != n_inputs) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%s \"%s\" has %zu inputs, %lld expected", what,
                               body->name, body->input.count, (long long)n_inputs);
    }
    if ((int64_t)body->output.count != n_outputs) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%s \"%s\" has %zu outputs, %lld expected", what,
                               body->name, body->output.count, (long long)n_outputs);
    }
    return COT_OK;
}

/* Input or output `name` of a body is `found`; is it of this type? */
static cot_status check_type(const coti_infer *infer, const cot_graph *body, const char *name,
                             const coti_node *found, const coti_body_type *wanted) {
    cot_dtype dtype = (cot_dtype)found->dtype;
    char found_text[COTI_TYPE_BYTES];
    char wanted_text[COTI_TYPE_BYTES];
    if (dtype == wanted->dtype && coti_shape_equal(&found->shape, wanted->shape)) {
        return COT_OK;
    }
    return COTI_INFER_FAIL(infer, dtype == wanted->dtype ? COT_E_SHAPE : COT_E_DTYPE,
                           "%s \"%s\" of graph \"%s\" is %s, as %s it must be %s",
                           found->op == COT_OP_INPUT ? "value" : "result", name, body->name,
                           coti_type_text(found_text, dtype, &found->shape), wanted->role,
                           coti_type_text(wanted_text, wanted->dtype, wanted->shape));
}

cot_status coti_infer_body_input(const coti_infer *infer, const cot_graph *body, size_t i,
                                 const coti_body_type *wanted) {
    const coti_node *found = coti_node_at(body, body->input.data[i]);
    return check_type(infer, body, found->name, found, wanted);
}

cot_status coti_infer_body_output(const coti_infer *infer, const cot_graph *body, size_t i,
                                  const coti_body_type *wanted) {
    const coti_output *output = &body->output.data[i];
    return check_type(infer, body, output->name, coti_node_at(body, output->value), wanted);
}

/* ---- custom ---- */

static bool is_float(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* The first n inputs are of the operands' types. */
static cot_status check_operands(const coti_infer *infer, const cot_graph *body) {
    for (int32_t i = 0; i < infer->n_inputs; i++) {
        const coti_node *x = coti_infer_in(infer, i);
        const coti_body_type wanted = {"an operand's value", (cot_dtype)x->dtype, &x->shape};
        COTI_TRY(coti_infer_body_input(infer, body, (size_t)i, &wanted));
    }
    return COT_OK;
}

/* (inputs.., output, cotangent) -> a cotangent for each float input. y: forward's output. */
static cot_status check_backward(const coti_infer *infer, const cot_graph *backward,
                                 const coti_node *y) {
    const coti_body_type output = {"the output", (cot_dtype)y->dtype, &y->shape};
    const coti_body_type cotangent = {"the cotangent", (cot_dtype)y->dtype, &y->shape};
    size_t n = (size_t)infer->n_inputs;
    size_t n_grads = 0;
    for (int32_t i = 0; i < infer->n_inputs; i++) {
        n_grads += is_float((cot_dtype)coti_infer_in(infer, i)->dtype);
    }
    COTI_TRY(coti_infer_body(infer, backward, "backward", (int64_t)n + 2, (int64_t)n_grads));
    COTI_TRY(check_operands(infer, backward));
    COTI_TRY(coti_infer_body_input(infer, backward, n, &output));
    COTI_TRY(coti_infer_body_input(infer, backward, n + 1, &cotangent));
    for (int32_t i = 0, k = 0; i < infer->n_inputs; i++) {
        const coti_node *x = coti_infer_in(infer, i);
        const coti_body_type wanted = {"an operand's cotangent", (cot_dtype)x->dtype, &x->shape};
        if (!is_float(wanted.dtype)) {
            continue;
        }
        COTI_TRY(coti_infer_body_output(infer, backward, (size_t)k++, &wanted));
    }
    return COT_OK;
}

/* Types of the two bodies as ops.def says; result as forward's one output, a float. */
cot_status coti_infer_CUSTOM(coti_infer *infer) {
    const coti_attr_CUSTOM *attr = infer->attr;
    const cot_graph *forward = attr->forward;
    COTI_TRY(coti_infer_body(infer, forward, "forward", infer->n_inputs, 1));
    COTI_TRY(check_operands(infer, forward));
    const coti_node *y = coti_node_at(forward, forward->output.data[0].value);
    if (!is_float((cot_dtype)y->dtype)) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "forward \"%s\" gives %s, f32 or f64 expected",
                               forward->name, cot_dtype_name((cot_dtype)y->dtype));
    }
    COTI_TRY(check_backward(infer, attr->backward, y));
    infer->dtype = (cot_dtype)y->dtype;
    infer->shape = y->shape;
    return COT_OK;
}
