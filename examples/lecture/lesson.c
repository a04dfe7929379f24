/* What every program on the lecture shares, see lesson.h. */
#include "lesson.h"

#include "../datasets.h"

#include <stdarg.h>

enum { SKIPPED = 77 };

/* ---- beginning ---- */

static bool parse_options(lesson *l, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            l->quick = true;
        } else if (strcmp(argv[i], "--markdown") == 0) {
            l->markdown = true;
        } else if (strcmp(argv[i], "--pictures") == 0 && i + 1 < argc) {
            l->pictures = argv[++i];
        } else if (strcmp(argv[i], "--data") == 0 && i + 1 < argc) {
            l->data_dir = argv[++i];
        } else {
            (void)fprintf(stderr,
                          "usage: %s [--quick] [--pictures DIR] [--data DIR] [--markdown]\n",
                          l->text->name);
            return false;
        }
    }
    return true;
}

/* Lines of up to 110 characters, each after a mark. */
static void print_wrapped(const char *mark, const char *text, const char *after) {
    enum { COLUMNS = 110 };
    int column = 0;
    (void)fputs(mark, stdout);
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + word > COLUMNS) {
            (void)printf("\n%s", mark);
            column = 0;
        }
        (void)printf("%s%.*s", column > 0 ? " " : "", word, text);
        column += word + (column > 0);
        text += word;
        text += *text == ' ';
    }
    (void)fputs(after, stdout);
}

static void print_claim(const lesson *l) {
    const lesson_text *text = l->text;
    (void)printf(l->markdown ? "## %s\n\n" : "%s\n\n", text->title);
    print_wrapped(l->markdown ? "> " : "  | ", text->lecture, "\n\n");
    print_wrapped("", text->what, "\n\n");
    if (l->markdown) {
        (void)printf("![%s](%s.svg)\n\n[%s.c](../../examples/lecture/%s.c) prints:\n\n```\n",
                     text->title, text->name, text->name, text->name);
    }
    (void)fflush(stdout);
}

bool lesson_begin(lesson *l, const lesson_text *text, int argc, char **argv) {
    *l = (lesson){.text = text, .pictures = ".", .data_dir = FASHION_MNIST_DIR};
    if (!parse_options(l, argc, argv)) {
        l->exit_status = 2;
        return false;
    }
    l->context = cot_context_create(NULL);
    if (l->context == NULL) {
        (void)fprintf(stderr, "%s: no memory, or an invalid option\n", text->name);
        l->exit_status = EXIT_FAILURE;
        return false;
    }
    print_claim(l);
    return true;
}

bool lesson_data(lesson *l) {
    char labels[PATH_MAX];
    (void)snprintf(labels, sizeof labels, "%s/train-labels-idx1-ubyte", l->data_dir);
    size_t end = strlen(labels);
    (void)snprintf(labels + end, sizeof labels - end, ".gz");
    bool there = access(labels, R_OK) == 0;
    labels[end] = '\0';
    if (!there && access(labels, R_OK) != 0) {
        (void)fprintf(stderr,
                      "%s: Fashion-MNIST is not in %s, so nothing is shown: install Debian's "
                      "package dataset-fashion-mnist, or say --data DIR\n",
                      l->text->name, l->data_dir);
        l->exit_status = SKIPPED;
        return false;
    }
    cot_dataset *all = read_fashion_mnist(l->context, l->data_dir, "train");
    l->test = read_fashion_mnist(l->context, l->data_dir, "t10k");
    if (lesson_made(l, all) && lesson_made(l, l->test)) {
        l->train = cot_dataset_slice(all, 0, LESSON_ROWS);
        l->validation = cot_dataset_slice(all, LESSON_ROWS, cot_dataset_n_rows(all) - LESSON_ROWS);
        (void)(lesson_made(l, l->train) && lesson_made(l, l->validation));
    }
    cot_dataset_destroy(all);
    return l->exit_status == 0;
}

/* ---- claims ---- */

bool lesson_good(lesson *l, cot_status status) {
    if (status != COT_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", l->text->name, cot_status_name(status),
                      cot_error_message(l->context));
        l->exit_status = EXIT_FAILURE;
    }
    return status == COT_OK;
}

