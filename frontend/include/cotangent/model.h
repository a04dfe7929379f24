/*
 * Cotangent, model: layers from inputs to outputs, their weights, and the table that shows them.
 *
 * A cot_model refers to layers of its context and owns none of their weights: two models may share
 * layers. Destroy it before the context. Use from one thread at a time.
 */
#ifndef COTANGENT_MODEL_H
#define COTANGENT_MODEL_H

#include "base.h"
#include "graph.h"
#include "layers.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cot_model cot_model;

/* ---- making models ---- */

/*
 * The model of every layer between inputs (results of cot_input) and outputs: each output's name is
 * its layer's. name NULL: "functional", "functional_1", ... NULL on error, and then the context's
 * first error says why: the earliest bad call of a builder, COT_E_ARG (no outputs, an output that
 * the inputs do not reach, two layers of one name).
 */
COT_API cot_model *cot_model_create(cot_context *context, cot_tensor_list inputs,
                                    cot_tensor_list outputs, const char *name);

/*
 * An empty stack of layers over one input; dtype and shape as in cot_input. name NULL:
 * "sequential", "sequential_1", ... NULL on error.
 */
COT_API cot_model *cot_sequential_create(cot_context *context, cot_dtype dtype, cot_shape shape,
                                         const char *name);

/*
 * Put a layer on top: cot_sequential_add(model, cot_dense_layer(ctx, 10)). Not after compile
 * (COT_E_ARG). A NULL layer reports the error that made it NULL; the model stays as it was.
 */
COT_API cot_status cot_sequential_add(cot_model *model, cot_layer *layer);

COT_API void cot_model_destroy(cot_model *model);

/* ---- what it is made of ---- */

COT_API cot_context *cot_model_context(const cot_model *model);
COT_API const char *cot_model_name(const cot_model *model);

/*
 * Layers in Keras's order: by depth from the outputs, deepest first; within a depth by the first
 * visit of a walk from the outputs. A sequential model's input is not among them. NULL: no such
 * layer. Borrowed.
 */
COT_API int32_t cot_model_n_layers(const cot_model *model);
COT_API cot_layer *cot_model_layer(const cot_model *model, int32_t i);
COT_API cot_layer *cot_model_find_layer(const cot_model *model, const char *name);

COT_API int32_t cot_model_n_inputs(const cot_model *model);
COT_API int32_t cot_model_n_outputs(const cot_model *model);
/* Poisoned when there is none. */
COT_API cot_tensor cot_model_input(const cot_model *model, int32_t i);
COT_API cot_tensor cot_model_output(const cot_model *model, int32_t i);
/* "class": the name under which an output appears in logs; NULL when there is none. */
COT_API const char *cot_model_output_name(const cot_model *model, int32_t i);

/* ---- weights ---- */

/*
 * Weights in the order of layers, and of each layer's own list; read and write them by
 * cot_variable_get and cot_variable_set, in Keras's layout. Names: "dense/kernel", "dense/bias".
 * NULL: no such weight. Borrowed.
 */
COT_API int32_t cot_model_n_weights(const cot_model *model);
COT_API cot_variable *cot_model_weight(const cot_model *model, int32_t i);
COT_API cot_variable *cot_model_find_weight(const cot_model *model, const char *name);

/* Elements of all weights. */
COT_API int64_t cot_model_count_params(const cot_model *model);

/* ---- text for people ---- */

/* Where text goes, and what it may contain. The library writes nowhere else. */
typedef struct cot_console {
    size_t struct_size;
    cot_write_fn write; /* required */
    void *user;
    bool terminal;   /* lines may be redrawn, by backspaces and carriage returns */
    bool color;      /* escape sequences may be used (honour NO_COLOR here) */
    int32_t columns; /* width of the terminal; 0: 80 */
} cot_console;
#define COT_CONSOLE_INIT {sizeof(cot_console), NULL, NULL, false, false, 0}

/*
 * Write Keras's table of layers, shapes and parameters (UTF-8, without escape sequences). fails:
 * COT_E_ARG (no writer, a console too narrow), COT_E_IO (the writer returned false), COT_E_NOMEM.
 */
COT_API cot_status cot_model_summary(const cot_model *model, const cot_console *console);

#ifdef __cplusplus
}
#endif
#endif
