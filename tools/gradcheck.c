/* `cotangent gradcheck`: a graph's derivatives against finite differences. */
#include "command.h"

#include <stdio.h>

const char *const command_gradcheck_help =
    "usage: cotangent gradcheck [options] FILE.cot\n\n"
    "Checks the derivatives of the graph's float outputs by its float inputs and states (FILE "
    "\"-\":\n"
    "standard input), in f64 on the reference evaluator: along random directions, forward over\n"
    "reverse against reverse, and element by element. A line an input and a verdict. Exit status "
    "1\n"
    "if a derivative is wrong: the smallest part of the graph that fails is then written as text,\n"
    "and the verdict names the element, the operation and the layer.\n\n"
    "  --f32            also the gradient in the graph's own dtypes, within what rounding "
    "explains\n"
    "  --second         also the derivatives of the gradient, Hessian-vector products among them\n"
    "  --full           every element of the Jacobian, whatever its size\n"
    "  --rows N         rows of the batched inputs: 3\n"
    "  --tolerance X    largest relative error: 1e-6\n"
    "  --second-tolerance X  and of second order: 1e-5\n"
    "  --step X         of the differences, relative to max(1, |x|): 1e-3\n"
    "  --directions N   random directions: 3\n"
    "  --elements N     inputs of up to N elements are checked in each: 64\n"
    "  --seed N         of points and directions: 0\n"
    "  --quiet          only the verdict\n";

int command_gradcheck(int argc, char **argv) {
    const char *path = NULL;
    int64_t rows = 0;
    int64_t directions = 0;
    int64_t elements = 0;
    int64_t seed = 0;
    double tolerance = 0.0;
    double second_tolerance = 0.0;
    double step = 0.0;
    bool f32 = false;
    bool second = false;
    bool full = false;
    bool quiet = false;
    const command_option table[] = {{"--rows", 'i', &rows},
                                    {"--tolerance", 'f', &tolerance},
                                    {"--second-tolerance", 'f', &second_tolerance},
                                    {"--step", 'f', &step},
                                    {"--directions", 'i', &directions},
                                    {"--elements", 'i', &elements},
                                    {"--seed", 'i', &seed},
                                    {"--f32", 'b', &f32},
                                    {"--second", 'b', &second},
                                    {"--full", 'b', &full},
                                    {"--quiet", 'b', &quiet},
                                    {NULL, 0, NULL}};
    if (command_parse(argc, argv, table, &path, 1) != 1 || directions > INT32_MAX) {
        (void)fputs(command_gradcheck_help, stderr);
        return COMMAND_USAGE;
    }
    cot_context *context = cot_context_create(NULL);
    if (context == NULL) {
        return COMMAND_FAILED;
    }
    cot_gradcheck_options options = {.struct_size = sizeof options,
                                     .rows = rows,
                                     .tolerance = tolerance,
                                     .second_tolerance = second_tolerance,
                                     .step = step,
                                     .n_directions = (int32_t)directions,
                                     .max_elements = elements,
                                     .seed = (uint64_t)seed,
                                     .f32 = f32 ? COT_ON : COT_OFF,
                                     .second = second ? COT_ON : COT_OFF,
                                     .jacobian = full ? COT_ON : COT_DEFAULT,
                                     .write = quiet ? NULL : command_write,
                                     .user = stdout};
    int exit_status = COMMAND_FAILED;
    cot_graph *graph = command_read_graph(context, path);
    if (graph != NULL) {
        cot_gradcheck_report report = {0};
        if (cot_gradcheck(graph, &options, &report) != COT_OK) {
            exit_status = command_fail("gradcheck", context);
        } else {
            (void)printf("%s: %s\n", report.passed ? "passed" : "failed", report.message);
            exit_status = report.passed ? COMMAND_OK : COMMAND_FAILED;
        }
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
    return exit_status;
}
