/*
 * Checkpoints of fits: one that is interrupted at any moment and gone on with by a new process'
 * worth of objects ends with the bits of the fit that was never interrupted, for optimizers with
 * every kind of state, with callbacks that have one. Also: what does not fit is refused and changes
 * nothing, in the context's words.
 */
#include "checkpoint_support.h"

/* ---- interruptions ---- */

/* Saves at the at-th moment that fit shows to a callback, and ends the fit there. */
typedef struct saboteur {
    cot_callback base;
    const char *path;
    int at, n; /* at -1: never */
    bool saves_only;
} saboteur;

static cot_status moment(cot_model *model, saboteur *s) {
    if (s->n++ != s->at) {
        return COT_OK;
    }
    cot_status status = cot_model_save_checkpoint(model, s->path);
    return status == COT_OK && !s->saves_only ? COT_E_CANCELLED : status;
}

static cot_status at_train_begin(cot_model *model, void *user) {
    return moment(model, user);
}

static cot_status at_epoch_begin(cot_model *model, int32_t epoch, void *user) {
    (void)epoch;
    return moment(model, user);
}

static cot_status at_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    (void)epoch;
    (void)logs;
    return moment(model, user);
}

static cot_status at_batch_begin(cot_model *model, int64_t batch, void *user) {
    (void)batch;
    return moment(model, user);
}

static cot_status at_batch_end(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    (void)batch;
    (void)logs;
    return moment(model, user);
}

static saboteur saboteur_at(const char *path, int at) {
    return (saboteur){.base = {.struct_size = sizeof(cot_callback),
                               .on_train_begin = at_train_begin,
                               .on_epoch_begin = at_epoch_begin,
                               .on_epoch_end = at_epoch_end,
                               .on_batch_begin = at_batch_begin,
                               .on_batch_end = at_batch_end,
                               .last = true},
                      .path = path,
                      .at = at};
}

/* The rate goes down at every epoch's begin: beginning an epoch twice would show. */
static double slower(int32_t epoch, double rate, void *user) {
    (void)user;
    return epoch == 0 ? rate : rate * 0.75;
}

static enum { USUAL, STOPS_EARLY, IN_PARTS } way = USUAL;

/* 18 rows for training: 5 steps an epoch, the last one short. */
static cot_status fit(trainee *t, saboteur *s, bool shuffle) {
    if (way ==
        IN_PARTS) { /* two of a pass's five steps an epoch, the last of them one, of 2 rows */
        return cot_model_fit(t->model, t->data, .epochs = 4, .batch_size = BATCH,
                             .validation_split = 0.18, .steps_per_epoch = 2, .validation_freq = 2,
                             .validation_steps = 1, .shuffle_within_batches = shuffle,
                             .class_weight = COT_CLASS_WEIGHTS(1, 2, 0.5), .callbacks = {&s->base});
    }
    if (way == STOPS_EARLY) { /* after the second epoch, as no number is that much better */
        return cot_model_fit(
            t->model, t->data, .epochs = EPOCHS, .batch_size = BATCH, .validation_split = 0.18,
            .callbacks = {&s->base, cot_early_stopping(.patience = 1, .min_delta = 10,
                                                       .restore_best_weights = true)});
    }
    return cot_model_fit(
        t->model, t->data, .epochs = EPOCHS, .batch_size = BATCH, .validation_split = 0.18,
        .shuffle = shuffle ? COT_ON : COT_OFF,
        .callbacks = {&s->base, cot_learning_rate_scheduler(slower),
                      cot_early_stopping(.patience = 1, .monitor = "val_accuracy",
                                         .mode = COT_MODE_MAX, .restore_best_weights = true,
                                         .start_from_epoch = 1),
                      cot_reduce_lr_on_plateau(.patience = 1, .min_delta = 0.2, .factor = 0.5),
                      cot_terminate_on_nan()});
}

enum { TRAIN_BEGIN = 1, MOMENTS_OF_EPOCH = 12 /* begin, end, 5 batches' begins and ends */ };

