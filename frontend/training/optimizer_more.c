/*
 * Rules that need more than arithmetic on a weight: Muon, whose step is a matrix iteration,
 * schedule-free AdamW, whose weight is between two sequences, and rules of the user's own. Formulas
 * stand in cotangent/optimizers.h.
 */
#include "frontend/layers/formula.h"
#include "frontend/training/optimizer.h"

static cot_value square(cot_value x) {
    return coti_mul(x, x);
}
static cot_value root(cot_value x) {
    return cot_op_unary(COT_OP_SQRT, x);
}

/* ---- Muon ---- */

cot_status coti_muon_check(cot_context *context, coti_optimizer *optimizer) {
    cot_muon_options *options = &optimizer->muon;
    options->ns_steps = options->ns_steps == 0 ? 5 : options->ns_steps;
    return options->ns_steps >= 1 && options->ns_steps <= 100
               ? COT_OK
               : COTI_FAIL_OP(context, COT_E_ARG, "muon", NULL,
                              "muon: ns_steps is %d, expected 1 to 100", (int)options->ns_steps);
}

int32_t coti_muon_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                        coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    slot_out[0] = (coti_slot){"momentum", place->shape, 0.0};
    slot_out[1] = (coti_slot){"velocity", place->shape, 0.0};
    return place->adamw ? 2 : 1;
}

/* The transpose of a matrix. */
static cot_value turn(cot_value x) {
    static const int32_t axes[2] = {1, 0};
    return cot_op_permute(x, axes, 2);
}

/* Newton-Schulz: nearly the nearest matrix with orthonormal rows, or columns, the fewer of them. */
static cot_value orthogonalize(const cot_muon_options *options, cot_value u) {
    static const int32_t both[2] = {0, 1};
    const cot_shape shape = cot_value_shape(u);
    if (u.graph == NULL) {
        return u;
    }
    bool tall = shape.dim[0] > shape.dim[1];
    cot_value x = tall ? turn(u) : u;
    cot_value norm = root(cot_op_reduce(COT_OP_SUM, square(x), both, 2, true));
    x = coti_div(x, coti_plus(norm, 1e-7));
    for (int32_t i = 0; i < options->ns_steps; i++) {
        cot_value a = cot_op_matmul(x, turn(x));
        cot_value b = coti_add(coti_scale(a, options->muon_b),
                               coti_scale(cot_op_matmul(a, a), options->muon_c));
        x = coti_add(coti_scale(x, options->muon_a), cot_op_matmul(b, x));
    }
    return tall ? turn(x) : x;
}

static void muon_adamw_update(coti_step *s) {
    const cot_muon_options *options = &s->optimizer->muon;
    cot_value m = s->new_slot[0] =
        coti_move_by(s->slot[0], s->gradient, 1.0 - options->adam_beta_1);
    cot_value v = s->new_slot[1] =
        coti_move_by(s->slot[1], square(s->gradient), 1.0 - options->adam_beta_2);
    cot_value rate = coti_scale(s->rate, options->adam_lr_ratio);
    cot_value alpha = coti_div(coti_mul(rate, root(coti_correction(options->adam_beta_2, s->t))),
                               coti_correction(options->adam_beta_1, s->t));
    cot_value below = coti_plus(root(v), options->epsilon);
    s->new_weight = coti_sub(s->weight, coti_div(coti_mul(m, alpha), below));
}

void coti_muon_update(coti_step *s) {
    const cot_muon_options *options = &s->optimizer->muon;
    if (s->place->adamw) {
        muon_adamw_update(s);
        return;
    }
    cot_value m = s->new_slot[0] =
        coti_add(s->slot[0], coti_add(s->gradient, coti_scale(s->slot[0], options->momentum - 1)));
    cot_value u =
        options->nesterov == COT_OFF ? m : coti_add(s->gradient, coti_scale(m, options->momentum));
    const int64_t *dim = s->place->shape.dim;
    cot_value step = coti_mul(orthogonalize(options, u), s->rate);
    if (options->rms_rate != 0.0) {
        cot_value longer = coti_number(step, (double)(dim[0] > dim[1] ? dim[0] : dim[1]));
        step = coti_scale(coti_mul(step, root(longer)), options->rms_rate);
    }
    s->new_weight = coti_sub(s->weight, step);
}

/* ---- schedule-free AdamW ---- */

int32_t coti_schedule_free_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                                 coti_slot slot_out[COTI_MOST_SLOTS]) {
    (void)optimizer;
    slot_out[0] = (coti_slot){"momentum", place->shape, 0.0};
    slot_out[1] = (coti_slot){"velocity", place->shape, 0.0};
    return 2;
}

