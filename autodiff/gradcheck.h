/*
 * The gradient check's parts. gradcheck_graph.c makes from any graph the three f64 graphs that the
 * check evaluates (gradcheck_body.c their bodies); gradcheck_probe.c compares derivatives at one
 * point, gradcheck_native.c those in f32 with those in f64, within what rounding explains
 * (gradcheck_rounding.c); gradcheck.c chooses points, looks for the culprit and reports.
 *
 * The float leaves of a graph, one after another, are one vector x; its float outputs one vector y;
 * cotangents u are as y, directions v and gradients g as x.
 */
#ifndef COTI_GRADCHECK_H
#define COTI_GRADCHECK_H

#include "cotangent/inspect.h"
#include "graph/body.h"

/* ---- gradcheck_graph.c ---- */

/* An input, a state or an output of the graph that is checked. */
typedef struct coti_check_part {
    uint32_t id;      /* in the graph that is checked */
    const char *name; /* borrowed from it */
    cot_dtype dtype;  /* f64 where it was a float */
    cot_shape shape;  /* rows bound */
    int64_t count;    /* elements */
    int64_t at;       /* of a float: where it begins in x or y; else -1 */
    void *data;       /* of an integer leaf: its values */
} coti_check_part;

typedef struct coti_check {
    cot_context *context;
    const cot_graph *source; /* borrowed */
    int64_t rows;
    coti_arena arena; /* owns the arrays */
    int32_t n_leaves, n_outputs;
    coti_check_part *leaf;   /* those that the float outputs depend on, by ascending id */
    coti_check_part *output; /* the float outputs, in order */
    int64_t n_x, n_y;
    double *x;                              /* the point; zeros at first */
    coti_body_map bodies;                   /* of the source, in f64 */
    cot_graph *forward, *reverse, *tangent; /* x -> y;  x, u -> J'u;  x, u, v -> J v */
    bool *is_narrow; /* of each node of `forward`: it stands for an f32 value */
} coti_check;

/* fails: COT_E_ARG if no float output depends on a float leaf, and as cot_grad. NULL then. */
cot_status coti_check_create(const cot_graph *source, int64_t rows, coti_check **check_out);
/* Without the derivatives: `forward` alone. */
cot_status coti_check_create_forward(const cot_graph *source, int64_t rows, coti_check **check_out);
void coti_check_destroy(coti_check *check);

/* y of n_y, g of n_x, jv of n_y elements: the caller's. */
cot_status coti_check_forward(const coti_check *check, const double *x, double *y);
cot_status coti_check_reverse(const coti_check *check, const double *x, const double *u, double *g);
cot_status coti_check_tangent(const coti_check *check, const double *x, const double *u,
                              const double *v, double *jv);

/*
 * Every value that the float outputs depend on, at the point: value[id] for the ids of the source,
 * data NULL for the others. In `arena`.
 */
cot_status coti_check_values(const coti_check *check, coti_arena *arena, coti_tensor **value_out);

/*
 * The gradient J'u in the source's own dtypes: a graph whose inputs are the leaves, then u, and
 * whose outputs are the parts of g. The caller's; NULL after a failure.
 */
cot_status coti_check_native(coti_check *check, cot_graph **graph_out);

/* ---- gradcheck_rounding.c ---- */

/* How a graph is thought to be evaluated. */
typedef struct coti_rounding {
    int32_t bits_lost;  /* each result is right but for so many of its last bits: 0, the best */
    bool adds_in_dtype; /* sums are rounded term by term, in any order; else once, at the end */
    int32_t n_samples;
    uint64_t seed;
} coti_rounding;

/*
 * y at check->x in f64, and the most that roundings to the source's dtypes move each element in
 * n_samples trials; *overflows_out: a value on the way lies beyond f32. exact, spread: of n_y
 * elements, the caller's.
 */
cot_status coti_check_rounding(const coti_check *check, const coti_rounding *rounding,
                               double *exact, double *spread, bool *overflows_out);

/* ---- gradcheck_body.c ---- */

/* A CONST of the source, in f64 where it is f32. */
cot_value coti_check_promote_const(cot_graph *to, const coti_node *node);
/* Does a node make floats of other things? Random numbers, say, that f64 would draw anew. */
bool coti_check_makes_floats(const cot_graph *source, const coti_node *node);
/* All bodies of the source in f64. To be freed whatever the status is. */
cot_status coti_check_promote_bodies(const cot_graph *source, coti_body_map *map_out);

