/*
 * The cases of tests/grad_cases.def as a table, for those who run them: the finite differences
 * (test_grad_cases.c), the compiled kernels (test_grad_jit.c).
 */
#ifndef AUTODIFF_GRAD_CASE_H
#define AUTODIFF_GRAD_CASE_H

#include "graph/graph.h"

enum { GRAD_MOST_INPUTS = 8 };

/* The shape classes: grad_cases.def says what each means. */
#define GRAD_CLASSES(X)                                                                            \
    X(scalar) X(vector) X(odd) X(one) X(empty) X(broadcast) X(strided) X(repeated) X(extra)

typedef enum grad_class {
#define GRAD_CLASS(name) GRAD_CLASS_##name,
    GRAD_CLASSES(GRAD_CLASS)
#undef GRAD_CLASS
        GRAD_N_CLASSES
} grad_class;

/* What a case is held to. A field left 0 is the default. */
typedef struct grad_limits {
    double first, second;           /* relative error of derivatives in f64: 1e-7, 1e-5 */
    bool no_second, no_f32, no_f64; /* not run at all */
} grad_limits;

typedef struct grad_case {
    cot_op op;
    grad_class class;
    const char *text; /* the expression, as it stands in the table */
    const char *inputs;
    cot_value (*build)(const cot_value *x);
    grad_limits limits;
    const char *reason; /* why the limits are not the defaults, or why there is no case; or NULL */
} grad_case;

extern const grad_case grad_cases[];
extern const int32_t grad_n_cases;

/* The classes that an operation cannot have, with their reasons; build is NULL. */
extern const grad_case grad_exempt[];
extern const int32_t grad_n_exempt;

extern const char *const grad_class_names[GRAD_N_CLASSES];

/* Has the operation a gradient, and so a row of the matrix? */
bool grad_is_wanted(cot_op op);

/* A case in a graph, alone or among others: inputs x0, x1, ... and output y, led by its prefix. */
typedef struct grad_graph {
    cot_graph *graph;
    const char *prefix;
    cot_value x[GRAD_MOST_INPUTS], y;
    int32_t n;
} grad_graph;

/* Build a case with its floats in `dtype`. Fails the test, naming the case, if it cannot be built.
 */
grad_graph grad_case_build(cot_graph *graph, const grad_case *c, cot_dtype dtype,
                           const char *prefix);

/* Of a case that is alone in its graph: fails the test if its operation does not occur, or if no
 * occurrence has an operand of its class. */
void grad_case_check_class(const grad_graph *g, const grad_case *c);

/*
 * Make the gradients of <u, y> with respect to the float inputs outputs g0, g1, ...; u is an input.
 */
void grad_case_add_gradients(grad_graph *g);

#endif
