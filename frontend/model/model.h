/*
 * A model inside: which calls and layers it is made of, in which orders, and what compile made of
 * it. Calls are in an order in which each follows its inputs; layers are in Keras's order, in which
 * their weights are listed and shown.
 */
#ifndef COTI_MODEL_H
#define COTI_MODEL_H

#include "cotangent/model.h"
#include "frontend/layers/layer.h"

struct coti_training;
struct cot_history;

struct cot_model {
    cot_context *context;
    coti_arena arena; /* output names, topology */
    const char *name; /* the frontend's */
    bool sequential;  /* made by cot_sequential_create: layers may be added, the input is hidden */
    bool linear;      /* one call after the other, nothing shared: the summary has three columns */
    COTI_VEC(uint32_t) input;  /* call ids */
    COTI_VEC(uint32_t) output; /* call ids */
    COTI_VEC(const char *) output_name;
    COTI_VEC(uint32_t) call; /* every call, inputs first used included */
    COTI_VEC(cot_layer *) layer;
    COTI_VEC(cot_variable *) weight; /* the layers' */
    coti_map layer_index;            /* of layer names: index in `layer` */
    struct coti_training *training;  /* NULL: not compiled */
    struct cot_history *history;     /* of the latest fit; NULL: none */
    char *kept;                      /* a copy of all weights, one after the other; NULL: none */
    bool running;                    /* inside fit */
    bool stop;                       /* asked by cot_model_stop_training */
};

/* ---- topology.c ---- */

/*
 * Find what lies between the model's inputs and outputs, and append it: calls, layers, weights.
 * needs  input, output filled with valid calls.
 * fails  COT_E_ARG (an output needs an input that is not listed, two layers of one name)
 * src    Keras: depth from the outputs, deepest first; then first visit of a depth-first walk
 */
cot_status coti_model_find_layers(cot_model *model);

/* ---- model.c ---- */

/* Append a layer with its weights; COT_E_ARG if its name is taken. The model is as before on
 * failure. */
cot_status coti_model_append_layer(cot_model *model, cot_layer *layer);

/* A copy of all weights, one after the other, into memory of the context's, made if *copy_inout is
 * NULL; and back (NULL: nothing). */
cot_status coti_model_copy_weights(const cot_model *model, char **copy_inout);
void coti_model_set_weights(cot_model *model, const char *copy);

/* Keep a copy of all weights, in the place of an earlier one; go back to it; forget it. */
cot_status coti_model_keep_weights(cot_model *model);
void coti_model_restore_weights(cot_model *model);
void coti_model_forget_weights(cot_model *model);

static inline const coti_call *coti_model_call(const cot_model *model, uint32_t id) {
    return coti_call_at(model->context->slot[COTI_SLOT_FRONTEND].state, id);
}

/* ---- console.c ---- */

/* A console as given, checked and complete. */
cot_status coti_console_read(cot_context *context, const cot_console *given, cot_console *out);
/* Send a string's text and clear it. COT_E_IO: the writer refused; COT_E_NOMEM: the string failed.
 */
cot_status coti_console_flush(const cot_console *console, coti_str *text);
/* 1234567 -> "1,234,567". */
void coti_append_thousands(coti_str *text, int64_t value);
/* 1536 -> "1.50 KB"; units of 1024. */
void coti_append_bytes(coti_str *text, int64_t bytes);

/* ---- table.c ---- */

#define COTI_TABLE_COLUMNS 4

/*
 * A table with box-drawing lines, a rule after every row, cells wrapped at spaces; column i is
 * width[i] wide with one space of padding at each side. src: the layout of Python's rich.
 */
typedef struct coti_table {
    int32_t n_columns;
    int32_t width[COTI_TABLE_COLUMNS]; /* of the text, padding not counted */
    bool right[COTI_TABLE_COLUMNS];    /* aligned right */
} coti_table;

void coti_table_begin(const coti_table *table, coti_str *text,
                      const char *const cell[COTI_TABLE_COLUMNS]);
void coti_table_row(const coti_table *table, coti_str *text, bool first,
                    const char *const cell[COTI_TABLE_COLUMNS]);
void coti_table_end(const coti_table *table, coti_str *text);

#endif
