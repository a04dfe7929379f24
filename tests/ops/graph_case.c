/*
 * Graphs of trials: contract in graph_case.h.
 */
#include "graph_case.h"

#include "graph/graph.h"

#include <string.h>

static const char *const view_names[N_VIEWS] = {
    "plain", "permuted", "sliced", "flipped", "broadcast", "padded", "reshaped", "concatenated"};

const char *view_name(operand_view view) {
    return view_names[view];
}

/* First axis that is not the batch. */
static int32_t free_axis(const cot_shape *shape) {
    return shape->batched ? 1 : 0;
}

/* Shape to store an operand in, so that the view of it has `shape`; false: the view needs more
 * axes. */
static bool stored_shape(operand_view view, const cot_shape *shape, cot_shape *stored) {
    int32_t first = free_axis(shape), last = shape->rank - 1;
    *stored = *shape;
    if (view == VIEW_NONE || last < first || (view == VIEW_PERMUTE && last == first)) {
        return false;
    }
    if (view == VIEW_PERMUTE) {
        for (int32_t d = first; d <= last; d++) {
            stored->dim[d] = shape->dim[first + last - d];
        }
    } else if (view == VIEW_SLICE) {
        for (int32_t d = first; d <= last; d++) {
            stored->dim[d] = 2 * shape->dim[d] + 1;
        }
    } else if (view == VIEW_BROADCAST) {
        memmove(&stored->dim[first], &stored->dim[first + 1],
                (size_t)(last - first) * sizeof stored->dim[0]);
        stored->rank--;
    } else if (view == VIEW_PAD) {
        stored->dim[last] -= 2;
    } else if (view == VIEW_RESHAPE) {
        for (int32_t d = first + 1; d <= last; d++) {
            stored->dim[first] *= shape->dim[d];
        }
        stored->rank = first + 1;
    }
    return stored->rank == 0 || stored->dim[stored->rank - 1] >= 0;
}

static cot_value slice_back(cot_value x, const cot_shape *shape) {
    int64_t start[COT_MAX_RANK], stride[COT_MAX_RANK];
    for (int32_t d = 0; d < shape->rank; d++) {
        bool batch = d < free_axis(shape);
        start[d] = batch ? 0 : 1;
        stride[d] = batch ? 1 : 2;
    }
    return cot_op_slice(x, start, shape->dim, stride);
}

static cot_value pad_back(cot_value x, const cot_shape *shape) {
    int64_t width[COT_MAX_RANK] = {0};
    width[shape->rank - 1] = 1;
    return cot_op_pad(x, width, width, 0);
}

/* The view of x that has `shape`. */
static cot_value view_back(operand_view view, cot_value x, const cot_shape *shape) {
    int32_t axes[COT_MAX_RANK], first = free_axis(shape), last = shape->rank - 1;
    for (int32_t d = 0; d < shape->rank; d++) {
        axes[d] = view == VIEW_PERMUTE && d >= first ? first + last - d : d;
    }
    switch (view) {
    case VIEW_PERMUTE:
        return cot_op_permute(x, axes, shape->rank);
    case VIEW_SLICE:
        return slice_back(x, shape);
    case VIEW_FLIP:
        return cot_op_flip(x, &last, 1);
    case VIEW_BROADCAST:
        memmove(&axes[first], &axes[first + 1], (size_t)(last - first) * sizeof axes[0]);
        return cot_op_broadcast(x, *shape, axes, shape->rank - 1);
    case VIEW_PAD:
        return pad_back(x, shape);
    case VIEW_RESHAPE:
        return cot_op_reshape(x, *shape);
    case VIEW_NONE:
    case VIEW_CONCAT:
    case N_VIEWS:
        break;
    }
    return x;
}

/* A new input of the graph, for operand i of the trial. */
static cot_value add_input(pool *p, graph_case *g, const trial *t, int32_t i,
                           const cot_shape *shape, const tensor *given) {
    char name[16];
    snprintf(name, sizeof name, "x%d", g->n);
    g->input[g->n++] = given != NULL ? *given : make_operand(p, t, i, shape);
    return cot_op_input(g->graph, t->operand[i], *shape, name);
}

static cot_value joined_operand(pool *p, graph_case *g, const trial *t, int32_t i) {
    cot_shape left = t->shape[i], right = t->shape[i];
    int32_t last = left.rank - 1;
    left.dim[last] = left.dim[last] / 3;
    right.dim[last] -= left.dim[last];
    cot_value x[2] = {add_input(p, g, t, i, &left, NULL), add_input(p, g, t, i, &right, NULL)};
    g->viewed = true;
    return cot_op_concat(x, 2, last);
}

static cot_value make_value(pool *p, graph_case *g, const trial *t, int32_t i, operand_view view,
                            const tensor *given) {
    cot_shape stored;
    if (view == VIEW_CONCAT && t->shape[i].rank > free_axis(&t->shape[i])) {
        return joined_operand(p, g, t, i);
    }
    bool viewed = given == NULL && stored_shape(view, &t->shape[i], &stored);
    cot_value x = add_input(p, g, t, i, viewed ? &stored : &t->shape[i], given);
    g->viewed = g->viewed || viewed;
    return viewed ? view_back(view, x, &t->shape[i]) : x;
}

graph_case make_graph_case(pool *p, cot_context *context, const trial *t, operand_view view,
                           const tensor *given) {
    graph_case g = {.graph = cot_graph_create(context, "case")};
    cot_value x[MAX_OPERANDS];
    tensor data = {.v = NULL};
    for (int32_t i = 0; i < t->n && takes_inputs(t->op); i++) {
        x[i] =
            t->repeated[i] ? x[0] : make_value(p, &g, t, i, view, given != NULL ? &given[i] : NULL);
    }
    if (!takes_inputs(t->op)) {
        data = given != NULL ? given[0] : make_operand(p, t, 0, &t->shape[0]);
    }
    g.result = build_op(g.graph, t, x, &data);
    if (g.result.graph != NULL) {
        cot_graph_output(g.result, "y");
    }
    return g;
}

bool eval_graph_case(pool *p, const graph_case *g, int64_t rows, tensor *out) {
    coti_tensor input[MAX_INPUTS], output;
    for (int32_t i = 0; i < g->n; i++) {
        input[i] =
            (coti_tensor){g->input[i].dtype, g->input[i].shape, tensor_bytes(p, &g->input[i])};
    }
    cot_shape shape = cot_value_shape(g->result);
    tensor room = tensor_make(p, cot_value_dtype(g->result), &shape, rows);
    output = (coti_tensor){room.dtype, room.shape, tensor_bytes(p, &room)};
    if (coti_eval_graph(g->graph, rows, input, &output) != COT_OK) {
        return false;
    }
    *out = tensor_read(p, room.dtype, &room.shape, 1, output.data);
    return true;
}
