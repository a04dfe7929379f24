/*
 * Attributes: their fields from attrs.def, and one row of functions per type of field. A new
 * attribute changes nothing here; a new type of field is a row of `field_ops`.
 */
#include "attr.h"

#include "body.h"
#include "symbol.h"

#include <string.h>

const coti_field *coti_attr_fields(coti_attr_id attr) {
    static const coti_field none[] = {{NULL, COTI_FIELD_AXIS, 0}};
    switch (attr) {
#define F(type, name) {#name, COTI_FIELD_##type, offsetof(self, name)},
#define COT_ATTR(id, fields)                                                                       \
    case COTI_ATTR_##id: {                                                                         \
        typedef coti_attr_##id self;                                                               \
        static const coti_field list[] = {fields{NULL, COTI_FIELD_AXIS, sizeof(self)}};            \
        return list;                                                                               \
    }
#include "attrs.def"
#undef COT_ATTR
#undef F
    case COTI_ATTR_COUNT:
        break;
    }
    return none;
}

size_t coti_attr_bytes(coti_attr_id attr) {
    static const size_t bytes[] = {
#define COT_ATTR(id, fields) [COTI_ATTR_##id] = sizeof(coti_attr_##id),
#include "attrs.def"
#undef COT_ATTR
    };
    return bytes[attr];
}

/* ---- what a type of field can do ---- */

typedef struct field_ops {
    size_t bytes;
    uint64_t (*hash)(uint64_t seed, const void *field);
    bool (*equal)(const void *a, const void *b);
    /* Completes a bitwise copy by what it points to; NULL: nothing. */
    cot_status (*copy)(cot_graph *graph, void *field);
} field_ops;

static uint64_t hash_AXIS(uint64_t seed, const void *field) {
    const coti_attr_AXIS_type *axis = field;
    return coti_hash_word(seed, (uint64_t)*axis);
}
static bool equal_AXIS(const void *a, const void *b) {
    return memcmp(a, b, sizeof(coti_attr_AXIS_type)) == 0;
}

static uint64_t hash_AXES(uint64_t seed, const void *field) {
    const coti_attr_AXES_type *axes = field;
    uint64_t hash = coti_hash_word(seed, (uint64_t)axes->n);
    for (int32_t i = 0; i < axes->n; i++) {
        hash = coti_hash_word(hash, (uint64_t)axes->v[i]);
    }
    return hash;
}
static bool equal_AXES(const void *a, const void *b) {
    const coti_attr_AXES_type *left = a;
    const coti_attr_AXES_type *right = b;
    return left->n == right->n &&
           memcmp(left->v, right->v, (size_t)left->n * sizeof left->v[0]) == 0;
}

static uint64_t hash_INTS(uint64_t seed, const void *field) {
    const coti_attr_INTS_type *ints = field;
    uint64_t hash = coti_hash_word(seed, (uint64_t)ints->n);
    for (int32_t i = 0; i < ints->n; i++) {
        hash = coti_hash_word(hash, (uint64_t)ints->v[i]);
    }
    return hash;
}
static bool equal_INTS(const void *a, const void *b) {
    const coti_attr_INTS_type *left = a;
    const coti_attr_INTS_type *right = b;
    return left->n == right->n &&
           memcmp(left->v, right->v, (size_t)left->n * sizeof left->v[0]) == 0;
}

static uint64_t hash_INT(uint64_t seed, const void *field) {
    const coti_attr_INT_type *integer = field;
    return coti_hash_word(seed, (uint64_t)*integer);
}
static bool equal_INT(const void *a, const void *b) {
    return memcmp(a, b, sizeof(coti_attr_INT_type)) == 0;
}

static uint64_t hash_FLOAT(uint64_t seed, const void *field) {
    uint64_t bits = 0;
    memcpy(&bits, field, sizeof(coti_attr_FLOAT_type));
    return coti_hash_word(seed, bits);
}
static bool equal_FLOAT(const void *a, const void *b) {
    return memcmp(a, b, sizeof(coti_attr_FLOAT_type)) == 0;
}

static uint64_t hash_DISTRIBUTION(uint64_t seed, const void *field) {
    const coti_attr_DISTRIBUTION_type *distribution = field;
    return coti_hash_word(seed, (uint64_t)*distribution);
}
static bool equal_DISTRIBUTION(const void *a, const void *b) {
    return memcmp(a, b, sizeof(coti_attr_DISTRIBUTION_type)) == 0;
}

static uint64_t hash_TEXT(uint64_t seed, const void *field) {
    const coti_attr_TEXT_type *text = (const coti_attr_TEXT_type *)field;
    return coti_hash(seed, *text, strlen(*text));
}
static bool equal_TEXT(const void *a, const void *b) {
    const coti_attr_TEXT_type *left = (const coti_attr_TEXT_type *)a;
    const coti_attr_TEXT_type *right = (const coti_attr_TEXT_type *)b;
    return strcmp(*left, *right) == 0;
}
static cot_status copy_TEXT(cot_graph *graph, void *field) {
    coti_attr_TEXT_type *text = (coti_attr_TEXT_type *)field;
    *text = coti_graph_intern(graph, *text);
    return *text != NULL ? COT_OK : COT_E_NOMEM;
}

