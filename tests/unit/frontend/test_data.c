/*
 * Data sets and data files. The files are written here, honest ones and hostile ones: what is
 * believed of a header is what this is about.
 */
#include "frontend_support.h"

#include <unistd.h>
#include <zlib.h>

/* ---- arrays ---- */

static void data_sets_borrow_or_copy(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    int32_t y[4] = {0, 1, 2, 3};
    cot_array ax = array_of(x, 4, 2), ay = labels_of(y, 4);
    cot_dataset *borrowed =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, (cot_array_list){&ay, 1}, COT_BORROW);
    cot_dataset *copied =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, (cot_array_list){&ay, 1}, COT_COPY);
    x[3] = 30.0f;
    assert_ptr_equal(cot_dataset_input(borrowed, 0)->data, x);
    assert_true(((const float *)cot_dataset_input(copied, 0)->data)[3] == 3.0f);
    assert_int_equal(cot_dataset_input(copied, 0)->row_bytes, 8);
    assert_int_equal(cot_dataset_n_rows(copied), 4);
    assert_int_equal(cot_dataset_n_inputs(copied), 1);
    assert_int_equal(cot_dataset_n_targets(copied), 1);
    assert_null(cot_dataset_input(copied, 1));
    assert_null(cot_dataset_target(copied, -1));
    cot_dataset *slice = cot_dataset_slice(copied, 1, 2);
    cot_dataset_destroy(copied); /* the slice keeps the data */
    assert_true(((const float *)cot_dataset_input(slice, 0)->data)[0] == 2.0f);
    assert_int_equal(((const int32_t *)cot_dataset_target(slice, 0)->data)[1], 2);
    cot_dataset_destroy(slice);
    cot_dataset *empty = cot_dataset_slice(borrowed, 4, 0);
    assert_int_equal(cot_dataset_n_rows(empty), 0);
    cot_dataset_destroy(empty);
    cot_dataset_destroy(borrowed);
    cot_dataset_destroy(NULL);
    cot_context_destroy(context);
}

/* Rows with gaps are copied without them. */
static void rows_need_not_be_adjacent(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    const unsigned char bytes[9] = {1, 2, 99, 3, 4, 99, 5, 6, 99};
    const cot_array array = {
        .data = bytes, .dtype = COT_U8, .n_rows = 3, .row_elements = 2, .row_bytes = 3};
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&array, 1}, COT_NO_ARRAYS, COT_COPY);
    const unsigned char dense[6] = {1, 2, 3, 4, 5, 6};
    assert_memory_equal(cot_dataset_input(data, 0)->data, dense, 6);
    cot_dataset_destroy(data);
    cot_context_destroy(context);
}

/* floor(n (1 - f)) in double: the last rows are the second part. */
static void splits_round_as_keras_rounds(void **state) {
    (void)state;
    static const struct {
        int64_t n;
        double fraction;
        int64_t first;
    } cases[] = {{10, 0.2, 8}, {10, 0.3, 7}, {100, 0.29, 71}, {60000, 0.2, 48000}, {3, 0.5, 1}};
    static float x[60000];
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_array array = array_of(x, cases[i].n, 1);
        cot_dataset *first = NULL, *last = NULL;
        cot_dataset *data =
            cot_dataset_create(context, (cot_array_list){&array, 1}, COT_NO_ARRAYS, COT_BORROW);
        CHECK_OK(context, cot_dataset_split(data, cases[i].fraction, &first, &last));
        assert_int_equal(cot_dataset_n_rows(first), cases[i].first);
        assert_int_equal(cot_dataset_n_rows(last), cases[i].n - cases[i].first);
        assert_ptr_equal(cot_dataset_input(last, 0)->data, x + cases[i].first);
        cot_dataset_destroy(first);
        cot_dataset_destroy(last);
        cot_dataset_destroy(data);
    }
    cot_context_destroy(context);
}

/* ---- labels ---- */

