/*
 * Sessions: making one, and binding data to it.
 *
 * All memory of a run is taken at creation, but for the converted copy of an input that is not
 * batched and is bound in another dtype, which is taken when it is bound. Creation reports to the
 * context, everything after it to the session.
 */
#include "session.h"

#include "base/options.h"
#include "base/size.h"
#include "base/str.h"
#include "cotangent/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* ---- creation ---- */

/* How many of everything the tables must hold. */
typedef struct census {
    int32_t n_calls, n_chains;
    int64_t n_entries;
} census;

static census count_program(const cotr_program *program) {
    census n = {0};
    for (int32_t i = 0; i < program->n_phases; i++) {
        n.n_chains += program->phase[i].n_chains;
        for (int32_t j = 0; j < program->phase[i].n_chains; j++) {
            const cotr_chain *chain = &program->phase[i].chain[j];
            n.n_calls += chain->n_calls;
            for (int32_t k = 0; k < chain->n_calls; k++) {
                n.n_entries += chain->call[k].n_slots;
            }
        }
    }
    return n;
}

/* The bindings' constant part: which inputs the program reads at all, and their loaded buffers. */
static void describe_bindings(cotr_session *session) {
    const cotr_program *program = session->program;
    for (int32_t i = 0; i < program->n_buffers; i++) {
        const cotr_buffer *buffer = &program->buffer[i];
        session->loader[i] = -1;
        if (buffer->kind == COTR_SOURCE || buffer->kind == COTR_INPUT) {
            session->binding[buffer->offset].used = true;
        }
    }
    for (int32_t i = 0; i < program->n_inputs; i++) {
        session->binding[i].loaded = program->loaded != NULL ? program->loaded[i] : -1;
        if (session->binding[i].loaded >= 0) {
            session->loader[session->binding[i].loaded] = i;
        }
    }
}

/* Enter the slots of one call, whose entries start at `entry`, in the lists of what they need. */
static void list_slots(cotr_session *session, const cotr_call *call, int32_t entry) {
    for (int32_t i = 0; i < call->n_slots; i++) {
        const int32_t loader = session->loader[call->slot[i]];
        const cotr_slot slot = {entry + i, call->slot[i], loader};
        const cotr_buffer *buffer = &session->program->buffer[slot.buffer];
        if (buffer->kind == COTR_LOCAL) {
            session->local_slot[session->n_local_slots++] = slot;
        }
        if (buffer->kind == COTR_INPUT || buffer->kind == COTR_OUTPUT || loader >= 0) {
            session->moving[session->n_moving++] = slot;
        }
    }
}

/* Fill the tables by phases, chains and calls, in their order. */
static void lay_tables(cotr_session *session, int32_t *first_entry) {
    const cotr_program *program = session->program;
    int32_t i_chain = 0, i_call = 0, entry = 0;
    for (int32_t i = 0; i < program->n_phases; i++) {
        session->phase[i].first_chain = i_chain;
        for (int32_t j = 0; j < program->phase[i].n_chains; j++) {
            const cotr_chain *chain = &program->phase[i].chain[j];
            cotr_chain_layout *layout = &session->chain[i_chain++];
            *layout = (cotr_chain_layout){
                .chain = chain, .first_call = i_call, .first_local_slot = session->n_local_slots};
            for (int32_t k = 0; k < chain->n_calls; k++) {
                list_slots(session, &chain->call[k], entry);
                first_entry[i_call++] = entry;
                entry += chain->call[k].n_slots;
            }
            layout->n_local_slots = session->n_local_slots - layout->first_local_slot;
        }
    }
}

