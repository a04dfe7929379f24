/*
 * Every loss with its options against Keras's: the loss of a training step, and the gradient by the
 * output, or by what a softmax or sigmoid before the loss is taken of.
 */
#include "probe.h"

#include <math.h>
#include <stdlib.h>

/* Of values and of gradients: sums of a few dozen functions of f32. */
static const double tolerance = 2e-6;

static cot_loss loss_of(const reference_case *c) {
    for (int loss = 0; loss < (int)COT_CUSTOM_LOSS; loss++) {
        if (strcmp(cot_loss_name((cot_loss)loss), c->name) == 0) {
            return (cot_loss)loss;
        }
    }
    fail_msg("no loss %s", c->name);
    return COT_NO_LOSS;
}

static cot_reduction reduction_of(reference_case *c) {
    static const struct {
        const char *name;
        cot_reduction reduction;
    } known[] = {{"sum_over_batch_size", COT_SUM_OVER_BATCH_SIZE},
                 {"mean", COT_REDUCTION_MEAN},
                 {"sum", COT_REDUCTION_SUM},
                 {"mean_with_sample_weight", COT_MEAN_WITH_SAMPLE_WEIGHT}};
    const char *text = reference_text(c, "reduction");
    for (size_t i = 0; text != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(text, known[i].name) == 0) {
            return known[i].reduction;
        }
    }
    if (text != NULL) {
        fail_msg("no reduction %s", text);
    }
    return COT_REDUCTION_DEFAULT;
}

/* An option that Keras got, with COT_ZERO for a zero; 0 for one that it did not get. */
static double number_of(reference_case *c, const char *key) {
    double value = reference_number(c, key, NAN);
    return isnan(value) ? 0.0 : value == 0.0 ? COT_ZERO : value;
}

static cot_loss_options options_of(reference_case *c) {
    cot_loss_options o = COT_LOSS_OPTIONS_INIT;
    o.label_smoothing = reference_number(c, "label_smoothing", 0.0);
    o.delta = number_of(c, "delta");
    o.alpha = number_of(c, "alpha");
    o.beta = number_of(c, "beta");
    o.gamma = number_of(c, "gamma");
    o.q = number_of(c, "q");
    o.apply_class_balancing = reference_switch(c, "apply_class_balancing");
    o.ignores_class = reference_text(c, "ignore_class") != NULL;
    o.ignore_class = (int32_t)reference_number(c, "ignore_class", 0.0);
    o.reduction = reduction_of(c);
    o.axis = (int32_t)reference_number(c, "axis", 0.0);
    return o;
}

static cot_tensor activated(reference_case *c, cot_tensor x) {
    const char *name = reference_text(c, "activation");
    if (name == NULL) {
        return x;
    }
    assert_true(strcmp(name, "softmax") == 0 || strcmp(name, "sigmoid") == 0);
    return cot_activation(x, strcmp(name, "softmax") == 0 ? COT_SOFTMAX : COT_SIGMOID);
}

static void value_and_gradient(void **state) {
    reference_case *c = *state;
    const reference_array *output = reference_need(c, "output"),
                          *target = reference_need(c, "target"),
                          *weights = reference_find(c, "weights");
    const cot_loss loss = loss_of(c);
    const cot_loss_options options = options_of(c);
    probe p;
    probe_begin(&p, output);
    cot_tensor y = activated(c, p.numbers);
    probe_compile(&p, y, output,
                  (cot_compile_options){.loss = loss,
                                        .from_logits = reference_switch(c, "from_logits"),
                                        .loss_options = &options});
    if (weights != NULL) {
        p.weights = reference_floats(weights);
        p.n_weights = weights->n;
    }
    float *t = reference_floats(target);
    int32_t *classes = loss == COT_SPARSE_CATEGORICAL_CROSSENTROPY ||
                               loss == COT_CATEGORICAL_GENERALIZED_CROSS_ENTROPY
                           ? reference_integers(target)
                           : NULL;
    double value = probe_train(&p, classes != NULL ? probe_integers(target, classes)
                                                   : probe_floats(target, t));
    reference_check_number(c, "value", value, reference_need(c, "value")->value[0], tolerance);
    probe_check_gradient(&p, c, reference_need(c, "gradient"), tolerance);
    reference_check_used(c);
    free(t);
    free(classes);
    probe_end(&p);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "losses.txt", value_and_gradient);
}
