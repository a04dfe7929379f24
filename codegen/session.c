/*
 * Sessions: binding by name, and running. The runtime runs programs on kernels; programs on the
 * evaluator are run here, step by step, behind the same bindings, checks and messages.
 *
 * On the evaluator. Each session has a context and a view of the program's graph of its own, so
 * that sessions of one program may run in several threads: the context is the program's allocator
 * with an error record, the view shares the nodes. Rows are gathered into dense tensors before each
 * step, and a step that runs out of memory leaves the variables as they were.
 */
#include "compile.h"
#include "cotangent/inspect.h"

#include <stdio.h>

/* What a session on the evaluator has beside its bindings. */
typedef struct evaluator {
    cot_context context;
    cot_graph view;
    coti_tensor *input, *output;
    void **input_memory, **output_memory; /* for max_rows rows; outputs that are not bound */
} evaluator;

struct cot_session {
    const cot_program *program;
    cotr_session *runtime;
    evaluator *evaluator; /* NULL: on kernels */
};

/* ---- life ---- */

static cot_status new_memory(evaluator *e, const cotr_input *type, int64_t rows, void **out) {
    int64_t elements = 0, bytes = 0;
    if (!coti_shape_elements(&type->shape, rows, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes(type->dtype), &bytes)) {
        char text[COTI_TYPE_BYTES];
        return COTI_FAIL(&e->context, COT_E_SHAPE, "\"%s\" (%s) is too large at %lld rows",
                         type->name, coti_type_text(text, type->dtype, &type->shape),
                         (long long)rows);
    }
    *out = coti_alloc(&e->context, (size_t)bytes);
    return *out != NULL ? COT_OK : COT_E_NOMEM;
}

/* The arrays of one side, inputs or outputs: a tensor and its memory for each. */
static cot_status new_side(evaluator *e, const cotr_input *type, int32_t n, int64_t rows,
                           coti_tensor **tensor_out, void ***memory_out) {
    *tensor_out = coti_calloc(&e->context, (size_t)n, sizeof **tensor_out);
    *memory_out = (void **)coti_calloc(&e->context, (size_t)n, sizeof **memory_out);
    if (*tensor_out == NULL || *memory_out == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(new_memory(e, &type[i], rows, &(*memory_out)[i]));
    }
    return COT_OK;
}

static void free_side(evaluator *e, int32_t n, coti_tensor *tensor, void **memory) {
    for (int32_t i = 0; memory != NULL && i < n; i++) {
        coti_free(&e->context, memory[i]);
    }
    coti_free(&e->context, (void *)memory);
    coti_free(&e->context, tensor);
}

static void free_evaluator(const cot_program *program, evaluator *e) {
    if (e != NULL) {
        free_side(e, program->runtime.n_inputs, e->input, e->input_memory);
        free_side(e, program->runtime.n_outputs, e->output, e->output_memory);
        coti_free(program->context, e);
    }
}

static cot_status new_evaluator(const cot_program *program, evaluator **evaluator_out) {
    const cotr_program *runtime = &program->runtime;
    evaluator *e = coti_calloc(program->context, 1, sizeof *e);
    if (e == NULL) {
        return COT_E_NOMEM;
    }
    e->context.allocator = program->context->allocator;
    e->context.threads = 1;
    e->view = *program->reference;
    e->view.context = &e->context;
    cot_status status = new_side(e, runtime->input, runtime->n_inputs, runtime->max_rows, &e->input,
                                 &e->input_memory);
    if (status == COT_OK) {
        status = new_side(e, runtime->output, runtime->n_outputs, runtime->max_rows, &e->output,
                          &e->output_memory);
    }
    if (status != COT_OK) {
        COTI_FAIL(program->context, status, "%s", e->context.error.message);
        free_evaluator(program, e);
        return status;
    }
    *evaluator_out = e;
    return COT_OK;
}

