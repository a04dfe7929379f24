/*
 * The graphs of a gradient check: a graph rebuilt in f64, with its float states turned into inputs,
 * and with what the check wants to see as outputs:
 *
 *     forward   x -> y
 *     reverse   x, u -> g = J'u, the gradient of <u, y>
 *     tangent   x, u, v -> J v, the gradient of <g, v> with respect to u, as g is linear in u
 *
 *     native    reverse, in the dtypes of the source: what f32 makes of it
 *
 * Inputs of each, in this order: the leaves, u, v. Updates of states are no part of it.
 */
#include "gradcheck.h"

#include <stdio.h>
#include <string.h>

/* A graph in the making. */
typedef struct promotion {
    const coti_check *check;
    cot_graph *to;
    cot_value *map; /* of the source's ids; graph NULL: not needed */
    bool as_it_is;  /* dtypes stay what they are */
} promotion;

static bool is_float(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

static cot_dtype promote(cot_dtype dtype) {
    return is_float(dtype) ? COT_F64 : dtype;
}

static cot_dtype dtype_in(const promotion *p, const coti_node *node) {
    return p->as_it_is ? (cot_dtype)node->dtype : promote((cot_dtype)node->dtype);
}

static bool is_leaf(const coti_node *node) {
    return node->op == COT_OP_INPUT || node->op == COT_OP_STATE;
}

/* ---- what is checked ---- */

static cot_status part_make(const coti_check *check, uint32_t id, const char *name, int64_t *n,
                            coti_check_part *part) {
    const coti_node *node = coti_node_at(check->source, id);
    *part = (coti_check_part){.id = id,
                              .name = name,
                              .dtype = promote((cot_dtype)node->dtype),
                              .shape = coti_shape_bind(&node->shape, check->rows),
                              .at = -1};
    int64_t bytes = 0;
    if (!coti_shape_elements(&node->shape, check->rows, &part->count) ||
        !coti_size_mul(part->count, (int64_t)sizeof(double), &bytes)) {
        return COTI_FAIL(check->context, COT_E_SHAPE, "\"%s\" is too large at %lld rows", name,
                         (long long)check->rows);
    }
    if (is_float(part->dtype)) {
        part->at = *n;
        *n += part->count;
    }
    return COT_OK;
}

/* The float outputs, and a mask of what they depend on. */
static cot_status find_outputs(coti_check *check, bool *is_needed) {
    const cot_graph *source = check->source;
    check->output = coti_arena_array(&check->arena, source->output.count, sizeof *check->output);
    if (check->output == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < source->output.count; i++) {
        uint32_t id = source->output.data[i].value;
        if (!is_float((cot_dtype)coti_node_at(source, id)->dtype)) {
            continue;
        }
        is_needed[id] = true;
        COTI_TRY(part_make(check, id, source->output.data[i].name, &check->n_y,
                           &check->output[check->n_outputs++]));
    }
    for (uint32_t id = (uint32_t)source->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(source, id);
        for (int32_t i = 0; is_needed[id] && i < node->n_inputs; i++) {
            is_needed[node->input[i]] = true;
        }
    }
    return COT_OK;
}

static cot_status integer_data(coti_check *check, coti_check_part *part) {
    size_t bytes = (size_t)part->count * cot_dtype_bytes(part->dtype);
    part->data = coti_arena_alloc(&check->arena, bytes);
    if (part->data == NULL) {
        return COT_E_NOMEM;
    }
    const coti_node *node = coti_node_at(check->source, part->id);
    if (node->op == COT_OP_STATE) {
        const coti_attr_VARIABLE *attr = node->attr;
        return cot_variable_get(attr->variable, part->data, bytes);
    }
    return COT_OK;
}

static cot_status find_leaves(coti_check *check, const bool *is_needed) {
    const cot_graph *source = check->source;
    size_t n = source->input.count + source->state.count;
    check->leaf = coti_arena_array(&check->arena, n, sizeof *check->leaf);
    if (check->leaf == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t id = 1; id < source->node.count; id++) {
        const coti_node *node = coti_node_at(source, id);
        if (!is_needed[id] || !is_leaf(node)) {
            continue;
        }
        coti_check_part *part = &check->leaf[check->n_leaves++];
        COTI_TRY(part_make(check, id, node->name, &check->n_x, part));
        COTI_TRY(part->at < 0 ? integer_data(check, part) : COT_OK);
    }
    return COT_OK;
}

static bool has_float_leaf(const coti_check *check) {
    for (int32_t i = 0; i < check->n_leaves; i++) {
        if (check->leaf[i].at >= 0) {
            return true;
        }
    }
    return false;
}

/* ---- the source in f64 ---- */

static cot_value named_input(cot_graph *to, cot_dtype dtype, cot_shape shape, const char *prefix,
                             int64_t number) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s%lld", prefix, (long long)number);
    return cot_op_input(to, dtype, shape, name);
}