static void labels_become_one_hot_rows(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    const int64_t wide[3] = {2, 0, 1};
    const unsigned char narrow[3] = {2, 0, 1};
    const int32_t usual[3] = {2, 0, 1};
    const cot_array arrays[3] = {{.data = wide, .dtype = COT_I64, .n_rows = 3, .row_elements = 1},
                                 {.data = narrow, .dtype = COT_U8, .n_rows = 3, .row_elements = 1},
                                 labels_of(usual, 3)};
    const float three[9] = {0, 0, 1, 1, 0, 0, 0, 1, 0}, five[15] = {[2] = 1, [5] = 1, [11] = 1};
    for (int i = 0; i < 3; i++) {
        float out[15];
        int64_t n = 0;
        CHECK_OK(context, cot_to_categorical(context, &arrays[i], 0, NULL, 0, &n));
        assert_int_equal(n, 3);
        CHECK_OK(context, cot_to_categorical(context, &arrays[i], 0, out, sizeof three, &n));
        assert_memory_equal(out, three, sizeof three);
        CHECK_OK(context, cot_to_categorical(context, &arrays[i], 5, out, sizeof five, NULL));
        assert_memory_equal(out, five, sizeof five);
    }
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&arrays[0], 1},
                                           (cot_array_list){&arrays[2], 1}, COT_BORROW);
    cot_dataset *hot = cot_dataset_to_categorical(data, 0, 5);
    cot_dataset_destroy(data);
    const cot_array *target = cot_dataset_target(hot, 0);
    assert_int_equal(target->dtype, COT_F32);
    assert_int_equal(target->row_elements, 5);
    assert_memory_equal(target->data, five, sizeof five);
    assert_ptr_equal(cot_dataset_input(hot, 0)->data, wide);
    cot_dataset_destroy(hot);
    cot_context_destroy(context);
}

/* ---- files ---- */

static char directory[] = "/tmp/cotangent_data_XXXXXX";
static char path_a[64], path_b[64];

static int make_directory(void **state) {
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(path_a, sizeof path_a, "%s/a", directory);
    snprintf(path_b, sizeof path_b, "%s/b", directory);
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    unlink(path_a);
    unlink(path_b);
    return rmdir(directory);
}

static void write_file(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void write_gzip(const char *path, const char *mode, const void *data, size_t bytes) {
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, data, (unsigned)bytes), (int)bytes);
    assert_int_equal(gzclose(file), Z_OK);
}

/* Big-endian header of an IDX file; returns its length. */
static size_t idx_header(unsigned char *out, int type, int rank, const uint32_t *extent) {
    out[0] = out[1] = 0;
    out[2] = (unsigned char)type;
    out[3] = (unsigned char)rank;
    for (int i = 0; i < rank; i++) {
        for (int k = 0; k < 4; k++) {
            out[4 + 4 * i + k] = (unsigned char)(extent[i] >> (24 - 8 * k));
        }
    }
    return 4 + 4 * (size_t)rank;
}

enum { ROWS = 5, PIXELS = 6 };

/* 5 images of 2 x 3 and their labels. */
static size_t make_images(unsigned char *out) {
    size_t n = idx_header(out, 8, 3, (const uint32_t[]){ROWS, 2, 3});
    for (int i = 0; i < ROWS * PIXELS; i++) {
        out[n++] = (unsigned char)(i * 8);
    }
    return n;
}

static size_t make_labels(unsigned char *out) {
    size_t n = idx_header(out, 8, 1, (const uint32_t[]){ROWS});
    for (int i = 0; i < ROWS; i++) {
        out[n++] = (unsigned char)(i % 3);
    }
    return n;
}

static void check_images(const cot_dataset *data) {
    assert_non_null(data);
    const cot_array *x = cot_dataset_input(data, 0), *y = cot_dataset_target(data, 0);
    assert_int_equal(x->dtype, COT_U8);
    assert_int_equal(x->n_rows, ROWS);
    assert_int_equal(x->row_elements, PIXELS);
    assert_true(x->scale == 1.0f / 255.0f && x->offset == 0.0f);
    for (int i = 0; i < ROWS * PIXELS; i++) {
        assert_int_equal(((const unsigned char *)x->data)[i], i * 8);
    }
    assert_int_equal(y->dtype, COT_U8);
    assert_int_equal(y->row_elements, 1);
    assert_int_equal(((const unsigned char *)y->data)[4], 1);
}

