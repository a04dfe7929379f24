/*
 * Clusters: what the files of fusion and lowering share. A cluster is a group while it grows.
 *
 *     prepare.c      graph -> graph whose nodes are each part of exactly one kernel
 *     dot.c          how products read their operands
 *     own.c          its outputs and updates have values of their own
 *     fuse.c         the walk: each node joins a cluster or starts one
 *     fuse_join.c    may a node join a cluster, and where do its elements lie in it
 *     fuse_merge.c   may two clusters become one; side reductions of products
 *     fuse_cycle.c   no cycles: an order of the clusters
 *     fuse_store.c   which values go to memory, which are computed again by their readers
 *     lower_body.c   members of a cluster -> scalar expressions, accesses and stores
 *     lower_domain.c the dimensions of the kernel
 *     lower_intern.c equal kernels are one
 *     scatter.c      scatter_add -> kernel
 *     loop.c         scan -> a loop of the groups of its body
 *     lower.c        clusters -> kernels and groups
 *     order.c        the order of the groups; states that cannot be written in place
 *
 * Domain. A cluster has dimensions of its own. `dim` of a member tells which dimension each of its
 * axes runs along: of a reduction the axes of its operand, of any other node its own ("frame"). A
 * member of a reducing cluster is full if it runs along the reduced dimensions too, else it is
 * kept.
 *
 * Invariants. Clusters with the edges "reads a value of" form no cycle, after every step. A cluster
 * reads a value of its own only at the same point of its domain, hence in a register.
 */
#ifndef COTI_CLUSTER_H
#define COTI_CLUSTER_H

#include "group.h"
#include "view.h"

enum {
    COTI_PREFERRED_SLOTS = 24, /* growth stops here */
    COTI_PREFERRED_NODES = 128,
    COTI_MAX_VISITS = 400, /* of a search for cycles */
    COTI_MAX_DEPTH = 4,    /* of expressions that are computed again */
    COTI_MAX_ARRAYS = 2,   /* arrays that computing again may read */
    COTI_MAX_LEAVES = 4    /* buffers that computing again may read */
};

/* Where the frame axes of a node run: dimensions of a domain, -1: none (the axis is not live). */
typedef struct coti_place {
    int8_t dim[COT_MAX_RANK];
} coti_place;

typedef struct coti_member {
    uint32_t cluster; /* as first joined: find it by coti_cluster_of */
    uint32_t next;    /* member of the same cluster; 0: the last */
    coti_place place;
    coti_reason reason;
    bool used;       /* an output or update needs it */
    bool must;       /* must be in memory: an output, a product's operand */
    bool outside;    /* a member of another cluster reads it */
    bool stored;     /* goes to memory */
    bool live;       /* stored, written to a state, or needed by one that is */
    bool again;      /* readers may compute it again: ... */
    bool of_rows;    /* ... a scalar that depends on N alone */
    uint8_t depth;   /* ... from what is in memory, that deep */
    uint8_t leaves;  /* ... that many buffers */
    uint8_t arrays;  /* ... of which are no scalars */
    uint32_t reader; /* the latest member that reads it */
    int32_t expr;    /* while its cluster is lowered: what it has become; -1: nothing yet */
    const coti_view *gathered; /* of a GATHER: its operands over its frame; else NULL */
    uint32_t era; /* the last barrier, in order of appearance, that it depends on; 0: none */
    bool barred;  /* a view through a barrier: what it views is read from memory */
} coti_member;

typedef struct coti_cluster {
    uint32_t merged_into; /* 0: it stands for itself */
    coti_skeleton skeleton;
    bool scalar;       /* MAP: without dimensions */
    bool rows;         /* dimension 0 is batched and kept */
    bool reduced_rows; /* dimension n_kept is batched */
    int32_t n_dims, n_kept;
    int64_t extent[COT_MAX_RANK];
    int8_t
        axis_class[COT_MAX_RANK]; /* of a product: 0 batch, 1 m, 2 n, 3 second part of the batch */
    uint32_t anchor;              /* the product, or the first reduction */
    uint32_t first, last;         /* smallest and largest member */
    uint32_t head, tail;          /* of the list of members */
    int32_t n_members, n_must;
    uint32_t era;            /* of its members */
    COTI_VEC(uint32_t) read; /* roots that it reads from memory, each once */
    bool swapped;            /* product: a's free axes are n, b's are m */
    bool is_loop;            /* its skeleton, SCATTER, only tells that nothing joins it */
    coti_loop *loop;         /* of a loop that has been lowered, as is ... */
    coti_operand *operand;   /* ... the list of its operands */
    uint32_t side;           /* product: the cluster of its side reduction; 0: none */
    uint32_t side_of;        /* the product whose side reduction this is; 0: none */
    uint32_t visit;          /* the last search that came by */
    uint32_t before, after;  /* in the order of the clusters; 0: its ends */
    int64_t label;           /* ascends along the order */
} coti_cluster;