static cot_value promote_node(promotion *p, uint32_t id, cot_value *input) {
    const coti_node *node = coti_node_at(p->check->source, id);
    cot_dtype dtype = dtype_in(p, node);
    if (is_leaf(node)) {
        return named_input(p->to, dtype, node->shape, "x", id);
    }
    if (node->op == COT_OP_CONST) {
        const coti_attr_DATA *data = node->attr;
        return p->as_it_is ? cot_op_constant_array(p->to, (cot_dtype)node->dtype, node->shape,
                                                   data->data.data)
                           : coti_check_promote_const(p->to, node);
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = p->map[node->input[i]];
    }
    cot_graph_set_layer(p->to, node->layer);
    if (node->layer != NULL && p->to->layer == NULL) {
        return coti_poison();
    }
    const void *attr = node->attr;
    if (!p->as_it_is &&
        coti_body_map_attr(&p->check->bodies, &p->to->arena, node, &attr) != COT_OK) {
        return coti_poison();
    }
    bool makes = coti_check_makes_floats(p->check->source, node);
    cot_value value = coti_graph_add(p->to, (cot_op)node->op, input, node->n_inputs, attr,
                                     makes ? (cot_dtype)node->dtype : dtype, &node->shape);
    return makes && (cot_dtype)node->dtype != dtype ? cot_op_cast(value, dtype) : value;
}

static cot_status promote_all(promotion *p, coti_arena *arena) {
    const cot_graph *source = p->check->source;
    bool *is_needed = coti_arena_array(arena, source->node.count, sizeof *is_needed);
    p->map = coti_arena_array(arena, source->node.count, sizeof *p->map);
    if (is_needed == NULL || p->map == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < p->check->n_outputs; i++) {
        is_needed[p->check->output[i].id] = true;
    }
    size_t widest = 0;
    for (uint32_t id = (uint32_t)source->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(source, id);
        widest = (size_t)node->n_inputs > widest ? (size_t)node->n_inputs : widest;
        for (int32_t i = 0; is_needed[id] && i < node->n_inputs; i++) {
            is_needed[node->input[i]] = true;
        }
    }
    cot_value *input = coti_arena_array(arena, widest, sizeof *input);
    for (uint32_t id = 1; input != NULL && id < source->node.count; id++) {
        if (is_needed[id]) {
            p->map[id] = promote_node(p, id, input);
            if (p->map[id].graph == NULL) {
                return cot_error_get(p->check->context).status;
            }
        }
    }
    return input == NULL ? COT_E_NOMEM : COT_OK;
}

/* ---- derivatives ---- */

/* sum + <a, b> in f64; sum may be none (graph NULL). */
static cot_value add_inner(cot_value sum, cot_value a, cot_value b) {
    cot_value product = cot_op_binary(COT_OP_MUL, a, b);
    int32_t rank = cot_value_shape(product).rank;
    int32_t axes[COT_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        axes[i] = i;
    }
    if (rank > 0) {
        product = cot_op_reduce(COT_OP_SUM, product, axes, rank, false);
    }
    product = cot_value_dtype(product) == COT_F64 ? product : cot_op_cast(product, COT_F64);
    return sum.graph == NULL ? product : cot_op_binary(COT_OP_ADD, sum, product);
}

