/*
 * The gradient of a scan: a scan from the other end over the carries as they were before each step
 * (its histories).
 *
 *     c' , s = f(c, x, k)                      a step of the scan
 *     dc, dx, dk = vjp of f at (c, x, k)       a step of its gradient, of (dc', ds)
 *     dc += what the history of c got
 *
 * Carries are the cotangents of carries; sequences the histories, the sequences and the stacks'
 * cotangents; constants the constants; stacks the sequences' cotangents. f is computed again from
 * the history: nothing else of the steps is kept. The constants' cotangents are sums over the
 * steps, most of them made behind the loop (scan_total.h). What the step's gradient does not read
 * is not handed to it, so a sum keeps no history.
 *
 *     find     which carries have a cotangent that somebody asks for
 *     trace    one step: inputs, f, its gradient, as a graph that only serves to see what it needs
 *     body     the same with the inputs that it needs, and sums
 *     run      the scan in the outer graph, and from its results the cotangents
 */
#include "scan_flow.h"
#include "scan_total.h"
#include "vjp.h"

#include "graph/body.h"
#include "graph/scan.h"

#include <stdio.h>
#include <string.h>

/* Inputs of a step, in this order. */
typedef enum step_part {
    COTANGENT,
    HISTORY,
    SEQUENCE,
    STACK_COTANGENT,
    HISTORY_COTANGENT,
    CONSTANT
} step_part;

typedef struct step_input {
    step_part part;
    int32_t i;        /* which of its part */
    cot_value traced; /* in the trace */
    cot_value outer;  /* operand of the scan; of what is needed */
    bool needed;
} step_input;

typedef struct scan_vjp {
    const coti_vjp *v;
    cot_graph *graph;
    coti_scan scan;
    coti_arena arena;    /* owns all lists */
    cot_value *result_g; /* by result; poison: none */
    bool *flows;         /* by carry: it has a cotangent within the loop */
    cot_graph *trace, *body;
    step_input *input;
    int32_t n_inputs;
    cot_value *output;    /* of f, in the trace */
    cot_value *carry_g;   /* by carry: its cotangent before the step, in the trace */
    cot_value *operand_g; /* by operand: of sequences and constants, in the trace; poison: none */
    coti_totals totals;
    cot_value *result; /* of the new scan: carries, then stacks */
    int32_t n_carries, n_results;
} scan_vjp;

static cot_status status_of(const scan_vjp *s) {
    cot_status status = cot_error_get(s->graph->context).status;
    return status != COT_OK ? status : COT_E_INTERNAL;
}

static const coti_node *body_input(const scan_vjp *s, int32_t i) {
    return coti_node_at(s->scan.body, s->scan.body->input.data[i]);
}

static cot_value zeros(cot_graph *graph, const coti_node *type) {
    const cot_value zero = cot_op_constant(graph, (cot_dtype)type->dtype, 0.0);
    return cot_op_broadcast(zero, type->shape, NULL, 0);
}

/* ---- find ---- */

static cot_status find(scan_vjp *s) {
    const coti_scan *scan = &s->scan;
    const size_t n_carries = (size_t)scan->n_carries;
    const size_t n_results = 2 * n_carries + (size_t)scan->n_stacks;
    s->flows = coti_arena_array(&s->arena, n_carries, sizeof *s->flows);
    s->result_g = coti_arena_array(&s->arena, n_results, sizeof *s->result_g);
    if (s->flows == NULL || s->result_g == NULL) {
        return COT_E_NOMEM;
    }
    s->result_g[scan->result] = s->v->g;
    for (int32_t i = 0; i < s->v->n_results; i++) {
        s->result_g[s->v->results[i].result] = s->v->results[i].g;
    }
    const coti_scan_flow flow = {scan, s->v->node.n_inputs, s->v->needs, s->result_g};
    return coti_scan_find_flow(&flow, &s->arena, s->flows);
}

/* ---- trace ---- */

