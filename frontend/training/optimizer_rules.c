/*
 * The rule of each optimizer as graph operations, in the order in which Keras rounds them; formulas
 * and sources stand in cotangent/optimizers.h. A rule knows one weight; what all optimizers do
 * before and after it is in optimizer.c.
 */
#include "frontend/layers/formula.h"
#include "frontend/training/optimizer.h"

/* ---- shorthand ---- */

static cot_value larger(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MAX, a, b);
}
static cot_value square(cot_value x) {
    return coti_mul(x, x);
}
static cot_value root(cot_value x) {
    return cot_op_unary(COT_OP_SQRT, x);
}
static cot_value power(cot_value x, double exponent) {
    return cot_op_binary(COT_OP_POW, x, coti_number(x, exponent));
}

/* beta^t */
static cot_value decayed(double beta, cot_value t) {
    return cot_op_binary(COT_OP_POW, coti_number(t, beta), t);
}

cot_value coti_correction(double beta, cot_value t) {
    return coti_sub(coti_number(t, 1.0), decayed(beta, t));
}

cot_value coti_move_by(cot_value x, cot_value target, double share) {
    return coti_add(x, coti_scale(coti_sub(target, x), share));
}

/* x + (target - x) * (1 - beta), the factor rounded once from double. */
static cot_value approach(cot_value x, cot_value target, double beta) {
    return coti_move_by(x, target, 1.0 - beta);
}

double coti_rounded_rest(cot_value weight, double beta) {
    return cot_value_dtype(weight) == COT_F32 ? (double)(1.0f - (float)beta) : 1.0 - beta;
}

/* rho x + (1 - rho) target */
static cot_value blend(cot_value x, cot_value target, double rho) {
    return coti_add(coti_scale(x, rho), coti_scale(target, 1.0 - rho));
}

static cot_value mean_of_all(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cot_op_mean(x, axes, cot_value_shape(x).rank, false);
}

static cot_value norm(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return root(cot_op_reduce(COT_OP_SUM, square(x), axes, cot_value_shape(x).rank, false));
}

static coti_slot slot_like(const cot_shape *shape, const char *name, double initial) {
    return (coti_slot){name, *shape, initial};
}

/* ---- SGD ---- */

static int32_t sgd_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                         coti_slot slot_out[COTI_MOST_SLOTS]) {
    slot_out[0] = slot_like(&place->shape, "momentum", 0.0);
    return optimizer->sgd.momentum != 0.0 ? 1 : 0;
}

static void sgd_update(coti_step *s) {
    const cot_sgd_options *options = &s->optimizer->sgd;
    cot_value scaled = coti_mul(s->gradient, s->rate);
    if (options->momentum == 0.0) {
        s->new_weight = coti_sub(s->weight, scaled);
        return;
    }
    cot_value velocity = coti_sub(coti_scale(s->slot[0], options->momentum), scaled);
    cot_value change = velocity;
    if (options->nesterov) {
        change = coti_sub(coti_scale(velocity, options->momentum), scaled);
    }
    s->new_slot[0] = velocity;
    s->new_weight = coti_add(s->weight, change);
}

/* ---- Adam and its kin ---- */

static int32_t moments(const cot_shape *shape, coti_slot *slot_out) {
    slot_out[0] = slot_like(shape, "m", 0.0);
    slot_out[1] = slot_like(shape, "v", 0.0);
    return 2;
}

static int32_t adam_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                          coti_slot slot_out[COTI_MOST_SLOTS]) {
    slot_out[2] = slot_like(&place->shape, "v_max", 0.0);
    return moments(&place->shape, slot_out) + (optimizer->adam.amsgrad ? 1 : 0);
}

static int32_t two_moments(const coti_optimizer *optimizer, const coti_place_of *place,
                           coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    return moments(&place->shape, slot_out);
}

static void move_moments(coti_step *s, double beta_1, double beta_2) {
    s->new_slot[0] = approach(s->slot[0], s->gradient, beta_1);
    s->new_slot[1] = approach(s->slot[1], square(s->gradient), beta_2);
}

/* rate sqrt(1 - beta_2^t) / (1 - beta_1^t) */
static cot_value adam_alpha(const coti_step *s) {
    const cot_adam_options *options = &s->optimizer->adam;
    coti_alpha *last = s->alpha;
    if (last->value.graph == NULL || last->rate.id != s->rate.id || last->t.id != s->t.id) {
        cot_value above = coti_mul(s->rate, root(coti_correction(options->beta_2, s->t)));
        *last =
            (coti_alpha){s->rate, s->t, coti_div(above, coti_correction(options->beta_1, s->t))};
    }
    return last->value;
}

