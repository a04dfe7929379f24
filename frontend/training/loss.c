/*
 * Losses of rows; the formulas stand beside their names in cotangent/training.h. A cross-entropy is
 * taken from logits when there are any: those before the output's softmax or sigmoid (as
 * TensorFlow's backend of Keras does), or the output itself by from_logits. From probabilities,
 * categorical cross-entropy divides by their sum and clips; the sparse one clips, and its
 * logarithms go through a softmax (again TensorFlow's way).
 */
#include "frontend/layers/formula.h"
#include "frontend/training/training.h"

#include <math.h>

/* Keras's epsilon(). */
#define EPSILON 1e-7

const char *cot_loss_name(cot_loss loss) {
#define NAME(constant, name, value) name,
    static const char *const table[] = {COT_LOSS_LIST(NAME)};
#undef NAME
    return coti_loss_is_valid(loss) ? table[loss] : "?";
}

bool coti_loss_is_valid(cot_loss loss) {
#define ONE(constant, name, value) +1
    return (int)loss >= 0 && (int)loss < 0 COT_LOSS_LIST(ONE);
#undef ONE
}

bool coti_loss_takes_classes(cot_loss loss) {
    return loss == COT_SPARSE_CATEGORICAL_CROSSENTROPY ||
           loss == COT_CATEGORICAL_GENERALIZED_CROSS_ENTROPY;
}

bool coti_loss_is_sparse(const coti_head *head) {
    return coti_loss_takes_classes(head->loss) ||
           (head->loss == COT_CUSTOM_LOSS && head->numbers.sparse_targets);
}

/* ---- numbers ---- */

static double value_or(double value, double otherwise) {
    return value == 0.0 && !signbit(value) ? otherwise : value;
}

static cot_status check_number(cot_context *context, const char *output, const char *name,
                               double value, double high) {
    return value >= 0.0 && value <= high
               ? COT_OK
               : COTI_FAIL_OP(context, COT_E_ARG, "compile", output,
                              "output \"%s\": %s of the loss is %g, expected 0 to %g", output, name,
                              value, high);
}

/* Losses along an axis of their choice, as in Keras on TensorFlow. */
static bool has_axis(cot_loss loss) {
    return loss == COT_CATEGORICAL_CROSSENTROPY || loss == COT_BINARY_CROSSENTROPY ||
           loss == COT_CATEGORICAL_FOCAL_CROSSENTROPY || loss == COT_BINARY_FOCAL_CROSSENTROPY ||
           loss == COT_COSINE_SIMILARITY;
}

/* The axis counted from the front, 0 for the last. A mask is along the last one. */
static cot_status read_axis(cot_context *context, coti_head *head) {
    const int32_t rank = head->type.shape.rank, given = head->numbers.axis;
    const int32_t axis = given < 0 ? given + rank : given == 0 ? rank - 1 : given;
    head->numbers.axis = axis == rank - 1 ? 0 : axis;
    if (given != 0 && (axis < 1 || axis >= rank)) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": axis of the loss is %d, expected one of an output of "
                            "rank %d that is not the batch's",
                            head->name, (int)given, (int)rank);
    }
    if (head->numbers.axis != 0 && (!has_axis(head->loss) || head->masked)) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": the loss %s is along the last axis%s", head->name,
                            cot_loss_name(head->loss),
                            has_axis(head->loss) ? " of an output with a mask" : "");
    }
    return COT_OK;
}

cot_shape coti_loss_shape(const coti_head *head) {
    cot_shape shape = head->type.shape;
    const int32_t axis = head->numbers.axis != 0 ? head->numbers.axis : shape.rank - 1;
    shape.rank--;
    for (int32_t i = axis; i < shape.rank; i++) {
        shape.dim[i] = shape.dim[i + 1];
    }
    shape.dim[shape.rank] = 0;
    return shape;
}

