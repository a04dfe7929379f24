/* What fit is asked to do: its options checked, with their defaults. */
#include "frontend/training/training.h"

/* Counts of steps and epochs. */
static cot_status check_rhythm(cot_context *context, cot_fit_options *own) {
    own->validation_freq = own->validation_freq == 0 ? 1 : own->validation_freq;
    if (own->steps_per_epoch < 0 || own->validation_steps < 0 || own->validation_freq < 1) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_fit: steps_per_epoch is %lld, validation_steps %lld, "
                         "validation_freq %d, expected 0 or more",
                         (long long)own->steps_per_epoch, (long long)own->validation_steps,
                         (int)own->validation_freq);
    }
    if (own->class_weight.n != 0 && own->sample_weight.n != 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_fit: class_weight and sample_weight are given, expected one");
    }
    return COT_OK;
}

cot_status coti_fit_read(cot_context *context, const cot_fit_options *given, cot_fit_options *own) {
    COTI_TRY(coti_options_copy(context, "cot_model_fit", given, own, sizeof *own));
    COTI_TRY(coti_choose_batch(context, "cot_model_fit", own->batch_size, &own->batch_size));
    if (own->validation_batch_size < 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_fit: validation_batch_size is %lld, expected 1 or more",
                         (long long)own->validation_batch_size);
    }
    own->validation_batch_size =
        own->validation_batch_size == 0 ? own->batch_size : own->validation_batch_size;
    own->epochs = own->epochs == 0 ? 1 : own->epochs;
    if (own->epochs < 1 || own->initial_epoch < 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_fit: epochs is %d and initial_epoch %d, expected 1 and 0 or "
                         "more",
                         (int)own->epochs, (int)own->initial_epoch);
    }
    if (own->validation_split != 0.0 && own->validation_data == NULL &&
        !(own->validation_split > 0.0 && own->validation_split < 1.0)) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_fit: validation_split is %g, expected 0 to 1",
                         own->validation_split);
    }
    return check_rhythm(context, own);
}
