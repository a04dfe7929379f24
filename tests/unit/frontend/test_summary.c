/*
 * The summary, byte for byte against tables that rich made (summary/make.py), and the progress bar
 * against Keras's form.
 */
#include "frontend_support.h"

#include "frontend/training/training.h"

static char expected_text[1 << 16];

static const char *read_expected(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/summary/%s", TEST_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(expected_text, 1, sizeof expected_text - 1, file);
    expected_text[n] = '\0';
    fclose(file);
    return expected_text;
}

static void check_summary(const cot_model *model, int32_t columns, const char *file) {
    static collected text;
    cot_console console = console_for(&text);
    console.columns = columns;
    CHECK_OK(cot_model_context(model), cot_model_summary(model, &console));
    assert_string_equal(text.text, read_expected(file));
}

static cot_model *lecture_model(cot_context *context) {
    cot_model *model = cot_sequential_create(context, COT_F32, COT_SHAPE(32 * 32 * 3), NULL);
    CHECK_OK(context,
             cot_sequential_add(model, cot_dense_layer(context, 20, .activation = COT_RELU)));
    CHECK_OK(context,
             cot_sequential_add(model, cot_dense_layer(context, 15, .activation = COT_RELU)));
    CHECK_OK(context,
             cot_sequential_add(model, cot_dense_layer(context, 10, .activation = COT_SOFTMAX)));
    return model;
}

static void the_lecture_network(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_model *model = lecture_model(context);
    assert_int_equal(cot_model_n_layers(model), 3);
    check_summary(model, 0, "lecture_80.txt");
    check_summary(model, 200, "lecture_200.txt");
    check_summary(model, 37, "lecture_37.txt");
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_adam(), .loss = COT_CATEGORICAL_CROSSENTROPY,
                               .metrics = {COT_ACCURACY}));
    check_summary(model, 80, "lecture_80_adam.txt");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Shared layers, several inputs, a frozen layer, names and numbers longer than their cells. */
