/* Bodies of scans (scan_case.h). */
#include "scan_case.h"

#include "graph/scan.h"

#include <stdio.h>
#include <string.h>

/* ---- shorthands ---- */

static cot_value add(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_ADD, a, b);
}

static cot_value sub(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_SUB, a, b);
}

static cot_value mul(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MUL, a, b);
}

static cot_value un(cot_op op, cot_value x) {
    return cot_op_unary(op, x);
}

static cot_value number(cot_value like, double value) {
    return cot_op_constant(like.graph, cot_value_dtype(like), value);
}

/* x of any rank, contracted along its last axis with the first of w. */
static cot_value times(cot_value x, cot_value w) {
    const cot_dot_axes axes = {
        .n_contract = 1, .a_contract = {cot_value_shape(x).rank - 1}, .b_contract = {0}};
    return cot_op_dot(x, w, &axes);
}

/* Block i of n along the last axis. */
static cot_value block(cot_value x, int32_t i, int32_t n) {
    int64_t start[COT_MAX_RANK] = {0}, size[COT_MAX_RANK], stride[COT_MAX_RANK];
    const cot_shape shape = cot_value_shape(x);
    const int32_t last = shape.rank - 1;
    for (int32_t a = 0; a < shape.rank; a++) {
        size[a] = shape.dim[a];
        stride[a] = 1;
    }
    size[last] /= n;
    start[last] = i * size[last];
    return cot_op_slice(x, start, size, stride);
}

/* ---- bodies ---- */

static void step_delay(const cot_value *in, cot_value *out) {
    out[0] = in[1];
    out[1] = in[0];
}

static void step_sum(const cot_value *in, cot_value *out) {
    out[0] = out[1] = add(in[0], in[1]);
}

static void step_product(const cot_value *in, cot_value *out) {
    out[0] = out[1] = mul(in[0], in[1]);
}

static void step_count(const cot_value *in, cot_value *out) {
    const cot_value n = cot_op_cast(in[0], cot_value_dtype(in[1]));
    out[0] = add(in[0], number(in[0], 1));
    out[1] = add(mul(in[1], in[2]), n);
}

static void step_affine(const cot_value *in, cot_value *out) {
    out[0] = add(mul(in[0], in[2]), in[1]);
    out[1] = in[0];
    out[2] = mul(in[1], in[0]);
}

static void step_twist(const cot_value *in, cot_value *out) {
    out[0] = add(mul(in[0], in[1]), in[2]);
    out[1] = un(COT_OP_TANH, sub(mul(in[1], in[4]), in[3]));
    out[2] = mul(in[0], in[3]);
    out[3] = add(in[1], in[2]);
}

static void step_centre(const cot_value *in, cot_value *out) {
    const cot_value mean = cot_op_mean(in[1], &(int32_t){0}, 1, false);
    out[0] = sub(add(in[0], in[1]), mul(mean, mean));
    out[1] = in[0];
}

static void step_rnn(const cot_value *in, cot_value *out) {
    const cot_value z = add(add(times(in[1], in[2]), in[4]), times(in[0], in[3]));
    out[0] = out[1] = un(COT_OP_TANH, z);
}

static void step_lstm(const cot_value *in, cot_value *out) {
    const cot_value z = add(add(times(in[2], in[3]), times(in[0], in[4])), in[5]);
    const cot_value i = un(COT_OP_SIGMOID, block(z, 0, 4)), f = un(COT_OP_SIGMOID, block(z, 1, 4));
    const cot_value g = un(COT_OP_TANH, block(z, 2, 4)), o = un(COT_OP_SIGMOID, block(z, 3, 4));
    out[1] = add(mul(f, in[1]), mul(i, g));
    out[0] = out[2] = mul(o, un(COT_OP_TANH, out[1]));
}

/* z h + (1 - z) candidate */
static void gru_mix(cot_value z, cot_value h, cot_value candidate, cot_value *out) {
    out[0] = out[1] = add(mul(z, h), mul(sub(number(z, 1), z), candidate));
}

static cot_value row(cot_value x, int64_t i) {
    const int64_t start[] = {i, 0}, stride[] = {1, 1};
    const int64_t size[] = {1, cot_value_shape(x).dim[1]};
    return cot_op_reshape(cot_op_slice(x, start, size, stride), COT_SHAPE(size[1]));
}

static void step_gru(const cot_value *in, cot_value *out) {
    const cot_value x = add(times(in[1], in[2]), row(in[4], 0));
    const cot_value h = add(times(in[0], in[3]), row(in[4], 1));
    const cot_value z = un(COT_OP_SIGMOID, add(block(x, 0, 3), block(h, 0, 3)));
    const cot_value r = un(COT_OP_SIGMOID, add(block(x, 1, 3), block(h, 1, 3)));
    gru_mix(z, in[0], un(COT_OP_TANH, add(block(x, 2, 3), mul(r, block(h, 2, 3)))), out);
}