/* What is no number. */
static cot_status check_ways(cot_context *context, const coti_head *head) {
    const cot_loss_options *numbers = &head->numbers;
    if ((int)numbers->reduction < 0 || numbers->reduction > COT_MEAN_WITH_SAMPLE_WEIGHT) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": %d is no cot_reduction", head->name,
                            (int)numbers->reduction);
    }
    if ((head->loss == COT_CUSTOM_LOSS) != (numbers->function != NULL)) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": the loss is %s, and a function is %sgiven: "
                            "COT_CUSTOM_LOSS and loss_options with a function go together",
                            head->name, cot_loss_name(head->loss),
                            numbers->function != NULL ? "" : "not ");
    }
    if (numbers->ignores_class && head->loss != COT_SPARSE_CATEGORICAL_CROSSENTROPY) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": the loss %s cannot ignore a class", head->name,
                            cot_loss_name(head->loss));
    }
    return COT_OK;
}

cot_status coti_loss_read(cot_context *context, const cot_loss_options *given, coti_head *head) {
    static const double most = 1e30;
    cot_loss_options *numbers = &head->numbers;
    *numbers = (cot_loss_options)COT_LOSS_OPTIONS_INIT;
    if (given != NULL) {
        COTI_TRY(coti_options_copy(context, "cot_loss_numbers", given, numbers, sizeof *numbers));
    }
    numbers->delta = value_or(numbers->delta, 1.0);
    numbers->alpha = value_or(numbers->alpha, head->loss == COT_TVERSKY ? 0.5 : 0.25);
    numbers->beta = value_or(numbers->beta, 0.5);
    numbers->gamma = value_or(numbers->gamma, 2.0);
    numbers->q = value_or(numbers->q, 0.5);
    COTI_TRY(check_number(context, head->name, "label_smoothing", numbers->label_smoothing, 1.0));
    COTI_TRY(check_number(context, head->name, "delta", numbers->delta, most));
    COTI_TRY(check_number(context, head->name, "alpha", numbers->alpha, most));
    COTI_TRY(check_number(context, head->name, "beta", numbers->beta, most));
    COTI_TRY(check_number(context, head->name, "gamma", numbers->gamma, most));
    if (!(numbers->q > 0.0 && numbers->q < 1.0)) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": q of the loss is %g, expected between 0 and 1",
                            head->name, numbers->q);
    }
    COTI_TRY(read_axis(context, head));
    return check_ways(context, head);
}

/* ---- shorthand ---- */

static const int32_t last_axis[1] = {-1};

/* 1 - x */
static cot_value rest(cot_value x) {
    return coti_sub(coti_number(x, 1.0), x);
}
static cot_value square(cot_value x) {
    return coti_mul(x, x);
}
static cot_value log_of(cot_value x) {
    return cot_op_unary(COT_OP_LOG, x);
}
static cot_value size_of(cot_value x) {
    return cot_op_unary(COT_OP_ABS, x);
}
static cot_value mean(cot_value x) {
    return cot_op_mean(x, last_axis, 1, false);
}
static cot_value sum(cot_value x) {
    return cot_op_reduce(COT_OP_SUM, x, last_axis, 1, false);
}

/* max(x, low): the gradient at the bound is 1, and a NaN stays. */
static cot_value at_least(cot_value x, double low) {
    return cot_op_select(cot_op_binary(COT_OP_LT, x, coti_number(x, low)), coti_number(x, low), x);
}

/* x within [low, high]; as at_least. */
static cot_value clip(cot_value x, double low, double high) {
    cot_value above = at_least(x, low);
    return cot_op_select(cot_op_binary(COT_OP_GT, x, coti_number(x, high)), coti_number(x, high),
                         above);
}

static cot_value sum_of_batch(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cot_op_reduce(COT_OP_SUM, x, axes, cot_value_shape(x).rank, false);
}

/* A number of the batch as every row's value: the mean over rows is the number again. */
static cot_value for_each_row(cot_value x, cot_value like) {
    cot_shape shape = cot_value_shape(like);
    shape.dim[--shape.rank] = 0;
    return cot_op_broadcast(x, shape, NULL, 0);
}

