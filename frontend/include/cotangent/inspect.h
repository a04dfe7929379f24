/*
 * Cotangent, inspection: look into what the library makes, and check it.
 *
 * Nothing here prints: text goes into the caller's report or through a cot_write_fn.
 */
#ifndef COTANGENT_INSPECT_H
#define COTANGENT_INSPECT_H

#include "base.h"
#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- checking gradients ---- */

/* Every field may be left zero. */
typedef struct cot_gradcheck_options {
    size_t struct_size;     /* sizeof(cot_gradcheck_options) */
    int64_t rows;           /* row count of batched inputs; 0: 3 */
    double tolerance;       /* largest relative error that passes; 0: 1e-6 */
    double step;            /* of the finite differences, relative to max(1, |x|); 0: 1e-3 */
    int32_t n_directions;   /* random directions that are checked; 0: 3 */
    int32_t n_points;       /* points that are tried until one is away from kinks; 0: 8 */
    int64_t max_elements;   /* inputs of up to so many elements are checked in each of them, larger
                               ones in 8 at random; 0: 64 */
    int64_t integer_bound;  /* integer inputs are drawn from [0, bound); 0: 3 */
    uint64_t seed;          /* of the points, directions and elements */
    cot_switch keep_states; /* on: states have their variables' values; off (default): random ones.
                               Integer states always have their variables' values */
    cot_switch f32;         /* on: also the gradient in the graph's own dtypes against that in f64,
                               within what f32's rounding explains at this point; off (default) */
    cot_write_fn write;     /* receives a line for each input and state; NULL: nobody does */
    void *user;
} cot_gradcheck_options;
#define COT_GRADCHECK_OPTIONS_INIT                                                                 \
    {sizeof(cot_gradcheck_options),                                                                \
     0,                                                                                            \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     COT_DEFAULT,                                                                                  \
     COT_DEFAULT,                                                                                  \
     NULL,                                                                                         \
     NULL}

#define COT_REPORT_NAME_BYTES 96
#define COT_REPORT_MESSAGE_BYTES 512

/* What was found. The comparison shown is the worst: of those that failed, or of all. */
typedef struct cot_gradcheck_report {
    bool passed;
    double error;    /* |analytic - numeric| / max(|analytic|, |numeric|, a thousandth of the
                        largest derivative beside them) */
    double analytic; /* the derivative by cot_grad */
    double numeric;  /* the same by differences of f64 evaluations */
    int64_t element; /* of the input, row-major; -1: along a random direction of all inputs */
    int64_t output_element; /* of the output; -1: of a random combination of all outputs */
    int64_t n_compared;     /* derivatives compared */
    int32_t n_points;       /* points tried */
    char input[COT_REPORT_NAME_BYTES];  /* the input or state; "" along a direction */
    char output[COT_REPORT_NAME_BYTES]; /* the output; "" for a combination */
    char op[COT_REPORT_NAME_BYTES]; /* of a failure: the first operation whose own gradient is wrong
                                       there; "" if none is by itself */
    char layer[COT_REPORT_NAME_BYTES];      /* its layer; "" */
    char message[COT_REPORT_MESSAGE_BYTES]; /* one line that says all this */
} cot_gradcheck_report;

/*
 * Check the derivatives of a graph's float outputs with respect to its float inputs and states, on
 * the reference evaluator. The graph is rebuilt in f64 (f32 values become f64), so the rules are
 * checked, not f32's rounding. At a random point:
 *
 *   - along random directions v, for random cotangents u: <J'u, v> by cot_grad against the central
 *     difference, J v (as the gradient of a gradient) against it for each output element, and
 *     <J'u, v> against <u, J v>;
 *   - element by element, the whole Jacobian where inputs and outputs are small.
 *
 * Central differences at three steps, extrapolated twice (Richardson). Where they do not agree with
 * the gradient but not with each other either, or where the one-sided differences differ, there is
 * a kink nearby: the step is changed, then the point.
 *
 * options may be NULL. The graph is not changed. Returns COT_OK when the check could be made,
 * passed or not; fails: COT_E_ARG (nothing to check; an option out of range), COT_E_NOGRAD,
 * COT_E_SHAPE (too large at these rows), COT_E_IO (write refused), COT_E_NOMEM; the report is then
 * untouched.
 */
COT_API cot_status cot_gradcheck(const cot_graph *graph, const cot_gradcheck_options *options,
                                 cot_gradcheck_report *report_out);

/* ---- stages of compilation ---- */

/*
 * Write one stage of a graph's compilation as text: "graph" or "grad" (the graph itself), "opt"
 * (simplified, composites expanded), "fuse" (groups of nodes, and why each node is in its group),
 * "plan" (kernels, phases, memory), "llvm" or "asm" (each kernel's code). The graph is not changed.
 * options: as for cot_program_create; may be NULL. fails: COT_E_ARG for an unknown stage,
 * COT_E_UNSUPPORTED for a stage that this graph, build or context does not have, COT_E_IO when
 * `write` refuses; else as cot_program_create.
 */
COT_API cot_status cot_graph_dump(const cot_graph *graph, const char *stage,
                                  const cot_program_options *options, cot_write_fn write,
                                  void *user);

#ifdef __cplusplus
}
#endif
#endif
