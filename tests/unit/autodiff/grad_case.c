/*
 * The table of gradient cases, and the matrix that they must fill: op by shape class, without a
 * hole.
 *
 * A case of tests/grad_cases.def declares its cell, and every row of ops.def that has a gradient
 * uses the cells of all classes: where a case is missing, its cell is not declared and this file
 * does not compile ("cell_EXP_scalar undeclared"). A cell with both a case and a reason why there
 * is none is declared with two types, which does not compile either.
 */
#include "grad_case.h"

#include "grad_shorthand.h"

#include <stdio.h>

/* ---- the matrix ---- */

#define GRAD_CASE(id, class, ...) extern const char cell_##id##_##class;
#define GRAD_CASE_BUT(id, class, ...) extern const char cell_##id##_##class;
#define GRAD_NOT(id, class, reason) extern const short cell_##id##_##class;
#include "grad_cases.def"
#undef GRAD_CASE
#undef GRAD_CASE_BUT
#undef GRAD_NOT

#define CELL(id, class) (sizeof cell_##id##_##class > 0)
#define CELLS(id)                                                                                  \
    +CELL(id, scalar) + CELL(id, vector) + CELL(id, odd) + CELL(id, one) + CELL(id, empty) +       \
        CELL(id, broadcast) + CELL(id, strided) + CELL(id, repeated)
#define CELLS_RULE(id) CELLS(id)
#define CELLS_EXPAND(id) CELLS(id)
#define CELLS_ZERO(id)
#define CELLS_NONE(id)

enum {
    N_CELLS = 0
#define COT_OP(id, name, n_inputs, kind, attr, gradient, flags) CELLS_##gradient(id)
#include <cotangent/ops.def>
#undef COT_OP
};

/* The same for the program: is it a row of the matrix? */
bool grad_is_wanted(cot_op op) {
    static const bool wanted[COT_OP_COUNT] = {
#define WANTED_RULE true
#define WANTED_EXPAND true
#define WANTED_ZERO false
#define WANTED_NONE false
#define COT_OP(id, name, n_inputs, kind, attr, gradient, flags) [COT_OP_##id] = WANTED_##gradient,
#include <cotangent/ops.def>
#undef COT_OP
    };
    return wanted[op];
}

/* ---- the table ---- */

/* A row's function; the line tells several of one class apart. */
#define JOIN_(id, class, line) case_##id##_##class##_##line
#define JOIN(id, class, line) JOIN_(id, class, line)
#define FUNCTION(id, class) JOIN(id, class, __LINE__)
#define BARE(...) __VA_ARGS__

#define GRAD_CASE(id, class, inputs, ...)                                                          \
    static cot_value FUNCTION(id, class)(const cot_value *x) {                                     \
        return __VA_ARGS__;                                                                        \
    }
#define GRAD_CASE_BUT(id, class, inputs, limits, reason, ...)                                      \
    GRAD_CASE(id, class, inputs, __VA_ARGS__)
#define GRAD_NOT(id, class, reason)
#include "grad_cases.def"
#undef GRAD_CASE
#undef GRAD_CASE_BUT
#undef GRAD_NOT

const grad_case grad_cases[] = {
#define ROW(id, name) .op = COT_OP_##id, .class = GRAD_CLASS_##name
#define GRAD_CASE(id, class, shapes, ...)                                                          \
    {ROW(id, class), .inputs = shapes, .build = FUNCTION(id, class), .text = #__VA_ARGS__},
#define GRAD_CASE_BUT(id, class, shapes, held, why, ...)                                           \
    {ROW(id, class),       .inputs = shapes,      .build = FUNCTION(id, class),                    \
     .text = #__VA_ARGS__, .limits = {BARE held}, .reason = why},
#define GRAD_NOT(id, class, why)
#include "grad_cases.def"
#undef GRAD_CASE
#undef GRAD_CASE_BUT
#undef GRAD_NOT
};

const int32_t grad_n_cases = sizeof grad_cases / sizeof *grad_cases;

const grad_case grad_exempt[] = {
#define GRAD_CASE(id, class, ...)
#define GRAD_CASE_BUT(id, class, ...)
#define GRAD_NOT(id, class, why) {ROW(id, class), .reason = why},
#include "grad_cases.def"
#undef GRAD_CASE
#undef GRAD_CASE_BUT
#undef GRAD_NOT
};

const int32_t grad_n_exempt = sizeof grad_exempt / sizeof *grad_exempt;

const char *const grad_class_names[GRAD_N_CLASSES] = {
#define GRAD_CLASS(name) #name,
    GRAD_CLASSES(GRAD_CLASS)
#undef GRAD_CLASS
};

/* ---- what a class means ---- */

static bool is_scalar(const cot_shape *shape) {
    return shape->rank == 0;
}

static bool is_vector(const cot_shape *shape) {
    return shape->rank == 1 && (shape->batched || shape->dim[0] >= 2);
}

/* With three rows bound. */
static bool is_odd(const cot_shape *shape) {
    bool large = false;
    for (int32_t i = 0; i < shape->rank; i++) {
        int64_t extent = shape->dim[i] * (i == 0 && shape->batched ? 3 : 1);
        if (extent % 2 == 0) {
            return false;
        }
        large = large || extent >= 3;
    }
    return large;
}

static bool has_extent(const cot_shape *shape, int64_t extent) {
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == extent && !(i == 0 && shape->batched)) {
            return true;
        }
    }
    return false;
}

