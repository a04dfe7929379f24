/*
 * A place apart: a graph that begins as a copy of another, node by node, in which derivatives are
 * taken of derivatives, and from which nothing but what results need is brought back (apart.c).
 *
 * A value of the source goes by the same id in the copy, so errors that arise there name nodes as
 * the source's text does. Placeholders stand behind the copied nodes: inputs that no copied node
 * knows, to differentiate with respect to, or to stand for a value of the source as a constant.
 */
#ifndef COTI_APART_H
#define COTI_APART_H

#include "graph/graph.h"

typedef struct coti_apart {
    cot_graph *source; /* results are added to it */
    cot_graph *graph;
    uint32_t n_placeholders;
    COTI_VEC(cot_value)
    actual; /* of each input of `graph`: what it is in the source; poison: zeros */
} coti_apart;

/* Copy the source's nodes up to id `last`. To be freed whatever the status is. */
cot_status coti_apart_make(coti_apart *apart, cot_graph *source, uint32_t last);
void coti_apart_free(coti_apart *apart);

/* A value of the source, with an id up to `last`, in the copy. */
static inline cot_value coti_apart_value(const coti_apart *apart, cot_value value) {
    return (cot_value){apart->graph, value.id};
}

/* A new input of the type of `like`. `actual`: the value of the source that it stands for; poison:
 * zeros, where a result depends on it at all. */
cot_value coti_apart_placeholder(coti_apart *apart, cot_value like, cot_value actual);

/* Bring n values of the copy to the source; out may be value. Once. */
cot_status coti_apart_bring(coti_apart *apart, const cot_value *value, int32_t n, cot_value *out);

#endif