/* An update of a state, and how it is made. */
typedef struct coti_write {
    uint32_t state, value;
    uint32_t view; /* of the state, which tells where the value goes; of a loop's stack it has not
                      all elements */
    uint32_t next; /* another write of the same value; 0: none */
    bool copied;   /* not in place: by a copy after all readers */
} coti_write;

/* Kernels by what they are; they live in the arena of the outermost groups. (lower_intern.c) */
typedef struct coti_interned {
    coti_arena *arena;
    coti_map map;
    COTI_VEC(coti_kernel *) kernel;
    COTI_VEC(int64_t) word; /* the words of all kernels, and of one more that is looked up */
    COTI_VEC(size_t) begin; /* where each kernel's begin */
} coti_interned;

typedef struct coti_fusion {
    cot_context *context;
    const coti_target *target;
    coti_interned *interned; /* the kernels of all groups, those in loops included */
    bool is_body;            /* of a loop: inputs are memory */
    coti_map loops;          /* clusters of loops, by what they run */
    coti_groups *groups;     /* being made; its arena holds what outlives fusion */
    const cot_graph *graph;
    coti_views views;
    coti_member *member;            /* by node */
    uint32_t *first_write;          /* by node: its writes; 0: none */
    COTI_VEC(coti_cluster) cluster; /* [0] is not used */
    COTI_VEC(coti_write) write;     /* [0] is not used */
    uint32_t *users;                /* computed nodes that read each computed node, grouped */
    uint32_t *users_of;             /* by node: where its users begin; node count + 1 of them */
    uint32_t early_scalar;  /* cluster of the scalars that need no other cluster; 0: none yet */
    uint32_t scalar_totals; /* cluster of sums over all rows into scalars; 0: none yet */
    cot_status status;      /* of searches, which only say yes or no */
    uint32_t n_searches;
    uint32_t sought;          /* the target of the search */
    COTI_VEC(uint32_t) found; /* by the search: clusters that must come before the target */
} coti_fusion;

/* ---- prepare.c ---- */

/* See the head of prepare.c. The graph becomes another only where it must; nobody else has seen it,
 * and on failure it may hold nodes without a use. *views_out, unless NULL: views of it, of as many
 * nodes as have been seen on the way; the caller frees them. */
cot_status coti_prepare(cot_graph **in_out, coti_views *views_out);

/* Axes that a SUM, REDUCE_MAX or ARGMAX reduces. */
uint32_t coti_reduced_axes(const coti_node *node);
static inline bool coti_is_reduction(const coti_node *node) {
    return coti_op_table[node->op].kind == COTI_KIND_REDUCE || node->op == COT_OP_ARGMAX;
}

/*
 * Does reducing these axes of a shape make a row reduction? If the last live axis is reduced, and
 * not the rows of the batch. Else it is a column reduction.
 */
bool coti_reduces_rowwise(const cot_shape *shape, uint32_t reduced);

/* Is the node the product of a GEMM: a DOT, or a convolution that is direct (graph/conv.h)? */
static inline bool coti_is_product(const coti_node *node) {
    return node->op == COT_OP_DOT || node->op == COT_OP_CONV || node->op == COT_OP_CONV_DX ||
           node->op == COT_OP_CONV_DW;
}

/*
 * Is operand i of a node read from memory wherever its elements lie, not at the node's own point:
 * all of a product, of a SCATTER_ADD and of a SCAN, the x of a GATHER?
 */
static inline bool coti_reads_memory(const coti_node *node, int32_t i) {
    return coti_is_product(node) || node->op == COT_OP_SCATTER_ADD || node->op == COT_OP_SCAN ||
           (node->op == COT_OP_GATHER && i == 0);
}

/* The collapsed axes of a scatter's operands, in the order of its coti_scatter: b, l, i, t of
 * updates, b and i of index. False if they do not, or cannot be read as they are. */