static void check_optimizer(const cot_optimizer *optimizer, const char *name, bool shuffle) {
    static int n_checked = 0;
    if (use_jit && n_checked++ % 3 != 1) { /* compiling takes its time */
        return;
    }
    directory d = directory_make();
    file_path path = path_in(&d, "state.safetensors");
    saboteur none = saboteur_at(path.text, -1);
    trainee *whole = trainee_make(optimizer, 5);
    CHECK_OK(whole->context, fit(whole, &none, shuffle));
    const state_bytes expected = state_of(whole->model);
    int n = none.n;
    assert_true(n > TRAIN_BEGIN + MOMENTS_OF_EPOCH);
    trainee_free(whole);
    for (int at = 0; at < n; at += use_jit ? 9 : 1) {
        trainee *first = trainee_make(optimizer, 5), *second = trainee_make(optimizer, 5);
        saboteur s = saboteur_at(path.text, at);
        assert_int_equal(fit(first, &s, shuffle), COT_E_CANCELLED);
        trainee_free(first);
        CHECK_OK(second->context, cot_model_restore_checkpoint(second->model, path.text));
        none.n = 0;
        CHECK_OK(second->context, fit(second, &none, shuffle));
        const state_bytes found = state_of(second->model);
        if (!same_state(&found, &expected)) {
            fail_msg("%s: interrupted at moment %d of %d, it ends with other bits", name, at, n);
        }
        trainee_free(second);
    }
    directory_remove(&d);
}

static void sgd(void **state) {
    (void)state;
    check_optimizer(cot_sgd(.learning_rate = 0.3), "sgd", true);
    check_optimizer(cot_sgd(.learning_rate = 0.2, .momentum = 0.9, .nesterov = true), "nesterov",
                    false);
}

static void adaptive(void **state) {
    (void)state;
    check_optimizer(cot_adam(.learning_rate = 0.05, .amsgrad = true), "amsgrad", true);
    check_optimizer(cot_rmsprop(.learning_rate = 0.02, .momentum = 0.5, .centered = true),
                    "rmsprop", true);
    check_optimizer(cot_adadelta(.learning_rate = 0.5), "adadelta", true);
}

static void with_more_state(void **state) {
    (void)state;
    trainee_instruments = COT_INSTRUMENT_ALL;
    check_optimizer(cot_nadam(.learning_rate = 0.05), "nadam", true);
    trainee_instruments = 0;
    check_optimizer(cot_adafactor(.learning_rate = 0.05), "adafactor", true);
    check_optimizer(cot_adam(.learning_rate = 0.05, .use_ema = true, .ema_momentum = 0.8),
                    "averages", true);
    check_optimizer(cot_adam(.learning_rate = 0.05, .gradient_accumulation_steps = 3,
                             .use_ema = true, .ema_overwrite_frequency = 2),
                    "collected gradients", true);
}

/* Interrupted at any moment, a fit that stops early does so after the same epoch, and goes back to
 * the same weights. */
static void stopped_early(void **state) {
    (void)state;
    way = STOPS_EARLY;
    check_optimizer(cot_adam(.learning_rate = 0.05), "stopped early", true);
    way = USUAL;
}

static void in_parts_of_passes(void **state) {
    (void)state;
    way = IN_PARTS;
    check_optimizer(cot_adam(.learning_rate = 0.05), "parts of passes", true);
    check_optimizer(cot_sgd(.learning_rate = 0.05), "parts of passes", false);
    way = USUAL;
}

/* A checkpoint of a fit that goes on undisturbed, then one of what was restored from it: the same
 * bytes. And saving does not disturb. */
static void the_same_bytes(void **state) {
    (void)state;
    directory d = directory_make();
    file_path one = path_in(&d, "one"), two = path_in(&d, "two");
    trainee *first = trainee_make(cot_adam(), 7), *second = trainee_make(cot_adam(), 7);
    saboteur save = saboteur_at(one.text, 9);
    saboteur again = saboteur_at(two.text, 0);
    save.saves_only = true;
    CHECK_OK(first->context, fit(first, &save, true));
    const state_bytes expected = state_of(first->model);
    CHECK_OK(second->context, cot_model_restore_checkpoint(second->model, one.text));
    again.at = 1; /* the moment after on_train_begin: the batch that follows moment 9 */
    again.saves_only = true;
    CHECK_OK(second->context, fit(second, &again, true));
    const state_bytes found = state_of(second->model);
    assert_true(same_state(&found, &expected));
    trainee_free(second);
    /* Outside a fit. */
    CHECK_OK(first->context, cot_model_save_checkpoint(first->model, one.text));
    second = trainee_make(cot_adam(), 7);
    CHECK_OK(second->context, cot_model_restore_checkpoint(second->model, one.text));
    CHECK_OK(second->context, cot_model_save_checkpoint(second->model, two.text));
    content a = read_content(one.text), b = read_content(two.text);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.data, b.data, a.n);
    free(a.data);
    free(b.data);
    trainee_free(first);
    trainee_free(second);
    directory_remove(&d);
}

