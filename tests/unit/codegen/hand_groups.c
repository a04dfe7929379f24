/* Groups by hand, and the check of plans: see hand_groups.h. */
#include "hand_groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hand_groups *hand_groups_begin(cot_context *context, int64_t max_rows) {
    hand_groups *hand = calloc(1, sizeof *hand);
    if (hand == NULL) {
        return NULL;
    }
    hand->context = context;
    hand->graph = cot_graph_create(context, "hand");
    hand->groups = (coti_groups){.context = context,
                                 .graph = hand->graph,
                                 .max_rows = max_rows,
                                 .group = hand->group,
                                 .output = hand->output};
    return hand;
}

void hand_groups_end(hand_groups *hand) {
    cot_graph_destroy(hand->graph);
    free(hand);
}

uint32_t hand_value(hand_groups *hand, bool batched, int64_t columns) {
    char name[16];
    snprintf(name, sizeof name, "v%d", hand->n_names++);
    cot_shape shape = batched ? COT_BATCH(columns) : COT_SHAPE(columns);
    return cot_op_input(hand->graph, COT_F32, shape, name).id;
}

uint32_t hand_state(hand_groups *hand, int64_t columns) {
    char name[16];
    snprintf(name, sizeof name, "s%d", hand->n_names++);
    cot_variable *variable = cot_variable_create(hand->context, COT_F32, COT_SHAPE(columns), name);
    uint32_t id = cot_op_state(hand->graph, variable).id;
    cot_variable_release(variable);
    return id;
}

void hand_output(hand_groups *hand, uint32_t value) {
    char name[16];
    snprintf(name, sizeof name, "o%d", hand->n_names++);
    hand->output[hand->graph->output.count] = value;
    cot_graph_output((cot_value){hand->graph, value}, name);
}

int32_t hand_group(hand_groups *hand, bool rows, double work) {
    int32_t g = hand->groups.n_groups++;
    hand->kernel[g] = (coti_kernel){.skeleton = COTI_SKELETON_MAP, .rows_dim = -1, .hint = "hand"};
    hand->group[g] = (coti_group){.kernel = &hand->kernel[g],
                                  .operand = hand->operand[g],
                                  .rows = rows,
                                  .coefficient = 1,
                                  .n_units = rows ? 0 : 4,
                                  .work = work};
    return g;
}

static void add_operand(hand_groups *hand, int32_t group, coti_operand operand) {
    hand->operand[group][hand->kernel[group].n_slots++] = operand;
}

void hand_read(hand_groups *hand, int32_t group, coti_operand_kind kind, uint32_t id) {
    add_operand(hand, group, (coti_operand){kind, id, true, false});
}

void hand_write(hand_groups *hand, int32_t group, coti_operand_kind kind, uint32_t id) {
    add_operand(hand, group, (coti_operand){kind, id, kind == COTI_OPERAND_STATE, true});
}

/* ---- checking ---- */

/* Where a group's call stands. */
typedef struct place {
    int32_t phase, chain, call;
    bool serial, rows;
} place;

static bool find_places(const hand_groups *hand, const coti_plan *plan, place *at_out) {
    const cotr_program *program = &plan->program;
    int32_t i_call = 0, i_chain = 0;
    for (int32_t g = 0; g < hand->groups.n_groups; g++) {
        at_out[g].phase = -1;
    }
    for (int32_t i = 0; i < program->n_phases; i++) {
        for (int32_t j = 0; j < program->phase[i].n_chains; j++, i_chain++) {
            const cotr_chain *chain = &program->phase[i].chain[j];
            for (int32_t k = 0; k < chain->n_calls; k++, i_call++) {
                int32_t g = plan->call_group[i_call];
                bool fits = &chain->call[k] == &plan->call[i_call] && at_out[g].phase < 0 &&
                            chain->rows == hand->group[g].rows && (chain->rows || k == 0);
                if (!fits) {
                    return false;
                }
                at_out[g] = (place){i, i_chain, i_call, program->phase[i].serial, chain->rows};
            }
        }
    }
    return i_call == hand->groups.n_groups;
}

/* Is all of a's work done before b's, wherever b reads what a has written? */
static bool comes_before(const place *a, const place *b, bool own_rows) {
    if (a->phase != b->phase) {
        return a->phase < b->phase;
    }
    bool in_order = a->call < b->call;
    return in_order && (a->serial || (own_rows && a->chain == b->chain && a->rows));
}

