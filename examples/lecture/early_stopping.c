/*
 * Overfitting, seen by validation and stopped early. One network is trained on few rows for many
 * epochs; the same network again with EarlyStopping, which gives back the weights of the best
 * epoch, and with a checkpoint of that epoch and a log in CSV, as the lecture's callbacks.
 */
#include "lesson.h"

#include <unistd.h>

enum { ROWS = 2000, EPOCHS = 60, PATIENCE = 6, BATCH = 64, N_NETWORKS = 2 };

static const lesson_text text = {
    .name = "early_stopping",
    .title = "Overfitting, and stopping early",
    .lecture = "Early Stopping: Interrupting Training when the Validation Loss is no longer "
               "improving (and saving the best model)",
    .what = "A network 784-256-128-10 learns 2,000 images of Fashion-MNIST by heart; 8,800 others "
            "validate. "
            "The training loss goes on falling, the validation loss turns. EarlyStopping with a "
            "patience of 6 epochs stops the same training and restores the weights of its best "
            "epoch, ModelCheckpoint saves them, and CSVLogger writes the log."};

typedef struct network {
    cot_model *model;
    double train_loss, validation_loss, test_loss, test_accuracy;
} network;

static cot_model *build(cot_context *context) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor x = cot_dense(image, 256, .activation = COT_RELU, .name = "hidden_1",
                             .kernel_numbers = cot_initializer_numbers(.seed = 1));
    x = cot_dense(x, 128, .activation = COT_RELU, .name = "hidden_2",
                  .kernel_numbers = cot_initializer_numbers(.seed = 2));
    cot_tensor class = cot_dense(x, 10, .activation = COT_SOFTMAX, .name = "class",
                                 .kernel_numbers = cot_initializer_numbers(.seed = 3));
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
}

static bool make(lesson *l, network *net) {
    net->model = build(l->context);
    return lesson_made(l, net->model) &&
           lesson_good(l,
                       cot_model_compile(net->model, .optimizer = cot_adam(.learning_rate = 1e-3),
                                         .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                         .metrics = {COT_ACCURACY}));
}

/* Losses of the model as it is when the training is over. */
static bool judge(lesson *l, network *net, const cot_dataset *few) {
    cot_logs logs = {0};
    bool good = lesson_good(l, cot_model_evaluate(net->model, few, &logs, .batch_size = BATCH));
    net->train_loss = cot_logs_get(&logs, "loss");
    good = good && lesson_good(l, cot_model_evaluate(net->model, l->validation, &logs,
                                                     .batch_size = BATCH));
    net->validation_loss = cot_logs_get(&logs, "loss");
    good =
        good && lesson_good(l, cot_model_evaluate(net->model, l->test, &logs, .batch_size = BATCH));
    net->test_loss = cot_logs_get(&logs, "loss");
    net->test_accuracy = cot_logs_get(&logs, "accuracy");
    return good;
}

/* What the stopped training leaves on disk, in a directory of its own. */
typedef struct files {
    char directory[64], weights[96], log[96];
} files;

static bool make_files(lesson *l, files *f) {
    (void)snprintf(f->directory, sizeof f->directory, "/tmp/early_stopping_XXXXXX");
    if (mkdtemp(f->directory) == NULL) {
        (void)fprintf(stderr, "early_stopping: no directory for the checkpoint\n");
        l->exit_status = EXIT_FAILURE;
        return false;
    }
    (void)snprintf(f->weights, sizeof f->weights, "%s/best.safetensors", f->directory);
    (void)snprintf(f->log, sizeof f->log, "%s/log.csv", f->directory);
    return true;
}