static cot_status make_tables(cotr_session *session, const census *n) {
    const cotr_program *program = session->program;
    coti_arena *memory = &session->memory;
    const size_t entries = (size_t)n->n_entries;
    if (n->n_entries > INT32_MAX) {
        return COTI_FAIL(memory->context, COT_E_UNSUPPORTED, "a program has too many slots");
    }
    int32_t *first_entry = coti_arena_array(memory, (size_t)n->n_calls, sizeof *first_entry);
    session->binding =
        coti_arena_array(memory, (size_t)program->n_inputs, sizeof *session->binding);
    session->destination =
        coti_arena_array(memory, (size_t)program->n_outputs, sizeof *session->destination);
    session->local_slot = coti_arena_array(memory, entries, sizeof *session->local_slot);
    session->moving = coti_arena_array(memory, entries, sizeof *session->moving);
    session->loader = coti_arena_array(memory, (size_t)program->n_buffers, sizeof *session->loader);
    session->phase = coti_arena_array(memory, (size_t)program->n_phases, sizeof *session->phase);
    session->chain = coti_arena_array(memory, (size_t)n->n_chains, sizeof *session->chain);
    if (first_entry == NULL || session->binding == NULL || session->destination == NULL ||
        session->local_slot == NULL || session->moving == NULL || session->loader == NULL ||
        session->phase == NULL || session->chain == NULL) {
        return COT_E_NOMEM;
    }
    describe_bindings(session);
    lay_tables(session, first_entry);
    session->first_entry = first_entry;
    return COT_OK;
}

/* The address of a buffer that never moves; NULL for the others. */
static void *fixed_address(cotr_session *session, const cotr_buffer *buffer) {
    switch (buffer->kind) {
    case COTR_ARENA:
        return session->arena + buffer->offset;
    case COTR_STATE:
        return session->program->state[buffer->offset];
    case COTR_SOURCE:
        return &session->binding[buffer->offset].source;
    case COTR_LOCAL:
    case COTR_INPUT:
    case COTR_OUTPUT:
        break;
    }
    return NULL;
}

static void fill_fixed_addresses(cotr_session *session, void **address) {
    int64_t entry = 0;
    for (int32_t i = 0; i < session->n_chains; i++) {
        const cotr_chain *chain = session->chain[i].chain;
        for (int32_t j = 0; j < chain->n_calls; j++) {
            for (int32_t k = 0; k < chain->call[j].n_slots; k++) {
                int32_t i_buffer = chain->call[j].slot[k];
                address[entry++] = fixed_address(session, &session->program->buffer[i_buffer]);
            }
        }
    }
}

/* A thread's blocks, each 64-byte aligned and padded: no two threads write to one cache line. */
static cot_status make_thread(cotr_session *session, cotr_thread *thread, const census *n) {
    const cotr_program *program = session->program;
    cot_context *context = session->memory.context;
    const int64_t local = coti_round_up(program->local_bytes, ALIGNMENT);
    const int64_t scratch = coti_round_up(program->scratch_bytes, ALIGNMENT);
    const int64_t addresses =
        coti_round_up(n->n_entries * (int64_t)sizeof *thread->address, ALIGNMENT);
    const int64_t times = coti_round_up(n->n_calls * (int64_t)sizeof *thread->call_ns, ALIGNMENT);
    thread->local = coti_alloc_aligned(context, (size_t)(local + scratch));
    thread->address = (void **)coti_alloc_aligned(context, (size_t)addresses);
    thread->call_ns = coti_alloc_aligned(context, (size_t)times);
    if (thread->local == NULL || thread->address == NULL || thread->call_ns == NULL) {
        return COT_E_NOMEM;
    }
    thread->scratch = thread->local + local;
    memset(thread->call_ns, 0, (size_t)times);
    fill_fixed_addresses(session, thread->address);
    return COT_OK;
}

static cot_status make_memory(cotr_session *session, const census *n) {
    cot_context *context = session->memory.context;
    const size_t states = (size_t)session->n_threads * sizeof(cotr_thread);
    session->arena = coti_alloc_aligned(context, (size_t)session->program->arena_bytes);
    session->thread = coti_alloc_aligned(context, states);
    if (session->thread != NULL) {
        memset(session->thread, 0, states);
    }
    if (session->arena == NULL || session->thread == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < session->n_threads; i++) {
        COTI_TRY(make_thread(session, &session->thread[i], n));
    }
    return COT_OK;
}

