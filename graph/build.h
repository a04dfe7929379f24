/*
 * What the files of builders share.
 */
#ifndef COTI_BUILD_H
#define COTI_BUILD_H

#include "infer.h"

enum { COTI_BUILD_OPERANDS = 3 }; /* most operands that a description holds */

/* The operands of a call that is about to fail, as coti_infer_fail_at wants them. */
typedef struct coti_operands {
    coti_infer infer;
    uint32_t id[COTI_BUILD_OPERANDS];
} coti_operands;

/* Fill in place (infer points into it); n values of one graph, n <= COTI_BUILD_OPERANDS. */
void coti_operands_fill(coti_operands *operands, cot_graph *graph, cot_op op,
                        const cot_value *value, int32_t n);

/*
 * A caller's list of n axes of x into an attribute's: negative ones count from the end, ascending
 * order if asked. False with COT_E_ARG recorded when the list is NULL or too long; what else may be
 * wrong with axes is for the infer rules to say.
 */
bool coti_build_axes(cot_op op, cot_value x, const int32_t *axes, int32_t n, bool sort,
                     coti_attr_AXES_type *out);

/* A negative axis counts from the end. */
int32_t coti_build_axis(cot_value x, int32_t axis);

#endif
