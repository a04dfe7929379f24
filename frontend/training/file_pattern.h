/* File names with numbers in them, as Keras's ModelCheckpoint forms them by Python's format. */
#ifndef COTI_FILE_PATTERN_H
#define COTI_FILE_PATTERN_H

#include "cotangent/training.h"
#include "runtime/base/str.h"

/*
 * Append the name with every {name} or {name:format} replaced by the number of that name in the
 * logs, "epoch" and "batch" by whole numbers (batch -1: there is none). format: [0][width]
 * [.precision][type], type one of d e f g; d is for whole numbers only. The decimal point is a
 * point in every locale.
 * fails: COT_E_ARG (an unknown name, a bad format), COT_E_NOMEM
 */
cot_status coti_file_pattern(cot_context *context, const char *name, int64_t epoch, int64_t batch,
                             const cot_logs *logs, coti_str *out);

#endif
