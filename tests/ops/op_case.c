/*
 * The table of op cases, and the reading of its columns: shapes, attributes, literal tensors.
 */
#include "op_case.h"

#include "graph/graph.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const op_case op_cases[] = {
#define OP_CASE(id, eval_dtypes, jit_dtypes, values, shapes, attr, eval, jit, reason)              \
    {__LINE__, COT_OP_##id, eval_dtypes, jit_dtypes, values, shapes, attr, eval, jit, reason},
#define OP_LITERAL(id, operands, attr, result)
#include "../ops_cases.def"
#undef OP_CASE
#undef OP_LITERAL
};
const int32_t n_op_cases = (int32_t)(sizeof op_cases / sizeof op_cases[0]);

const op_literal op_literals[] = {
#define OP_CASE(id, eval_dtypes, jit_dtypes, values, shapes, attr, eval, jit, reason)
#define OP_LITERAL(id, operands, attr, result) {__LINE__, COT_OP_##id, operands, attr, result},
#include "../ops_cases.def"
#undef OP_CASE
#undef OP_LITERAL
};
const int32_t n_op_literals = (int32_t)(sizeof op_literals / sizeof op_literals[0]);

const op_case *first_case(cot_op op) {
    for (int32_t i = 0; i < n_op_cases; i++) {
        if (op_cases[i].op == op) {
            return &op_cases[i];
        }
    }
    return NULL;
}

/* ---- attributes ---- */

/* The text after `key=`, or NULL. */
static const char *find_key(const char *attr, const char *key) {
    size_t length = strlen(key);
    for (const char *at = attr; (at = strstr(at, key)) != NULL; at += length) {
        if ((at == attr || at[-1] == ' ') && at[length] == '=') {
            return at + length + 1;
        }
    }
    return NULL;
}

/* Extents "3,5" up to a delimiter into v; 'N' and '2N' read as their coefficient, `batched_out`
 * tells. */
static const char *read_list(const char *text, int64_t v[COT_MAX_RANK], int32_t *n_out,
                             bool *batched_out) {
    *n_out = 0;
    *batched_out = false;
    while (isdigit((unsigned char)*text) || *text == 'N' ||
           (*text == '-' && isdigit((unsigned char)text[1]))) {
        char *end = (char *)text;
        v[*n_out] = *text == 'N' ? 1 : strtoll(text, &end, 10);
        text = end;
        if (*text == 'N') {
            *batched_out = true;
            text++;
        }
        (*n_out)++;
        text += *text == ',';
    }
    return text;
}

bool attr_ints(const char *attr, const char *key, int64_t v[COT_MAX_RANK], int32_t *n_out) {
    const char *at = find_key(attr, key);
    bool batched = false;
    *n_out = 0;
    if (at != NULL) {
        read_list(at, v, n_out, &batched);
    }
    return at != NULL;
}

int64_t attr_int(const char *attr, const char *key, int64_t otherwise) {
    const char *at = find_key(attr, key);
    return at != NULL ? strtoll(at, NULL, 10) : otherwise;
}

double attr_real(const char *attr, const char *key, double otherwise) {
    const char *at = find_key(attr, key);
    return at != NULL ? strtod(at, NULL) : otherwise;
}

bool attr_is(const char *attr, const char *key, const char *word) {
    const char *at = find_key(attr, key);
    return at != NULL && strncmp(at, word, strlen(word)) == 0;
}

bool is_norm(cot_op op) {
    return op == COT_OP_LAYER_NORM || op == COT_OP_RMS_NORM || op == COT_OP_GROUP_NORM ||
           op == COT_OP_BATCH_NORM;
}

cot_dtype attr_dtype(const char *attr, const char *key, cot_dtype otherwise) {
#define DTYPE_WORD(constant, name, bytes)                                                          \
    if (attr_is(attr, key, name)) {                                                                \
        return constant;                                                                           \
    }
    COT_DTYPE_LIST(DTYPE_WORD)
#undef DTYPE_WORD
    return otherwise;
}

/* ---- shapes and trials ---- */

static const char *skip_blanks(const char *text) {
    return text + strspn(text, " ");
}

/* One shape, "-" or "2N,3". */
static const char *read_shape(const char *text, cot_shape *shape) {
    memset(shape, 0, sizeof *shape);
    if (*text == '-') {
        return text + 1;
    }
    return read_list(text, shape->dim, &shape->rank, &shape->batched);
}

/* Is the last shape of a row the result's? */
static bool last_is_result(cot_op op) {
    return op == COT_OP_IOTA || op == COT_OP_RANDOM || op == COT_OP_RESHAPE ||
           op == COT_OP_BROADCAST;
}

bool is_index_operand(cot_op op, int32_t i) {
    if (op == COT_OP_DYNAMIC_UPDATE) {
        return i == 2;
    }
    return i == 1 &&
           (op == COT_OP_GATHER || op == COT_OP_SCATTER_ADD || op == COT_OP_DYNAMIC_SLICE);
}

