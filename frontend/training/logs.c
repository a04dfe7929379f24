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
            return entry->metric == COT_NO_METRIC ? -1 : coti_metric_direction(entry->metric);
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

/* The total loss: its parts are kept, the total is not. */
static cot_status read_total(const coti_training *training, coti_mode_id mode, double rows,
                             double *value_out) {
    *value_out = 0.0;
    for (int32_t i = 0; i < training->n_heads; i++) {
        const coti_head *head = &training->head[i];
        double part[COTI_MOST_SUMS] = {0.0};
        if (head->i_loss_sum >= 0) {
            COTI_TRY(read_sum(training, mode, head->i_loss_sum, part));
            *value_out += head->weight * part[0];
        }
    }
    *value_out /= rows;
    return COT_OK;
}

cot_status coti_read_sums(const coti_training *training, coti_mode_id mode, int64_t rows,
                          double *value_out) {
    double sum[COTI_MOST_SUMS] = {0.0};
    for (int32_t i = 0; i < training->n_logs; i++) {
        const coti_log_entry *entry = &training->log[i];
        if (entry->i_sum < 0) {
            COTI_TRY(read_total(training, mode, (double)rows, &value_out[i]));
            continue;
        }
        COTI_TRY(read_sum(training, mode, entry->i_sum, sum));
        value_out[i] = entry->metric == COT_NO_METRIC
                           ? sum[0] / (double)rows
                           : coti_metric_value(entry->metric, sum, (double)rows);
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