bool coti_scatter_collapse(const coti_views *views, const coti_node *node, coti_run updates_out[4],
                           coti_run index_out[2]);

/* ---- dot.c ---- */

/* Axes of one operand of a product, in the order in which its kernel walks them. */
typedef struct coti_dot_side {
    int32_t n_batch, n_free, n_contract;
    int32_t batch[COT_MAX_RANK], free[COT_MAX_RANK], contract[COT_MAX_RANK];
} coti_dot_side;

/* Both operands' of a DOT: contracted pairs are in the order of a's axes, so that rows come first.
 */
void coti_dot_sides(const coti_node *node, const cot_shape *a_shape, const cot_shape *b_shape,
                    coti_dot_side *a, coti_dot_side *b);

/* Do the axes collapse, n_first of the batch as one run and those after them as another? */
bool coti_dot_collapse_side(const coti_view *view, const cot_shape *shape,
                            const coti_dot_side *side, int32_t n_first, coti_run out[4]);

/*
 * The collapsed axes of a product's operands: batch, free, contracted, and the second part of the
 * batch: the last of its axes, where one run does not take all, or more than n_most of them.
 * *n_first_out: how many one does. False if they do not collapse.
 */
bool coti_dot_collapse(const coti_views *views, const coti_node *node, int32_t n_most,
                       coti_run a_out[4], coti_run b_out[4], int32_t *n_first_out);

/* ---- own.c ---- */

/* A CAST of a value to its own dtype; poison of poison. */
cot_value coti_copy_of(cot_value x);

/* Outputs and updates that are leaves, views or taken become copies. */
cot_status coti_own_results(cot_graph *graph);

/* Is the node computed by a kernel: neither a view nor a leaf but IOTA? */
bool coti_is_computed(const coti_node *node);

/* ---- fuse.c ---- */

static inline const coti_node *coti_fnode(const coti_fusion *f, uint32_t id) {
    return coti_node_at(f->graph, id);
}

/* The shape whose axes a member's place tells. */
const cot_shape *coti_frame(const coti_fusion *f, uint32_t id);
/* The place of a node's own axes. */
coti_place coti_own_place(const coti_fusion *f, uint32_t id, const coti_place *place);
/* Operand i over its own axes. */
static inline const coti_view *coti_operand_own(const coti_fusion *f, uint32_t id, int32_t i) {
    return coti_view_at(&f->views, coti_fnode(f, id)->input[i]);
}
/* The same over the node's frame (of a DOT or SCATTER_ADD: over the operand's own axes; of a
 * GATHER's x: at the first element along its axis): of the same root and bounds. */
static inline const coti_view *coti_operand_view(const coti_fusion *f, uint32_t id, int32_t i) {
    const coti_view *gathered = f->member[id].gathered;
    return gathered != NULL ? &gathered[i] : coti_operand_own(f, id, i);
}
static inline uint32_t coti_operand_root(const coti_fusion *f, uint32_t id, int32_t i) {
    return coti_operand_own(f, id, i)->root;
}

/* The cluster that a node's own was merged into. */
uint32_t coti_cluster_follow(const coti_fusion *f, uint32_t id);
static inline coti_cluster *coti_cluster_at(const coti_fusion *f, uint32_t cluster) {
    return &f->cluster.data[cluster];
}
/* The cluster that a node is in, or was merged into; 0: it is in none. */
static inline uint32_t coti_cluster_of(const coti_fusion *f, uint32_t id) {
    const uint32_t joined = f->member[id].cluster;
    return coti_cluster_at(f, joined)->merged_into == 0 ? joined : coti_cluster_follow(f, id);
}

/* Is the root a scalar that is written into kernels: a constant of one element, N? */
bool coti_is_inline(const coti_fusion *f, const coti_view *view);

/* A new cluster of one node; its domain is the node's own. */
cot_status coti_cluster_start(coti_fusion *f, uint32_t id, uint32_t *cluster_out);
/* Append a node whose place is set; its operands are counted as read. */
cot_status coti_cluster_append(coti_fusion *f, uint32_t cluster, uint32_t id);

/* The axes of a product of the graph as its kernel takes them: coti_dot_collapse, of no more batch
 * axes in one run than are one in the memory that the product is to be written to. (fuse.c) */
bool coti_product_collapse(const coti_fusion *f, uint32_t id, coti_run a_out[4], coti_run b_out[4],
                           int32_t *n_first_out);

/* ---- fuse_join.c ---- */

