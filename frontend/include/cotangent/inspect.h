/*
 * Cotangent, inspection: look into what the library makes, and check it.
 *
 * Nothing here prints: text goes into the caller's report or through a cot_write_fn.
 */
#ifndef COTANGENT_INSPECT_H
#define COTANGENT_INSPECT_H

#include "base.h"
#include "graph.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- checking gradients ---- */

/* An input's data: dense, row-major, of the input's dtype and shape at the options' rows. */
typedef struct cot_gradcheck_data {
    const char *input;
    const void *data;
} cot_gradcheck_data;

/* Every field may be left zero. */
typedef struct cot_gradcheck_options {
    size_t struct_size;      /* sizeof(cot_gradcheck_options) */
    int64_t rows;            /* row count of batched inputs; 0: 3 */
    double tolerance;        /* largest relative error that passes; 0: 1e-6 */
    double step;             /* of the finite differences, relative to max(1, |x|); 0: 1e-3 */
    int32_t n_directions;    /* random directions that are checked; 0: 3 */
    int32_t n_points;        /* points that are tried until one is away from kinks; 0: 8 */
    int64_t max_elements;    /* inputs of up to so many elements are checked in each of them, larger
                                ones in 8 at random; 0: 64 */
    int64_t integer_bound;   /* integer inputs are drawn from [0, bound); 0: 3 */
    uint64_t seed;           /* of the points, directions and elements */
    cot_switch keep_states;  /* on: states have their variables' values; off (default): random ones.
                                Integer states always have their variables' values */
    cot_switch f32;          /* on: also the gradient in the graph's own dtypes against that in f64,
                                within what f32's rounding explains at the point; off (default) */
    cot_switch second;       /* on: also the derivatives of the gradient by inputs, states and
                                cotangents, Hessian-vector products among them; off (default) */
    double second_tolerance; /* largest relative error of those; 0: 1e-5 */
    cot_switch jacobian; /* on: each element of each output by each of each input, whatever their
                            number, up to 2^24; off: directions alone; default: where both are
                            small (max_elements) */
    const cot_gradcheck_data *data; /* inputs that are not random; moved by a hundredth where they
                                       lie at a kink, unless they are integers */
    int32_t n_data;
    cot_write_fn write; /* receives a line for each input and state, and the smallest part that
                           fails; NULL: nobody does */
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
     COT_DEFAULT,                                                                                  \
     0.0,                                                                                          \
     COT_DEFAULT,                                                                                  \
     NULL,                                                                                         \
     0,                                                                                            \
     NULL,                                                                                         \
     NULL}

#define COT_REPORT_NAME_BYTES 96
#define COT_REPORT_MESSAGE_BYTES 512
#define COT_REPORT_PART_BYTES 4096

/* What was found. The comparison shown is the worst: of those that failed, or of all. */
typedef struct cot_gradcheck_report {
    bool passed;
    int32_t order;   /* of the derivative shown: 1, or 2: of the gradient's graph */
    double error;    /* |analytic - numeric| / max(|analytic|, |numeric|, a thousandth of the
                        largest derivative beside them) */
    double analytic; /* the derivative by cot_grad */
    double numeric;  /* the same by differences of f64 evaluations; or, where the gradient in the
                        graph's own dtypes failed, in f64 */
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
    char part[COT_REPORT_PART_BYTES]; /* of a failure: the smallest part of the graph that fails, as
                                         text that parses, the values of its inputs as comments; ""
                                         if none fails alone, or if it is longer than this */
} cot_gradcheck_report;

/*
 * Check the derivatives of a graph's float outputs with respect to its float inputs and states, on
 * the reference evaluator. The graph is rebuilt in f64 (f32 values become f64), so the rules are
 * checked, not f32's rounding. At a random point:
 *
 *   - along random directions v, for random cotangents u: <J'u, v> by cot_grad against the central
 *     difference, J v (as the gradient of a gradient) against it for each output element, and
 *     <J'u, v> against <u, J v>;
 *   - element by element, the whole Jacobian where inputs and outputs are small;
 *   - if asked (f32), the gradient as the graph itself computes it, f32 where it is f32: it may
 *     differ by what trial roundings explain;
 *   - if asked (second), all this again of the gradient, which is a graph of the inputs, the states
 *     and u.
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

/*
 * The same of a model: of its loss as training has it (dropout and all), or of its outputs where it
 * is compiled without one or not at all; by its inputs, its weights, and targets that are floats.
 * The graph's inputs are called as the layers of the model's inputs, targets "<output>/target":
 * options->data may give them. keep_states is on unless set: weights have their values; labels are
 * drawn from the classes of the outputs unless integer_bound is set. Nothing of the model changes.
 * fails: as cot_gradcheck.
 */
COT_API cot_status cot_model_gradcheck(const cot_model *model, const cot_gradcheck_options *options,
                                       cot_gradcheck_report *report_out);

/* ---- where the time of a run goes ---- */

/*
 * A call of the plan: a kernel on all its rows or units, in tasks of several threads. Calls are
 * numbered as in the dump of stage "plan". A loop's calls follow the loop, which has no time
 * itself.
 */
typedef struct cot_call_info {
    const char *kernel; /* what it computes, as in the dumps; lives as long as the program */
    int32_t phase;      /* the phase in which it runs, from 0 */
    double seconds; /* spent in it since profiling was switched on, summed over threads and runs */
    double flops;   /* of one run at the largest row count: products and sums count 2 an element,
                       other elementwise operations 1, functions 20; an estimate */
} cot_call_info;

/*
 * Count the time of each call in the runs that follow, from 0 again (on); or no longer, and keep
 * what is counted (off, as at first). It costs two readings of the clock a call and task, some
 * 50 ns. NULL: nothing happens.
 */
COT_API void cot_session_set_profiling(cot_session *session, bool on);
/* Calls of the session's program; 0 where it runs on the evaluator. */
COT_API int32_t cot_session_n_calls(const cot_session *session);
/* Call i; all zero where there is none. */
COT_API cot_call_info cot_session_call(const cot_session *session, int32_t i_call);

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