/* ---- cross-entropies ---- */

/* What a loss looks at: the head, the target, the output, and its logits if there are any; the
 * loss's axis is the last. */
typedef struct row_loss {
    const coti_head *head;
    cot_value t, p;
    cot_value logits; /* poison: none */
} row_loss;

static cot_value probabilities(const row_loss *l, cot_activation_kind squash) {
    if (!l->head->from_logits) {
        return l->p;
    }
    return squash == COT_SOFTMAX ? cot_op_softmax(l->p) : cot_op_unary(COT_OP_SIGMOID, l->p);
}

/* t (1 - s) + s / classes */
static cot_value smooth(const row_loss *l, double classes) {
    double s = l->head->numbers.label_smoothing;
    return s == 0.0 ? l->t : coti_plus(coti_scale(l->t, 1.0 - s), s / classes);
}

static double n_classes(const row_loss *l) {
    const cot_shape shape = cot_value_shape(l->p);
    return (double)shape.dim[shape.rank - 1];
}

/* p / sum(p), within [e, 1 - e]. */
static cot_value shares(cot_value p) {
    cot_value total = cot_op_reduce(COT_OP_SUM, p, last_axis, 1, true);
    return clip(coti_div(p, total), EPSILON, 1.0 - EPSILON);
}

static cot_value categorical_crossentropy(const row_loss *l) {
    cot_value t = smooth(l, n_classes(l));
    return l->logits.graph != NULL
               ? cot_op_softmax_cross_entropy(t, l->logits)
               : cot_op_unary(COT_OP_NEG, sum(coti_mul(t, log_of(shares(l->p)))));
}

static cot_value sparse_categorical_crossentropy(const row_loss *l) {
    cot_value t = cot_op_one_hot(l->t, (int64_t)n_classes(l), l->head->type.dtype);
    return cot_op_softmax_cross_entropy(
        t, l->logits.graph != NULL ? l->logits : log_of(clip(l->p, EPSILON, 1.0 - EPSILON)));
}

static cot_value power(cot_value x, double exponent) {
    return cot_op_binary(COT_OP_POW, x, coti_number(x, exponent));
}

static cot_value categorical_generalized_cross_entropy(const row_loss *l) {
    const double q = l->head->numbers.q;
    cot_value t = cot_op_one_hot(l->t, (int64_t)n_classes(l), l->head->type.dtype);
    return coti_scale(rest(power(sum(coti_mul(t, l->p)), q)), 1.0 / q);
}

/* max(x, 0) - x t + log(1 + exp(-|x|)) of logits x; else -t log(p) - (1 - t) log(1 - p). */
static cot_value binary_terms(const row_loss *l, cot_value t) {
    if (l->logits.graph != NULL) {
        /* max(x, 0) - x t + log(1 + exp(-|x|)), both kinks as seen from above 0: then the gradient
         * at 0 is 1 - t - 1/2, as it must be. */
        cot_value x = l->logits, minus = cot_op_unary(COT_OP_NEG, x);
        cot_value is_up = cot_op_binary(COT_OP_GE, x, coti_number(x, 0.0));
        cot_value tail = cot_op_unary(COT_OP_EXP, cot_op_select(is_up, minus, x));
        cot_value slope = coti_sub(cot_op_select(is_up, x, coti_number(x, 0.0)), coti_mul(x, t));
        return coti_add(slope, cot_op_unary(COT_OP_LOG1P, tail));
    }
    cot_value p = clip(l->p, EPSILON, 1.0 - EPSILON);
    cot_value right = coti_add(coti_mul(t, log_of(p)), coti_mul(rest(t), log_of(rest(p))));
    return cot_op_unary(COT_OP_NEG, right);
}

static cot_value binary_crossentropy(const row_loss *l) {
    return mean(binary_terms(l, smooth(l, 2.0)));
}

