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
static cot_status number_kernels(coti_plan *plan, coti_map *index, const coti_groups *groups) {
    cot_status status = COT_OK;
    for (int32_t i = 0; i < plan->n_calls && status == COT_OK; i++) {
        const coti_kernel *kernel = groups->group[plan->call_group[i]].kernel;
        const sought_kernel sought = {plan, kernel};
        const uintptr_t address = (uintptr_t)kernel;
        const uint64_t hash = coti_hash(0, &address, sizeof address);
        uint32_t number = 0;
        if (!coti_map_find(index, hash, same_kernel, &sought, &number)) {
            number = (uint32_t)plan->n_kernels;
            plan->kernel[plan->n_kernels++] = kernel;
            status = coti_map_add(index, hash, number);
        }
        plan->call_kernel[i] = (int32_t)number;
    }
    return status;
}

static cot_status make_calls(coti_planner *p) {
    coti_plan *plan = p->plan;
    const size_t n = (size_t)p->groups->n_groups;
    plan->n_calls = p->groups->n_groups;
    plan->call = coti_arena_array(&plan->arena, n, sizeof *plan->call);
    plan->kernel = (const coti_kernel **)coti_arena_array(&plan->arena, n, sizeof *plan->kernel);
    plan->call_kernel = coti_arena_array(&plan->arena, n, sizeof *plan->call_kernel);
    plan->call_group = coti_arena_copy(&plan->arena, p->order, n * sizeof *p->order);
    if (plan->call == NULL || plan->kernel == NULL || plan->call_kernel == NULL ||
        plan->call_group == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < plan->n_calls; i++) {
        const coti_group *group = &p->groups->group[plan->call_group[i]];
        const char *hint = group->kernel->hint;
        char *name = coti_arena_strdup(&plan->arena, hint != NULL ? hint : "kernel");
        if (name == NULL) {
            return COT_E_NOMEM;
        }
        plan->call[i] = (cotr_call){.n_slots = group->kernel->n_slots,
                                    .coefficient = group->rows ? group->coefficient : 1,
                                    .loads = -1,
                                    .name = name};
    }
    coti_map index;
    coti_map_init(&index, p->context);
    cot_status status = number_kernels(plan, &index, p->groups);
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
    coti_plan *plan = p->plan;
    const coti_group *before = NULL;
    int32_t phase_before = -1;
    for (int32_t i = 0; i < plan->n_calls; i++) {
        const coti_group *group = &p->groups->group[plan->call_group[i]];
        coti_plan_group *state = &p->group[plan->call_group[i]];
        bool continues =
            group->rows && before != NULL && before->rows && state->phase == phase_before;
        if (!continues) {
            begin_chain(p, i, group, state->phase);
        }
        cotr_chain *chain = &p->chain[p->n_chains - 1];
        state->chain = p->n_chains - 1;
        state->position = chain->n_calls++;
        chain->work += group->work;
        before = group;
        phase_before = state->phase;
    }
    for (int32_t i = 0; i < p->n_chains; i++) {
        if (p->chain[i].rows) {
            coti_plan_chunk(p, &p->chain[i]);
        }
    }
}

cot_status coti_plan_chains(coti_planner *p) {
    coti_plan *plan = p->plan;
    COTI_TRY(sort_groups(p));
    COTI_TRY(make_calls(p));
    p->phase = coti_arena_array(&plan->arena, (size_t)p->n_phases, sizeof *p->phase);
    p->chain = coti_arena_array(&plan->arena, (size_t)plan->n_calls, sizeof *p->chain);
    if (p->phase == NULL || p->chain == NULL) {
        return COT_E_NOMEM;
    }
    make_chains(p);
    plan->program.n_phases = p->n_phases;
    plan->program.phase = p->phase;
    return COT_OK;
}
