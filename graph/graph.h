/*
 * The tensor graph: nodes in an arena, 32-bit ids, hash-consed, topological by construction (an
 * input's id is smaller than its user's). Nodes are never changed or removed; a pass copies what it
 * keeps into a new graph.
 *
 * Invariants (coti_graph_verify): inputs precede their users; dtype and shape are what the op's
 * infer rule gives; equal nodes are one node (but for INPUT); at most one update a state, of equal
 * type; output names are unique.
 */
#ifndef COTI_GRAPH_H
#define COTI_GRAPH_H

#include "cotangent/graph.h"
#include "runtime/base/arena.h"
#include "runtime/base/map.h"
#include "runtime/base/size.h"
#include "runtime/base/str.h"

/* ---- the op table ---- */

typedef enum coti_kind {
    COTI_KIND_LEAF,
    COTI_KIND_ELEMWISE,
    COTI_KIND_COMPARE,
    COTI_KIND_VIEW,
    COTI_KIND_REDUCE,
    COTI_KIND_CONTRACT,
    COTI_KIND_COMPOSITE,
    COTI_KIND_OTHER
} coti_kind;

typedef enum coti_grad_kind {
    COTI_GRAD_RULE,
    COTI_GRAD_EXPAND,
    COTI_GRAD_ZERO,
    COTI_GRAD_NONE
} coti_grad_kind;

enum {
    COTI_NO_FLAGS = 0,
    COTI_COMMUTATIVE = 1,
    COTI_CHEAP = 2,
    COTI_FLOATS = 4,   /* operands are f32 or f64 */
    COTI_NUMBERS = 8,  /* operands are floats or integers */
    COTI_BOOLS = 16,   /* operands are bool */
    COTI_NONEMPTY = 32 /* the reduced axes must not be empty */
};

typedef enum coti_attr_id {
#define COT_ATTR(id, fields) COTI_ATTR_##id,
#include "attrs.def"
#undef COT_ATTR
    COTI_ATTR_COUNT
} coti_attr_id;

typedef struct coti_op_info {
    const char *name;
    int32_t n_inputs; /* -1: one or more */
    coti_kind kind;
    coti_attr_id attr;
    coti_grad_kind grad;
    uint32_t flags;
} coti_op_info;

extern const coti_op_info coti_op_table[COT_OP_COUNT];

bool coti_op_find(const char *name, size_t length, cot_op *op_out);

/* ---- attributes: structs made from attrs.def ---- */

typedef int32_t coti_attr_AXIS_type;
typedef struct coti_attr_AXES_type {
    int32_t n;
    int32_t v[COT_MAX_RANK];
} coti_attr_AXES_type;
typedef struct coti_attr_INTS_type {
    int32_t n;
    int64_t v[COT_MAX_RANK];
} coti_attr_INTS_type;
typedef int64_t coti_attr_INT_type;
typedef double coti_attr_FLOAT_type;
typedef cot_distribution coti_attr_DISTRIBUTION_type;
typedef const char *coti_attr_TEXT_type;
typedef cot_variable *coti_attr_VARIABLE_type;
typedef struct coti_attr_DATA_type {
    int64_t bytes;
    const void *data;
} coti_attr_DATA_type;
typedef const cot_graph *coti_attr_BODY_type; /* sealed (body.h) */

#define F(type, name) coti_attr_##type##_type name;
#define COT_ATTR(id, fields)                                                                       \
    typedef struct coti_attr_##id {                                                                \
        char none_; /* so that no struct is empty */                                               \
        fields                                                                                     \
    } coti_attr_##id;
#include "attrs.def"
#undef COT_ATTR
#undef F

/* ---- nodes and graphs ---- */

typedef struct coti_node {
    uint16_t op;   /* cot_op */
    uint8_t dtype; /* cot_dtype */
    uint8_t unused_;
    int32_t n_inputs;
    const uint32_t *input; /* ids, in the graph's arena */
    cot_shape shape;
    const void *attr; /* a coti_attr_<X> of the op's row; NULL for NO_ATTR */
    const char
        *layer; /* interned; NULL: none. Not part of a node's identity: the first maker's stays */
    uint64_t hash;
    uint32_t region;  /* of recomputation; 0: none. Not part of a node's identity either */
    const char *name; /* of INPUT and STATE: unique in the graph, as in the text; NULL elsewhere */
    uint32_t number;  /* of INPUT and STATE the index of their symbol; of all others their number in
                         the text, %0, %1, ... in order of making */
} coti_node;

