/*
 * Reads the reference values that stand in tests/reference/data: cases, each with options and named
 * arrays of numbers, as README.md of this folder describes them. Whatever is wrong with a file, or
 * missing in it, fails the test that runs, with the file's name and line.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "check.h"

#include <stdbool.h>

enum { REFERENCE_MAX_RANK = 8 };

typedef struct reference_option {
    const char *key, *text;
    bool used; /* by reference_text and reference_number */
} reference_option;

/* Numbers in row-major order; of rank 0 there is one. As f32 or integers they are the numbers that
 * were written. */
typedef struct reference_array {
    const char *name;
    int32_t rank;
    int64_t dim[REFERENCE_MAX_RANK];
    int64_t n;
    double *value;
    bool used; /* by reference_find */
} reference_array;

typedef struct reference_case {
    const char *file;
    int line;
    char *title;             /* the words of its line */
    const char *kind, *name; /* "loss", "huber" */
    reference_option *option;
    int32_t n_options;
    reference_array *array;
    int32_t n_arrays;
} reference_case;

typedef struct reference_data {
    reference_case *cases;
    int32_t n;
    char *text; /* what all names point into */
    char path[512];
} reference_data;

/* A file of tests/reference/data, such as "losses.txt". Free it by reference_free. */
reference_data *reference_read(const char *file);
void reference_free(reference_data *data);

/* A cmocka test of each case of a file, or of the first and every stride-th after it; *state of
 * `one` is the case, a reference_case *. Returns how many failed. */
int reference_run(const char *file, int32_t stride, void (*one)(void **state));

/* Of a case: an option's text, NULL if it has none of that name; its number, or `missing`; whether
 * it is "yes". */
const char *reference_text(reference_case *c, const char *key);
double reference_number(reference_case *c, const char *key, double missing);
bool reference_switch(reference_case *c, const char *key);

/* An array; NULL if there is none of that name. reference_need fails the test then. */
reference_array *reference_find(reference_case *c, const char *name);
reference_array *reference_need(reference_case *c, const char *name);

/* Its numbers as f32 or i32, exact ones only. To be freed by free(). */
float *reference_floats(const reference_array *array);
int32_t *reference_integers(const reference_array *array);

/* Every option and array of the case has been asked for: so none is overlooked. */
void reference_check_used(const reference_case *c);

/* |found - expected| <= tolerance (1 + |expected|); NaN where NaN is expected, and infinities as
 * they are. */
void reference_check_number(const reference_case *c, const char *what, double found,
                            double expected, double tolerance);

/* n numbers against the array's from place `first` on. */
void reference_check(const reference_case *c, const reference_array *expected, int64_t first,
                     const float *found, int64_t n, double tolerance);

#endif
