/*
 * A compiled program's insides, and the pipeline that fills it: what compile.c, program.c,
 * session.c and inspect.c share.
 */
#ifndef COTI_COMPILE_H
#define COTI_COMPILE_H

#include "codegen/program.h"
#include "plan.h"

/*
 * Two kinds. On kernels: `plan` holds what `runtime` points to. On the evaluator: `reference` is a
 * graph of its own, `arena` holds the types, and `runtime` serves for binding only, it has no
 * phases.
 */
struct cot_program {
    cot_context *context;
    char *name;
    cotr_program runtime;
    coti_plan *plan;         /* NULL: on the evaluator */
    cot_graph *reference;    /* NULL: on kernels */
    coti_arena arena;        /* owns the tables and the name, and the types of the second kind */
    cot_variable **variable; /* one reference each */
    int32_t n_variables;
    void **constant; /* copies of constant arrays, 64-byte aligned, owned */
    int32_t n_constants;
    cot_program_info info;
    struct coti_compilation *begun; /* until it is finished */
};
typedef struct coti_compilation coti_compilation;

/* ---- compile.c ---- */

/* What is asked of the pipeline beside a graph. */
typedef struct coti_request {
    int64_t max_rows;
    int64_t memory_budget; /* as cot_program_options has it; 0: any */
    coti_stage until;
    const char *note; /* lines for the dumps of stages fuse and plan, each ended; NULL: none */
    char *peak;       /* receives coti_plan_peak's text; NULL: nobody asks */
    size_t peak_bytes;
} coti_request;

/*
 * Compile a graph into a program whose context and name are set and which holds nothing yet.
 * Passes, fusion, plan and code generation, up to stage `until`; each is dumped if the context asks
 * for it. until COTI_STAGE_COUNT: all of it, and where there is no JIT, by the context's option, or
 * for a graph that it has no kernels for, the program runs on the evaluator. Any other `until`: a
 * stage that cannot be reached is an error, and the program is good for nothing but to be
 * destroyed. At until COTI_STAGE_PLAN info tells of the plan.
 * fails: COT_E_NOMEM, COT_E_SHAPE (too large), COT_E_UNSUPPORTED (also a budget for a program on
 * the evaluator), COT_E_CODEGEN, COT_E_DENIED, COT_E_IO (a dump), COT_E_BUDGET. What the program
 * holds then is freed with it.
 */
cot_status coti_compile(const cot_graph *graph, const coti_request *request, cot_program *program);

/*
 * The same in two parts, so that the kernels of several programs of a context are compiled
 * together: to the plan, and machine code for all that have been begun. `graph` and `request` are
 * not needed between the two; what was begun is to be freed before or after its program.
 */
cot_status coti_compile_begin(const cot_graph *graph, const coti_request *request,
                              cot_program *program, coti_compilation **begun_out);
cot_status coti_compile_finish(coti_compilation *const *begun, int32_t n);
void coti_compilation_free(coti_compilation *c);

/* ---- program.c ---- */

/* A program that holds nothing; NULL when memory is short (recorded). Freed by
 * cot_program_destroy. */
cot_program *coti_program_new(cot_context *context, const char *name);

/* Make a program run on kernels: takes *plan, whose calls are linked. graph: the groups' own, whose
 * ids the plan holds. */
cot_status coti_program_take_plan(cot_program *program, const cot_graph *graph, coti_plan **plan);

/* Make a program run on the evaluator: takes *reference. */
cot_status coti_program_take_reference(cot_program *program, cot_graph **reference,
                                       int64_t max_rows);

/*
 * May this graph be compiled with these options (NULL: defaults)? COT_E_ARG: the context has an
 * error already, an option is out of range. request_out: what they ask for, all stages.
 */
cot_status coti_program_check(const cot_graph *graph, const cot_program_options *options,
                              coti_request *request_out);

#endif