static const char *check_order(const hand_groups *hand, const place *at) {
    const int32_t n = hand->groups.n_groups;
    for (int32_t writer = 0; writer < n; writer++) {
        for (int32_t i = 0; i < hand->kernel[writer].n_slots; i++) {
            const coti_operand *written = &hand->operand[writer][i];
            for (int32_t reader = 0; written->written && reader < n; reader++) {
                for (int32_t j = 0; j < hand->kernel[reader].n_slots; j++) {
                    const coti_operand *read = &hand->operand[reader][j];
                    if (reader == writer || read->id != written->id ||
                        read->kind != written->kind) {
                        continue;
                    }
                    bool is_state = written->kind == COTI_OPERAND_STATE;
                    if (is_state ? !comes_before(&at[reader], &at[writer], false)
                                 : !comes_before(&at[writer], &at[reader], true)) {
                        return is_state ? "a state is overwritten before it is read"
                                        : "a value is read before it is written";
                    }
                }
            }
        }
    }
    return NULL;
}

/* First and last phase (ARENA) or call (LOCAL) of a buffer, by looking at all calls. */
static coti_lifetime find_life(const hand_groups *hand, const coti_plan *plan, const place *at,
                               int32_t i_buffer, bool local) {
    coti_lifetime life = {INT32_MAX, -1};
    for (int32_t i = 0; i < plan->n_calls; i++) {
        for (int32_t j = 0; j < plan->call[i].n_slots; j++) {
            if (plan->call[i].slot[j] == i_buffer) {
                int32_t when = local ? i : at[plan->call_group[i]].phase;
                life.first = when < life.first ? when : life.first;
                life.last = when > life.last ? when : life.last;
            }
        }
    }
    (void)hand;
    return life;
}

/* A stretch of arena or of local block. */
typedef struct stretch {
    bool used, local;
    int64_t offset, bytes;
    coti_lifetime life;
} stretch;

static stretch find_stretch(const hand_groups *hand, const coti_plan *plan, const place *at,
                            int32_t i) {
    const cotr_buffer *buffer = &plan->program.buffer[i];
    stretch s = {.used = buffer->kind == COTR_ARENA || buffer->kind == COTR_LOCAL ||
                         buffer->kind == COTR_OUTPUT,
                 .local = buffer->kind == COTR_LOCAL,
                 .offset = buffer->kind == COTR_OUTPUT ? buffer->arena_offset : buffer->offset,
                 .bytes = buffer->bytes};
    s.life = find_life(hand, plan, at, i, s.local);
    return s;
}

static bool overlap(const stretch *a, const stretch *b) {
    return a->local == b->local && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes && a->life.first <= b->life.last &&
           b->life.first <= a->life.last;
}

static const char *check_memory(const hand_groups *hand, const coti_plan *plan, const place *at) {
    const cotr_program *program = &plan->program;
    const char *wrong = NULL;
    stretch *all = calloc((size_t)program->n_buffers + 1, sizeof *all);
    for (int32_t i = 0; i < program->n_buffers && wrong == NULL; i++) {
        all[i] = find_stretch(hand, plan, at, i);
        int64_t limit = all[i].local ? program->local_bytes : program->arena_bytes;
        if (all[i].used && (all[i].offset < 0 || all[i].offset % 64 != 0 ||
                            all[i].offset + all[i].bytes > limit)) {
            wrong = "a buffer is not aligned or lies outside";
        }
        for (int32_t j = 0; j < i && wrong == NULL; j++) {
            if (all[i].used && all[j].used && overlap(&all[i], &all[j])) {
                wrong = "two buffers that are live at once overlap";
            }
        }
    }
    free(all);
    return wrong;
}

/* Bytes and kinds: what a buffer holds is large enough for the rows that come to it. */
static const char *check_buffers(const hand_groups *hand, const coti_plan *plan, const place *at) {
    for (int32_t i = 0; i < plan->n_calls; i++) {
        const int32_t g = plan->call_group[i];
        for (int32_t j = 0; j < plan->call[i].n_slots; j++) {
            const cotr_buffer *buffer = &plan->program.buffer[plan->call[i].slot[j]];
            const coti_node *node = coti_node_at(hand->graph, hand->operand[g][j].id);
            int64_t row = 4 * node->shape.dim[node->shape.rank - 1];
            if (buffer->row_bytes != (node->shape.batched ? row : 0)) {
                return "row_bytes is wrong";
            }
            if (buffer->kind == COTR_LOCAL && !at[g].rows) {
                return "a LOCAL buffer is used by a chain of units";
            }
            int64_t rows = !node->shape.batched ? 1 : plan->program.max_rows;
            if (buffer->kind != COTR_LOCAL && buffer->bytes != rows * row) {
                return "bytes are wrong";
            }
        }
    }
    return NULL;
}

const char *hand_check(const hand_groups *hand, const coti_plan *plan) {
    place at[HAND_MAX_GROUPS];
    if (!find_places(hand, plan, at)) {
        return "a group is not called exactly once, in a chain of its kind";
    }
    const char *wrong = check_order(hand, at);
    wrong = wrong == NULL ? check_buffers(hand, plan, at) : wrong;
    return wrong == NULL ? check_memory(hand, plan, at) : wrong;
}
