/*
 * `cotangent report` on the logs of a small training: the page holds its numbers, its tags are
 * balanced, it refers to nothing outside; and what damaged and missing logs get.
 *
 *   test_report COTANGENT
 */
#include <cotangent.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 24, EPOCHS = 4, ROOM = 1024 };

static const char *command;
static char directory[64], train_path[512];

/* ---- a training ---- */

static void train(void) {
    float x[ROWS][3];
    int32_t y[ROWS];
    char logs[ROOM], csv[ROOM];
    (void)snprintf(logs, sizeof logs, "%s/logs", directory);
    (void)snprintf(csv, sizeof csv, "%s/log.csv", directory);
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % 2;
        for (int k = 0; k < 3; k++) {
            x[i][k] = (float)((i * 7 + k * 5) % 11) / 11.0f - 0.5f;
        }
    }
    const cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    cot_context *context = cot_context_create(&options);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(3), "pixels");
    cot_tensor h = cot_dense(in, 5, .activation = COT_RELU, .name = "hidden_layer");
    cot_tensor out = cot_dense(h, 2, .activation = COT_SOFTMAX, .name = "class");
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_int_equal(cot_model_compile(model, .optimizer = cot_adam(),
                                       .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                       .metrics = {COT_ACCURACY},
                                       .instruments = COT_INSTRUMENT_ALL),
                     COT_OK);
    cot_dataset *data = cot_dataset_create(
        context, COT_ARRAYS({.data = x, .dtype = COT_F32, .n_rows = ROWS, .row_elements = 3}),
        COT_ARRAYS({.data = y, .dtype = COT_I32, .n_rows = ROWS, .row_elements = 1}), COT_BORROW);
    cot_tensorboard_callback board = {
        .base = cot_tensorboard_base(), .log_dir = logs, .update_freq = 1};
    assert_int_equal(cot_model_fit(model, data, .epochs = EPOCHS, .batch_size = 8,
                                   .validation_split = 0.25,
                                   .callbacks = {&board.base, cot_csv_logger(csv)}),
                     COT_OK);
    (void)snprintf(train_path, sizeof train_path, "%s", board.train_path);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- the command ---- */

/* Exit status of `cotangent report ARGUMENTS`, in the directory. */
static int report(const char *arguments) {
    char line[2 * ROOM];
    (void)snprintf(line, sizeof line, "cd %s && %s report %s >out 2>err", directory, command,
                   arguments);
    int status = system(line);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A file of the directory as text; the caller frees. */
static char *read_text(const char *name) {
    char path[ROOM];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 20) - 1, file);
    assert_true(n < (1 << 20) - 1);
    fclose(file);
    return text;
}

static void refuse(int status, const char *arguments, const char *complaint) {
    int found = report(arguments);
    char *text = read_text("err");
    if (found != status || strstr(text, complaint) == NULL) {
        fail_msg("report %s: status %d, expected %d with \"%s\": %s", arguments, found, status,
                 complaint, text);
    }
    free(text);
}

/* ---- the page ---- */

/* Every opened tag is closed in order; text has no bare '<' or '&'. */
static void check_tags(const char *html) {
    char open[32][24];
    int depth = 0;
    for (const char *at = strchr(html, '<'); at != NULL; at = strchr(at + 1, '<')) {
        size_t n = strcspn(at + 1, " >\n");
        const char *end = strchr(at, '>');
        assert_non_null(end);
        bool is_void = end[-1] == '/' || strncmp(at, "<!", 2) == 0 || strncmp(at, "<meta", 5) == 0;
        if (at[1] == '/') {
            assert_true(depth > 0);
            if (strlen(open[depth - 1]) != n - 1 || memcmp(open[depth - 1], at + 2, n - 1) != 0) {
                fail_msg("<%s> is closed by %.*s", open[depth - 1], (int)n, at + 1);
            }
            depth--;
        } else if (!is_void) {
            assert_true(depth < 32 && n < sizeof open[0]);
            memcpy(open[depth], at + 1, n);
            open[depth++][n] = '\0';
        }
    }
    assert_int_equal(depth, 0);
}