/* Put a node into the best cluster that takes it. *joined_out: whether there was one. */
cot_status coti_join(coti_fusion *f, uint32_t id, bool *joined_out);

/*
 * Is an access with these strides, bounds in the dimensions of the mask, one that the cluster's
 * kernel can make, whose dimensions will be collapsed?
 */
bool coti_access_fits(const coti_cluster *c, const int64_t stride[COT_MAX_RANK], uint32_t bounded);
/* Strides of a view in the dimensions of a domain, by the place of its axes. */
void coti_place_strides(const coti_view *view, const cot_shape *shape, const coti_place *place,
                        int64_t stride_out[COT_MAX_RANK], uint32_t *bounded_out);
/* Does every operand of a node at this place fit the cluster? */
bool coti_operands_fit(const coti_fusion *f, const coti_cluster *c, uint32_t id,
                       const coti_place *place);

/* ---- fuse_cycle.c ---- */

/* What stands for a cluster in the order: the product whose side reduction it is, or itself. */
uint32_t coti_group_of(const coti_fusion *f, uint32_t cluster);

/* A new cluster, after all others. */
void coti_order_append(coti_fusion *f, uint32_t cluster);

/*
 * May `target` come to need other clusters? Begin, name each, end; false at any step: one of them
 * depends on the target, or that is not found out in COTI_MAX_VISITS steps. When all is true,
 * coti_move_found makes the order so.
 */
void coti_search_begin(coti_fusion *f, uint32_t target);
bool coti_search_from(coti_fusion *f, uint32_t cluster);
bool coti_search_end(coti_fusion *f);
void coti_move_found(coti_fusion *f);

/* May two clusters become one: is there no way between them through a third? Then coti_unite
 * follows, which takes `from` out of the order. */
bool coti_can_unite(coti_fusion *f, uint32_t a, uint32_t b);
void coti_unite(coti_fusion *f, uint32_t into, uint32_t from);

/* ---- fuse_merge.c ---- */

/* Does the cluster read no computed value? */
bool coti_is_early(const coti_fusion *f, uint32_t cluster);

/* Merge clusters of other operands of a node that has just joined, where that is possible. */
cot_status coti_absorb_operands(coti_fusion *f, uint32_t id);

/* Make column sums of a product's operand its side reduction. */
void coti_find_sides(coti_fusion *f);

/* ---- fuse_store.c ---- */

/* Set stored, live and again of all members. */
void coti_decide_stores(coti_fusion *f);

/* One element that an expression takes: where it comes from. */
typedef enum coti_source_kind {
    COTI_FROM_CONST,    /* the constant node `node` */
    COTI_FROM_ROWS,     /* N */
    COTI_FROM_MEMORY,   /* `view`, by the strides of `place` */
    COTI_FROM_REGISTER, /* member `node` of the same cluster */
    COTI_FROM_AGAIN     /* `node`, computed again at `place` */
} coti_source_kind;

typedef struct coti_element {
    coti_source_kind kind;
    uint32_t node;
    const coti_view *view;
    const cot_shape *shape; /* of the view */
    coti_place place;       /* of the view's axes; AGAIN: of the node's frame */
} coti_element;

/* What operand i of a node at a place takes, within a cluster. */
coti_element coti_element_of(const coti_fusion *f, uint32_t cluster, uint32_t id,
                             const coti_place *place, int32_t i);

/* ---- lower_body.c ---- */

/* A node that has become an expression, at a place. */
typedef struct coti_made {
    uint32_t node;
    coti_place place;
    int32_t expr;
} coti_made;

/*
 * A kernel being made. Its arrays have the largest sizes; its accesses are in the dimensions of the
 * cluster until coti_lower_domain.
 */
typedef struct coti_lowering {
    coti_fusion *f;
    uint32_t cluster; /* whose members are being lowered */
    bool overflow;    /* too many slots, expressions or accesses */
    coti_kernel kernel;
    coti_operand operand[COTI_MAX_SLOTS];
    coti_body *body; /* of the kernel */
    coti_made *made; /* in this body; at most COTI_MAX_EXPRS */
    int32_t n_made;
    uint32_t *node; /* members and nodes computed again, of all bodies; 2 * COTI_MAX_EXPRS */
    coti_reason *reason;
    int32_t n_nodes;
} coti_lowering;

cot_status coti_lowering_init(coti_lowering *l, coti_fusion *f);
void coti_lowering_free(coti_lowering *l);
/* Begin another kernel. */
void coti_lowering_reset(coti_lowering *l);