/* An input of the trace; its type is that of a node of the body. */
static cot_status add_input(scan_vjp *s, step_part part, int32_t i, const coti_node *type) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "t%d", (int)s->n_inputs);
    const cot_value value = cot_op_input(s->trace, (cot_dtype)type->dtype, type->shape, name);
    s->input[s->n_inputs++] = (step_input){.part = part, .i = i, .traced = value};
    return value.graph != NULL ? COT_OK : status_of(s);
}

/* Inputs of one part for i in [0, n), of those that a list of results has a cotangent for, if there
 * is a list. */
static cot_status add_inputs(scan_vjp *s, step_part part, int32_t n, const cot_value *result_g) {
    const int32_t n_carries = s->scan.n_carries, n_sequences = s->scan.n_sequences;
    for (int32_t i = 0; i < n; i++) {
        const coti_node *type = part == STACK_COTANGENT ? coti_scan_element(&s->scan, n_carries + i)
                                : part == SEQUENCE      ? body_input(s, n_carries + i)
                                : part == CONSTANT      ? body_input(s, n_carries + n_sequences + i)
                                                        : body_input(s, i);
        const bool flows = part != COTANGENT && part != HISTORY_COTANGENT ? true : s->flows[i];
        const bool wanted = flows && (result_g == NULL || result_g[i].graph != NULL);
        COTI_TRY(wanted ? add_input(s, part, i, type) : COT_OK);
    }
    return COT_OK;
}

