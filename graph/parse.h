/*
 * What the files of the parser share.
 */
#ifndef COTI_PARSE_H
#define COTI_PARSE_H

#include "cursor.h"

/* A node's attribute, read but for its data, whose dtype stands behind it. */
typedef struct coti_parsed_attr {
    void *attr;                /* the struct of the op's attribute, in the cursor's arena */
    coti_attr_DATA_type *data; /* its data field; NULL: it has none */
    size_t data_at, data_end;  /* where the data stand in the text */
    int64_t n_data;            /* scalars there */
} coti_parsed_attr;

/* A graph of the text that is not its last, sealed and held by the parser's library. */
typedef struct coti_parsed_body {
    const char *name;
    const cot_graph *body;
    size_t at; /* where it stands */
    bool used;
} coti_parsed_body;

typedef struct coti_parsed_bodies {
    COTI_VEC(coti_parsed_body) list;
    coti_map names; /* to indices in list */
} coti_parsed_bodies;

/* The body of this name; NULL: there is none. */
coti_parsed_body *coti_parsed_bodies_find(const coti_parsed_bodies *bodies, const char *name);

/* "{axes=[1]}" or nothing, for an attribute of this kind. */
cot_status coti_parse_attr(coti_cursor *cursor, coti_attr_id id, const coti_parsed_bodies *bodies,
                           coti_parsed_attr *parsed_out);

/* Read the data of an attribute that has some, now that the node's type is known. */
cot_status coti_parse_data(coti_cursor *cursor, const coti_parsed_attr *parsed, cot_dtype dtype,
                           const cot_shape *shape);

#endif
