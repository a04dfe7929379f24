/*
 * Keras's summary. Three columns for a model that is one chain of layers, else a fourth that tells
 * what each call is connected to. Widths are Keras's: shares of a line of at most 88 (108) columns
 * and 4 less than the terminal, then shrunk by rich to make room for borders and padding.
 */
#include "frontend/model/model.h"
#include "frontend/training/training.h"

#include <math.h>

/* Write what has gathered once it is this long. */
enum { FLUSH_BYTES = 1 << 16 };

static const char *const header[COTI_TABLE_COLUMNS] = {"Layer (type)", "Output Shape", "Param #",
                                                       "Connected to"};

/*
 * Take `excess` columns from the widths, as evenly as rounding (half to even) allows, from left to
 * right. src: rich, ratio_reduce with equal ratios.
 */
static void shrink(int32_t *width, int32_t n, int32_t excess) {
    for (int32_t i = 0; i < n && excess > 0; i++) {
        int32_t share = (int32_t)nearbyint((double)excess / (double)(n - i));
        share = share > width[i] ? width[i] : share;
        width[i] -= share;
        excess -= share;
    }
}

static cot_status lay_out(const cot_model *model, int32_t columns, coti_table *table) {
    static const double narrow[] = {0.45, 0.80, 1.0}, wide[] = {0.3, 0.56, 0.74, 1.0};
    const double *position = model->linear ? narrow : wide;
    int32_t longest = model->linear ? 88 : 108;
    int32_t line = columns - 4 < longest ? columns - 4 : longest;
    *table = (coti_table){.n_columns = model->linear ? 3 : 4, .right = {false, false, true, false}};
    int32_t done = 0, width[COTI_TABLE_COLUMNS] = {0}, total = table->n_columns + 1;
    for (int32_t i = 0; i < table->n_columns; i++) {
        width[i] = (int32_t)(position[i] * line) - done;
        if (width[i] < 4) {
            return COTI_FAIL(model->context, COT_E_ARG,
                             "model \"%s\": a console of %d columns is too narrow for a summary",
                             model->name, (int)columns);
        }
        done += width[i];
        width[i] += 2;
        total += width[i];
    }
    shrink(width, table->n_columns, total - line);
    for (int32_t i = 0; i < table->n_columns; i++) {
        table->width[i] = width[i] - 2 > 1 ? width[i] - 2 : 1;
    }
    return COT_OK;
}

/* ---- cells ---- */

/* "(None, 20)". */
static void append_shape(coti_str *text, const cot_shape *shape) {
    coti_str_append(text, "(None");
    for (int32_t i = 1; i < shape->rank; i++) {
        coti_str_printf(text, ", %lld", (long long)shape->dim[i]);
    }
    coti_str_append(text, ")");
}

/* "dense[0][0], input_layer[0][0]" over the layer's calls in this model; "-" if there are none. */
static void append_connections(coti_str *text, const cot_model *model, const bool *in_model,
                               const cot_layer *layer) {
    size_t before = text->count;
    for (size_t i = 0; i < layer->call.count; i++) {
        const coti_call *call = coti_model_call(model, layer->call.data[i]);
        for (int32_t k = 0; in_model[layer->call.data[i]] && k < call->n_inputs; k++) {
            const coti_call *from = coti_model_call(model, call->input[k]);
            coti_str_printf(text, "%s%s[%d][0]", text->count > before ? ", " : "",
                            from->layer->name, (int)from->index);
        }
    }
    if (text->count == before) {
        coti_str_append(text, "-");
    }
}

static cot_status append_layer(const cot_model *model, const coti_table *table,
                               const bool *in_model, const cot_layer *layer, coti_str *text) {
    coti_str cell[COTI_TABLE_COLUMNS];
    const char *shown[COTI_TABLE_COLUMNS] = {NULL};
    for (int32_t i = 0; i < COTI_TABLE_COLUMNS; i++) {
        coti_str_init(&cell[i], model->context);
    }
    const coti_call *last = coti_model_call(model, layer->call.data[layer->call.count - 1]);
    coti_str_printf(&cell[0], "%s (%s)", layer->name, layer->class->name);
    append_shape(&cell[1], &last->type.shape);
    coti_append_thousands(&cell[2], cot_layer_count_params(layer));
    append_connections(&cell[3], model, in_model, layer);
    cot_status status = COT_OK;
    for (int32_t i = 0; i < COTI_TABLE_COLUMNS; i++) {
        status = status == COT_OK ? coti_str_status(&cell[i]) : status;
        shown[i] = coti_str_text(&cell[i]);
    }
    if (status == COT_OK) {
        coti_table_row(table, text, layer == model->layer.data[0], shown);
    }
    for (int32_t i = 0; i < COTI_TABLE_COLUMNS; i++) {
        coti_str_free(&cell[i]);
    }
    return status;
}

