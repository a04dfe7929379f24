/* `cotangent dump`: one stage of a graph's compilation, as text. */
#include "command.h"

#include <stdio.h>
#include <string.h>

const char *const command_dump_help =
    "usage: cotangent dump --stage STAGE [--max-rows N] FILE.cot\n\n"
    "Writes one stage of the graph's compilation to standard output (FILE \"-\": standard "
    "input).\n\n"
    "  graph   the graph, as parsed\n"
    "  grad    with its backward part: a graph without one is differentiated first, the first\n"
    "          float scalar output by every float state (by every float input if it has no state)\n"
    "  opt     after simplification, folding and expansion of composites\n"
    "  fuse    the groups of nodes that became kernels, and why each node is where it is\n"
    "  plan    kernels, phases, chains of calls, and where each buffer lives\n"
    "  llvm    LLVM IR of the kernels\n"
    "  asm     assembly of the kernels\n\n"
    "Stages after `grad` show the graph as it is in the file; to see them for a training step, "
    "pipe:\n"
    "  cotangent dump --stage grad FILE.cot | cotangent dump --stage plan -\n";

int command_dump(int argc, char **argv) {
    const char *stage = NULL;
    const char *path = NULL;
    int64_t max_rows = 0;
    const command_option options[] = {
        {"--stage", 's', (void *)&stage}, {"--max-rows", 'i', &max_rows}, {NULL, 0, NULL}};
    if (command_parse(argc, argv, options, &path, 1) != 1 || stage == NULL) {
        (void)fputs(command_dump_help, stderr);
        return COMMAND_USAGE;
    }
    cot_context *context = cot_context_create(NULL);
    if (context == NULL) {
        return COMMAND_FAILED;
    }
    int exit_status = COMMAND_FAILED;
    cot_graph *graph = command_read_graph(context, path);
    if (graph != NULL) {
        cot_status status = COT_OK;
        if (strcmp(stage, "grad") == 0) {
            status = command_differentiate(graph);
        }
        cot_program_options program = {.struct_size = sizeof program, .max_rows = max_rows};
        if (status == COT_OK) {
            status = cot_graph_dump(graph, stage, &program, command_write, stdout);
        }
        if (status == COT_OK) {
            exit_status = COMMAND_OK;
        } else if (cot_error_get(context).status == COT_OK) {
            (void)fprintf(stderr, "cotangent dump: the graph has no float scalar output\n");
        } else {
            exit_status = command_fail("dump", context);
        }
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
    return exit_status;
}