void coti_schedule_free_update(coti_step *s) {
    const cot_schedule_free_adamw_options *options = &s->optimizer->schedule_free;
    cot_value one = coti_number(s->t, 1.0);
    cot_value rate = s->rate;
    if (options->warmup_steps > 0.0) {
        cot_value share = coti_div(s->t, coti_number(s->t, options->warmup_steps));
        rate = coti_mul(rate, cot_op_binary(COT_OP_MIN, share, one));
    }
    /* z begins as the weight: as it is at the first step, whenever it was set, before its decay. */
    cot_value is_first = cot_op_binary(COT_OP_EQ, s->t, one);
    cot_value before = cot_op_select(is_first, s->undecayed, s->slot[0]);
    cot_value v = s->new_slot[1] = coti_move_by(s->slot[1], square(s->gradient),
                                                coti_rounded_rest(s->weight, options->beta_2));
    cot_value v_hat = coti_div(v, coti_correction(options->beta_2, s->t));
    cot_value change =
        coti_div(coti_mul(s->gradient, rate), coti_plus(root(v_hat), options->epsilon));
    cot_value z = s->new_slot[0] = coti_sub(before, change);
    cot_value share = coti_div(one, s->t);
    const double rest = coti_rounded_rest(s->weight, options->beta_1);
    cot_value x_before = coti_div(coti_sub(s->weight, coti_scale(before, rest)),
                                  coti_number(s->weight, options->beta_1));
    cot_value x = coti_add(coti_mul(x_before, coti_sub(one, share)), coti_mul(z, share));
    s->new_weight = coti_add(coti_scale(z, rest), coti_scale(x, options->beta_1));
}

/* ---- one's own ---- */

cot_status coti_custom_check(cot_context *context, coti_optimizer *optimizer) {
    const cot_custom_optimizer_options *options = &optimizer->custom;
    if (options->function == NULL) {
        return COTI_FAIL_OP(context, COT_E_ARG, "custom_optimizer", NULL,
                            "custom_optimizer: function is NULL");
    }
    return options->n_slots >= 0 && options->n_slots <= COT_MAX_SLOTS
               ? COT_OK
               : COTI_FAIL_OP(context, COT_E_ARG, "custom_optimizer", NULL,
                              "custom_optimizer: n_slots is %d, expected 0 to %d",
                              (int)options->n_slots, COT_MAX_SLOTS);
}

int32_t coti_custom_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                          coti_slot slot_out[COTI_MOST_SLOTS]) {
    static const char *const name[COTI_MOST_SLOTS] = {"slot_0", "slot_1", "slot_2", "slot_3"};
    for (int32_t i = 0; i < optimizer->custom.n_slots; i++) {
        slot_out[i] = (coti_slot){name[i], place->shape, optimizer->custom.initial[i]};
    }
    return optimizer->custom.n_slots;
}

/* Is a value that the user's rule gave the weight's like? Records what is wrong. */
static bool is_like_weight(const coti_step *s, const char *what, cot_value given) {
    cot_context *context = cot_graph_context(s->weight.graph);
    cot_dtype dtype = cot_value_dtype(s->weight);
    cot_shape shape = cot_value_shape(given);
    bool fits = given.graph == s->weight.graph && cot_value_dtype(given) == dtype &&
                coti_shape_equal(&shape, &s->place->shape);
    if (!fits && cot_error_get(context).status == COT_OK) {
        char text[COTI_TYPE_BYTES];
        COTI_FAIL_OP(context, COT_E_SHAPE, "custom_optimizer", NULL,
                     "custom_optimizer: the function's %s is no value of the weight's graph, dtype "
                     "and shape, %s",
                     what, coti_type_text(text, dtype, &s->place->shape));
    }
    return fits;
}

void coti_custom_update(coti_step *s) {
    const cot_custom_optimizer_options *options = &s->optimizer->custom;
    cot_update_step seen = {s->weight, s->gradient, s->rate, s->t, {{NULL, 0}}};
    cot_value made[COT_MAX_SLOTS] = {{NULL, 0}};
    for (int32_t i = 0; i < options->n_slots; i++) {
        seen.slot[i] = s->slot[i];
    }
    s->new_weight = coti_poison();
    if (s->weight.graph == NULL || s->gradient.graph == NULL) {
        return;
    }
    cot_value weight = options->function(&seen, made, options->user);
    bool fits = is_like_weight(s, "weight", weight);
    for (int32_t i = 0; i < options->n_slots; i++) {
        fits = is_like_weight(s, "slot", made[i]) && fits;
        s->new_slot[i] = made[i];
    }
    s->new_weight = fits ? weight : coti_poison();
}
