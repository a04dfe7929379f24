/*
 * Cotangent: the whole public API. A complete program:
 *
 * #include <cotangent.h>
 * #include <stdio.h>
 *
 * int main(void) {
 *     const float x[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
 *     const int32_t y[4] = {0, 1, 1, 0};
 *     cot_context *ctx = cot_context_create(NULL);
 *     cot_tensor in = cot_input(ctx, COT_F32, COT_SHAPE(2), "bits");
 *     cot_tensor h = cot_dense(in, 16, .activation = COT_TANH);
 *     cot_tensor out = cot_dense(h, 2, .activation = COT_SOFTMAX, .name = "class");
 *     cot_model *model = cot_model_create(ctx, COT_TENSORS(in), COT_TENSORS(out), "xor");
 *     cot_dataset *data = cot_dataset_create(
 *         ctx, COT_ARRAYS({.data = x, .dtype = COT_F32, .n_rows = 4, .row_elements = 2}),
 *         COT_ARRAYS({.data = y, .dtype = COT_I32, .n_rows = 4, .row_elements = 1}), COT_BORROW);
 *     cot_logs logs = {0};
 *     if (cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.05),
 *                           .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
 *                           .metrics = {COT_ACCURACY}) != COT_OK ||
 *         cot_model_fit(model, data, .epochs = 200) != COT_OK ||
 *         cot_model_evaluate(model, data, &logs) != COT_OK)
 *         return fprintf(stderr, "%s\n", cot_error_message(ctx)), 1;
 *     printf("accuracy: %.2f\n", cot_logs_get(&logs, "accuracy"));
 *     cot_dataset_destroy(data);
 *     cot_model_destroy(model);
 *     cot_context_destroy(ctx);
 * }
 */
#ifndef COTANGENT_H
#define COTANGENT_H

#include "cotangent/base.h"
#include "cotangent/callbacks.h"
#include "cotangent/checkpoint.h"
#include "cotangent/data.h"
#include "cotangent/graph.h"
#include "cotangent/inspect.h"
#include "cotangent/instruments.h"
#include "cotangent/layers.h"
#include "cotangent/losses.h"
#include "cotangent/model.h"
#include "cotangent/optimizers.h"
#include "cotangent/preprocessing.h"
#include "cotangent/schedules.h"
#include "cotangent/search.h"
#include "cotangent/training.h"
#include "cotangent/weights.h"

#endif
