/*
 * The decomposition of custom: its forward body's nodes (decompose.h). A composite inside may be of
 * any row: expansion ends as bodies lie in each other to a bounded depth (body.h).
 */
#include "body.h"
#include "decompose.h"

cot_value coti_decompose_CUSTOM(const coti_node *node, const cot_value *input) {
    const coti_attr_CUSTOM *attr = node->attr;
    cot_value result = coti_poison();
    coti_graph_inline(input[0].graph, attr->forward, input, &result);
    return result;
}