static cot_status give_output(cot_value value, int32_t number) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "out%d", (int)number);
    return cot_graph_output(value, name);
}

/* Cotangents u as inputs, and the gradient g of <u, y>: one for each float leaf. */
static cot_status add_reverse(promotion *p, cot_value *u, cot_value *g) {
    const coti_check *check = p->check;
    cot_value inner = coti_poison();
    for (int32_t i = 0; i < check->n_outputs; i++) {
        cot_value y = p->map[check->output[i].id];
        u[i] = named_input(p->to, cot_value_dtype(y), cot_value_shape(y), "u", i);
        inner = add_inner(inner, u[i], y);
        if (inner.graph == NULL) {
            return cot_error_get(check->context).status;
        }
    }
    int32_t n = 0;
    for (int32_t i = 0; i < check->n_leaves; i++) {
        if (check->leaf[i].at >= 0) {
            g[n++] = p->map[check->leaf[i].id];
        }
    }
    p->to->has_backward = true; /* this graph is ours: no dump of it */
    return cot_grad(inner, g, n, g);
}

/* Directions v as inputs, and the gradient of <g, v> with respect to u. */
static cot_status add_tangent(promotion *p, const cot_value *u, const cot_value *g, cot_value *jv) {
    const coti_check *check = p->check;
    cot_value inner = coti_poison();
    for (int32_t i = 0, n = 0; i < check->n_leaves; i++) {
        if (check->leaf[i].at >= 0) {
            cot_value v = named_input(p->to, COT_F64, cot_value_shape(g[n]), "v", i);
            inner = add_inner(inner, g[n++], v);
            if (inner.graph == NULL) {
                return cot_error_get(check->context).status;
            }
        }
    }
    return cot_grad(inner, u, check->n_outputs, jv);
}

typedef enum stage { FORWARD, REVERSE, TANGENT } stage;

/* Which nodes of the forward graph stand for f32 values of the source? */
static cot_status note_narrow(coti_check *check, const promotion *p) {
    check->is_narrow = coti_arena_array(&check->arena, p->to->node.count, sizeof *check->is_narrow);
    if (check->is_narrow == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t id = 1; id < check->source->node.count; id++) {
        if (p->map[id].graph != NULL && coti_node_at(check->source, id)->dtype == COT_F32) {
            check->is_narrow[p->map[id].id] = true;
        }
    }
    return COT_OK;
}

static cot_status add_outputs(promotion *p, stage which, coti_arena *arena) {
    const coti_check *check = p->check;
    cot_value *u = coti_arena_array(arena, (size_t)check->n_outputs, sizeof *u);
    cot_value *y = coti_arena_array(arena, (size_t)check->n_outputs, sizeof *y);
    cot_value *g = coti_arena_array(arena, (size_t)check->n_leaves, sizeof *g);
    if (u == NULL || y == NULL || g == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < check->n_outputs; i++) {
        y[i] = p->map[check->output[i].id];
    }
    COTI_TRY(which == FORWARD ? COT_OK : add_reverse(p, u, g));
    COTI_TRY(which == TANGENT ? add_tangent(p, u, g, y) : COT_OK);
    for (int32_t i = 0; which != REVERSE && i < check->n_outputs; i++) {
        COTI_TRY(give_output(y[i], i));
    }
    for (int32_t i = 0, n = 0; which == REVERSE && i < check->n_leaves; i++) {
        if (check->leaf[i].at < 0) {
            continue;
        }
        COTI_TRY(give_output(g[n], n));
        n++;
    }
    return COT_OK;
}

