/*
 * Keras's ModelCheckpoint and BackupAndRestore: what is saved when, under which name; and a fit
 * that is begun again after an interruption.
 */
#include "checkpoint_support.h"

#include "frontend/training/file_pattern.h"

/* ---- names ---- */

static void file_patterns(void **state) {
    (void)state;
    static const cot_log log[] = {
        {"loss", 0.123456789}, {"val_loss", 12.5}, {"bad", NAN}, {"tiny", 1.5e-7}};
    static const struct {
        const char *pattern, *expected;
    } cases[] = {
        /* Expected texts are Python's str.format's. */
        {"net", "net"},
        {"{epoch}", "7"},
        {"{epoch:02d}-{val_loss:.2f}.safetensors", "07-12.50.safetensors"},
        {"{batch:4d}|{epoch:d}", "  31|7"},
        {"{loss:.3e}", "1.235e-01"},
        {"{loss:.3g}", "0.123"},
        {"{val_loss:08.3f}", "0012.500"},
        {"{val_loss:8.3f}", "  12.500"},
        {"{val_loss}", "12.5"},
        {"{bad:.2f}", "nan"},
        {"{bad:05.2f}", "  nan"},
        {"{tiny:g}", "1.5e-07"},
        {"{epoch:.1f}", "7.0"},
        {"{{{epoch}}}", "{7}"},
    };
    static const struct {
        const char *pattern, *complaint;
    } bad[] = {
        {"{accuracy}", "there is no \"accuracy\" in the logs"},
        {"{}", "expected a name"},
        {"{epoch", "expected '}'"},
        {"epoch}", "a '}' without a '{'"},
        {"{epoch:02x}", "expected '}'"},
        {"{epoch:.2d}", "a whole number has no precision"},
        {"{loss:d}", "d is for whole numbers"},
        {"{loss:.99f}", "a precision from 0 to 20"},
        {"{loss:100f}", "a width of more than 64"},
        {"{loss:.f}", "a precision from 0 to 20"},
    };
    cot_context *context = new_context(1);
    const cot_logs logs = {4, log};
    coti_str text;
    coti_str_init(&text, context);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        coti_str_clear(&text);
        CHECK_OK(context, coti_file_pattern(context, cases[i].pattern, 7, 31, &logs, &text));
        assert_string_equal(coti_str_text(&text), cases[i].expected);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(coti_file_pattern(context, bad[i].pattern, 7, 31, &logs, &text),
                         COT_E_ARG);
        CHECK_ERROR(context, COT_E_ARG, bad[i].complaint);
    }
    assert_int_equal(coti_file_pattern(context, "{batch}", 7, -1, &logs, &text), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "there is no \"batch\"");
    coti_str_free(&text);
    cot_context_destroy(context);
}

/* ---- when it saves ---- */

/* The epochs after which a file appears, driven by hand with numbers of epochs. */
static void best_only(void **state) {
    (void)state;
    static const struct {
        cot_monitor_mode mode;
        double threshold;
        double number[6];
        const char *saved; /* 's' at each save */
    } cases[] = {
        {COT_MODE_AUTO, 0.0, {5, 4, 4, 4.5, 3, NAN}, "ss..s."},
        {COT_MODE_MAX, 0.0, {1, 2, 2, NAN, 3, 1}, "ss..s."},
        {COT_MODE_MIN, 3.5, {5, 4, 3, 3.2, 2, 2}, "..s.s."},
        {COT_MODE_MAX, COT_ZERO, {-1, -0.5, 0, 0.5, 0.4, 0.6}, "...s.s"},
        {COT_MODE_MIN, 0.0, {NAN, 2, 1, 1, 1, 0}, ".ss..s"},
    };
    directory d = directory_make();
    file_path path = path_in(&d, "best");
    trainee *t = trainee_make(cot_sgd(), 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        collected said;
        cot_console console = console_for(&said);
        cot_model_checkpoint_callback c = {.base = cot_model_checkpoint_base(),
                                           .filepath = path.text,
                                           .save_best_only = true,
                                           .save_weights_only = true,
                                           .mode = cases[i].mode,
                                           .initial_value_threshold = cases[i].threshold,
                                           .console = &console};
        CHECK_OK(t->context, c.base.on_train_begin(t->model, &c));
        for (int32_t epoch = 0; epoch < 6; epoch++) {
            const cot_log log = {"val_loss", cases[i].number[epoch]};
            (void)unlink(path.text);
            CHECK_OK(t->context, c.base.on_epoch_end(t->model, epoch, &(cot_logs){1, &log}, &c));
            bool saved = access(path.text, F_OK) == 0;
            if (saved != (cases[i].saved[epoch] == 's')) {
                fail_msg("case %zu: epoch %d was%s saved", i, (int)epoch, saved ? "" : " not");
            }
        }
        if (i == 0) {
            assert_non_null(strstr(said.text, "\nEpoch 2: val_loss improved from 5.00000 to "
                                              "4.00000, saving model to "));
            assert_non_null(
                strstr(said.text, "\nEpoch 3: val_loss did not improve from 4.00000\n"));
        }
    }
    trainee_free(t);
    directory_remove(&d);
}