static void idx_files_plain_and_gzip(void **state) {
    (void)state;
    unsigned char images[256], labels[64];
    size_t n_images = make_images(images), n_labels = make_labels(labels);
    cot_context *context = new_context(1);
    for (int gzip = 0; gzip < 4; gzip++) {
        if ((gzip & 1) != 0) {
            write_gzip(path_a, "wb9", images, n_images);
        } else {
            write_file(path_a, images, n_images);
        }
        if ((gzip & 2) != 0) {
            write_gzip(path_b, "wb1", labels, n_labels);
        } else {
            write_file(path_b, labels, n_labels);
        }
        cot_dataset *data = cot_dataset_read_idx(context, path_a, path_b, NULL);
        assert_string_equal(cot_error_message(context), "");
        check_images(data);
        cot_dataset_destroy(data);
    }
    /* Two gzip members are one stream. */
    write_gzip(path_a, "wb", images, 20);
    write_gzip(path_a, "ab", images + 20, n_images - 20);
    cot_dataset *data = cot_dataset_read_idx(context, path_a, path_b, NULL);
    check_images(data);
    cot_dataset_destroy(data);
    cot_read_options options = COT_READ_OPTIONS_INIT;
    options.scale = 1.0;
    options.offset = -128.0;
    data = cot_dataset_read_idx(context, path_a, NULL, &options);
    assert_int_equal(cot_dataset_n_targets(data), 0);
    assert_true(cot_dataset_input(data, 0)->scale == 1.0f);
    assert_true(cot_dataset_input(data, 0)->offset == -128.0f);
    cot_dataset_destroy(data);
    cot_context_destroy(context);
}

/* Every element type, big-endian, with the values that sign extension would break. */
static void idx_files_of_every_type(void **state) {
    (void)state;
    static const unsigned char i8[3] = {0x80, 0xff, 0x7f};
    static const unsigned char i16[6] = {0x80, 0x00, 0xff, 0xfe, 0x01, 0x02};
    static const unsigned char i32[12] = {0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3};
    static const unsigned char f32[12] = {0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0, 0x7f, 0x80, 0, 0};
    static const unsigned char f64[24] = {0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xbf, 0xf0, 0, 0,
                                          0,    0,    0, 0, 0, 0, 0, 0, 0,    0,    0, 1};
    static const int32_t v8[3] = {-128, -1, 127}, v16[3] = {-32768, -2, 258},
                         v32[3] = {INT32_MIN, -1, 66051};
    static const float v_f32[3] = {1.0f, -2.5f, INFINITY};
    static const double v_f64[3] = {1.5, -1.0, 4.9406564584124654e-324};
    const struct {
        int type;
        const unsigned char *bytes;
        size_t n;
        cot_dtype dtype;
        const void *value;
    } cases[] = {{0x09, i8, 3, COT_I32, v8},
                 {0x0B, i16, 6, COT_I32, v16},
                 {0x0C, i32, 12, COT_I32, v32},
                 {0x0D, f32, 12, COT_F32, v_f32},
                 {0x0E, f64, 24, COT_F64, v_f64}};
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char file[64];
        size_t n = idx_header(file, cases[i].type, 2, (const uint32_t[]){1, 3});
        memcpy(file + n, cases[i].bytes, cases[i].n);
        write_file(path_a, file, n + cases[i].n);
        cot_dataset *data = cot_dataset_read_idx(context, path_a, NULL, NULL);
        assert_string_equal(cot_error_message(context), "");
        const cot_array *x = cot_dataset_input(data, 0);
        assert_int_equal(x->dtype, cases[i].dtype);
        assert_memory_equal(x->data, cases[i].value, 3 * cot_dtype_bytes(cases[i].dtype));
        cot_dataset_destroy(data);
    }
    cot_context_destroy(context);
}

