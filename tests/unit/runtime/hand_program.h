/*
 * Programs put together by hand from kernels in plain C, for the tests of sessions and runs.
 *
 * The model program: x u8 or f32 [N,C]; rows: a = load(x), b = 2a + first row number, y = sum over
 * columns of b; units: each column u of state w[C] adds the sum over the step's rows of a[.,u].
 */
#ifndef HAND_PROGRAM_H
#define HAND_PROGRAM_H

#include "cotangent/graph.h"
#include "runtime/program.h"

enum { COLUMNS = 5, MAX_ROWS = 64, CHUNK = 8 };
enum { BUFFER_X, BUFFER_A, BUFFER_B, BUFFER_Y, BUFFER_W, BUFFER_SCALE, N_BUFFERS };
enum { INPUT_X, INPUT_SCALE, N_INPUTS };

extern _Atomic int64_t hand_n_loads;      /* rows that the LOAD kernel has copied */
extern volatile int32_t hand_cancel;      /* set by the unit kernel at ... */
extern _Atomic int64_t hand_cancel_after; /* ... this many calls for unit 0; 0: never */

typedef struct hand_program {
    cotr_program program;
    cotr_phase phase[3];
    cotr_chain chain[3];
    cotr_call call[4];
    cotr_buffer buffer[N_BUFFERS];
    cotr_input input[N_INPUTS];
    cotr_output output[1];
    int32_t loaded[N_INPUTS];
    void *state[1];
    float w[COLUMNS];
} hand_program;

/* work: of each phase; big numbers make the runtime share it, small ones keep it on one thread. */
void hand_program_init(hand_program *hand, double work);

/* What a run must give, by plain loops: y[n_rows], and the change of w. */
void hand_reference(const float *x, const int64_t *index, float scale, int64_t first,
                    int64_t n_rows, int64_t batch, float *y_out, float w_inout[COLUMNS]);

#endif
