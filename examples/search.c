/*
 * Choosing hyper-parameters: the learning rate and the width of a network on Fashion-MNIST, by
 * successive halving on a validation set; the test set is evaluated once, by the winner.
 *
 *   search [DIR] [TRIALS]
 *
 * DIR holds the four IDX files of the data set; by default Debian's package dataset-fashion-mnist.
 * 10,000 of the training rows are used, a fifth of them for validation. Takes some seconds.
 */
#include "console.h"
#include "datasets.h"

/* A trial's model. Options are read by name; the fit's own are set here, too. */
static cot_model *build(const cot_trial *trial, cot_fit_options *fit, void *user) {
    cot_context *context = cot_trial_context(trial);
    (void)user;
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor hidden = cot_dense(image, cot_trial_int(trial, "units"), .activation = COT_RELU);
    cot_tensor class = cot_dense(hidden, 10, .activation = COT_SOFTMAX, .name = "class");
    cot_model *model = cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
    if (model != NULL) { /* an error stays in the context: the trial fails with it */
        (void)cot_model_compile(
            model, .optimizer = cot_adam(.learning_rate = cot_trial_float(trial, "learning_rate")),
            .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY});
    }
    fit->batch_size = 128;
    return model;
}

static cot_status show(const cot_trial *trial, void *user) {
    const cot_trial_info info = cot_trial_get_info(trial);
    (void)user;
    (void)printf("trial %d: learning rate %.5f, %d units: val_accuracy %.4f after %d epochs, %s\n",
                 (int)cot_trial_index(trial), cot_trial_float(trial, "learning_rate"),
                 (int)cot_trial_int(trial, "units"), info.value, (int)info.n_epochs,
                 cot_trial_state_name(info.state));
    return COT_OK;
}

static bool search(cot_context *context, const cot_dataset *data, const cot_dataset *test,
                   int32_t trials) {
    cot_search_result *result = NULL;
    cot_status status =
        cot_search(context, &result, build, .data = data, .validation_split = 0.2,
                   .test_data = test, .method = COT_SEARCH_HALVING, .trials = trials, .epochs = 9,
                   .monitor = "val_accuracy", .on_trial_end = show,
                   .ranges = COT_RANGES(cot_range_log_uniform("learning_rate", 1e-5, 1e-1),
                                        cot_range_numbers("units", 16, 32, 64, 128)));
    if (status == COT_OK) {
        status = cot_search_write_table(result, console_write, stdout);
    }
    if (status == COT_OK) {
        cot_logs logs = cot_search_test(result);
        (void)printf("test accuracy: %.4f\n", cot_logs_get(&logs, "accuracy"));
    }
    cot_search_result_destroy(result);
    return status == COT_OK;
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : FASHION_MNIST_DIR;
    int trials = argc > 2 ? atoi(argv[2]) : 27;
    cot_context *context = cot_context_create(NULL);
    if (context == NULL) {
        (void)fprintf(stderr, "no memory, or an invalid option\n");
        return EXIT_FAILURE;
    }
    cot_dataset *all = read_fashion_mnist(context, dir, "train");
    cot_dataset *test = read_fashion_mnist(context, dir, "t10k");
    int64_t n = cot_dataset_n_rows(all) < 10000 ? cot_dataset_n_rows(all) : 10000;
    cot_dataset *data = cot_dataset_slice(all, 0, n);
    bool good = data != NULL && test != NULL && search(context, data, test, trials);
    if (!good) {
        (void)fprintf(stderr, "search: %s\n", cot_error_message(context));
    }
    cot_dataset_destroy(data);
    cot_dataset_destroy(test);
    cot_dataset_destroy(all);
    cot_context_destroy(context);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
