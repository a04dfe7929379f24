/*
 * What every unit test includes: cmocka, and checks that cmocka lacks. Comparisons of floats are by
 * bits unless a test states its tolerance.
 */
#ifndef CHECK_H
#define CHECK_H

/* cmocka wants these before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "cotangent/base.h"

#include <string.h>

/* A call that must succeed; shows the context's message when it does not. */
#define CHECK_OK(context, expression)                                                              \
    do {                                                                                           \
        cot_status check_status_ = (expression);                                                   \
        if (check_status_ != COT_OK) {                                                             \
            fail_msg("%s: %s: %s", #expression, cot_status_name(check_status_),                    \
                     cot_error_message(context));                                                  \
        }                                                                                          \
    } while (0)

/* The context's error has this status and its message contains this text; it is then cleared. */
#define CHECK_ERROR(context, expected_status, expected_text)                                       \
    do {                                                                                           \
        cot_error check_error_ = cot_error_get(context);                                           \
        if (check_error_.status != (expected_status) ||                                            \
            strstr(check_error_.message, (expected_text)) == NULL) {                               \
            fail_msg("expected %s with \"%s\", found %s: %s", cot_status_name(expected_status),    \
                     (expected_text), cot_status_name(check_error_.status), check_error_.message); \
        }                                                                                          \
        cot_error_clear(context);                                                                  \
    } while (0)

/* A text function's result: NULL when all is well. */
#define CHECK_NO_COMPLAINT(expression)                                                             \
    do {                                                                                           \
        const char *check_complaint_ = (expression);                                               \
        if (check_complaint_ != NULL) {                                                            \
            fail_msg("%s: %s", #expression, check_complaint_);                                     \
        }                                                                                          \
    } while (0)

#endif
