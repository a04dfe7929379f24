/*
 * How much a test program is to do. Those whose cases take long, which LLVM makes of most, run
 * twice in the suite: all of their cases, and among the quick tests some that stand for the rest
 * (cot_quick_part in tests/CMakeLists.txt sets COT_TEST_QUICK).
 */
#ifndef TEST_EFFORT_H
#define TEST_EFFORT_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool effort_is_quick(void) {
    return getenv("COT_TEST_QUICK") != NULL;
}

#endif
