/* The program's own figures, printed: training steps, products, the empty step. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include "samples.h"

/* A block of lines for the training workload of this name; a line for a product. False, with a line
 * on stderr, when something failed. */
bool bench_show_training(const char *name, const bench_setup *setup, const bench_measure *measure);
bool bench_show_product(const char *name, const bench_setup *setup, const bench_measure *measure);

/* The time of a run that does nothing but count, and of a step of fit with next to no work. */
bool bench_show_empty(const bench_setup *setup, const bench_measure *measure);

#endif
