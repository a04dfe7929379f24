/*
 * The phase of each group.
 *
 *   earliest   after what a group needs; but a group over rows may stand in the phase of the groups
 *              over rows whose values it reads, since all of a phase's groups over rows make one
 *              chain, whose tasks do all their calls on their own rows. What comes behind a barrier
 *              begins a phase, and so does a chain that much waits for. A state's writer comes
 * after the state's readers sink       later, where that shortens lives: what is needed late is
 * made late merge      neighbouring phases that are too small to share become one, which one thread
 * runs, step after step
 *
 * All linear in groups and operands.
 */
#include "planner.h"

/* ---- earliest ---- */

/* How many phases a value's reader must come after its writer. */
static int32_t distance(bool writer_rows, bool reader_rows) {
    return writer_rows && reader_rows ? 0 : 1;
}

/*
 * The first phase for a group of this era: what comes behind a barrier comes after all that came
 * before it, lest values be computed again while what they stand in for is still there. And groups
 * over rows come after all that came before once enough has gathered that could be freed: else all
 * backward work over rows would be one phase, at whose end all cotangents wait for the weight
 * gradients, far from any cache.
 */
static int32_t find_first_phase(coti_planner *p, const coti_group *group) {
    if (group->era > p->era) {
        p->era = group->era;
        p->first_phase = p->n_phases;
        p->gathered = 0;
    }
    if (group->rows && p->phase_bytes > 0 && p->gathered >= p->phase_bytes) {
        p->first_rows_phase = p->n_phases;
        p->gathered = 0;
    }
    const int32_t first = group->era == p->era ? p->first_phase : 0;
    return group->rows ? coti_plan_later(first, p->first_rows_phase) : first;
}

/* Bytes of values over rows that a group which is not over rows reads: they are there until it has
 * run. */
static int64_t bytes_waiting(const coti_planner *p, int32_t g) {
    int64_t sum = 0;
    COTI_PLAN_OPERANDS(p, g, operand) {
        int64_t bytes = 0;
        if (operand->kind == COTI_OPERAND_VALUE && operand->read &&
            coti_plan_node(p, operand->id)->shape.batched &&
            coti_plan_bytes(p, operand->id, p->groups->max_rows, &bytes) == COT_OK) {
            sum += bytes;
        }
    }
    return sum;
}

static cot_status find_earliest(coti_planner *p, int32_t g) {
    const bool rows = p->groups->group[g].rows;
    int32_t phase = 0;
    COTI_PLAN_OPERANDS(p, g, operand) {
        coti_plan_value *value = &p->value[operand->id];
        if (operand->kind == COTI_OPERAND_VALUE && operand->read) {
            if (value->writer < 0) {
                return COTI_FAIL(p->context, COT_E_INTERNAL,
                                 "group %d reads node %u, which no group before it writes", g,
                                 operand->id);
            }
            bool writer_rows = p->groups->group[value->writer].rows;
            phase =
                coti_plan_later(phase, p->group[value->writer].phase + distance(writer_rows, rows));
            value->n_readers++;
        }
        if (operand->kind == COTI_OPERAND_STATE && operand->written) {
            phase = coti_plan_later(phase, value->old_phase + 1);
        }
    }
    phase = coti_plan_later(phase, find_first_phase(p, &p->groups->group[g]));
    p->group[g].phase = phase;
    p->n_phases = coti_plan_later(p->n_phases, phase + 1);
    p->gathered += p->phase_bytes > 0 && !rows ? bytes_waiting(p, g) : 0;
    return COT_OK;
}

/* Record what a group writes, and which old states it reads. */
static cot_status note_uses(coti_planner *p, int32_t g) {
    COTI_PLAN_OPERANDS(p, g, operand) {
        coti_plan_value *value = &p->value[operand->id];
        const bool is_state = operand->kind == COTI_OPERAND_STATE;
        if (!is_state && !(operand->kind == COTI_OPERAND_VALUE && operand->written)) {
            continue;
        }
        if (value->writer >= 0 && value->writer != g) {
            return COTI_FAIL(p->context, COT_E_INTERNAL,
                             "group %d uses node %u, which group %d before it has overwritten", g,
                             operand->id, value->writer);
        }
        if (operand->written) {
            value->writer = g;
        } else {
            value->old_phase = coti_plan_later(value->old_phase, p->group[g].phase);
        }
    }
    return COT_OK;
}

/* ---- sinking ---- */

/* latest[2 * node + writer_rows]: the latest phase that a value's readers allow its writer. */
static int32_t *latest_of(int32_t *latest, uint32_t id, bool writer_rows) {
    return &latest[2 * (size_t)id + writer_rows];
}

