/*
 * Numbers under a probe: a model whose input is rows of the identity and whose first layer is dense
 * without a bias, so that its kernel's elements are what the rest of the model sees, exactly; and
 * an optimizer that keeps their gradient and changes nothing. All through the public header.
 */
#ifndef PROBE_H
#define PROBE_H

#include "reference.h"

#include "cotangent.h"

typedef struct probe {
    cot_context *context;
    cot_model *model;
    cot_tensor in, numbers; /* numbers [N,..,c]: of the shape that it was begun with */
    float *identity;        /* the input of all rows */
    int64_t n_rows, n_vectors, n_last;
    float *weights; /* of rows; NULL: none. Freed with the probe */
    int64_t n_weights;
} probe;

/* What main does: reference_run of a file, with the argument "jit" on compiled kernels, and then,
 * among the quick tests, of some of its cases. */
int probe_run(int argc, char **argv, const char *file, void (*one)(void **state));

/* The context of all its cases; borrowed. */
cot_context *probe_context(void);

/* A probe of the array's numbers, of rank 2 or more. */
void probe_begin(probe *p, const reference_array *numbers);
void probe_begin_dense(probe *p, const reference_array *numbers, cot_dense_options options);
void probe_end(probe *p);

/* A model from the input to `out`, compiled with `options`; without an optimizer among them, with
 * the one that keeps gradients. */
void probe_compile(probe *p, cot_tensor out, const reference_array *numbers,
                   cot_compile_options options);

/* The sum over a row's last axis of target times output: a custom loss whose gradient by the output
 * is the target. */
cot_value probe_inner_product(cot_value target, cot_value output, void *user);

/* One step with the target: the loss. After it, the gradient by the numbers. */
double probe_train(probe *p, cot_array target);
void probe_check_gradient(probe *p, const reference_case *c, const reference_array *expected,
                          double tolerance);

/* What the model makes of the input. */
void probe_check_prediction(probe *p, const reference_case *c, const reference_array *expected,
                            double tolerance);

/* Rows of an array of the file: `data` is from reference_floats or reference_integers. */
cot_array probe_floats(const reference_array *array, const float *data);
cot_array probe_integers(const reference_array *array, const int32_t *data);

#endif
