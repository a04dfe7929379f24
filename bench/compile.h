/* How long compiling takes. */
#ifndef BENCH_COMPILE_H
#define BENCH_COMPILE_H

#include "subject.h"

/* A table of compile times, printed; `samples` of each. False, with a line on stderr, when
 * something failed. */
bool bench_show_compile(const bench_setup *setup, int samples);

#endif