static cot_status make_inputs(scan_vjp *s) {
    const coti_scan *scan = &s->scan;
    const cot_value *stack_g = s->result_g + scan->n_carries;
    const int32_t n_most =
        3 * scan->n_carries + scan->n_sequences + scan->n_stacks + scan->n_constants;
    s->input = coti_arena_array(&s->arena, (size_t)n_most, sizeof *s->input);
    if (s->input == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(add_inputs(s, COTANGENT, scan->n_carries, NULL));
    COTI_TRY(add_inputs(s, HISTORY, scan->n_carries, NULL));
    COTI_TRY(add_inputs(s, SEQUENCE, scan->n_sequences, NULL));
    COTI_TRY(add_inputs(s, STACK_COTANGENT, scan->n_stacks, stack_g));
    COTI_TRY(add_inputs(s, HISTORY_COTANGENT, scan->n_carries, stack_g + scan->n_stacks));
    return add_inputs(s, CONSTANT, scan->n_constants, NULL);
}

/* The input of a part and place; NULL: it is not there. */
static step_input *find_input(const scan_vjp *s, step_part part, int32_t i) {
    for (int32_t k = 0; k < s->n_inputs; k++) {
        if (s->input[k].part == part && s->input[k].i == i) {
            return &s->input[k];
        }
    }
    return NULL;
}

/* f, of the histories, sequences and constants. */
static cot_status trace_step(scan_vjp *s) {
    const size_t n = (size_t)s->v->node.n_inputs;
    const size_t n_outputs = s->scan.body->output.count;
    cot_value *operand = coti_arena_array(&s->arena, n, sizeof *operand);
    s->output = coti_arena_array(&s->arena, n_outputs, sizeof *s->output);
    if (operand == NULL || s->output == NULL) {
        return COT_E_NOMEM;
    }
    int32_t to = 0;
    for (int32_t k = 0; k < s->n_inputs; k++) {
        const step_part part = s->input[k].part;
        if (part == HISTORY || part == SEQUENCE || part == CONSTANT) {
            operand[to++] = s->input[k].traced;
        }
    }
    return coti_graph_inline(s->trace, s->scan.body, operand, s->output);
}

/* Its gradient: of the outputs that have a cotangent, with respect to what is asked for. */
static cot_status trace_gradient(scan_vjp *s) {
    const coti_scan *scan = &s->scan;
    const int32_t n = s->v->node.n_inputs, n_carries = scan->n_carries;
    cot_value *y = coti_arena_array(&s->arena, scan->body->output.count, sizeof *y);
    cot_value *g = coti_arena_array(&s->arena, scan->body->output.count, sizeof *g);
    cot_value *wrt = coti_arena_array(&s->arena, (size_t)n, sizeof *wrt);
    cot_value *grad = coti_arena_array(&s->arena, (size_t)n, sizeof *grad);
    s->operand_g = coti_arena_array(&s->arena, (size_t)n, sizeof *s->operand_g);
    if (y == NULL || g == NULL || wrt == NULL || grad == NULL || s->operand_g == NULL) {
        return COT_E_NOMEM;
    }
    int32_t n_y = 0, n_wrt = 0;
    for (int32_t i = 0; i < n_carries + scan->n_stacks; i++) {
        const step_input *from = find_input(s, i < n_carries ? COTANGENT : STACK_COTANGENT,
                                            i < n_carries ? i : i - n_carries);
        if (from != NULL) {
            y[n_y] = s->output[i];
            g[n_y++] = from->traced;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        const step_part part = i < n_carries                       ? HISTORY
                               : i < n_carries + scan->n_sequences ? SEQUENCE
                                                                   : CONSTANT;
        const int32_t place = i < n_carries      ? i
                              : part == SEQUENCE ? i - n_carries
                                                 : i - n_carries - scan->n_sequences;
        if (i < n_carries ? s->flows[i] : s->v->needs[i]) {
            wrt[n_wrt++] = find_input(s, part, place)->traced;
        }
    }
    COTI_TRY(coti_vjp_sum(s->trace, y, g, n_y, wrt, n_wrt, grad));
    for (int32_t i = n; i-- > 0;) {
        if (i < n_carries ? s->flows[i] : s->v->needs[i]) {
            s->operand_g[i] = grad[--n_wrt];
        }
    }
    return COT_OK;
}

/* The carries' cotangents before the step: the step's gradient and what the history got. */
static cot_status trace_carries(scan_vjp *s) {
    const size_t n = (size_t)s->scan.n_carries;
    s->carry_g = coti_arena_array(&s->arena, n, sizeof *s->carry_g);
    if (s->carry_g == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < s->scan.n_carries; i++) {
        const step_input *history = find_input(s, HISTORY_COTANGENT, i);
        cot_value g = s->operand_g[i];
        if (!s->flows[i]) {
            continue;
        }
        if (history != NULL) {
            g = g.graph != NULL ? coti_make_add(g, history->traced) : history->traced;
        }
        s->carry_g[i] = g.graph != NULL ? g : zeros(s->trace, body_input(s, i));
        COTI_TRY(s->carry_g[i].graph != NULL ? COT_OK : status_of(s));
    }
    return COT_OK;
}

/* How the constants' cotangents are summed. */
static cot_status plan_totals(scan_vjp *s) {
    const int32_t first = s->scan.n_carries + s->scan.n_sequences;
    bool *varies = coti_arena_array(&s->arena, (size_t)s->n_inputs, sizeof *varies);
    uint32_t *wanted = coti_arena_array(&s->arena, (size_t)s->scan.n_constants, sizeof *wanted);
    int32_t n = 0;
    if (varies == NULL || wanted == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < s->n_inputs; i++) {
        varies[i] = s->input[i].part != CONSTANT;
    }
    for (int32_t i = first; i < s->v->node.n_inputs; i++) {
        if (s->operand_g[i].graph != NULL) {
            wanted[n++] = s->operand_g[i].id;
        }
    }
    s->totals =
        (coti_totals){.step = s->trace, .varies = varies, .arena = &s->arena, .outer = s->graph};
    return coti_totals_plan(&s->totals, wanted, n);
}

static cot_status trace(scan_vjp *s) {
    s->trace = cot_graph_create(s->graph->context, s->scan.body->name);
    if (s->trace == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(make_inputs(s));
    COTI_TRY(trace_step(s));
    COTI_TRY(trace_gradient(s));
    return trace_carries(s);
}

/* ---- body ---- */

/* Return a value from a graph as its next output. */
static cot_status add_output(cot_value value) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "r%zu", value.graph->output.count);
    return cot_graph_output(value, name);
}

/* The input that a node of the trace is and whose stack there is already; NULL: there is none. */
static step_input *stacked_input(const scan_vjp *s, uint32_t id) {
    for (int32_t i = 0; i < s->n_inputs; i++) {
        if (s->input[i].traced.id == id && s->input[i].part != COTANGENT) {
            return &s->input[i];
        }
    }
    return NULL;
}

/* What the trace is for: the carries, then what is added up, the sequences' cotangents, and what is
 * stacked for sums. */
static cot_status make_outputs(scan_vjp *s) {
    const int32_t n_carries = s->scan.n_carries;
    for (int32_t i = 0; i < n_carries; i++) {
        COTI_TRY(s->flows[i] ? add_output(s->carry_g[i]) : COT_OK);
    }
    for (size_t i = 0; i < s->totals.sum.count; i++) {
        COTI_TRY(add_output((cot_value){s->trace, s->totals.sum.data[i]}));
    }
    s->n_carries = (int32_t)s->trace->output.count;
    for (int32_t i = n_carries; i < n_carries + s->scan.n_sequences; i++) {
        COTI_TRY(s->operand_g[i].graph != NULL ? add_output(s->operand_g[i]) : COT_OK);
    }
    for (size_t i = 0; i < s->totals.stack.count; i++) {
        const uint32_t id = s->totals.stack.data[i];
        COTI_TRY(stacked_input(s, id) == NULL ? add_output((cot_value){s->trace, id}) : COT_OK);
    }
    s->n_results = (int32_t)s->trace->output.count;
    return COT_OK;
}

static cot_status find_needed(scan_vjp *s) {
    const cot_graph *trace = s->trace;
    bool *needed = coti_arena_array(&s->arena, trace->node.count, sizeof *needed);
    bool any = false;
    if (needed == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < trace->output.count; i++) {
        needed[trace->output.data[i].value] = true;
    }
    for (uint32_t id = (uint32_t)trace->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(trace, id);
        for (int32_t i = 0; i < node->n_inputs && needed[id]; i++) {
            needed[node->input[i]] = true;
        }
    }
    for (int32_t i = 0; i < s->n_inputs; i++) {
        s->input[i].needed = needed[s->input[i].traced.id] || s->input[i].part == COTANGENT;
        any = any || s->input[i].needed;
    }
    for (int32_t i = 0; i < s->n_inputs && !any && s->n_results > 0; i++) {
        s->input[i].needed = true; /* a scan has operands */
        any = true;
    }
    return COT_OK;
}

static cot_value new_input(cot_graph *body, cot_value like) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "t%zu", body->input.count);
    return cot_op_input(body, cot_value_dtype(like), cot_value_shape(like), name);
}

