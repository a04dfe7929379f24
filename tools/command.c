/* What the sub-commands share: see command.h. */
#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool set_value(const command_option *option, const char *text) {
    char *end = NULL;
    errno = 0;
    if (option->kind == 's') {
        *(const char **)option->value = text;
        return true;
    }
    if (option->kind == 'i') {
        long long number = strtoll(text, &end, 10);
        *(int64_t *)option->value = number;
        return errno == 0 && end != text && *end == '\0' && number >= 0;
    }
    double number = strtod(text, &end);
    *(double *)option->value = number;
    return end != text && *end == '\0' && isfinite(number);
}

static const command_option *find_option(const command_option *options, const char *name) {
    for (; options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0) {
            return options;
        }
    }
    return NULL;
}

int command_parse(int argc, char **argv, const command_option *options, const char **operand,
                  int max_operands) {
    int n = 0;
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (n == max_operands) {
                (void)fprintf(stderr, "cotangent: too many arguments: '%s'\n", argv[i]);
                return -1;
            }
            operand[n++] = argv[i];
            continue;
        }
        const command_option *option = find_option(options, argv[i]);
        if (option == NULL) {
            (void)fprintf(stderr, "cotangent: unknown option '%s'\n", argv[i]);
            return -1;
        }
        if (option->kind == 'b') {
            *(bool *)option->value = true;
        } else if (i + 1 == argc || !set_value(option, argv[i + 1])) {
            (void)fprintf(stderr, "cotangent: option '%s' needs a %s\n", option->name,
                          option->kind == 's'   ? "text"
                          : option->kind == 'i' ? "whole number, not negative"
                                                : "number");
            return -1;
        } else {
            i++;
        }
    }
    return n;
}

/* The whole of a stream; NULL when it cannot be read or memory is short. The caller frees. */
static char *read_stream(FILE *file, size_t *bytes_out) {
    size_t capacity = 1 << 16;
    size_t count = 0;
    char *text = malloc(capacity);
    while (text != NULL) {
        count += fread(text + count, 1, capacity - count, file);
        if (count < capacity) {
            break;
        }
        char *larger = realloc(text, 2 * capacity);
        if (larger == NULL) {
            free(text);
            return NULL;
        }
        text = larger;
        capacity *= 2;
    }
    if (text != NULL && ferror(file)) {
        free(text);
        return NULL;
    }
    *bytes_out = count;
    return text;
}

cot_graph *command_read_graph(cot_context *context, const char *path) {
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "cotangent: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    size_t bytes = 0;
    char *text = read_stream(file, &bytes);
    if (!standard) {
        (void)fclose(file);
    }
    if (text == NULL) {
        (void)fprintf(stderr, "cotangent: %s: cannot be read\n", path);
        return NULL;
    }
    cot_graph *graph = cot_graph_parse(context, text, bytes);
    free(text);
    if (graph == NULL) {
        (void)fprintf(stderr, "cotangent: %s: %s\n", path, cot_error_message(context));
    }
    return graph;
}

int command_fail(const char *command, const cot_context *context) {
    (void)fprintf(stderr, "cotangent %s: %s\n", command, cot_error_message(context));
    return COMMAND_FAILED;
}

bool command_write(const char *text, size_t bytes, void *user) {
    return fwrite(text, 1, bytes, (FILE *)user) == bytes;
}

static bool is_float(cot_value value) {
    return cot_value_dtype(value) == COT_F32 || cot_value_dtype(value) == COT_F64;
}

/* The first float scalar among the outputs. */
static cot_value find_loss(const cot_graph *graph) {
    for (int32_t i = 0; i < cot_graph_n_outputs(graph); i++) {
        cot_value output = cot_graph_output_at(graph, i);
        if (is_float(output) && cot_value_shape(output).rank == 0) {
            return output;
        }
    }
    return (cot_value){0};
}

/* Append the gradients of y with respect to n values x, all at once, as a training step has them:
 * outputs d_<name>. */
static cot_status append_gradients(cot_value y, const cot_value *x, const char *const *name,
                                   int32_t n, cot_value *gradient) {
    cot_status status = n > 0 ? cot_grad(y, x, n, gradient) : COT_OK;
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        char output[256];
        (void)snprintf(output, sizeof output, "d_%s", name[i]);
        status = cot_graph_output(gradient[i], output);
    }
    return status;
}

cot_status command_differentiate(cot_graph *graph) {
    if (cot_graph_has_backward(graph)) {
        return COT_OK;
    }
    cot_value y = find_loss(graph);
    if (y.graph == NULL) {
        return COT_E_ARG;
    }
    bool by_states = cot_graph_n_states(graph) > 0;
    int32_t n = by_states ? cot_graph_n_states(graph) : cot_graph_n_inputs(graph);
    cot_value *x = calloc(2 * (size_t)n + 1, sizeof *x); /* then their gradients */
    const char **name = (const char **)calloc((size_t)n + 1, sizeof *name);
    int32_t n_floats = 0;
    for (int32_t i = 0; i < n && x != NULL && name != NULL; i++) {
        x[n_floats] = by_states ? cot_graph_state_at(graph, i) : cot_graph_input_at(graph, i);
        name[n_floats] = by_states ? cot_variable_name(cot_graph_state_variable(graph, i))
                                   : cot_graph_input_name(graph, i);
        n_floats += is_float(x[n_floats]);
    }
    cot_status status =
        x != NULL && name != NULL ? append_gradients(y, x, name, n_floats, x + n) : COT_E_NOMEM;
    free(x);
    free((void *)name);
    return status;
}
