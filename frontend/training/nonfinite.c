/*
 * The first value of a step that is NaN or infinite, found in the step itself (instruments.h has
 * the contract): every value that the updates depend on is accounted for, in the graph's order,
 * which is forward, backward, update.
 *
 * Not every value needs a look. Where an operation gives finite numbers for finite operands (relu,
 * tanh, max, select: keeps_finite), a bad result has a bad operand, which was found before; so only
 * leaves, which are not watched, can bring one in. All else is watched: each element gets a code, 0
 * when it is finite and else a number that falls with the place. A value's code joins that of the
 * first operation that reads it, by max, when this is elementwise of the same shape, and so is made
 * in the kernel that has both at hand; where a chain of them ends, one reduction by max remains.
 * The largest code of all is the first place. docs/decisions.md has what this costs.
 */
#include "frontend/training/instruments.h"

#include "frontend/layers/formula.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* One entry a node each; 0: none. */
typedef struct places {
    unsigned char *needed; /* the step's updates depend on it */
    unsigned char *unsure; /* a leaf or a view of one, with elements that may not be finite */
    uint32_t *reader;      /* the first needed node that reads it */
    uint32_t *code;        /* f32 of its shape: what it and those that joined it say */
} places;

static bool is_float(const coti_node *node) {
    return node->dtype == COT_F32 || node->dtype == COT_F64;
}

static coti_kind kind_of(const coti_node *node) {
    return coti_op_table[node->op].kind;
}

/* Are results finite whenever all operands are? What overflows, divides or can leave its domain
 * does not; an operation that is not listed is watched, which is never wrong. */
static bool keeps_finite(cot_op op) {
    static const cot_op ops[] = {
        COT_OP_MAX,        COT_OP_MIN,        COT_OP_NEG,           COT_OP_ABS,
        COT_OP_SIGN,       COT_OP_FLOOR,      COT_OP_TANH,          COT_OP_SIGMOID,
        COT_OP_ERF,        COT_OP_RELU,       COT_OP_STOP_GRADIENT, COT_OP_SELECT,
        COT_OP_REDUCE_MAX, COT_OP_REDUCE_MIN, COT_OP_ONE_HOT,       COT_OP_RANDOM};
    bool found = false;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0] && !found; i++) {
        found = ops[i] == op;
    }
    return found;
}

/* ---- what a graph says of its nodes ---- */

static void mark_needed(const cot_graph *graph, size_t n, places *p) {
    for (size_t i = 0; i < graph->update.count; i++) {
        p->needed[graph->update.data[i].value] = 1;
    }
    for (size_t i = n; i-- > 1;) {
        const coti_node *node = coti_node_at(graph, (uint32_t)i);
        for (int32_t k = 0; p->needed[i] != 0 && k < node->n_inputs; k++) {
            p->needed[node->input[k]] = 1;
            p->reader[node->input[k]] = (uint32_t)i;
        }
    }
}

/* All elements of a constant finite? */
static bool is_finite_constant(const coti_node *node) {
    const coti_attr_DATA_type *data = &((const coti_attr_DATA *)node->attr)->data;
    bool fine = true;
    for (int64_t at = 0; fine && at < data->bytes; at += (int64_t)cot_dtype_bytes(node->dtype)) {
        float narrow = 0.0f;
        double wide = 0.0;
        if (node->dtype == COT_F32) {
            memcpy(&narrow, (const char *)data->data + at, sizeof narrow);
            wide = (double)narrow;
        } else {
            memcpy(&wide, (const char *)data->data + at, sizeof wide);
        }
        fine = isfinite(wide);
    }
    return fine;
}

static bool has_unsure_operand(const places *p, const coti_node *node) {
    bool unsure = false;
    for (int32_t k = 0; k < node->n_inputs; k++) {
        unsure = unsure || p->unsure[node->input[k]] != 0;
    }
    return unsure;
}

/* Of a float that is not watched for being a leaf or a view: may it be bad all the same? */
static bool is_unsure(const places *p, const coti_node *node) {
    switch ((int)node->op) {
    case COT_OP_CONST:
        return !is_finite_constant(node);
    case COT_OP_IOTA:
        return false;
    case COT_OP_PAD:
        return has_unsure_operand(p, node) || !isfinite(((const coti_attr_PAD *)node->attr)->value);
    default:
        return kind_of(node) == COTI_KIND_LEAF || has_unsure_operand(p, node);
    }
}

/* ---- codes ---- */

/* 0 where x is finite, else `number`: f32 of x's shape. */
static cot_value code_of(cot_value x, double number) {
    double most = cot_value_dtype(x) == COT_F32 ? (double)FLT_MAX : DBL_MAX;
    cot_value size = cot_op_unary(COT_OP_ABS, x);
    cot_value fine = cot_op_binary(COT_OP_LE, size, coti_number(x, most)); /* a NaN is not */
    return cot_op_select(fine, cot_op_constant(x.graph, COT_F32, 0.0),
                         cot_op_constant(x.graph, COT_F32, number));
}

