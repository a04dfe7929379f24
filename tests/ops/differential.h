/*
 * Differential testing of whole graphs, given as text: one graph is compiled and run in several
 * ways, which must agree.
 *
 *   EACH_NODE, BASELINE, UNSIMPLIFIED
 *       every node is an output, and is held to the reference evaluator applied to the kernels' own
 *       values of its operands, so that errors do not add up and every op's own tolerance applies;
 * on the widest vectors that the host has, on those that every host has, and without the passes
 *       that simplify and fold
 *   FUSED, UNFUSED, NARROW, UNSHARED
 *       only the graph's own outputs; they must agree with EACH_NODE in every bit but the sign of
 *       zeros: fusion, threads, row limits, vector width and shared memory change no result
 *
 * Every program runs three times, so that nothing may hang on what memory held before. Inputs and
 * outputs lie against pages that may not be touched. Inputs and states hold numbers that are a
 * function of a seed; updates of states are compared as outputs are.
 */
#ifndef DIFFERENTIAL_H
#define DIFFERENTIAL_H

#include "op_case.h"

/* X(ID, text) */
#define TREATMENT_LIST(X)                                                                          \
    X(EACH_NODE, "every node an output")                                                           \
    X(BASELINE, "every node an output, baseline vectors")                                          \
    X(UNSIMPLIFIED, "every node an output, nothing simplified")                                    \
    X(FUSED, "fused, 3 threads, more rows")                                                        \
    X(UNFUSED, "one kernel a node")                                                                \
    X(NARROW, "AVX2 vectors")                                                                      \
    X(UNSHARED, "no shared memory")

typedef enum treatment {
#define TREATMENT_ENUM(id, text) id,
    TREATMENT_LIST(TREATMENT_ENUM)
#undef TREATMENT_ENUM
        N_TREATMENTS
} treatment;

const char *treatment_text(treatment t);

/* The context of each treatment, one for each instruction set; NULL for NARROW on a host that has
 * not both. */
typedef struct laboratory {
    cot_context *context[N_TREATMENTS];
} laboratory;

/* False: a context cannot be made. */
bool laboratory_open(laboratory *lab);
void laboratory_close(laboratory *lab);

/* What a check found; treatment N_TREATMENTS: nothing. */
typedef struct finding {
    treatment treatment;
    char output[32]; /* "" when it concerns no output */
    char message[512];
} finding;

/* Check a graph with the numbers of a seed. `treatments`: a mask by id; EACH_NODE is always run. */
finding differential_check(const laboratory *lab, const char *text, uint64_t seed,
                           unsigned treatments);

/* All of them; or EACH_NODE and two others, drawn by the seed. */
unsigned all_treatments(void);
unsigned two_treatments(uint64_t seed);

/* ---- node_check.c ---- */

/*
 * NULL when a node's value is what the evaluator makes of its operands' values, within the op's
 * tolerance; else why not. input: of each operand, in memory; rows: N.
 */
const char *node_check(char why[256], pool *p, const coti_node *node, const coti_tensor *input,
                       const coti_tensor *got, int64_t rows, cot_context *context);

/* ---- shrink.c ---- */

/*
 * A smaller graph with the same seed's numbers that the same treatment fails: outputs, updates and
 * nodes are left out, and nodes become inputs, as long as something is still wrong. The text is
 * allocated by malloc.
 */
char *shrink(const laboratory *lab, const char *text, uint64_t seed, treatment failing);

/* A graph's text, allocated by malloc. */
char *graph_text(const cot_graph *graph);

#endif