static int lines_of(const char *path) {
    FILE *file = fopen(path, "r");
    int n = 0;
    for (int c = 0; file != NULL && (c = fgetc(file)) != EOF;) {
        n += c == '\n';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return n;
}

/* Is the saved model the restored one? Then it has the same validation loss to the last bit. */
static void check_files(lesson *l, const files *f, network *net) {
    cot_logs logs = {0};
    int lines = lines_of(f->log), epochs = cot_history_n_epochs(cot_model_history(net->model));
    bool same =
        lesson_good(l, cot_model_load_weights(net->model, f->weights)) &&
        lesson_good(l, cot_model_evaluate(net->model, l->validation, &logs, .batch_size = BATCH)) &&
        cot_logs_get(&logs, "loss") == net->validation_loss;
    lesson_claim(l, same, "the checkpoint of the best epoch holds the restored weights");
    lesson_claim(l, lines == epochs + 1, "the log in CSV has a line for each of the %d epochs",
                 epochs);
    (void)unlink(f->weights);
    (void)unlink(f->log);
    (void)rmdir(f->directory);
}

static bool train(lesson *l, network *net, const cot_dataset *few,
                  cot_early_stopping_callback *stop, const files *f) {
    return make(l, &net[0]) && make(l, &net[1]) &&
           lesson_good(l, cot_model_fit(net[0].model, few, .epochs = EPOCHS, .batch_size = BATCH,
                                        .validation_data = l->validation)) &&
           lesson_good(l, cot_model_fit(
                              net[1].model, few, .epochs = EPOCHS, .batch_size = BATCH,
                              .validation_data = l->validation,
                              .callbacks = {&stop->base, cot_csv_logger(f->log),
                                            cot_model_checkpoint(f->weights, .save_best_only = true,
                                                                 .save_weights_only = true)})) &&
           judge(l, &net[0], few) && judge(l, &net[1], few);
}

static void report(lesson *l, const network *net, const cot_early_stopping_callback *stop) {
    const char *const label[N_NETWORKS] = {"all 60 epochs", "stopped early"};
    (void)printf("%-16s %14s %16s %12s %15s\n", "", "training loss", "validation loss", "test loss",
                 "test accuracy");
    for (int i = 0; i < N_NETWORKS; i++) {
        (void)printf("%-16s %14.4f %16.4f %12.4f %15.4f\n", label[i], net[i].train_loss,
                     net[i].validation_loss, net[i].test_loss, net[i].test_accuracy);
    }
    lesson_claim(l,
                 net[0].validation_loss > 1.2 * net[1].validation_loss &&
                     net[0].train_loss < net[1].train_loss,
                 "in the last epochs the training loss is lower, the validation loss higher");
    lesson_claim(l, stop->stopped_epoch == stop->best_epoch + PATIENCE,
                 "the training stopped after epoch %d, %d epochs behind its best, epoch %d",
                 stop->stopped_epoch + 1, PATIENCE, stop->best_epoch + 1);
    const double *history = cot_history_values(cot_model_history(net[1].model), "val_loss");
    lesson_claim(l, net[1].validation_loss == history[stop->best_epoch],
                 "the weights are the best epoch's again: the same validation loss, to the bit");
    lesson_claim(l, net[1].test_loss < net[0].test_loss,
                 "what validation chose is better on the test set, too");
}

static void draw(lesson *l, const network *net, const cot_early_stopping_callback *stop) {
    const double best[2] = {stop->best_epoch + 1.0, stop->best_epoch + 1.0}, side[2] = {0.0, 9.0};
    const figure_line line[] = {
        lesson_curve(net[0].model, "loss", "training", FIGURE_BLUE, FIGURE_SOLID),
        lesson_curve(net[0].model, "val_loss", "validation", FIGURE_RED, FIGURE_DASHED),
        {.label = "best epoch",
         .color = FIGURE_GREEN,
         .style = FIGURE_DOTTED,
         .n = 2,
         .x = best,
         .y = side},
    };
    const figure_line stopped[] = {
        lesson_curve(net[1].model, "loss", "training", FIGURE_BLUE, FIGURE_SOLID),
        lesson_curve(net[1].model, "val_loss", "validation", FIGURE_RED, FIGURE_DASHED),
        line[2],
    };
    const figure_panel panel[] = {
        {.title = "All 60 epochs",
         .x_label = "epoch",
         .y_label = "loss",
         .x_high = EPOCHS,
         .y_high = 1.1,
         .line = line,
         .n = 3},
        {.title = "Stopped early",
         .x_label = "epoch",
         .y_label = "loss",
         .x_high = EPOCHS,
         .y_high = 1.1,
         .line = stopped,
         .n = 3},
    };
    lesson_picture(l, panel, 2, 2);
}

int main(int argc, char **argv) {
    lesson l;
    files f;
    network net[N_NETWORKS] = {{NULL, 0.0, 0.0, 0.0, 0.0}};
    cot_early_stopping_callback stop = {
        .base = cot_early_stopping_base(), .patience = PATIENCE, .restore_best_weights = true};
    cot_dataset *few = NULL;
    if (lesson_begin(&l, &text, argc, argv) && lesson_data(&l) && make_files(&l, &f)) {
        few = cot_dataset_slice(l.train, 0, ROWS);
        if (lesson_made(&l, few) && train(&l, net, few, &stop, &f)) {
            report(&l, net, &stop);
            draw(&l, net, &stop);
            check_files(&l, &f, &net[1]);
        }
    }
    cot_model_destroy(net[0].model);
    cot_model_destroy(net[1].model);
    cot_dataset_destroy(few);
    return lesson_end(&l);
}
