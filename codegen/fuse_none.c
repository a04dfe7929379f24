/* Until fusion is in the build: no graph has kernels, programs run on the evaluator. */
#include "group.h"

cot_status coti_fuse(const cot_graph *graph, const coti_target *target, int64_t max_rows,
                     coti_groups **groups_out) {
    (void)target;
    (void)max_rows;
    (void)groups_out;
    return COTI_FAIL(graph->context, COT_E_UNSUPPORTED, "there is no fusion in this build");
}

void coti_groups_destroy(coti_groups *groups) {
    (void)groups;
}

void coti_groups_print(coti_str *out, const coti_groups *groups) {
    (void)out;
    (void)groups;
}