/* ---- weights ---- */

static void weights_alone(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "weights"), whole = path_in(&d, "whole");
    trainee *a = trainee_make(cot_adam(), 1), *b = trainee_make(cot_sgd(), 2);
    set_weights(a->model);
    CHECK_OK(a->context, cot_model_save_weights(a->model, path.text));
    CHECK_OK(b->context, cot_model_load_weights(b->model, path.text));
    for (int32_t i = 0; i < cot_model_n_weights(b->model); i++) {
        float expected[MOST_ELEMENTS], found[MOST_ELEMENTS];
        cot_variable *weight = cot_model_weight(b->model, i);
        size_t n = (size_t)count_of(weight);
        fill_g(expected, (int64_t)n, 7 * i, 1.0);
        CHECK_OK(b->context, cot_variable_get(weight, found, n * sizeof *found));
        assert_memory_equal(found, expected, n * sizeof *found);
    }
    /* The weights of a checkpoint, too. */
    CHECK_OK(a->context, cot_model_save_checkpoint(a->model, whole.text));
    CHECK_OK(b->context, cot_model_load_weights(b->model, whole.text));
    assert_int_equal(cot_model_save_weights(a->model, path.text, .overwrite = COT_OFF), COT_E_IO);
    CHECK_ERROR(a->context, COT_E_IO, "exists, and overwrite is off");
    trainee_free(a);
    trainee_free(b);
    directory_remove(&d);
}

/* hidden/kernel is wider, there is one layer more. */
static cot_model *other_model(cot_context *context) {
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(FEATURES), NULL);
    cot_tensor h = cot_dense(in, 6, .name = "hidden");
    cot_tensor g = cot_dense(h, 4, .name = "more");
    cot_tensor out = cot_dense(g, CLASSES, .name = "class");
    return cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), "other");
}

static void weights_of_another_model(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "weights");
    trainee *t = trainee_make(cot_sgd(), 1);
    cot_context *context = new_context(2);
    cot_model *other = other_model(context);
    set_weights(t->model);
    set_weights(other);
    const state_bytes before = state_of(other);
    CHECK_OK(t->context, cot_model_save_weights(t->model, path.text));
    assert_int_equal(cot_model_load_weights(other, path.text), COT_E_PARSE);
    CHECK_ERROR(context, COT_E_PARSE, "tensor \"hidden/kernel\" is F32[5,4], expected F32[5,6]");
    const state_bytes after = state_of(other);
    assert_true(same_state(&before, &after));
    /* class/kernel and class/bias are the same in both. */
    CHECK_OK(context, cot_model_load_weights(other, path.text, .skip_mismatch = true));
    float bias[CLASSES], expected[CLASSES];
    fill_g(expected, CLASSES, 7 * 3, 1.0);
    CHECK_OK(context,
             cot_variable_get(cot_model_find_weight(other, "class/bias"), bias, sizeof bias));
    assert_memory_equal(bias, expected, sizeof bias);
    fill_g(bias, CLASSES, 7 * 1, 1.0); /* hidden/bias of the other: untouched */
    float wide[6], unchanged[6];
    fill_g(unchanged, 6, 7 * 1, 1.0);
    CHECK_OK(context,
             cot_variable_get(cot_model_find_weight(other, "hidden/bias"), wide, sizeof wide));
    assert_memory_equal(wide, unchanged, sizeof wide);
    cot_model_destroy(other);
    cot_context_destroy(context);
    trainee_free(t);
    directory_remove(&d);
}

/* ---- what is refused ---- */

/* Restoring must fail with this text, and must change nothing. */
static void refuse(trainee *t, const char *path, cot_status status, const char *text) {
    const state_bytes before = state_of(t->model);
    assert_int_equal(cot_model_restore_checkpoint(t->model, path), status);
    CHECK_ERROR(t->context, status, text);
    const state_bytes after = state_of(t->model);
    assert_true(same_state(&before, &after));
}