static void check_refused(cot_context *context, const char *targets,
                          const cot_read_options *options, cot_status status, const char *text) {
    assert_null(cot_dataset_read_idx(context, path_a, targets, options));
    assert_non_null(strstr(cot_error_message(context), path_a));
    CHECK_ERROR(context, status, text);
}

static void every_truncation_of_an_idx_file_is_refused(void **state) {
    (void)state;
    unsigned char images[256], gzip[512];
    size_t n = make_images(images);
    cot_context *context = new_context(1);
    for (size_t i = 0; i < n; i++) {
        write_file(path_a, images, i);
        assert_null(cot_dataset_read_idx(context, path_a, NULL, NULL));
        CHECK_ERROR(context, COT_E_PARSE, path_a);
    }
    write_gzip(path_a, "wb", images, n);
    FILE *file = fopen(path_a, "rb");
    size_t n_gzip = fread(gzip, 1, sizeof gzip, file);
    fclose(file);
    for (size_t i = 0; i < n_gzip; i++) {
        write_file(path_a, gzip, i);
        assert_null(cot_dataset_read_idx(context, path_a, NULL, NULL));
        CHECK_ERROR(context, COT_E_PARSE, path_a);
    }
    cot_context_destroy(context);
}

/* Each byte of a gzip file turned over: refused, or (bytes that gzip ignores) read as it was. */
static void every_corruption_of_a_gzip_file_is_seen(void **state) {
    (void)state;
    unsigned char images[256], gzip[512];
    size_t n = make_images(images);
    cot_context *context = new_context(1);
    write_gzip(path_a, "wb", images, n);
    FILE *file = fopen(path_a, "rb");
    size_t n_gzip = fread(gzip, 1, sizeof gzip, file);
    fclose(file);
    int n_refused = 0;
    for (size_t i = 0; i < n_gzip; i++) {
        gzip[i] ^= 0xff;
        write_file(path_a, gzip, n_gzip);
        gzip[i] ^= 0xff;
        cot_dataset *data = cot_dataset_read_idx(context, path_a, NULL, NULL);
        if (data != NULL) {
            assert_memory_equal(cot_dataset_input(data, 0)->data, images + 16, n - 16);
        } else {
            assert_int_equal(cot_error_get(context).status, COT_E_PARSE);
            n_refused++;
        }
        cot_error_clear(context);
        cot_dataset_destroy(data);
    }
    assert_true(n_refused > (int)n_gzip - 10); /* time, flags and system are not checked */
    cot_context_destroy(context);
}

static void hostile_idx_headers_are_refused(void **state) {
    (void)state;
    unsigned char file[64];
    cot_context *context = new_context(1);
    size_t n = idx_header(file, 8, 4, (const uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 9});
    write_file(path_a, file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "more than 2^47 elements");
    n = idx_header(file, 8, 2, (const uint32_t[]){0xffffffff, 0xffffffff});
    write_file(path_a, file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "are more than 8589934592 bytes");
    n = idx_header(file, 8, 2, (const uint32_t[]){1 << 16, 1 << 16});
    write_file(path_a, file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "is too short for 65536 rows of 65536");
    write_gzip(path_a, "wb", file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "is too short for 65536 rows of 65536");
    n = idx_header(file, 8, 2, (const uint32_t[]){5, 0});
    write_file(path_a, file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "a row has no elements");
    n = idx_header(file, 0x0A, 1, (const uint32_t[]){1});
    write_file(path_a, file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "is no IDX file: it begins with 00 00 0a 01");
    file[0] = 1;
    write_file(path_a, file, n);
    check_refused(context, NULL, NULL, COT_E_PARSE, "is no IDX file");
    idx_header(file, 8, 0, NULL);
    write_file(path_a, file, 4);
    check_refused(context, NULL, NULL, COT_E_PARSE, "has rank 0");
    file[3] = 9;
    write_file(path_a, file, 64);
    check_refused(context, NULL, NULL, COT_E_PARSE, "has rank 9");
    n = make_labels(file);
    file[n] = 0;
    write_file(path_a, file, n + 1);
    check_refused(context, NULL, NULL, COT_E_PARSE, "goes on after the data");
    cot_read_options options = COT_READ_OPTIONS_INIT;
    options.max_bytes = ROWS - 1;
    write_file(path_a, file, n);
    check_refused(context, NULL, &options, COT_E_PARSE, "are more than 4 bytes");
    cot_context_destroy(context);
}