/* A variable is itself: two of equal name and shape are two. */
static uint64_t hash_VARIABLE(uint64_t seed, const void *field) {
    const coti_attr_VARIABLE_type *variable = (const coti_attr_VARIABLE_type *)field;
    return coti_hash_word(seed, (uint64_t)(uintptr_t)*variable);
}
static bool equal_VARIABLE(const void *a, const void *b) {
    const coti_attr_VARIABLE_type *left = (const coti_attr_VARIABLE_type *)a;
    const coti_attr_VARIABLE_type *right = (const coti_attr_VARIABLE_type *)b;
    return *left == *right;
}

static uint64_t hash_DATA(uint64_t seed, const void *field) {
    const coti_attr_DATA_type *data = field;
    return coti_hash(seed, data->data, (size_t)data->bytes);
}
static bool equal_DATA(const void *a, const void *b) {
    const coti_attr_DATA_type *left = a;
    const coti_attr_DATA_type *right = b;
    return left->bytes == right->bytes &&
           (left->bytes == 0 || memcmp(left->data, right->data, (size_t)left->bytes) == 0);
}
static cot_status copy_DATA(cot_graph *graph, void *field) {
    coti_attr_DATA_type *data = field;
    data->data = coti_arena_copy(&graph->arena, data->data, (size_t)data->bytes);
    return data->data != NULL ? COT_OK : COT_E_NOMEM;
}

static uint64_t hash_BODY(uint64_t seed, const void *field) {
    const coti_attr_BODY_type *body = (const coti_attr_BODY_type *)field;
    return coti_hash_word(seed, (*body)->seal.hash);
}
static bool equal_BODY(const void *a, const void *b) {
    const coti_attr_BODY_type *left = (const coti_attr_BODY_type *)a;
    const coti_attr_BODY_type *right = (const coti_attr_BODY_type *)b;
    return coti_body_equal(*left, *right);
}
static cot_status copy_BODY(cot_graph *graph, void *field) {
    coti_attr_BODY_type *body = (coti_attr_BODY_type *)field;
    return coti_graph_body(graph, *body, body);
}

#define PLAIN(type) {sizeof(coti_attr_##type##_type), hash_##type, equal_##type, NULL}
#define OWNING(type) {sizeof(coti_attr_##type##_type), hash_##type, equal_##type, copy_##type}

static const field_ops ops[COTI_FIELD_COUNT] = {
    [COTI_FIELD_AXIS] = PLAIN(AXIS),   [COTI_FIELD_AXES] = PLAIN(AXES),
    [COTI_FIELD_INTS] = PLAIN(INTS),   [COTI_FIELD_INT] = PLAIN(INT),
    [COTI_FIELD_FLOAT] = PLAIN(FLOAT), [COTI_FIELD_DISTRIBUTION] = PLAIN(DISTRIBUTION),
    [COTI_FIELD_TEXT] = OWNING(TEXT),  [COTI_FIELD_VARIABLE] = PLAIN(VARIABLE),
    [COTI_FIELD_DATA] = OWNING(DATA),  [COTI_FIELD_BODY] = OWNING(BODY),
};

/* ---- whole attributes ---- */

uint64_t coti_attr_hash(uint64_t seed, coti_attr_id id, const void *attr) {
    for (const coti_field *f = coti_attr_fields(id); f->name != NULL; f++) {
        seed = ops[f->type].hash(seed, coti_field_at(attr, f));
    }
    return seed;
}

bool coti_attr_equal(coti_attr_id id, const void *a, const void *b) {
    for (const coti_field *f = coti_attr_fields(id); f->name != NULL; f++) {
        if (!ops[f->type].equal(coti_field_at(a, f), coti_field_at(b, f))) {
            return false;
        }
    }
    return true;
}

cot_status coti_attr_copy(cot_graph *graph, coti_attr_id id, const void *attr,
                          const void **copy_out) {
    const coti_field *f = coti_attr_fields(id);
    if (f->name == NULL) {
        *copy_out = NULL;
        return COT_OK;
    }
    char *copy = coti_arena_alloc(&graph->arena, coti_attr_bytes(id));
    if (copy == NULL) {
        return COT_E_NOMEM;
    }
    for (; f->name != NULL; f++) {
        const field_ops *type = &ops[f->type];
        memcpy(copy + f->offset, coti_field_at(attr, f), type->bytes);
        COTI_TRY(type->copy != NULL ? type->copy(graph, copy + f->offset) : COT_OK);
    }
    *copy_out = copy;
    return COT_OK;
}