/* *graph_out is the caller's, finished or not. */
static cot_status make_graph(coti_check *check, stage which, bool as_it_is, cot_graph **graph_out) {
    promotion p = {
        .check = check, .to = cot_graph_create(check->context, "gradcheck"), .as_it_is = as_it_is};
    *graph_out = p.to;
    if (p.to == NULL) {
        return cot_error_get(check->context).status;
    }
    coti_arena arena;
    coti_arena_init(&arena, check->context);
    cot_status status = promote_all(&p, &arena);
    if (status == COT_OK) {
        status = add_outputs(&p, which, &arena);
    }
    if (status == COT_OK && which == FORWARD) {
        status = note_narrow(check, &p);
    }
    coti_arena_clear(&arena);
    return status;
}

cot_status coti_check_native(coti_check *check, cot_graph **graph_out) {

    cot_status status = make_graph(check, REVERSE, true, graph_out);
    if (status != COT_OK) {
        cot_graph_destroy(*graph_out);
        *graph_out = NULL;
    }
    return status;
}

static cot_status find_all(coti_check *check) {
    bool *is_needed = coti_arena_array(&check->arena, check->source->node.count, sizeof *is_needed);
    if (is_needed == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(find_outputs(check, is_needed));
    COTI_TRY(find_leaves(check, is_needed));
    check->x = coti_arena_array(&check->arena, (size_t)check->n_x, sizeof *check->x);
    if (check->x == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_check_promote_bodies(check->source, &check->bodies));
    return make_graph(check, FORWARD, false, &check->forward);
}

static cot_status add_derivatives(coti_check *check) {
    if (!has_float_leaf(check)) {
        return COTI_FAIL(check->context, COT_E_ARG,
                         "nothing to check: no float output of graph %s depends on a float input "
                         "or state",
                         check->source->name);
    }
    COTI_TRY(make_graph(check, REVERSE, false, &check->reverse));
    return make_graph(check, TANGENT, false, &check->tangent);
}

static cot_status create(const cot_graph *source, int64_t rows, bool derivatives,
                         coti_check **check_out) {
    coti_check *check = coti_calloc(source->context, 1, sizeof *check);
    *check_out = check;
    if (check == NULL) {
        return COT_E_NOMEM;
    }
    check->context = source->context;
    check->source = source;
    check->rows = rows;
    coti_arena_init(&check->arena, source->context);
    coti_body_map_init(&check->bodies, source->context);
    cot_status status = find_all(check);
    if (status == COT_OK && derivatives) {
        status = add_derivatives(check);
    }
    if (status != COT_OK) {
        coti_check_destroy(check);
        *check_out = NULL;
    }
    return status;
}

cot_status coti_check_create(const cot_graph *source, int64_t rows, coti_check **check_out) {
    return create(source, rows, true, check_out);
}

cot_status coti_check_create_forward(const cot_graph *source, int64_t rows,
                                     coti_check **check_out) {
    return create(source, rows, false, check_out);
}

void coti_check_destroy(coti_check *check) {
    if (check == NULL) {
        return;
    }
    cot_graph_destroy(check->forward);
    cot_graph_destroy(check->reverse);
    cot_graph_destroy(check->tangent);
    coti_body_map_free(&check->bodies);
    coti_arena_clear(&check->arena);
    coti_free(check->context, check);
}

/* ---- evaluation ---- */

/* The parts of a vector as tensors, appended; integer parts as they are, or left out. */
static void append_parts(coti_tensor *tensor, int32_t *n, const coti_check_part *part,
                         int32_t n_parts, double *vector, bool integers) {
    for (int32_t i = 0; i < n_parts; i++) {
        if (part[i].at >= 0 || integers) {
            void *data = part[i].at >= 0 ? (void *)(vector + part[i].at) : part[i].data;
            tensor[(*n)++] =
                (coti_tensor){.dtype = part[i].dtype, .shape = part[i].shape, .data = data};
        }
    }
}

/* u, v: NULL where the graph has no such inputs. `out` has the parts of y, or those of x. */
static cot_status evaluate(const coti_check *check, const cot_graph *graph, const double *x,
                           const double *u, const double *v, double *out) {
    int32_t n_in = 0;
    int32_t n_out = 0;
    size_t most = 2 * (size_t)check->n_leaves + 2 * (size_t)check->n_outputs;
    coti_tensor *in = coti_calloc(check->context, most, sizeof *in);
    coti_tensor *result = coti_calloc(check->context, most, sizeof *result);
    cot_status status = in == NULL || result == NULL ? COT_E_NOMEM : COT_OK;
    if (status == COT_OK) {
        /* the evaluator reads its inputs only; coti_tensor has one kind of pointer for both */
        append_parts(in, &n_in, check->leaf, check->n_leaves, (double *)(uintptr_t)x, true);
        if (u != NULL) {
            append_parts(in, &n_in, check->output, check->n_outputs, (double *)(uintptr_t)u, true);
        }
        if (v != NULL) {
            append_parts(in, &n_in, check->leaf, check->n_leaves, (double *)(uintptr_t)v, false);
        }
        bool to_x = graph == check->reverse;
        append_parts(result, &n_out, to_x ? check->leaf : check->output,
                     to_x ? check->n_leaves : check->n_outputs, out, false);
        status = coti_eval_graph(graph, check->rows, in, result);
    }
    coti_free(check->context, in);
    coti_free(check->context, result);
    return status;
}

cot_status coti_check_forward(const coti_check *check, const double *x, double *y) {
    return evaluate(check, check->forward, x, NULL, NULL, y);
}

cot_status coti_check_reverse(const coti_check *check, const double *x, const double *u,
                              double *g) {
    return evaluate(check, check->reverse, x, u, NULL, g);
}

cot_status coti_check_tangent(const coti_check *check, const double *x, const double *u,
                              const double *v, double *jv) {
    return evaluate(check, check->tangent, x, u, v, jv);
}

/* ---- all values ---- */

static cot_status run_values(const coti_check *check, const promotion *p, coti_arena *arena,
                             coti_tensor *value, coti_arena *scratch) {
    const cot_graph *source = check->source;
    coti_tensor *in = coti_arena_array(scratch, (size_t)check->n_leaves, sizeof *in);
    coti_tensor *out = coti_arena_array(scratch, source->node.count, sizeof *out);
    int32_t n_in = 0;
    int32_t n_out = 0;
    if (in == NULL || out == NULL) {
        return COT_E_NOMEM;
    }
    append_parts(in, &n_in, check->leaf, check->n_leaves, check->x, true);
    for (uint32_t id = 1; id < source->node.count; id++) {
        if (p->map[id].graph == NULL) {
            continue;
        }
        coti_check_part part;
        int64_t n = 0;
        COTI_TRY(part_make(check, id, "a value", &n, &part));
        value[id] = (coti_tensor){
            .dtype = part.dtype,
            .shape = part.shape,
            .data = coti_arena_array(arena, (size_t)part.count, cot_dtype_bytes(part.dtype))};
        if (value[id].data == NULL) {
            return COT_E_NOMEM;
        }
        COTI_TRY(give_output(p->map[id], (int32_t)id));
        out[n_out++] = value[id];
    }
    return coti_eval_graph(p->to, check->rows, in, out);
}

cot_status coti_check_values(const coti_check *check, coti_arena *arena, coti_tensor **value_out) {
    promotion p = {.check = check, .to = cot_graph_create(check->context, "gradcheck")};
    coti_tensor *value = coti_arena_array(arena, check->source->node.count, sizeof *value);
    coti_arena scratch;
    coti_arena_init(&scratch, check->context);
    cot_status status = p.to == NULL || value == NULL ? COT_E_NOMEM : promote_all(&p, &scratch);
    if (status == COT_OK) {
        status = run_values(check, &p, arena, value, &scratch);
    }
    coti_arena_clear(&scratch);
    cot_graph_destroy(p.to);
    *value_out = value;
    return status;
}
