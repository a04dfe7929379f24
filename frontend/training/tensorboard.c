/*
 * Keras's TensorBoard callback: its tags and steps. Under log_dir, "train" and "validation" get an
 * event file each:
 *
 *   epoch_<name>                        by epoch, both; train also the learning rate
 *   batch_<name>                        by step, train, every update_freq steps
 *   evaluation_<name>_vs_iterations     by step, validation
 *   <weight>/histogram                  by epoch, train
 *   the graph of layer calls            train
 */
#include "frontend/files/event_file.h"
#include "frontend/files/protobuf.h"
#include "frontend/training/checkpoint.h"

#include <stdio.h>
#include <string.h>

enum { NODE = 1, VERSIONS = 4, PRODUCER = 1 };                      /* of GraphDef, VersionDef */
enum { NODE_NAME = 1, NODE_OP = 2, NODE_INPUT = 3, NODE_ATTR = 5 }; /* of NodeDef */
enum { KEY = 1, VALUE = 2, LIST = 1, LIST_SHAPE = 7, DIM = 2, DIM_SIZE = 1 }; /* of attributes */
enum { GRAPH_PRODUCER = 22 }; /* the oldest that readers know */

/* Steps so far, of all fits. */
static int64_t iterations(const cot_model *model) {
    int64_t n = 0;
    const cot_variable *variable = cot_model_optimizer_variable(model, 0);
    return variable != NULL && cot_variable_get(variable, &n, sizeof n) == COT_OK ? n : 0;
}

/* ---- the graph ---- */

/* A call's name: its layer's, with the number of the call if it is not the first. */
static const char *call_name(coti_str *text, const coti_call *call) {
    coti_str_clear(text);
    coti_str_printf(text, call->index == 0 ? "%s" : "%s_call_%d", call->layer->name,
                    (int)call->index);
    return coti_str_text(text);
}

/* attr {"_output_shapes": list {shape}}; a batch is -1. */
static void append_shape(coti_str *node, const cot_shape *shape, coti_str scratch[3]) {
    coti_str *dim = &scratch[0], *dims = &scratch[1], *value = &scratch[2];
    for (int32_t i = 0; i < shape->rank; i++) {
        int64_t extent = shape->batched && i == 0 ? -1 : shape->dim[i];
        coti_protobuf_varint(dim, DIM_SIZE, (uint64_t)extent);
        coti_protobuf_message(dims, DIM, dim);
    }
    coti_protobuf_message(dim, LIST_SHAPE, dims); /* ListValue */
    coti_protobuf_message(value, LIST, dim);      /* AttrValue */
    coti_protobuf_text(dims, KEY, "_output_shapes");
    coti_protobuf_message(dims, VALUE, value);
    coti_protobuf_message(node, NODE_ATTR, dims);
}

static void append_call(const cot_model *model, const coti_call *call, coti_str *graph,
                        coti_str scratch[5]) {
    coti_str *node = &scratch[3], *name = &scratch[4];
    coti_protobuf_text(node, NODE_NAME, call_name(name, call));
    coti_protobuf_text(node, NODE_OP, call->layer->class->name);
    for (int32_t i = 0; i < call->n_inputs; i++) {
        coti_protobuf_text(node, NODE_INPUT,
                           call_name(name, coti_model_call(model, call->input[i])));
    }
    append_shape(node, &call->type.shape, scratch);
    node->failed = node->failed || name->failed;
    coti_protobuf_message(graph, NODE, node);
}

static void add_graph(coti_events *events, const cot_model *model) {
    enum { SCRATCH = 5 };
    coti_str graph, scratch[SCRATCH];
    coti_str_init(&graph, model->context);
    for (int i = 0; i < SCRATCH; i++) {
        coti_str_init(&scratch[i], model->context);
    }
    for (size_t i = 0; i < model->call.count; i++) {
        append_call(model, coti_model_call(model, model->call.data[i]), &graph, scratch);
    }
    coti_protobuf_varint(&scratch[0], PRODUCER, GRAPH_PRODUCER);
    coti_protobuf_message(&graph, VERSIONS, &scratch[0]);
    coti_events_graph(events, &graph);
    for (int i = 0; i < SCRATCH; i++) {
        coti_str_free(&scratch[i]);
    }
    coti_str_free(&graph);
}

