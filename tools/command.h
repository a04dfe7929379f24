/* What the sub-commands of `cotangent` share: files, options, exit statuses. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <cotangent.h>

/* Exit statuses: what was asked for held; it failed; it was asked wrongly. */
enum { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

/* Sub-commands: arguments after the command's name. */
int command_dump(int argc, char **argv);
int command_run(int argc, char **argv);
int command_gradcheck(int argc, char **argv);
int command_train(int argc, char **argv);
int command_report(int argc, char **argv);
int command_search(int argc, char **argv);

/* The help text of each, shown by `cotangent COMMAND --help`. */
extern const char *const command_dump_help;
extern const char *const command_run_help;
extern const char *const command_gradcheck_help;
extern const char *const command_train_help;
extern const char *const command_report_help;
extern const char *const command_search_help;

/* One option that takes a value: "--rows 16". kind: 's' string, 'i' integer (>= 0), 'f' number, 'b'
 * no value: a flag. */
typedef struct command_option {
    const char *name;
    char kind;
    void *value; /* const char **, int64_t *, double *, bool * */
} command_option;

/*
 * Parse options (ended by a NULL name) anywhere among the arguments; the others go to operand (at
 * most max_operands). Returns the number of operands, or -1 after a message on stderr.
 */
int command_parse(int argc, char **argv, const command_option *options, const char **operand,
                  int max_operands);

/* The graph in a file ("-": standard input); NULL after a message on stderr. */
cot_graph *command_read_graph(cot_context *context, const char *path);

/* "cotangent COMMAND: the context's error" on stderr; returns COMMAND_FAILED. */
int command_fail(const char *command, const cot_context *context);

/* What each call of the session's plan has cost, a line each, the longest first, after `steps` runs
 * on the program's largest row count; false: no memory. */
bool command_print_profile(const cot_session *session, int64_t steps);

/* A cot_write_fn to the FILE given as user. */
bool command_write(const char *text, size_t bytes, void *user);

/*
 * When the graph has no backward part: append the gradients of its first float scalar output with
 * respect to its float states, or to its float inputs when it has none, as outputs d_<name>.
 * COT_E_ARG when there is no such output.
 */
cot_status command_differentiate(cot_graph *graph);

#endif