static void checkpoints_that_do_not_fit(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "state"), weights = path_in(&d, "weights"),
              absent = path_in(&d, "absent");
    trainee *t = trainee_make(cot_adam(), 1), *other = trainee_make(cot_sgd(), 1);
    trainee *reseeded = trainee_make(cot_adam(), 2), *slim = trainee_make(cot_adam(), 1);
    CHECK_OK(t->context, cot_model_save_checkpoint(t->model, path.text));
    CHECK_OK(t->context, cot_model_save_weights(t->model, weights.text));
    refuse(other, path.text, COT_E_PARSE, "optimizer is \"adam\", expected \"sgd\"");
    refuse(reseeded, path.text, COT_E_PARSE, "seed is \"1\", expected \"2\"");
    refuse(t, weights.text, COT_E_PARSE, "format is \"weights\", expected \"checkpoint\"");
    refuse(t, absent.text, COT_E_IO, "cannot be opened: No such file");
    refuse(t, d.path, COT_E_IO, "is no regular file");
    refuse(t, "", COT_E_ARG, "the path is empty");
    refuse(t, NULL, COT_E_ARG, "the path is NULL");
    assert_int_equal(cot_model_save_checkpoint(t->model, NULL), COT_E_ARG);
    CHECK_ERROR(t->context, COT_E_ARG, "cot_model_save_checkpoint: the path is NULL");
    assert_int_equal(cot_model_save_checkpoint(NULL, path.text), COT_E_ARG);
    CHECK_OK(slim->context, cot_model_compile(slim->model, .loss = COT_NO_LOSS));
    assert_int_equal(cot_model_save_checkpoint(slim->model, path.text), COT_E_ARG);
    CHECK_ERROR(slim->context, COT_E_ARG, "was compiled without an optimizer");
    /* With momentum there are slots that the file lacks. */
    trainee *heavy = trainee_make(cot_sgd(.momentum = 0.9), 1);
    CHECK_OK(other->context, cot_model_save_checkpoint(other->model, path.text));
    refuse(heavy, path.text, COT_E_PARSE, "has no tensor \"@optimizer/hidden/kernel/");
    CHECK_OK(heavy->context, cot_model_save_checkpoint(heavy->model, path.text));
    refuse(other, path.text, COT_E_PARSE, "the optimizer has 2");
    trainee_free(heavy);
    trainee_free(t);
    trainee_free(other);
    trainee_free(reseeded);
    trainee_free(slim);
    directory_remove(&d);
}

/* A fit that goes on must have the rows, batches and order of before, if it was amid an epoch. */
static void fits_that_do_not_go_on(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "state");
    trainee *t = trainee_make(cot_sgd(), 1);
    saboteur amid = saboteur_at(path.text, 4);
    assert_int_equal(fit(t, &amid, true), COT_E_CANCELLED);
    cot_error_clear(t->context);
    CHECK_OK(t->context, cot_model_restore_checkpoint(t->model, path.text));
    assert_int_equal(cot_model_fit(t->model, t->data, .epochs = EPOCHS, .batch_size = 3),
                     COT_E_ARG);
    CHECK_ERROR(t->context, COT_E_ARG,
                "amid an epoch of 18 rows in batches of 4, shuffled, this fit has 22 rows in "
                "batches of 3, shuffled");
    /* It is still to be gone on with; a step outside a fit leaves it behind. */
    assert_int_equal(cot_model_fit(t->model, t->data, .epochs = EPOCHS), COT_E_ARG);
    cot_error_clear(t->context);
    cot_dataset *few = cot_dataset_slice(t->data, 0, BATCH);
    CHECK_OK(t->context, cot_model_train_on_batch(t->model, few, NULL));
    CHECK_OK(t->context, cot_model_fit(t->model, t->data, .epochs = 1));
    cot_dataset_destroy(few);
    trainee_free(t);
    directory_remove(&d);
}

static cot_status restore_amid(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    (void)epoch;
    (void)logs;
    return cot_model_restore_checkpoint(model, user);
}

static void no_restore_amid_a_fit(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "state");
    trainee *t = trainee_make(cot_sgd(), 1);
    CHECK_OK(t->context, cot_model_save_checkpoint(t->model, path.text));
    const cot_callback c = {
        .struct_size = sizeof c, .user = path.text, .on_epoch_end = restore_amid};
    assert_int_equal(cot_model_fit(t->model, t->data, .callbacks = {&c}), COT_E_ARG);
    CHECK_ERROR(t->context, COT_E_ARG, "model \"trainee\" is being fitted");
    trainee_free(t);
    directory_remove(&d);
}

/* ---- damage ---- */

