/*
 * Gradient rules of indexing and running sums. Gather and scatter_add are linear in their first
 * operand and each other's transposes; both read the index alone. The requirements on a rule stand
 * in vjp.h.
 */
#include "vjp.h"

/* What was read of an element comes back to it, as often as it was read. */
void coti_vjp_GATHER(const coti_vjp *v, cot_value *grad) {
    const coti_attr_GATHER *attr = v->node.attr;
    int64_t extent = cot_value_shape(v->input[0]).dim[attr->axis];
    grad[0] = cot_op_scatter_add(v->g, v->input[1], attr->axis, (int32_t)attr->n_batch, extent);
}

/* Each update has the cotangent of where it went; 0 if that is nowhere. */
void coti_vjp_SCATTER_ADD(const coti_vjp *v, cot_value *grad) {
    const coti_attr_SCATTER *attr = v->node.attr;
    grad[0] = cot_op_gather(v->g, v->input[1], attr->axis, (int32_t)attr->n_batch);
}

/* An element is in the sums from its own place on: those from the end down to it. */
void coti_vjp_CUMSUM(const coti_vjp *v, cot_value *grad) {
    const int32_t axis = ((const coti_attr_AXIS *)v->node.attr)->axis;
    grad[0] = cot_op_flip(cot_op_cumsum(cot_op_flip(v->g, &axis, 1), axis), &axis, 1);
}
