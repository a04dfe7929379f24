/* `cotangent search`: hyper-parameters of a built-in example, chosen on the validation set. */
#include "command.h"

#include "../examples/console.h"
#include "builtin.h"
#include "report/run.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

const char *const command_search_help =
    "usage: cotangent search EXAMPLE RANGES [options]\n\n"
    "Trains the example (fashion-mnist or cifar10, as `cotangent train` has them) with many "
    "choices of\n"
    "what ranges are given for, side by side; shows them as a table, the best first, and "
    "evaluates\n"
    "the test set once, by the best one with the weights of its best epoch.\n\n"
    "  --learning-rate R  --momentum R (of sgd)\n"
    "  --units R (of every hidden layer)  --layers R (hidden ones, 0 to 64)  --batch R\n"
    "  --activation NAMES  --optimizer NAMES (sgd, adam, adamw, nadam, rmsprop, adagrad)\n\n"
    "R is A..B, every number as probable, log:A..B, every order of magnitude as probable, or a "
    "list\n"
    "A,B,C of up to 64; of units, layers and batch A..B are whole numbers. A..B:N takes in a grid\n"
    "N points (5), or of whole numbers every N-th. NAMES are a list.\n\n"
    "  --method NAME         random, grid, or halving (train all a little, the best on): random\n"
    "  --trials N            how many (10; grid: all)\n"
    "  --epochs N            10\n"
    "  --min-epochs N        halving: before the first choice: 1\n"
    "  --factor N            halving: of so many one goes on: 3\n"
    "  --monitor NAME        what is best: val_loss, or val_accuracy\n"
    "  --validation-split X  share of the training rows kept for validation: 0.1\n"
    "  --rows N              of the training set, the first so many: all\n"
    "  --side-by-side N      trials at once: as many as threads\n"
    "  --seed N              of choices, initial weights and shuffles: 0\n"
    "  --data DIR            folder of the data set's files\n"
    "  --no-test             leave the test set alone\n"
    "  --output FILE         a page of HTML with curves, a chart an option and the table\n"
    "  --csv FILE            the table\n"
    "  --save FILE           the best weights\n\n"
    "Ctrl-C ends the search; what there is by then is shown.\n";

enum { LEARNING_RATE, MOMENTUM, UNITS, LAYERS, BATCH, ACTIVATION, OPTIMIZER, N_OPTIONS };
enum { MOST_ENTRIES = 64 };

/* kind: 'f' numbers, 'i' whole numbers, 't' names. */
static const struct {
    const char *flag, *name;
    char kind;
} table[N_OPTIONS] = {{"--learning-rate", "learning_rate", 'f'},
                      {"--momentum", "momentum", 'f'},
                      {"--units", "units", 'i'},
                      {"--layers", "layers", 'i'},
                      {"--batch", "batch", 'i'},
                      {"--activation", "activation", 't'},
                      {"--optimizer", "optimizer", 't'}};

static const char *const optimizer_name[] = {"sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad"};
enum { N_OPTIMIZERS = sizeof optimizer_name / sizeof optimizer_name[0] };

/* A range as it was given, and what it refers to. */
typedef struct given_range {
    const char *text; /* NULL: none was given */
    cot_range range;
    double number[MOST_ENTRIES];
    char *word; /* the text, cut at commas */
    const char *entry[MOST_ENTRIES];
} given_range;

typedef struct search_options {
    const builtin *example;
    given_range given[N_OPTIONS];
    const char *method, *monitor, *data, *output, *csv, *save;
    int64_t trials, epochs, min_epochs, factor, rows, side_by_side, seed;
    double validation_split;
    bool no_test;
    cot_console console;
    int32_t n_ended;
    bool is_drawn; /* a line of the terminal shows where it is */
} search_options;

static volatile int32_t cancelled; /* set by the signal handler */

static void on_interrupt(int signal_number) {
    (void)signal_number;
    cancelled = 1;
}

/* ---- ranges ---- */

