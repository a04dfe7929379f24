/*
 * Decompositions of the normalisations (decompose.h): y = normal * scale + offset, with
 * normal = (x - mean) / sqrt(variance + epsilon), the statistics as norm.h makes them; RMS_NORM has
 * the mean square in place of the variance, no mean and no offset.
 */
#include "decompose.h"

#include "norm.h"

static cot_value normalised(const coti_node *node, const cot_value *input) {
    cot_shape shape = cot_value_shape(input[0]);
    coti_norm norm = coti_norm_of(node, &shape);
    cot_value x = coti_make_normal(&norm, coti_norm_view(&norm, input[0])).normal;
    cot_value y = cot_op_binary(COT_OP_MUL, x, coti_norm_factor(&norm, input[1]));
    if (node->n_inputs == 3) {
        y = cot_op_binary(COT_OP_ADD, y, coti_norm_factor(&norm, input[2]));
    }
    return coti_norm_unview(&norm, y);
}

cot_value coti_decompose_LAYER_NORM(const coti_node *node, const cot_value *input) {
    return normalised(node, input);
}

cot_value coti_decompose_RMS_NORM(const coti_node *node, const cot_value *input) {
    return normalised(node, input);
}

cot_value coti_decompose_GROUP_NORM(const coti_node *node, const cot_value *input) {
    return normalised(node, input);
}

cot_value coti_decompose_BATCH_NORM(const coti_node *node, const cot_value *input) {
    return normalised(node, input);
}