/* Each bit of each byte in turn over the bytes, and each length: refused, and nothing changes. */
static void every_damage_is_seen(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "state");
    trainee *t = trainee_make(cot_sgd(.momentum = 0.5), 1);
    saboteur amid = saboteur_at(path.text, 16);
    assert_int_equal(fit(t, &amid, true), COT_E_CANCELLED);
    cot_error_clear(t->context);
    content c = read_content(path.text);
    const state_bytes before = state_of(t->model);
    for (size_t i = 0; i < c.n; i++) {
        c.data[i] ^= (unsigned char)(1u << i % 8);
        write_content(path.text, c.data, c.n);
        cot_status status = cot_model_load_weights(t->model, path.text);
        cot_error_clear(t->context);
        cot_status whole = cot_model_restore_checkpoint(t->model, path.text);
        if ((status != COT_E_PARSE && status != COT_E_UNSUPPORTED) || whole != status) {
            fail_msg("bit %zu of byte %zu of %zu: %s, %s", i % 8, i, c.n, cot_status_name(status),
                     cot_status_name(whole));
        }
        cot_error_clear(t->context);
        c.data[i] ^= (unsigned char)(1u << i % 8);
    }
    for (size_t n = 0; n < c.n; n++) {
        write_content(path.text, c.data, n);
        assert_int_equal(cot_model_restore_checkpoint(t->model, path.text), COT_E_PARSE);
        cot_error_clear(t->context);
    }
    const state_bytes after = state_of(t->model);
    assert_true(same_state(&before, &after));
    write_content(path.text, c.data, c.n);
    CHECK_OK(t->context, cot_model_restore_checkpoint(t->model, path.text));
    free(c.data);
    trainee_free(t);
    directory_remove(&d);
}

/* ---- the newest of several ---- */

static void the_newest_that_can_be_read(void **state) {
    (void)state;
    directory d = directory_make();
    file_path inner = path_in(&d, "inner");
    cot_restored restored;
    trainee *t = trainee_make(cot_sgd(), 1);
    CHECK_OK(t->context, cot_model_restore_newest(t->model, inner.text, &restored));
    assert_false(restored.found);
    for (int i = 0; i < 5; i++) {
        float number = (float)i, bias[CLASSES] = {number, number, number};
        CHECK_OK(t->context, cot_variable_set(cot_model_find_weight(t->model, "class/bias"), bias,
                                              sizeof bias));
        CHECK_OK(t->context, cot_model_save_newest(t->model, inner.text, 3));
    }
    assert_int_equal(count_entries(inner.text), 3);
    file_path newest = path_in(&d, "inner/checkpoint-000000000005.safetensors");
    write_content(newest.text, "half", 4);
    CHECK_OK(t->context, cot_model_restore_newest(t->model, inner.text, &restored));
    assert_true(restored.found);
    assert_int_equal(restored.n_skipped, 1);
    assert_non_null(strstr(restored.path, "checkpoint-000000000004.safetensors"));
    assert_non_null(strstr(restored.skipped, "checkpoint-000000000005.safetensors\" ends within"));
    float bias[CLASSES];
    CHECK_OK(t->context,
             cot_variable_get(cot_model_find_weight(t->model, "class/bias"), bias, sizeof bias));
    assert_true(bias[0] == 3.0f);
    for (int i = 3; i < 5; i++) {
        file_path old = path_in(&d, i == 3 ? "inner/checkpoint-000000000003.safetensors"
                                           : "inner/checkpoint-000000000004.safetensors");
        write_content(old.text, "", 0);
    }
    assert_int_equal(cot_model_restore_newest(t->model, inner.text, &restored), COT_E_PARSE);
    CHECK_ERROR(t->context, COT_E_PARSE, "checkpoint-000000000005.safetensors");
    assert_int_equal(restored.n_skipped, 3);
    assert_int_equal(cot_model_save_newest(t->model, inner.text, -1), COT_E_ARG);
    CHECK_ERROR(t->context, COT_E_ARG, "keep is -1");
    /* What was left over is counted and removed like any other. */
    CHECK_OK(t->context, cot_model_save_newest(t->model, inner.text, 1));
    assert_int_equal(count_entries(inner.text), 1);
    (void)unlink(path_in(&d, "inner/checkpoint-000000000006.safetensors").text);
    assert_int_equal(rmdir(inner.text), 0);
    trainee_free(t);
    directory_remove(&d);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd),
        cmocka_unit_test(adaptive),
        cmocka_unit_test(with_more_state),
        cmocka_unit_test(stopped_early),
        cmocka_unit_test(in_parts_of_passes),
        cmocka_unit_test(the_same_bytes),
        cmocka_unit_test(weights_alone),
        cmocka_unit_test(weights_of_another_model),
        cmocka_unit_test(checkpoints_that_do_not_fit),
        cmocka_unit_test(fits_that_do_not_go_on),
        cmocka_unit_test(no_restore_amid_a_fit),
        cmocka_unit_test(every_damage_is_seen),
        cmocka_unit_test(the_newest_that_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
