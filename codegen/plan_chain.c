/*
 * Calls and chains: the groups of a phase that are over rows become one chain, every other
 * group a chain of its own.
 */
#include "planner.h"

#include <stdlib.h>

/* ---- calls ---- */

/* A group as it is sorted: by phase, step, rows first, heavy ones first, place. */
typedef struct sorted_group {
    int32_t phase, step, units, place;
    double work;
} sorted_group;

static int compare_ints(int32_t a, int32_t b) {
    return a < b ? -1 : a > b;
}

static int compare_groups(const void *a, const void *b) {
    const sorted_group *x = a, *y = b;
    int by_phase = compare_ints(x->phase, y->phase);
    int by_step = compare_ints(x->step, y->step);
    int by_units = compare_ints(x->units, y->units);
    if (by_phase != 0 || by_step != 0 || by_units != 0) {
        return by_phase != 0 ? by_phase : by_step != 0 ? by_step : by_units;
    }
    if (x->units != 0 && x->work != y->work) {
        return x->work > y->work ? -1 : 1;
    }
    return compare_ints(x->place, y->place);
}

static cot_status sort_groups(coti_planner *p) {
    const size_t n = (size_t)p->groups->n_groups;
    sorted_group *sorted = coti_arena_array(&p->scratch, n, sizeof *sorted);
    p->order = coti_arena_array(&p->scratch, n, sizeof *p->order);
    if (sorted == NULL || p->order == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const coti_group *group = &p->groups->group[i];
        sorted[i] = (sorted_group){p->group[i].phase, p->group[i].step, !group->rows, (int32_t)i,
                                   group->work};
    }
    qsort(sorted, n, sizeof *sorted, compare_groups);
    for (size_t i = 0; i < n; i++) {
        p->order[i] = sorted[i].place;
    }
    return COT_OK;
}

/* Lowering has made equal kernels one, so that their addresses tell them apart. */
typedef struct sought_kernel {
    const coti_plan *plan;
    const coti_kernel *kernel;
} sought_kernel;

static bool same_kernel(const void *user, uint32_t value) {
    const sought_kernel *sought = user;
    return sought->plan->kernel[value] == sought->kernel;
}

/* Number the distinct kernels; `index` finds those that have a number. */
static cot_status number_kernels(coti_plan *plan, coti_map *index) {
    cot_status status = COT_OK;
    for (int32_t i = 0; i < plan->n_calls && status == COT_OK; i++) {
        const coti_kernel *kernel = plan->call_of[i]->kernel;
        const sought_kernel sought = {plan, kernel};
        const uintptr_t address = (uintptr_t)kernel;
        const uint64_t hash = coti_hash(0, &address, sizeof address);
        uint32_t number = 0;
        if (kernel == NULL) {
            continue; /* of a loop: its body's calls have kernels */
        }
        if (!coti_map_find(index, hash, same_kernel, &sought, &number)) {
            number = (uint32_t)plan->n_kernels;
            plan->kernel[plan->n_kernels++] = kernel;
            status = coti_map_add(index, hash, number);
        }
        plan->call_kernel[i] = (int32_t)number;
    }
    return status;
}

static cot_status make_tables(coti_plan *plan, size_t n) {
    plan->call = coti_arena_array(&plan->arena, n, sizeof *plan->call);
    plan->kernel = (const coti_kernel **)coti_arena_array(&plan->arena, n, sizeof *plan->kernel);
    plan->call_kernel = coti_arena_array(&plan->arena, n, sizeof *plan->call_kernel);
    plan->call_group = coti_arena_array(&plan->arena, n, sizeof *plan->call_group);
    plan->call_of = (const coti_group **)coti_arena_array(&plan->arena, n, sizeof *plan->call_of);
    plan->call_groups =
        (const coti_groups **)coti_arena_array(&plan->arena, n, sizeof *plan->call_groups);
    return plan->call != NULL && plan->kernel != NULL && plan->call_kernel != NULL &&
                   plan->call_group != NULL && plan->call_of != NULL && plan->call_groups != NULL
               ? COT_OK
               : COT_E_NOMEM;
}

/* The calls of all groups in their order. */
static cot_status make_calls(coti_planner *p) {
    size_t n = 0;
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        n += (size_t)coti_plan_count_calls(&p->groups->group[g]);
    }
    COTI_TRY(make_tables(p->plan, n));
    for (int32_t i = 0; i < p->groups->n_groups; i++) {
        const int32_t g = p->order[i];
        COTI_TRY(coti_plan_append_calls(p, g, p->groups, &p->groups->group[g], 0, 1));
    }
    coti_map index;
    coti_map_init(&index, p->context);
    cot_status status = number_kernels(p->plan, &index);
    coti_map_free(&index);
    return status;
}

/* ---- chains ---- */

/* Begin a chain with this call, in the phase of its group. */
static void begin_chain(coti_planner *p, int32_t i_call, const coti_group *group, int32_t i_phase) {
    cotr_phase *phase = &p->phase[i_phase];
    cotr_chain *chain = &p->chain[p->n_chains++];
    *chain = (cotr_chain){.rows = group->rows,
                          .n_units = group->rows ? 0 : group->n_units,
                          .call = &p->plan->call[i_call]};
    if (phase->n_chains++ == 0) {
        phase->chain = chain;
        phase->serial = p->serial[i_phase];
    }
}

static void make_chains(coti_planner *p) {
    const coti_group *before = NULL;
    int32_t phase_before = -1, i_call = 0;
    for (int32_t i = 0; i < p->groups->n_groups; i++) {
        const coti_group *group = &p->groups->group[p->order[i]];
        coti_plan_group *state = &p->group[p->order[i]];
        bool continues =
            group->rows && before != NULL && before->rows && state->phase == phase_before;
        if (!continues) {
            p->chain_first[p->n_chains] = i;
            begin_chain(p, i_call, group, state->phase);
        }
        const int32_t n_calls = coti_plan_count_calls(group);
        cotr_chain *chain = &p->chain[p->n_chains - 1];
        state->chain = p->n_chains - 1;
        state->position = i - p->chain_first[p->n_chains - 1];
        chain->n_calls += n_calls;
        chain->work += group->work;
        i_call += n_calls;
        before = group;
        phase_before = state->phase;
    }
    p->chain_first[p->n_chains] = p->groups->n_groups;
    for (int32_t i = 0; i < p->n_chains; i++) {
        if (p->chain[i].rows) {
            coti_plan_chunk(p, i);
        }
    }
}

cot_status coti_plan_chains(coti_planner *p) {
    coti_plan *plan = p->plan;
    COTI_TRY(sort_groups(p));
    COTI_TRY(make_calls(p));
    p->phase = coti_arena_array(&plan->arena, (size_t)p->n_phases, sizeof *p->phase);
    p->chain = coti_arena_array(&plan->arena, (size_t)p->groups->n_groups, sizeof *p->chain);
    p->chain_first =
        coti_arena_array(&p->scratch, (size_t)p->groups->n_groups + 1, sizeof *p->chain_first);
    if (p->phase == NULL || p->chain == NULL || p->chain_first == NULL) {
        return COT_E_NOMEM;
    }
    make_chains(p);
    plan->program.n_phases = p->n_phases;
    plan->program.phase = p->phase;
    return COT_OK;
}
