/*
 * Attributes of the text form: one function a type of field, chosen by the fields of attrs.def.
 *
 * What is read is well-formed, not yet valid: axes and lengths are checked by the infer rules, as
 * they are for any other maker of nodes.
 */
#include "parse.h"

#include <string.h>

/* One field at work. */
typedef struct field_parse {
    coti_cursor *cursor;
    void *field;
    coti_parsed_attr *parsed;
    const coti_parsed_bodies *bodies;
} field_parse;

/* An integer within int32. */
static cot_status take_int32(coti_cursor *cursor, int32_t *out) {
    int64_t value = 0;
    size_t start = coti_cursor_skip(cursor);
    COTI_TRY(coti_cursor_int(cursor, &value));
    if (value < INT32_MIN || value > INT32_MAX) {
        return coti_cursor_fail(cursor, start, "axis %lld is out of range", (long long)value);
    }
    *out = (int32_t)value;
    return COT_OK;
}

/* '[' was taken: true with room for one more element, after its comma; false at ']'. */
static cot_status list_next(coti_cursor *cursor, int32_t n, bool *more_out) {
    *more_out = false;
    if (coti_cursor_take(cursor, "]")) {
        return COT_OK;
    }
    if (n > 0) {
        COTI_TRY(coti_cursor_need(cursor, ","));
    }
    if (n == COT_MAX_RANK) {
        return coti_cursor_fail(cursor, cursor->at, "the list has more than %d elements",
                                COT_MAX_RANK);
    }
    *more_out = true;
    return COT_OK;
}

static cot_status parse_AXIS(const field_parse *parse) {
    return take_int32(parse->cursor, parse->field);
}

static cot_status parse_AXES(const field_parse *parse) {
    coti_attr_AXES_type *axes = parse->field;
    bool more = false;
    COTI_TRY(coti_cursor_need(parse->cursor, "["));
    for (axes->n = 0;; axes->n++) {
        COTI_TRY(list_next(parse->cursor, axes->n, &more));
        if (!more) {
            return COT_OK;
        }
        COTI_TRY(take_int32(parse->cursor, &axes->v[axes->n]));
    }
}

static cot_status parse_INTS(const field_parse *parse) {
    coti_attr_INTS_type *ints = parse->field;
    bool more = false;
    COTI_TRY(coti_cursor_need(parse->cursor, "["));
    for (ints->n = 0;; ints->n++) {
        COTI_TRY(list_next(parse->cursor, ints->n, &more));
        if (!more) {
            return COT_OK;
        }
        COTI_TRY(coti_cursor_int(parse->cursor, &ints->v[ints->n]));
    }
}

static cot_status parse_INT(const field_parse *parse) {
    return coti_cursor_int(parse->cursor, parse->field);
}

static cot_status parse_FLOAT(const field_parse *parse) {
    return coti_cursor_element(parse->cursor, COT_F64, parse->field);
}

static cot_status parse_DISTRIBUTION(const field_parse *parse) {
    static const cot_distribution all[] = {COT_UNIFORM, COT_NORMAL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (coti_cursor_take_word(parse->cursor, coti_distribution_name(all[i]))) {
            *(coti_attr_DISTRIBUTION_type *)parse->field = all[i];
            return COT_OK;
        }
    }
    return coti_cursor_expected(parse->cursor, "uniform or normal");
}

/* Names stand in the graph's head, never among a node's attributes. */
static cot_status parse_TEXT(const field_parse *parse) {
    return coti_cursor_expected(parse->cursor, "no name: inputs belong in the graph's head");
}

static cot_status parse_VARIABLE(const field_parse *parse) {
    return coti_cursor_expected(parse->cursor, "no variable: states belong in the graph's head");
}

/* Step over a scalar or a list of scalars; how many there are. */
static cot_status skip_data(coti_cursor *cursor, int64_t *n_out) {
    int64_t n = 0;
    if (!coti_cursor_take(cursor, "[")) {
        *n_out = 1;
        return coti_cursor_skip_scalar(cursor);
    }
    for (; !coti_cursor_take(cursor, "]"); n++) {
        COTI_TRY(n > 0 ? coti_cursor_need(cursor, ",") : COT_OK);
        COTI_TRY(coti_cursor_skip_scalar(cursor));
    }
    *n_out = n;
    return COT_OK;
}

/* Only skipped: the dtype comes later (coti_parse_data). */
static cot_status parse_DATA(const field_parse *parse) {
    coti_parsed_attr *parsed = parse->parsed;
    parsed->data = parse->field;
    parsed->data_at = coti_cursor_skip(parse->cursor);
    COTI_TRY(skip_data(parse->cursor, &parsed->n_data));
    parsed->data_end = parse->cursor->at;
    return COT_OK;
}

