/* Two trainers that share the processors of one. */
#ifndef BENCH_CONTENTION_H
#define BENCH_CONTENTION_H

#include "samples.h"

/*
 * For workloads a and c, each on setup->threads threads and as many processors: the time of some
 * steps alone, and of as many steps each in two processes at once, until the last of them is done.
 * Prints medians and quartiles of the ratio of neighbouring samples, of which 2 is the least, and
 * the worst. False, with a line on stderr, when something failed.
 */
bool bench_show_contention(const bench_setup *setup, const bench_measure *measure);

#endif
