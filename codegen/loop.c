/*
 * From a SCAN to a loop: a group whose steps are groups of its body.
 *
 * All nodes of one execution are one cluster, which nothing joins. Its body becomes a graph of
 * memory: a carry is an input that the groups write in place, or by a copy once all have read it,
 * as if it were a state; a sequence or stack over rows is an input of its whole type, of which a
 * step sees a slice, so that kernels hold the distance of rows, and the runtime moves their
 * addresses on from step to step. That graph is prepared, fused and lowered as any other. What no
 * wanted result needs is left out.
 *
 * Rows are independent of each other in a loop unless a group of a step takes values of all rows,
 * or a result has none: then the loop is one unit.
 */
#include "cluster.h"

#include "graph/body.h"
#include "graph/scan.h"

#include <stdio.h>
#include <string.h>

/* ---- clusters ---- */

typedef struct sought {
    const coti_fusion *f;
    uint32_t id;
} sought;

static bool is_same(const void *user, uint32_t cluster) {
    const sought *s = user;
    const uint32_t head = coti_cluster_at(s->f, cluster)->head;
    return coti_scan_same(coti_fnode(s->f, head), coti_fnode(s->f, s->id));
}

cot_status coti_place_loop(coti_fusion *f, uint32_t id) {
    const uint64_t hash = coti_scan_hash(coti_fnode(f, id));
    const sought s = {f, id};
    uint32_t cluster = 0;
    f->member[id].must = true;
    if (coti_map_find(&f->loops, hash, is_same, &s, &cluster)) {
        f->member[id].reason = (coti_reason){COTI_REASON_RESULT, coti_cluster_at(f, cluster)->head};
        memset(&f->member[id].place, -1, sizeof f->member[id].place);
        return coti_cluster_append(f, cluster, id);
    }
    COTI_TRY(coti_cluster_start(f, id, &cluster));
    f->member[id].reason = (coti_reason){COTI_REASON_LOOP, 0};
    return coti_map_add(&f->loops, hash, cluster);
}

/* ---- the body as a graph of memory ---- */

typedef struct loop_body {
    coti_fusion *f;
    coti_scan scan;
    coti_arena arena; /* owns the lists */
    bool *wanted;     /* by result */
    bool *needed;     /* by carry: a wanted result depends on it */
    int32_t *target;  /* by output of the graph: carry, or result that is a stack */
    uint32_t *stack;  /* by result that is a stack: the input that it is written to */
    cot_graph *graph;
} loop_body;

static cot_status status_of(const loop_body *b) {
    cot_status status = cot_error_get(b->f->context).status;
    return status != COT_OK ? status : COT_E_INTERNAL;
}

/* Carries that wanted results depend on, through any number of steps. */
static cot_status find_needed(loop_body *b) {
    const cot_graph *body = b->scan.body;
    const int32_t n_carries = b->scan.n_carries, n_outputs = n_carries + b->scan.n_stacks;
    bool *live = coti_arena_array(&b->arena, body->node.count, sizeof *live);
    b->needed = coti_arena_array(&b->arena, (size_t)n_carries, sizeof *b->needed);
    if (live == NULL || b->needed == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t r = 0; r < n_outputs + n_carries; r++) {
        if (b->wanted[r]) {
            live[r < n_outputs ? body->output.data[r].value : body->input.data[r - n_outputs]] =
                true;
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t id = (uint32_t)body->node.count; id-- > 1;) {
            const coti_node *node = coti_node_at(body, id);
            for (int32_t i = 0; i < node->n_inputs && live[id]; i++) {
                live[node->input[i]] = true;
            }
        }
        for (int32_t i = 0; i < n_carries; i++) {
            const bool now = b->wanted[i] || live[body->input.data[i]];
            changed = changed || (now && !b->needed[i]);
            b->needed[i] = now;
            live[body->output.data[i].value] |= now;
        }
    }
    return COT_OK;
}

static cot_value name_input(cot_graph *graph, cot_dtype dtype, cot_shape shape) {
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "m%zu", graph->input.count);
    return cot_op_input(graph, dtype, shape, name);
}

