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

/* "{axes=[1]}" or nothing, for an attribute of this kind. */
cot_status coti_parse_attr(coti_cursor *cursor, coti_attr_id id, coti_parsed_attr *parsed_out);

/* Read the data of an attribute that has some, now that the node's type is known. */
cot_status coti_parse_data(coti_cursor *cursor, const coti_parsed_attr *parsed, cot_dtype dtype,
                           const cot_shape *shape);

#endif