static void step_grus(const cot_value *in, cot_value *out) {
    const cot_value x = add(times(in[1], in[2]), in[4]);
    const cot_value z = un(COT_OP_SIGMOID, add(block(x, 0, 3), times(in[0], block(in[3], 0, 3))));
    const cot_value r = un(COT_OP_SIGMOID, add(block(x, 1, 3), times(in[0], block(in[3], 1, 3))));
    const cot_value h = times(mul(r, in[0]), block(in[3], 2, 3));
    gru_mix(z, in[0], un(COT_OP_TANH, add(block(x, 2, 3), h)), out);
}

static void step_nested(const cot_value *in, cot_value *out) {
    cot_value inner[3];
    const cot_value operand[] = {in[0], in[1], in[2]};
    scan_case_build("affine", operand, true, NULL, inner);
    const int32_t axis = cot_value_shape(inner[2]).batched ? 1 : 0;
    out[0] = add(un(COT_OP_TANH, inner[0]), cot_op_reduce(COT_OP_SUM, inner[2], &axis, 1, false));
    out[1] = inner[1];
}

static void step_outer(const cot_value *in, cot_value *out) {
    const cot_value product = un(COT_OP_TANH, times(in[1], in[2]));
    out[0] = add(mul(in[0], number(in[0], 0.5)), product);
    out[1] = in[0];
}

static const scan_case cases[] = {
    {"delay", 1, 1, 0, 2, step_delay},     {"sum", 1, 1, 0, 2, step_sum},
    {"product", 1, 1, 0, 2, step_product}, {"count", 1, 1, 1, 2, step_count},
    {"affine", 1, 1, 1, 3, step_affine},   {"twist", 2, 2, 1, 4, step_twist},
    {"centre", 1, 1, 0, 2, step_centre},   {"rnn", 1, 1, 3, 2, step_rnn},
    {"lstm", 2, 1, 3, 3, step_lstm},       {"gru", 1, 1, 3, 2, step_gru},
    {"grus", 1, 1, 3, 2, step_grus},       {"nested", 1, 1, 1, 2, step_nested},
    {"outer", 1, 1, 1, 2, step_outer},
};

const scan_case *scan_case_find(const char *name) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, name) == 0) {
            return &cases[i];
        }
    }
    return NULL;
}

/* ---- the scan ---- */

static cot_shape drop_time(cot_shape shape) {
    for (int32_t a = shape.batched ? 1 : 0; a + 1 < shape.rank; a++) {
        shape.dim[a] = shape.dim[a + 1];
    }
    shape.rank--;
    return shape;
}

static cot_graph *make_body(const scan_case *c, cot_context *context, const cot_value *operand) {
    cot_graph *body = cot_graph_create(context, c->name);
    cot_value in[SCAN_CASE_OPERANDS], out[SCAN_CASE_RESULTS];
    const int32_t n = c->n_carries + c->n_sequences + c->n_constants;
    char name[16];
    if (body == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        const bool sequence = i >= c->n_carries && i < c->n_carries + c->n_sequences;
        const cot_shape shape = cot_value_shape(operand[i]);
        (void)snprintf(name, sizeof name, "i%d", (int)i);
        in[i] = cot_op_input(body, cot_value_dtype(operand[i]), sequence ? drop_time(shape) : shape,
                             name);
    }
    c->step(in, out);
    for (int32_t i = 0; i < c->n_results; i++) {
        (void)snprintf(name, sizeof name, "o%d", (int)i);
        (void)cot_graph_output(out[i], name);
    }
    return body;
}

cot_status scan_case_build(const char *name, const cot_value *operand, bool reverse,
                           const cot_value *lengths, cot_value *results_out) {
    const scan_case *c = scan_case_find(name);
    if (c == NULL || operand[0].graph == NULL) {
        return COT_E_ARG;
    }
    cot_context *context = cot_graph_context(operand[0].graph);
    const cot_shape sequence = cot_value_shape(operand[c->n_carries]);
    cot_graph *body = make_body(c, context, operand);
    if (cot_error_get(context).status != COT_OK) {
        cot_graph_destroy(body);
        return cot_error_get(context).status;
    }
    const cot_scan_options options = {.struct_size = sizeof options,
                                      .n_carries = c->n_carries,
                                      .n_sequences = c->n_sequences,
                                      .steps = sequence.dim[sequence.batched ? 1 : 0],
                                      .reverse = reverse,
                                      .lengths = lengths};
    const cot_status status = cot_op_scan(
        body, operand, c->n_carries + c->n_sequences + c->n_constants, &options, results_out);
    cot_graph_destroy(body);
    return status;
}

cot_value scan_case_result(const char *name, const cot_value *operand, bool reverse,
                           int32_t result) {
    cot_value results[SCAN_CASE_RESULTS] = {{NULL, 0}};
    const cot_status status = scan_case_build(name, operand, reverse, NULL, results);
    return status == COT_OK && result >= scan_case_find(name)->n_results
               ? coti_scan_sibling(results[0].graph, results[0].id, result)
               : results[result];
}