/* The memory of a stack of such elements, and the element of step 0 in it: a slice of what has
 * rows, else the first element. */
static cot_value add_stack(const loop_body *b, const coti_node *element) {
    cot_shape shape;
    int64_t start[COT_MAX_RANK] = {0}, stride[COT_MAX_RANK];
    if (!element->shape.batched) {
        return name_input(b->graph, (cot_dtype)element->dtype, element->shape);
    }
    if (!coti_scan_stack(&element->shape, b->scan.steps, &shape)) {
        return coti_poison(); /* the node would not be there */
    }
    const cot_value stack = name_input(b->graph, (cot_dtype)element->dtype, shape);
    for (int32_t a = 0; a < COT_MAX_RANK; a++) {
        stride[a] = 1;
    }
    shape.dim[1] = 1;
    const cot_value slice =
        stack.graph != NULL ? cot_op_slice(stack, start, shape.dim, stride) : stack;
    return slice.graph != NULL ? cot_op_reshape(slice, element->shape) : slice;
}

static cot_status add_output(loop_body *b, cot_value value, int32_t target) {
    char name[COTI_NAME_BYTES];
    const size_t i = b->graph->output.count;
    (void)snprintf(name, sizeof name, "r%zu", i);
    b->target[i] = target;
    return cot_graph_output(value, name);
}

/* Inputs as the body's, then its nodes; outputs: needed carries, then wanted stacks and histories.
 */
static cot_status unroll_once(loop_body *b) {
    const coti_scan *scan = &b->scan;
    const cot_graph *body = scan->body;
    const int32_t n_carries = scan->n_carries, n_outputs = n_carries + scan->n_stacks;
    cot_value *input = coti_arena_array(&b->arena, body->input.count, sizeof *input);
    cot_value *output = coti_arena_array(&b->arena, (size_t)n_outputs, sizeof *output);
    if (input == NULL || output == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < (int32_t)body->input.count; i++) {
        const coti_node *node = coti_node_at(body, body->input.data[i]);
        const bool sequence = i >= n_carries && i < n_carries + scan->n_sequences;
        input[i] = sequence ? add_stack(b, node)
                            : name_input(b->graph, (cot_dtype)node->dtype, node->shape);
        COTI_TRY(input[i].graph != NULL ? COT_OK : status_of(b));
    }
    COTI_TRY(coti_graph_inline(b->graph, body, input, output));
    for (int32_t i = 0; i < n_carries; i++) {
        COTI_TRY(b->needed[i] ? add_output(b, output[i], i) : COT_OK);
    }
    for (int32_t r = n_carries; r < n_outputs + n_carries; r++) {
        const cot_value value = r < n_outputs ? output[r] : input[r - n_outputs];
        COTI_TRY(b->wanted[r] ? add_output(b, value, r) : COT_OK);
    }
    return COT_OK;
}

/* The prepared graph's outputs become writes to memory. */
static cot_status write_memory(loop_body *b) {
    cot_graph *graph = b->graph;
    for (size_t i = 0; i < graph->output.count; i++) {
        const int32_t target = b->target[i];
        cot_value value = {graph, graph->output.data[i].value}, to;
        if (coti_node_of(value)->op == COT_OP_SCAN) { /* it writes its own results */
            value = coti_graph_add(graph, COT_OP_CAST, &value, 1, NULL,
                                   (cot_dtype)coti_node_of(value)->dtype, NULL);
        }
        if (coti_scan_is_carry(&b->scan, target)) {
            to = (cot_value){graph, graph->input.data[target]};
        } else {
            b->stack[target] = (uint32_t)graph->input.count;
            to = add_stack(b, coti_scan_element(&b->scan, target));
        }
        COTI_TRY(value.graph != NULL && to.graph != NULL ? COT_OK : status_of(b));
        COTI_TRY(coti_vec_reserve(b->f->context, &graph->update, graph->update.count + 1));
        graph->update.data[graph->update.count++] = (coti_update){to.id, value.id};
    }
    graph->output.count = 0;
    return COT_OK;
}

