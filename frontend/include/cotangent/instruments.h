/*
 * Cotangent, instruments: what goes on inside a network while it trains, as numbers of each epoch's
 * logs, and so in the history, in CSV files, in TensorBoard and in `cotangent report`. They are
 * computed inside the compiled step; what is not asked for costs nothing, and what is asked for
 * changes no bit of the training.
 *
 *     cot_model_compile(model, ..., .instruments = COT_INSTRUMENT_UNITS | COT_INSTRUMENT_NORMS)
 */
#ifndef COTANGENT_INSTRUMENTS_H
#define COTANGENT_INSTRUMENTS_H

#include "base.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /*
     * "<layer>/dead_units" of a layer that ends in a ReLU: the share of its units (places on the
     * last axis) that no row of the epoch has switched on. "<layer>/saturated" of one that ends in
     * a sigmoid or tanh: the share of its outputs within 0.01 of either end of the range.
     */
    COT_INSTRUMENT_UNITS = 1,
    /*
     * "<layer>/weight_norm": the root of the sum of squares of the layer's weights at the epoch's
     * end. "<layer>/gradient_norm", "<layer>/update_norm": that of the gradients of its trained
     * weights (before clipping), and of what steps changed, as root mean squares over the epoch's
     * steps.
     */
    COT_INSTRUMENT_NORMS = 2,
    /*
     * "nonfinite/step": the first step, from 0, that computed a NaN or an infinity, whether or not
     * it went into the loss; -1: none so far. cot_model_nonfinite says where it arose. Every value
     * of a step is accounted for, which then takes about an eighth longer.
     */
    COT_INSTRUMENT_NONFINITE = 4,
    COT_INSTRUMENT_ALL = 7
};

/* Where the first NaN or infinity of a training arose. */
typedef struct cot_nonfinite {
    bool found;
    int64_t step;      /* of the optimizer's iterations, from 0 */
    const char *op;    /* "dot", "exp", ...: the first operation of that step that made one */
    const char *layer; /* whose operation it is, or whose gradient's; "" when it is no layer's */
} cot_nonfinite;

/*
 * What COT_INSTRUMENT_NONFINITE has found since the model was compiled. Texts live until the next
 * compile. fails: COT_E_ARG (not compiled, or without that instrument)
 */
COT_API cot_status cot_model_nonfinite(const cot_model *model, cot_nonfinite *out);

#ifdef __cplusplus
}
#endif
#endif
