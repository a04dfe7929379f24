/*
 * Work on request, for a driver that alternates between this program and others:
 *
 *   bench serve NAME     says "ready UNITS FLOPS COMPILE-SECONDS ARENA BOUND" when the subject is
 *                        made, then answers each line of input with one of output
 *       run ROUNDS       "SECONDS LOSS": of that many rounds of UNITS units each
 *       memory           "BYTES": growth of the resident size since before the first run
 *       quit             ends, as does the end of the input
 *   bench serve peak     says "ready", and answers "run MICROSECONDS" with the FLOP/s of a burst
 *
 * BYTES is -1 where the machine does not tell. A run that fails ends the process with status 1.
 */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

#include "peak.h"
#include "subject.h"

/* The program's exit status. clock: what SECONDS and bursts are counted by. directory: where to
 * write the subject's data first (export.h), or NULL. */
int bench_serve(const char *name, const bench_setup *setup, bench_clock clock,
                const char *directory);

#endif