static cot_value binary_focal_crossentropy(const row_loss *l) {
    const cot_loss_options *numbers = &l->head->numbers;
    cot_value t = smooth(l, 2.0);
    cot_value p = probabilities(l, COT_SIGMOID);
    cot_value right = coti_add(coti_mul(t, p), coti_mul(rest(t), rest(p)));
    cot_value terms = coti_mul(power(rest(right), numbers->gamma), binary_terms(l, t));
    if (numbers->apply_class_balancing) {
        terms = coti_mul(terms, coti_add(coti_scale(t, numbers->alpha),
                                         coti_scale(rest(t), 1.0 - numbers->alpha)));
    }
    return mean(terms);
}

static cot_value categorical_focal_crossentropy(const row_loss *l) {
    const cot_loss_options *numbers = &l->head->numbers;
    cot_value t = smooth(l, n_classes(l));
    cot_value p = shares(probabilities(l, COT_SOFTMAX));
    cot_value terms = coti_mul(power(rest(p), numbers->gamma), coti_mul(t, log_of(p)));
    return coti_scale(sum(terms), -numbers->alpha);
}

/* ---- distances ---- */

static cot_value mean_squared_error(const row_loss *l) {
    return mean(square(coti_sub(l->t, l->p)));
}

static cot_value mean_absolute_error(const row_loss *l) {
    return mean(size_of(coti_sub(l->t, l->p)));
}

static cot_value mean_absolute_percentage_error(const row_loss *l) {
    cot_value part = size_of(coti_div(coti_sub(l->t, l->p), at_least(size_of(l->t), EPSILON)));
    return coti_scale(mean(part), 100.0);
}

static cot_value mean_squared_logarithmic_error(const row_loss *l) {
    cot_value of_p = log_of(coti_plus(at_least(l->p, EPSILON), 1.0));
    cot_value of_t = log_of(coti_plus(at_least(l->t, EPSILON), 1.0));
    return mean(square(coti_sub(of_p, of_t)));
}

static cot_value huber(const row_loss *l) {
    double delta = l->head->numbers.delta;
    cot_value error = coti_sub(l->p, l->t);
    cot_value distance = size_of(error);
    cot_value far = coti_plus(coti_scale(distance, delta), -0.5 * delta * delta);
    cot_value is_near = cot_op_binary(COT_OP_LE, distance, coti_number(distance, delta));
    return mean(cot_op_select(is_near, coti_scale(square(error), 0.5), far));
}

/* log(cosh(x)) = |x| + log1p(exp(-2 |x|)) - log(2): nothing overflows. */
static cot_value log_cosh(const row_loss *l) {
    cot_value distance = size_of(coti_sub(l->p, l->t));
    cot_value tail =
        cot_op_unary(COT_OP_LOG1P, cot_op_unary(COT_OP_EXP, coti_scale(distance, -2.0)));
    return mean(coti_plus(coti_add(distance, tail), -0.69314718055994530942));
}

/* x / max(|x|, e) over the last axis. */
static cot_value direction(cot_value x) {
    cot_value squares = cot_op_reduce(COT_OP_SUM, square(x), last_axis, 1, true);
    return coti_mul(x, cot_op_unary(COT_OP_RSQRT, at_least(squares, EPSILON * EPSILON)));
}

static cot_value cosine_similarity(const row_loss *l) {
    return cot_op_unary(COT_OP_NEG, sum(coti_mul(direction(l->t), direction(l->p))));
}

static cot_value kl_divergence(const row_loss *l) {
    cot_value t = clip(l->t, EPSILON, 1.0);
    return sum(coti_mul(t, log_of(coti_div(t, clip(l->p, EPSILON, 1.0)))));
}

static cot_value poisson(const row_loss *l) {
    return mean(coti_sub(l->p, coti_mul(l->t, log_of(coti_plus(l->p, EPSILON)))));
}

