/*
 * The dump of a plan: totals, then phases with their chains and calls, then buffers, then the text
 * of each kernel once.
 *
 *     plan of step: 2 phases are shared by the threads, 0 run on one; 7 calls of 6 kernels
 *     arena 1612800 bytes planned / 1605632 lower bound = 1.004
 *     local 5120, scratch 1088 bytes a thread; at most 128 rows
 *
 *     phase 0, shared: 15.8 Mflop
 *       chain over rows, 32 a task, 15.8 Mflop
 *         call 0 = kernel 0 "load": x [source 0] -> x [arena +0]
 */
#include "plan.h"

#include <inttypes.h>
#include <string.h>

/* ---- small texts ---- */

/* "15.8 Mflop": three digits are enough to see what is large. */
static void print_work(coti_str *out, double flops) {
    static const char *const unit[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    for (; flops >= 1000 && i + 1 < sizeof unit / sizeof unit[0]; i++) {
        flops /= 1000;
    }
    int64_t tenths = (int64_t)(flops * 10 + 0.5);
    coti_str_printf(out, "%" PRId64 ".%d %sflop", tenths / 10, (int)(tenths % 10), unit[i]);
}

/* "1.004", without the locale's point. */
static void print_ratio(coti_str *out, int64_t a, int64_t b) {
    int64_t thousandths = b > 0 ? (int64_t)((double)a / (double)b * 1000 + 0.5) : 1000;
    coti_str_printf(out, "%" PRId64 ".%03d", thousandths / 1000, (int)(thousandths % 1000));
}

/* How the graph's text calls a node, with its layer. */
static void print_node(coti_str *out, const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    if (node->name != NULL) {
        coti_str_printf(out, "%%%s", node->name);
    } else {
        coti_str_printf(out, "%%%" PRIu32, node->number);
    }
}

/* "[arena +64]" */
static void print_place(coti_str *out, const cotr_buffer *buffer) {
    switch (buffer->kind) {
    case COTR_ARENA:
        coti_str_printf(out, "[arena +%" PRId64 "]", buffer->offset);
        break;
    case COTR_LOCAL:
        coti_str_printf(out, "[local +%" PRId64 "]", buffer->offset);
        break;
    case COTR_STATE:
        coti_str_printf(out, "[state %" PRId64 "]", buffer->offset);
        break;
    case COTR_SOURCE:
        coti_str_printf(out, "[source %" PRId64 "]", buffer->offset);
        break;
    case COTR_INPUT:
        coti_str_printf(out, "[input %" PRId64 "]", buffer->offset);
        break;
    case COTR_OUTPUT:
        coti_str_printf(out, "[output %" PRId64 ", or arena +%" PRId64 "]", buffer->offset,
                        buffer->arena_offset);
        break;
    }
}

/* ---- kernels ---- */

/* Each kernel's text, indented. */
static void print_kernels(coti_str *out, const coti_plan *plan) {
    coti_str text;
    coti_str_init(&text, plan->arena.context);
    coti_str_append(out, "\nkernels\n");
    for (int32_t i = 0; i < plan->n_kernels; i++) {
        const coti_kernel *kernel = plan->kernel[i];
        coti_str_clear(&text);
        coti_kernel_print(&text, kernel);
        coti_str_printf(out, "  kernel %" PRId32 " \"%s\"", i,
                        kernel->hint != NULL ? kernel->hint : "");
        coti_str_printf(out, ", scratch %" PRId64 " bytes\n", kernel->scratch_bytes);
        for (const char *line = coti_str_text(&text); *line != '\0';) {
            size_t length = strcspn(line, "\n");
            coti_str_append(out, "    ");
            coti_str_append_bytes(out, line, length);
            coti_str_append(out, "\n");
            line += length + (line[length] == '\n');
        }
        out->failed |= text.failed;
    }
    coti_str_free(&text);
}

/* ---- phases ---- */

/* What a kernel's slots are: "reads %x [arena +0], %w [state 0]", then what it writes. */
static void print_slots(coti_str *out, const coti_plan *plan, int32_t i_call, int32_t depth) {
    const cotr_call *call = &plan->call[i_call];
    const coti_group *group = plan->call_of[i_call];
    for (int32_t written = 0; written < 2; written++) {
        const char *before = written == 0 ? "reads " : "writes ";
        bool any = false;
        for (int32_t i = 0; i < call->n_slots; i++) {
            const coti_operand *operand = &group->operand[i];
            if (written == 1 ? operand->written : operand->read) {
                coti_str_printf(out, "%*s%s", any ? 0 : 6 + 2 * depth, "", any ? ", " : before);
                print_node(out, plan->call_groups[i_call]->graph, operand->id);
                coti_str_append(out, " ");
                print_place(out, &plan->program.buffer[call->slot[i]]);
                any = true;
            }
        }
        coti_str_append(out, any ? "\n" : "");
    }
}

/* "call 3 = kernel 1 "dense":" and its slots; "call 4 = copy"; "call 5 = 100 steps of 3 calls". */
static void print_call(coti_str *out, const coti_plan *plan, int32_t i_call, int32_t depth) {
    const cotr_call *call = &plan->call[i_call];
    coti_str_printf(out, "%*scall %" PRId32 " = ", 4 + 2 * depth, "", i_call);
    switch (call->kind) {
    case COTR_CALL_KERNEL:
        coti_str_printf(out, "kernel %" PRId32 " \"%s\"%s\n", plan->call_kernel[i_call], call->name,
                        call->loads >= 0 ? ", left out when the rows lie so already" : "");
        print_slots(out, plan, i_call, depth);
        break;
    case COTR_CALL_COPY:
        coti_str_append(out, "copy of a carry from ");
        print_place(out, &plan->program.buffer[call->slot[0]]);
        coti_str_append(out, " to ");
        print_place(out, &plan->program.buffer[call->slot[1]]);
        coti_str_append(out, "\n");
        break;
    case COTR_CALL_LOOP:
        coti_str_printf(
            out, "%" PRId64 " steps%s of the next %" PRId32 " calls, %" PRId32 " slots move on\n",
            call->loop.steps, call->loop.reverse ? ", from the last to the first," : "",
            call->loop.n_calls, call->loop.n_strides);
        break;
    }
}

/* The calls of a chain, those of loops further in. */
static void print_calls(coti_str *out, const coti_plan *plan, const cotr_chain *chain,
                        int32_t first) {
    int32_t end[COTR_MAX_NESTING + 1];
    int32_t depth = 0;
    for (int32_t i = 0; i < chain->n_calls; i++) {
        while (depth > 0 && i == end[depth - 1]) {
            depth--;
        }
        print_call(out, plan, first + i, depth);
        if (chain->call[i].kind == COTR_CALL_LOOP && depth < COTR_MAX_NESTING) {
            end[depth++] = i + 1 + chain->call[i].loop.n_calls;
        }
    }
}

static void print_chain(coti_str *out, const cotr_chain *chain) {
    if (chain->rows) {
        coti_str_printf(out, "  chain over rows, %" PRId64 " a task, ", chain->chunk);
    } else {
        coti_str_printf(out, "  chain over %" PRId64 " units, ", chain->n_units);
    }
    print_work(out, chain->work);
    coti_str_append(out, "\n");
}

static void print_phases(coti_str *out, const coti_plan *plan) {
    int32_t i_call = 0;
    for (int32_t i = 0; i < plan->program.n_phases; i++) {
        const cotr_phase *phase = &plan->program.phase[i];
        double work = 0;
        for (int32_t j = 0; j < phase->n_chains; j++) {
            work += phase->chain[j].work;
        }
        coti_str_printf(out, "\nphase %" PRId32 "%s, ", i,
                        phase->serial ? ", one thread in order" : ", shared");
        print_work(out, work);
        coti_str_append(out, "\n");
        for (int32_t j = 0; j < phase->n_chains; j++) {
            print_chain(out, &phase->chain[j]);
            print_calls(out, plan, &phase->chain[j], i_call);
            i_call += phase->chain[j].n_calls;
        }
    }
}

/* ---- buffers ---- */

static void print_buffer(coti_str *out, const coti_plan *plan, int32_t i) {
    const cotr_buffer *buffer = &plan->program.buffer[i];
    const coti_plan_buffer *info = &plan->buffer_info[i];
    if (info->graph == NULL) {
        coti_str_printf(out, "  a constant of a loop: %" PRId64 " bytes\n", buffer->bytes);
        return;
    }
    const coti_node *node = coti_node_at(info->graph, info->node);
    coti_str_append(out, info->loop != 0 ? "  of a loop: " : "  ");
    print_node(out, info->graph, info->node);
    coti_str_append(out, ": ");
    coti_str_type(out, (cot_dtype)node->dtype, &node->shape);
    coti_str_append(out, " ");
    print_place(out, buffer);
    coti_str_printf(out, " %" PRId64 " bytes", buffer->bytes);
    if (info->loop != 0) {
        coti_str_printf(out, ", calls %" PRId32 " to %" PRId32 " of its loop", info->life.first,
                        info->life.last);
    } else if (buffer->kind == COTR_ARENA || buffer->kind == COTR_OUTPUT) {
        coti_str_printf(out, ", phases %" PRId32 " to %" PRId32, info->life.first, info->life.last);
    } else if (buffer->kind == COTR_LOCAL) {
        coti_str_printf(out, ", groups %" PRId32 " to %" PRId32 " of its chain", info->life.first,
                        info->life.last);
    }
    if (node->layer != NULL) {
        coti_str_printf(out, "  # \"%s\"", node->layer);
    }
    coti_str_append(out, "\n");
}

static void print_totals(coti_str *out, const coti_plan *plan, const char *name) {
    const cotr_program *program = &plan->program;
    int32_t n_serial = 0;
    for (int32_t i = 0; i < program->n_phases; i++) {
        n_serial += program->phase[i].serial;
    }
    coti_str_printf(out,
                    "plan of %s: phases shared by the threads: %" PRId32 ", on one thread: %" PRId32
                    "; %" PRId32 " calls of %" PRId32 " kernels\n",
                    name, program->n_phases - n_serial, n_serial, plan->n_calls, plan->n_kernels);
    coti_str_printf(out, "arena: %" PRId64 " planned bytes / %" PRId64 " lower bound = ",
                    program->arena_bytes, plan->bound_bytes);
    print_ratio(out, program->arena_bytes, plan->bound_bytes);
    coti_str_printf(out,
                    "\nlocal %" PRId64 ", scratch %" PRId64 " bytes a thread; at most %" PRId64
                    " rows a step\n",
                    program->local_bytes, program->scratch_bytes, program->max_rows);
}

void coti_plan_print(coti_str *out, const coti_plan *plan, const char *name) {
    print_totals(out, plan, name);
    print_phases(out, plan);
    coti_str_append(out, "\nbuffers\n");
    for (int32_t i = 0; i < plan->program.n_buffers; i++) {
        print_buffer(out, plan, i);
    }
    print_kernels(out, plan);
}