static void adam_update(coti_step *s) {
    const cot_adam_options *options = &s->optimizer->adam;
    move_moments(s, options->beta_1, options->beta_2);
    cot_value m = s->new_slot[0];
    cot_value v = s->new_slot[1];
    if (options->amsgrad) {
        v = s->new_slot[2] = larger(s->slot[2], v);
    }
    if (options->epsilon_inside) {
        cot_value m_hat = coti_div(m, coti_correction(options->beta_1, s->t));
        cot_value v_hat = coti_div(v, coti_correction(options->beta_2, s->t));
        cot_value below = root(coti_plus(v_hat, options->epsilon));
        s->new_weight = coti_sub(s->weight, coti_div(coti_mul(m_hat, s->rate), below));
        return;
    }
    const cot_value alpha = adam_alpha(s);
    cot_value below = coti_plus(root(v), options->epsilon);
    s->new_weight = coti_sub(s->weight, coti_div(coti_mul(m, alpha), below));
}

static int32_t adamax_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                            coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    slot_out[0] = slot_like(&place->shape, "m", 0.0);
    slot_out[1] = slot_like(&place->shape, "u", 0.0);
    return 2;
}

static void adamax_update(coti_step *s) {
    const cot_adamax_options *options = &s->optimizer->adamax;
    cot_value m = s->new_slot[0] = approach(s->slot[0], s->gradient, options->beta_1);
    cot_value size = cot_op_unary(COT_OP_ABS, s->gradient);
    cot_value u = s->new_slot[1] = larger(coti_scale(s->slot[1], options->beta_2), size);
    cot_value below =
        coti_mul(coti_correction(options->beta_1, s->t), coti_plus(u, options->epsilon));
    s->new_weight = coti_sub(s->weight, coti_div(coti_mul(s->rate, m), below));
}

/* beta_1 (1 - 0.96^t / 2) */
static cot_value nadam_momentum(double beta_1, cot_value t) {
    return coti_scale(coti_sub(coti_number(t, 1.0), coti_scale(decayed(0.96, t), 0.5)), beta_1);
}

static void nadam_update(coti_step *s) {
    const cot_adamax_options *options = &s->optimizer->adamax;
    cot_value one = coti_number(s->t, 1.0);
    cot_value u = nadam_momentum(options->beta_1, s->t);
    cot_value u_next = nadam_momentum(options->beta_1, coti_add(s->t, one));
    cot_value product = s->new_product = coti_mul(s->product, u);
    cot_value product_next = coti_mul(product, u_next);
    const double share_1 = coti_rounded_rest(s->weight, options->beta_1);
    const double share_2 = coti_rounded_rest(s->weight, options->beta_2);
    s->new_slot[0] = coti_move_by(s->slot[0], s->gradient, share_1);
    s->new_slot[1] = coti_move_by(s->slot[1], square(s->gradient), share_2);
    cot_value ahead = coti_div(coti_mul(u_next, s->new_slot[0]), coti_sub(one, product_next));
    cot_value now = coti_div(coti_mul(coti_sub(one, u), s->gradient), coti_sub(one, product));
    cot_value v_hat = coti_div(s->new_slot[1], coti_correction(options->beta_2, s->t));
    cot_value below = coti_plus(root(v_hat), options->epsilon);
    s->new_weight = coti_sub(s->weight, coti_div(coti_mul(coti_add(ahead, now), s->rate), below));
}

static cot_value where_positive(cot_value x, cot_value then, cot_value otherwise) {
    return cot_op_select(cot_op_binary(COT_OP_GT, x, coti_number(x, 0.0)), then, otherwise);
}

static void lamb_update(coti_step *s) {
    const cot_adamax_options *options = &s->optimizer->adamax;
    move_moments(s, options->beta_1, options->beta_2);
    cot_value m_hat = coti_div(s->new_slot[0], coti_correction(options->beta_1, s->t));
    cot_value v_hat = coti_div(s->new_slot[1], coti_correction(options->beta_2, s->t));
    cot_value u = coti_div(m_hat, coti_plus(root(v_hat), options->epsilon));
    cot_value of_weight = norm(s->weight);
    cot_value of_update = norm(u);
    cot_value one = coti_number(of_weight, 1.0);
    cot_value ratio = where_positive(
        of_weight, where_positive(of_update, coti_div(of_weight, of_update), one), one);
    s->new_weight = coti_sub(s->weight, coti_mul(coti_mul(ratio, s->rate), u));
}

