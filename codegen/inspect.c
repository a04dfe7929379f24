/*
 * A stage of a graph's compilation as text: the pipeline runs as far as that stage, with the dump
 * of that stage alone turned on and led to the caller.
 */
#include "cotangent/inspect.h"
#include "compile.h"

#include <string.h>

/* The context's dump settings, to be put back. */
typedef struct dump_settings {
    bool dump[COTI_STAGE_COUNT];
    cot_write_fn write;
    void *user;
} dump_settings;

static dump_settings exchange(cot_context *context, const dump_settings *settings) {
    dump_settings before = {.write = context->dump_write, .user = context->dump_user};
    memcpy(before.dump, context->dump, sizeof before.dump);
    memcpy(context->dump, settings->dump, sizeof context->dump);
    context->dump_write = settings->write;
    context->dump_user = settings->user;
    return before;
}

static cot_status dump_compiled(const cot_graph *graph, const coti_request *request,
                                cot_write_fn write, void *user) {
    dump_settings settings = {.write = write, .user = user};
    settings.dump[request->until] = true;
    cot_program *program = coti_program_new(graph->context, graph->name);
    if (program == NULL) {
        return COT_E_NOMEM;
    }
    const dump_settings before = exchange(graph->context, &settings);
    cot_status status = coti_compile(graph, request, program);
    exchange(graph->context, &before);
    cot_program_destroy(program);
    return status;
}

cot_status cot_graph_dump(const cot_graph *graph, const char *stage,
                          const cot_program_options *options, cot_write_fn write, void *user) {
    coti_stage wanted = COTI_STAGE_GRAPH;
    coti_request request;
    if (graph == NULL) {
        return COT_E_ARG;
    }
    if (write == NULL || stage == NULL || !coti_stage_find(stage, &wanted)) {
        return COTI_FAIL(graph->context, COT_E_ARG,
                         "there is no stage \"%.32s\", or nobody to take its text: stages are "
                         "graph, grad, opt, fuse, plan, llvm, asm",
                         stage != NULL ? stage : "(NULL)");
    }
    COTI_TRY(coti_program_check(graph, options, &request));
    if (wanted <= COTI_STAGE_GRAD) {
        return cot_graph_print(graph, write, user);
    }
    request.until = wanted;
    return dump_compiled(graph, &request, write, user);
}