static cot_dtype operand_dtype(const trial *t, int32_t i) {
    if (is_index_operand(t->op, i)) {
        return attr_dtype(t->attr, "index", COT_I32);
    }
    if ((t->op == COT_OP_SELECT && i == 0) || (t->op == COT_OP_ATTENTION && i == 3)) {
        return COT_BOOL;
    }
    return t->op == COT_OP_RANDOM ? COT_I64 : t->dtype;
}

/* Settle what follows from op and shapes. */
static void complete_trial(trial *t) {
    if (last_is_result(t->op) && !t->has_result) {
        t->has_result = true;
        t->result = t->shape[--t->n];
    }
    if (t->op == COT_OP_RANDOM) {
        t->n = 2;
        t->shape[0] = t->shape[1] = (cot_shape){0, false, {0}};
    }
    t->batched = t->has_result && t->result.batched;
    for (int32_t i = 0; i < t->n; i++) {
        t->operand[i] = operand_dtype(t, i);
        t->batched = t->batched || t->shape[i].batched;
    }
}

bool next_trial(const op_case *c, cot_dtype dtype, const char **cursor, trial *t) {
    const char *at = skip_blanks(*cursor);
    if (*at == '\0') {
        return false;
    }
    *t = (trial){.op = c->op, .attr = c->attr, .dtype = dtype, .values = c->values, .rows = 1};
    while (*at != '\0' && *at != '|') {
        if (*at == '=') {
            t->shape[t->n] = t->shape[0];
            t->repeated[t->n] = true;
            at++;
        } else {
            at = read_shape(at, &t->shape[t->n]);
        }
        t->n++;
        at = skip_blanks(at);
        at = skip_blanks(at + (*at == ';'));
    }
    *cursor = at + (*at == '|');
    complete_trial(t);
    return true;
}

static size_t shape_text(char *buffer, size_t size, const cot_shape *shape) {
    size_t used = 0;
    used += (size_t)snprintf(buffer, size, " [");
    for (int32_t d = 0; d < shape->rank && used < size; d++) {
        used += (size_t)snprintf(buffer + used, size - used, "%s%lld%s", d > 0 ? "," : "",
                                 (long long)shape->dim[d], d == 0 && shape->batched ? "N" : "");
    }
    return used < size ? used + (size_t)snprintf(buffer + used, size - used, "]") : used;
}

const char *trial_text(char buffer[512], const trial *t) {
    size_t used = (size_t)snprintf(buffer, 512, "%s: %s %s", t->where, cot_op_name(t->op),
                                   cot_dtype_name(t->dtype));
    for (int32_t i = 0; i < t->n && used < 400; i++) {
        used += shape_text(buffer + used, 512 - used, &t->shape[i]);
    }
    if (t->has_result && used < 400) {
        used += (size_t)snprintf(buffer + used, 512 - used, " ->");
        used += shape_text(buffer + used, 512 - used, &t->result);
    }
    if (used < 400) {
        snprintf(buffer + used, 512 - used, " {%s} N=%lld", t->attr, (long long)t->rows);
    }
    return buffer;
}

/* ---- literals ---- */

bool next_literal(pool *p, const char **cursor, tensor *out) {
    const char *at = skip_blanks(*cursor);
    if (*at == '\0') {
        return false;
    }
    char attr[16];
    snprintf(attr, sizeof attr, "t=%.4s", at);
    cot_dtype dtype = attr_dtype(attr, "t", COT_F32);
    cot_shape shape;
    at = read_shape(skip_blanks(at + strcspn(at, " ")), &shape);
    at = skip_blanks(at + (*at == ':'));
    *out = tensor_make(p, dtype, &shape, 1);
    for (int64_t i = 0; i < out->count; i++) {
        char *end = NULL;
        out->v[i] = round_to(dtype, strtold(at, &end));
        at = skip_blanks(end);
    }
    *cursor = at + (*at == '|');
    return true;
}

void literal_trial(pool *p, const op_literal *literal, trial *t, tensor operand[MAX_OPERANDS]) {
    *t = (trial){.op = literal->op, .attr = literal->attr, .values = NONE, .rows = 1};
    const char *cursor = literal->operands;
    while (next_literal(p, &cursor, &operand[t->n])) {
        t->shape[t->n] = operand[t->n].shape;
        t->dtype = operand[t->n].dtype;
        t->n++;
    }
    if (t->n > 1 && is_index_operand(t->op, t->n - 1)) {
        t->dtype = operand[0].dtype;
    }
    if (last_is_result(t->op)) {
        bool batched = false;
        t->has_result = true;
        attr_ints(t->attr, "shape", t->result.dim, &t->result.rank);
        t->result.batched = batched;
    }
    if (t->op == COT_OP_IOTA || t->op == COT_OP_RANDOM) {
        t->dtype = attr_dtype(t->attr, "to", COT_F32);
    }
    complete_trial(t);
    for (int32_t i = 0; i < t->n; i++) {
        t->operand[i] = operand[i].dtype;
    }
}
