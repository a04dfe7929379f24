/* The table of `cotangent run --profile`: what each call of the plan costs. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct row {
    int32_t number;
    cot_call_info call;
} row;

/* The longest first. */
static int compare_rows(const void *a, const void *b) {
    double x = ((const row *)a)->call.seconds;
    double y = ((const row *)b)->call.seconds;
    return (x < y) - (x > y);
}

bool command_print_profile(const cot_session *session, int64_t steps) {
    const int32_t n = cot_session_n_calls(session);
    row *rows = calloc((size_t)n + 1, sizeof *rows);
    double total = 0.0;
    if (rows == NULL) {
        return false;
    }
    for (int32_t i = 0; i < n; i++) {
        rows[i] = (row){i, cot_session_call(session, i)};
        total += rows[i].call.seconds;
    }
    qsort(rows, (size_t)n, sizeof *rows, compare_rows);
    (void)printf("# calls of the plan, time of one step summed over threads\n");
    (void)printf("# %5s %5s %11s %6s %9s  %s\n", "call", "phase", "us", "share", "GFLOP/s",
                 "kernel");
    for (int32_t i = 0; i < n; i++) {
        const cot_call_info *call = &rows[i].call;
        double seconds = call->seconds / (double)steps;
        (void)printf("# %5d %5d %11.2f %5.1f%% %9.2f  %s\n", (int)rows[i].number, (int)call->phase,
                     1e6 * seconds, total > 0.0 ? 100.0 * call->seconds / total : 0.0,
                     seconds > 0.0 ? 1e-9 * call->flops / seconds : 0.0, call->kernel);
    }
    free(rows);
    return true;
}
