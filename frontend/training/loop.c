/*
 * Steps in regions: each region is one call of the runtime, one parallel region of threads, and
 * ends at the next thing that the host wants to do.
 */
#include "frontend/training/training.h"

#include <time.h>

double coti_now(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* it cannot fail with this clock */
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int64_t coti_loop_n_steps(const coti_loop *loop) {
    return loop->n_rows / loop->batch + (loop->n_rows % loop->batch != 0);
}

/* Steps of the next region. */
static int64_t region_steps(const coti_loop *loop, int64_t left) {
    if (loop->each_step) {
        return 1;
    }
    if (loop->progress == NULL || !loop->progress->bar) {
        return left;
    }
    if (loop->done_steps == 0) {
        return 1; /* to know how long a step takes */
    }
    double fit = loop->step_seconds > 0.0 ? COTI_REDRAW_SECONDS / loop->step_seconds : 1e9;
    return fit >= (double)left ? left : fit > 1.0 ? (int64_t)fit : 1;
}

cot_status coti_loop_advance(coti_loop *loop) {
    const coti_mode *mode = &loop->training->mode[loop->mode];
    int64_t left = coti_loop_n_steps(loop) - loop->done_steps, n_done = 0;
    int64_t steps = region_steps(loop, left);
    int64_t rows = steps < left ? steps * loop->batch : loop->n_rows - loop->done_rows;
    double begin = coti_now();
    cot_status status = coti_session_run_range(mode->session, loop->first_row + loop->done_rows,
                                               rows, loop->batch, loop->cancel, &n_done);
    if (status != COT_OK) {
        return coti_take_error(loop->training->context, mode->session, status);
    }
    loop->done_rows += rows;
    loop->done_steps += steps;
    loop->step_seconds = (coti_now() - begin) / (double)steps;
    return COT_OK;
}

cot_status coti_loop_show(coti_loop *loop, const cot_logs *logs, bool last) {
    return loop->progress == NULL
               ? COT_OK
               : coti_progress_show(loop->progress, loop->done_steps, logs, coti_now(), last);
}
