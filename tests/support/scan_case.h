/*
 * Recurrences for the tests of scans: bodies by name, whose inputs take their types from the
 * operands of a scan.
 *
 *     name      carries   sequences  constants   new carries; what is stacked
 *     delay     c         x                      x; c
 *     sum       c         x                      c + x; c + x
 *     product   c         x                      c x; c x
 *     count     n (i32)   x          k           n + 1; x k + n
 *     affine    c         x          k           c k + x; c, x c
 *     twist     a, b      x, y       k           a b + x, tanh(b k - y); a y, b + x
 *     centre    c         x                      c + x - mean over N; c
 *     rnn       h         x          W, U, b     tanh(x W + b + h U); the same
 *     lstm      h, c      x          W, U, b     as Keras: gates i, f, c, o; h
 *     gru       h         x          W, U, b     as Keras, reset after; h
 *     grus      h         x          W, U, b     as Keras, reset before; h
 *     nested    c         x (rows)   k           c + the sum of a scan of "affine" along x; that
 *     outer     c         x          k           c / 2 + tanh(x . k), x, k vectors; c
 */
#ifndef SCAN_CASE_H
#define SCAN_CASE_H

#include "cotangent/graph.h"

enum { SCAN_CASE_OPERANDS = 8, SCAN_CASE_RESULTS = 4 };

typedef struct scan_case {
    const char *name;
    int32_t n_carries, n_sequences, n_constants, n_results;
    /* Inside the body: its outputs from its inputs. */
    void (*step)(const cot_value *in, cot_value *out);
} scan_case;

/* NULL: there is no such body. */
const scan_case *scan_case_find(const char *name);

/* Steps are the time axis of the first sequence. Status of the builder; results poisoned by it. */
cot_status scan_case_build(const char *name, const cot_value *operand, bool reverse,
                           const cot_value *lengths, cot_value *results_out);

/* One result of it, a history too: a test's shorthand. */
cot_value scan_case_result(const char *name, const cot_value *operand, bool reverse,
                           int32_t result);

#endif