static void idx_files_that_do_not_belong_together(void **state) {
    (void)state;
    unsigned char images[256], labels[64];
    size_t n = make_images(images);
    cot_context *context = new_context(1);
    write_file(path_a, images, n);
    n = idx_header(labels, 8, 1, (const uint32_t[]){2});
    write_file(path_b, labels, n + 2);
    check_refused(context, path_b, NULL, COT_E_SHAPE, "has 5 rows");
    unlink(path_b);
    assert_null(cot_dataset_read_idx(context, path_a, path_b, NULL));
    CHECK_ERROR(context, COT_E_IO, "cannot be opened: No such file or directory");
    assert_null(cot_dataset_read_idx(context, directory, NULL, NULL));
    CHECK_ERROR(context, COT_E_IO, "is no regular file");
    assert_null(cot_dataset_read_idx(context, NULL, NULL, NULL));
    CHECK_ERROR(context, COT_E_ARG, "path");
    write_file(path_a, "", 0);
    check_refused(context, NULL, NULL, COT_E_PARSE, "ends within its header: 4 bytes are missing");
    cot_context_destroy(context);
}

/* ---- CIFAR-10 ---- */

enum { RECORD = 3073 };

/* Record r: label r % 10, value of plane c at pixel i is (7 r + 3 i + 85 c) % 251. */
static void make_records(unsigned char *out, int first, int n) {
    for (int r = 0; r < n; r++) {
        unsigned char *record = out + (size_t)r * RECORD;
        record[0] = (unsigned char)((first + r) % 10);
        for (int k = 0; k < RECORD - 1; k++) {
            record[1 + k] =
                (unsigned char)((7 * (first + r) + 3 * (k % 1024) + 85 * (k / 1024)) % 251);
        }
    }
}

static void check_records(const cot_dataset *data, int n) {
    assert_non_null(data);
    const cot_array *x = cot_dataset_input(data, 0), *y = cot_dataset_target(data, 0);
    const unsigned char *pixel = x->data, *label = y->data;
    assert_int_equal(x->n_rows, n);
    assert_int_equal(x->row_elements, 32 * 32 * 3);
    assert_true(x->scale == 1.0f / 255.0f);
    for (int r = 0; r < n; r++) {
        assert_int_equal(label[r], r % 10);
        for (int k = 0; k < 3072; k++) {
            int i = k / 3, c = k % 3; /* row-major [32,32,3]: channels last */
            assert_int_equal(pixel[3072 * r + k], (7 * r + 3 * i + 85 * c) % 251);
        }
    }
}

static void cifar_batches_become_channels_last(void **state) {
    (void)state;
    static unsigned char records[15 * RECORD];
    cot_context *context = new_context(1);
    const char *paths[2] = {path_a, path_b};
    make_records(records, 0, 15);
    write_file(path_a, records, 11 * RECORD);
    write_file(path_b, records + 11 * RECORD, 4 * RECORD);
    cot_dataset *data = cot_dataset_read_cifar10(context, paths, 2, NULL);
    assert_string_equal(cot_error_message(context), "");
    check_records(data, 15);
    cot_dataset_destroy(data);
    write_gzip(path_b, "wb", records + 11 * RECORD, 4 * RECORD);
    data = cot_dataset_read_cifar10(context, paths, 2, NULL);
    check_records(data, 15);
    cot_dataset_destroy(data);
    cot_context_destroy(context);
}

