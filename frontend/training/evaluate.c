/* evaluate and predict: one pass over a data set, without an order and without updates of weights.
 */
#include "frontend/training/training.h"

enum { DEFAULT_BATCH = 32 };

cot_status coti_choose_progress(cot_context *context, const cot_console *given, cot_verbose verbose,
                                cot_console *console, bool *shown_out, bool *bar_out) {
    *shown_out = *bar_out = false;
    if ((int)verbose < (int)COT_VERBOSE_AUTO || (int)verbose > (int)COT_VERBOSE_LINE) {
        return COTI_FAIL(context, COT_E_ARG, "%d is no cot_verbose", (int)verbose);
    }
    if (given == NULL || verbose == COT_VERBOSE_SILENT) {
        return COT_OK;
    }
    COTI_TRY(coti_console_read(context, given, console));
    *shown_out = true;
    *bar_out = verbose == COT_VERBOSE_BAR || (verbose == COT_VERBOSE_AUTO && console->terminal);
    return COT_OK;
}

cot_status coti_choose_batch(cot_context *context, const char *function, int64_t asked,
                             int64_t *batch_out) {
    if (asked < 0) {
        return COTI_FAIL(context, COT_E_ARG, "%s: batch_size is %lld, expected 1 or more", function,
                         (long long)asked);
    }
    *batch_out = asked == 0 ? DEFAULT_BATCH : asked;
    return COT_OK;
}

cot_status coti_choose_rows(cot_context *context, const char *function, int64_t steps,
                            int64_t batch, int64_t n_rows, int64_t *n_rows_out) {
    if (steps < 0) {
        return COTI_FAIL(context, COT_E_ARG, "%s: steps is %lld, expected 0 (all) or more",
                         function, (long long)steps);
    }
    *n_rows_out = steps > 0 && steps <= n_rows / batch ? steps * batch : n_rows;
    return COT_OK;
}

/* What the logs show so far, as a list in alphabetical order. */
static cot_status read_logs(const coti_loop *loop, double *value, cot_log *log) {
    COTI_TRY(coti_read_sums(loop->training, loop->mode, loop->done_rows, value));
    for (int32_t i = 0; i < loop->training->n_logs; i++) {
        log[i] = (cot_log){loop->training->log[i].name, value[i]};
    }
    return COT_OK;
}

/* All rows; `log` has room for n_logs. */
static cot_status evaluate_rows(coti_loop *loop, double *value, cot_log *log) {
    coti_training *training = loop->training;
    const cot_logs logs = {training->n_logs, log};
    if (loop->progress != NULL) {
        coti_progress_begin(loop->progress, coti_loop_n_steps(loop), coti_now());
    }
    while (loop->done_rows < loop->n_rows) {
        COTI_TRY(coti_loop_advance(loop));
        COTI_TRY(read_logs(loop, value, log));
        COTI_TRY(coti_loop_show(loop, &logs, loop->done_rows == loop->n_rows));
    }
    return COT_OK;
}

cot_status coti_evaluate(coti_training *training, const cot_dataset *data, int64_t n_rows,
                         int64_t batch, const volatile int32_t *cancel, coti_progress *progress,
                         double *value_out) {
    int64_t most = training->mode[COTI_EVALUATE].max_rows;
    coti_loop loop = {.training = training,
                      .mode = COTI_EVALUATE,
                      .n_rows = n_rows,
                      .batch = batch < most ? batch : most,
                      .cancel = cancel,
                      .progress = progress};
    COTI_TRY(coti_match_weights(training, COTI_EVALUATE, data));
    COTI_TRY(coti_reset_sums(training, COTI_EVALUATE));
    COTI_TRY(coti_bind_data(training, COTI_EVALUATE, data, NULL));
    cot_log *log = coti_calloc(training->context, (size_t)training->n_logs, sizeof *log);
    cot_status status = log != NULL ? evaluate_rows(&loop, value_out, log) : COT_E_NOMEM;
    coti_free(training->context, log);
    return status;
}

/* ---- evaluate ---- */

static cot_status evaluate(coti_training *training, const cot_dataset *data,
                           const cot_evaluate_options *options) {
    cot_context *context = training->context;
    cot_console console;
    coti_progress progress;
    bool shown = false, bar = false;
    int64_t batch = 0;
    COTI_TRY(coti_choose_batch(context, "cot_model_evaluate", options->batch_size, &batch));
    COTI_TRY(
        coti_choose_progress(context, options->console, options->verbose, &console, &shown, &bar));
    if (training->mode[COTI_EVALUATE].program == NULL) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_evaluate: model \"%s\" was compiled without loss and metrics",
                         training->model->name);
    }
    COTI_TRY(coti_check_data(training, "cot_model_evaluate", data, COTI_USE_TARGETS));
    int64_t n_rows = 0;
    COTI_TRY(coti_choose_rows(context, "cot_model_evaluate", options->steps, batch, data->n_rows,
                              &n_rows));
    double *value = coti_calloc(context, (size_t)training->n_logs, sizeof *value);
    if (value == NULL) {
        return COT_E_NOMEM;
    }
    if (shown) {
        coti_progress_init(&progress, context, &console, bar);
    }
    cot_status status = coti_evaluate(training, data, n_rows, batch, options->cancel,
                                      shown ? &progress : NULL, value);
    if (shown) {
        coti_progress_free(&progress);
    }
    if (status == COT_OK) {
        coti_report(training, value, options->report);
    }
    coti_free(context, value);
    return status;
}

