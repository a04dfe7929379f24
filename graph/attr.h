/*
 * Attributes as lists of typed fields, made from attrs.def: what hash, compare, copy, print and
 * parse walk over. An attribute is copied into a graph only after the op's infer rule has accepted
 * it, so list lengths are within [0, COT_MAX_RANK] everywhere but in the rules.
 */
#ifndef COTI_ATTR_H
#define COTI_ATTR_H

#include "graph.h"

/* Every type of field that attrs.def may use. */
#define COTI_FIELD_LIST(X)                                                                         \
    X(AXIS)                                                                                        \
    X(AXES)                                                                                        \
    X(INTS)                                                                                        \
    X(INT)                                                                                         \
    X(FLOAT)                                                                                       \
    X(DISTRIBUTION)                                                                                \
    X(TEXT)                                                                                        \
    X(VARIABLE)                                                                                    \
    X(DATA)                                                                                        \
    X(BODY)

typedef enum coti_field_type {
#define COTI_FIELD_ENUM(type) COTI_FIELD_##type,
    COTI_FIELD_LIST(COTI_FIELD_ENUM)
#undef COTI_FIELD_ENUM
        COTI_FIELD_COUNT
} coti_field_type;

typedef struct coti_field {
    const char *name; /* NULL ends a list of fields */
    coti_field_type type;
    size_t offset; /* in the attribute's struct */
} coti_field;

/* The fields of an attribute, ended by one whose name is NULL. */
const coti_field *coti_attr_fields(coti_attr_id attr);
/* sizeof of the attribute's struct. */
size_t coti_attr_bytes(coti_attr_id attr);

static inline const void *coti_field_at(const void *attr, const coti_field *field) {
    return (const char *)attr + field->offset;
}

/* attr of NO_ATTR may be NULL in all of these. Floats are compared by their bits. */
uint64_t coti_attr_hash(uint64_t seed, coti_attr_id id, const void *attr);
bool coti_attr_equal(coti_attr_id id, const void *a, const void *b);
/* Into the graph's arena, with what it points to (but a variable). A body becomes the graph's own
 * (coti_graph_body). NULL for NO_ATTR. */
cot_status coti_attr_copy(cot_graph *graph, coti_attr_id id, const void *attr,
                          const void **copy_out);

#endif