/* Uses of a value as an operand, those of one node counted singly. */
static int32_t n_uses(const cot_graph *graph, uint32_t id) {
    int32_t n = 0;
    for (uint32_t user = 1; user < graph->node.count; user++) {
        const coti_node *node = coti_node_at(graph, user);
        for (int32_t i = 0; i < node->n_inputs; i++) {
            n += node->input[i] == id;
        }
    }
    return n;
}

static bool operand_is(const cot_graph *graph, uint32_t id, grad_class class) {
    const coti_node *operand = coti_node_at(graph, id);
    switch (class) {
    case GRAD_CLASS_scalar:
        return is_scalar(&operand->shape);
    case GRAD_CLASS_vector:
        return is_vector(&operand->shape);
    case GRAD_CLASS_odd:
        return is_odd(&operand->shape);
    case GRAD_CLASS_one:
        return has_extent(&operand->shape, 1);
    case GRAD_CLASS_empty:
        return has_extent(&operand->shape, 0);
    case GRAD_CLASS_broadcast:
        return operand->op == COT_OP_BROADCAST;
    case GRAD_CLASS_strided:
        return operand->op == COT_OP_PERMUTE || operand->op == COT_OP_SLICE ||
               operand->op == COT_OP_FLIP;
    case GRAD_CLASS_repeated:
        return n_uses(graph, id) > 1;
    case GRAD_CLASS_extra:
    case GRAD_N_CLASSES:
        return true;
    }
    return false;
}

static bool is_float(const coti_node *node) {
    return node->dtype == COT_F32 || node->dtype == COT_F64;
}

/* Has an occurrence of the case's operation a float operand of the case's class? */
static bool is_of_class(const cot_graph *graph, const grad_case *c) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        for (int32_t i = 0; node->op == c->op && i < node->n_inputs; i++) {
            if (is_float(coti_node_at(graph, node->input[i])) &&
                operand_is(graph, node->input[i], c->class)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- building one ---- */

static void name_for(char name[32], const char *prefix, const char *stem, int32_t i) {
    if (i < 0) {
        snprintf(name, 32, "%s%s", prefix, stem);
    } else {
        snprintf(name, 32, "%s%s%d", prefix, stem, (int)i);
    }
}

static int32_t make_inputs(grad_graph *g, cot_dtype dtype, const char *text) {
    int32_t n = 0;
    while (text != NULL) {
        char name[32];
        bool is_bool = strncmp(text, "bool ", 5) == 0;
        text += is_bool ? 5 : 0;
        name_for(name, g->prefix, "x", n);
        assert_true(n < GRAD_MOST_INPUTS);
        g->x[n++] = cot_op_input(g->graph, is_bool ? COT_BOOL : dtype, read_shape(text), name);
        text = strchr(text, ';');
        text = text == NULL ? NULL : text + 1;
    }
    return n;
}

static void output(const grad_graph *g, cot_value value, const char *stem, int32_t i) {
    char name[32];
    name_for(name, g->prefix, stem, i);
    CHECK_OK(cot_graph_context(g->graph), cot_graph_output(value, name));
}

grad_graph grad_case_build(cot_graph *graph, const grad_case *c, cot_dtype dtype,
                           const char *prefix) {
    grad_graph g = {.graph = graph, .prefix = prefix};
    assert_non_null(graph);
    g.n = make_inputs(&g, dtype, c->inputs);
    g.y = c->build(g.x);
    if (g.y.graph == NULL) {
        fail_msg("%s %s: %s: %s", cot_op_name(c->op), grad_class_names[c->class], c->text,
                 cot_error_message(cot_graph_context(graph)));
    }
    output(&g, g.y, "y", -1);
    return g;
}

void grad_case_check_class(const grad_graph *g, const grad_case *c) {
    if (!is_of_class(g->graph, c)) {
        fail_msg("%s: no float operand of it is of class %s in %s of %s", cot_op_name(c->op),
                 grad_class_names[c->class], c->text, c->inputs);
    }
}

void grad_case_add_gradients(grad_graph *g) {
    cot_value wrt[GRAD_MOST_INPUTS];
    cot_value grad[GRAD_MOST_INPUTS];
    int32_t n = 0;
    for (int32_t i = 0; i < g->n; i++) {
        if (cot_value_dtype(g->x[i]) == COT_F32 || cot_value_dtype(g->x[i]) == COT_F64) {
            wrt[n++] = g->x[i];
        }
    }
    char name[32];
    name_for(name, g->prefix, "u", -1);
    cot_value u = cot_op_input(g->graph, cot_value_dtype(g->y), cot_value_shape(g->y), name);
    CHECK_OK(cot_graph_context(g->graph), cot_vjp(g->y, u, wrt, n, grad));
    for (int32_t i = 0; i < n; i++) {
        output(g, grad[i], "g", i);
    }
}
