/*
 * The reader of reference values: the whole file in memory, cut into words in place, one line after
 * the other. A line "case KIND NAME key=text.." begins a case; "array NAME DIM..: NUMBER.." adds an
 * array to it; '#' begins a comment line.
 */
#include "reference.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Where a file is being read. */
typedef struct place {
    reference_data *data;
    int line;
} place;

#define BAD(at, ...)                                                                               \
    do {                                                                                           \
        char bad_text_[256];                                                                       \
        (void)snprintf(bad_text_, sizeof bad_text_, __VA_ARGS__);                                  \
        fail_msg("%s:%d: %s", (at)->data->path, (at)->line, bad_text_);                            \
    } while (0)

/* Room for one element more: capacities are powers of two. */
static void *room(void *array, int64_t n, size_t bytes) {
    if (n > 0 && (n & (n - 1)) != 0) {
        return array;
    }
    void *grown = realloc(array, (size_t)(n > 0 ? 2 * n : 1) * bytes);
    assert_non_null(grown);
    return grown;
}

/* ---- lines ---- */

static const char *next_word(char **rest) {
    char *word = *rest + strspn(*rest, " ");
    char *end = word + strcspn(word, " ");
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return *word == '\0' ? NULL : word;
}

static void add_option(const place *at, reference_case *c, const char *word) {
    char *equals = strchr(word, '=');
    if (equals == NULL || equals == word) {
        BAD(at, "\"%s\" is no key=text", word);
    }
    *equals = '\0';
    c->option = room(c->option, c->n_options, sizeof *c->option);
    c->option[c->n_options++] = (reference_option){word, equals + 1, false};
}

static char *copy_of(const char *text) {
    char *copy = malloc(strlen(text) + 1);
    assert_non_null(copy);
    return strcpy(copy, text);
}

static void begin_case(const place *at, char *rest) {
    reference_data *data = at->data;
    char *title = copy_of(rest);
    const char *kind = next_word(&rest), *name = next_word(&rest);
    if (name == NULL) {
        BAD(at, "a case has a kind and a name");
    }
    data->cases = room(data->cases, data->n, sizeof *data->cases);
    reference_case *c = &data->cases[data->n++];
    *c = (reference_case){
        .file = data->path, .line = at->line, .title = title, .kind = kind, .name = name};
    for (const char *word; (word = next_word(&rest)) != NULL;) {
        add_option(at, c, word);
    }
}

static double read_number(const place *at, const char *word) {
    char *end = NULL;
    double value = strtod(word, &end);
    if (end == word || *end != '\0') {
        BAD(at, "\"%s\" is no number", word);
    }
    return value;
}

static void read_numbers(const place *at, reference_array *array, char *rest) {
    int64_t n = 1;
    for (int32_t i = 0; i < array->rank; i++) {
        n *= array->dim[i];
    }
    array->value = malloc((size_t)(n > 0 ? n : 1) * sizeof(double));
    assert_non_null(array->value);
    for (const char *word; (word = next_word(&rest)) != NULL; array->n++) {
        if (array->n == n) {
            BAD(at, "%s has more than %lld numbers", array->name, (long long)n);
        }
        array->value[array->n] = read_number(at, word);
    }
    if (array->n != n) {
        BAD(at, "%s has %lld numbers of %lld", array->name, (long long)array->n, (long long)n);
    }
}

static void add_array(const place *at, char *rest) {
    if (at->data->n == 0) {
        BAD(at, "an array before any case");
    }
    reference_case *c = &at->data->cases[at->data->n - 1];
    char *numbers = strchr(rest, ':');
    if (numbers == NULL) {
        BAD(at, "an array has a ':' before its numbers");
    }
    *numbers = '\0';
    c->array = room(c->array, c->n_arrays, sizeof *c->array);
    reference_array *array = &c->array[c->n_arrays++];
    *array = (reference_array){.name = next_word(&rest)};
    if (array->name == NULL) {
        BAD(at, "an array has a name");
    }
    for (const char *word; (word = next_word(&rest)) != NULL; array->rank++) {
        if (array->rank == REFERENCE_MAX_RANK) {
            BAD(at, "%s has too many axes", array->name);
        }
        array->dim[array->rank] = (int64_t)read_number(at, word);
    }
    read_numbers(at, array, numbers + 1);
}

static void read_line(const place *at, char *line) {
    char *rest = line;
    if (*line == '#' || *line == '\0') {
        return;
    }
    const char *first = next_word(&rest);
    if (first != NULL && strcmp(first, "case") == 0) {
        begin_case(at, rest);
    } else if (first != NULL && strcmp(first, "array") == 0) {
        add_array(at, rest);
    } else {
        BAD(at, "a line is neither a case nor an array");
    }
}

/* ---- files ---- */

static char *whole_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    char *text = NULL;
    size_t n = 0, got = 0;
    do {
        text = realloc(text, n + (1u << 16) + 1);
        assert_non_null(text);
        got = fread(text + n, 1, 1u << 16, file);
        n += got;
    } while (got > 0);
    assert_int_equal(ferror(file), 0);
    assert_int_equal(fclose(file), 0);
    text[n] = '\0';
    return text;
}

