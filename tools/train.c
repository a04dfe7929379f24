/* `cotangent train`: the built-in examples, with their options open. */
#include "command.h"

#include "../examples/console.h"
#include "builtin.h"

#include <math.h>
#include <string.h>

const char *const command_train_help =
    "usage: cotangent train EXAMPLE [options]\n\n"
    "  fashion-mnist   784-512-10, ReLU and softmax, on Fashion-MNIST's IDX files\n"
    "  cifar10         3072-20-15-10, ReLU and softmax, on CIFAR-10's binary batches\n\n"
    "  --data DIR            folder of the data set's files (fashion-mnist: that of Debian's "
    "package)\n"
    "  --epochs N            10\n"
    "  --batch N             128\n"
    "  --optimizer NAME      sgd or adam (fashion-mnist: adam; cifar10: sgd)\n"
    "  --learning-rate X     sgd 0.01, adam 0.001\n"
    "  --momentum X          of sgd: 0\n"
    "  --nesterov            of sgd\n"
    "  --validation-split X  share of the training rows kept for validation: 0.1\n"
    "  --seed N              of initial weights and shuffles: 0\n"
    "  --log DIR             write event files, which TensorBoard and `cotangent report` show\n"
    "  --instruments         into them: dead and saturated units, norms, the first NaN\n"
    "  --backup DIR          keep checkpoints there; begun again, the training goes on from "
    "them\n\n"
    "Prints the model, the progress, and at last \"test accuracy: 0.NNNN\".\n";

typedef struct train_options {
    const char *data, *optimizer, *log, *backup;
    int64_t epochs, batch, seed;
    double learning_rate, momentum, validation_split;
    bool nesterov, instruments;
} train_options;

static cot_status compile(cot_model *model, const builtin *example, const train_options *options) {
    /* not given: the default; a zero that is given is meant */
    const double rate = isnan(options->learning_rate)   ? 0.0
                        : options->learning_rate == 0.0 ? COT_ZERO
                                                        : options->learning_rate;
    const cot_optimizer *sgd = cot_sgd(.learning_rate = rate, .momentum = options->momentum,
                                       .nesterov = options->nesterov);
    const cot_optimizer *adam = cot_adam(.learning_rate = rate);
    return cot_model_compile(
        model, .optimizer = strcmp(options->optimizer, "sgd") == 0 ? sgd : adam,
        .loss = example->loss, .metrics = {COT_ACCURACY}, .max_batch = options->batch,
        .instruments = options->instruments ? COT_INSTRUMENT_ALL : 0);
}

static cot_status fit(cot_model *model, const cot_dataset *training, const train_options *options,
                      const cot_console *console) {
    const cot_callback *board = cot_tensorboard(options->log, .histogram_freq = 1);
    const cot_callback *backup = cot_backup_and_restore(options->backup);
    const cot_callback *given[2] = {NULL, NULL};
    int n = 0;
    if (options->log != NULL) {
        given[n++] = board;
    }
    if (options->backup != NULL) {
        given[n++] = backup;
    }
    return cot_model_fit(model, training, .epochs = (int32_t)options->epochs,
                         .batch_size = options->batch,
                         .validation_split = options->validation_split, .console = console,
                         .callbacks = {given[0], given[1]});
}

static cot_status train(cot_context *context, const builtin *example,
                        const train_options *options) {
    cot_console console = console_of(stdout);
    const builtin_shape shape = builtin_default(example);
    cot_dataset *training = example->read_training(context, options->data);
    cot_dataset *test = training == NULL ? NULL : example->read_test(context, options->data);
    cot_model *model = test == NULL ? NULL : builtin_build(context, example, &shape);
    cot_status status =
        model == NULL ? cot_error_get(context).status : compile(model, example, options);
    if (status == COT_OK) {
        status = cot_model_summary(model, &console);
    }
    if (status == COT_OK) {
        status = fit(model, training, options, &console);
    }
    cot_logs report = {0};
    if (status == COT_OK) {
        status = cot_model_evaluate(model, test, &report, .batch_size = options->batch);
    }
    if (status == COT_OK) {
        (void)printf("test accuracy: %.4f\n", cot_logs_get(&report, "accuracy"));
    }
    cot_model_destroy(model);
    cot_dataset_destroy(test);
    cot_dataset_destroy(training);
    return status;
}

/* Fill in the example's defaults; false after a message on stderr. */
static bool complete(const builtin *example, train_options *options) {
    options->data = options->data != NULL ? options->data : example->data;
    options->optimizer = options->optimizer != NULL ? options->optimizer : example->optimizer;
    if (options->data == NULL) {
        (void)fprintf(stderr, "cotangent train: %s needs --data DIR\n", example->name);
        return false;
    }
    if (strcmp(options->optimizer, "sgd") != 0 && strcmp(options->optimizer, "adam") != 0) {
        (void)fprintf(stderr, "cotangent train: unknown optimizer '%s': sgd or adam\n",
                      options->optimizer);
        return false;
    }
    if (options->epochs < 1 || options->epochs > INT32_MAX || options->batch < 1) {
        (void)fprintf(stderr, "cotangent train: --epochs and --batch must be at least 1\n");
        return false;
    }
    return true;
}

int command_train(int argc, char **argv) {
    const char *name = NULL;
    train_options options = {
        .epochs = 10, .batch = 128, .validation_split = 0.1, .learning_rate = NAN};
    const command_option table[] = {{"--data", 's', (void *)&options.data},
                                    {"--optimizer", 's', (void *)&options.optimizer},
                                    {"--epochs", 'i', &options.epochs},
                                    {"--batch", 'i', &options.batch},
                                    {"--seed", 'i', &options.seed},
                                    {"--learning-rate", 'f', &options.learning_rate},
                                    {"--momentum", 'f', &options.momentum},
                                    {"--validation-split", 'f', &options.validation_split},
                                    {"--nesterov", 'b', &options.nesterov},
                                    {"--log", 's', (void *)&options.log},
                                    {"--instruments", 'b', &options.instruments},
                                    {"--backup", 's', (void *)&options.backup},
                                    {NULL, 0, NULL}};
    int n = command_parse(argc, argv, table, &name, 1);
    const builtin *example = builtin_find(name);
    if (n != 1 || example == NULL) {
        (void)fputs(command_train_help, stderr);
        return COMMAND_USAGE;
    }
    if (!complete(example, &options)) {
        return COMMAND_USAGE;
    }
    cot_options context_options = {.struct_size = sizeof context_options,
                                   .seed = (uint64_t)options.seed};
    cot_context *context = cot_context_create(&context_options);
    if (context == NULL) {
        return COMMAND_FAILED;
    }
    int exit_status = COMMAND_OK;
    if (train(context, example, &options) != COT_OK) {
        exit_status = command_fail("train", context);
    }
    cot_context_destroy(context);
    return exit_status;
}
