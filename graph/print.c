/*
 * The printer of the text form (text.h).
 *
 * Every choice is a function of the graph alone: numbers in order of making, names as the graph has
 * them, no pointers. Equal graphs print equally, and what is printed parses back to an equal graph.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_COLUMNS = 100 }; /* a longer list of leaves gets a line for each */

/* ---- names and numbers ---- */

const char *coti_distribution_name(cot_distribution distribution) {
    switch (distribution) {
    case COT_UNIFORM:
        return "uniform";
    case COT_NORMAL:
        return "normal";
    }
    return NULL;
}

void coti_text_quoted(coti_str *out, const char *text) {
    coti_str_append(out, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            coti_str_printf(out, "\\%c", *c);
        } else if (*c >= 0x20 && *c < 0x7f) {
            coti_str_append_bytes(out, c, 1);
        } else {
            coti_str_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        }
    }
    coti_str_append(out, "\"");
}

void coti_text_name(coti_str *out, const char *name) {
    bool plain = coti_is_letter(name[0]);
    for (const char *c = name; plain && *c != '\0'; c++) {
        plain = coti_is_name_char(*c);
    }
    if (plain) {
        coti_str_append(out, name);
    } else {
        coti_text_quoted(out, name);
    }
}

/*
 * The decimal of fewest digits that reads back to this float. It is the shortest text of the double
 * nearest to it too, since it has at most 9 digits and doubles keep 15.
 */
static double shortest_double(float value) {
    char text[32];
    double nearest = (double)value;
    for (int digits = 1; digits <= 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, (double)value);
        double candidate = strtod(text, NULL);
        if ((float)candidate == value) {
            return candidate;
        }
    }
    return nearest;
}

static void print_f32(coti_str *out, float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value) && bits != COTI_NAN_BITS_F32) {
        coti_str_printf(out, "nan(0x%08lx)", (unsigned long)bits);
    } else {
        coti_str_double(out, isfinite(value) ? shortest_double(value) : (double)value);
    }
}

static void print_f64(coti_str *out, double value) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value) && bits != COTI_NAN_BITS_F64) {
        coti_str_printf(out, "nan(0x%016llx)", (unsigned long long)bits);
    } else {
        coti_str_double(out, value);
    }
}

void coti_text_element(coti_str *out, cot_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case COT_F32:
        print_f32(out, ((const float *)data)[i]);
        break;
    case COT_F64:
        print_f64(out, ((const double *)data)[i]);
        break;
    case COT_I32:
        coti_str_printf(out, "%ld", (long)((const int32_t *)data)[i]);
        break;
    case COT_I64:
        coti_str_printf(out, "%lld", (long long)((const int64_t *)data)[i]);
        break;
    case COT_U8:
        coti_str_printf(out, "%d", ((const uint8_t *)data)[i]);
        break;
    case COT_BOOL:
        coti_str_append(out, ((const uint8_t *)data)[i] != 0 ? "true" : "false");
        break;
    }
}

/* ---- attributes ---- */

/* What bodies are called, and whether layers are told. */
typedef struct body_naming {
    const coti_bodies *bodies; /* by the names there; NULL: by their own */
    const cot_graph *identity; /* by their places in this graph, and no layers; NULL: see bodies */
} body_naming;

/* One field at work: what its value is printed from. */
typedef struct field_text {
    coti_str *out;
    const void *field;
    cot_dtype dtype;
    int32_t rank;
    const body_naming *naming;
} field_text;

static void print_AXIS(const field_text *text) {
    coti_str_printf(text->out, "%ld", (long)*(const coti_attr_AXIS_type *)text->field);
}

static void print_AXES(const field_text *text) {
    const coti_attr_AXES_type *axes = text->field;
    for (int32_t i = 0; i < axes->n; i++) {
        coti_str_printf(text->out, "%s%ld", i == 0 ? "[" : ", ", (long)axes->v[i]);
    }
    coti_str_append(text->out, "]");
}

static void print_INTS(const field_text *text) {
    const coti_attr_INTS_type *ints = text->field;
    for (int32_t i = 0; i < ints->n; i++) {
        coti_str_printf(text->out, "%s%lld", i == 0 ? "[" : ", ", (long long)ints->v[i]);
    }
    coti_str_append(text->out, "]");
}

static void print_INT(const field_text *text) {
    coti_str_printf(text->out, "%lld", (long long)*(const coti_attr_INT_type *)text->field);
}

static void print_FLOAT(const field_text *text) {
    print_f64(text->out, *(const coti_attr_FLOAT_type *)text->field);
}

static void print_DISTRIBUTION(const field_text *text) {
    const char *name = coti_distribution_name(*(const coti_attr_DISTRIBUTION_type *)text->field);
    coti_str_append(text->out, name != NULL ? name : "?");
}