static int32_t lion_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                          coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    slot_out[0] = slot_like(&place->shape, "m", 0.0);
    return 1;
}

static cot_value lion_blend(const coti_step *s, double beta) {
    cot_value fresh = coti_scale(s->gradient, coti_rounded_rest(s->weight, beta));
    return coti_add(coti_scale(s->slot[0], beta), fresh);
}

static void lion_update(coti_step *s) {
    const cot_lion_options *options = &s->optimizer->lion;
    cot_value way = cot_op_unary(COT_OP_SIGN, lion_blend(s, options->beta_1));
    s->new_weight = coti_sub(s->weight, coti_mul(s->rate, way));
    s->new_slot[0] = lion_blend(s, options->beta_2);
}

/* ---- sums of squares ---- */

static int32_t rmsprop_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                             coti_slot slot_out[COTI_MOST_SLOTS]) {
    int32_t n = 0;
    slot_out[n++] = slot_like(&place->shape, "v", 0.0);
    if (optimizer->rmsprop.momentum != 0.0) {
        slot_out[n++] = slot_like(&place->shape, "momentum", 0.0);
    }
    if (optimizer->rmsprop.centered) {
        slot_out[n++] = slot_like(&place->shape, "mean_gradient", 0.0);
    }
    return n;
}

static void rmsprop_update(coti_step *s) {
    const cot_rmsprop_options *options = &s->optimizer->rmsprop;
    bool has_momentum = options->momentum != 0.0;
    cot_value spread = s->new_slot[0] = blend(s->slot[0], square(s->gradient), options->rho);
    if (options->centered) {
        int32_t i = has_momentum ? 2 : 1;
        s->new_slot[i] = blend(s->slot[i], s->gradient, options->rho);
        spread = coti_sub(spread, square(s->new_slot[i]));
    }
    cot_value change =
        coti_div(coti_mul(s->rate, s->gradient), root(coti_plus(spread, options->epsilon)));
    if (has_momentum) {
        change = s->new_slot[1] = coti_add(coti_scale(s->slot[1], options->momentum), change);
    }
    s->new_weight = coti_sub(s->weight, change);
}

static int32_t adagrad_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                             coti_slot slot_out[COTI_MOST_SLOTS]) {
    slot_out[0] =
        slot_like(&place->shape, "accumulator", optimizer->adagrad.initial_accumulator_value);
    return 1;
}

static void adagrad_update(coti_step *s) {
    cot_value sum = s->new_slot[0] = coti_add(s->slot[0], square(s->gradient));
    cot_value below = root(coti_plus(sum, s->optimizer->adagrad.epsilon));
    s->new_weight = coti_sub(s->weight, coti_div(coti_mul(s->rate, s->gradient), below));
}

static int32_t adadelta_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                              coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    slot_out[0] = slot_like(&place->shape, "accumulated_gradient", 0.0);
    slot_out[1] = slot_like(&place->shape, "accumulated_change", 0.0);
    return 2;
}

static void adadelta_update(coti_step *s) {
    const cot_adadelta_options *options = &s->optimizer->adadelta;
    cot_value of_gradient = s->new_slot[0] = blend(s->slot[0], square(s->gradient), options->rho);
    cot_value above = coti_mul(root(coti_plus(s->slot[1], options->epsilon)), s->gradient);
    cot_value change = coti_div(above, root(coti_plus(of_gradient, options->epsilon)));
    s->new_slot[1] = blend(s->slot[1], square(change), options->rho);
    s->new_weight = coti_sub(s->weight, coti_mul(s->rate, change));
}

static int32_t ftrl_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                          coti_slot slot_out[COTI_MOST_SLOTS]) {
    slot_out[0] =
        slot_like(&place->shape, "accumulator", optimizer->ftrl.initial_accumulator_value);
    slot_out[1] = slot_like(&place->shape, "linear", 0.0);
    return 2;
}