/* ---- footer ---- */

typedef struct tally {
    int64_t n, bytes;
} tally;

static void count_variable(tally *total, const cot_variable *variable) {
    total->bytes += variable->bytes;
    total->n += variable->bytes / (int64_t)cot_dtype_bytes(variable->dtype);
}

static void append_tally(coti_str *text, const char *what, tally total) {
    coti_str_printf(text, " %s: ", what);
    coti_append_thousands(text, total.n);
    coti_str_append(text, " (");
    coti_append_bytes(text, total.bytes);
    coti_str_append(text, ")\n");
}

static void append_footer(coti_str *text, const cot_model *model) {
    tally trainable = {0, 0}, fixed = {0, 0}, optimizer = {0, 0};
    for (size_t i = 0; i < model->layer.count; i++) {
        const cot_layer *layer = model->layer.data[i];
        for (int32_t k = 0; k < layer->n_weights; k++) {
            count_variable(coti_layer_trains_weight(layer, k) ? &trainable : &fixed,
                           layer->weight[k]);
        }
    }
    int32_t n_optimizer = cot_model_n_optimizer_variables(model);
    for (int32_t i = 0; i < n_optimizer; i++) {
        count_variable(&optimizer, cot_model_optimizer_variable(model, i));
    }
    tally total = {trainable.n + fixed.n + optimizer.n,
                   trainable.bytes + fixed.bytes + optimizer.bytes};
    append_tally(text, "Total params", total);
    append_tally(text, "Trainable params", trainable);
    append_tally(text, "Non-trainable params", fixed);
    if (n_optimizer > 0) {
        append_tally(text, "Optimizer params", optimizer);
    }
}

/* What a memory budget costs; nothing without one. */
static void append_memory(coti_str *text, const cot_model *model) {
    const cot_memory_info info = cot_model_train_memory(model);
    if (info.budget == 0) {
        return;
    }
    coti_str_append(text, " Memory of a step: ");
    coti_append_bytes(text, info.bytes);
    coti_str_append(text, " of ");
    coti_append_bytes(text, info.budget);
    if (info.n_regions > 0) {
        const double again = info.flops - info.plain_flops;
        coti_str_printf(text, ", %d layers computed again (%.1f %% more flops) instead of ",
                        (int)info.n_layers,
                        info.plain_flops > 0 ? 100 * again / info.plain_flops : 0.0);
        coti_append_bytes(text, info.plain_bytes);
    }
    coti_str_append(text, "\n");
}

/* ---- the whole ---- */

static cot_status write_summary(const cot_model *model, const cot_console *console,
                                const coti_table *table, const bool *in_model, coti_str *text) {
    coti_str_printf(text, "Model: \"%s\"\n", model->name);
    coti_table_begin(table, text, header);
    cot_status status = COT_OK;
    for (size_t i = 0; status == COT_OK && i < model->layer.count; i++) {
        status = append_layer(model, table, in_model, model->layer.data[i], text);
        if (status == COT_OK && text->count >= FLUSH_BYTES) {
            status = coti_console_flush(console, text);
        }
    }
    if (status != COT_OK) {
        return status;
    }
    coti_table_end(table, text);
    append_footer(text, model);
    append_memory(text, model);
    return coti_console_flush(console, text);
}

cot_status cot_model_summary(const cot_model *model, const cot_console *console) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    cot_context *context = model->context;
    cot_console own;
    coti_table table;
    COTI_TRY(coti_console_read(context, console, &own));
    COTI_TRY(lay_out(model, own.columns, &table));
    const coti_frontend *frontend = coti_frontend_get(context);
    bool *in_model = coti_calloc(context, frontend->call.count, sizeof *in_model);
    if (in_model == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < model->call.count; i++) {
        in_model[model->call.data[i]] = true;
    }
    coti_str text;
    coti_str_init(&text, context);
    cot_status status = write_summary(model, &own, &table, in_model, &text);
    coti_str_free(&text);
    coti_free(context, in_model);
    return status;
}
