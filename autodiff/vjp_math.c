/*
 * Gradient rules of the elementwise operations. g is the output's cotangent, y the output. The
 * requirements on a rule stand in vjp.h; the choices at kinks and ties in ops.def.
 */
#include "vjp.h"

/* 2 / sqrt(pi): the slope of erf at 0 (Abramowitz and Stegun, 7.1.1). */
#define TWO_OVER_SQRT_PI 1.12837916709551257389615890312154517

/* 1 / sqrt(2), and 1 / sqrt(2 pi): the height of the normal density. */
#define SQRT_HALF 0.707106781186547524400844362104849039
#define NORMAL_HEIGHT 0.398942280401432677939946059934381868

/* Condition ? g : 0, for masks: exact even where g is not finite. */
static cot_value where(const coti_vjp *v, cot_value condition, cot_value g) {
    return cot_op_select(condition, g, coti_make_scalar(v, 0.0));
}

/* ---- two operands ---- */

/* Reads nothing. */
void coti_vjp_ADD(const coti_vjp *v, cot_value *grad) {
    for (int32_t i = 0; i < 2; i++) {
        if (v->needs[i]) {
            grad[i] = v->g;
        }
    }
}

/* Reads nothing. */
void coti_vjp_SUB(const coti_vjp *v, cot_value *grad) {
    if (v->needs[0]) {
        grad[0] = v->g;
    }
    if (v->needs[1]) {
        grad[1] = coti_make_neg(v->g);
    }
}

/* Reads each operand for the other. */
void coti_vjp_MUL(const coti_vjp *v, cot_value *grad) {
    for (int32_t i = 0; i < 2; i++) {
        if (v->needs[i]) {
            grad[i] = coti_make_mul(v->g, v->input[1 - i]);
        }
    }
}

/* da = g / b, db = -(g / b) * y. Reads b, and y for db. */
void coti_vjp_DIV(const coti_vjp *v, cot_value *grad) {
    cot_value da = coti_make_div(v->g, v->input[1]);
    if (v->needs[0]) {
        grad[0] = da;
    }
    if (v->needs[1]) {
        grad[1] = coti_make_neg(coti_make_mul(da, v->output));
    }
}

/* g where operand i wins by `better`, g/2 on a tie, 0 elsewhere (and where an operand is NaN). */
static cot_value extremum(const coti_vjp *v, cot_op better, int32_t i) {
    cot_value self = v->input[i];
    cot_value other = v->input[1 - i];
    cot_value half = coti_make_mul(v->g, coti_make_scalar(v, 0.5));
    cot_value tie = where(v, cot_op_binary(COT_OP_EQ, self, other), half);
    return cot_op_select(cot_op_binary(better, self, other), v->g, tie);
}

/* Reads both operands. */
void coti_vjp_MAX(const coti_vjp *v, cot_value *grad) {
    for (int32_t i = 0; i < 2; i++) {
        if (v->needs[i]) {
            grad[i] = extremum(v, COT_OP_GT, i);
        }
    }
}

/* Reads both operands. */
void coti_vjp_MIN(const coti_vjp *v, cot_value *grad) {
    for (int32_t i = 0; i < 2; i++) {
        if (v->needs[i]) {
            grad[i] = extremum(v, COT_OP_LT, i);
        }
    }
}

/* Is x one number everywhere, known now and not 0? */
static bool is_nonzero_constant(cot_value x) {
    const coti_node *node = coti_node_of(x);
    if (node->op == COT_OP_BROADCAST) {
        node = coti_node_at(x.graph, node->input[0]);
    }
    if (node->op != COT_OP_CONST || node->shape.rank != 0) {
        return false;
    }
    const coti_attr_DATA *attr = node->attr;
    return node->dtype == COT_F32 ? *(const float *)attr->data.data != 0.0F
                                  : *(const double *)attr->data.data != 0.0;
}

/*
 * da = g * b * a^(b-1), and 0 at 0^0, where that would be 0 * inf. The base, not the result, is
 * replaced there, so that no infinity hides in a branch not taken.
 */
static cot_value pow_base(const coti_vjp *v) {
    cot_value a = v->input[0];
    cot_value b = v->input[1];
    cot_value one = coti_make_scalar(v, 1.0);
    if (!is_nonzero_constant(b)) {
        cot_value zero = coti_make_scalar(v, 0.0);
        cot_value corner = cot_op_binary(COT_OP_AND, cot_op_binary(COT_OP_EQ, a, zero),
                                         cot_op_binary(COT_OP_EQ, b, zero));
        a = cot_op_select(corner, one, a);
    }
    cot_value power = cot_op_binary(COT_OP_POW, a, coti_make_sub(b, one));
    return coti_make_mul(v->g, coti_make_mul(b, power));
}

/*
 * db = g * y * log(a), with log(1) in place of log(0): 0 where a is 0 and b >= 0 (for b > 0 the
 * limit; for 0^0 as PyTorch, JAX and TensorFlow have it), NaN where a is 0 and b < 0. A negative
 * base has no derivative here: NaN.
 */
static cot_value pow_exponent(const coti_vjp *v) {
    cot_value a = v->input[0];
    cot_value is_zero = cot_op_binary(COT_OP_EQ, a, coti_make_scalar(v, 0.0));
    cot_value safe = cot_op_select(is_zero, coti_make_scalar(v, 1.0), a);
    return coti_make_mul(v->g, coti_make_mul(v->output, cot_op_unary(COT_OP_LOG, safe)));
}

/* Reads both operands, and y for db. */
void coti_vjp_POW(const coti_vjp *v, cot_value *grad) {
    if (v->needs[0]) {
        grad[0] = pow_base(v);
    }
    if (v->needs[1]) {
        grad[1] = pow_exponent(v);
    }
}

