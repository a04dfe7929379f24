/*
 * The planner: groups become calls, calls chains, chains phases, values buffers.
 *
 *     groups -> phases -> chains and their chunks -> buffers -> places
 *
 * A plan depends on the groups, the largest row count and the number of threads; what a step
 * computes depends on neither of the latter. Cost: linear in groups and their operands, but for
 * sorting.
 */
#include "planner.h"

cot_status coti_plan_types(coti_arena *arena, const cot_graph *graph, cotr_program *program) {
    const size_t n_inputs = graph->input.count, n_outputs = graph->output.count;
    cotr_input *input = coti_arena_array(arena, n_inputs, sizeof *input);
    cotr_output *output = coti_arena_array(arena, n_outputs, sizeof *output);
    if (input == NULL || output == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n_inputs; i++) {
        const coti_node *node = coti_node_at(graph, graph->input.data[i]);
        const char *name = coti_arena_strdup(arena, node->name);
        input[i] = (cotr_input){name, (cot_dtype)node->dtype, node->shape};
        if (name == NULL) {
            return COT_E_NOMEM;
        }
    }
    for (size_t i = 0; i < n_outputs; i++) {
        const coti_node *node = coti_node_at(graph, graph->output.data[i].value);
        const char *name = coti_arena_strdup(arena, graph->output.data[i].name);
        output[i] = (cotr_output){name, (cot_dtype)node->dtype, node->shape};
        if (name == NULL) {
            return COT_E_NOMEM;
        }
    }
    program->n_inputs = (int32_t)n_inputs;
    program->n_outputs = (int32_t)n_outputs;
    program->input = input;
    program->output = output;
    return COT_OK;
}

/* The planner's tables, filled with "nothing yet". */
static cot_status begin(coti_planner *p) {
    const cot_graph *graph = p->groups->graph;
    const size_t n_groups = (size_t)p->groups->n_groups;
    p->group = coti_arena_array(&p->scratch, n_groups, sizeof *p->group);
    p->value = coti_arena_array(&p->scratch, graph->node.count, sizeof *p->value);
    if (p->group == NULL || p->value == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < graph->node.count; i++) {
        p->value[i] = (coti_plan_value){
            .writer = -1, .old_phase = -1, .input = -1, .output = -1, .buffer = -1, .source = -1};
    }
    for (size_t i = 0; i < graph->input.count; i++) {
        p->value[graph->input.data[i]].input = (int32_t)i;
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        p->value[p->groups->output[i]].output = (int32_t)i;
    }
    return COT_OK;
}

static cot_status make(coti_planner *p) {
    cotr_program *program = &p->plan->program;
    COTI_TRY(begin(p));
    COTI_TRY(coti_plan_types(&p->plan->arena, p->groups->graph, program));
    COTI_TRY(coti_plan_phases(p));
    COTI_TRY(coti_plan_chains(p));
    COTI_TRY(coti_plan_buffers(p));
    program->max_rows = p->groups->max_rows;
    for (int32_t i = 0; i < p->plan->n_kernels; i++) {
        int64_t bytes = p->plan->kernel[i]->scratch_bytes;
        program->scratch_bytes = bytes > program->scratch_bytes ? bytes : program->scratch_bytes;
    }
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        p->plan->work += p->groups->group[g].work;
    }
    void **state =
        (void **)coti_arena_array(&p->plan->arena, (size_t)program->n_states, sizeof *state);
    program->state = state;
    p->plan->state = state;
    return state != NULL ? COT_OK : COT_E_NOMEM;
}

cot_status coti_plan_make(const coti_groups *groups, const coti_target *target,
                          coti_plan **plan_out) {
    return coti_plan_make_closing(groups, target, COTI_PHASE_BYTES, plan_out);
}

cot_status coti_plan_make_closing(const coti_groups *groups, const coti_target *target,
                                  int64_t phase_bytes, coti_plan **plan_out) {
    cot_context *context = groups->context;
    coti_plan *plan = coti_calloc(context, 1, sizeof *plan);
    if (plan == NULL) {
        return COT_E_NOMEM;
    }
    coti_planner p = {.context = context,
                      .groups = groups,
                      .target = target,
                      .plan = plan,
                      .phase_bytes = phase_bytes};
    coti_arena_init(&plan->arena, context);
    coti_arena_init(&p.scratch, context);
    cot_status status = make(&p);
    coti_arena_clear(&p.scratch);
    if (status != COT_OK) {
        coti_plan_destroy(plan);
        return status;
    }
    *plan_out = plan;
    return COT_OK;
}

void coti_plan_link(coti_plan *plan, const cotr_kernel *code) {
    for (int32_t i = 0; i < plan->n_calls; i++) {
        if (plan->call_kernel[i] >= 0) {
            plan->call[i].kernel = code[plan->call_kernel[i]];
        }
    }
}

void coti_plan_destroy(coti_plan *plan) {
    if (plan != NULL) {
        cot_context *context = plan->arena.context;
        coti_arena_clear(&plan->arena);
        coti_free(context, plan);
    }
}
