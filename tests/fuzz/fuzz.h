/*
 * What the fuzz targets share: how a finding ends the process, memory on a budget, the input as a
 * stream of choices, and what must hold of any graph that the library has accepted.
 *
 * A target is one LLVMFuzzerTestOneInput. libFuzzer's engine calls it with inputs that it makes up
 * (preset `fuzz`, scripts/fuzz); replay.c calls it with the committed corpus, in every build.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "graph/graph.h"

/* A target: any bytes are fine, a finding ends the process. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Say what was found and end the process, so that the engine keeps the input. */
_Noreturn void fuzz_finding(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fuzz_finding(__FILE__, __LINE__, __VA_ARGS__);                                         \
        }                                                                                          \
    } while (0)

/* ---- memory ---- */

/* An allocator that refuses what goes beyond its limit, and knows what is live. One thread. */
typedef struct fuzz_heap {
    size_t limit;    /* of live bytes */
    int64_t fail_at; /* number of a call that is refused besides, from 1; 0: none */
    int64_t n_calls, n_refused;
    size_t live;
    int64_t n_live;
} fuzz_heap;

/* What the library may hold while it reads an input of this size. */
size_t fuzz_limit(size_t input_bytes);

/* A context of one thread that takes its memory from the heap (which this call resets) and reads no
 * environment. */
cot_context *fuzz_context_create(fuzz_heap *heap, size_t limit);

/* Destroys the context; a finding if anything is still live. */
void fuzz_context_destroy(cot_context *context, fuzz_heap *heap);

/* The context has an error of this status, and its message is one line of text as the house wants
 * it. */
void fuzz_check_error(const cot_context *context, cot_status status);

/* ---- the input as choices ---- */

/* Reads past the end give zeros. */
typedef struct fuzz_bytes {
    const uint8_t *at, *end;
} fuzz_bytes;

uint8_t fuzz_byte(fuzz_bytes *bytes);
/* 0 .. n-1, of one byte; n from 1 to 256. */
int32_t fuzz_below(fuzz_bytes *bytes, int32_t n);

/* ---- graphs (graph_check.c) ---- */

/*
 * If the graph is small, append the gradient of the sum of its float outputs with respect to its
 * float inputs and states: that may be refused for want of a gradient (COT_E_NOGRAD), for no other
 * reason. Then a finding unless: the verifier accepts the graph; its text reads back to the same
 * text; every pass succeeds, says truly whether it changed something and leaves a graph that is
 * verified; and, if the graph is small, it can be evaluated and the passes that promise it have
 * kept the results. The context has no error, before and after.
 */
void fuzz_check_graph(cot_graph *graph);

#endif
