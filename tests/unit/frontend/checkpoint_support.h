/*
 * What the tests of checkpoints share: a small training with validation and callbacks, its state as
 * bytes, and a directory of their own.
 */
#ifndef CHECKPOINT_SUPPORT_H
#define CHECKPOINT_SUPPORT_H

#include "frontend_support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 22, FEATURES = 5, CLASSES = 3, BATCH = 4, EPOCHS = 3, PATH_ROOM = 512 };

/* ---- a directory ---- */

typedef struct directory {
    char path[PATH_ROOM];
} directory;

UNUSED static directory directory_make(void) {
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    directory d;
    (void)snprintf(d.path, sizeof d.path, "%s/cotangent_XXXXXX", root);
    assert_non_null(mkdtemp(d.path));
    return d;
}

typedef struct file_path {
    char text[2 * PATH_ROOM];
} file_path;

UNUSED static file_path path_in(const directory *d, const char *name) {
    file_path p;
    (void)snprintf(p.text, sizeof p.text, "%s/%s", d->path, name);
    return p;
}

/* How many entries a directory has; -1: it is not there. */
UNUSED static int count_entries(const char *path) {
    DIR *open_directory = opendir(path);
    int n = 0;
    if (open_directory == NULL) {
        return -1;
    }
    for (const struct dirent *e = readdir(open_directory); e != NULL; e = readdir(open_directory)) {
        n += e->d_name[0] != '.' || (e->d_name[1] != '\0' && e->d_name[1] != '.');
    }
    closedir(open_directory);
    return n;
}

/* With all files in it; not deeper. */
UNUSED static void directory_remove(const directory *d) {
    DIR *open_directory = opendir(d->path);
    assert_non_null(open_directory);
    for (const struct dirent *e = readdir(open_directory); e != NULL; e = readdir(open_directory)) {
        (void)unlink(path_in(d, e->d_name).text);
    }
    closedir(open_directory);
    assert_int_equal(rmdir(d->path), 0);
}

typedef struct content {
    unsigned char *data;
    size_t n;
} content;

UNUSED static content read_content(const char *path) {
    struct stat facts;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &facts), 0);
    content c = {malloc((size_t)facts.st_size + 1), (size_t)facts.st_size};
    assert_non_null(c.data);
    assert_int_equal(fread(c.data, 1, c.n, file), c.n);
    fclose(file);
    return c;
}

UNUSED static void write_content(const char *path, const void *data, size_t n) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* ---- a training ---- */

typedef struct trainee {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float x[ROWS * FEATURES];
    int32_t y[ROWS];
} trainee;

/* What trainees are compiled with. */
UNUSED static uint32_t trainee_instruments = 0;

/* Everything as at the first time: a new context, model and data of the same names and numbers. */
UNUSED static trainee *trainee_make(const cot_optimizer *optimizer, uint64_t seed) {
    trainee *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->context = new_context(seed);
    cot_tensor in = cot_input(t->context, COT_F32, COT_SHAPE(FEATURES), "x");
    cot_tensor h = cot_dense(in, 4, .activation = COT_TANH, .name = "hidden");
    cot_tensor out = cot_dense(h, CLASSES, .activation = COT_SOFTMAX, .name = "class");
    t->model = cot_model_create(t->context, COT_TENSORS(in), COT_TENSORS(out), "trainee");
    assert_non_null(t->model);
    CHECK_OK(t->context, cot_model_compile(t->model, .optimizer = optimizer,
                                           .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                           .metrics = {COT_ACCURACY}, .max_batch = BATCH,
                                           .instruments = trainee_instruments));
    fill_g(t->x, ROWS * FEATURES, 3, 2.0);
    for (int i = 0; i < ROWS; i++) {
        t->y[i] = (i * 7 + i / 5) % CLASSES;
    }
    cot_array x = array_of(t->x, ROWS, FEATURES), y = labels_of(t->y, ROWS);
    t->data = cot_dataset_create(t->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
    assert_non_null(t->data);
    return t;
}

UNUSED static void trainee_free(trainee *t) {
    cot_dataset_destroy(t->data);
    cot_model_destroy(t->model);
    cot_context_destroy(t->context);
    free(t);
}

/* ---- its state as bytes ---- */

enum { STATE_ROOM = 1 << 14 };

typedef struct state_bytes {
    unsigned char data[STATE_ROOM];
    size_t n;
} state_bytes;

UNUSED static void add_bytes(state_bytes *s, const cot_variable *variable) {
    size_t n = (size_t)count_of(variable) * cot_dtype_bytes(cot_variable_dtype(variable));
    assert_true(s->n + n <= STATE_ROOM);
    assert_int_equal(cot_variable_get(variable, s->data + s->n, n), COT_OK);
    s->n += n;
}

/* Weights, optimizer state, and the history's numbers. */
UNUSED static state_bytes state_of(const cot_model *model) {
    state_bytes s = {.n = 0};
    for (int32_t i = 0; i < cot_model_n_weights(model); i++) {
        add_bytes(&s, cot_model_weight(model, i));
    }
    for (int32_t i = 0; i < cot_model_n_optimizer_variables(model); i++) {
        add_bytes(&s, cot_model_optimizer_variable(model, i));
    }
    const cot_history *history = cot_model_history(model);
    int32_t n = cot_history_n_epochs(history);
    for (int32_t i = 0; n > 0 && i < cot_history_n_names(history); i++) {
        const double *values = cot_history_values(history, cot_history_name(history, i));
        assert_true(s.n + sizeof(double) * (size_t)n <= STATE_ROOM);
        memcpy(s.data + s.n, values, sizeof(double) * (size_t)n);
        s.n += sizeof(double) * (size_t)n;
    }
    return s;
}

UNUSED static bool same_state(const state_bytes *a, const state_bytes *b) {
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

#endif