static void ftrl_update(coti_step *s) {
    const cot_ftrl_options *options = &s->optimizer->ftrl;
    double p = -options->learning_rate_power;
    cot_value gradient = s->gradient;
    if (options->l2_shrinkage_regularization_strength != 0.0) {
        double twice = 2.0 * options->l2_shrinkage_regularization_strength;
        gradient = coti_add(gradient, coti_scale(s->weight, twice));
    }
    cot_value sum = s->new_slot[0] = coti_add(s->slot[0], square(s->gradient));
    cot_value after = power(sum, p);
    cot_value grown = coti_div(coti_sub(after, power(s->slot[0], p)), s->rate);
    cot_value linear = s->new_slot[1] =
        coti_add(s->slot[1], coti_sub(gradient, coti_mul(grown, s->weight)));
    cot_value l2 =
        coti_plus(coti_div(coti_number(s->rate, options->beta), coti_scale(s->rate, 2.0)),
                  options->l2_regularization_strength);
    cot_value quadratic = coti_add(coti_div(after, s->rate), coti_scale(l2, 2.0));
    cot_value low = coti_number(linear, -options->l1_regularization_strength);
    cot_value high = coti_number(linear, options->l1_regularization_strength);
    cot_value clipped = cot_op_binary(COT_OP_MIN, larger(linear, low), high);
    s->new_weight = coti_div(coti_sub(clipped, linear), quadratic);
}

/* ---- Adafactor ---- */

static int32_t adafactor_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                               coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    if (place->shape.rank < 2) {
        slot_out[0] = slot_like(&place->shape, "v", 0.0);
        return 1;
    }
    cot_shape row = place->shape;
    cot_shape column = place->shape;
    row.rank = column.rank = place->shape.rank - 1;
    column.dim[column.rank - 1] = place->shape.dim[place->shape.rank - 1];
    row.dim[row.rank] = column.dim[column.rank] = 0;
    slot_out[0] = slot_like(&row, "r", 0.0);
    slot_out[1] = slot_like(&column, "c", 0.0);
    return 2;
}

/* b x + (1 - b) target, b a value */
static cot_value blend_by(cot_value x, cot_value target, cot_value b) {
    return coti_add(coti_mul(b, x), coti_mul(coti_sub(coti_number(b, 1.0), b), target));
}

/* x [.., n] or [.., m, n] without its axis `gone` (-1 or -2), repeated along it again. */
static cot_value give_back(cot_value x, const cot_shape *shape, int32_t gone) {
    int32_t axes[COT_MAX_RANK];
    int32_t n = 0;
    for (int32_t a = 0; a < shape->rank; a++) {
        if (a != shape->rank + gone) {
            axes[n++] = a;
        }
    }
    return cot_op_broadcast(x, *shape, axes, n);
}

/* The second moment: factored for a weight of rank 2 or more. */
static cot_value adafactor_moment(coti_step *s, cot_value b) {
    cot_value spread = coti_plus(square(s->gradient), s->optimizer->adafactor.epsilon_1);
    cot_shape shape = cot_value_shape(s->weight);
    if (shape.rank < 2) {
        return s->new_slot[0] = blend_by(s->slot[0], spread, b);
    }
    const int32_t last = -1;
    const int32_t before = -2;
    cot_value r = s->new_slot[0] = blend_by(s->slot[0], cot_op_mean(spread, &last, 1, false), b);
    cot_value c = s->new_slot[1] = blend_by(s->slot[1], cot_op_mean(spread, &before, 1, false), b);
    cot_value share = coti_div(r, cot_op_mean(r, &last, 1, true));
    return coti_mul(give_back(share, &shape, -1), give_back(c, &shape, -2));
}

static void adafactor_update(coti_step *s) {
    const cot_adafactor_options *options = &s->optimizer->adafactor;
    cot_value one = coti_number(s->t, 1.0);
    cot_value rate = s->rate;
    if (options->relative_step != COT_OFF) {
        rate = cot_op_binary(COT_OP_MIN, rate, coti_div(one, root(s->t)));
    }
    cot_value b = coti_sub(one, power(s->t, options->beta_2_decay));
    cot_value v = adafactor_moment(s, b);
    cot_value u = coti_div(s->gradient, root(v));
    cot_value size = coti_scale(root(mean_of_all(square(u))), 1.0 / options->clip_threshold);
    u = coti_div(u, larger(one, size));
    cot_value of_weight = root(mean_of_all(square(s->weight)));
    cot_value alpha = coti_mul(larger(coti_number(rate, options->epsilon_2), of_weight), rate);
    s->new_weight = coti_sub(s->weight, coti_mul(alpha, u));
}

