/*
 * The meaning of custom: what its forward body gives, run by itself.
 */
#include "eval.h"

cot_status coti_eval_CUSTOM(const coti_eval *eval) {
    const coti_attr_CUSTOM *attr = eval->node->attr;
    return coti_eval_graph(attr->forward, eval->rows, eval->input, eval->out);
}