cot_status cotr_session_create(cot_context *context, const cotr_program *program, int32_t threads,
                               cotr_session **session_out) {
    const census n = count_program(program);
    cotr_session *session = coti_calloc(context, 1, sizeof *session);
    if (session == NULL) {
        return COT_E_NOMEM;
    }
    session->program = program;
    session->allocator = context->allocator;
    session->n_threads = threads < 1 ? 1 : threads;
    session->crowded = session->n_threads > coti_count_processors();
    session->n_calls = n.n_calls;
    session->n_chains = n.n_chains;
    coti_arena_init(&session->memory, context);
    cot_status status = make_tables(session, &n);
    status = status == COT_OK ? make_memory(session, &n) : status;
    if (status != COT_OK) {
        cotr_session_destroy(session);
        return status;
    }
    *session_out = session;
    return COT_OK;
}

void cotr_session_destroy(cotr_session *session) {
    if (session == NULL) {
        return;
    }
    cot_context *context = session->memory.context;
    if (session->binding != NULL) {
        for (int32_t i = 0; i < session->program->n_inputs; i++) {
            coti_free(context, session->binding[i].converted);
        }
    }
    for (int32_t i = 0; session->thread != NULL && i < session->n_threads; i++) {
        coti_free_aligned(context, session->thread[i].local);
        coti_free_aligned(context, (void *)session->thread[i].address);
        coti_free_aligned(context, session->thread[i].call_ns);
    }
    coti_free_aligned(context, session->arena);
    coti_free_aligned(context, session->thread);
    coti_arena_clear(&session->memory);
    coti_free(context, session);
}

/* ---- errors ---- */

const coti_error *cotr_session_error(const cotr_session *session) {
    return &session->error;
}

