/*
 * Bodies: graphs that a node runs, named by an attribute of type BODY.
 *
 * A body is sealed: a clone of the graph that it was made from, without dead nodes, that never
 * changes again. Graphs share bodies by counting references, so carrying a node to another graph
 * carries its bodies along at no cost. A graph holds each body once: two are equal if they print
 * equally, names of graphs and of layers apart (as these are no part of a node's identity, the
 * first maker's stay). Identity and hash come from that text alone, no address enters them.
 *
 * A body has inputs and outputs of its own, no states and no updates, and may hold bodies itself,
 * to a depth of COTI_MAX_BODY_DEPTH, checked where it is sealed: every recursion over bodies ends
 * there. Inlined to the last it has at most COTI_MAX_BODY_NODES nodes, so that no short text asks
 * for endless expansion. N is the same symbol in a graph and in its bodies.
 */
#ifndef COTI_BODY_H
#define COTI_BODY_H

#include "graph.h"

enum { COTI_MAX_BODY_DEPTH = 8, COTI_MAX_BODY_NODES = 1 << 20 };

/*
 * The graph's own copy of a body: sealed if `body` is not, else shared. A builder calls it for what
 * its caller gave, before it adds the node. The graph releases it at its end; *own_out is borrowed.
 * `body` stays the caller's. Fails: COT_E_ARG for no graph, one of another context, or one with
 * states or updates; COT_E_UNSUPPORTED when bodies in bodies are too deep or too many;
 * COT_E_NOMEM.
 */
cot_status coti_graph_body(cot_graph *graph, const cot_graph *body, const cot_graph **own_out);

/* The graph's own body equal to a sealed one; NULL: it holds none. */
const cot_graph *coti_graph_find_body(const cot_graph *graph, const cot_graph *body);

/* Are two sealed bodies the same function, node by node? */
bool coti_body_equal(const cot_graph *a, const cot_graph *b);

/* Has the node's attribute a body? */
bool coti_runs_bodies(const coti_node *node);

/* ---- all bodies of a graph ---- */

typedef struct coti_bodies {
    coti_arena arena; /* of names */
    COTI_VEC(const cot_graph *) body;
    COTI_VEC(const char *) name; /* as many as bodies, once coti_bodies_name has been called */
    coti_map index;              /* to indices in body */
} coti_bodies;

/*
 * All bodies that nodes of the graph run, and that nodes of those run, each once, each after those
 * that it needs itself: a body's place is where a walk over the nodes in order is done with it. To
 * be freed whatever the status is.
 */
cot_status coti_bodies_find(coti_bodies *bodies, const cot_graph *graph);
void coti_bodies_free(coti_bodies *bodies);

/* The place of a body in the list; SIZE_MAX: it is not there. */
size_t coti_bodies_at(const coti_bodies *bodies, const cot_graph *body);

/* Give each body a name that is its own or begins so, differs from all others' and from `taken`. */
cot_status coti_bodies_name(coti_bodies *bodies, const char *taken);

/* ---- bodies replaced ---- */

typedef struct coti_body_map {
    coti_bodies bodies;
    const cot_graph **mapped; /* what each has become; sealed */
    cot_graph *library;       /* holds these */
} coti_body_map;

/* What a body becomes, as a new graph; those inside it have been mapped. */
typedef cot_status (*coti_body_fn)(const coti_body_map *map, const cot_graph *body, void *user,
                                   cot_graph **result_out);

/* A map of no bodies: what may be freed. */
void coti_body_map_init(coti_body_map *map, cot_context *context);
/* Replace all bodies of a graph, inner ones first, each once. To be freed whatever the status is.
 */
cot_status coti_body_map_make(coti_body_map *map, const cot_graph *graph, coti_body_fn make,
                              void *user);
void coti_body_map_free(coti_body_map *map);

/* The node's attribute with its bodies replaced: the node's own if it has none, else a copy in the
 * arena, for coti_graph_add. */
cot_status coti_body_map_attr(const coti_body_map *map, coti_arena *arena, const coti_node *node,
                              const void **attr_out);

/* ---- passes ---- */

/* A pass as the passes of graph.h, but one that leaves bodies as they are. */
typedef cot_status (*coti_pass_fn)(const cot_graph *graph, cot_graph **result_out,
                                   bool *changed_out);

/*
 * Apply a pass to all bodies of a graph, inner ones first, and to the graph, whose nodes then run
 * the new bodies. Each body is visited once, however many nodes run it.
 */
cot_status coti_graph_map_bodies(const cot_graph *graph, coti_pass_fn pass, cot_graph **result_out,
                                 bool *changed_out);

/*
 * Copy a body's nodes into `to`, with input[i] in place of its i-th input; output_out[i] becomes
 * its i-th output's value. Nodes take the layer and the region of `to` if they are set, else they
 * keep their own. The inputs are of the types that the body's inputs have, else COT_E_INTERNAL;
 * poison that an output needs gives poison out, with a status that is not COT_OK. Linear.
 */
cot_status coti_graph_inline(cot_graph *to, const cot_graph *body, const cot_value *input,
                             cot_value *output_out);

/* The same, but only what the wanted outputs need; the others' values are poison, and inputs that
 * they do not need may be. */
cot_status coti_graph_inline_some(cot_graph *to, const cot_graph *body, const cot_value *input,
                                  const bool *wanted, cot_value *output_out);

#endif
