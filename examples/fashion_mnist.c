/*
 * The lecture's network, 784-512-10 with ReLU and softmax, trained on Fashion-MNIST.
 *
 *   fashion_mnist [--data DIR] [--epochs N] [--batch N] [--seed N]
 *
 * DIR holds the four IDX files of the data set, plain or gzip; by default Debian's package
 * dataset-fashion-mnist. The test set is evaluated once, after training; the last line is "test
 * accuracy: 0.NNNN".
 */
#include "console.h"
#include "datasets.h"

typedef struct trainer_options {
    const char *data;
    int32_t epochs;
    int64_t batch;
    uint64_t seed;
} trainer_options;

static int usage(void) {
    (void)fprintf(stderr,
                  "usage: fashion_mnist [--data DIR] [--epochs N] [--batch N] [--seed N]\n");
    return 2;
}

static bool parse_options(int argc, char **argv, trainer_options *result) {
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            return false;
        }
        char *end = NULL;
        unsigned long long number = strtoull(argv[i + 1], &end, 10);
        bool is_number = end != argv[i + 1] && *end == '\0' && argv[i + 1][0] != '-';
        if (strcmp(argv[i], "--data") == 0) {
            result->data = argv[i + 1];
        } else if (strcmp(argv[i], "--seed") == 0 && is_number) {
            result->seed = number;
        } else if (strcmp(argv[i], "--epochs") == 0 && is_number && number - 1 < INT32_MAX) {
            result->epochs = (int32_t)number;
        } else if (strcmp(argv[i], "--batch") == 0 && is_number && number - 1 < 65536) {
            result->batch = (int64_t)number;
        } else {
            return false;
        }
    }
    return true;
}

static cot_model *build_model(cot_context *context) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor hidden = cot_dense(image, 512, .activation = COT_RELU);
    cot_tensor class = cot_dense(hidden, 10, .activation = COT_SOFTMAX, .name = "class");
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), "fashion");
}

/* The lecture's step decay: a fifth of the learning rate for the last three epochs. user: the
 * number of epochs. */
static cot_status decay_learning_rate(cot_model *model, int32_t epoch, void *user) {
    const int32_t *epochs = user;
    if (epoch != *epochs - 3) {
        return COT_OK;
    }
    return cot_model_set_learning_rate(model, 0.2 * cot_model_learning_rate(model));
}

static cot_status train(cot_model *model, const cot_dataset *train_set, const cot_dataset *test_set,
                        const trainer_options *options, const cot_console *console) {
    cot_status status = cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.001),
                                          .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                          .metrics = {COT_ACCURACY}, .max_batch = options->batch);
    if (status == COT_OK) {
        status = cot_model_summary(model, console);
    }
    int32_t epochs = options->epochs;
    const cot_callback decay = {
        .struct_size = sizeof decay, .user = &epochs, .on_epoch_begin = decay_learning_rate};
    if (status == COT_OK) {
        status =
            cot_model_fit(model, train_set, .epochs = options->epochs, .batch_size = options->batch,
                          .callbacks = {&decay}, .console = console);
    }
    cot_logs report = {0};
    if (status == COT_OK) {
        status = cot_model_evaluate(model, test_set, &report, .batch_size = options->batch);
    }
    if (status == COT_OK) {
        (void)printf("test accuracy: %.4f\n", cot_logs_get(&report, "accuracy"));
    }
    return status;
}

int main(int argc, char **argv) {
    trainer_options options = {FASHION_MNIST_DIR, 10, 128, 0};
    if (!parse_options(argc, argv, &options)) {
        return usage();
    }
    cot_options context_options = {.struct_size = sizeof context_options, .seed = options.seed};
    cot_context *context = cot_context_create(&context_options);
    if (context == NULL) {
        (void)fprintf(stderr, "no memory, or an invalid option\n");
        return EXIT_FAILURE;
    }
    cot_console console = console_of(stdout);
    cot_dataset *train_set = read_fashion_mnist(context, options.data, "train");
    cot_dataset *test_set = read_fashion_mnist(context, options.data, "t10k");
    cot_model *model = build_model(context);

    bool good = train_set != NULL && test_set != NULL && model != NULL &&
                train(model, train_set, test_set, &options, &console) == COT_OK;
    if (!good) {
        (void)fprintf(stderr, "fashion_mnist: %s\n", cot_error_message(context));
    }
    cot_model_destroy(model);
    cot_dataset_destroy(test_set);
    cot_dataset_destroy(train_set);
    cot_context_destroy(context);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