static void bad_cifar_batches_are_refused(void **state) {
    (void)state;
    static unsigned char records[3 * RECORD];
    cot_context *context = new_context(1);
    const char *paths[2] = {path_a, path_b};
    make_records(records, 0, 3);
    write_file(path_a, records, 3 * RECORD);
    write_file(path_b, records, 2 * RECORD - 1);
    assert_null(cot_dataset_read_cifar10(context, paths, 2, NULL));
    CHECK_ERROR(context, COT_E_PARSE, "has 6145 bytes, expected a multiple of 3073");
    write_gzip(path_b, "wb", records, 2 * RECORD - 1);
    assert_null(cot_dataset_read_cifar10(context, paths, 2, NULL));
    CHECK_ERROR(context, COT_E_PARSE, "ends within its last record: 1 bytes are missing");
    write_file(path_b, records, 0);
    assert_null(cot_dataset_read_cifar10(context, paths, 2, NULL));
    CHECK_ERROR(context, COT_E_PARSE, "has 0 bytes");
    records[RECORD] = 10;
    write_file(path_b, records, 3 * RECORD);
    assert_null(cot_dataset_read_cifar10(context, paths, 2, NULL));
    CHECK_ERROR(context, COT_E_DATA, "the label of record 1 is 10, expected 0 to 9");
    cot_read_options options = COT_READ_OPTIONS_INIT;
    options.max_bytes = 2 * 3072;
    assert_null(cot_dataset_read_cifar10(context, paths, 1, &options));
    CHECK_ERROR(context, COT_E_PARSE, "are more than 6144 bytes");
    unlink(path_b);
    assert_null(cot_dataset_read_cifar10(context, paths, 2, NULL));
    CHECK_ERROR(context, COT_E_IO, "cannot be opened");
    assert_null(cot_dataset_read_cifar10(context, NULL, 0, NULL));
    CHECK_ERROR(context, COT_E_ARG, "no paths");
    cot_context_destroy(context);
}

/* The lecture's network trains on files in the true format. */
static void cifar_files_train_the_lecture_network(void **state) {
    (void)state;
    static unsigned char records[15 * RECORD];
    cot_context *context = new_context(1);
    const char *paths[1] = {path_a};
    make_records(records, 0, 15);
    write_file(path_a, records, sizeof records);
    cot_dataset *data = cot_dataset_read_cifar10(context, paths, 1, NULL);
    cot_dataset *hot = cot_dataset_to_categorical(data, 0, 10);
    cot_model *model = cot_sequential_create(context, COT_F32, COT_SHAPE(32 * 32 * 3), NULL);
    cot_sequential_add(model, cot_dense_layer(context, 20, .activation = COT_RELU));
    cot_sequential_add(model, cot_dense_layer(context, 15, .activation = COT_RELU));
    cot_sequential_add(model, cot_dense_layer(context, 10, .activation = COT_SOFTMAX));
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_sgd(), .loss = COT_CATEGORICAL_CROSSENTROPY,
                               .metrics = {COT_ACCURACY}));
    CHECK_OK(context,
             cot_model_fit(model, hot, .epochs = 30, .batch_size = 8, .validation_split = 0.2));
    const double *loss = cot_history_values(cot_model_history(model), "loss");
    assert_true(loss[29] < loss[0]);
    cot_model_destroy(model);
    cot_dataset_destroy(hot);
    cot_dataset_destroy(data);
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_sets_borrow_or_copy),
        cmocka_unit_test(rows_need_not_be_adjacent),
        cmocka_unit_test(splits_round_as_keras_rounds),
        cmocka_unit_test(labels_become_one_hot_rows),
        cmocka_unit_test(idx_files_plain_and_gzip),
        cmocka_unit_test(idx_files_of_every_type),
        cmocka_unit_test(every_truncation_of_an_idx_file_is_refused),
        cmocka_unit_test(every_corruption_of_a_gzip_file_is_seen),
        cmocka_unit_test(hostile_idx_headers_are_refused),
        cmocka_unit_test(idx_files_that_do_not_belong_together),
        cmocka_unit_test(cifar_batches_become_channels_last),
        cmocka_unit_test(bad_cifar_batches_are_refused),
        cmocka_unit_test(cifar_files_train_the_lecture_network),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
