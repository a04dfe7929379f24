/*
 * What the host does around the steps, against Keras (edges.py, data/edges.txt): numbers of batches
 * as callbacks see them, passes in parts, some of validation, files that are saved.
 */
#include "edge_case.h"

#include <unistd.h>

/* ---- logs of batches ---- */

enum { N_BATCHES = 6 };

typedef struct seen {
    double loss[N_BATCHES], accuracy[N_BATCHES];
    int32_t n;
} seen;

static cot_status note_batch(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    seen *s = user;
    (void)model;
    assert_in_range(s->n, 0, N_BATCHES - 1);
    assert_int_equal(batch, s->n % 3); /* of the epoch */
    s->loss[s->n] = cot_logs_get(logs, "loss");
    s->accuracy[s->n++] = cot_logs_get(logs, "accuracy");
    return COT_OK;
}

static void logs_of_batches(void **state) {
    (void)state;
    edge e = begin_classifier();
    seen s = {.n = 0};
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 4, .epochs = 2,
        .callbacks = {cot_lambda_callback(.on_batch_end = note_batch, .user = &s)});
    reference_case *c = case_of(&e, "host", "logs_of_batches");
    const reference_array *loss = reference_need(c, "loss");
    const reference_array *accuracy = reference_need(c, "accuracy");
    assert_int_equal(s.n, loss->n);
    for (int32_t i = 0; i < s.n; i++) {
        reference_check_number(c, "loss", s.loss[i], loss->value[i], TOLERANCE);
        reference_check_number(c, "accuracy", s.accuracy[i], accuracy->value[i], TOLERANCE);
    }
    reference_check_used(c);
    end(&e);
}

/* ---- epochs ---- */

/* Two batches an epoch of five a pass: the third epoch has what is left of the first pass. */
static void passes_in_parts(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 2, .epochs = 5, .steps_per_epoch = 2);
    compare(&e, case_of(&e, "host", "passes_in_parts"));
    end(&e);
}

static void some_validation(void **state) {
    (void)state;
    static const int32_t after[] = {1, 4, 0};
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    cot_dataset *part = cot_dataset_slice(e.data, 3, 6);
    FIT(&e, .batch_size = 4, .epochs = 4, .validation_data = part, .validation_batch_size = 2,
        .validation_steps = 2, .validation_epochs = after);
    compare(&e, case_of(&e, "host", "some_validation"));
    cot_dataset_destroy(part);
    end(&e);
}

static void begun_late(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 4, .epochs = 5, .initial_epoch = 3);
    assert_int_equal(cot_history_epoch(cot_model_history(e.model), 0), 3);
    compare(&e, case_of(&e, "host", "begun_late"));
    end(&e);
}

static void not_a_number(void **state) {
    (void)state;
    float y[10];
    edge e = begin();
    put_model(&e, 3, COT_LINEAR, 1, COT_LINEAR);
    for (int i = 0; i < 40; i++) {
        e.x[i] *= 1e25f;
    }
    fill_g(y, 10, 50, 2.0);
    put_data(&e, e.x, 4, array_of(y, 10, 1));
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.1), .loss = COT_MEAN_SQUARED_ERROR);
    FIT(&e, .batch_size = 4, .epochs = 2, .callbacks = {cot_terminate_on_nan()});
    compare(&e, case_of(&e, "host", "not_a_number"));
    end(&e);
}

/* ---- files ---- */

/* Are these, separated by commas, what a directory holds? They are removed, and the directory. */
static void take_files(const char *directory, const char *names) {
    while (*names != '\0') {
        int n = (int)strcspn(names, ",");
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%.*s", directory, n, names);
        if (unlink(path) != 0) {
            fail_msg("%s was not saved", path);
        }
        names += n + (names[n] == ',');
    }
    assert_int_equal(rmdir(directory), 0); /* which fails if anything is left */
}

/* `options`: all but the path. */
static void save(const char *what, const char *name, cot_model_checkpoint_callback options) {
    char directory[] = "/tmp/cotangent_saved_XXXXXX", path[256];
    edge e = begin_classifier();
    reference_case *c = case_of(&e, "host", what);
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    options.base = cot_model_checkpoint_base();
    options.filepath = path;
    compile_classifier(&e, cot_sgd(.learning_rate = 4.0));
    FIT(&e, .batch_size = 4, .epochs = 6, .validation_split = 0.2, .callbacks = {&options.base});
    take_files(directory, reference_text(c, "names"));
    reference_check_used(c);
    end(&e);
}

static void files_of_checkpoints(void **state) {
    (void)state;
    save("saved_each", "{epoch:02d}-{val_loss:.3f}.keras", (cot_model_checkpoint_callback){0});
    save("saved_best", "{epoch}.keras", (cot_model_checkpoint_callback){.save_best_only = true});
    save("saved_below", "{epoch}.keras",
         (cot_model_checkpoint_callback){.save_best_only = true, .initial_value_threshold = 0.6});
    save("saved_by_batches", "{epoch}-{batch:03d}-{loss:.4f}.keras",
         (cot_model_checkpoint_callback){.save_freq = 4});
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_of_batches), cmocka_unit_test(passes_in_parts),
        cmocka_unit_test(some_validation), cmocka_unit_test(begun_late),
        cmocka_unit_test(not_a_number),    cmocka_unit_test(files_of_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