/* All of a piece of text as a number. */
static bool read_number(const char *text, size_t n, double *value_out) {
    char copy[64];
    char *end = NULL;
    if (n == 0 || n >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    *value_out = strtod(copy, &end);
    return *end == '\0' && isfinite(*value_out);
}

/* "A..B", "A..B:N", dots being where ".." is. */
static bool read_interval(given_range *g, const char *text, const char *dots, bool is_log,
                          bool whole) {
    const char *high = dots + 2, *colon = strchr(high, ':');
    double n = 0.0;
    size_t length = colon != NULL ? (size_t)(colon - high) : strlen(high);
    bool fine = read_number(text, (size_t)(dots - text), &g->range.low) &&
                read_number(high, length, &g->range.high) &&
                (colon == NULL || read_number(colon + 1, strlen(colon + 1), &n)) && n >= 0.0 &&
                n <= 1e6 && !(is_log && whole);
    g->range.kind = whole ? COT_RANGE_INTEGERS : is_log ? COT_RANGE_LOG_UNIFORM : COT_RANGE_UNIFORM;
    if (whole) {
        g->range.step = n;
    } else {
        g->range.points = (int32_t)n;
    }
    return fine;
}

/* "A,B,C", not more than MOST_ENTRIES. */
static bool read_list(given_range *g, bool is_text) {
    int32_t n = 0;
    g->word = strdup(g->text);
    char *at = g->word;
    for (; at != NULL && n < MOST_ENTRIES; n++) {
        char *comma = strchr(at, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        g->entry[n] = at;
        if (at[0] == '\0' || (!is_text && !read_number(at, strlen(at), &g->number[n]))) {
            return false;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    g->range.kind = is_text ? COT_RANGE_TEXTS : COT_RANGE_NUMBERS;
    g->range.number = g->number;
    g->range.text = g->entry;
    g->range.n = n;
    return g->word != NULL && at == NULL;
}

static bool read_range(given_range *g, int option) {
    const char *text = g->text;
    const bool is_log = strncmp(text, "log:", 4) == 0;
    text += is_log ? 4 : 0;
    const char *dots = table[option].kind != 't' ? strstr(text, "..") : NULL;
    g->range.name = table[option].name;
    bool fine = dots != NULL ? read_interval(g, text, dots, is_log, table[option].kind == 'i')
                             : !is_log && read_list(g, table[option].kind == 't');
    for (int32_t i = 0; fine && table[option].kind == 'i' && i < g->range.n; i++) {
        fine = g->number[i] == floor(g->number[i]);
    }
    if (!fine) {
        (void)fprintf(stderr, "cotangent search: %s \"%s\" is no range of %s\n", table[option].flag,
                      g->text,
                      table[option].kind == 't'   ? "names"
                      : table[option].kind == 'i' ? "whole numbers"
                                                  : "numbers");
    }
    return fine;
}

/* The activation of this name; false if there is none. */
static bool find_activation(const char *name, cot_activation_kind *kind_out) {
    for (int kind = 0; strcmp(cot_activation_name((cot_activation_kind)kind), "?") != 0; kind++) {
        if (strcmp(cot_activation_name((cot_activation_kind)kind), name) == 0) {
            *kind_out = (cot_activation_kind)kind;
            return true;
        }
    }
    return false;
}

static int find_optimizer(const char *name) {
    int i = 0;
    while (i < N_OPTIMIZERS && strcmp(optimizer_name[i], name) != 0) {
        i++;
    }
    return i;
}

/* Are all names known, and layers not too many? */
static bool check_entries(const search_options *o) {
    const cot_range *names = &o->given[ACTIVATION].range, *layers = &o->given[LAYERS].range;
    cot_activation_kind kind = COT_RELU;
    for (int32_t i = 0; o->given[ACTIVATION].text != NULL && i < names->n; i++) {
        if (!find_activation(names->text[i], &kind)) {
            (void)fprintf(stderr, "cotangent search: unknown activation '%s'\n", names->text[i]);
            return false;
        }
    }
    names = &o->given[OPTIMIZER].range;
    for (int32_t i = 0; o->given[OPTIMIZER].text != NULL && i < names->n; i++) {
        if (find_optimizer(names->text[i]) == N_OPTIMIZERS) {
            (void)fprintf(stderr, "cotangent search: unknown optimizer '%s'\n", names->text[i]);
            return false;
        }
    }
    bool fine = layers->low >= 0.0 && layers->high <= BUILTIN_MOST_LAYERS;
    for (int32_t i = 0; i < layers->n; i++) {
        fine = fine && layers->number[i] >= 0.0 && layers->number[i] <= BUILTIN_MOST_LAYERS;
    }
    if (!fine) {
        (void)fprintf(stderr, "cotangent search: --layers are 0 to %d\n", BUILTIN_MOST_LAYERS);
    }
    return fine;
}

static void free_ranges(search_options *o) {
    for (int i = 0; i < N_OPTIONS; i++) {
        free(o->given[i].word);
    }
}

/* ---- a trial ---- */

static bool has(const search_options *o, int option) {
    return o->given[option].text != NULL;
}

/* A zero that is given is meant; as an option's zero it would be the default. */
static double given_number(double number) {
    return number == 0.0 ? COT_ZERO : number;
}

static cot_status compile(cot_model *model, const cot_trial *trial, const search_options *o,
                          int64_t batch) {
    const double rate =
        has(o, LEARNING_RATE) ? given_number(cot_trial_float(trial, "learning_rate")) : 0.0;
    const double momentum = has(o, MOMENTUM) ? cot_trial_float(trial, "momentum") : 0.0;
    const char *name =
        has(o, OPTIMIZER) ? cot_trial_text(trial, "optimizer") : o->example->optimizer;
    const cot_optimizer *optimizer[N_OPTIMIZERS + 1] = {
        cot_sgd(.learning_rate = rate, .momentum = momentum),
        cot_adam(.learning_rate = rate),
        cot_adamw(.learning_rate = rate),
        cot_nadam(.learning_rate = rate),
        cot_rmsprop(.learning_rate = rate),
        cot_adagrad(.learning_rate = rate)};
    return cot_model_compile(model, .optimizer = optimizer[find_optimizer(name)],
                             .loss = o->example->loss, .metrics = {COT_ACCURACY},
                             .max_batch = batch);
}

static cot_model *build(const cot_trial *trial, cot_fit_options *fit, void *user) {
    const search_options *o = user;
    builtin_shape shape = builtin_default(o->example);
    if (has(o, LAYERS)) {
        const int64_t last = shape.units[shape.n_hidden - 1];
        const int32_t own = shape.n_hidden;
        shape.n_hidden = (int32_t)cot_trial_int(trial, "layers");
        for (int32_t i = own; i < shape.n_hidden; i++) {
            shape.units[i] = last;
        }
    }
    for (int32_t i = 0; has(o, UNITS) && i < shape.n_hidden; i++) {
        shape.units[i] = cot_trial_int(trial, "units");
    }
    if (has(o, ACTIVATION)) {
        (void)find_activation(cot_trial_text(trial, "activation"), &shape.activation);
    }
    fit->batch_size = has(o, BATCH) ? cot_trial_int(trial, "batch") : 128;
    cot_model *model = builtin_build(cot_trial_context(trial), o->example, &shape);
    if (model != NULL) {
        (void)compile(model, trial, o, fit->batch_size); /* the context has the error */
    }
    return model;
}

/* ---- what is shown meanwhile ---- */

static void clear_line(search_options *o) {
    if (o->is_drawn) {
        (void)fputs("\r\033[K", stdout);
        o->is_drawn = false;
    }
}

static cot_status show_epoch(const cot_trial *trial, void *user) {
    search_options *o = user;
    const cot_trial_info info = cot_trial_get_info(trial);
    if (o->console.terminal) {
        clear_line(o);
        (void)printf("%d trials have ended; trial %d: epoch %d, best %s %.5g", (int)o->n_ended,
                     (int)cot_trial_index(trial), (int)info.n_epochs, o->monitor, info.value);
        (void)fflush(stdout);
        o->is_drawn = true;
    }
    return COT_OK;
}

static cot_status show_trial(const cot_trial *trial, void *user) {
    search_options *o = user;
    const cot_trial_info info = cot_trial_get_info(trial);
    clear_line(o);
    o->n_ended++;
    (void)printf("trial %d: %s after %d epochs", (int)cot_trial_index(trial),
                 cot_trial_state_name(info.state), (int)info.n_epochs);
    if (isfinite(info.value)) {
        (void)printf(", %s %.5g", o->monitor, info.value);
    }
    for (int i = 0; i < N_OPTIONS; i++) {
        if (has(o, i) && o->given[i].range.kind == COT_RANGE_TEXTS) {
            (void)printf("  %s %s", table[i].name, cot_trial_text(trial, table[i].name));
        } else if (has(o, i)) {
            (void)printf("  %s %.5g", table[i].name, cot_trial_float(trial, table[i].name));
        }
    }
    (void)printf("\n");
    (void)fflush(stdout);
    return COT_OK;
}

/* ---- the search ---- */

static bool find_method(const char *name, cot_search_method *method_out) {
    static const char *const names[] = {[COT_SEARCH_RANDOM] = "random",
                                        [COT_SEARCH_GRID] = "grid",
                                        [COT_SEARCH_HALVING] = "halving"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            *method_out = (cot_search_method)i;
            return true;
        }
    }
    (void)fprintf(stderr, "cotangent search: unknown method '%s': random, grid or halving\n", name);
    return false;
}

static bool write_page(const cot_search_result *result, const search_options *o) {
    FILE *out = fopen(o->output, "w");
    if (out != NULL) {
        report_search_write(out, o->example->name, result);
    }
    bool written = out != NULL && fflush(out) == 0 && !ferror(out);
    if (!written) {
        (void)fprintf(stderr, "cotangent search: %s: %s\n", o->output, strerror(errno));
    }
    return out == NULL || fclose(out) == 0 ? written : false;
}

static bool write_table(const cot_search_result *result, const search_options *o) {
    FILE *out = fopen(o->csv, "w");
    bool written = out != NULL && cot_search_write_csv(result, command_write, out) == COT_OK &&
                   fflush(out) == 0;
    if (!written) {
        (void)fprintf(stderr, "cotangent search: %s: %s\n", o->csv, strerror(errno));
    }
    return out == NULL || fclose(out) == 0 ? written : false;
}

/* Table, files and the test's number of what there is. */
static bool show(const cot_search_result *result, const search_options *o) {
    bool fine = cot_search_write_table(result, command_write, stdout) == COT_OK;
    cot_logs test = cot_search_test(result);
    cot_model *model = cot_search_model(result);
    fine = (o->output == NULL || write_page(result, o)) && fine;
    fine = (o->csv == NULL || write_table(result, o)) && fine;
    if (o->save != NULL && model != NULL && cot_model_save_weights(model, o->save) != COT_OK) {
        (void)command_fail("search", cot_model_context(model));
        fine = false;
    }
    if (test.n > 0) {
        (void)printf("test accuracy: %.4f\n", cot_logs_get(&test, "accuracy"));
    }
    return fine;
}

/* The first rows; takes the data set. */
static cot_dataset *first_rows(cot_dataset *data, int64_t n) {
    if (n == 0 || data == NULL || n >= cot_dataset_n_rows(data)) {
        return data;
    }
    cot_dataset *rows = cot_dataset_slice(data, 0, n);
    cot_dataset_destroy(data);
    return rows;
}

static int search(cot_context *context, search_options *o, cot_search_method method,
                  cot_range_list ranges) {
    cot_dataset *data = first_rows(o->example->read_training(context, o->data), o->rows);
    cot_dataset *test =
        data != NULL && !o->no_test ? o->example->read_test(context, o->data) : NULL;
    cot_search_result *result = NULL;
    cot_status status = cot_error_get(context).status;
    if (status == COT_OK) {
        status = cot_search(context, &result, build, .user = o, .ranges = ranges, .data = data,
                            .validation_split = o->validation_split, .test_data = test,
                            .method = method, .trials = (int32_t)o->trials,
                            .epochs = (int32_t)o->epochs, .min_epochs = (int32_t)o->min_epochs,
                            .factor = (int32_t)o->factor, .monitor = o->monitor,
                            .side_by_side = (int32_t)o->side_by_side, .cancel = &cancelled,
                            .on_epoch_end = show_epoch, .on_trial_end = show_trial);
    }
    clear_line(o);
    int exit_status = status == COT_OK ? COMMAND_OK : command_fail("search", context);
    if (result != NULL && !show(result, o)) {
        exit_status = COMMAND_FAILED;
    }
    cot_search_result_destroy(result);
    cot_dataset_destroy(test);
    cot_dataset_destroy(data);
    return exit_status;
}

static int run(search_options *o) {
    cot_range range[N_OPTIONS];
    cot_search_method method = COT_SEARCH_RANDOM;
    int32_t n = 0;
    for (int i = 0; i < N_OPTIONS; i++) {
        if (has(o, i) && !read_range(&o->given[i], i)) {
            return COMMAND_USAGE;
        }
        if (has(o, i)) {
            range[n++] = o->given[i].range;
        }
    }
    if (n == 0) {
        (void)fputs(command_search_help, stderr);
        return COMMAND_USAGE;
    }
    if (!check_entries(o) || !find_method(o->method, &method)) {
        return COMMAND_USAGE;
    }
    const cot_options options = {.struct_size = sizeof options, .seed = (uint64_t)o->seed};
    cot_context *context = cot_context_create(&options);
    if (context == NULL) {
        return COMMAND_FAILED;
    }
    cancelled = 0;
    (void)signal(SIGINT, on_interrupt);
    int exit_status = search(context, o, method, (cot_range_list){range, n});
    cot_context_destroy(context);
    return exit_status;
}

/* Counts that the library takes as 32 bits, and where the data are. */
static bool complete(search_options *o) {
    const int64_t count[] = {o->trials, o->epochs, o->min_epochs, o->factor, o->side_by_side};
    for (size_t i = 0; i < sizeof count / sizeof count[0]; i++) {
        if (count[i] > INT32_MAX) {
            (void)fprintf(stderr, "cotangent search: %lld is too many\n", (long long)count[i]);
            return false;
        }
    }
    o->data = o->data != NULL ? o->data : o->example->data;
    if (o->data == NULL) {
        (void)fprintf(stderr, "cotangent search: %s needs --data DIR\n", o->example->name);
        return false;
    }
    return true;
}

int command_search(int argc, char **argv) {
    search_options o = {.method = "random",
                        .monitor = "val_loss",
                        .validation_split = 0.1,
                        .console = console_of(stdout)};
    command_option options[N_OPTIONS + 17] = {{"--method", 's', (void *)&o.method},
                                              {"--trials", 'i', &o.trials},
                                              {"--epochs", 'i', &o.epochs},
                                              {"--min-epochs", 'i', &o.min_epochs},
                                              {"--factor", 'i', &o.factor},
                                              {"--monitor", 's', (void *)&o.monitor},
                                              {"--validation-split", 'f', &o.validation_split},
                                              {"--rows", 'i', &o.rows},
                                              {"--side-by-side", 'i', &o.side_by_side},
                                              {"--seed", 'i', &o.seed},
                                              {"--data", 's', (void *)&o.data},
                                              {"--no-test", 'b', &o.no_test},
                                              {"--output", 's', (void *)&o.output},
                                              {"--csv", 's', (void *)&o.csv},
                                              {"--save", 's', (void *)&o.save}};
    int n = 0;
    while (options[n].name != NULL) {
        n++;
    }
    for (int i = 0; i < N_OPTIONS; i++) {
        options[n++] = (command_option){table[i].flag, 's', (void *)&o.given[i].text};
    }
    const char *name = NULL;
    int n_operands = command_parse(argc, argv, options, &name, 1);
    o.example = builtin_find(name);
    if (n_operands != 1 || o.example == NULL) {
        if (n_operands >= 0) {
            (void)fputs(command_search_help, stderr);
        }
        return COMMAND_USAGE;
    }
    int exit_status = complete(&o) ? run(&o) : COMMAND_USAGE;
    free_ranges(&o);
    return exit_status;
}