static void print_TEXT(const field_text *text) {
    coti_text_quoted(text->out, *(const coti_attr_TEXT_type *)text->field);
}

static void print_VARIABLE(const field_text *text) {
    const coti_attr_VARIABLE_type *variable = (const coti_attr_VARIABLE_type *)text->field;
    coti_text_quoted(text->out, (*variable)->name);
}

static void print_DATA(const field_text *text) {
    const coti_attr_DATA_type *data = text->field;
    if (text->rank == 0) {
        coti_text_element(text->out, text->dtype, data->data, 0);
        return;
    }
    int64_t n = data->bytes / (int64_t)cot_dtype_bytes(text->dtype);
    coti_str_append(text->out, "[");
    for (int64_t i = 0; i < n; i++) {
        coti_str_append(text->out, i == 0 ? "" : ", ");
        coti_text_element(text->out, text->dtype, data->data, i);
    }
    coti_str_append(text->out, "]");
}

static void print_BODY(const field_text *text) {
    const cot_graph *body = *(const coti_attr_BODY_type *)text->field;
    const cot_graph *identity = text->naming->identity;
    const coti_bodies *bodies = text->naming->bodies;
    if (identity != NULL) {
        size_t i = 0;
        while (i < identity->body.count && identity->body.data[i] != body) {
            i++;
        }
        coti_str_printf(text->out, "@%zu", i);
        return;
    }
    size_t at = bodies != NULL ? coti_bodies_at(bodies, body) : SIZE_MAX;
    coti_str_printf(text->out, "@%s", at != SIZE_MAX ? bodies->name.data[at] : body->name);
}

static void (*const print_field[COTI_FIELD_COUNT])(const field_text *text) = {
#define FIELD_ROW(type) [COTI_FIELD_##type] = print_##type,
    COTI_FIELD_LIST(FIELD_ROW)
#undef FIELD_ROW
};

/* A list without elements, which is not printed. */
static bool is_empty(const coti_field *field, const void *value) {
    return (field->type == COTI_FIELD_AXES && ((const coti_attr_AXES_type *)value)->n == 0) ||
           (field->type == COTI_FIELD_INTS && ((const coti_attr_INTS_type *)value)->n == 0);
}

/* " {axes=[1]}", or nothing when there is nothing to say. */
static void print_attr(coti_str *out, const coti_node *node, const body_naming *naming) {
    bool opened = false;
    for (const coti_field *f = coti_attr_fields(coti_op_table[node->op].attr); f->name != NULL;
         f++) {
        field_text text = {out, coti_field_at(node->attr, f), (cot_dtype)node->dtype,
                           node->shape.rank, naming};
        if (is_empty(f, text.field)) {
            continue;
        }
        coti_str_printf(out, "%s%s=", opened ? ", " : " {", f->name);
        print_field[f->type](&text);
        opened = true;
    }
    coti_str_append(out, opened ? "}" : "");
}

/* ---- nodes and graphs ---- */

/* "%3" or "%x". */
static void print_value(coti_str *out, const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    coti_str_append(out, "%");
    if (node->name != NULL) {
        coti_text_name(out, node->name);
    } else {
        coti_str_printf(out, "%lu", (unsigned long)node->number);
    }
}

static void print_node(coti_str *out, const cot_graph *graph, uint32_t id,
                       const body_naming *naming) {
    const coti_node *node = coti_node_at(graph, id);
    print_value(out, graph, id);
    coti_str_printf(out, " = %s", cot_op_name((cot_op)node->op));
    for (int32_t i = 0; i < node->n_inputs; i++) {
        coti_str_append(out, i == 0 ? " " : ", ");
        print_value(out, graph, node->input[i]);
    }
    print_attr(out, node, naming);
    coti_str_append(out, " : ");
    coti_str_type(out, (cot_dtype)node->dtype, &node->shape);
    if (node->region != 0) {
        coti_str_printf(out, " remat %lu", (unsigned long)node->region);
    }
    if (node->layer != NULL && naming->identity == NULL) {
        coti_str_append(out, "  # ");
        coti_text_quoted(out, node->layer);
    }
}

void coti_node_print(coti_str *out, const cot_graph *graph, uint32_t id) {
    const body_naming own = {NULL, NULL};
    print_node(out, graph, id, &own);
}

/* "%x: f32[N,784]" or "state %w: f32[784,10]". */
static void print_leaf(coti_str *out, const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    coti_str_append(out, node->op == COT_OP_STATE ? "state " : "");
    print_value(out, graph, id);
    coti_str_append(out, ": ");
    coti_str_type(out, (cot_dtype)node->dtype, &node->shape);
}