static void check_page(const char *name, bool has_model) {
    static const char *const texts[] = {
        "<!DOCTYPE html>",   ">loss<",       ">accuracy<",      "training",
        "validation",        "hidden_layer", "Dead units",      "Norm of gradients",
        "val_accuracy</td>", "<path fill=",  "Norm of updates", "Norm of weights"};
    char *html = read_text(name);
    check_tags(html);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strstr(html, texts[i]) == NULL) {
            fail_msg("%s has no %s", name, texts[i]);
        }
    }
    assert_int_equal(strstr(html, "InputLayer (?, 3)") != NULL, has_model);
    assert_int_equal(strstr(html, ">learning_rate<") != NULL, has_model);
    assert_null(strstr(html, "http"));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "first to compute a NaN"));
    free(html);
}

static void pages(void **state) {
    (void)state;
    train();
    assert_int_equal(report("logs"), 0);
    check_page("report.html", true);
    assert_int_equal(report("log.csv --output table.html"), 0);
    check_page("table.html", false);
    assert_int_equal(report("--output - logs"), 0);
    check_page("out", true);
}

/* A CSV of a hand's making: the numbers, in text and as places, names that HTML would take. */
static void a_table_by_hand(void **state) {
    (void)state;
    char path[ROOM];
    (void)snprintf(path, sizeof path, "%s/hand.csv", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("epoch;a<b&\"c;loss;nonfinite/step;val_loss\r\n0;1;4;-1;3\r\n1;2;2;-1;NA\r\n"
                "2;nan;1;7;0.5\r\n",
                file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(report("hand.csv"), 0);
    char *html = read_text("report.html");
    check_tags(html);
    assert_non_null(strstr(html, "a&lt;b&amp;&quot;c"));
    assert_null(strstr(html, "a<b"));
    assert_non_null(strstr(html, "Step 7 was the first"));
    assert_non_null(strstr(html, "<td>val_loss</td><td>0.5</td><td>0.5</td><td>2</td>"));
    assert_non_null(strstr(html, "<td>loss</td><td>1</td><td>1</td><td>2</td>"));
    assert_non_null(strstr(html, "<title>validation, 0: 3</title>"));
    assert_null(strstr(html, "<title>validation, 1:")); /* it is missing */
    assert_non_null(strstr(html, "epoch 2, of the lowest validation loss"));
    free(html);
}

static void damage(void **state) {
    (void)state;
    char line[3 * ROOM];
    refuse(2, "", "usage: cotangent report");
    refuse(2, "logs --nonsense", "unknown option");
    refuse(1, "absent", "absent: No such file");
    refuse(1, ".", "no event files in it");
    refuse(1, "logs --output /dev/full", "/dev/full: No space left");
    refuse(1, "logs --output no/where", "no/where: No such file");
    (void)snprintf(line, sizeof line,
                   "cd %s && printf 'x,y\\n' >bad1.csv && printf 'epoch,y\\n1\\n' >bad2.csv && "
                   "printf 'epoch,y\\na,1\\n' >bad3.csv && printf 'epoch,y\\n' >bad4.csv",
                   directory);
    assert_int_equal(system(line), 0);
    refuse(1, "bad1.csv", "line 1 is no line of names");
    refuse(1, "bad2.csv", "line 2 is no epoch");
    refuse(1, "bad3.csv", "line 2 is no epoch");
    refuse(1, "bad4.csv", "there are no numbers");
    /* A last record that is torn is passed over; one that is damaged is not. */
    (void)snprintf(line, sizeof line, "cd %s && truncate -s -9 %s", directory, train_path);
    assert_int_equal(system(line), 0);
    assert_int_equal(report("logs"), 0);
    (void)snprintf(line, sizeof line,
                   "cd %s && printf '\\377' | dd of=%s bs=1 seek=30 conv=notrunc 2>/dev/null",
                   directory, train_path);
    assert_int_equal(system(line), 0);
    refuse(1, "logs", "a record's checksum is wrong");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        return EXIT_FAILURE;
    }
    command = argv[1];
    (void)snprintf(directory, sizeof directory, "/tmp/cotangent_report_XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return EXIT_FAILURE;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(a_table_by_hand),
        cmocka_unit_test(damage),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char line[ROOM];
    (void)snprintf(line, sizeof line, "rm -r %s", directory);
    return system(line) == 0 ? failed : EXIT_FAILURE;
}