/* Inputs of the body: the cotangents, the running sums, then what else is needed. In place of what
 * is not needed stand zeros. */
static cot_status make_body_inputs(scan_vjp *s, cot_value *input, cot_value *running) {
    const size_t n_sums = s->totals.sum.count;
    for (int32_t i = 0; i < s->n_inputs; i++) {
        const step_input *from = &s->input[i];
        for (size_t k = 0; k < n_sums && from->part != COTANGENT && running[k].graph == NULL; k++) {
            running[k] = new_input(s->body, (cot_value){s->trace, s->totals.sum.data[k]});
        }
        input[i] = from->needed ? new_input(s->body, from->traced)
                                : zeros(s->body, coti_node_of(from->traced));
        COTI_TRY(input[i].graph != NULL ? COT_OK : status_of(s));
    }
    return COT_OK;
}

static cot_status make_body(scan_vjp *s) {
    const size_t n_sums = s->totals.sum.count, first_sum = (size_t)s->n_carries - n_sums;
    cot_value *input = coti_arena_array(&s->arena, (size_t)s->n_inputs, sizeof *input);
    cot_value *running = coti_arena_array(&s->arena, n_sums, sizeof *running);
    cot_value *output = coti_arena_array(&s->arena, (size_t)s->n_results, sizeof *output);
    s->body = cot_graph_create(s->graph->context, s->scan.body->name);
    if (input == NULL || running == NULL || output == NULL || s->body == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(make_body_inputs(s, input, running));
    COTI_TRY(coti_graph_inline(s->body, s->trace, input, output));
    for (size_t i = 0; i < (size_t)s->n_results; i++) {
        const bool sum = i >= first_sum && i < (size_t)s->n_carries;
        const cot_value value = sum ? coti_make_add(running[i - first_sum], output[i]) : output[i];
        COTI_TRY(value.graph != NULL ? add_output(value) : status_of(s));
    }
    return COT_OK;
}

/* ---- run ---- */

/* Another result of the execution that the rule reads: of the output's, if that is a copy, made
 * again in a region; else of that of the operands, which may be copies themselves. */
static cot_value history_of(const scan_vjp *s, int32_t result) {
    const coti_node *output = coti_node_of(s->v->output), *node = &s->v->node;
    coti_scan scan = s->scan;
    if (memcmp(output->input, node->input, (size_t)node->n_inputs * sizeof *node->input) != 0) {
        return coti_scan_sibling(s->graph, s->v->output.id, result);
    }
    scan.result = result;
    return coti_scan_add(s->graph, &scan, s->v->input);
}

/* What an input of the step is in the outer graph. */
static cot_value outer_of(const scan_vjp *s, const step_input *input) {
    const coti_scan *scan = &s->scan;
    const int32_t n_carries = scan->n_carries;
    switch (input->part) {
    case COTANGENT:
        return s->result_g[input->i].graph != NULL ? s->result_g[input->i]
                                                   : zeros(s->graph, body_input(s, input->i));
    case HISTORY:
        return history_of(s, n_carries + scan->n_stacks + input->i);
    case SEQUENCE:
        return s->v->input[n_carries + input->i];
    case STACK_COTANGENT:
        return s->result_g[n_carries + input->i];
    case HISTORY_COTANGENT:
        return s->result_g[n_carries + scan->n_stacks + input->i];
    case CONSTANT:
        return s->v->input[n_carries + scan->n_sequences + input->i];
    }
    return coti_poison();
}

/* Is an input, which is no cotangent of a carry, the operand of a sum's stack? */
static bool is_stacked(const scan_vjp *s, const step_input *input) {
    return s->totals.stack_place[input->traced.id] != 0;
}

/* Fill operand with the scan's; all outer values are set that the scan or the sums take. */
static cot_status gather_operands(scan_vjp *s, cot_value *operand, coti_scan *scan) {
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_inputs; i++) {
        step_input *input = &s->input[i];
        const bool first_other = input->part != COTANGENT && scan->n_carries < s->n_carries;
        for (size_t k = 0; first_other && k < s->totals.sum.count; k++) {
            operand[n++] = zeros(s->graph, coti_node_at(s->trace, s->totals.sum.data[k]));
            scan->n_carries++;
        }
        const bool taken = input->needed || input->part == CONSTANT || is_stacked(s, input);
        input->outer = taken ? outer_of(s, input) : coti_poison();
        COTI_TRY(!taken || input->outer.graph != NULL ? COT_OK : status_of(s));
        if (input->needed) {
            operand[n++] = input->outer;
            scan->n_carries += input->part == COTANGENT;
            scan->n_constants += input->part == CONSTANT;
            scan->n_sequences += input->part != COTANGENT && input->part != CONSTANT;
        }
    }
    return COT_OK;
}