/* Inputs, then states, with `comma` between them. */
static void print_leaves(coti_str *out, const cot_graph *graph, const char *comma) {
    size_t n_inputs = graph->input.count;
    for (size_t i = 0; i < n_inputs + graph->state.count; i++) {
        coti_str_append(out, i == 0 ? "" : comma);
        print_leaf(out, graph,
                   i < n_inputs ? graph->input.data[i] : graph->state.data[i - n_inputs]);
    }
}

/* The first line, or a line for each leaf where it would be too long. */
static void print_head(coti_str *out, const cot_graph *graph, const char *name) {
    const char *end = graph->has_backward ? ") backward {\n" : ") {\n";
    coti_str_printf(out, "graph @%s(", name);
    print_leaves(out, graph, ", ");
    coti_str_append(out, end);
    if (coti_str_status(out) == COT_OK && out->count > LINE_COLUMNS) {
        coti_str_clear(out);
        coti_str_printf(out, "graph @%s(\n    ", name);
        print_leaves(out, graph, ",\n    ");
        coti_str_append(out, end);
    }
}

/* Hand over what stands in `line` and empty it. */
static cot_status flush(coti_str *line, cot_write_fn write, void *user) {
    COTI_TRY(coti_str_status(line));
    if (!write(coti_str_text(line), line->count, user)) {
        return COTI_FAIL(line->context, COT_E_IO, "print: the writer refused the text");
    }
    coti_str_clear(line);
    return COT_OK;
}

/* Updates and results. */
static void print_tail(coti_str *out, const cot_graph *graph) {
    for (size_t i = 0; i < graph->update.count; i++) {
        coti_str_append(out, "  update ");
        print_value(out, graph, graph->update.data[i].state);
        coti_str_append(out, " <- ");
        print_value(out, graph, graph->update.data[i].value);
        coti_str_append(out, "\n");
    }
    coti_str_append(out, "  return");
    for (size_t i = 0; i < graph->output.count; i++) {
        coti_str_append(out, i == 0 ? " " : ", ");
        coti_text_name(out, graph->output.data[i].name);
        coti_str_append(out, "=");
        print_value(out, graph, graph->output.data[i].value);
    }
    coti_str_append(out, "\n}\n");
}

/* Where a text goes to, a line at a time. */
typedef struct sink {
    coti_str line;
    cot_write_fn write;
    void *user;
} sink;

static cot_status print_graph(sink *to, const cot_graph *graph, const char *name,
                              const body_naming *naming) {
    print_head(&to->line, graph, name);
    COTI_TRY(flush(&to->line, to->write, to->user));
    for (uint32_t id = 1; id < graph->node.count; id++) {
        if (coti_node_at(graph, id)->name != NULL) {
            continue; /* stands in the head */
        }
        coti_str_append(&to->line, "  ");
        print_node(&to->line, graph, id, naming);
        coti_str_append(&to->line, "\n");
        COTI_TRY(flush(&to->line, to->write, to->user));
    }
    print_tail(&to->line, graph);
    return flush(&to->line, to->write, to->user);
}

static bool append_line(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

cot_status coti_text_identity(coti_str *out, const cot_graph *graph) {
    const body_naming naming = {.identity = graph};
    sink to = {.write = append_line, .user = out};
    coti_str_init(&to.line, graph->context);
    cot_status status = print_graph(&to, graph, "_", &naming);
    coti_str_free(&to.line);
    return status == COT_OK ? coti_str_status(out) : status;
}

/* The bodies, each with an empty line behind it, then the graph. */
static cot_status print_all(sink *to, const cot_graph *graph, coti_bodies *bodies) {
    const body_naming naming = {.bodies = bodies};
    COTI_TRY(coti_bodies_find(bodies, graph));
    COTI_TRY(coti_bodies_name(bodies, graph->name));
    for (size_t i = 0; i < bodies->body.count; i++) {
        COTI_TRY(print_graph(to, bodies->body.data[i], bodies->name.data[i], &naming));
        coti_str_append(&to->line, "\n");
        COTI_TRY(flush(&to->line, to->write, to->user));
    }
    return print_graph(to, graph, graph->name, &naming);
}

cot_status cot_graph_print(const cot_graph *graph, cot_write_fn write, void *user) {
    if (graph == NULL) {
        return COT_E_ARG;
    }
    if (write == NULL) {
        return COTI_FAIL(graph->context, COT_E_ARG, "print: the writer is NULL");
    }
    sink to = {.write = write, .user = user};
    coti_bodies bodies;
    coti_str_init(&to.line, graph->context);
    cot_status status = print_all(&to, graph, &bodies);
    coti_bodies_free(&bodies);
    coti_str_free(&to.line);
    return status;
}