/* ---- margins ---- */

/* 2 t - 1 if every target of the batch is 0 or 1, else t. */
static cot_value signs(cot_value t) {
    cot_value is_zero = cot_op_binary(COT_OP_EQ, t, coti_number(t, 0.0));
    cot_value is_one = cot_op_binary(COT_OP_EQ, t, coti_number(t, 1.0));
    cot_value is_other = cot_op_unary(COT_OP_NOT, cot_op_binary(COT_OP_OR, is_zero, is_one));
    cot_value n_others = sum_of_batch(cot_op_cast(is_other, cot_value_dtype(t)));
    cot_value is_binary = cot_op_binary(COT_OP_EQ, n_others, coti_number(t, 0.0));
    return cot_op_select(is_binary, coti_plus(coti_scale(t, 2.0), -1.0), t);
}

static cot_value margins(const row_loss *l) {
    return at_least(rest(coti_mul(signs(l->t), l->p)), 0.0);
}

static cot_value hinge(const row_loss *l) {
    return mean(margins(l));
}

static cot_value squared_hinge(const row_loss *l) {
    return mean(square(margins(l)));
}

static cot_value categorical_hinge(const row_loss *l) {
    cot_value right = sum(coti_mul(l->t, l->p));
    cot_value wrong =
        cot_op_reduce(COT_OP_REDUCE_MAX, coti_mul(rest(l->t), l->p), last_axis, 1, false);
    return at_least(coti_plus(coti_sub(wrong, right), 1.0), 0.0);
}

/* ---- overlaps of a whole batch ---- */

static cot_value dice(const row_loss *l) {
    cot_value both = sum_of_batch(coti_mul(l->t, l->p));
    cot_value all = coti_add(sum_of_batch(l->t), sum_of_batch(l->p));
    return for_each_row(rest(coti_div(coti_scale(both, 2.0), coti_plus(all, EPSILON))), l->p);
}

static cot_value tversky(const row_loss *l) {
    const cot_loss_options *numbers = &l->head->numbers;
    cot_value both = sum_of_batch(coti_mul(l->t, l->p));
    cot_value missed = sum_of_batch(coti_mul(l->t, rest(l->p)));
    cot_value false_ones = sum_of_batch(coti_mul(rest(l->t), l->p));
    cot_value errors =
        coti_add(coti_scale(missed, numbers->alpha), coti_scale(false_ones, numbers->beta));
    return for_each_row(rest(coti_div(both, coti_plus(coti_add(both, errors), EPSILON))), l->p);
}

/* ---- one's own ---- */

cot_value coti_row_values(const coti_head *head, const char *what, cot_value output,
                          cot_value given, bool may_be_scalar) {
    cot_context *context = cot_graph_context(output.graph);
    if (given.graph == NULL) {
        if (cot_error_get(context).status == COT_OK) {
            COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                         "output \"%s\": the function of %s gives no value", head->name, what);
        }
        return given;
    }
    cot_shape wanted = head->type.shape;
    const cot_shape shape = cot_value_shape(given);
    wanted.dim[--wanted.rank] = 0;
    bool fits = given.graph == output.graph && cot_value_dtype(given) == head->type.dtype &&
                (coti_shape_equal(&shape, &wanted) || (may_be_scalar && shape.rank == 0));
    if (!fits) {
        char found[COTI_TYPE_BYTES];
        char expected[COTI_TYPE_BYTES];
        COTI_FAIL_OP(context, COT_E_SHAPE, "compile", head->name,
                     "output \"%s\": the function of %s gives %s, expected %s%s of the output's "
                     "graph",
                     head->name, what, coti_type_text(found, cot_value_dtype(given), &shape),
                     coti_type_text(expected, head->type.dtype, &wanted),
                     may_be_scalar ? " or a scalar" : "");
        return coti_poison();
    }
    return given;
}