bool lesson_made(lesson *l, const void *object) {
    if (object == NULL) {
        (void)lesson_good(l, cot_error_get(l->context).status);
        l->exit_status = EXIT_FAILURE;
    }
    return object != NULL;
}

void lesson_claim(lesson *l, bool holds, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs(holds ? "seen: " : "NOT SEEN: ", stdout);
    (void)vprintf(format, arguments);
    (void)putchar('\n');
    va_end(arguments);
    if (!holds) {
        (void)fprintf(stderr, "%s: a claim was not seen\n", l->text->name);
        l->exit_status = EXIT_FAILURE;
    }
}

/* ---- picture, end ---- */

void lesson_picture(lesson *l, const figure_panel *panel, size_t n, size_t columns) {
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s.svg", l->pictures, l->text->name);
    if (!figure_write(path, l->text->title, panel, n, columns)) {
        (void)fprintf(stderr, "%s: %s could not be written\n", l->text->name, path);
        l->exit_status = EXIT_FAILURE;
    } else if (!l->markdown) {
        (void)printf("picture: %s\n", path);
    }
}

int lesson_end(lesson *l) {
    if (l->markdown) {
        (void)puts("```\n");
    }
    cot_dataset_destroy(l->train);
    cot_dataset_destroy(l->validation);
    cot_dataset_destroy(l->test);
    cot_context_destroy(l->context);
    return l->exit_status;
}

/* ---- two weights ---- */

static bool take_steps(lesson *l, cot_model *model, int n, double *w1, double *w2) {
    const float one = 1.0F, none[2] = {0.0F, 0.0F};
    cot_dataset *row = cot_dataset_create(
        l->context, COT_ARRAYS({.data = &one, .dtype = COT_F32, .n_rows = 1, .row_elements = 1}),
        COT_ARRAYS({.data = none, .dtype = COT_F32, .n_rows = 1, .row_elements = 2}), COT_BORROW);
    cot_variable *weights = cot_model_find_weight(model, "w/kernel");
    float w[2] = {(float)w1[0], (float)w2[0]};
    bool good = lesson_made(l, row) && lesson_good(l, cot_variable_set(weights, w, sizeof w));
    for (int i = 1; i <= n && good; i++) {
        good = lesson_good(l, cot_model_train_on_batch(model, row, NULL)) &&
               lesson_good(l, cot_variable_get(weights, w, sizeof w));
        w1[i] = (double)w[0];
        w2[i] = (double)w[1];
    }
    cot_dataset_destroy(row);
    return good;
}

bool lesson_descend(lesson *l, const cot_optimizer *optimizer, cot_row_function loss, int n,
                    double *w1, double *w2) {
    cot_tensor one = cot_input(l->context, COT_F32, COT_SHAPE(1), "one");
    cot_tensor w = cot_dense(one, 2, .use_bias = COT_OFF, .name = "w");
    cot_model *model = cot_model_create(l->context, COT_TENSORS(one), COT_TENSORS(w), NULL);
    bool good =
        lesson_made(l, model) &&
        lesson_good(l, cot_model_compile(model, .optimizer = optimizer, .loss = COT_CUSTOM_LOSS,
                                         .loss_options = cot_loss_numbers(.function = loss))) &&
        take_steps(l, model, n, w1, w2);
    cot_model_destroy(model);
    return good;
}

/* ---- histories ---- */

figure_line lesson_curve(const cot_model *model, const char *name, const char *label, int color,
                         figure_style style) {
    const cot_history *history = cot_model_history(model);
    const double *values = cot_history_values(history, name);
    return (figure_line){.label = label,
                         .color = color,
                         .style = style,
                         .n = values == NULL ? 0 : (size_t)cot_history_n_epochs(history),
                         .y = values};
}

double lesson_last(const cot_model *model, const char *name) {
    figure_line curve = lesson_curve(model, name, NULL, 0, FIGURE_SOLID);
    return curve.n == 0 ? NAN : curve.y[curve.n - 1];
}
