/*
 * The lecture's CIFAR-10 network in the functional style: 3072-20-15-10, ReLU and softmax,
 * categorical cross-entropy on one-hot labels, SGD, batches of 128, the last fifth kept for
 * validation.
 *
 *   cifar10 DIR [EPOCHS]      DIR holds data_batch_1.bin ... data_batch_5.bin and test_batch.bin
 * (the data set's "binary version"); of the five, those that are there are read. EPOCHS: 10
 *
 * The last line is "test accuracy: 0.NNNN".
 */
#include "console.h"
#include "datasets.h"

static cot_model *build_model(cot_context *context) {
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(32, 32, 3), "image");
    cot_tensor pixels = cot_flatten(input);
    cot_tensor x = cot_dense(pixels, 20, .activation = COT_RELU);
    cot_tensor y = cot_dense(x, 15, .activation = COT_RELU);
    cot_tensor class = cot_dense(y, 10, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(input), COT_TENSORS(class), "cifar10");
}

static cot_status train(cot_model *model, const cot_dataset *train_set, const cot_dataset *test_set,
                        int32_t epochs, const cot_console *console) {
    cot_status status =
        cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = 0.01),
                          .loss = COT_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY});
    if (status == COT_OK) {
        status = cot_model_summary(model, console);
    }
    if (status == COT_OK) {
        status = cot_model_fit(model, train_set, .epochs = epochs, .batch_size = 128,
                               .validation_split = 0.2, .console = console);
    }
    cot_logs report = {0};
    if (status == COT_OK) {
        status = cot_model_evaluate(model, test_set, &report, .batch_size = 128);
    }
    if (status == COT_OK) {
        (void)printf("test accuracy: %.4f\n", cot_logs_get(&report, "accuracy"));
    }
    return status;
}

int main(int argc, char **argv) {
    int32_t epochs = argc == 3 ? (int32_t)strtol(argv[2], NULL, 10) : 10;
    if (argc < 2 || argc > 3 || epochs < 1) {
        (void)fprintf(stderr, "usage: cifar10 DIR [EPOCHS]\n");
        return 2;
    }
    cot_context *context = cot_context_create(NULL);
    if (context == NULL) {
        (void)fprintf(stderr, "no memory\n");
        return EXIT_FAILURE;
    }
    cot_console console = console_of(stdout);
    cot_dataset *train_set = read_cifar10_training(context, argv[1]);
    cot_dataset *test_set = read_cifar10_test(context, argv[1]);
    cot_model *model = build_model(context);

    bool good = train_set != NULL && test_set != NULL && model != NULL &&
                train(model, train_set, test_set, epochs, &console) == COT_OK;
    if (!good) {
        (void)fprintf(stderr, "cifar10: %s\n", cot_error_message(context));
    }
    cot_model_destroy(model);
    cot_dataset_destroy(test_set);
    cot_dataset_destroy(train_set);
    cot_context_destroy(context);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