/* ---- gradcheck_probe.c ---- */

typedef struct coti_check_settings {
    double tolerance, step;
    int32_t n_directions;
    int64_t max_elements; /* 0: directions only */
    bool whole;           /* every element of the Jacobian, whatever its size */
    uint64_t seed;
} coti_check_settings;

/* One comparison. leaf, output: index, or -1 for a direction or a combination. */
typedef struct coti_check_entry {
    double analytic, numeric, error;
    int32_t leaf, output;
    int64_t element, output_element;
} coti_check_entry;

/* What a point shows. */
typedef struct coti_check_result {
    bool failed; /* a derivative is wrong beyond doubt */
    int64_t n_compared;
    int64_t n_unclear;      /* comparisons that a kink or rounding spoils */
    coti_check_entry worst; /* of the failures if there is one, else of all */
    int32_t worst_rank;     /* 0: none failed; 1: failed along a direction; 2: by an element */
    double *leaf_error;     /* of each leaf the largest error, or NULL: not wanted */
    int64_t *leaf_compared;
    bool native_failed;    /* `worst` is of the graph's own dtypes: g32, and g64 as `numeric` */
    double native_allowed; /* what rounding explains of it */
    double native_share;   /* the most of what rounding explains that an element needed */
} coti_check_result;

/*
 * Compare derivatives at check->x; stops at the first unclear comparison, unless one failed before.
 * *is_finite_out: whether y and x's surroundings are finite at all; if not, nothing was compared.
 */
cot_status coti_check_probe(const coti_check *check, const coti_check_settings *settings,
                            coti_check_result *result, bool *is_finite_out);

/* ---- gradcheck_native.c ---- */

/*
 * Compare the gradient in the source's own dtypes with that in f64, at check->x, for a random
 * cotangent; adds to `result`. The point must consist of numbers of the leaves' dtypes.
 */
cot_status coti_check_probe_native(coti_check *check, uint64_t seed, coti_check_result *result);
/* v rounded to the source's dtype of a leaf or output. */
double coti_check_fit(const coti_check *check, const coti_check_part *part, double v);

/*
 * The point of a check `to` of the graph that coti_check_native made of `check`: check->x and u, as
 * far as that graph depends on them.
 */
void coti_check_lend_point(const coti_check *check, const double *u, coti_check *to);
/* A cotangent for check's outputs: normal numbers of their own dtypes. u: of n_y, the caller's. */
void coti_check_draw_cotangent(const coti_check *check, uint64_t seed, double *u);

/* ---- gradcheck_culprit.c ---- */

/* The smallest part of a graph that fails. */
typedef struct coti_check_culprit {
    const char *op, *layer; /* the operation that is wrong by itself; NULL: none is */
    coti_str text;          /* a graph; empty: no part fails alone */
} coti_check_culprit;

/*
 * After a failure at check->x. `native`: it was one of coti_check_probe_native. What is borrowed in
 * *culprit is the source's; the text is to be freed by the caller.
 */
cot_status coti_check_find_culprit(const coti_check *check, const coti_check_settings *settings,
                                   bool native, coti_check_culprit *culprit);

/* ---- gradcheck_point.c ---- */

/* Where points are drawn: the next is taken when the function is not finite. */
typedef enum coti_domain {
    COTI_ANYWHERE,
    COTI_AROUND_ONE,
    COTI_BELOW_ONE,
    COTI_N_DOMAINS
} coti_domain;

/* One call of cot_gradcheck. */
typedef struct coti_check_job {
    cot_context *context;
    cot_gradcheck_options options; /* defaults filled in */
    coti_check *check;
    coti_check_result result;
    cot_graph *gradient;             /* second order: J'u, u one more input; or NULL */
    coti_check *second;              /* of that; or NULL */
    coti_check_result second_result; /* of the derivatives of derivatives */
    double *u;                       /* the cotangent there */
    bool is_finite;
    int32_t n_points; /* before this one */
    int32_t domain;
    coti_check_culprit culprit;
} coti_check_job;

bool coti_check_is_state(const coti_check *check, const coti_check_part *part);
/* Set j->check's point: the next of the seed's. */
cot_status coti_check_draw_point(const coti_check_job *j, uint64_t seed);

/* ---- gradcheck_report.c ---- */

cot_status coti_check_report(const coti_check_job *j, cot_gradcheck_report *report_out);

/* Random normal number of (seed, purpose, i). */
double coti_check_normal(uint64_t seed, uint64_t purpose, int64_t i);

#endif
