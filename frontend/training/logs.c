/* Sums to numbers: what a step's or an epoch's logs show. */
#include "frontend/training/training.h"

#include <math.h>
#include <string.h>

double cot_logs_get(const cot_logs *logs, const char *name) {
    for (int32_t i = 0; logs != NULL && name != NULL && i < logs->n; i++) {
        if (strcmp(logs->log[i].name, name) == 0) {
            return logs->log[i].value;
        }
    }
    return NAN;
}

cot_status coti_reset_sums(const coti_training *training, coti_mode_id mode) {
    const double zero = 0.0;
    for (int32_t i = 0; i < training->n_sums; i++) {
        COTI_TRY(cot_variable_set(training->mode[mode].sum[i], &zero, sizeof zero));
    }
    return COT_OK;
}

static cot_status read_sum(const coti_training *training, coti_mode_id mode, int32_t i_sum,
                           double *value_out) {
    return cot_variable_get(training->mode[mode].sum[i_sum], value_out, sizeof *value_out);
}

/* The total loss: its parts are kept, the total is not. */
static cot_status read_total(const coti_training *training, coti_mode_id mode, double *value_out) {
    *value_out = 0.0;
    for (int32_t i = 0; i < training->n_heads; i++) {
        const coti_head *head = &training->head[i];
        if (head->i_loss_sum < 0) {
            continue;
        }
        double part = 0.0;
        COTI_TRY(read_sum(training, mode, head->i_loss_sum, &part));
        *value_out += head->weight * part;
    }
    return COT_OK;
}

cot_status coti_read_sums(const coti_training *training, coti_mode_id mode, int64_t rows,
                          double *value_out) {
    for (int32_t i = 0; i < training->n_logs; i++) {
        int32_t i_sum = training->log[i].i_sum;
        COTI_TRY(i_sum < 0 ? read_total(training, mode, &value_out[i])
                           : read_sum(training, mode, i_sum, &value_out[i]));
        value_out[i] /= (double)rows;
    }
    return COT_OK;
}

void coti_report(coti_training *training, const double *value, cot_logs *logs_out) {
    for (int32_t i = 0; i < training->n_logs; i++) {
        int32_t from = training->report[i];
        training->reported[i] = (cot_log){training->log[from].name, value[from]};
    }
    if (logs_out != NULL) {
        *logs_out = (cot_logs){training->n_logs, training->reported};
    }
}
