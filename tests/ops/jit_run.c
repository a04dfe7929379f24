/*
 * Programs and sessions for graph cases: contract in jit_run.h.
 */
#include "jit_run.h"

#include "graph/graph.h"

#include <string.h>

enum { GUARD = 64, FILL = 0xA5 };

const char *jit_open(char buffer[256], const graph_case *g, jit_setup setup, jit_run *run) {
    cot_context *context = cot_graph_context(g->graph);
    cot_program_options options = {.struct_size = sizeof options, .max_rows = setup.max_rows};
    *run = (jit_run){.program = cot_program_create(g->graph, &options)};
    if (run->program == NULL) {
        snprintf(buffer, 256, "no program: %s", cot_error_message(context));
        return buffer;
    }
    cot_program_info info = cot_program_get_info(run->program);
    cot_shape shape = cot_value_shape(g->result);
    int64_t elements = 0;
    coti_shape_elements(&shape, 1, &elements);
    if (elements > 0 && info.n_kernels <= 0) {
        return "no kernel was compiled: the evaluator ran it";
    }
    context->threads = setup.threads; /* read when a session is made */
    run->session = cot_session_create(run->program);
    if (run->session == NULL) {
        snprintf(buffer, 256, "no session: %s", cot_error_message(context));
        return buffer;
    }
    return NULL;
}

void jit_close(jit_run *run) {
    cot_session_destroy(run->session);
    cot_program_destroy(run->program);
}

/* Bind input i from `bytes`; its first extent counts rows when the graph's input is batched. */
static cot_status bind_input(const jit_run *run, const graph_case *g, int32_t i, int64_t rows,
                             const void *bytes) {
    char name[16];
    snprintf(name, sizeof name, "x%d", i);
    const coti_node *node = coti_node_at(g->graph, g->graph->input.data[i]);
    int64_t n_rows = node->shape.batched ? rows : 1;
    cot_array array = {.data = bytes,
                       .dtype = g->input[i].dtype,
                       .n_rows = n_rows,
                       .row_elements = g->input[i].count / n_rows};
    return cot_session_bind(run->session, name, &array);
}

static bool guards_stand(const unsigned char *block, size_t bytes) {
    for (size_t i = 0; i < GUARD; i++) {
        if (block[i] != FILL || block[GUARD + bytes + i] != FILL) {
            return false;
        }
    }
    return true;
}

const char *jit_step(char buffer[256], pool *p, const jit_run *run, const graph_case *g,
                     int64_t rows, tensor *out) {
    void *bytes[MAX_INPUTS], *copy[MAX_INPUTS];
    cot_status status = COT_OK;
    for (int32_t i = 0; i < g->n && status == COT_OK; i++) {
        bytes[i] = tensor_bytes(p, &g->input[i]);
        copy[i] = tensor_bytes(p, &g->input[i]);
        status = bind_input(run, g, i, rows, bytes[i]);
    }
    cot_shape shape = cot_value_shape(g->result);
    tensor room = tensor_make(p, cot_value_dtype(g->result), &shape, rows);
    size_t size = (size_t)room.count * cot_dtype_bytes(room.dtype);
    unsigned char *block = pool_take(p, size + 2 * GUARD, 1);
    memset(block, FILL, size + 2 * GUARD);
    if (status == COT_OK) {
        status = cot_session_bind_output(run->session, "y", block + GUARD, size);
    }
    if (status == COT_OK) {
        status = cot_session_run(run->session, rows);
    }
    if (status != COT_OK) {
        snprintf(buffer, 256, "%s: %s", cot_status_name(status), cot_session_message(run->session));
        return buffer;
    }
    for (int32_t i = 0; i < g->n; i++) {
        size_t input_size = (size_t)g->input[i].count * cot_dtype_bytes(g->input[i].dtype);
        if (memcmp(bytes[i], copy[i], input_size) != 0) {
            return "an input was written to";
        }
    }
    if (!guards_stand(block, size)) {
        return "memory around the output was written to";
    }
    *out = tensor_read(p, room.dtype, &room.shape, 1, block + GUARD);
    return NULL;
}