/* ---- weights ---- */

static cot_status add_histogram(coti_events *events, int32_t epoch, const cot_variable *weight) {
    size_t bytes = (size_t)weight->bytes;
    int64_t n = weight->bytes / (int64_t)cot_dtype_bytes(weight->dtype);
    if (weight->dtype != COT_F32 && weight->dtype != COT_F64) {
        return COT_OK;
    }
    double *value = coti_calloc(events->context, (size_t)n, sizeof *value);
    coti_str text;
    coti_str_init(&text, events->context);
    coti_str_printf(&text, "%s/histogram", weight->name);
    cot_status status = value != NULL ? coti_str_status(&text) : COT_E_NOMEM;
    if (status == COT_OK) {
        status = cot_variable_get(weight, value, bytes);
    }
    if (status == COT_OK) {
        /* From the back, where a double's place begins at or behind the float's. */
        for (int64_t i = n; weight->dtype == COT_F32 && i-- > 0;) {
            float narrow = 0.0f;
            memcpy(&narrow, (const char *)value + 4 * i, sizeof narrow);
            value[i] = (double)narrow;
        }
        coti_events_histogram(events, epoch, coti_str_text(&text), value, n);
    }
    coti_str_free(&text);
    coti_free(events->context, value);
    return status;
}

static cot_status add_histograms(coti_events *events, const cot_model *model, int32_t epoch) {
    for (size_t i = 0; i < model->weight.count; i++) {
        COTI_TRY(add_histogram(events, epoch, model->weight.data[i]));
    }
    return COT_OK;
}

/* ---- numbers ---- */

static void add_scalar(coti_events *events, int64_t step, const char *before, const char *name,
                       const char *after, double value) {
    coti_str tag;
    coti_str_init(&tag, events->context);
    coti_str_printf(&tag, "%s%s%s", before, name, after);
    events->records.failed = events->records.failed || tag.failed;
    coti_events_scalar(events, step, coti_str_text(&tag), value);
    coti_str_free(&tag);
}

static bool is_validation(const char *name) {
    return strncmp(name, "val_", 4) == 0;
}

/* An epoch's numbers of training, or of validation without "val_". */
static int32_t add_epoch(coti_events *events, const cot_model *model, int32_t epoch,
                         const cot_logs *logs, bool validation) {
    int32_t n = 0;
    for (int32_t i = 0; i < logs->n; i++) {
        const char *name = logs->log[i].name;
        if (is_validation(name) == validation) {
            name += validation ? 4 : 0;
            add_scalar(events, epoch, "epoch_", name, "", logs->log[i].value);
            n++;
        }
        if (is_validation(logs->log[i].name) && validation) {
            add_scalar(events, iterations(model), "evaluation_", name, "_vs_iterations",
                       logs->log[i].value);
        }
    }
    return n;
}

static bool has_log(const cot_logs *logs, const char *name) {
    bool found = false;
    for (int32_t i = 0; i < logs->n && !found; i++) {
        found = strcmp(logs->log[i].name, name) == 0;
    }
    return found;
}

/* ---- the callback ---- */

static const char *directory_of(const cot_tensorboard_callback *c) {
    return c->log_dir != NULL ? c->log_dir : "logs";
}

/* A new file in log_dir/<part>. */
static cot_status open_part(const cot_model *model, const cot_tensorboard_callback *c,
                            const char *part, char path[COT_PATH_BYTES]) {
    coti_str directory;
    coti_str_init(&directory, model->context);
    coti_str_printf(&directory, "%s/%s", directory_of(c), part);
    cot_status status = coti_str_status(&directory);
    if (status == COT_OK) {
        status =
            coti_event_file_create(model->context, coti_str_text(&directory), path, COT_PATH_BYTES);
    }
    coti_str_free(&directory);
    return status;
}

static cot_status check_options(const cot_model *model, const cot_tensorboard_callback *c) {
    COTI_TRY(coti_check_path(model, "tensorboard", directory_of(c)));
    return c->histogram_freq >= 0 && c->update_freq >= 0
               ? COT_OK
               : COTI_FAIL(model->context, COT_E_ARG,
                           "tensorboard: histogram_freq is %d and update_freq %d, expected 0 or "
                           "more",
                           (int)c->histogram_freq, (int)c->update_freq);
}

