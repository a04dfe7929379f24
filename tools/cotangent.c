/* The command `cotangent`: look at a graph's way to machine code, run it, check its gradients,
 * train, choose hyper-parameters, show what a training came to. */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *const *help;
    const char *summary;
} commands[] = {
    {"dump", command_dump, &command_dump_help, "show a stage of a graph's compilation"},
    {"run", command_run, &command_run_help, "run a graph, time it, compare kernels and evaluator"},
    {"gradcheck", command_gradcheck, &command_gradcheck_help, "check a graph's gradients"},
    {"train", command_train, &command_train_help, "train one of the built-in examples"},
    {"search", command_search, &command_search_help, "choose hyper-parameters of an example"},
    {"report", command_report, &command_report_help, "show a training's log as a page of HTML"},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *file) {
    (void)fputs("usage: cotangent COMMAND ...\n\n"
                "Cotangent compiles tensor graphs, with their gradients, to fused kernels for the "
                "CPU.\n\n",
                file);
    for (int i = 0; i < N_COMMANDS; i++) {
        (void)fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fputs(
        "\n`cotangent COMMAND --help` tells more. A graph in a file looks like this:\n\n"
        "  graph @line(%x: f32[N,3], state %w: f32[3]) {\n"
        "    %0 = dot %x, %w {a_batch=[], b_batch=[], a_contract=[1], b_contract=[0]} : f32[N]\n"
        "    %1 = mul %0, %0 : f32[N]\n"
        "    %2 = sum %1 {axes=[0]} : f32[]\n"
        "    return loss=%2\n"
        "  }\n\n"
        "Environment: COT_THREADS, COT_ISA, COT_JIT, COT_FUSE, COT_OPT, COT_PLAN, COT_VERIFY, "
        "COT_SEED,\nCOT_DUMP, COT_DUMP_DIR, COT_CACHE and COT_CACHE_DIR; the README explains "
        "them.\n",
        file);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return COMMAND_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return COMMAND_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("cotangent %s\n", cot_version());
        return COMMAND_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) {
            continue;
        }
        for (int k = 2; k < argc; k++) {
            if (strcmp(argv[k], "--help") == 0) {
                (void)fputs(*commands[i].help, stdout);
                return COMMAND_OK;
            }
        }
        return commands[i].run(argc - 2, argv + 2);
    }
    (void)fprintf(stderr, "cotangent: unknown command '%s'; `cotangent --help` lists them\n",
                  argv[1]);
    return COMMAND_USAGE;
}