/* The slot of a buffer, made if it is new; overflow is set if there are too many. */
int32_t coti_lowering_slot(coti_lowering *l, coti_operand_kind kind, uint32_t id);
/* Under which kind a root's memory is known. */
coti_operand_kind coti_root_kind(const coti_fusion *f, uint32_t root);
/* The access of a view at a place; overflow is set if there are too many. */
int32_t coti_lowering_access(coti_lowering *l, int32_t slot, const coti_view *view,
                             const cot_shape *shape, const coti_place *place);
/* Append an expression; overflow is set if there are too many. */
int32_t coti_lowering_expr(coti_lowering *l, const coti_expr *expr);
void coti_lowering_store(coti_lowering *l, int32_t expr, int32_t access);

/*
 * Lower the live members of a cluster, in order, into a body, with stores of what is stored and of
 * states' new values. A product, and the reduction of a side, become the accumulator.
 */
void coti_lower_body(coti_lowering *l, uint32_t cluster, coti_body *body);

/* Append a copy of a stored value to its state, over the domain of a cluster of no members. */
void coti_lower_copy(coti_lowering *l, uint32_t cluster, const coti_write *write,
                     const coti_place *place);

/* In `bounded` of an access until the domain is made: every element is `fill`. */
#define COTI_NOWHERE ((uint32_t)1 << 31)

/* ---- lower_domain.c ---- */

/*
 * Give the kernel its own dimensions: those of the cluster, merged where all accesses merge, or
 * [b, m, n] for a product. Sets its domain and turns all accesses. Overflow is set if there would
 * be too many.
 */
void coti_lower_domain(coti_lowering *l, uint32_t cluster);

/* ---- scatter.c ---- */

/* Lower the SCATTER_ADD of a cluster: the whole kernel. */
cot_status coti_lower_scatter(coti_lowering *l, const coti_cluster *c);

/* ---- conv.c ---- */

/* Can operand i of a convolution be read by its kernel as it lies? */
bool coti_conv_fits(const coti_views *views, const coti_node *node, int32_t i);
/* A copy of it, x, that can. */
cot_value coti_conv_copy(const coti_node *node, int32_t i, cot_value x);

/* Fill the product of a convolution's cluster, as it is of a DOT's; the images' slot is the first.
 */
void coti_lower_conv(coti_lowering *l, const coti_cluster *c);

/* ---- loop.c ---- */

/* Put a SCAN into the cluster of its execution, made if this is its first result. */
cot_status coti_place_loop(coti_fusion *f, uint32_t id);
/* The group of a loop's cluster: its operands, its body's groups, made once, and what it says of
 * itself. */
cot_status coti_lower_loop(coti_fusion *f, uint32_t cluster, coti_group *group);

/* ---- fuse.c ---- */

/* As coti_fuse, of the body of a loop within `f`: *graph is prepared, has no outputs, and is
 * taken. */
cot_status coti_fuse_body(const coti_fusion *f, cot_graph **graph, coti_groups **groups_out);

/* ---- lower_intern.c ---- */

void coti_interned_init(coti_interned *interned, coti_arena *arena);
void coti_interned_free(coti_interned *interned, cot_context *context);
/* The kernel equal to l->kernel but for its tile; a copy, with its tile chosen, if it is new. */
cot_status coti_intern_kernel(coti_lowering *l, coti_kernel **kernel_out);

/* ---- lower.c ---- */

/* A group, and what is needed to order it among the others. */
typedef struct coti_lowered {
    coti_group group;
    uint32_t cluster; /* 0: a load or a copy */
    uint32_t first;   /* its first node: smaller comes earlier where nothing else decides */
} coti_lowered;

typedef struct coti_lowered_list {
    COTI_VEC(coti_lowered) at;
} coti_lowered_list;

/* Lower all clusters, order the groups and hand them to f->groups. */
cot_status coti_lower_clusters(coti_fusion *f);

/* ---- order.c ---- */

/*
 * Order groups so that each runs after what it reads, and a state's writer after its other readers.
 * Where that cannot be, or would make others wait, write.copied is set, *changed_out, and the order
 * means nothing. order_out: indices of the list, as many as it has.
 */
cot_status coti_order_groups(coti_fusion *f, const coti_lowered_list *list, uint32_t *order_out,
                             bool *changed_out);

#endif
