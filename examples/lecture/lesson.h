/*
 * What every program on the lecture shares: its options, its context and data, how it states a
 * claim and checks it, and where its picture goes.
 *
 *   PROGRAM [--quick] [--pictures DIR] [--data DIR] [--markdown]
 *
 *   --quick      less training: enough to check the claim, a coarser picture
 *   --pictures   where PROGRAM.svg goes (default: here)
 *   --data       the files of Fashion-MNIST (default: Debian's package dataset-fashion-mnist)
 *   --markdown   what is printed is a section of docs/lecture/README.md
 *
 * It ends with status 0 when all claims are seen, 1 when one is not or something fails, and 77,
 * which tests take for "skipped", when the data set is not there.
 */
#ifndef EXAMPLES_LESSON_H
#define EXAMPLES_LESSON_H

#include "figure.h"

#include <cotangent.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of the training set that are trained on, a whole number of batches; the others validate. */
enum { LESSON_BATCH = 128, LESSON_BATCHES = 400, LESSON_ROWS = LESSON_BATCHES * LESSON_BATCH };

/* What is claimed. */
typedef struct lesson_text {
    const char *name;    /* the program's, and its picture's */
    const char *title;   /* of the section and the picture */
    const char *lecture; /* the lecture's own words */
    const char *what;    /* what the program does to see it */
} lesson_text;

typedef struct lesson {
    const lesson_text *text;
    bool quick, markdown;
    const char *pictures, *data_dir;
    cot_context *context;
    cot_dataset *train, *validation, *test; /* Fashion-MNIST, after lesson_data */
    int exit_status;
} lesson;

/* Read the options, make the context, print the claim. false: end with lesson_end. */
bool lesson_begin(lesson *l, const lesson_text *text, int argc, char **argv);

/* Read Fashion-MNIST: LESSON_ROWS rows to train on, the other 8,800 to validate, 10,000 to test.
 * false: end with lesson_end. */
bool lesson_data(lesson *l);

/* Is it a success? Otherwise the context's message is printed and the program will fail. */
bool lesson_good(lesson *l, cot_status status);
bool lesson_made(lesson *l, const void *object);

/* Print whether a claim, a sentence with figures, holds; if not, the program will fail. */
void lesson_claim(lesson *l, bool holds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Write the program's picture. */
void lesson_picture(lesson *l, const figure_panel *panel, size_t n, size_t columns);

/* Destroy what the lesson has made. Returns main's result. Models must be gone before. */
int lesson_end(lesson *l);

/*
 * n steps of an optimizer on a loss of two weights, from (w1[0], w2[0]); w1 and w2 have room for
 * the n + 1 points of the way. The weights are the kernel of a layer whose one input is 1: its
 * output, of which `loss` makes a scalar, is the weights.
 */
bool lesson_descend(lesson *l, const cot_optimizer *optimizer, cot_row_function loss, int n,
                    double *w1, double *w2);

/* The curve of a number over the epochs of a model's fit, borrowed from its history. */
figure_line lesson_curve(const cot_model *model, const char *name, const char *label, int color,
                         figure_style style);

/* The last value of a number in a model's history; NaN when there is none. */
double lesson_last(const cot_model *model, const char *name);

#endif