static cot_status parse_BODY(const field_parse *parse) {
    const char *name = NULL;
    size_t start = coti_cursor_skip(parse->cursor);
    COTI_TRY(coti_cursor_need(parse->cursor, "@"));
    COTI_TRY(coti_cursor_label(parse->cursor, &name));
    coti_parsed_body *found = coti_parsed_bodies_find(parse->bodies, name);
    if (found == NULL) {
        return coti_cursor_fail(parse->cursor, start, "no graph @%.80s stands before this one",
                                name);
    }
    found->used = true;
    *(coti_attr_BODY_type *)parse->field = found->body;
    return COT_OK;
}

static cot_status (*const parse_field[COTI_FIELD_COUNT])(const field_parse *parse) = {
#define FIELD_ROW(type) [COTI_FIELD_##type] = parse_##type,
    COTI_FIELD_LIST(FIELD_ROW)
#undef FIELD_ROW
};

/* ---- all fields of a node ---- */

/* The field of this name; NULL: none. *bit_out: its place in a mask. */
static const coti_field *find_field(coti_attr_id id, const char *name, size_t length,
                                    uint32_t *bit_out) {
    *bit_out = 1;
    for (const coti_field *f = coti_attr_fields(id); f->name != NULL; f++, *bit_out <<= 1) {
        if (strlen(f->name) == length && memcmp(f->name, name, length) == 0) {
            return f;
        }
    }
    return NULL;
}

/* One "name=value". */
static cot_status take_field(field_parse *parse, coti_attr_id id, uint32_t *seen) {
    coti_cursor *cursor = parse->cursor;
    const char *name = NULL;
    size_t length = 0;
    uint32_t bit = 0;
    size_t start = coti_cursor_skip(cursor);
    COTI_TRY(coti_cursor_word(cursor, "the name of an attribute", &name, &length));
    const coti_field *field = find_field(id, name, length, &bit);
    if (field == NULL || (*seen & bit) != 0) {
        return coti_cursor_fail(cursor, start, "attribute \"%.*s\" is %s", (int)(length & 0xff),
                                name, field == NULL ? "unknown to this op" : "given twice");
    }
    *seen |= bit;
    COTI_TRY(coti_cursor_need(cursor, "="));
    parse->field = (char *)parse->parsed->attr + field->offset;
    return parse_field[field->type](parse);
}

/* "axes=[1], axis=0}" */
static cot_status take_fields(field_parse *parse, coti_attr_id id, uint32_t *seen) {
    do {
        COTI_TRY(take_field(parse, id, seen));
    } while (coti_cursor_take(parse->cursor, ","));
    return coti_cursor_need(parse->cursor, "}");
}

/* Lists may be left out, they are then empty. */
static bool may_miss(const coti_field *field) {
    return field->type == COTI_FIELD_AXES || field->type == COTI_FIELD_INTS;
}

cot_status coti_parse_attr(coti_cursor *cursor, coti_attr_id id, const coti_parsed_bodies *bodies,
                           coti_parsed_attr *parsed_out) {
    field_parse parse = {cursor, NULL, parsed_out, bodies};
    uint32_t seen = 0;
    size_t start = coti_cursor_skip(cursor);
    *parsed_out = (coti_parsed_attr){.attr = coti_arena_alloc(cursor->arena, coti_attr_bytes(id))};
    if (parsed_out->attr == NULL) {
        return COT_E_NOMEM;
    }
    if (coti_cursor_take(cursor, "{") && !coti_cursor_take(cursor, "}")) {
        COTI_TRY(take_fields(&parse, id, &seen));
    }
    uint32_t bit = 1;
    for (const coti_field *f = coti_attr_fields(id); f->name != NULL; f++, bit <<= 1) {
        if ((seen & bit) == 0 && !may_miss(f)) {
            return coti_cursor_fail(cursor, start, "attribute \"%s\" is missing", f->name);
        }
    }
    return COT_OK;
}

cot_status coti_parse_data(coti_cursor *cursor, const coti_parsed_attr *parsed, cot_dtype dtype,
                           const cot_shape *shape) {
    coti_cursor reader = *cursor;
    size_t bytes = cot_dtype_bytes(dtype);
    int64_t expected = -1;
    reader.at = parsed->data_at;
    if (shape->batched || !coti_shape_elements(shape, 1, &expected) || expected != parsed->n_data) {
        char type[COTI_TYPE_BYTES];
        return coti_cursor_fail(&reader, reader.at, "%lld elements do not fill %s",
                                (long long)parsed->n_data, coti_type_text(type, dtype, shape));
    }
    char *data = coti_arena_array(cursor->arena, (size_t)expected, bytes);
    if (data == NULL) {
        return COT_E_NOMEM;
    }
    bool list = coti_cursor_take(&reader, "[");
    for (int64_t i = 0; i < expected; i++) {
        COTI_TRY(i > 0 ? coti_cursor_need(&reader, ",") : COT_OK);
        COTI_TRY(coti_cursor_element(&reader, dtype, data + (size_t)i * bytes));
    }
    if ((list && !coti_cursor_take(&reader, "]")) || reader.at != parsed->data_end) {
        return coti_cursor_expected(&reader, "the end of an element");
    }
    parsed->data->data = data;
    parsed->data->bytes = expected * (int64_t)bytes;
    return COT_OK;
}
