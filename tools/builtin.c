/* The built-in examples: see builtin.h. */
#include "builtin.h"

#include "../examples/datasets.h"

#include <string.h>

static cot_dataset *fashion_mnist_training(cot_context *context, const char *dir) {
    return read_fashion_mnist(context, dir, "train");
}

static cot_dataset *fashion_mnist_test(cot_context *context, const char *dir) {
    return read_fashion_mnist(context, dir, "t10k");
}

static const builtin builtins[] = {
    {"fashion-mnist",
     FASHION_MNIST_DIR,
     "adam",
     {.rank = 2, .dim = {28, 28}},
     {512},
     COT_SPARSE_CATEGORICAL_CROSSENTROPY,
     fashion_mnist_training,
     fashion_mnist_test},
    {"cifar10",
     NULL,
     "sgd",
     {.rank = 3, .dim = {32, 32, 3}},
     {20, 15},
     COT_CATEGORICAL_CROSSENTROPY,
     read_cifar10_training,
     read_cifar10_test},
};

const builtin *builtin_find(const char *name) {
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++) {
        if (name != NULL && strcmp(builtins[i].name, name) == 0) {
            return &builtins[i];
        }
    }
    return NULL;
}

builtin_shape builtin_default(const builtin *example) {
    builtin_shape shape = {.activation = COT_RELU};
    for (; example->hidden[shape.n_hidden] != 0; shape.n_hidden++) {
        shape.units[shape.n_hidden] = example->hidden[shape.n_hidden];
    }
    return shape;
}

cot_model *builtin_build(cot_context *context, const builtin *example, const builtin_shape *shape) {
    cot_model *model = cot_sequential_create(context, COT_F32, example->row, NULL);
    cot_status status =
        model == NULL ? COT_E_ARG : cot_sequential_add(model, cot_flatten_layer(context, NULL));
    for (int32_t i = 0; status == COT_OK && i < shape->n_hidden; i++) {
        status = cot_sequential_add(
            model, cot_dense_layer(context, shape->units[i], .activation = shape->activation));
    }
    if (status == COT_OK) {
        status = cot_sequential_add(model, cot_dense_layer(context, 10, .activation = COT_SOFTMAX));
    }
    if (status != COT_OK) {
        cot_model_destroy(model);
        return NULL;
    }
    return model;
}