/* ---- one operand ---- */

/* Reads nothing. */
void coti_vjp_NEG(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_neg(v->g);
}

/* g * sign(x): 0 at 0. Reads x. */
void coti_vjp_ABS(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_mul(v->g, cot_op_unary(COT_OP_SIGN, v->input[0]));
}

/* g * y. Reads y. */
void coti_vjp_EXP(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_mul(v->g, v->output);
}

/* g exp(x): y + 1 would have lost its digits where y is near -1. Reads x. */
void coti_vjp_EXPM1(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_mul(v->g, cot_op_unary(COT_OP_EXP, v->input[0]));
}

/* g / x. Reads x. */
void coti_vjp_LOG(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_div(v->g, v->input[0]);
}

/* g / (1 + x). Reads x. */
void coti_vjp_LOG1P(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_div(v->g, coti_make_add(coti_make_scalar(v, 1.0), v->input[0]));
}

/* g / (2 y), infinite at 0. Reads y. */
void coti_vjp_SQRT(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_div(coti_make_mul(v->g, coti_make_scalar(v, 0.5)), v->output);
}

/* -g y^3 / 2. Reads y. */
void coti_vjp_RSQRT(const coti_vjp *v, cot_value *grad) {
    cot_value cube = coti_make_mul(v->output, coti_make_mul(v->output, v->output));
    grad[0] = coti_make_mul(coti_make_mul(v->g, coti_make_scalar(v, -0.5)), cube);
}

/* g (1 - y^2). Reads y. */
void coti_vjp_TANH(const coti_vjp *v, cot_value *grad) {
    cot_value square = coti_make_mul(v->output, v->output);
    grad[0] = coti_make_mul(v->g, coti_make_sub(coti_make_scalar(v, 1.0), square));
}

/* g y (1 - y). Reads y. */
void coti_vjp_SIGMOID(const coti_vjp *v, cot_value *grad) {
    cot_value rest = coti_make_sub(coti_make_scalar(v, 1.0), v->output);
    grad[0] = coti_make_mul(v->g, coti_make_mul(v->output, rest));
}

/* g 2/sqrt(pi) exp(-x^2). Reads x. */
void coti_vjp_ERF(const coti_vjp *v, cot_value *grad) {
    cot_value square = coti_make_mul(v->input[0], v->input[0]);
    cot_value bell = cot_op_unary(COT_OP_EXP, coti_make_neg(square));
    grad[0] = coti_make_mul(v->g, coti_make_mul(bell, coti_make_scalar(v, TWO_OVER_SQRT_PI)));
}

/* -g 2/sqrt(pi) exp(-x^2). Reads x. */
void coti_vjp_ERFC(const coti_vjp *v, cot_value *grad) {
    cot_value square = coti_make_mul(v->input[0], v->input[0]);
    cot_value bell = cot_op_unary(COT_OP_EXP, coti_make_neg(square));
    grad[0] = coti_make_mul(v->g, coti_make_mul(bell, coti_make_scalar(v, -TWO_OVER_SQRT_PI)));
}

/* g sigmoid(x). Reads x. */
void coti_vjp_SOFTPLUS(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_mul(v->g, cot_op_unary(COT_OP_SIGMOID, v->input[0]));
}

/*
 * g (Phi(x) + x phi(x)). Phi by erfc keeps its digits where both terms are small: x phi(x) is then
 * the larger one. Halving and doubling are exact. Reads x.
 */
void coti_vjp_GELU(const coti_vjp *v, cot_value *grad) {
    cot_value x = v->input[0];
    cot_value half = coti_make_scalar(v, 0.5);
    cot_value tail = cot_op_unary(COT_OP_ERFC, coti_make_mul(x, coti_make_scalar(v, -SQRT_HALF)));
    cot_value square = coti_make_mul(coti_make_mul(x, x), half);
    cot_value bell = cot_op_unary(COT_OP_EXP, coti_make_neg(square));
    cot_value density = coti_make_mul(bell, coti_make_scalar(v, NORMAL_HEIGHT));
    cot_value slope = coti_make_add(coti_make_mul(tail, half), coti_make_mul(x, density));
    grad[0] = coti_make_mul(v->g, slope);
}

/* g cos(x). Reads x. */
void coti_vjp_SIN(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_mul(v->g, cot_op_unary(COT_OP_COS, v->input[0]));
}

/* -g sin(x). Reads x. */
void coti_vjp_COS(const coti_vjp *v, cot_value *grad) {
    grad[0] = coti_make_mul(v->g, coti_make_neg(cot_op_unary(COT_OP_SIN, v->input[0])));
}

/* g where y > 0: 0 at 0, and at a NaN. Reads y. */
void coti_vjp_RELU(const coti_vjp *v, cot_value *grad) {
    cot_value is_on = cot_op_binary(COT_OP_GT, v->output, coti_make_scalar(v, 0.0));
    grad[0] = where(v, is_on, v->g);
}

/* ---- own operand types ---- */

/* g goes to the branch taken. Reads the condition. */
void coti_vjp_SELECT(const coti_vjp *v, cot_value *grad) {
    cot_value zero = coti_make_scalar(v, 0.0);
    if (v->needs[1]) {
        grad[1] = cot_op_select(v->input[0], v->g, zero);
    }
    if (v->needs[2]) {
        grad[2] = cot_op_select(v->input[0], zero, v->g);
    }
}

/* Between floats (the walk stops at any other dtype): g converted back. Reads nothing. */
void coti_vjp_CAST(const coti_vjp *v, cot_value *grad) {
    grad[0] = cot_op_cast(v->g, cot_value_dtype(v->input[0]));
}