/* The latest phase for a group whose readers' phases are final. */
static int32_t find_latest(const coti_planner *p, int32_t g, int32_t *latest) {
    int32_t to = p->n_phases - 1;
    COTI_PLAN_OPERANDS(p, g, operand) {
        const coti_plan_value *value = &p->value[operand->id];
        int32_t allowed = to;
        if (operand->kind == COTI_OPERAND_VALUE && operand->written) {
            allowed = *latest_of(latest, operand->id, p->groups->group[g].rows);
        } else if (operand->kind == COTI_OPERAND_STATE && value->writer >= 0 &&
                   value->writer != g) {
            allowed = p->group[value->writer].phase - 1;
        }
        to = allowed < to ? allowed : to;
    }
    return to;
}

/* Bytes times phases that a move of this operand's group saves; negative: that it costs. */
static int64_t saving(const coti_planner *p, const coti_operand *operand, int32_t from,
                      int32_t to) {
    const coti_plan_value *value = &p->value[operand->id];
    int64_t bytes = 0;
    if (operand->kind != COTI_OPERAND_VALUE ||
        coti_plan_bytes(p, operand->id, p->groups->max_rows, &bytes) != COT_OK) {
        return 0;
    }
    if (operand->written) {
        return value->n_readers > 0 ? bytes * (to - from) : 0;
    }
    int32_t stays = coti_plan_later(value->last_phase, from);
    return stays < to ? -bytes * (to - stays) : 0;
}

static void sink_group(coti_planner *p, int32_t g, int32_t *latest) {
    const int32_t from = p->group[g].phase, to = find_latest(p, g, latest);
    int64_t saved = 0;
    if (to > from) {
        COTI_PLAN_OPERANDS(p, g, operand) {
            saved += saving(p, operand, from, to);
        }
    }
    if (saved > 0) {
        p->group[g].phase = to;
    }
}

/* A group's phase is final: what that means for its operands and their writers. */
static void note_final(coti_planner *p, int32_t g, int32_t *latest) {
    const int32_t phase = p->group[g].phase;
    COTI_PLAN_OPERANDS(p, g, operand) {
        coti_plan_value *value = &p->value[operand->id];
        value->last_phase = coti_plan_later(value->last_phase, phase);
        if (operand->kind != COTI_OPERAND_VALUE || !operand->read) {
            continue;
        }
        for (int32_t writer_rows = 0; writer_rows < 2; writer_rows++) {
            int32_t *at = latest_of(latest, operand->id, writer_rows != 0);
            int32_t allowed = phase - distance(writer_rows != 0, p->groups->group[g].rows);
            *at = allowed < *at ? allowed : *at;
        }
    }
}

/* Backwards, so that readers come before writers. */
static cot_status sink(coti_planner *p) {
    const size_t n = 2 * p->groups->graph->node.count;
    int32_t *latest = coti_arena_array(&p->scratch, n, sizeof *latest);
    if (latest == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        latest[i] = p->n_phases - 1;
    }
    for (int32_t g = p->groups->n_groups - 1; g >= 0; g--) {
        sink_group(p, g, latest);
        note_final(p, g, latest);
    }
    return COT_OK;
}

/* ---- merging ---- */

/* Old phases to new ones; fills work and serial of the new. Phases that sinking has emptied go. */
static void number_phases(coti_planner *p, const bool *used, int32_t *merged) {
    int32_t n = 0;
    for (int32_t i = 0; i < p->n_phases; i++) {
        const double work = p->work[i];
        const bool serial = work < COTR_SERIAL_WORK;
        const bool joins = n > 0 && (!used[i] || (serial && p->serial[n - 1]));
        merged[i] = joins || !used[i] ? n - 1 : n++;
        if (used[i]) {
            p->serial[merged[i]] = serial;
            p->work[merged[i]] = joins ? p->work[merged[i]] + work : work;
        }
    }
    p->n_phases = n;
}

static cot_status merge(coti_planner *p) {
    int32_t *merged = coti_arena_array(&p->scratch, (size_t)p->n_phases, sizeof *merged);
    bool *used = coti_arena_array(&p->scratch, (size_t)p->n_phases, sizeof *used);
    p->work = coti_arena_array(&p->scratch, (size_t)p->n_phases, sizeof *p->work);
    p->serial = coti_arena_array(&p->scratch, (size_t)p->n_phases, sizeof *p->serial);
    if (merged == NULL || used == NULL || p->work == NULL || p->serial == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        p->work[p->group[g].phase] += p->groups->group[g].work;
        used[p->group[g].phase] = true;
    }
    number_phases(p, used, merged);
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        p->group[g].step = p->group[g].phase;
        p->group[g].phase = merged[p->group[g].phase];
    }
    return COT_OK;
}

cot_status coti_plan_phases(coti_planner *p) {
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        COTI_TRY(find_earliest(p, g));
        COTI_TRY(note_uses(p, g));
    }
    COTI_TRY(sink(p));
    return merge(p);
}
