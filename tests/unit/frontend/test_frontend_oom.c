/*
 * Memory that runs out at every single allocation: of building, compiling, fitting, evaluating,
 * predicting, of text, and of reading files. Each refusal must come out as COT_E_NOMEM and leave
 * nothing behind.
 */
#include "frontend_support.h"

#include "alloc_fail.h"

#include <unistd.h>
#include <zlib.h>

/* Every allocation with the argument "all", else one in this many. */
static int64_t usual_stride = 37;

static void check_scenario(alloc_fail_scenario scenario, int64_t stride) {
    char text[256];
    const cot_options options = {.struct_size = sizeof options,
                                 .threads = 1,
                                 .environment = COT_OFF,
                                 .jit = use_jit ? COT_ON : COT_OFF};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, stride, &options, scenario, NULL));
}

/* ---- a model's whole life ---- */

static cot_status recorded(cot_context *context) {
    return cot_error_get(context).status;
}

/* Two inputs, a shared layer, every kind of layer, two outputs. */
static cot_model *build(cot_context *context) {
    cot_tensor a = cot_input(context, COT_F32, COT_SHAPE(2, 2), "a");
    cot_tensor b = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_layer *shared =
        cot_dense_layer(context, 3, .activation = COT_TANH, .kernel_initializer = COT_ORTHOGONAL,
                        .kernel_regularizer = cot_orthogonal_regularizer(0.1, COT_VECTORS_ROWS),
                        .activity_regularizer = cot_l1_l2(0.1, 0.2),
                        .kernel_constraint = cot_min_max_norm(.rate = 0.5));
    cot_tensor flat = cot_flatten(a);
    cot_tensor left = cot_call(shared, flat), right = cot_call(shared, b);
    cot_tensor sum = cot_add(COT_TENSORS(left, right));
    cot_tensor both = cot_concatenate(COT_TENSORS(sum, right));
    cot_tensor many = cot_maxout(cot_prelu(both), 3);
    cot_tensor y = cot_dense(many, 2, .activation = COT_SOFTMAX, .name = "y");
    cot_tensor z = cot_activation(cot_dense(both, 1), COT_RELU, .name = "z");
    return cot_model_create(context, COT_TENSORS(a, b), COT_TENSORS(y, z), NULL);
}

static cot_dataset *make_data(cot_context *context) {
    static const float x[20] = {1, 2, 3, 4, 5, 6, 7}, t[5] = {1, 0, 1};
    static const int32_t label[5] = {0, 1, 1, 0, 1};
    const cot_array inputs[2] = {array_of(x, 5, 4), array_of(x, 5, 4)};
    const cot_array targets[2] = {labels_of(label, 5), array_of(t, 5, 1)};
    return cot_dataset_create(context, (cot_array_list){inputs, 2}, (cot_array_list){targets, 2},
                              COT_COPY);
}

static cot_value missed(cot_value t, cot_value p, void *user) {
    static const int32_t axis[1] = {-1};
    (void)user;
    return cot_op_mean(cot_op_binary(COT_OP_SUB, t, p), axis, 1, false);
}

static cot_status use(cot_model *model, const cot_dataset *data) {
    static const float weights[10] = {1, 2, 0, 1, 0.5f};
    const cot_array weight = array_of(weights, 5, 1);
    static collected text;
    float y[10], z[5];
    cot_console console = console_for(&text);
    cot_logs report;
    static const int64_t boundaries[2] = {1, 3};
    static const double values[3] = {0.1, 0.05, 0.01};
    cot_status status = cot_model_compile(
        model,
        .optimizer =
            cot_muon(.dynamic_loss_scale = true, .ns_steps = 1,
                     .weight_rules = COT_WEIGHT_RULES({.weights = "bias", .no_weight_decay = true}),
                     .schedule = cot_piecewise_constant_decay(.boundaries = boundaries,
                                                              .values = values, .n_boundaries = 2)),
        .metrics = {COT_ACCURACY}, .max_batch = 2,
        .outputs = {cot_output("y", .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY),
                    cot_output("z", .loss = COT_MEAN_SQUARED_ERROR, .loss_weight = 2.0,
                               .weighted_metrics = {COT_BINARY_ACCURACY},
                               .custom_metrics = {cot_metric_of("missed", missed)})});
    if (status == COT_OK) {
        status = cot_model_fit(model, data, .epochs = 2, .batch_size = 2, .validation_split = 0.2,
                               .console = &console);
    }
    if (status == COT_OK) { /* more than max_batch, and weights: compiles again */
        status = cot_model_fit(model, data, .batch_size = 3, .sample_weight = {&weight, 1});
    }
    if (status == COT_OK) {
        status = cot_model_evaluate(model, data, &report, .console = &console);
    }
    if (status == COT_OK) {
        status = cot_model_predict(model, data, COT_BUFFERS({y, sizeof y}, {z, sizeof z}),
                                   .console = &console);
    }
    return status == COT_OK ? cot_model_summary(model, &console) : status;
}

static cot_status live(cot_context *context, void *user) {
    (void)user;
    cot_model *model = build(context);
    cot_dataset *data = model != NULL ? make_data(context) : NULL;
    cot_status status = data != NULL ? use(model, data) : recorded(context);
    cot_model_destroy(model);
    cot_dataset_destroy(data);
    return status;
}

static void a_models_whole_life(void **state) {
    (void)state;
    check_scenario(live, usual_stride);
}