static cot_status run_scan(scan_vjp *s) {
    coti_scan scan = {.steps = s->scan.steps, .reverse = !s->scan.reverse};
    const size_t n_most = (size_t)s->n_inputs + s->totals.sum.count;
    cot_value *operand = coti_arena_array(&s->arena, n_most, sizeof *operand);
    s->result = coti_arena_array(&s->arena, (size_t)s->n_results, sizeof *s->result);
    if (operand == NULL || s->result == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(gather_operands(s, operand, &scan));
    if (s->n_results == 0) {
        return COT_OK;
    }
    COTI_TRY(coti_graph_body(s->graph, s->body, &scan.body));
    for (scan.result = 0; scan.result < s->n_results; scan.result++) {
        s->result[scan.result] = coti_scan_add(s->graph, &scan, operand);
        COTI_TRY(s->result[scan.result].graph != NULL ? COT_OK : status_of(s));
    }
    return COT_OK;
}

/* The constants' cotangents, from stacks (the last results) and running sums (the last carries). */
static cot_status make_totals(scan_vjp *s, int32_t i_stack) {
    coti_totals *t = &s->totals;
    cot_value *stacked = coti_arena_array(&s->arena, t->stack.count, sizeof *stacked);
    cot_value *constant = coti_arena_array(&s->arena, (size_t)s->n_inputs, sizeof *constant);
    if (stacked == NULL || constant == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < t->stack.count; i++) {
        const step_input *input = stacked_input(s, t->stack.data[i]);
        stacked[i] = input != NULL ? input->outer : s->result[i_stack++];
    }
    for (int32_t i = 0; i < s->n_inputs; i++) {
        constant[i] = s->input[i].outer;
    }
    t->stacked = stacked;
    t->summed = s->result + s->n_carries - t->sum.count;
    t->constant = constant;
    return coti_totals_make(t);
}

/* Hand out what was asked for. */
static cot_status hand_over(scan_vjp *s, cot_value *grad) {
    const coti_scan *scan = &s->scan;
    const int32_t first_constant = scan->n_carries + scan->n_sequences;
    int32_t i_carry = 0, i_stack = s->n_carries;
    for (int32_t i = 0; i < first_constant; i++) {
        cot_value g = coti_poison();
        if (i < scan->n_carries ? s->flows[i] : s->operand_g[i].graph != NULL) {
            g = s->result[i < scan->n_carries ? i_carry++ : i_stack++];
        }
        grad[i] = s->v->needs[i] ? g : coti_poison();
    }
    COTI_TRY(make_totals(s, i_stack));
    for (int32_t i = first_constant; i < s->v->node.n_inputs; i++) {
        grad[i] =
            s->operand_g[i].graph != NULL ? s->totals.total[s->operand_g[i].id] : coti_poison();
    }
    for (int32_t i = 0; i < s->v->node.n_inputs; i++) {
        if (s->v->needs[i] && grad[i].graph == NULL) {
            grad[i] = zeros(s->graph, coti_node_of(s->v->input[i]));
        }
    }
    return COT_OK;
}

static cot_status differentiate(scan_vjp *s, cot_value *grad) {
    COTI_TRY(find(s));
    COTI_TRY(trace(s));
    COTI_TRY(plan_totals(s));
    COTI_TRY(make_outputs(s));
    COTI_TRY(find_needed(s));
    COTI_TRY(make_body(s));
    COTI_TRY(run_scan(s));
    return hand_over(s, grad);
}

/* Reads the histories of the carries, the sequences and the constants, as far as the gradient of a
 * step does. */
void coti_vjp_SCAN(const coti_vjp *v, cot_value *grad) {
    scan_vjp s = {.v = v, .graph = v->graph, .scan = coti_scan_of(&v->node)};
    coti_arena_init(&s.arena, v->graph->context);
    s.totals.step = v->graph;
    const cot_status status = differentiate(&s, grad);
    for (int32_t i = 0; i < v->node.n_inputs && status != COT_OK; i++) {
        grad[i] = coti_poison();
    }
    coti_totals_free(&s.totals);
    cot_graph_destroy(s.trace);
    cot_graph_destroy(s.body);
    coti_arena_clear(&s.arena);
}
