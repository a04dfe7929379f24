/*
 * The pipeline, from a tensor graph to a program.
 *
 *     graph -> expand composites -> optimize -> fuse -> plan -> machine code -> program
 *       |
 *       +----> optimize -> program on the evaluator, when there are no kernels for it
 *
 * In two parts: to the plan; and machine code, for several programs in one go, so that each thread
 * of the compile has something to do. Every pass verifies its result when the context says so
 * (graph/rewrite.c); kernels are verified here. Every stage is dumped when the context says so.
 */
#include "compile.h"

#include <string.h>

enum {
    MAX_ROUNDS = 4,
    SMALLEST_SHARE = 512 /* of an arena, after which a phase is ended */
};

typedef cot_status (*pass_fn)(const cot_graph *graph, cot_graph **result_out, bool *changed_out);

/* What is at hand between two stages. */
struct coti_compilation {
    cot_context *context;
    cot_program *program;
    const cot_graph *given, *graph; /* what is compiled; what is at hand */
    cot_graph *owned;               /* graph, once a pass has made it */
    coti_target target;
    bool has_target;
    coti_groups *groups;
    coti_plan *plan;
    cotr_kernel *code;
    const coti_request *request;
    int64_t max_rows; /* 1 when nothing is batched */
    coti_stage until;
};
typedef struct coti_compilation compilation;

/* ---- dumps ---- */

/* Every dump begins with the command that makes it again. */
static void print_head(coti_str *text, const compilation *c, coti_stage stage) {
    const char *name = coti_stage_name(stage);
    coti_str_printf(text, "# stage %s of %s, at most %lld rows a step\n", name, c->program->name,
                    (long long)c->max_rows);
    coti_str_printf(text,
                    "# again: cotangent dump --stage %s --max-rows %lld FILE.cot, FILE.cot "
                    "being the dump of stage graph or grad\n",
                    name, (long long)c->max_rows);
}