reference_data *reference_read(const char *file) {
    reference_data *data = calloc(1, sizeof *data);
    assert_non_null(data);
    (void)snprintf(data->path, sizeof data->path, "%s/%s", REFERENCE_DATA, file);
    data->text = whole_text(data->path);
    place at = {data, 0};
    for (char *line = data->text, *end = line; *line != '\0'; line = end) {
        at.line++;
        end = line + strcspn(line, "\n");
        if (*end != '\0') {
            *end++ = '\0';
        }
        read_line(&at, line);
    }
    if (data->n == 0) {
        fail_msg("%s: no case", data->path);
    }
    return data;
}

void reference_free(reference_data *data) {
    for (int32_t i = 0; i < data->n; i++) {
        reference_case *c = &data->cases[i];
        for (int32_t k = 0; k < c->n_arrays; k++) {
            free(c->array[k].value);
        }
        free(c->title);
        free(c->array);
        free(c->option);
    }
    free(data->cases);
    free(data->text);
    free(data);
}

int reference_run(const char *file, int32_t stride, void (*one)(void **state)) {
    reference_data *data = reference_read(file);
    struct CMUnitTest *tests = calloc((size_t)data->n, sizeof *tests);
    assert_non_null(tests);
    size_t n = 0;
    for (int32_t i = 0; i < data->n; i += stride, n++) {
        tests[n].name = data->cases[i].title;
        tests[n].test_func = one;
        tests[n].initial_state = &data->cases[i];
    }
    int failed = _cmocka_run_group_tests(file, tests, n, NULL, NULL);
    free(tests);
    reference_free(data);
    return failed;
}

/* ---- what a case has ---- */

const char *reference_text(reference_case *c, const char *key) {
    for (int32_t i = 0; i < c->n_options; i++) {
        if (strcmp(c->option[i].key, key) == 0) {
            c->option[i].used = true;
            return c->option[i].text;
        }
    }
    return NULL;
}

double reference_number(reference_case *c, const char *key, double missing) {
    const char *text = reference_text(c, key);
    if (text == NULL) {
        return missing;
    }
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0') {
        fail_msg("%s:%d: %s=%s is no number", c->file, c->line, key, text);
    }
    return value;
}

bool reference_switch(reference_case *c, const char *key) {
    const char *text = reference_text(c, key);
    if (text != NULL && strcmp(text, "yes") != 0 && strcmp(text, "no") != 0) {
        fail_msg("%s:%d: %s=%s is neither yes nor no", c->file, c->line, key, text);
    }
    return text != NULL && strcmp(text, "yes") == 0;
}

reference_array *reference_find(reference_case *c, const char *name) {
    for (int32_t i = 0; i < c->n_arrays; i++) {
        if (strcmp(c->array[i].name, name) == 0) {
            c->array[i].used = true;
            return &c->array[i];
        }
    }
    return NULL;
}

reference_array *reference_need(reference_case *c, const char *name) {
    reference_array *array = reference_find(c, name);
    if (array == NULL) {
        fail_msg("%s:%d: %s: no array %s", c->file, c->line, c->title, name);
    }
    return array;
}

float *reference_floats(const reference_array *array) {
    float *out = malloc((size_t)(array->n > 0 ? array->n : 1) * sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < array->n; i++) {
        out[i] = (float)array->value[i];
    }
    return out;
}

int32_t *reference_integers(const reference_array *array) {
    int32_t *out = malloc((size_t)(array->n > 0 ? array->n : 1) * sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < array->n; i++) {
        out[i] = (int32_t)array->value[i];
        assert_true((double)out[i] == array->value[i]);
    }
    return out;
}

/* ---- checks ---- */

void reference_check_used(const reference_case *c) {
    for (int32_t i = 0; i < c->n_options; i++) {
        if (!c->option[i].used) {
            fail_msg("%s:%d: %s: nobody looked at %s=%s", c->file, c->line, c->title,
                     c->option[i].key, c->option[i].text);
        }
    }
    for (int32_t i = 0; i < c->n_arrays; i++) {
        if (!c->array[i].used) {
            fail_msg("%s:%d: %s: nobody looked at %s", c->file, c->line, c->title,
                     c->array[i].name);
        }
    }
}

void reference_check_number(const reference_case *c, const char *what, double found,
                            double expected, double tolerance) {
    bool same = isnan(expected)   ? isnan(found)
                : isinf(expected) ? found == expected
                                  : fabs(found - expected) <= tolerance * (1.0 + fabs(expected));
    if (!same) {
        fail_msg("%s:%d: %s: %s is %.9g, expected %.9g", c->file, c->line, c->title, what, found,
                 expected);
    }
}

void reference_check(const reference_case *c, const reference_array *expected, int64_t first,
                     const float *found, int64_t n, double tolerance) {
    if (first + n > expected->n) {
        fail_msg("%s:%d: %s: %s has %lld numbers, %lld are asked for", c->file, c->line, c->title,
                 expected->name, (long long)expected->n, (long long)(first + n));
    }
    for (int64_t i = 0; i < n; i++) {
        char what[128];
        (void)snprintf(what, sizeof what, "%s[%lld]", expected->name, (long long)(first + i));
        reference_check_number(c, what, (double)found[i], expected->value[first + i], tolerance);
    }
}
