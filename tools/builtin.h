/* The built-in examples, which `cotangent train` trains and `cotangent search` searches. */
#ifndef TOOLS_BUILTIN_H
#define TOOLS_BUILTIN_H

#include <cotangent.h>

/* A built-in example: a stack of dense layers and where its rows come from. */
typedef struct builtin {
    const char *name, *data, *optimizer;
    cot_shape row;
    int64_t hidden[4]; /* units of the hidden layers, ended by 0 */
    cot_loss loss;
    cot_dataset *(*read_training)(cot_context *context, const char *dir);
    cot_dataset *(*read_test)(cot_context *context, const char *dir);
} builtin;

enum { BUILTIN_MOST_LAYERS = 64 };

/* Hidden layers, in the place of the example's own. */
typedef struct builtin_shape {
    int32_t n_hidden;
    int64_t units[BUILTIN_MOST_LAYERS];
    cot_activation_kind activation;
} builtin_shape;

/* NULL: there is none of this name. */
const builtin *builtin_find(const char *name);
/* The example's own hidden layers, of ReLU. */
builtin_shape builtin_default(const builtin *example);
/* Dense layers, the last of 10 classes; NULL on error. */
cot_model *builtin_build(cot_context *context, const builtin *example, const builtin_shape *shape);

#endif
