/* Single batches: a step, an evaluation, a prediction on all rows of a data set at once. */
#include "frontend/training/training.h"

/* All rows are one batch of the mode: COT_E_ARG if they are too many. */
static cot_status check_one_batch(const coti_training *training, coti_mode_id id,
                                  const char *function, const cot_dataset *data) {
    int64_t most = training->mode[id].max_rows;
    return data == NULL || training->mode[id].program == NULL || data->n_rows <= most
               ? COT_OK /* what is wrong beside is said later */
               : COTI_FAIL(training->context, COT_E_ARG,
                           "%s: the batch has %lld rows, max_batch is %lld", function,
                           (long long)data->n_rows, (long long)most);
}

cot_status cot_model_test_on_batch(cot_model *model, const cot_dataset *data, cot_logs *logs_out) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_test_on_batch", &training));
    COTI_TRY(check_one_batch(training, COTI_EVALUATE, "cot_model_test_on_batch", data));
    cot_evaluate_options options = COT_EVALUATE_OPTIONS_INIT;
    options.report = logs_out;
    options.batch_size = data != NULL ? data->n_rows : 0;
    return cot_model_evaluate_with(model, data, &options);
}

cot_status cot_model_predict_on_batch(cot_model *model, const cot_dataset *data,
                                      cot_buffer_list outputs) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_predict_on_batch", &training));
    COTI_TRY(check_one_batch(training, COTI_PREDICT, "cot_model_predict_on_batch", data));
    cot_predict_options options = COT_PREDICT_OPTIONS_INIT;
    options.outputs = outputs;
    options.batch_size = data != NULL ? data->n_rows : 0;
    return cot_model_predict_with(model, data, &options);
}

cot_status cot_model_train_on_batch(cot_model *model, const cot_dataset *data, cot_logs *logs_out) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_train_on_batch", &training));
    COTI_TRY(coti_check_state(model, "cot_model_train_on_batch"));
    COTI_TRY(coti_check_data(training, "cot_model_train_on_batch", data,
                             COTI_USE_TARGETS | COTI_USE_FINITE));
    int64_t most = training->mode[COTI_TRAIN].max_rows;
    if (data->n_rows > most) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_train_on_batch: the batch has %lld rows, max_batch is %lld",
                         (long long)data->n_rows, (long long)most);
    }
    coti_loop loop = {
        .training = training, .mode = COTI_TRAIN, .n_rows = data->n_rows, .batch = data->n_rows};
    coti_resume_forget(training);
    COTI_TRY(coti_match_weights(training, COTI_TRAIN, data));
    COTI_TRY(coti_reset_sums(training, COTI_TRAIN));
    COTI_TRY(coti_bind_data(training, COTI_TRAIN, data, NULL));
    COTI_TRY(coti_loop_advance(&loop));
    double *value = coti_calloc(model->context, (size_t)training->n_logs, sizeof *value);
    if (value == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = coti_read_sums(training, COTI_TRAIN, data->n_rows, value);
    if (status == COT_OK) {
        coti_report(training, value, logs_out);
    }
    coti_free(model->context, value);
    return status;
}