static cot_value custom_loss(const row_loss *l) {
    const cot_loss_options *numbers = &l->head->numbers;
    return coti_row_values(l->head, "custom_loss", l->p,
                           numbers->function(l->t, l->p, numbers->user), true);
}

/* ---- the table ---- */

/* A loss, and after which activation it may look at the logits (COT_LINEAR: none). */
typedef struct loss_class {
    cot_value (*build)(const row_loss *loss);
    cot_activation_kind squash;
} loss_class;

static const loss_class classes[] = {
    [COT_NO_LOSS] = {NULL, COT_LINEAR},
    [COT_CATEGORICAL_CROSSENTROPY] = {categorical_crossentropy, COT_SOFTMAX},
    [COT_SPARSE_CATEGORICAL_CROSSENTROPY] = {sparse_categorical_crossentropy, COT_SOFTMAX},
    [COT_MEAN_SQUARED_ERROR] = {mean_squared_error, COT_LINEAR},
    [COT_BINARY_CROSSENTROPY] = {binary_crossentropy, COT_SIGMOID},
    [COT_MEAN_ABSOLUTE_ERROR] = {mean_absolute_error, COT_LINEAR},
    [COT_MEAN_ABSOLUTE_PERCENTAGE_ERROR] = {mean_absolute_percentage_error, COT_LINEAR},
    [COT_MEAN_SQUARED_LOGARITHMIC_ERROR] = {mean_squared_logarithmic_error, COT_LINEAR},
    [COT_HUBER] = {huber, COT_LINEAR},
    [COT_LOG_COSH] = {log_cosh, COT_LINEAR},
    [COT_COSINE_SIMILARITY] = {cosine_similarity, COT_LINEAR},
    [COT_KL_DIVERGENCE] = {kl_divergence, COT_LINEAR},
    [COT_POISSON] = {poisson, COT_LINEAR},
    [COT_HINGE] = {hinge, COT_LINEAR},
    [COT_SQUARED_HINGE] = {squared_hinge, COT_LINEAR},
    [COT_CATEGORICAL_HINGE] = {categorical_hinge, COT_LINEAR},
    [COT_BINARY_FOCAL_CROSSENTROPY] = {binary_focal_crossentropy, COT_SIGMOID},
    [COT_CATEGORICAL_FOCAL_CROSSENTROPY] = {categorical_focal_crossentropy, COT_LINEAR},
    [COT_DICE] = {dice, COT_LINEAR},
    [COT_TVERSKY] = {tversky, COT_LINEAR},
    [COT_CATEGORICAL_GENERALIZED_CROSS_ENTROPY] = {categorical_generalized_cross_entropy,
                                                   COT_LINEAR},
    [COT_CUSTOM_LOSS] = {custom_loss, COT_LINEAR},
};

/* Are the output's logits those of what the loss is taken of, along the loss's axis? */
static bool has_logits(const coti_head *head, const loss_class *class, const coti_built *output) {
    return class->squash != COT_LINEAR && head->fuse && output->logits.graph != NULL &&
           output->squashed == class->squash &&
           (class->squash != COT_SOFTMAX || output->squash_axis == head->numbers.axis);
}

/* x with the loss's axis as the last. */
static cot_value turn(const coti_head *head, cot_value x) {
    int32_t order[COT_MAX_RANK];
    if (head->numbers.axis == 0 || x.graph == NULL) {
        return x;
    }
    const int32_t rank = head->type.shape.rank;
    for (int32_t i = 0; i < rank; i++) {
        order[i] = i + 1 == rank ? head->numbers.axis : i + (i >= head->numbers.axis);
    }
    return cot_op_permute(x, order, rank);
}

cot_value coti_loss_build(const coti_head *head, coti_built output, cot_value target) {
    if (output.value.graph == NULL || target.graph == NULL) {
        return coti_poison();
    }
    const loss_class *class = &classes[head->loss];
    cot_value logits = coti_poison();
    if (has_logits(head, class, &output)) {
        logits = output.logits;
    } else if (class->squash != COT_LINEAR && head->from_logits) {
        logits = output.value;
    }
    const row_loss loss = {.head = head,
                           .t = turn(head, target),
                           .p = turn(head, output.value),
                           .logits = turn(head, logits)};
    return class->build(&loss);
}

