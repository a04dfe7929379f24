/* The model program of hand_program.h: kernels, buffers, phases, and the same in plain loops. */
#include "hand_program.h"

#include <stdatomic.h>
#include <string.h>

_Atomic int64_t hand_n_loads;
volatile int32_t hand_cancel;
_Atomic int64_t hand_cancel_after;
static _Atomic int64_t n_first_units;

/* slots: x's source, a */
static void kernel_load(const cotr_args *args, int64_t begin, int64_t end) {
    float *a = args->buffer[1];
    atomic_fetch_add(&hand_n_loads, end - begin);
    cotr_gather(args->buffer[0], COT_F32, COLUMNS, args->first + begin, end - begin,
                a + begin * COLUMNS);
}

/* slots: a, b, scale */
static void kernel_double(const cotr_args *args, int64_t begin, int64_t end) {
    const float *a = args->buffer[0], *scale = args->buffer[2];
    float *b = args->buffer[1];
    for (int64_t i = begin * COLUMNS; i < end * COLUMNS; i++) {
        b[i] = scale[0] * a[i] + (float)args->first;
    }
}

/* slots: b, y; uses scratch, to see that it is the thread's own */
static void kernel_sum(const cotr_args *args, int64_t begin, int64_t end) {
    const float *b = args->buffer[0];
    float *y = args->buffer[1];
    float *sum = args->scratch;
    for (int64_t i = begin; i < end; i++) {
        *sum = 0;
        for (int64_t j = 0; j < COLUMNS; j++) {
            *sum += b[i * COLUMNS + j];
        }
        y[i] = *sum;
    }
}

/* slots: a, w; units are columns */
static void kernel_columns(const cotr_args *args, int64_t begin, int64_t end) {
    const float *a = args->buffer[0];
    float *w = args->buffer[1];
    for (int64_t u = begin; u < end; u++) {
        for (int64_t i = 0; i < args->rows; i++) {
            w[u] += a[i * COLUMNS + u];
        }
    }
    if (begin == 0 && hand_cancel_after > 0 &&
        atomic_fetch_add(&n_first_units, 1) + 1 == hand_cancel_after) {
        n_first_units = 0;
        __atomic_store_n(&hand_cancel, 1, __ATOMIC_RELAXED);
    }
}

void hand_program_init(hand_program *hand, double work) {
    static const int32_t load_slots[] = {BUFFER_X, BUFFER_A};
    static const int32_t double_slots[] = {BUFFER_A, BUFFER_B, BUFFER_SCALE};
    static const int32_t sum_slots[] = {BUFFER_B, BUFFER_Y};
    static const int32_t column_slots[] = {BUFFER_A, BUFFER_W};
    const int64_t row = COLUMNS * sizeof(float);
    memset(hand, 0, sizeof *hand);
    hand->buffer[BUFFER_X] = (cotr_buffer){.kind = COTR_SOURCE, .offset = INPUT_X};
    hand->buffer[BUFFER_A] = (cotr_buffer){.kind = COTR_ARENA, .row_bytes = row};
    hand->buffer[BUFFER_B] = (cotr_buffer){.kind = COTR_LOCAL, .offset = 64, .row_bytes = row};
    hand->buffer[BUFFER_Y] =
        (cotr_buffer){.kind = COTR_OUTPUT, .row_bytes = 4, .arena_offset = MAX_ROWS * row};
    hand->buffer[BUFFER_W] = (cotr_buffer){.kind = COTR_STATE};
    hand->buffer[BUFFER_SCALE] = (cotr_buffer){.kind = COTR_INPUT, .offset = INPUT_SCALE};
    hand->call[0] = (cotr_call){.kernel = kernel_load,
                                .n_slots = 2,
                                .slot = load_slots,
                                .coefficient = 1,
                                .loads = INPUT_X,
                                .name = "load"};
    hand->call[1] = (cotr_call){.kernel = kernel_double,
                                .n_slots = 3,
                                .slot = double_slots,
                                .coefficient = 1,
                                .loads = -1,
                                .name = "double"};
    hand->call[2] = (cotr_call){.kernel = kernel_sum,
                                .n_slots = 2,
                                .slot = sum_slots,
                                .coefficient = 1,
                                .loads = -1,
                                .name = "sum"};
    hand->call[3] = (cotr_call){.kernel = kernel_columns,
                                .n_slots = 2,
                                .slot = column_slots,
                                .coefficient = 1,
                                .loads = -1,
                                .name = "columns"};
    hand->chain[0] = (cotr_chain){
        .rows = true, .grain = 2, .chunk = CHUNK, .n_calls = 3, .call = hand->call, .work = work};
    hand->chain[1] =
        (cotr_chain){.n_units = COLUMNS, .n_calls = 1, .call = hand->call + 3, .work = work};
    hand->phase[0] = (cotr_phase){1, &hand->chain[0], false};
    hand->phase[1] = (cotr_phase){1, &hand->chain[1], false};
    hand->input[INPUT_X] =
        (cotr_input){"x", COT_F32, {.rank = 2, .batched = true, .dim = {1, COLUMNS}}};
    hand->input[INPUT_SCALE] = (cotr_input){"scale", COT_F32, {.rank = 0}};
    hand->output[0] = (cotr_output){"y", COT_F32, {.rank = 1, .batched = true, .dim = {1}}};
    hand->loaded[INPUT_X] = BUFFER_A;
    hand->loaded[INPUT_SCALE] = -1;
    hand->state[0] = hand->w;
    hand->program = (cotr_program){.n_phases = 2,
                                   .n_buffers = N_BUFFERS,
                                   .n_states = 1,
                                   .n_inputs = N_INPUTS,
                                   .n_outputs = 1,
                                   .phase = hand->phase,
                                   .buffer = hand->buffer,
                                   .input = hand->input,
                                   .output = hand->output,
                                   .loaded = hand->loaded,
                                   .state = hand->state,
                                   .max_rows = MAX_ROWS,
                                   .arena_bytes = MAX_ROWS * (row + 4),
                                   .local_bytes = 64 + CHUNK * row,
                                   .scratch_bytes = 4};
}

void hand_reference(const float *x, const int64_t *index, float scale, int64_t first,
                    int64_t n_rows, int64_t batch, float *y_out, float w_inout[COLUMNS]) {
    for (int64_t i = 0; i < n_rows; i++) {
        int64_t row = index != NULL ? index[first + i] : first + i;
        int64_t step_first = first + i / batch * batch;
        y_out[i] = 0;
        for (int64_t j = 0; j < COLUMNS; j++) {
            y_out[i] += scale * x[row * COLUMNS + j] + (float)step_first;
            w_inout[j] += x[row * COLUMNS + j];
        }
    }
}