static void branches(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor img = cot_input(context, COT_F32, COT_SHAPE(8, 8, 3), "img");
    cot_tensor meta = cot_input(context, COT_F32, COT_SHAPE(192), "meta");
    cot_layer *shared = cot_dense_layer(context, 192, .name = "shared_projection_of_both_inputs");
    cot_tensor a = cot_call(shared, cot_flatten(img)), b = cot_call(shared, meta);
    cot_tensor both = cot_concatenate(COT_TENSORS(a, b));
    /* A model of its own, so that its calls do not show in the other. */
    cot_tensor elsewhere = cot_input(context, COT_F32, COT_SHAPE(192), "elsewhere");
    assert_int_not_equal(cot_call(shared, elsewhere).id, 0);
    cot_tensor y = cot_dense(both, 12, .name = "head", .trainable = COT_OFF);
    cot_model *model =
        cot_model_create(context, COT_TENSORS(img, meta), COT_TENSORS(y), "branches");
    check_summary(model, 80, "branches_80.txt");
    check_summary(model, 120, "branches_120.txt");
    check_summary(model, 50, "branches_50.txt");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void a_summary_reports_what_goes_wrong(void **state) {
    (void)state;
    static collected text;
    cot_context *context = new_context(1);
    cot_model *model = lecture_model(context);
    cot_console console = console_for(&text);
    console.columns = 12;
    assert_int_equal(cot_model_summary(model, &console), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "model \"sequential\": a console of 12 columns is too narrow");
    console.columns = 80;
    console.write = NULL;
    assert_int_equal(cot_model_summary(model, &console), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "write is NULL");
    assert_int_equal(cot_model_summary(model, NULL), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "options are NULL");
    console = console_for(&text);
    text.n = sizeof text.text; /* refuse everything */
    assert_int_equal(cot_model_summary(model, &console), COT_E_IO);
    CHECK_ERROR(context, COT_E_IO, "refused");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void numbers_are_shown_as_keras_shows_them(void **state) {
    (void)state;
    static const struct {
        int64_t value;
        const char *thousands, *bytes;
    } cases[] = {{0, "0", "0.00 B"},
                 {999, "999", "999.00 B"},
                 {1000, "1,000", "1000.00 B"},
                 {1024, "1,024", "1.00 KB"},
                 {61935 * 4, "247,740", "241.93 KB"},
                 {1000000, "1,000,000", "976.56 KB"},
                 {1005006007, "1,005,006,007", "958.45 MB"},
                 {INT64_C(9007199254740992), "9,007,199,254,740,992", "8.00 PB"}};
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        coti_str text;
        coti_str_init(&text, context);
        coti_append_thousands(&text, cases[i].value);
        assert_string_equal(coti_str_text(&text), cases[i].thousands);
        coti_str_clear(&text);
        coti_append_bytes(&text, cases[i].value);
        assert_string_equal(coti_str_text(&text), cases[i].bytes);
        coti_str_free(&text);
    }
    cot_context_destroy(context);
}

/* ---- progress: keras/src/utils/progbar.py with the clock in our hands ---- */

#define GREEN "\x1b[32m"
#define WHITE "\x1b[37m"
#define BOLD "\x1b[1m"
#define PLAIN "\x1b[0m"
#define TEN "━━━━━━━━━━"

static void the_bar_is_redrawn_in_place(void **state) {
    (void)state;
    static collected text;
    cot_context *context = new_context(1);
    cot_console console = console_for(&text);
    coti_progress progress;
    console.terminal = console.color = true;
    coti_progress_init(&progress, context, &console, true);
    const cot_log log[2] = {{"accuracy", 0.5}, {"loss", 0.00012345}};
    const cot_logs one = {1, log}, two = {2, log};
    coti_progress_begin(&progress, 200, 100.0);
    CHECK_OK(context, coti_progress_show(&progress, 1, &one, 102.0, false));
    assert_string_equal(text.text, "\r" BOLD "  1/200" PLAIN " " WHITE TEN TEN PLAIN " " BOLD
                                   "6:38" PLAIN " 2s/step - accuracy: 0.5000");
    text.n = 0;
    CHECK_OK(context, coti_progress_show(&progress, 2, &one, 102.02, false));
    assert_int_equal(text.n, 0); /* too early to redraw */
    CHECK_OK(context, coti_progress_show(&progress, 101, &two, 104.0, false));
    /* 49 columns: "  1/200", a space, 20 of bar, a space, "6:38", " 2s/step", " - accuracy: ..." */
    char erase[128];
    const int32_t width = 7 + 1 + 20 + 1 + 4 + 8 + 19;
    memset(erase, '\b', sizeof erase);
    assert_memory_equal(text.text, erase, (size_t)width);
    assert_string_equal(text.text + width,
                        "\r" BOLD "101/200" PLAIN " " GREEN TEN PLAIN WHITE TEN PLAIN " " BOLD
                        "1s" PLAIN " 20ms/step - accuracy: 0.5000 - loss: 1.2345e-04");
    text.n = 0;
    CHECK_OK(context, coti_progress_show(&progress, 200, &one, 104.5, true));
    const char *line = strchr(text.text, '\r');
    assert_non_null(line);
    assert_string_equal(line, "\r" BOLD "200/200" PLAIN " " GREEN TEN TEN PLAIN WHITE PLAIN " " BOLD
                              "4s" PLAIN " 13ms/step - accuracy: 0.5000"
                              "                   " /* " - loss: 1.2345e-04" is gone */
                              "\n");
    coti_progress_free(&progress);
    cot_context_destroy(context);
}

static void a_bar_without_colour_has_no_escapes(void **state) {
    (void)state;
    static collected text;
    cot_context *context = new_context(1);
    cot_console console = console_for(&text);
    coti_progress progress;
    console.terminal = true;
    coti_progress_init(&progress, context, &console, true);
    coti_progress_begin(&progress, 2, 0.0);
    CHECK_OK(context, coti_progress_show(&progress, 1, NULL, 0.0005, false));
    assert_string_equal(text.text, "\r1/2 " TEN "────────── 0s 500us/step");
    coti_progress_free(&progress);
    cot_context_destroy(context);
}

static void a_line_an_epoch(void **state) {
    (void)state;
    static collected text;
    cot_context *context = new_context(1);
    cot_console console = console_for(&text);
    coti_progress progress;
    coti_progress_init(&progress, context, &console, false);
    const cot_log log[] = {{"a_accuracy", 0.42857}, {"a_loss", 0.7308},
                           {"b_accuracy", 0.2857},  {"b_loss", 1.2275},
                           {"loss", 1.3446},        {"val_a_accuracy", 0.66667}};
    const cot_logs logs = {6, log};
    coti_progress_begin(&progress, 2, 10.0);
    CHECK_OK(context, coti_progress_show(&progress, 1, &logs, 10.1, false));
    assert_int_equal(text.n, 0);
    CHECK_OK(context, coti_progress_show(&progress, 2, &logs, 10.121, true));
    assert_string_equal(text.text,
                        "2/2 - 0s - 21ms/step - a_accuracy: 0.4286 - a_loss: 0.7308 - b_accuracy: "
                        "0.2857 - b_loss: 1.2275 - loss: 1.3446 - val_a_accuracy: 0.6667\n");
    coti_progress_free(&progress);
    cot_context_destroy(context);
}

static void times_are_written_as_keras_writes_them(void **state) {
    (void)state;
    static collected text;
    static const struct {
        double seconds; /* of the first of two steps */
        const char *expected;
    } cases[] = {
        {5.0, " 5s 5s/step"},     {65.0, " 1:05 65s/step"}, {3661.0, " 1:01:01 3661s/step"},
        {0.25, " 0s 250ms/step"}, {0.0, " 0s 0s/step"},     {60.0, " 60s 60s/step"}};
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_console console = console_for(&text);
        coti_progress progress;
        console.terminal = true;
        coti_progress_init(&progress, context, &console, true);
        coti_progress_begin(&progress, 2, 0.0);
        CHECK_OK(context, coti_progress_show(&progress, 1, NULL, cases[i].seconds, false));
        const char *end = strstr(text.text, cases[i].expected);
        if (end == NULL || strcmp(end, cases[i].expected) != 0) {
            fail_msg("\"%s\" does not end in \"%s\"", text.text, cases[i].expected);
        }
        coti_progress_free(&progress);
    }
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lecture_network),
        cmocka_unit_test(branches),
        cmocka_unit_test(a_summary_reports_what_goes_wrong),
        cmocka_unit_test(numbers_are_shown_as_keras_shows_them),
        cmocka_unit_test(the_bar_is_redrawn_in_place),
        cmocka_unit_test(a_bar_without_colour_has_no_escapes),
        cmocka_unit_test(a_line_an_epoch),
        cmocka_unit_test(times_are_written_as_keras_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