cot_value coti_loss_mask(const coti_head *head, cot_value target) {
    if (!head->numbers.ignores_class) {
        return coti_poison();
    }
    cot_value ignored = coti_number(target, head->numbers.ignore_class);
    return cot_op_cast(cot_op_binary(COT_OP_NE, target, ignored), head->type.dtype);
}

/* ---- as nodes ---- */

/* The target as the loss takes it: a last axis of one element may be missing or, of classes, be
 * there, as in Keras. Poison, with the error set, if it does not fit. */
static cot_value fit_target(cot_context *context, const coti_head *head, cot_value target) {
    coti_type wanted = head->type;
    cot_shape shape = cot_value_shape(target);
    const cot_dtype dtype = cot_value_dtype(target);
    char found[COTI_TYPE_BYTES];
    char expected[COTI_TYPE_BYTES];
    coti_type_text(found, dtype, &shape);
    if (coti_loss_is_sparse(head)) {
        wanted.dtype = COT_I32;
        wanted.shape.dim[--wanted.shape.rank] = 0;
    }
    const int32_t rank = wanted.shape.rank;
    if (dtype == wanted.dtype && coti_shape_equal(&shape, &wanted.shape)) {
        return target;
    }
    if (shape.rank == rank + 1 && shape.dim[rank] == 1) {
        shape.dim[--shape.rank] = 0;
    } else if (shape.rank + 1 == rank && wanted.shape.dim[rank - 1] == 1) {
        shape.dim[shape.rank++] = 1;
    }
    if (dtype == wanted.dtype && coti_shape_equal(&shape, &wanted.shape)) {
        return cot_op_reshape(target, wanted.shape);
    }
    COTI_FAIL_OP(context, COT_E_SHAPE, "loss", NULL, "%s: the target is %s, expected %s",
                 cot_loss_name(head->loss), found,
                 coti_type_text(expected, wanted.dtype, &wanted.shape));
    return coti_poison();
}

cot_value cot_op_loss(cot_loss loss, cot_value target, cot_value output, bool from_logits,
                      const cot_loss_options *options) {
    if (target.graph == NULL || output.graph == NULL) {
        return coti_poison();
    }
    cot_context *context = cot_graph_context(output.graph);
    cot_dtype dtype = cot_value_dtype(output);
    const cot_shape shape = cot_value_shape(output);
    coti_head head = {.name = "loss",
                      .type = {dtype, shape},
                      .loss = loss,
                      .weight = 1.0,
                      .from_logits = from_logits};
    char text[COTI_TYPE_BYTES];
    if (!coti_loss_is_valid(loss) || loss == COT_NO_LOSS || target.graph != output.graph) {
        COTI_FAIL(context, COT_E_ARG, "cot_op_loss: %s",
                  target.graph != output.graph ? "target and output are of two graphs"
                                               : "this is no loss");
        return coti_poison();
    }
    if ((dtype != COT_F32 && dtype != COT_F64) || shape.rank < 2) {
        COTI_FAIL(
            context, COT_E_SHAPE,
            "cot_op_loss: the output is %s, expected f32 or f64 with an axis beside the batch",
            coti_type_text(text, dtype, &shape));
        return coti_poison();
    }
    if (coti_loss_read(context, options, &head) != COT_OK) {
        return coti_poison();
    }
    cot_value fitted = fit_target(context, &head, target);
    if (fitted.graph == NULL) {
        return coti_poison();
    }
    cot_value values = coti_loss_build(&head, coti_plain(output), fitted);
    cot_value mask = coti_loss_mask(&head, fitted);
    return mask.graph == NULL ? values : coti_mul(values, mask);
}
