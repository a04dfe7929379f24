/*
 * What the tests of optimizers share: two weights, v = [1, -2, 0.5] and w = [3], and a program of
 * an optimizer's update of them that takes their gradients as inputs.
 */
#ifndef OPTIMIZER_SUPPORT_H
#define OPTIMIZER_SUPPORT_H

#include "frontend_support.h"

#include "frontend/training/training.h"

/* A model with weights of 3 and 1 elements, optimizer variables, and a program of the update. */
typedef struct setup {
    cot_context *context;
    cot_model *model;
    coti_training *training;
    cot_program *program;
    cot_session *session;
} setup;

UNUSED static cot_program *compile_update(coti_training *training) {
    cot_graph *graph = cot_graph_create(training->context, "update");
    cot_value gradient[2] = {cot_op_input(graph, COT_F32, COT_SHAPE(3, 1), "gv"),
                             cot_op_input(graph, COT_F32, COT_SHAPE(1, 1), "gw")};
    CHECK_OK(training->context, coti_optimizer_update(training, graph, gradient));
    cot_program *program = cot_program_create(graph, NULL);
    cot_graph_destroy(graph);
    assert_non_null(program);
    return program;
}

UNUSED static setup begin(const cot_optimizer *optimizer) {
    setup s = {.context = new_context(1)};
    static const float v[3] = {1.0f, -2.0f, 0.5f}, w[1] = {3.0f};
    s.model = cot_sequential_create(s.context, COT_F32, COT_SHAPE(3), NULL);
    cot_sequential_add(s.model, cot_dense_layer(s.context, 1, .use_bias = COT_OFF));
    cot_sequential_add(s.model, cot_dense_layer(s.context, 1, .use_bias = COT_OFF));
    CHECK_OK(s.context, cot_variable_set(cot_model_weight(s.model, 0), v, sizeof v));
    CHECK_OK(s.context, cot_variable_set(cot_model_weight(s.model, 1), w, sizeof w));
    s.training = coti_calloc(s.context, 1, sizeof *s.training);
    s.training->context = s.context;
    s.training->model = s.model;
    coti_arena_init(&s.training->arena, s.context);
    CHECK_OK(s.context,
             coti_optimizer_read(s.context, &s.training->arena, optimizer, &s.training->optimizer));
    CHECK_OK(s.context, coti_optimizer_make_variables(s.training));
    s.program = compile_update(s.training);
    s.session = cot_session_create(s.program);
    assert_non_null(s.session);
    return s;
}

UNUSED static void end(setup *s) {
    cot_session_destroy(s->session);
    cot_program_destroy(s->program);
    coti_training_destroy(s->training);
    cot_model_destroy(s->model);
    cot_context_destroy(s->context);
}

UNUSED static void step(const setup *s, int t) {
    float gv[3] = {(float)(0.1 * t), -0.2f, t % 2 == 0 ? 0.3f : -0.3f}, gw[1] = {0.4f};
    cot_array av = array_of(gv, 1, 3), aw = array_of(gw, 1, 1);
    assert_int_equal(cot_session_bind(s->session, "gv", &av), COT_OK);
    assert_int_equal(cot_session_bind(s->session, "gw", &aw), COT_OK);
    assert_int_equal(cot_session_run(s->session, 1), COT_OK);
}

/* The gradient of w at step t is this; v's is zero. */
UNUSED static void step_with(const setup *s, float gradient) {
    static const float zero[3] = {0};
    cot_array av = array_of(zero, 1, 3), aw = array_of(&gradient, 1, 1);
    assert_int_equal(cot_session_bind(s->session, "gv", &av), COT_OK);
    assert_int_equal(cot_session_bind(s->session, "gw", &aw), COT_OK);
    assert_int_equal(cot_session_run(s->session, 1), COT_OK);
}

#endif