static bool board_wants_batches(const void *user) {
    const cot_tensorboard_callback *c = user;
    return c->update_freq > 0;
}

static cot_status board_begin(cot_model *model, void *user) {
    cot_tensorboard_callback *c = user;
    coti_events events;
    COTI_TRY(check_options(model, c));
    c->validation_path[0] = '\0';
    COTI_TRY(open_part(model, c, "train", c->train_path));
    if (c->write_graph == COT_OFF) {
        return COT_OK;
    }
    coti_events_begin(&events, model->context);
    add_graph(&events, model);
    cot_status status = coti_events_write(&events, c->train_path);
    coti_events_free(&events);
    return status;
}

static cot_status board_epoch_begin(cot_model *model, int32_t epoch, void *user) {
    cot_tensorboard_callback *c = user;
    (void)epoch;
    c->epoch_begin = coti_now();
    c->first_step = iterations(model);
    return COT_OK;
}

static cot_status board_batch_begin(cot_model *model, int64_t batch, void *user) {
    cot_tensorboard_callback *c = user;
    (void)model;
    (void)batch;
    c->batch_begin = coti_now();
    return COT_OK;
}

static cot_status board_batch_end(cot_model *model, int64_t batch, const cot_logs *logs,
                                  void *user) {
    const cot_tensorboard_callback *c = user;
    int64_t step = iterations(model);
    coti_events events;
    (void)batch;
    if (step % c->update_freq != 0) {
        return COT_OK;
    }
    coti_events_begin(&events, model->context);
    for (int32_t i = 0; i < logs->n; i++) {
        add_scalar(&events, step, "batch_", logs->log[i].name, "", logs->log[i].value);
    }
    if (c->write_steps_per_second) {
        add_scalar(&events, step, "batch_", "steps_per_second", "",
                   1.0 / (coti_now() - c->batch_begin));
    }
    cot_status status = coti_events_write(&events, c->train_path);
    coti_events_free(&events);
    return status;
}

static cot_status write_train(const cot_model *model, const cot_tensorboard_callback *c,
                              int32_t epoch, const cot_logs *logs, coti_events *events) {
    (void)add_epoch(events, model, epoch, logs, false);
    if (!has_log(logs, "learning_rate")) {
        add_scalar(events, epoch, "epoch_", "learning_rate", "", cot_model_learning_rate(model));
    }
    if (c->write_steps_per_second && c->epoch_begin > 0.0) {
        add_scalar(events, epoch, "epoch_", "steps_per_second", "",
                   (double)(iterations(model) - c->first_step) / (coti_now() - c->epoch_begin));
    }
    if (c->histogram_freq > 0 && epoch % c->histogram_freq == 0) {
        COTI_TRY(add_histograms(events, model, epoch));
    }
    return coti_events_write(events, c->train_path);
}

static cot_status write_validation(const cot_model *model, cot_tensorboard_callback *c,
                                   int32_t epoch, const cot_logs *logs, coti_events *events) {
    if (add_epoch(events, model, epoch, logs, true) == 0) {
        return COT_OK;
    }
    if (c->validation_path[0] == '\0') {
        COTI_TRY(open_part(model, c, "validation", c->validation_path));
    }
    return coti_events_write(events, c->validation_path);
}

static cot_status board_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs,
                                  void *user) {
    cot_tensorboard_callback *c = user;
    coti_events events;
    coti_events_begin(&events, model->context);
    cot_status status = write_train(model, c, epoch, logs, &events);
    if (status == COT_OK) {
        status = write_validation(model, c, epoch, logs, &events);
    }
    coti_events_free(&events);
    return status;
}

cot_callback cot_tensorboard_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = board_begin,
                          .on_epoch_begin = board_epoch_begin,
                          .on_epoch_end = board_epoch_end,
                          .on_batch_begin = board_batch_begin,
                          .on_batch_end = board_batch_end,
                          .wants_batches = board_wants_batches};
}
