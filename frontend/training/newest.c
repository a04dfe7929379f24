/*
 * The newest checkpoints of a directory: "checkpoint-<12 digits>.safetensors", numbered in the
 * order in which they were written. Names that are no such thing are left alone.
 */
#include "frontend/training/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGITS = 12, DEFAULT_KEEP = 2 };
#define MOST_NUMBER INT64_C(999999999999)

typedef COTI_VEC(int64_t) numbers;

/* -1: it is no checkpoint's name. */
static int64_t number_of(const char *name) {
    static const char begin[] = "checkpoint-", end[] = ".safetensors";
    int64_t number = 0;
    if (strncmp(name, begin, sizeof begin - 1) != 0) {
        return -1;
    }
    name += sizeof begin - 1;
    if (strspn(name, "0123456789") != DIGITS || strcmp(name + DIGITS, end) != 0) {
        return -1;
    }
    for (int i = 0; i < DIGITS; i++) {
        number = 10 * number + (name[i] - '0');
    }
    return number;
}

static const char *path_of(coti_str *text, const char *directory, int64_t number) {
    coti_str_clear(text);
    coti_str_printf(text, "%s/checkpoint-%0*" PRId64 ".safetensors", directory, DIGITS, number);
    return coti_str_status(text) == COT_OK ? coti_str_text(text) : NULL;
}

static int by_age(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static cot_status fail_errno(const cot_model *model, const char *path, const char *what) {
    return COTI_FAIL(model->context, COT_E_IO, "\"%.300s\" cannot be %s: %s", path, what,
                     strerror(errno));
}

/* The numbers of the directory's checkpoints, newest first. found: freed by the caller. */
static cot_status list(const cot_model *model, const char *directory, numbers *found) {
    DIR *open_directory = opendir(directory);
    if (open_directory == NULL) {
        return errno == ENOENT ? COT_OK : fail_errno(model, directory, "read");
    }
    cot_status status = COT_OK;
    errno = 0;
    for (const struct dirent *entry = readdir(open_directory); entry != NULL && status == COT_OK;
         entry = readdir(open_directory)) {
        int64_t number = number_of(entry->d_name);
        if (number >= 0) {
            status = coti_vec_push(model->context, found, number);
        }
        errno = 0;
    }
    if (status == COT_OK && errno != 0) {
        status = fail_errno(model, directory, "read");
    }
    (void)closedir(open_directory);
    if (found->count > 1) {
        qsort(found->data, found->count, sizeof *found->data, by_age);
    }
    return status;
}

/* ---- saving ---- */

static cot_status save(cot_model *model, const char *directory, size_t keep, const numbers *old,
                       coti_str *text) {
    int64_t number = old->count > 0 ? old->data[0] + 1 : 1;
    if (number > MOST_NUMBER) {
        return COTI_FAIL(model->context, COT_E_IO, "\"%.300s\" has no numbers left", directory);
    }
    const char *path = path_of(text, directory, number);
    COTI_TRY(path != NULL ? cot_model_save_checkpoint(model, path) : COT_E_NOMEM);
    for (size_t i = keep - 1; i < old->count; i++) {
        path = path_of(text, directory, old->data[i]);
        if (path == NULL) {
            return COT_E_NOMEM;
        }
        if (unlink(path) != 0 && errno != ENOENT) {
            return fail_errno(model, path, "removed");
        }
    }
    return COT_OK;
}

cot_status cot_model_save_newest(cot_model *model, const char *directory, int32_t keep) {
    COTI_TRY(coti_check_trained(model, "cot_model_save_newest"));
    COTI_TRY(coti_check_path(model, "cot_model_save_newest", directory));
    keep = keep == 0 ? DEFAULT_KEEP : keep;
    if (keep < 1) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_save_newest: keep is %d, expected 1 or more", (int)keep);
    }
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        return fail_errno(model, directory, "made");
    }
    numbers old = {0};
    coti_str text;
    coti_str_init(&text, model->context);
    cot_status status = list(model, directory, &old);
    if (status == COT_OK) {
        status = save(model, directory, (size_t)keep, &old, &text);
    }
    coti_str_free(&text);
    coti_vec_free(model->context, &old);
    return status;
}

static cot_status remove_all(const cot_model *model, const char *directory, const numbers *old,
                             coti_str *text) {
    for (size_t i = 0; i < old->count; i++) {
        const char *path = path_of(text, directory, old->data[i]);
        if (path == NULL) {
            return COT_E_NOMEM;
        }
        if (unlink(path) != 0 && errno != ENOENT) {
            return fail_errno(model, path, "removed");
        }
    }
    /* What a process left that was killed while it saved. */
    if (path_of(text, directory, old->count > 0 ? old->data[0] + 1 : 1) != NULL) {
        coti_str_append(text, ".tmp");
        (void)unlink(coti_str_text(text));
    }
    (void)rmdir(directory); /* it may hold other things */
    return coti_str_status(text);
}

cot_status coti_remove_newest(const cot_model *model, const char *directory) {
    numbers old = {0};
    coti_str text;
    coti_str_init(&text, model->context);
    cot_status status = list(model, directory, &old);
    if (status == COT_OK) {
        status = remove_all(model, directory, &old, &text);
    }
    coti_str_free(&text);
    coti_vec_free(model->context, &old);
    return status;
}

/* ---- restoring ---- */

/* May an older checkpoint be tried after this? */
static bool is_unreadable(cot_status status) {
    return status == COT_E_PARSE || status == COT_E_IO;
}

static void note_skipped(const cot_model *model, cot_restored *restored) {
    if (restored->n_skipped++ == 0) {
        (void)snprintf(restored->skipped, sizeof restored->skipped, "%.*s",
                       (int)sizeof restored->skipped - 1, model->context->error.message);
    }
}

/* The newest that can be read. An error of the context from before stays as it is. */
static cot_status restore(cot_model *model, const char *directory, const numbers *found,
                          coti_str *text, cot_restored *restored) {
    const coti_error before = model->context->error;
    coti_error newest = before;
    cot_status status = COT_OK, first = COT_OK;
    for (size_t i = 0; i < found->count; i++) {
        const char *path = path_of(text, directory, found->data[i]);
        cot_error_clear(model->context);
        status = path != NULL ? cot_model_restore_checkpoint(model, path) : COT_E_NOMEM;
        if (status == COT_OK) {
            restored->found = true;
            (void)snprintf(restored->path, sizeof restored->path, "%.*s",
                           (int)sizeof restored->path - 1, path);
            model->context->error = before;
            return COT_OK;
        }
        if (!is_unreadable(status)) {
            break; /* the error stands in the context */
        }
        first = i == 0 ? status : first;
        newest = i == 0 ? model->context->error : newest;
        note_skipped(model, restored);
    }
    if (is_unreadable(status)) {
        model->context->error = newest;
        status = first;
    }
    model->context->error = before.status != COT_OK ? before : model->context->error;
    return status;
}

cot_status cot_model_restore_newest(cot_model *model, const char *directory,
                                    cot_restored *restored_out) {
    cot_restored restored = {.found = false};
    COTI_TRY(coti_check_trained(model, "cot_model_restore_newest"));
    COTI_TRY(coti_check_path(model, "cot_model_restore_newest", directory));
    numbers found = {0};
    coti_str text;
    coti_str_init(&text, model->context);
    cot_status status = list(model, directory, &found);
    if (status == COT_OK) {
        status = restore(model, directory, &found, &text, &restored);
    }
    coti_str_free(&text);
    coti_vec_free(model->context, &found);
    if (restored_out != NULL) {
        *restored_out = restored;
    }
    return status;
}