cot_status cot_model_evaluate_with(cot_model *model, const cot_dataset *data,
                                   const cot_evaluate_options *options) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_evaluate", &training));
    cot_evaluate_options own;
    COTI_TRY(coti_options_copy(model->context, "cot_model_evaluate", options, &own, sizeof own));
    return evaluate(training, data, &own);
}

/* ---- predict ---- */

/* Check the memory for each output; row_bytes_out[i]: of one row. */
static cot_status check_buffers(const coti_training *training, int64_t n_rows, cot_buffer_list list,
                                int64_t *row_bytes_out) {
    const cot_model *model = training->model;
    int32_t n = cot_model_n_outputs(model);
    if (list.n != n || list.buffer == NULL) {
        return COTI_FAIL(training->context, COT_E_ARG,
                         "cot_model_predict: model \"%s\" has %d outputs, %d buffers are given",
                         model->name, (int)n, list.buffer != NULL ? (int)list.n : 0);
    }
    for (int32_t i = 0; i < n; i++) {
        const coti_type *type = &training->head[i].type;
        int64_t elements = 0, bytes = 0;
        bool fits =
            coti_shape_elements(&type->shape, 1, &elements) &&
            coti_size_mul(elements, (int64_t)cot_dtype_bytes(type->dtype), &row_bytes_out[i]) &&
            coti_size_mul(row_bytes_out[i], n_rows, &bytes);
        if (!fits || list.buffer[i].data == NULL || list.buffer[i].bytes != (size_t)bytes) {
            char text[COTI_TYPE_BYTES];
            return COTI_FAIL_OP(
                training->context, COT_E_ARG, "cot_model_predict", training->head[i].name,
                "cot_model_predict: output \"%s\" is %s: %lld rows are %lld bytes, "
                "the buffer is %s of %llu",
                training->head[i].name, coti_type_text(text, type->dtype, &type->shape),
                (long long)n_rows, (long long)bytes, list.buffer[i].data == NULL ? "NULL" : "one",
                (unsigned long long)list.buffer[i].bytes);
        }
    }
    return COT_OK;
}

/* Bind what is left of each buffer: a region writes its outputs from their start on. */
static cot_status bind_outputs(const coti_loop *loop, cot_buffer_list list,
                               const int64_t *row_bytes) {
    const cot_model *model = loop->training->model;
    cot_session *session = loop->training->mode[COTI_PREDICT].session;
    for (int32_t i = 0; i < list.n; i++) {
        int64_t offset = loop->done_rows * row_bytes[i];
        cot_status status = cot_session_bind_output(session, model->output_name.data[i],
                                                    (char *)list.buffer[i].data + offset,
                                                    list.buffer[i].bytes - (size_t)offset);
        if (status != COT_OK) {
            return coti_take_error(loop->training->context, session, status);
        }
    }
    return COT_OK;
}

static cot_status predict_rows(coti_loop *loop, cot_buffer_list list, const int64_t *row_bytes) {
    if (loop->progress != NULL) {
        coti_progress_begin(loop->progress, coti_loop_n_steps(loop), coti_now());
    }
    while (loop->done_rows < loop->n_rows) {
        COTI_TRY(bind_outputs(loop, list, row_bytes));
        COTI_TRY(coti_loop_advance(loop));
        COTI_TRY(coti_loop_show(loop, NULL, loop->done_rows == loop->n_rows));
    }
    return COT_OK;
}

static cot_status predict(coti_training *training, const cot_dataset *data,
                          const cot_predict_options *options, int64_t *row_bytes) {
    cot_context *context = training->context;
    coti_loop loop = {.training = training, .mode = COTI_PREDICT, .cancel = options->cancel};
    cot_console console;
    coti_progress progress;
    bool shown = false, bar = false;
    COTI_TRY(coti_choose_batch(context, "cot_model_predict", options->batch_size, &loop.batch));
    COTI_TRY(
        coti_choose_progress(context, options->console, options->verbose, &console, &shown, &bar));
    COTI_TRY(coti_choose_rows(context, "cot_model_predict", options->steps, loop.batch,
                              data->n_rows, &loop.n_rows));
    COTI_TRY(check_buffers(training, loop.n_rows, options->outputs, row_bytes));
    COTI_TRY(coti_bind_data(training, COTI_PREDICT, data, NULL));
    int64_t most = training->mode[COTI_PREDICT].max_rows;
    loop.batch = loop.batch < most ? loop.batch : most;
    if (shown) {
        coti_progress_init(&progress, context, &console, bar);
        loop.progress = &progress;
    }
    cot_status status = predict_rows(&loop, options->outputs, row_bytes);
    if (shown) {
        coti_progress_free(&progress);
    }
    return status;
}

cot_status cot_model_predict_with(cot_model *model, const cot_dataset *data,
                                  const cot_predict_options *options) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_predict", &training));
    cot_predict_options own;
    COTI_TRY(coti_options_copy(model->context, "cot_model_predict", options, &own, sizeof own));
    COTI_TRY(coti_check_data(training, "cot_model_predict", data, COTI_USE_INPUTS));
    int64_t *row_bytes = coti_calloc(model->context, (size_t)training->n_heads, sizeof *row_bytes);
    if (row_bytes == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = predict(training, data, &own, row_bytes);
    coti_free(model->context, row_bytes);
    return status;
}