cot_session *cot_session_create(const cot_program *program) {
    if (program == NULL) {
        return NULL;
    }
    cot_context *context = program->context;
    const int32_t threads = program->reference != NULL ? 1 : context->threads;
    cot_session *session = coti_calloc(context, 1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session->program = program;
    cot_status status = cotr_session_create(context, &program->runtime, threads, &session->runtime);
    if (status == COT_OK && program->reference != NULL) {
        status = new_evaluator(program, &session->evaluator);
    }
    if (status != COT_OK) {
        cot_session_destroy(session);
        return NULL;
    }
    return session;
}

void cot_session_destroy(cot_session *session) {
    if (session != NULL) {
        free_evaluator(session->program, session->evaluator);
        cotr_session_destroy(session->runtime);
        coti_free(session->program->context, session);
    }
}

/* ---- errors ---- */

const coti_error *coti_session_error(const cot_session *session) {
    return cotr_session_error(session->runtime);
}

const char *cot_session_message(const cot_session *session) {
    return session != NULL ? coti_session_error(session)->message : "the session is NULL";
}

/* `program "net" has no input "z"; it has "x", "label"` */
static cot_status fail_unknown(cot_session *session, const char *what, const char *name,
                               const cotr_input *type, int32_t n) {
    char list[COTI_MESSAGE_BYTES / 2] = "nothing";
    size_t used = 0;
    for (int32_t i = 0; i < n && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%s\"", i == 0 ? "" : ", ",
                                 type[i].name);
    }
    return cotr_session_fail(session->runtime, COT_E_ARG,
                             "program \"%s\" has no %s \"%.64s\"; it has %s",
                             session->program->name, what, name != NULL ? name : "(NULL)", list);
}

/* ---- binding ---- */

cot_status coti_session_bind_ordered(cot_session *session, int32_t i_input, const cot_array *array,
                                     const int64_t *index) {
    return cotr_session_bind_input(session->runtime, i_input, array, index);
}

cot_status cot_session_bind(cot_session *session, const char *input, const cot_array *array) {
    if (session == NULL) {
        return COT_E_ARG;
    }
    const int32_t i_input = coti_program_find_input(session->program, input);
    if (i_input < 0) {
        return fail_unknown(session, "input", input, session->program->runtime.input,
                            session->program->runtime.n_inputs);
    }
    return coti_session_bind_ordered(session, i_input, array, NULL);
}

/* Rows that `bytes` bytes hold; an output that is not batched has 1. */
static cot_status count_rows(cot_session *session, const cotr_output *output, size_t bytes,
                             int64_t *rows_out) {
    int64_t elements = 0;
    coti_shape_elements(&output->shape, 1, &elements);
    const size_t row_bytes = (size_t)elements * cot_dtype_bytes(output->dtype);
    const bool fits =
        output->shape.batched ? row_bytes == 0 || bytes % row_bytes == 0 : bytes == row_bytes;
    if (!fits) {
        char type[COTI_TYPE_BYTES];
        return cotr_session_fail(session->runtime, COT_E_ARG,
                                 "output \"%s\" is %s: %zu bytes are given, expected %s%zu",
                                 output->name, coti_type_text(type, output->dtype, &output->shape),
                                 bytes, output->shape.batched ? "a multiple of " : "", row_bytes);
    }
    *rows_out = !output->shape.batched ? 1
                : row_bytes == 0       ? COTI_SIZE_MAX
                                       : (int64_t)(bytes / row_bytes);
    return COT_OK;
}

cot_status cot_session_bind_output(cot_session *session, const char *output, void *data,
                                   size_t bytes) {
    if (session == NULL) {
        return COT_E_ARG;
    }
    const cotr_program *program = &session->program->runtime;
    const int32_t i_output = coti_program_find_output(session->program, output);
    int64_t rows = 0;
    if (i_output < 0) {
        return fail_unknown(session, "output", output, program->output, program->n_outputs);
    }
    if (data != NULL) {
        COTI_TRY(count_rows(session, &program->output[i_output], bytes, &rows));
    }
    return cotr_session_bind_output(session->runtime, i_output, data, rows);
}

/* ---- running ---- */

/* Point the tensors at the rows of one step: position `first` on, `done` rows into the outputs. */
static void load_step(cot_session *session, int64_t first, int64_t done, int64_t rows) {
    evaluator *e = session->evaluator;
    const cotr_program *program = &session->program->runtime;
    for (int32_t i = 0; i < program->n_inputs; i++) {
        const cotr_input *type = &program->input[i];
        const cotr_source *source = cotr_session_source(session->runtime, i);
        int64_t elements = 0;
        coti_shape_elements(&type->shape, 1, &elements);
        e->input[i] =
            (coti_tensor){type->dtype, coti_shape_bind(&type->shape, rows), e->input_memory[i]};
        if (source->base != NULL) {
            bool batched = type->shape.batched;
            cotr_gather(source, type->dtype, elements, batched ? first : 0, batched ? rows : 1,
                        e->input_memory[i]);
        }
    }
    for (int32_t i = 0; i < program->n_outputs; i++) {
        const cotr_output *type = &program->output[i];
        unsigned char *data = cotr_session_output(session->runtime, i);
        int64_t elements = 0;
        coti_shape_elements(&type->shape, 1, &elements);
        if (data != NULL && type->shape.batched) {
            data += done * elements * (int64_t)cot_dtype_bytes(type->dtype);
        }
        e->output[i] = (coti_tensor){type->dtype, coti_shape_bind(&type->shape, rows),
                                     data != NULL ? data : e->output_memory[i]};
    }
}