static cot_status make_graph(loop_body *b) {
    b->graph = cot_graph_create(b->f->context, b->scan.body->name);
    if (b->graph == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(unroll_once(b));
    COTI_TRY(coti_prepare(&b->graph, NULL));
    return write_memory(b);
}

/* ---- the group ---- */

/* The place of an operand in the list, appended if it is new. */
static int32_t find_operand(coti_loop *loop, coti_operand *list, coti_operand operand) {
    for (int32_t i = 0; i < loop->n_operands; i++) {
        if (list[i].kind == operand.kind && list[i].id == operand.id) {
            return i;
        }
    }
    list[loop->n_operands] = operand;
    return loop->n_operands++;
}

/* Bytes from one step's element to the next. */
static cot_status find_stride(const loop_body *b, const coti_node *element, int64_t *bytes_out) {
    int64_t elements = 0;
    cot_shape row = element->shape;
    if (row.batched) {
        row.dim[0] = 1;
        row.batched = false;
    }
    if (!coti_shape_elements(&row, 1, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes((cot_dtype)element->dtype), bytes_out)) {
        return COTI_FAIL(b->f->context, COT_E_SHAPE, "scan: an element of a stack is too large");
    }
    return COT_OK;
}

static coti_operand read_operand(const loop_body *b, uint32_t head, int32_t i) {
    const uint32_t root = coti_operand_root(b->f, head, i);
    return (coti_operand){.kind = coti_root_kind(b->f, root), .id = root, .read = true};
}

/* Which operand each input of the body's graph stands for. result[r]: node of result r; 0: none. */
static cot_status describe_memory(const loop_body *b, coti_loop *loop, coti_operand *list,
                                  uint32_t head, const uint32_t *result) {
    const coti_scan *scan = &b->scan;
    const int32_t n_carries = scan->n_carries, n_inputs = (int32_t)scan->body->input.count;
    for (int32_t i = 0; i < n_inputs; i++) {
        const coti_node *node = coti_node_at(scan->body, scan->body->input.data[i]);
        coti_loop_memory *memory = &loop->memory[i];
        const bool sequence = i >= n_carries && i < n_carries + scan->n_sequences;
        *memory = (coti_loop_memory){.operand = -1, .initial = -1};
        if (i < n_carries && b->needed[i]) {
            memory->initial = find_operand(loop, list, read_operand(b, head, i));
        } else if (i >= n_carries) {
            memory->operand = find_operand(loop, list, read_operand(b, head, i));
        }
        COTI_TRY(sequence ? find_stride(b, node, &memory->stride) : COT_OK);
    }
    for (int32_t r = 0; r < 2 * n_carries + scan->n_stacks; r++) {
        if (!b->wanted[r]) {
            continue;
        }
        const coti_operand operand = {COTI_OPERAND_VALUE, result[r], false, true};
        const int32_t place = find_operand(loop, list, operand);
        coti_loop_memory *memory = &loop->memory[r < n_carries ? (uint32_t)r : b->stack[r]];
        memory->operand = place;
        memory->initial = r < n_carries ? memory->initial : -1;
        COTI_TRY(r < n_carries ? COT_OK
                               : find_stride(b, coti_scan_element(scan, r), &memory->stride));
    }
    return COT_OK;
}

/* Does a group of a step work on rows that are not its own? */
static bool mixes_rows(const coti_groups *body, const coti_group *group) {
    for (int32_t i = 0; i < coti_group_n_operands(group) && !group->rows; i++) {
        if (coti_node_at(body->graph, group->operand[i].id)->shape.batched) {
            return true;
        }
    }
    return false;
}

/* Partition, work, bytes: what the group's steps say. */
static void sum_up(const coti_fusion *f, const coti_loop *loop, coti_group *group) {
    const double steps = (double)loop->steps;
    double work = 0, shared = 0;
    group->rows = true;
    group->coefficient = 1;
    for (int32_t i = 0; i < loop->n_operands; i++) {
        const bool batched = coti_fnode(f, group->operand[i].id)->shape.batched;
        group->rows = group->rows && (batched || !group->operand[i].written);
    }
    for (int32_t g = 0; g < loop->body->n_groups; g++) {
        const coti_group *inner = &loop->body->group[g];
        group->rows = group->rows && !mixes_rows(loop->body, inner);
        work += inner->work;
        shared += (double)inner->shared_bytes;
    }
    group->n_units = group->rows ? 0 : 1;
    group->work = work * steps;
    shared *= steps;
    group->shared_bytes = !group->rows                     ? 0
                          : shared < (double)COTI_SIZE_MAX ? (int64_t)shared
                                                           : COTI_SIZE_MAX;
}

static cot_status list_members(const coti_fusion *f, uint32_t cluster, coti_group *group) {
    coti_arena *arena = &f->groups->arena;
    const size_t n = (size_t)coti_cluster_at(f, cluster)->n_members;
    uint32_t *node = coti_arena_array(arena, n, sizeof *node);
    coti_reason *reason = coti_arena_array(arena, n, sizeof *reason);
    if (node == NULL || reason == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t m = coti_cluster_at(f, cluster)->head; m != 0; m = f->member[m].next) {
        node[group->n_nodes] = m;
        reason[group->n_nodes++] = f->member[m].reason;
    }
    group->node = node;
    group->reason = reason;
    return COT_OK;
}

/* The groups of the body, owned by those that the loop is in. */
static cot_status fuse_body(loop_body *b, coti_loop *loop) {
    coti_groups *groups = b->f->groups;
    COTI_TRY(coti_vec_reserve(b->f->context, &groups->body, groups->body.count + 1));
    COTI_TRY(coti_fuse_body(b->f, &b->graph, &loop->body));
    groups->body.data[groups->body.count++] = loop->body;
    return COT_OK;
}

static cot_status make_loop(loop_body *b, uint32_t cluster, coti_group *group) {
    coti_arena *arena = &b->f->groups->arena;
    const uint32_t head = coti_cluster_at(b->f, cluster)->head;
    const size_t n_results = 2 * (size_t)b->scan.n_carries + (size_t)b->scan.n_stacks;
    uint32_t *result = coti_arena_array(&b->arena, n_results, sizeof *result);
    coti_loop *loop = coti_arena_array(arena, 1, sizeof *loop);
    b->wanted = coti_arena_array(&b->arena, n_results, sizeof *b->wanted);
    b->target = coti_arena_array(&b->arena, n_results, sizeof *b->target);
    b->stack = coti_arena_array(&b->arena, n_results, sizeof *b->stack);
    if (result == NULL || loop == NULL || b->wanted == NULL || b->target == NULL ||
        b->stack == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t m = head; m != 0; m = b->f->member[m].next) {
        const int32_t r = coti_scan_of(coti_fnode(b->f, m)).result;
        result[r] = m;
        b->wanted[r] = true;
    }
    COTI_TRY(find_needed(b));
    COTI_TRY(make_graph(b));
    const size_t n_memory = b->graph->input.count;
    *loop = (coti_loop){.steps = b->scan.steps, .reverse = b->scan.reverse};
    loop->memory = coti_arena_array(arena, n_memory, sizeof *loop->memory);
    group->operand = coti_arena_array(arena, n_memory + n_results, sizeof *group->operand);
    if (loop->memory == NULL || group->operand == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(describe_memory(b, loop, group->operand, head, result));
    COTI_TRY(fuse_body(b, loop));
    coti_cluster_at(b->f, cluster)->loop = loop;
    coti_cluster_at(b->f, cluster)->operand = group->operand;
    return COT_OK;
}

cot_status coti_lower_loop(coti_fusion *f, uint32_t cluster, coti_group *group) {
    const coti_cluster *c = coti_cluster_at(f, cluster);
    cot_status status = COT_OK;
    if (c->loop == NULL) {
        loop_body b = {.f = f, .scan = coti_scan_of(coti_fnode(f, c->head))};
        coti_arena_init(&b.arena, f->context);
        status = make_loop(&b, cluster, group);
        cot_graph_destroy(b.graph);
        coti_arena_clear(&b.arena);
    }
    COTI_TRY(status);
    group->loop = coti_cluster_at(f, cluster)->loop;
    group->operand = coti_cluster_at(f, cluster)->operand;
    sum_up(f, group->loop, group);
    return list_members(f, cluster, group);
}
