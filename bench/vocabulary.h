/*
 * What the vocabulary of training costs: the steps of the workloads that train by `fit`, with two
 * metrics, a learning-rate schedule, clipping by value and a CSV log, against the same steps
 * without. Pairs in one process, each with its order turned round, between two bursts of the peak.
 */
#ifndef BENCH_VOCABULARY_H
#define BENCH_VOCABULARY_H

#include "samples.h"

/* Lines of figures: measure->pairs pairs of each workload, or of one, by the name "vocabulary-b".
 * False, with a line on stderr, when there is none of that name or something failed. */
bool bench_show_vocabulary(const char *name, const bench_setup *setup,
                           const bench_measure *measure);

#endif