/* What the plan's maker has to say of it. */
static void print_note(coti_str *text, const compilation *c) {
    for (const char *line = c->request->note; line != NULL && *line != '\0';) {
        const int length = (int)strcspn(line, "\n");
        coti_str_printf(text, "# %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
}

static cot_status write_dump(const compilation *c, coti_stage stage, const char *extension,
                             coti_str *text) {
    coti_dump *dump = NULL;
    COTI_TRY(coti_str_status(text));
    COTI_TRY(coti_dump_open(c->context, stage, c->program->name, extension, &dump));
    (void)coti_dump_write(coti_str_text(text), text->count, dump);
    return coti_dump_close(c->context, dump);
}

static bool append_text(const char *text, size_t bytes, void *str) {
    coti_str_append_bytes(str, text, bytes);
    return true;
}

static cot_status dump_graph(const compilation *c, coti_stage stage) {
    if (!c->context->dump[stage]) {
        return COT_OK;
    }
    coti_str text;
    coti_str_init(&text, c->context);
    print_head(&text, c, stage);
    cot_status status = cot_graph_print(c->graph, append_text, &text);
    status = status == COT_OK ? write_dump(c, stage, "cot", &text) : status;
    coti_str_free(&text);
    return status;
}

static cot_status dump_groups(const compilation *c) {
    if (!c->context->dump[COTI_STAGE_FUSE]) {
        return COT_OK;
    }
    coti_str text;
    coti_str_init(&text, c->context);
    print_head(&text, c, COTI_STAGE_FUSE);
    print_note(&text, c);
    coti_groups_print(&text, c->groups);
    cot_status status = write_dump(c, COTI_STAGE_FUSE, "txt", &text);
    coti_str_free(&text);
    return status;
}

static cot_status dump_plan(const compilation *c) {
    if (!c->context->dump[COTI_STAGE_PLAN]) {
        return COT_OK;
    }
    coti_str text;
    coti_str_init(&text, c->context);
    print_head(&text, c, COTI_STAGE_PLAN);
    print_note(&text, c);
    coti_plan_print(&text, c->plan, c->program->name);
    cot_status status = write_dump(c, COTI_STAGE_PLAN, "txt", &text);
    coti_str_free(&text);
    return status;
}

/* ---- passes ---- */

static cot_status apply(compilation *c, pass_fn pass, bool *changed_out) {
    cot_graph *result = NULL;
    COTI_TRY(pass(c->graph, &result, changed_out));
    cot_graph_destroy(c->owned);
    c->owned = result;
    c->graph = result;
    return COT_OK;
}

/* A pass that would change nothing is not run, for a copy of the graph is what it costs. */
static cot_status apply_if(compilation *c, bool applies, pass_fn pass, bool *changed_out) {
    *changed_out = false;
    return applies ? apply(c, pass, changed_out) : COT_OK;
}

static cot_status simplify(compilation *c, bool *changed_out) {
    bool applies = false;
    COTI_TRY(coti_simplify_applies(c->owned, &applies));
    return apply_if(c, applies, coti_pass_simplify, changed_out);
}

/*
 * Until nothing changes, and at most a few rounds; of the first, simplification has been done,
 * which leaves nothing for a second: each node has been made through the rules, of operands that
 * had been. Equal nodes become one, and dead ones go, with every copy that a pass makes: the passes
 * of that name have nothing left to do here.
 */
static cot_status optimize(compilation *c) {
    bool folded = false, simplified = true;
    for (int32_t round = 0; round < MAX_ROUNDS && simplified; round++) {
        COTI_TRY(apply_if(c, coti_fold_applies(c->owned), coti_pass_fold, &folded));
        simplified = false;
        COTI_TRY(folded ? simplify(c, &simplified) : COT_OK);
    }
    return COT_OK;
}

/* What there is no kernel for goes; the rest is optimized. */
static cot_status expand(compilation *c) {
    bool changed = false;
    if (!c->context->optimize) {
        return apply(c, coti_pass_expand_for_kernels, &changed);
    }
    COTI_TRY(apply(c, coti_pass_expand_simplified, &changed));
    return optimize(c);
}

/* ---- from graph to machine code ---- */

static cot_status fuse(compilation *c) {
    c->graph = c->given;
    COTI_TRY(coti_fuse(&c->owned, &c->target, c->max_rows, &c->groups));
    cot_status status = COT_OK;
    for (int32_t i = 0; i < c->groups->n_kernels && status == COT_OK; i++) {
        coti_kernel *kernel = c->groups->kernel[i];
        kernel->scratch_bytes = coti_jit_scratch_bytes(kernel, &c->target);
        status = c->context->verify ? coti_kernel_verify(c->context, kernel) : COT_OK;
    }
    return status;
}

/* Does the plan fit, or is there no budget? */
static bool fits(const compilation *c) {
    return c->request->memory_budget == 0 ||
           cotr_program_memory(&c->plan->program, c->context->threads) <= c->request->memory_budget;
}

static cot_status plan_again(compilation *c, int64_t phase_bytes) {
    coti_plan *plan = NULL;
    COTI_TRY(coti_plan_make_closing(c->groups, &c->target, phase_bytes, &plan));
    coti_plan_destroy(c->plan);
    c->plan = plan;
    return COT_OK;
}

/*
 * Plan; over budget, again with phases that end sooner, by shares of the first plan's arena, until
 * one fits, which costs phases, and no flops. Where none does the smallest stays.
 */
static cot_status make_plan(compilation *c) {
    COTI_TRY(coti_plan_make(c->groups, &c->target, &c->plan));
    const int64_t arena = c->plan->program.arena_bytes;
    int64_t least = cotr_program_memory(&c->plan->program, c->context->threads);
    int64_t best = COTI_PHASE_BYTES, tried = best;
    for (int64_t share = 8; share <= SMALLEST_SHARE && !fits(c); share *= 4) {
        tried = arena / share + 1;
        COTI_TRY(plan_again(c, tried));
        const int64_t bytes = cotr_program_memory(&c->plan->program, c->context->threads);
        best = bytes < least ? tried : best;
        least = bytes < least ? bytes : least;
    }
    return fits(c) || best == tried ? COT_OK : plan_again(c, best);
}

/* The facts of the plan, which are all that a caller has who wants no more than that. */
static void describe_plan(compilation *c) {
    const cotr_program *plan = &c->plan->program;
    c->program->info.arena_bytes = plan->arena_bytes;
    c->program->info.arena_bound_bytes = c->plan->bound_bytes;
    c->program->info.memory_bytes = cotr_program_memory(plan, c->context->threads);
    c->program->info.flops = c->plan->work;
}

static cot_status check_budget(const compilation *c) {
    const int64_t needed = c->program->info.memory_bytes;
    if (fits(c) || c->until == COTI_STAGE_PLAN) { /* a plan to be looked at may be too large */
        return COT_OK;
    }
    char peak[COTI_MESSAGE_BYTES / 2];
    COTI_TRY(coti_plan_peak(c->plan, c->context, peak, sizeof peak));
    const int64_t arena = c->plan->program.arena_bytes;
    return COTI_FAIL(
        c->context, COT_E_BUDGET,
        "a step of \"%s\" of %lld rows takes %lld bytes (an arena of %lld, the scratch "
        "of %d threads), memory_budget is %lld; alive in %s",
        c->program->name, (long long)c->max_rows, (long long)needed, (long long)arena,
        (int)c->context->threads, (long long)c->request->memory_budget, peak);
}

/* Machine code for all that are planned, and their programs. */
static cot_status generate(compilation *const *planned, int32_t n) {
    cot_context *context = planned[0]->context;
    coti_jit_program *list = coti_calloc(context, (size_t)n, sizeof *list);
    cot_status status = list != NULL ? COT_OK : COT_E_NOMEM;
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        compilation *c = planned[i];
        const int32_t n_kernels = c->plan->n_kernels;
        c->code = (cotr_kernel *)coti_calloc(context, (size_t)n_kernels, sizeof *c->code);
        list[i] = (coti_jit_program){.name = c->program->name,
                                     .kernel = c->plan->kernel,
                                     .n_kernels = n_kernels,
                                     .code_out = c->code};
        status = c->code != NULL ? COT_OK : COT_E_NOMEM;
    }
    status = status == COT_OK ? coti_jit_compile_all(context, list, n) : status;
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        compilation *c = planned[i];
        cot_program_info *info = &c->program->info;
        info->n_compiled = list[i].n_compiled;
        info->n_cached = list[i].n_cached;
        info->cache_read_bytes = list[i].read_bytes;
        info->cache_written_bytes = list[i].written_bytes;
        coti_plan_link(c->plan, c->code);
        status = coti_program_take_plan(c->program, c->groups->graph, &c->plan);
    }
    coti_free(context, list);
    return status;
}