static void every_epoch_and_every_few_batches(void **state) {
    (void)state;
    directory d = directory_make();
    file_path epochs = path_in(&d, "epoch-{epoch:02d}"), batches = path_in(&d, "b{epoch}-{batch}");
    trainee *t = trainee_make(cot_sgd(), 1);
    cot_model_checkpoint_callback c = {
        .base = cot_model_checkpoint_base(), .filepath = batches.text, .save_freq = 4};
    /* 6 steps an epoch, 12 in all: after the 4th, 8th and 12th. */
    CHECK_OK(t->context, cot_model_fit(t->model, t->data, .epochs = 2, .batch_size = BATCH,
                                       .callbacks = {cot_model_checkpoint(epochs.text), &c.base}));
    static const char *const names[] = {"epoch-01", "epoch-02", "b1-4", "b2-2", "b2-6"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (access(path_in(&d, names[i]).text, F_OK) != 0) {
            fail_msg("%s was not saved", names[i]);
        }
    }
    assert_int_equal(count_entries(d.path), 5);
    assert_int_equal(c.n_saved, 3);
    assert_string_equal(c.path, path_in(&d, "b2-6").text);
    trainee_free(t);
    directory_remove(&d);
}

/* ---- going on ---- */

/* Ends the fit after so many batches. */
typedef struct fuse {
    cot_callback base;
    int left;
} fuse;

static cot_status burn(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    fuse *f = user;
    (void)model;
    (void)batch;
    (void)logs;
    return f->left-- == 0 ? COT_E_CANCELLED : COT_OK;
}

/* One fit, with a log, whose second and fourth epoch are validated; fuse: NULL, or what ends it;
 * backup: NULL for none. */
static cot_status fit_logged(trainee *t, const char *log, cot_backup_and_restore_callback *backup,
                             fuse *f) {
    const cot_callback *ours = backup != NULL ? &backup->base : NULL;
    return cot_model_fit(t->model, t->data, .epochs = 4, .batch_size = BATCH,
                         .validation_split = 0.1, .validation_freq = 2,
                         .callbacks = {cot_csv_logger(log),
                                       cot_reduce_lr_on_plateau(.monitor = "loss", .patience = 1),
                                       ours, f != NULL ? &f->base : NULL});
}

static void check_same(const char *a, const char *b) {
    content one = read_content(a), two = read_content(b);
    assert_int_equal(one.n, two.n);
    assert_memory_equal(one.data, two.data, one.n);
    free(one.data);
    free(two.data);
}

/* The same fit, begun again and again until it comes to its end, each time in new objects: the same
 * bits, and the same log. */
static void interrupted_fits(void **state) {
    (void)state;
    directory d = directory_make();
    file_path backups = path_in(&d, "backup"), log = path_in(&d, "log.csv"),
              whole_log = path_in(&d, "whole.csv");
    const cot_optimizer *optimizer = cot_adam(.learning_rate = 0.05);
    trainee *whole = trainee_make(optimizer, 4);
    CHECK_OK(whole->context, fit_logged(whole, whole_log.text, NULL, NULL));
    const state_bytes expected = state_of(whole->model);
    trainee_free(whole);
    for (int32_t freq = 0; freq < 4; freq++) {
        cot_status status = COT_E_CANCELLED;
        int n_begun = 0;
        write_content(log.text, "of another run", 14);
        while (status == COT_E_CANCELLED && n_begun < 50) {
            trainee *t = trainee_make(optimizer, 4);
            fuse f = {{.struct_size = sizeof f.base, .on_batch_end = burn, .last = true}, 7};
            cot_backup_and_restore_callback backup = {.base = cot_backup_and_restore_base(),
                                                      .backup_dir = backups.text,
                                                      .save_freq = freq};
            status = fit_logged(t, log.text, &backup, &f);
            assert_int_equal(backup.has_restored, n_begun > 0);
            n_begun++;
            const state_bytes found = state_of(t->model);
            assert_true(status == COT_E_CANCELLED ||
                        (status == COT_OK && same_state(&found, &expected)));
            trainee_free(t);
        }
        assert_int_equal(status, COT_OK);
        assert_true(n_begun >= 3);
        check_same(log.text, whole_log.text);
        assert_int_equal(count_entries(backups.text), -1); /* removed, with its directory */
    }
    directory_remove(&d);
}

static void misuse(void **state) {
    (void)state;
    const struct {
        const cot_callback *callback;
        cot_status status;
        const char *text;
    } cases[] = {
        {cot_model_checkpoint(NULL), COT_E_ARG, "model_checkpoint: the path is NULL"},
        {cot_model_checkpoint("/nowhere/x"), COT_E_IO, "\"/nowhere/x\" cannot be written"},
        {cot_model_checkpoint("x", .save_freq = -1), COT_E_ARG, "save_freq is -1"},
        {cot_model_checkpoint("x", .save_best_only = true), COT_E_ARG, "no \"val_loss\""},
        {cot_model_checkpoint("x", .save_best_only = true, .monitor = "nonsense"), COT_E_ARG,
         "whether more or less of \"nonsense\" is better"},
        {cot_model_checkpoint("{val_loss}"), COT_E_ARG, "there is no \"val_loss\" in the logs"},
        {cot_backup_and_restore(""), COT_E_ARG, "backup_and_restore: the path is empty"},
        {cot_backup_and_restore("x", .save_freq = -2), COT_E_ARG, "save_freq is -2"},
        {cot_backup_and_restore("/nowhere/x"), COT_E_IO, "\"/nowhere/x\" cannot be made"},
    };
    trainee *t = trainee_make(cot_sgd(), 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cot_model_fit(t->model, t->data, .callbacks = {cases[i].callback}),
                         cases[i].status);
        CHECK_ERROR(t->context, cases[i].status, cases[i].text);
    }
    trainee_free(t);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_patterns),
        cmocka_unit_test(best_only),
        cmocka_unit_test(every_epoch_and_every_few_batches),
        cmocka_unit_test(interrupted_fits),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