/* An interned string and what it names in this graph. */
typedef struct coti_symbol {
    const char *text;
    uint32_t value;  /* INPUT or STATE of this name; 0: none */
    uint32_t output; /* place of the output of this name, from 1; 0: none */
    uint32_t update; /* place of the update of the state of this name, from 1; 0: none */
} coti_symbol;

typedef struct coti_update {
    uint32_t state, value; /* ids */
} coti_update;

typedef struct coti_output {
    uint32_t value;
    const char *name; /* interned */
} coti_output;

/* What makes a graph a body (body.h): none of it changes afterwards. */
typedef struct coti_seal {
    const char *text; /* in the arena; NULL: the graph is no body */
    size_t bytes;
    uint64_t hash;
    int32_t depth; /* 1, and the depth of the deepest body inside */
    int64_t nodes; /* with those of the bodies inside, once for each use */
} coti_seal;

struct cot_graph {
    cot_context *context;
    const char *name;
    int32_t references; /* 1 but for bodies, which graphs share */
    coti_seal seal;
    COTI_VEC(cot_graph *)
    body;            /* bodies of nodes, each of them once; a reference to each is held */
    coti_map bodies; /* to indices in body */
    coti_arena arena;
    COTI_VEC(coti_node) node; /* id = index; node 0 is reserved and is never a valid value */
    coti_map consed;          /* nodes by their keys ... */
    uint32_t n_consed; /* ... but from this one on, which are filed when a node is looked for */
    COTI_VEC(uint32_t) input; /* ids of INPUT nodes in order of making */
    COTI_VEC(uint32_t)
    state; /* ids of STATE nodes in order of making; the graph holds a reference to each variable */
    COTI_VEC(coti_update) update;
    COTI_VEC(coti_output) output;
    const char *layer;          /* of nodes made from now on; interned */
    uint32_t region, n_regions; /* of nodes made from now on, 0: none; regions there are */
    bool
        *simplified; /* not NULL: nodes made from now on are simplified, and it is set if one was */
    bool has_backward; /* cot_grad or cot_vjp has appended a backward part; kept by passes and text
                        */
    COTI_VEC(coti_symbol) symbol;
    coti_map symbols;    /* text to index in symbol */
    uint32_t n_numbered; /* nodes that are neither INPUT nor STATE */
};

static inline const coti_node *coti_node_at(const cot_graph *graph, uint32_t id) {
    return &graph->node.data[id];
}
static inline const coti_node *coti_node_of(cot_value value) {
    return &value.graph->node.data[value.id];
}

/* A poisoned value. */
static inline cot_value coti_poison(void) {
    return (cot_value){NULL, 0};
}

/* Where nodes made from now on belong: to be set aside and restored. */
typedef struct coti_placement {
    const char *layer; /* interned in the graph */
    uint32_t region;
} coti_placement;
static inline coti_placement coti_graph_placement(const cot_graph *graph) {
    return (coti_placement){graph->layer, graph->region};
}
static inline void coti_graph_place(cot_graph *graph, coti_placement placement) {
    graph->layer = placement.layer;
    graph->region = placement.region;
}

/* String in the graph's arena, one copy each. NULL: none, or no memory (recorded). */
const char *coti_graph_intern(cot_graph *graph, const char *text);

/*
 * The one place where nodes are made: check the inputs, run the op's infer rule, hash-cons. dtype
 * and shape are taken from the caller only by the ops whose result type is not implied by inputs
 * and attributes (leaves, CAST, RESHAPE, BROADCAST, SLICE, ONE_HOT, RANDOM) and are then validated;
 * others ignore them. Poisoned inputs give poison. attr is copied (with what it points to). On
 * failure the error names the op, the layer and the types of the inputs.
 */
cot_value coti_graph_add(cot_graph *graph, cot_op op, const cot_value *input, int32_t n_inputs,
                         const void *attr, cot_dtype dtype, const cot_shape *shape);