/* ---- the table ---- */

/* Learning rates and epsilons are f32: none may overflow it. */
#define LARGEST 3e38

#define OPTION(type, field, otherwise, low, high)                                                  \
    {#field, offsetof(cot_##type##_options, field), (otherwise), (low), (high)}
#define RATE(type, otherwise) OPTION(type, learning_rate, otherwise, 0.0, LARGEST)
#define DECAY(type, otherwise) OPTION(type, weight_decay, otherwise, 0.0, LARGEST)
#define BETAS(type, beta_2_otherwise)                                                              \
    OPTION(type, beta_1, 0.9, 0.0, 1.0), OPTION(type, beta_2, beta_2_otherwise, 0.0, 1.0)
#define EPSILON(type) OPTION(type, epsilon, 1e-7, 0.0, LARGEST)
#define END {NULL, 0, 0.0, 0.0, 0.0}

static const coti_option sgd_options[] = {RATE(sgd, 0.01), DECAY(sgd, 0.0),
                                          OPTION(sgd, momentum, 0.0, 0.0, 1.0), END};
static const coti_option adam_options[] = {RATE(adam, 0.001), DECAY(adam, 0.0), BETAS(adam, 0.999),
                                           EPSILON(adam), END};
static const coti_option adamw_options[] = {RATE(adamw, 0.001), DECAY(adamw, 0.004),
                                            BETAS(adamw, 0.999), EPSILON(adamw), END};
static const coti_option rmsprop_options[] = {RATE(rmsprop, 0.001),
                                              DECAY(rmsprop, 0.0),
                                              OPTION(rmsprop, rho, 0.9, 0.0, 1.0),
                                              OPTION(rmsprop, momentum, 0.0, 0.0, 1.0),
                                              EPSILON(rmsprop),
                                              END};
static const coti_option adagrad_options[] = {
    RATE(adagrad, 0.001), DECAY(adagrad, 0.0),
    OPTION(adagrad, initial_accumulator_value, 0.1, 0.0, LARGEST), EPSILON(adagrad), END};
static const coti_option adadelta_options[] = {RATE(adadelta, 0.001), DECAY(adadelta, 0.0),
                                               OPTION(adadelta, rho, 0.95, 0.0, 1.0),
                                               EPSILON(adadelta), END};
static const coti_option adamax_options[] = {RATE(adamax, 0.001), DECAY(adamax, 0.0),
                                             BETAS(adamax, 0.999), EPSILON(adamax), END};
static const coti_option ftrl_options[] = {
    RATE(ftrl, 0.001),
    DECAY(ftrl, 0.0),
    OPTION(ftrl, learning_rate_power, -0.5, -LARGEST, 0.0),
    OPTION(ftrl, initial_accumulator_value, 0.1, 0.0, LARGEST),
    OPTION(ftrl, l1_regularization_strength, 0.0, 0.0, LARGEST),
    OPTION(ftrl, l2_regularization_strength, 0.0, 0.0, LARGEST),
    OPTION(ftrl, l2_shrinkage_regularization_strength, 0.0, 0.0, LARGEST),
    OPTION(ftrl, beta, 0.0, 0.0, LARGEST),
    END};
static const coti_option lion_options[] = {RATE(lion, 0.001), DECAY(lion, 0.0), BETAS(lion, 0.99),
                                           END};
static const coti_option adafactor_options[] = {
    RATE(adafactor, 0.001),
    DECAY(adafactor, 0.0),
    OPTION(adafactor, beta_2_decay, -0.8, -LARGEST, 0.0),
    OPTION(adafactor, epsilon_1, 1e-30, 0.0, LARGEST),
    OPTION(adafactor, epsilon_2, 1e-3, 0.0, LARGEST),
    OPTION(adafactor, clip_threshold, 1.0, 1e-30, LARGEST),
    END};

static const coti_option muon_options[] = {RATE(muon, 0.001),
                                           DECAY(muon, 0.004),
                                           OPTION(muon, adam_beta_1, 0.9, 0.0, 1.0),
                                           OPTION(muon, adam_beta_2, 0.999, 0.0, 1.0),
                                           EPSILON(muon),
                                           OPTION(muon, muon_a, 3.4445, -LARGEST, LARGEST),
                                           OPTION(muon, muon_b, -4.775, -LARGEST, LARGEST),
                                           OPTION(muon, muon_c, 2.0315, -LARGEST, LARGEST),
                                           OPTION(muon, adam_lr_ratio, 1.0, 0.0, LARGEST),
                                           OPTION(muon, adam_weight_decay, 0.004, 0.0, LARGEST),
                                           OPTION(muon, rms_rate, 0.2, 0.0, LARGEST),
                                           OPTION(muon, momentum, 0.95, 0.0, 1.0),
                                           END};
static const coti_option schedule_free_options[] = {
    RATE(schedule_free_adamw, 0.0025),
    DECAY(schedule_free_adamw, 0.0),
    OPTION(schedule_free_adamw, beta_1, 0.9, 1e-3, 1.0),
    OPTION(schedule_free_adamw, beta_2, 0.999, 0.0, 1.0),
    OPTION(schedule_free_adamw, epsilon, 1e-8, 0.0, LARGEST),
    OPTION(schedule_free_adamw, warmup_steps, 0.0, 0.0, LARGEST),
    END};
static const coti_option custom_options[] = {RATE(custom_optimizer, 0.01),
                                             DECAY(custom_optimizer, 0.0), END};

static const coti_optimizer_class classes[] = {
    [COT_OPTIMIZER_SGD] = {"sgd", sizeof(cot_sgd_options), sgd_options, sgd_slots, sgd_update,
                           false, NULL},
    [COT_OPTIMIZER_ADAM] = {"adam", sizeof(cot_adam_options), adam_options, adam_slots, adam_update,
                            false, NULL},
    [COT_OPTIMIZER_ADAMW] = {"adamw", sizeof(cot_adamw_options), adamw_options, adam_slots,
                             adam_update, false, NULL},
    [COT_OPTIMIZER_RMSPROP] = {"rmsprop", sizeof(cot_rmsprop_options), rmsprop_options,
                               rmsprop_slots, rmsprop_update, false, NULL},
    [COT_OPTIMIZER_ADAGRAD] = {"adagrad", sizeof(cot_adagrad_options), adagrad_options,
                               adagrad_slots, adagrad_update, false, NULL},
    [COT_OPTIMIZER_ADADELTA] = {"adadelta", sizeof(cot_adadelta_options), adadelta_options,
                                adadelta_slots, adadelta_update, false, NULL},
    [COT_OPTIMIZER_ADAMAX] = {"adamax", sizeof(cot_adamax_options), adamax_options, adamax_slots,
                              adamax_update, false, NULL},
    [COT_OPTIMIZER_NADAM] = {"nadam", sizeof(cot_nadam_options), adamax_options, two_moments,
                             nadam_update, true, NULL},
    [COT_OPTIMIZER_FTRL] = {"ftrl", sizeof(cot_ftrl_options), ftrl_options, ftrl_slots, ftrl_update,
                            false, NULL},
    [COT_OPTIMIZER_LION] = {"lion", sizeof(cot_lion_options), lion_options, lion_slots, lion_update,
                            false, NULL},
    [COT_OPTIMIZER_LAMB] = {"lamb", sizeof(cot_lamb_options), adamax_options, two_moments,
                            lamb_update, false, NULL},
    [COT_OPTIMIZER_ADAFACTOR] = {"adafactor", sizeof(cot_adafactor_options), adafactor_options,
                                 adafactor_slots, adafactor_update, false, NULL},
    [COT_OPTIMIZER_MUON] = {"muon", sizeof(cot_muon_options), muon_options, coti_muon_slots,
                            coti_muon_update, false, coti_muon_check},
    [COT_OPTIMIZER_SCHEDULE_FREE_ADAMW] = {"schedule_free_adamw",
                                           sizeof(cot_schedule_free_adamw_options),
                                           schedule_free_options, coti_schedule_free_slots,
                                           coti_schedule_free_update, false, NULL},
    [COT_OPTIMIZER_CUSTOM_OPTIMIZER] = {"custom_optimizer", sizeof(cot_custom_optimizer_options),
                                        custom_options, coti_custom_slots, coti_custom_update,
                                        false, coti_custom_check},
};

const coti_optimizer_class *coti_optimizer_class_of(cot_optimizer_kind kind) {
    bool is_one = (int)kind > 0 && (size_t)kind < sizeof classes / sizeof classes[0];
    return is_one ? &classes[kind] : NULL;
}