cot_status cotr_session_fail(cotr_session *session, cot_status status, const char *format, ...) {
    char message[COTI_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return coti_error_set(&session->error, status, "%s", message);
}

static void forget_error(cotr_session *session) {
    session->error.status = COT_OK;
    session->error.message[0] = '\0';
}

/* ---- inputs ---- */

/* Elements of one row (of the whole tensor, when not batched). The shape was checked when the
 * program was made. */
static int64_t row_elements(const cot_shape *shape) {
    int64_t elements = 0;
    coti_shape_elements(shape, 1, &elements);
    return elements;
}

/* Is every row where its dtype may be read? */
static bool aligned(const cot_array *array, int64_t row_bytes) {
    const uintptr_t bytes = cot_dtype_bytes(array->dtype);
    return (uintptr_t)array->data % bytes == 0 && (uint64_t)row_bytes % bytes == 0;
}

static cot_status check_array(cotr_session *session, const cotr_input *input,
                              const cot_array *array) {
    char type[COTI_TYPE_BYTES];
    const int64_t elements = row_elements(&input->shape);
    coti_type_text(type, input->dtype, &input->shape);
    if (!cotr_can_gather(array->dtype, input->dtype)) {
        return cotr_session_fail(session, COT_E_DTYPE,
                                 "input \"%s\" is %s and does not take an array of %s", input->name,
                                 type, cot_dtype_name(array->dtype));
    }
    if (array->row_elements != elements) {
        return cotr_session_fail(
            session, COT_E_SHAPE,
            "input \"%s\" is %s: the array has %lld elements %s, expected %lld", input->name, type,
            (long long)array->row_elements, input->shape.batched ? "in a row" : "in all",
            (long long)elements);
    }
    if (array->n_rows < 0 || (!input->shape.batched && array->n_rows != 1)) {
        return cotr_session_fail(
            session, COT_E_SHAPE, "input \"%s\" is %s: the array has %lld rows, expected %s",
            input->name, type, (long long)array->n_rows, input->shape.batched ? "0 or more" : "1");
    }
    if (array->data == NULL && array->n_rows > 0 && elements > 0) {
        return cotr_session_fail(session, COT_E_ARG, "input \"%s\": the array's data is NULL",
                                 input->name);
    }
    if (array->row_bytes < 0 || !aligned(array, array->row_bytes)) {
        return cotr_session_fail(session, COT_E_ARG,
                                 "input \"%s\": data and row_bytes (%lld) must be multiples of the "
                                 "%zu bytes of an element of %s",
                                 input->name, (long long)array->row_bytes,
                                 cot_dtype_bytes(array->dtype), cot_dtype_name(array->dtype));
    }
    return COT_OK;
}

/* An unbatched input of another dtype is converted at the start of each run, into memory of ours.
 */
static cot_status provide_conversion(cotr_session *session, const cotr_input *input,
                                     cotr_binding *binding) {
    if (binding->converted != NULL) {
        return COT_OK;
    }
    const size_t bytes = (size_t)row_elements(&input->shape) * cot_dtype_bytes(input->dtype);
    binding->converted = session->allocator.alloc(bytes == 0 ? 1 : bytes, session->allocator.user);
    return binding->converted != NULL ? COT_OK
                                      : cotr_session_fail(session, COT_E_NOMEM, "out of memory");
}

/* Are the rows as they stand what the LOAD call would make of them? */
static bool readable_in_place(const cotr_session *session, const cotr_binding *binding,
                              cot_dtype dtype) {
    return binding->loaded >= 0 && binding->source.index == NULL &&
           binding->source.dtype == (int32_t)dtype &&
           binding->source.row_bytes == session->program->buffer[binding->loaded].row_bytes;
}

cot_status cotr_session_bind_input(cotr_session *session, int32_t i_input,
                                   const struct cot_array *array, const int64_t *index) {
    /* Stands in for NULL data of an empty array: base tells whether anything is bound. */
    static const unsigned char nothing[8];
    forget_error(session);
    if (i_input < 0 || i_input >= session->program->n_inputs || array == NULL) {
        return cotr_session_fail(session, COT_E_ARG, "input %d does not exist or its array is NULL",
                                 i_input);
    }
    const cotr_input *input = &session->program->input[i_input];
    cotr_binding *binding = &session->binding[i_input];
    COTI_TRY(check_array(session, input, array));
    if (!input->shape.batched && index != NULL) {
        return cotr_session_fail(
            session, COT_E_ARG, "input \"%s\" is not batched: its rows have no order", input->name);
    }
    if (!input->shape.batched && array->dtype != input->dtype) {
        COTI_TRY(provide_conversion(session, input, binding));
    }
    const int64_t dense = array->row_elements * (int64_t)cot_dtype_bytes(array->dtype);
    binding->source = (cotr_source){
        .base = array->data != NULL ? array->data : nothing,
        .row_bytes = array->row_bytes != 0 ? array->row_bytes : dense,
        .index = index,
        .dtype = (int32_t)array->dtype,
        .scale = array->scale != 0 || signbit(array->scale) ? array->scale : 1,
        .offset = array->offset,
    };
    binding->n_rows = array->n_rows;
    binding->direct = readable_in_place(session, binding, input->dtype);
    return COT_OK;
}

const cotr_source *cotr_session_source(const cotr_session *session, int32_t i_input) {
    return &session->binding[i_input].source;
}

/* ---- outputs ---- */

cot_status cotr_session_bind_output(cotr_session *session, int32_t i_output, void *data,
                                    int64_t n_rows) {
    forget_error(session);
    if (i_output < 0 || i_output >= session->program->n_outputs || n_rows < 0) {
        return cotr_session_fail(session, COT_E_ARG, "output %d does not exist or has %lld rows",
                                 i_output, (long long)n_rows);
    }
    const cotr_output *output = &session->program->output[i_output];
    if ((uintptr_t)data % cot_dtype_bytes(output->dtype) != 0) {
        return cotr_session_fail(session, COT_E_ARG,
                                 "output \"%s\": its memory is not aligned for elements of %s",
                                 output->name, cot_dtype_name(output->dtype));
    }
    session->destination[i_output] = (cotr_destination){data, n_rows};
    return COT_OK;
}

void *cotr_session_output(const cotr_session *session, int32_t i_output) {
    return session->destination[i_output].data;
}

/* ---- before a run ---- */

static cot_status check_input(cotr_session *session, int32_t i_input, int64_t end) {
    const cotr_binding *binding = &session->binding[i_input];
    const cotr_input *input = &session->program->input[i_input];
    if (binding->used && binding->source.base == NULL) {
        return cotr_session_fail(session, COT_E_ARG, "input \"%s\" is not bound", input->name);
    }
    /* How long an index is, only its owner knows. */
    if (binding->used && input->shape.batched && binding->source.index == NULL &&
        end > binding->n_rows) {
        return cotr_session_fail(session, COT_E_ARG,
                                 "input \"%s\" is bound to %lld rows, the run reads up to row %lld",
                                 input->name, (long long)binding->n_rows, (long long)end);
    }
    return COT_OK;
}

static cot_status check_output(cotr_session *session, int32_t i_output, int64_t n_rows) {
    const cotr_destination *destination = &session->destination[i_output];
    const cotr_output *output = &session->program->output[i_output];
    const int64_t needed = output->shape.batched ? n_rows : 1;
    if (destination->data != NULL && destination->n_rows < needed) {
        return cotr_session_fail(session, COT_E_ARG,
                                 "output \"%s\" is bound to memory for %lld rows, the run has %lld",
                                 output->name, (long long)destination->n_rows, (long long)needed);
    }
    return COT_OK;
}

cot_status cotr_session_check(cotr_session *session, int64_t first, int64_t n_rows, int64_t batch) {
    const cotr_program *program = session->program;
    const int64_t largest = batch < n_rows ? batch : n_rows;
    int64_t end = 0;
    forget_error(session);
    if (!coti_size_add(first, n_rows, &end) || batch < 1) {
        return cotr_session_fail(
            session, COT_E_ARG, "rows from %lld on, %lld of them in batches of %lld, cannot be run",
            (long long)first, (long long)n_rows, (long long)batch);
    }
    if (largest > program->max_rows) {
        return cotr_session_fail(session, COT_E_ARG,
                                 "a step of %lld rows is more than the %lld that the program has",
                                 (long long)largest, (long long)program->max_rows);
    }
    for (int32_t i = 0; i < program->n_inputs && n_rows > 0; i++) {
        COTI_TRY(check_input(session, i, end));
    }
    for (int32_t i = 0; i < program->n_outputs; i++) {
        COTI_TRY(check_output(session, i, n_rows));
    }
    return COT_OK;
}

/* ---- addresses and times ---- */

void *cotr_moving_address(const cotr_session *session, int32_t i_buffer, int64_t first,
                          int64_t done) {
    const cotr_buffer *buffer = &session->program->buffer[i_buffer];
    if (buffer->kind == COTR_INPUT) {
        const cotr_binding *binding = &session->binding[buffer->offset];
        return binding->source.dtype == (int32_t)session->program->input[buffer->offset].dtype
                   ? (void *)(uintptr_t)binding->source.base
                   : binding->converted;
    }
    if (buffer->kind == COTR_OUTPUT) {
        unsigned char *data = session->destination[buffer->offset].data;
        return data != NULL ? data + done * buffer->row_bytes
                            : session->arena + buffer->arena_offset;
    }
    const int32_t i_input = session->loader[i_buffer];
    if (i_input >= 0 && session->binding[i_input].direct) {
        return (void *)((uintptr_t)session->binding[i_input].source.base +
                        (uintptr_t)(first * buffer->row_bytes));
    }
    return buffer->kind == COTR_ARENA ? session->arena + buffer->offset : NULL;
}

void cotr_session_set_timing(cotr_session *session, bool on) {
    session->timing = on;
    for (int32_t i = 0; i < session->n_threads && on; i++) {
        memset(session->thread[i].call_ns, 0, (size_t)session->n_calls * sizeof(int64_t));
    }
}

double cotr_session_call_seconds(const cotr_session *session, int32_t i_call) {
    int64_t ns = 0;
    for (int32_t i = 0; i < session->n_threads; i++) {
        ns += session->thread[i].call_ns[i_call];
    }
    return (double)ns * 1e-9;
}
