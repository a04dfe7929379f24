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

int32_t coti_log_direction(const coti_training *training, const char *name) {
    const char *plain = strncmp(name, "val_", 4) == 0 ? name + 4 : name;
    for (int32_t i = 0; i < training->n_logs; i++) {
        const coti_log_entry *entry = &training->log[i];
        if (strcmp(entry->name, plain) == 0) {
            return entry->judge == NULL ? -1 : coti_metric_direction(entry->judge);
        }
    }
    return 0;
}

cot_status coti_reset_sums(const coti_training *training, coti_mode_id mode) {
    for (int32_t i = 0; i < training->n_sums; i++) {
        coti_variable_fill(training->mode[mode].sum[i], 0.0);
    }
    return COT_OK;
}

/* All of a variable's numbers. */
static cot_status read_sum(const coti_training *training, coti_mode_id mode, int32_t i_sum,
                           double value_out[COTI_MOST_SUMS]) {
    const cot_variable *sum = training->mode[mode].sum[i_sum];
    return cot_variable_get(sum, value_out, (size_t)sum->bytes);
}

/* An output's part of the total loss, as a sum; its parts are kept, the total is not. */
static cot_status read_part(const coti_training *training, coti_mode_id mode, const coti_head *head,
                            double *value_out) {
    double part[COTI_MOST_SUMS] = {0.0};
    if (head->i_loss_sum >= 0) {
        COTI_TRY(read_sum(training, mode, head->i_loss_sum, part));
    }
    *value_out = head->weight * part[0];
    return COT_OK;
}

static cot_status read_total(const coti_training *training, coti_mode_id mode, double rows,
                             double *value_out) {
    double total = 0.0;
    for (int32_t i = 0; i < training->n_heads; i++) {
        double part = 0.0;
        COTI_TRY(read_part(training, mode, &training->head[i], &part));
        total += part;
    }
    if (training->i_penalty_sum >= 0) {
        double penalty[COTI_MOST_SUMS] = {0.0};
        COTI_TRY(read_sum(training, mode, training->i_penalty_sum, penalty));
        total += penalty[0];
    }
    *value_out = total / rows;
    return COT_OK;
}

static cot_status read_entry(const coti_training *training, coti_mode_id mode, double rows,
                             const coti_log_entry *entry, double *value_out) {
    double sum[COTI_MOST_SUMS] = {0.0};
    if (entry->i_sum < 0) {
        return read_total(training, mode, rows, value_out);
    }
    COTI_TRY(read_sum(training, mode, entry->i_sum, sum));
    *value_out = entry->judge == NULL ? sum[0] / rows : coti_metric_value(entry->judge, sum, rows);
    return COT_OK;
}

cot_status coti_read_sums(const coti_training *training, coti_mode_id mode, int64_t rows,
                          double *value_out) {
    for (int32_t i = 0; i < training->n_logs; i++) {
        COTI_TRY(read_entry(training, mode, (double)rows, &training->log[i], &value_out[i]));
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
