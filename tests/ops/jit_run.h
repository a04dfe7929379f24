/*
 * Running a graph case through programs and sessions, with guards around what they write.
 */
#ifndef JIT_RUN_H
#define JIT_RUN_H

#include "graph_case.h"

/* How a program is made and run. */
typedef struct jit_setup {
    int64_t max_rows;
    int32_t threads;
} jit_setup;

/* Compile, check that kernels were compiled, make a session, bind inputs. */
typedef struct jit_run {
    cot_program *program;
    cot_session *session;
} jit_run;

/* NULL when all is well, else what went wrong, in `buffer`. Must be closed either way. */
const char *jit_open(char buffer[256], const graph_case *g, jit_setup setup, jit_run *run);
void jit_close(jit_run *run);

/*
 * One run over the case's inputs; output y into *out. Checks that nothing around the output and
 * nothing in the inputs was written. NULL when all is well.
 */
const char *jit_step(char buffer[256], pool *p, const jit_run *run, const graph_case *g,
                     int64_t rows, tensor *out);

#endif