/* What failed may be tried again at once, in the same context. */
static cot_status stack(cot_context *context, void *user) {
    (void)user;
    cot_status status = COT_E_NOMEM;
    cot_model *model = cot_sequential_create(context, COT_F32, COT_SHAPE(4), NULL);
    cot_layer *layer = model != NULL ? cot_dense_layer(context, 3) : NULL;
    cot_layer *top = layer != NULL ? cot_activation_layer(context, COT_SOFTMAX, "top") : NULL;
    if (top != NULL) {
        status = cot_sequential_add(model, layer);
        status = status == COT_OK ? cot_sequential_add(model, top) : status;
        if (status == COT_OK && strcmp(cot_layer_name(layer), "dense") != 0) {
            status = COT_E_INTERNAL;
        }
    }
    cot_model_destroy(model);
    return status;
}

static void a_stack_of_layers(void **state) {
    (void)state;
    check_scenario(stack, 1);
}

/* A masked model when memory runs out. */
static cot_status masked(cot_context *context, void *user) {
    (void)user;
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2, 3), "x"), m = cot_masking(x);
    cot_tensor joined = cot_concatenate(COT_TENSORS(cot_add(COT_TENSORS(m, m)), x), .axis = 1);
    cot_tensor y = cot_dense(joined, 4, .activation = COT_SOFTMAX);
    cot_tensor z = cot_softmax(y, .axis = 1, .mask = cot_tensor_mask(y));
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y, z), NULL);
    cot_status status = cot_error_get(context).status;
    if (model != NULL) {
        status = cot_model_compile(model, .optimizer = cot_sgd(), .loss = COT_MEAN_SQUARED_ERROR,
                                   .metrics = {COT_LOSS_AS_METRIC(COT_HUBER)},
                                   .metrics_with = {cot_metric_with(COT_AUC, .name = "area")});
    }
    cot_model_destroy(model);
    return status;
}

static void a_masked_model(void **state) {
    (void)state;
    check_scenario(masked, usual_stride);
}

/* ---- data ---- */

static char path[] = "/tmp/cotangent_oom_XXXXXX";

static cot_status read_file(cot_context *context, void *user) {
    (void)user;
    const char *paths[1] = {path};
    cot_dataset *data = cot_dataset_read_cifar10(context, paths, 1, NULL);
    cot_dataset *hot = data != NULL ? cot_dataset_to_categorical(data, 0, 0) : NULL;
    cot_dataset *first = NULL, *last = NULL;
    cot_status status =
        hot != NULL ? cot_dataset_split(hot, 0.5, &first, &last) : recorded(context);
    cot_dataset_destroy(first);
    cot_dataset_destroy(last);
    cot_dataset_destroy(hot);
    cot_dataset_destroy(data);
    return status;
}

static void a_gzip_file(void **state) {
    (void)state;
    static unsigned char records[3 * 3073];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    gzFile file = gzdopen(fd, "wb");
    assert_int_equal(gzwrite(file, records, sizeof records), sizeof records);
    assert_int_equal(gzclose(file), Z_OK);
    check_scenario(read_file, 1);
    unlink(path);
}

/* ---- checkpoints ---- */

static char directory[64];

/* Saving, damage, restoring the one before, going on, with every callback that keeps something. */
static cot_status save_and_restore(cot_context *context, void *user) {
    (void)user;
    char file[128], backups[128];
    (void)snprintf(file, sizeof file, "%s/{epoch}-{loss:.1f}", directory);
    (void)snprintf(backups, sizeof backups, "%s/backups", directory);
    cot_model *model = build(context);
    cot_dataset *data = model != NULL ? make_data(context) : NULL;
    cot_status status =
        data == NULL
            ? recorded(context)
            : cot_model_compile(
                  model, .optimizer = cot_adam(), .max_batch = 2, .loss = COT_MEAN_SQUARED_ERROR,
                  .outputs = {cot_output("y", .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY)});
    for (int i = 0; status == COT_OK && i < 2; i++) {
        status = cot_model_fit(
            model, data, .epochs = 2, .batch_size = 2, .validation_split = 0.2,
            .callbacks = {
                cot_early_stopping(.restore_best_weights = true),
                cot_model_checkpoint(file, .save_freq = 3),
                cot_model_checkpoint(file, .save_best_only = true),
                cot_backup_and_restore(backups, .delete_checkpoint = i == 0 ? COT_OFF : COT_ON)});
    }
    (void)snprintf(file, sizeof file, "%s/weights", directory);
    status = status == COT_OK ? cot_model_save_weights(model, file) : status;
    status = status == COT_OK ? cot_model_load_weights(model, file) : status;
    cot_model_destroy(model);
    cot_dataset_destroy(data);
    return status;
}

static void checkpoints(void **state) {
    (void)state;
    char command[128];
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(directory, sizeof directory, "%s/cotangent_oom_XXXXXX", root);
    assert_non_null(mkdtemp(directory));
    check_scenario(save_and_restore, usual_stride);
    (void)snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    for (int i = 1; i < argc; i++) {
        usual_stride = strcmp(argv[i], "all") == 0 ? 1 : usual_stride;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_models_whole_life), cmocka_unit_test(a_stack_of_layers),
        cmocka_unit_test(a_masked_model),      cmocka_unit_test(a_gzip_file),
        cmocka_unit_test(checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