/*
 * Add a node that is like one of another graph of the context, and whose operands are of the types
 * of that one's: what has been found out and checked there holds here, and is not done again (where
 * the context says `verify`, it is).
 */
cot_value coti_graph_keep(cot_graph *graph, const coti_node *node, const cot_value *input);

/* What a builder fails with: an error whose message begins with `op "layer": `. layer may be NULL.
 */
cot_status coti_op_fail_at(cot_context *context, const char *file, int32_t line, cot_status status,
                           const char *op, const char *layer, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
#ifdef __clang_analyzer__ /* as COTI_FAIL_AT */
#define COTI_OP_FAIL(context, status, op, layer, ...)                                              \
    (coti_op_fail_at((context), __FILE__, __LINE__, (status), (op), (layer), __VA_ARGS__), (status))
#else
#define COTI_OP_FAIL(context, status, op, layer, ...)                                              \
    coti_op_fail_at((context), __FILE__, __LINE__, (status), (op), (layer), __VA_ARGS__)
#endif

/*
 * The one graph that all n values belong to, or NULL: quietly when all are poisoned, else with the
 * error recorded that names the operand (poisoned, of another graph or context, no value at all).
 */
cot_graph *coti_graph_of(const char *op, const cot_value *value, int32_t n);

/* ---- shape helpers (shape.c) ---- */

static inline bool coti_shape_equal(const cot_shape *a, const cot_shape *b) {
    bool equal = a->rank == b->rank && a->batched == b->batched;
    for (int32_t i = 0; i < a->rank && equal; i++) {
        equal = a->dim[i] == b->dim[i];
    }
    return equal;
}
/* Has it an extent of 0? */
bool coti_shape_is_empty(const cot_shape *shape);
/* COT_OK if the shape itself is valid: rank, extents >= 0, product within COTI_SIZE_MAX; else the
 * error recorded. */
cot_status coti_shape_check(cot_context *context, const cot_shape *shape, const char *op,
                            const char *layer);

/* ---- variables (variable.c) ---- */

/*
 * Storage is one 64-byte aligned block in home layout. `transposed`: a rank-2 variable stored
 * column-major; a function of shape and role alone, so that every program agrees. set/get and the
 * evaluator see row-major.
 */
struct cot_variable {
    cot_context *context;
    int32_t references;
    cot_dtype dtype;
    cot_shape shape;
    bool transposed;
    int64_t bytes;
    void *storage;
    char *name;
    uint64_t id; /* unique in the context */
};

/* Every element of a variable of floats becomes `value`. */
void coti_variable_fill(cot_variable *variable, double value);
/* The elements of one variable become another's, of the same dtype, shape and layout. */
void coti_variable_copy(cot_variable *to, const cot_variable *from);

/* ---- text (print.c, parse.c) ---- */

/* Append one node's line without indentation or newline: `%2 = add %0, %1 : f32[N,10]  #
 * "dense_1"`. */
void coti_node_print(coti_str *out, const cot_graph *graph, uint32_t id);

/* ---- verify.c ---- */

cot_status coti_graph_verify(const cot_graph *graph);

/* ---- passes: each makes a new graph from the old and says whether it changed anything ---- */

/* An empty graph of the same name and context, with the same inputs (all of them, in order), and
 * room for as many nodes. */
cot_status coti_graph_begin_copy(const cot_graph *graph, cot_graph **copy_out);

/*
 * Take out what is not reached, but for inputs, by renumbering what is, in the very graph. Only for
 * a graph that nobody has seen: it breaks every value of it. False: this graph cannot be done so (a
 * state or a body might go), and is as it was; so with COT_E_NOMEM.
 */
cot_status coti_graph_compact(cot_graph *graph, const bool *reached, bool *done_out);

/*
 * The common frame of passes: copy nodes in order into a new graph, asking `rewrite` for each
 * node's replacement. map[id] is the new value of an old node already copied. The callback may add
 * any nodes to `to`; it returns the replacement (poison on error), or calls coti_rewrite_keep. Only
 * nodes that outputs and updates reach are copied, all inputs are kept. Layer names follow.
 */
typedef struct coti_rewrite {
    const cot_graph *from;
    cot_graph *to;
    const cot_value *map;
    const char *layer; /* the last node's in `from`: that which `to` is at */
} coti_rewrite;
typedef cot_value (*coti_rewrite_fn)(coti_rewrite *rewrite, uint32_t id, void *user);
cot_status coti_graph_rewrite(const cot_graph *graph, coti_rewrite_fn rewrite, void *user,
                              cot_graph **result_out);
cot_value coti_rewrite_keep(coti_rewrite *rewrite, uint32_t id); /* by coti_graph_keep */
/* The same with another attribute of the op's kind. */
cot_value coti_rewrite_keep_with(coti_rewrite *rewrite, uint32_t id, const void *attr);

/* Local identities that change no bit of a result, but which NaN it is, and the sign of a zero
 * summed over no axis: x*1, x+(-0), x-0, x/1, --x, select of equal branches, casts by way of a
 * wider dtype, view of view, op of broadcasts, stop_gradient. */
cot_status coti_pass_simplify(const cot_graph *graph, cot_graph **result_out, bool *changed_out);
/* Would it change anything? Asking costs much less than a copy. May add nodes without a use. */
cot_status coti_simplify_applies(cot_graph *graph, bool *applies_out);
/* Evaluate nodes whose inputs are constants (results of at most 4096 bytes). */
cot_status coti_pass_fold(const cot_graph *graph, cot_graph **result_out, bool *changed_out);
/* Would it change anything? */
bool coti_fold_applies(const cot_graph *graph);
/* Common subexpressions and dead nodes: what hash-consing and copying give. */
cot_status coti_pass_cse(const cot_graph *graph, cot_graph **result_out, bool *changed_out);
cot_status coti_pass_dce(const cot_graph *graph, cot_graph **result_out, bool *changed_out);
/* Replace composites by their decompositions, until there are none. */
cot_status coti_pass_expand(const cot_graph *graph, cot_graph **result_out, bool *changed_out);
/* The same, but convolutions that have kernels of their own (conv.h) stay, or become such. */
cot_status coti_pass_expand_for_kernels(const cot_graph *graph, cot_graph **result_out,
                                        bool *changed_out);
/* Both at once, and simplification too. *simplified_out: whether a rule of that applied. */
cot_status coti_pass_expand_simplified(const cot_graph *graph, cot_graph **result_out,
                                       bool *simplified_out);
/* Replace scans by their steps, one after another: what a scan means. Those of a million nodes and
 * more stay. No stage of compilation does it. */
cot_status coti_pass_unroll(const cot_graph *graph, cot_graph **result_out, bool *changed_out);

/* The decomposition of a composite, as nodes in the operands' graph: what the op means. `node`, of
 * any graph, gives attributes, dtype and shape; `input` are node->n_inputs operands of its types.
 */
cot_value coti_decompose(const coti_node *node, const cot_value *input);

/* ---- the reference evaluator (eval.c) ---- */

/* Data of one tensor for the evaluator: row-major, dense. */
typedef struct coti_tensor {
    cot_dtype dtype;
    cot_shape shape; /* batched resolved: dim[0] is the real extent, batched is false */
    void *data;
} coti_tensor;

/*
 * Evaluate one node from its inputs' tensors into out (allocated, typed and shaped by the caller).
 * Pure; the meaning of each op. `rows`: N.
 */
cot_status coti_eval_node(cot_context *context, const coti_node *node, const coti_tensor *input,
                          int64_t rows, coti_tensor *out);

/*
 * Evaluate a graph: input[i] belongs to graph->input.data[i]; values of states come from their
 * variables; output[i] (allocated by the caller) receives graph->output.data[i]; updates are stored
 * in the variables at the end. Temporary memory from the context.
 */
cot_status coti_eval_graph(const cot_graph *graph, int64_t rows, const coti_tensor *input,
                           coti_tensor *output);

/* A shape with N bound. */
cot_shape coti_shape_bind(const cot_shape *shape, int64_t rows);

/* Element i of a tensor as a double or an int64 (bool: 0 or 1). */
double coti_tensor_get(const coti_tensor *tensor, int64_t i);
int64_t coti_tensor_get_int(const coti_tensor *tensor, int64_t i);

#endif
