/*
 * What lies between a model's inputs and outputs, and in which order.
 *
 *   walk     depth-first from the outputs, inputs left to right: calls in post-order (each after
 *            its inputs), layers in order of their first visit
 *   measure  depth of a call: the longest way to an output; a layer's is its deepest call's, and
 *            a call is as deep as its layer was when the call was met
 *   sort     layers by depth, deepest first, then by first visit (a counting sort)
 *
 * All is linear in calls and their inputs, on explicit stacks: 10,000 layers are a normal input.
 */
#include "frontend/model/model.h"

enum { UNSEEN = 0, OPEN = 1, DONE = 2 };

typedef struct frame {
    uint32_t call;
    int32_t i_input; /* next to visit */
} frame;

typedef struct walk {
    cot_model *model;
    const coti_frontend *frontend;
    uint8_t *state;     /* of calls, by id */
    bool *is_input;     /* of calls, by id: the model's inputs */
    int32_t *depth;     /* of calls, by id */
    int32_t *visit;     /* of layers, by index: order of first visit; -1: not visited */
    int32_t *max_depth; /* of layers, by index */
    COTI_VEC(frame) stack;
    COTI_VEC(cot_layer *) layer; /* in order of first visit */
    size_t n_reached;            /* calls that the outputs reach */
} walk;

static cot_status begin(walk *w, cot_model *model) {
    *w = (walk){.model = model, .frontend = coti_frontend_get(model->context)};
    size_t n_calls = w->frontend->call.count, n_layers = w->frontend->layer.count;
    w->state = coti_calloc(model->context, n_calls, sizeof *w->state);
    w->is_input = coti_calloc(model->context, n_calls, sizeof *w->is_input);
    w->depth = coti_calloc(model->context, n_calls, sizeof *w->depth);
    w->visit = coti_calloc(model->context, n_layers, sizeof *w->visit);
    w->max_depth = coti_calloc(model->context, n_layers, sizeof *w->max_depth);
    if (w->state == NULL || w->is_input == NULL || w->depth == NULL || w->visit == NULL ||
        w->max_depth == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n_layers; i++) {
        w->visit[i] = -1;
    }
    for (size_t i = 0; i < model->input.count; i++) {
        uint32_t id = model->input.data[i];
        if (w->is_input[id]) {
            const char *name = coti_call_at(w->frontend, id)->layer->name;
            return COTI_FAIL_OP(model->context, COT_E_ARG, "model", name,
                                "model \"%s\" lists input \"%s\" twice", model->name, name);
        }
        w->is_input[id] = true;
    }
    return COT_OK;
}

static void end(walk *w) {
    cot_context *context = w->model->context;
    coti_free(context, w->state);
    coti_free(context, w->is_input);
    coti_free(context, w->depth);
    coti_free(context, w->visit);
    coti_free(context, w->max_depth);
    coti_vec_free(context, &w->stack);
    coti_vec_free(context, &w->layer);
}

/* ---- the walk ---- */

static cot_status open_call(walk *w, uint32_t id) {
    cot_context *context = w->model->context;
    cot_layer *layer = coti_call_at(w->frontend, id)->layer;
    if (layer->class == &coti_class_input && !w->is_input[id]) {
        return COTI_FAIL_OP(context, COT_E_ARG, "model", layer->name,
                            "model \"%s\": its outputs depend on input \"%s\", which is not among "
                            "its inputs",
                            w->model->name, layer->name);
    }
    COTI_TRY(coti_vec_reserve(context, &w->stack, w->stack.count + 1));
    COTI_TRY(coti_vec_reserve(context, &w->layer, w->layer.count + 1));
    if (w->visit[layer->index] < 0) {
        w->visit[layer->index] = (int32_t)w->layer.count;
        w->layer.data[w->layer.count++] = layer;
    }
    w->state[id] = OPEN;
    w->stack.data[w->stack.count++] = (frame){id, 0};
    return COT_OK;
}

static cot_status close_call(walk *w, uint32_t id) {
    COTI_TRY(coti_vec_reserve(w->model->context, &w->model->call, w->model->call.count + 1));
    w->state[id] = DONE;
    w->model->call.data[w->model->call.count++] = id;
    w->stack.count--;
    return COT_OK;
}

/* Open a call that was not seen yet. */
static cot_status visit(walk *w, uint32_t id) {
    return w->state[id] == UNSEEN ? open_call(w, id) : COT_OK;
}

