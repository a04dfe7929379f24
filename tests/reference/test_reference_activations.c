/* Every activation's value and gradient against Keras's. */
#include "probe.h"

#include <math.h>
#include <stdlib.h>

/* Of values and of gradients: a few roundings of functions of f32. */
static const double tolerance = 2e-6;

static cot_activation_kind kind_of(reference_case *c) {
    const char *name = c->name;
    if (reference_switch(c, "approximate")) {
        name = "gelu_tanh";
    }
    for (int kind = 0; strcmp(cot_activation_name((cot_activation_kind)kind), "?") != 0; kind++) {
        if (strcmp(cot_activation_name((cot_activation_kind)kind), name) == 0) {
            return (cot_activation_kind)kind;
        }
    }
    fail_msg("no activation %s", name);
    return COT_LINEAR;
}

/* An option that Keras got, with COT_ZERO for a zero; 0 for one that it did not get. */
static double number_of(reference_case *c, const char *key) {
    double value = reference_number(c, key, NAN);
    return isnan(value) ? 0.0 : value == 0.0 ? COT_ZERO : value;
}

static void value_and_gradient(void **state) {
    reference_case *c = *state;
    const reference_array *x = reference_need(c, "x"), *cotangent = reference_need(c, "cotangent");
    probe p;
    probe_begin(&p, x);
    cot_tensor y = cot_activation(
        p.numbers, kind_of(c), .name = "y", .negative_slope = number_of(c, "negative_slope"),
        .max_value = number_of(c, "max_value"), .threshold = number_of(c, "threshold"),
        .alpha = number_of(c, "alpha"), .b = number_of(c, "b"),
        .default_value = number_of(c, "default_value"));
    probe_compile(
        &p, y, x,
        (cot_compile_options){.loss = COT_CUSTOM_LOSS,
                              .loss_options = cot_loss_numbers(.function = probe_inner_product,
                                                               .reduction = COT_REDUCTION_SUM)});
    float *g = reference_floats(cotangent);
    (void)probe_train(&p, probe_floats(cotangent, g));
    probe_check_gradient(&p, c, reference_need(c, "gradient"), tolerance);
    probe_check_prediction(&p, c, reference_need(c, "y"), tolerance);
    reference_check_used(c);
    free(g);
    probe_end(&p);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "activations.txt", value_and_gradient);
}