/* A node's code becomes the larger of it and this one. */
static cot_status join(uint32_t *code_id, cot_value code) {
    if (*code_id != 0) {
        code = cot_op_binary(COT_OP_MAX, (cot_value){code.graph, *code_id}, code);
    }
    *code_id = code.id;
    return code.graph != NULL ? COT_OK : COT_E_NOMEM; /* nothing else can be wrong with it */
}

static cot_status watch(coti_instruments *instruments, const coti_node *node) {
    coti_watched watched = {.op = coti_op_table[node->op].name, .layer = ""};
    if (node->layer != NULL) {
        watched.layer = coti_arena_strdup(&instruments->arena, node->layer);
    }
    return watched.layer != NULL
               ? coti_vec_push(instruments->context, &instruments->watched, watched)
               : COT_E_NOMEM;
}

/* Does the value's code join that of its first reader? */
static bool joins_reader(const cot_graph *graph, const coti_node *node, uint32_t reader) {
    if (reader == 0) {
        return false;
    }
    const coti_node *by = coti_node_at(graph, reader);
    bool elementwise =
        kind_of(by) == COTI_KIND_ELEMWISE || by->op == COT_OP_SELECT || by->op == COT_OP_CAST;
    return elementwise && is_float(by) && coti_shape_equal(&node->shape, &by->shape);
}

static cot_value largest(cot_value code) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    int32_t rank = cot_value_shape(code).rank;
    return rank > 0 ? cot_op_reduce(COT_OP_REDUCE_MAX, code, axes, rank, false) : code;
}

/* Account for one node; *most: the largest code of the chains that have ended. */
static cot_status visit(coti_instruments *instruments, places *p, cot_graph *graph, uint32_t id,
                        cot_value *most) {
    const coti_node node = *coti_node_at(graph, id); /* nodes move as they are added */
    coti_kind kind = kind_of(&node);
    if (p->needed[id] == 0 || !is_float(&node) || coti_shape_is_empty(&node.shape)) {
        return COT_OK;
    }
    if (kind == COTI_KIND_LEAF || kind == COTI_KIND_VIEW) {
        p->unsure[id] = is_unsure(p, &node);
        return COT_OK;
    }
    if ((!keeps_finite(node.op) || has_unsure_operand(p, &node)) &&
        (int64_t)instruments->watched.count < COTI_MOST_WATCHED) {
        double number = (double)(COTI_MOST_WATCHED - (int64_t)instruments->watched.count);
        COTI_TRY(join(&p->code[id], code_of((cot_value){graph, id}, number)));
        COTI_TRY(watch(instruments, &node));
    }
    if (p->code[id] == 0) {
        return COT_OK;
    }
    cot_value code = {graph, p->code[id]};
    if (joins_reader(graph, &node, p->reader[id])) {
        return join(&p->code[p->reader[id]], code);
    }
    *most = cot_op_binary(COT_OP_MAX, *most, largest(code));
    return COT_OK;
}

/* ---- all of them ---- */

static void free_places(cot_context *context, places *p) {
    coti_free(context, p->needed);
    coti_free(context, p->unsure);
    coti_free(context, p->reader);
    coti_free(context, p->code);
}

static cot_status make_places(cot_context *context, size_t n, places *p) {
    *p = (places){.needed = coti_calloc(context, n, sizeof *p->needed),
                  .unsure = coti_calloc(context, n, sizeof *p->unsure),
                  .reader = coti_calloc(context, n, sizeof *p->reader),
                  .code = coti_calloc(context, n, sizeof *p->code)};
    if (p->needed != NULL && p->unsure != NULL && p->reader != NULL && p->code != NULL) {
        return COT_OK;
    }
    free_places(context, p);
    return COT_E_NOMEM;
}

cot_status coti_find_nonfinite(coti_instruments *instruments, cot_graph *graph, size_t n,
                               cot_value *first_out) {
    places p;
    cot_status status = make_places(instruments->context, n, &p);
    if (status != COT_OK) {
        return status;
    }
    cot_value most = cot_op_constant(graph, COT_F32, 0.0);
    instruments->watched.count = 0;
    mark_needed(graph, n, &p);
    for (size_t i = 1; status == COT_OK && i < n; i++) {
        status = visit(instruments, &p, graph, (uint32_t)i, &most);
    }
    free_places(instruments->context, &p);
    most = cot_op_cast(most, COT_F64);
    cot_value place = coti_sub(coti_number(most, (double)COTI_MOST_WATCHED), most);
    cot_value any = cot_op_binary(COT_OP_GT, most, coti_number(most, 0.0));
    *first_out = cot_op_select(any, place, coti_number(most, -1.0));
    return status;
}