/* ---- the list of stages ---- */

/* From the expanded graph to a plan of kernels. */
static cot_status plan_kernels(compilation *c) {
    COTI_TRY(coti_jit_target(c->context, &c->target));
    c->has_target = true;
    COTI_TRY(fuse(c));
    COTI_TRY(dump_groups(c));
    if (c->until == COTI_STAGE_FUSE) {
        return COT_OK;
    }
    COTI_TRY(make_plan(c));
    describe_plan(c);
    COTI_TRY(dump_plan(c));
    if (c->request->peak != NULL) {
        COTI_TRY(coti_plan_peak(c->plan, c->context, c->request->peak, c->request->peak_bytes));
    }
    return check_budget(c);
}

/* There are kernels for this machine, but none for this graph. */
static bool lacks_kernels(const compilation *c, cot_status status) {
    return status == COT_E_UNSUPPORTED && c->has_target && c->groups == NULL &&
           c->until == COTI_STAGE_COUNT;
}

/* From the graph as it was given to a program on the evaluator, which takes composites whole. */
static cot_status compile_reference(compilation *c) {
    bool changed = false;
    if (c->until != COTI_STAGE_COUNT) {
        return COTI_FAIL(c->context, COT_E_UNSUPPORTED,
                         "\"%s\" has no stage %s: the JIT is off, or missing in this build",
                         c->program->name, coti_stage_name(c->until));
    }
    if (c->request->memory_budget > 0) {
        return COTI_FAIL(
            c->context, COT_E_UNSUPPORTED,
            "\"%s\": memory_budget is %lld, but the program would run on the reference "
            "evaluator, which plans no memory",
            c->program->name, (long long)c->request->memory_budget);
    }
    c->graph = c->given;
    COTI_TRY(apply(c, coti_pass_dce, &changed)); /* at least a copy */
    if (c->context->optimize) {
        COTI_TRY(simplify(c, &changed));
        COTI_TRY(optimize(c));
    }
    return coti_program_take_reference(c->program, &c->owned, c->max_rows);
}