/* One step from the top of the stack: to its next input, or back. */
static cot_status step(walk *w) {
    frame *top = &w->stack.data[w->stack.count - 1];
    const coti_call *call = coti_call_at(w->frontend, top->call);
    return top->i_input == call->n_inputs ? close_call(w, top->call)
                                          : visit(w, call->input[top->i_input++]);
}

static cot_status visit_all(walk *w) {
    for (size_t i = 0; i < w->model->output.count; i++) {
        cot_status status = visit(w, w->model->output.data[i]);
        while (status == COT_OK && w->stack.count > 0) {
            status = step(w);
        }
        if (status != COT_OK) {
            return status;
        }
    }
    w->n_reached = w->model->call.count;
    return COT_OK;
}

/* ---- depths ---- */

static int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* Users before what they use: the reverse of the post-order. */
static int32_t measure(walk *w) {
    int32_t deepest = 0;
    for (size_t i = w->n_reached; i-- > 0;) {
        uint32_t id = w->model->call.data[i];
        const coti_call *call = coti_call_at(w->frontend, id);
        uint32_t layer = call->layer->index;
        w->depth[id] = w->max_depth[layer] = larger(w->depth[id], w->max_depth[layer]);
        deepest = larger(deepest, w->depth[id]);
        for (int32_t k = 0; k < call->n_inputs; k++) {
            w->depth[call->input[k]] = larger(w->depth[call->input[k]], w->depth[id] + 1);
        }
    }
    return deepest;
}

/* Inputs that no output needs: at depth 0, before all others. */
static cot_status add_unused_inputs(walk *w) {
    cot_model *model = w->model;
    COTI_TRY(
        coti_vec_reserve(model->context, &model->call, model->call.count + model->input.count));
    for (size_t i = 0; i < model->input.count; i++) {
        uint32_t id = model->input.data[i];
        if (w->state[id] == UNSEEN) {
            model->call.data[model->call.count++] = id;
        }
    }
    return COT_OK;
}

static cot_status append_unused_inputs(walk *w) {
    for (size_t i = w->n_reached; i < w->model->call.count; i++) {
        COTI_TRY(coti_model_append_layer(w->model,
                                         coti_call_at(w->frontend, w->model->call.data[i])->layer));
    }
    return COT_OK;
}

/* Layers deepest first; start[d] counts down through the places of depth d. */
static cot_status append_layers(walk *w, int32_t deepest) {
    cot_context *context = w->model->context;
    cot_status status = COT_OK;
    size_t n = w->layer.count, n_depths = (size_t)deepest + 1;
    size_t *start = coti_calloc(context, n_depths + 1, sizeof *start);
    cot_layer **sorted = (cot_layer **)coti_calloc(context, n, sizeof(cot_layer *));
    if (start == NULL || sorted == NULL) {
        status = COT_E_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        start[(size_t)(deepest - w->max_depth[w->layer.data[i]->index]) + 1]++;
    }
    for (size_t d = 0; d < n_depths; d++) {
        start[d + 1] += start[d];
    }
    size_t n_deep = start[n_depths - 1]; /* layers of depth 1 and more */
    for (size_t i = 0; i < n; i++) {
        cot_layer *layer = w->layer.data[i];
        sorted[start[deepest - w->max_depth[layer->index]]++] = layer;
    }
    for (size_t i = 0; i <= n && status == COT_OK; i++) {
        status = i == n_deep ? append_unused_inputs(w) : COT_OK;
        if (status == COT_OK && i < n) {
            status = coti_model_append_layer(w->model, sorted[i]);
        }
    }
out:
    coti_free(context, (void *)sorted);
    coti_free(context, start);
    return status;
}

/* One call at each depth, each of a layer of its own, on one tensor. */
static bool is_linear(const walk *w, int32_t deepest) {
    const cot_model *model = w->model;
    if (model->call.count != (size_t)deepest + 1 || w->layer.count != model->call.count) {
        return false;
    }
    for (size_t i = 0; i < model->call.count; i++) {
        if (coti_call_at(w->frontend, model->call.data[i])->n_inputs > 1) {
            return false;
        }
    }
    return true;
}

cot_status coti_model_find_layers(cot_model *model) {
    walk w;
    int32_t deepest = 0;
    cot_status status = begin(&w, model);
    if (status == COT_OK) {
        status = visit_all(&w);
    }
    if (status == COT_OK) {
        deepest = measure(&w);
        status = add_unused_inputs(&w);
    }
    if (status == COT_OK) {
        status = append_layers(&w, deepest);
        model->linear = is_linear(&w, deepest);
    }
    end(&w);
    return status;
}
