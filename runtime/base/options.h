/* What the environment may set, and how options and environment become a context's fields. */
#ifndef COTI_OPTIONS_H
#define COTI_OPTIONS_H

#include "context.h"

enum { COTI_MAX_THREADS = 1024 };

/* Processors that this process may use, from 1 to COTI_MAX_THREADS (processors.c). */
int32_t coti_count_processors(void);
/* Processors' worth of time in the text of a control group's cpu.max; 0: no limit. */
int64_t coti_parse_cpu_max(const char *text);

/* One environment variable, with the text that help and documentation show. */
typedef struct coti_environment {
    const char *name;
    const char *values; /* what it may be set to */
    const char *help;
} coti_environment;

/* Ends with a row whose name is NULL. */
extern const coti_environment coti_environment_table[];

/*
 * Fill a zeroed context (allocator already set) from options and, unless they forbid it, from the
 * environment, which is read here and never again; an option that is given wins. fails: COT_E_ARG
 * for an option out of range, COT_E_NOMEM. An environment variable that cannot be understood does
 * not fail: it is recorded as the context's first error, so that the next create reports it by
 * name.
 */
cot_status coti_options_apply(cot_context *context, const cot_options *given);

#endif