static cot_status run_stages(compilation *c) {
    COTI_TRY(dump_graph(c, c->given->has_backward ? COTI_STAGE_GRAD : COTI_STAGE_GRAPH));
    COTI_TRY(expand(c));
    COTI_TRY(dump_graph(c, COTI_STAGE_OPT));
    if (c->until <= COTI_STAGE_OPT) {
        return COT_OK;
    }
    if (c->context->jit && coti_jit_available()) {
        cot_status status = plan_kernels(c);
        if (!lacks_kernels(c, status)) {
            return status;
        }
        cot_error_clear(c->context);
    }
    return compile_reference(c);
}

/* Is there a row count at all? */
static bool has_rows(const cot_graph *graph) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        if (node->shape.batched || node->op == COT_OP_ROWS) {
            return true;
        }
    }
    return false;
}

void coti_compilation_free(coti_compilation *c) {
    if (c == NULL) {
        return;
    }
    coti_free(c->context, (void *)c->code);
    coti_plan_destroy(c->plan);
    coti_groups_destroy(c->groups);
    cot_graph_destroy(c->owned);
    coti_free(c->context, c);
}

cot_status coti_compile_begin(const cot_graph *graph, const coti_request *request,
                              cot_program *program, coti_compilation **begun_out) {
    compilation *c = coti_calloc(graph->context, 1, sizeof *c);
    if (c == NULL) {
        return COT_E_NOMEM;
    }
    *c = (compilation){.context = graph->context,
                       .program = program,
                       .given = graph,
                       .graph = graph,
                       .max_rows = has_rows(graph) ? request->max_rows : 1,
                       .request = request,
                       .until = request->until};
    cot_status status = run_stages(c);
    cot_graph_destroy(c->owned); /* groups have a graph of their own */
    c->owned = NULL;
    c->given = NULL;
    c->graph = NULL;
    c->request = NULL;
    if (status != COT_OK) {
        coti_compilation_free(c);
        return status;
    }
    *begun_out = c;
    return COT_OK;
}

cot_status coti_compile_finish(coti_compilation *const *begun, int32_t n) {
    int32_t n_planned = 0;
    if (n == 0) {
        return COT_OK;
    }
    cot_context *context = begun[0]->context;
    compilation **planned = (compilation **)coti_calloc(context, (size_t)n, sizeof *planned);
    if (planned == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        if (begun[i]->plan != NULL && begun[i]->until > COTI_STAGE_PLAN) {
            planned[n_planned++] = begun[i];
        }
    }
    cot_status status = n_planned > 0 ? generate(planned, n_planned) : COT_OK;
    coti_free(context, (void *)planned);
    return status;
}

cot_status coti_compile(const cot_graph *graph, const coti_request *request, cot_program *program) {
    coti_compilation *begun = NULL;
    COTI_TRY(coti_compile_begin(graph, request, program, &begun));
    const cot_status status = coti_compile_finish(&begun, 1);
    coti_compilation_free(begun);
    return status;
}
