/*
 * Products: the axes of their operands, in the order in which a kernel walks them, and whether they
 * can be read as they lie.
 */
#include "cluster.h"

static coti_dot_side side_of(const cot_shape *shape, const coti_attr_AXES_type *batch,
                             const coti_attr_AXES_type *contract) {
    coti_dot_side side = {.n_batch = batch->n, .n_contract = contract->n};
    uint32_t bound = 0;
    for (int32_t i = 0; i < batch->n; i++) {
        side.batch[i] = batch->v[i];
        bound |= (uint32_t)1 << batch->v[i];
    }
    for (int32_t i = 0; i < contract->n; i++) {
        side.contract[i] = contract->v[i];
        bound |= (uint32_t)1 << contract->v[i];
    }
    for (int32_t a = 0; a < shape->rank; a++) {
        if ((bound >> a & 1) == 0) {
            side.free[side.n_free++] = a;
        }
    }
    return side;
}

/* The contracted pairs in the order of a's axes, so that rows come first. */
static void sort_contracted(coti_dot_side *a, coti_dot_side *b) {
    for (int32_t i = 1; i < a->n_contract; i++) {
        for (int32_t j = i; j > 0 && a->contract[j - 1] > a->contract[j]; j--) {
            int32_t of_a = a->contract[j];
            int32_t of_b = b->contract[j];
            a->contract[j] = a->contract[j - 1];
            b->contract[j] = b->contract[j - 1];
            a->contract[j - 1] = of_a;
            b->contract[j - 1] = of_b;
        }
    }
}

bool coti_dot_collapse_side(const coti_view *view, const cot_shape *shape,
                            const coti_dot_side *side, int32_t n_first, coti_run out[4]) {
    return view->bounds == NULL && coti_view_collapse(view, shape, side->batch, n_first, &out[0]) &&
           coti_view_collapse(view, shape, side->free, side->n_free, &out[1]) &&
           coti_view_collapse(view, shape, side->contract, side->n_contract, &out[2]) &&
           coti_view_collapse(view, shape, side->batch + n_first, side->n_batch - n_first,
                              &out[3]) &&
           out[0].stride >= 0 && out[1].stride >= 0 && out[2].stride >= 0 && out[3].stride >= 0;
}

void coti_dot_sides(const coti_node *node, const cot_shape *a_shape, const cot_shape *b_shape,
                    coti_dot_side *a, coti_dot_side *b) {
    const coti_attr_DOT *attr = node->attr;
    *a = side_of(a_shape, &attr->a_batch, &attr->a_contract);
    *b = side_of(b_shape, &attr->b_batch, &attr->b_contract);
    sort_contracted(a, b);
}

bool coti_dot_collapse(const coti_views *views, const coti_node *node, int32_t n_most,
                       coti_run a_out[4], coti_run b_out[4], int32_t *n_first_out) {
    const cot_shape *a_shape = &coti_node_at(views->graph, node->input[0])->shape;
    const cot_shape *b_shape = &coti_node_at(views->graph, node->input[1])->shape;
    const coti_view *a_view = coti_view_at(views, node->input[0]);
    const coti_view *b_view = coti_view_at(views, node->input[1]);
    coti_dot_side a;
    coti_dot_side b;
    coti_dot_sides(node, a_shape, b_shape, &a, &b);
    for (int32_t n = a.n_batch < n_most ? a.n_batch : n_most; n > 0 || n == a.n_batch; n--) {
        if (coti_dot_collapse_side(a_view, a_shape, &a, n, a_out) &&
            coti_dot_collapse_side(b_view, b_shape, &b, n, b_out)) {
            *n_first_out = n;
            return true;
        }
    }
    return false;
}