static cot_status evaluate_step(cot_session *session, int64_t first, int64_t done, int64_t rows) {
    evaluator *e = session->evaluator;
    load_step(session, first, done, rows);
    cot_status status = coti_eval_graph(&e->view, rows, e->input, e->output);
    if (status != COT_OK) {
        cotr_session_fail(session->runtime, status, "%s", e->context.error.message);
        cot_error_clear(&e->context);
    }
    return status;
}

static cot_status evaluate_range(cot_session *session, int64_t first, int64_t n_rows, int64_t batch,
                                 const volatile int32_t *cancel, int64_t *steps_done) {
    COTI_TRY(cotr_session_check(session->runtime, first, n_rows, batch));
    for (int64_t done = 0; done < n_rows; done += batch) {
        if (cancel != NULL && __atomic_load_n(cancel, __ATOMIC_RELAXED) != 0) {
            return cotr_session_fail(session->runtime, COT_E_CANCELLED,
                                     "stopped on request after %lld steps", (long long)*steps_done);
        }
        int64_t rows = batch < n_rows - done ? batch : n_rows - done;
        COTI_TRY(evaluate_step(session, first + done, done, rows));
        ++*steps_done;
    }
    return COT_OK;
}

cot_status coti_session_run_range(cot_session *session, int64_t first, int64_t n_rows,
                                  int64_t batch, const volatile int32_t *cancel,
                                  int64_t *steps_done_out) {
    int64_t steps_done = 0;
    cot_status status =
        session->evaluator != NULL
            ? evaluate_range(session, first, n_rows, batch, cancel, &steps_done)
            : cotr_session_run(session->runtime, first, n_rows, batch, cancel, &steps_done);
    if (steps_done_out != NULL) {
        *steps_done_out = steps_done;
    }
    return status;
}

cot_status cot_session_run(cot_session *session, int64_t rows) {
    if (session == NULL) {
        return COT_E_ARG;
    }
    const int64_t most = session->program->runtime.max_rows;
    if (rows < 1 || rows > most) {
        return cotr_session_fail(session->runtime, COT_E_ARG,
                                 "a run of %lld rows: the program takes 1 to %lld", (long long)rows,
                                 (long long)most);
    }
    return coti_session_run_range(session, 0, rows, rows, NULL, NULL);
}

/* ---- where the time goes ---- */

void cot_session_set_profiling(cot_session *session, bool on) {
    if (session != NULL) {
        cotr_session_set_timing(session->runtime, on);
    }
}

int32_t cot_session_n_calls(const cot_session *session) {
    int32_t n = 0;
    for (int32_t i = 0; session != NULL && i < session->program->runtime.n_phases; i++) {
        const cotr_phase *phase = &session->program->runtime.phase[i];
        for (int32_t j = 0; j < phase->n_chains; j++) {
            n += phase->chain[j].n_calls;
        }
    }
    return n;
}

cot_call_info cot_session_call(const cot_session *session, int32_t i_call) {
    int32_t first = 0;
    for (int32_t i = 0; session != NULL && i < session->program->runtime.n_phases; i++) {
        const cotr_phase *phase = &session->program->runtime.phase[i];
        for (int32_t j = 0; j < phase->n_chains; j++) {
            const cotr_chain *chain = &phase->chain[j];
            if (i_call >= first && i_call < first + chain->n_calls) {
                const cotr_call *call = &chain->call[i_call - first];
                return (cot_call_info){.kernel = call->name,
                                       .phase = i,
                                       .seconds =
                                           cotr_session_call_seconds(session->runtime, i_call),
                                       .flops = call->work};
            }
            first += chain->n_calls;
        }
    }
    return (cot_call_info){0};
}
