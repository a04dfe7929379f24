/*
 * Data sets of mapped files: .npy as NumPy writes it, IDX, raw rows; what training makes of them;
 * files that lie about themselves; data larger than memory.
 */
#include "frontend_support.h"

#include "alloc_fail.h"
#include "frontend/data/mapped.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- files ---- */

typedef struct temporary {
    char path[64];
} temporary;

static temporary write_file(const void *data, size_t bytes) {
    temporary file = {"/tmp/cot_mapped_XXXXXX"};
    const int fd = mkstemp(file.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), (ssize_t)bytes);
    assert_int_equal(close(fd), 0);
    return file;
}

static void drop_file(const temporary *file) {
    assert_int_equal(unlink(file->path), 0);
}

/* A .npy file as numpy.lib.format writes it: the dictionary, spaces up to a multiple of 64, a
 * line's end. Its size; `to` has room. */
static size_t make_npy(unsigned char *to, int version, const char *dictionary, const void *data,
                       size_t bytes) {
    const size_t fixed = version == 1 ? 10 : 12;
    const size_t whole = (fixed + strlen(dictionary) + 1 + 63) / 64 * 64, length = whole - fixed;
    memcpy(to, "\x93NUMPY", 6);
    to[6] = (unsigned char)version;
    to[7] = 0;
    for (size_t i = 8; i < fixed; i++) {
        to[i] = (unsigned char)(length >> 8 * (i - 8));
    }
    memset(to + fixed, ' ', length);
    memcpy(to + fixed, dictionary, strlen(dictionary));
    to[whole - 1] = '\n';
    memcpy(to + whole, data, bytes);
    return whole + bytes;
}

static temporary write_npy(int version, const char *dictionary, const void *data, size_t bytes) {
    unsigned char *file = malloc(bytes + 4096);
    assert_non_null(file);
    const size_t n = make_npy(file, version, dictionary, data, bytes);
    const temporary made = write_file(file, n);
    free(file);
    return made;
}

static cot_dataset *map_one(cot_context *context, const char *path) {
    return cot_dataset_map(context, COT_FILES({.path = path}), COT_NO_FILES);
}

/* ---- what is read ---- */

static void numpy_files_are_read(void **state) {
    (void)state;
    static const struct {
        const char *descr;
        cot_dtype dtype;
    } kinds[] = {{"<f4", COT_F32}, {"<f8", COT_F64}, {"<i4", COT_I32}, {"<i8", COT_I64},
                 {"|u1", COT_U8},  {"|b1", COT_U8},  {"<u1", COT_U8},  {"=f4", COT_F32}};
    static const char *const shapes[] = {"(6,)",      "(6, 1)",   "(3, 2)",
                                         "(1, 2, 3)", "(2,3,1,)", "(6L, 1L)"};
    static const int64_t rows[] = {6, 6, 3, 1, 2, 6};
    unsigned char data[48];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * 37);
    }
    cot_context *context = new_context(1);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const int version = 1 + (int)(k + s) % 3;
            const size_t bytes = 6 * cot_dtype_bytes(kinds[k].dtype);
            char text[160];
            snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                     kinds[k].descr, shapes[s]);
            const temporary file = write_npy(version, text, data, bytes);
            cot_dataset *set = map_one(context, file.path);
            if (set == NULL) {
                fail_msg("%s", cot_error_message(context));
            }
            const cot_array *array = cot_dataset_input(set, 0);
            assert_int_equal(array->dtype, kinds[k].dtype);
            assert_int_equal(array->n_rows, rows[s]);
            assert_int_equal(array->row_elements, 6 / rows[s]);
            assert_memory_equal(array->data, data, bytes);
            assert_true(array->scale == 1.0F && array->offset == 0.0F);
            cot_dataset_destroy(set);
            drop_file(&file);
        }
    }
    cot_context_destroy(context);
}

/* Keys in any order, either quotes, no spaces or many; Fortran order means nothing of one axis. */
static void dictionaries_are_read_as_python_does(void **state) {
    (void)state;
    static const char *const good[] = {
        "{'shape': (2,), 'fortran_order': True, 'descr': '<f4'}",
        "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,2)}",
        "  {  'fortran_order' : False , 'shape' : ( 2 , ) ,\n 'descr' : '<f4' , }  ",
    };
    const float data[2] = {1.5F, -2.0F};
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const temporary file = write_npy(1, good[i], data, sizeof data);
        cot_dataset *set = map_one(context, file.path);
        if (set == NULL) {
            fail_msg("%s", cot_error_message(context));
        }
        assert_memory_equal(cot_dataset_input(set, 0)->data, data, sizeof data);
        cot_dataset_destroy(set);
        drop_file(&file);
    }
    cot_context_destroy(context);
}

/* ---- what is refused ---- */

static void check_refused(cot_context *context, int version, const char *dictionary,
                          cot_status status, const char *text) {
    const float data[2] = {1, 2};
    const temporary file = write_npy(version, dictionary, data, sizeof data);
    assert_null(map_one(context, file.path));
    if (strstr(cot_error_message(context), file.path) == NULL) {
        fail_msg("the file is not named: %s", cot_error_message(context));
    }
    CHECK_ERROR(context, status, text);
    drop_file(&file);
}

static void hostile_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *dictionary;
        cot_status status;
        const char *text;
    } cases[] = {
        {"", COT_E_PARSE, "expected {"},
        {"{}", COT_E_PARSE, "'descr', 'fortran_order' and 'shape'"},
        {"{'descr': '<f4', 'shape': (2,)}", COT_E_PARSE, "'fortran_order'"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", COT_E_PARSE,
         "each once"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", COT_E_PARSE,
         "has \"'more': 1}"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", COT_E_PARSE, ", or }"},
        {"{'descr' '<f4', 'fortran_order': False, 'shape': (2,)}", COT_E_PARSE, "expected :"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", COT_E_PARSE, "the end"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", COT_E_PARSE, ", or }"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}", COT_E_PARSE, "True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 2}", COT_E_PARSE, "a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", COT_E_PARSE, ", or )"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", COT_E_PARSE, "an extent"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", COT_E_PARSE, "an extent"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", COT_E_PARSE,
         "at most 2^47"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,99999999999,99999999999)}",
         COT_E_PARSE, "more than 2^47"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,999999)}", COT_E_PARSE,
         "promises 99999999999 rows of 999999 elements of 4 bytes, found 8 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", COT_E_PARSE, "promises 3 rows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", COT_E_PARSE, "promises 1 rows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,0)}", COT_E_PARSE, "no elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", COT_E_UNSUPPORTED, "a scalar"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,2)}", COT_E_UNSUPPORTED,
         "column-major"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", COT_E_UNSUPPORTED,
         "'>f4', expected little-endian"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}", COT_E_UNSUPPORTED, "'<f2'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", COT_E_UNSUPPORTED, "'|O'"},
        {"{'descr': '', 'fortran_order': False, 'shape': (2,)}", COT_E_UNSUPPORTED, "''"},
        {"{'descr': '<\x01\xff', 'fortran_order': False, 'shape': (2,)}", COT_E_UNSUPPORTED,
         "'<\?\?'"},
        {"{'descr': '<f4<f4<f4<f4<f4<f4', 'fortran_order': False, 'shape': (2,)}", COT_E_PARSE,
         "a shorter quoted text"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", COT_E_UNSUPPORTED,
         "several fields"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
         "1,1,1,1,1,1,1,1,1,1,1,1,1,2)}",
         COT_E_PARSE, "at most 32 extents"},
    };
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(context, 1 + (int)(i % 3), cases[i].dictionary, cases[i].status,
                      cases[i].text);
    }
    check_refused(context, 4, "{}", COT_E_PARSE, "version 4.0, expected 1.0, 2.0 or 3.0");
    cot_context_destroy(context);
}

/* Elements that begin where no element can. */
static void crooked_rows_are_refused(void **state) {
    (void)state;
    static const char dictionary[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
    unsigned char file[256];
    const float data[2] = {1, 2};
    const size_t length = sizeof dictionary - 1, begin = 10 + length;
    assert_int_not_equal(begin % 4, 0);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (unsigned char)length;
    file[9] = 0;
    memcpy(file + 10, dictionary, length);
    memcpy(file + begin, data, sizeof data);
    const temporary made = write_file(file, begin + sizeof data);
    cot_context *context = new_context(1);
    assert_null(map_one(context, made.path));
    CHECK_ERROR(context, COT_E_UNSUPPORTED, "expected a multiple of 4");
    drop_file(&made);
    cot_context_destroy(context);
}

/* Every byte that there is can be read; the sum keeps the compiler from leaving that out. */
static uint64_t read_all(const cot_dataset *set) {
    const cot_array *array = cot_dataset_input(set, 0);
    uint64_t sum = 0;
    for (int64_t row = 0; row < array->n_rows; row++) {
        const unsigned char *data = (const unsigned char *)array->data + row * array->row_bytes;
        for (int64_t k = 0; k < array->row_elements * (int64_t)cot_dtype_bytes(array->dtype); k++) {
            sum += data[k];
        }
    }
    return sum;
}

/* Cut at every byte; every bit of the header turned. A file is refused, or can be read whole. */
static void damaged_files_are_refused_or_whole(void **state) {
    (void)state;
    static unsigned char file[4096], damaged[4096];
    const float data[6] = {1, 2, 3, 4, 5, 6};
    const size_t n = make_npy(
        file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", data, sizeof data);
    cot_context *context = new_context(1);
    int64_t n_good = 0;
    for (size_t cut = 0; cut < n; cut++) {
        const temporary made = write_file(file, cut);
        assert_null(map_one(context, made.path));
        cot_error_clear(context);
        drop_file(&made);
    }
    for (size_t bit = 0; bit < 8 * (n - sizeof data); bit++) {
        memcpy(damaged, file, n);
        damaged[bit / 8] ^= (unsigned char)(1U << bit % 8);
        const temporary made = write_file(damaged, n);
        cot_dataset *set = map_one(context, made.path);
        if (set != NULL) {
            assert_true(read_all(set) > 0);
            n_good++; /* one kind of white space for another, 'f4' to 'i4'... */
        }
        cot_dataset_destroy(set);
        cot_error_clear(context);
        drop_file(&made);
    }
    assert_in_range(n_good, 1, 200);
    cot_context_destroy(context);
}

static void other_files_are_refused(void **state) {
    (void)state;
    static const unsigned char gzip[4] = {0x1f, 0x8b, 8, 0}, text[5] = "hello";
    static const unsigned char short_idx[6] = {0, 0, 8, 1, 0, 0};
    static const unsigned char int_idx[12] = {0, 0, 0x0C, 1, 0, 0, 0, 1, 0, 0, 0, 7};
    static const unsigned char long_idx[11] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3};
    static const struct {
        const unsigned char *data;
        size_t n;
        cot_status status;
        const char *text;
    } cases[] = {{gzip, 4, COT_E_UNSUPPORTED, "compressed"},
                 {text, 5, COT_E_PARSE, "expected .npy, IDX or"},
                 {text, 0, COT_E_PARSE, "is empty"},
                 {text, 1, COT_E_PARSE, "expected .npy, IDX or"},
                 {short_idx, 2, COT_E_PARSE, "ends within its header"},
                 {short_idx, 6, COT_E_PARSE, "ends within its header"},
                 {int_idx, 12, COT_E_UNSUPPORTED, "0x0c, expected unsigned bytes"},
                 {long_idx, 11, COT_E_PARSE, "promises 2 rows of 1 bytes, found 3"}};
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const temporary made = write_file(cases[i].data, cases[i].n);
        assert_null(map_one(context, made.path));
        assert_non_null(strstr(cot_error_message(context), made.path));
        CHECK_ERROR(context, cases[i].status, cases[i].text);
        drop_file(&made);
    }
    assert_null(map_one(context, "/nonexistent/x.npy"));
    CHECK_ERROR(context, COT_E_IO, "/nonexistent/x.npy");
    assert_null(map_one(context, "/tmp"));
    CHECK_ERROR(context, COT_E_IO, "no regular file");
    assert_null(map_one(context, NULL));
    CHECK_ERROR(context, COT_E_ARG, "NULL");
    assert_null(cot_dataset_map(context, COT_NO_FILES, COT_NO_FILES));
    CHECK_ERROR(context, COT_E_ARG, "one or more");
    assert_null(cot_dataset_map(NULL, COT_NO_FILES, COT_NO_FILES));
    cot_context_destroy(context);
}

/* ---- raw rows ---- */

/* Records of a label byte and three pixels: two columns of one file, and a slice that outlives
 * both. */
static void records_are_columns(void **state) {
    (void)state;
    static const unsigned char records[12] = {1, 10, 11, 12, 2, 20, 21, 22, 0, 30, 31, 32};
    const temporary file = write_file(records, sizeof records);
    cot_context *context = new_context(1);
    cot_dataset *set = cot_dataset_map(
        context,
        COT_FILES({.path = file.path,
                   .row_elements = 3,
                   .dtype = COT_U8,
                   .header_bytes = 1,
                   .row_bytes = 4,
                   .scale = 0.5F,
                   .offset = 2.0F}),
        COT_FILES({.path = file.path, .row_elements = 1, .dtype = COT_U8, .row_bytes = 4}));
    if (set == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    assert_int_equal(cot_dataset_n_rows(set), 3);
    cot_dataset *slice = cot_dataset_slice(set, 1, 2);
    cot_dataset_destroy(set);
    drop_file(&file); /* its bytes stay while they are mapped */
    const cot_array *pixels = cot_dataset_input(slice, 0), *labels = cot_dataset_target(slice, 0);
    assert_true(pixels->scale == 0.5F && pixels->offset == 2.0F);
    assert_memory_equal((const unsigned char *)pixels->data + pixels->row_bytes, "\x1e\x1f\x20", 3);
    assert_int_equal(coti_array_integer(labels, 0, 0), 2);
    assert_int_equal(coti_array_integer(labels, 1, 0), 0);
    cot_dataset_destroy(slice);
    cot_context_destroy(context);
}

static void raw_rows_are_checked(void **state) {
    (void)state;
    static const struct {
        cot_file file;
        int64_t rows; /* -1: refused */
        cot_status status;
        const char *text;
    } cases[] = {
        {{.row_elements = 2, .dtype = COT_F32}, 5, COT_OK, ""},
        {{.row_elements = 2, .dtype = COT_F32, .header_bytes = 8}, 4, COT_OK, ""},
        {{.row_elements = 2, .dtype = COT_F32, .header_bytes = 8, .n_rows = 3}, 3, COT_OK, ""},
        {{.row_elements = 1, .dtype = COT_I32, .row_bytes = 12}, 4, COT_OK, ""},
        {{.row_elements = 40, .dtype = COT_U8}, 1, COT_OK, ""},
        {{.row_elements = 2, .dtype = COT_F32, .header_bytes = 4}, -1, COT_E_PARSE, "no whole"},
        {{.row_elements = 3, .dtype = COT_F32}, -1, COT_E_PARSE, "no whole"},
        {{.row_elements = 41, .dtype = COT_U8}, -1, COT_E_PARSE, "no whole"},
        {{.row_elements = 2, .dtype = COT_F32, .n_rows = 6}, -1, COT_E_PARSE, "40 bytes: 5 rows"},
        {{.row_elements = 2, .dtype = COT_F32, .header_bytes = 48}, -1, COT_E_PARSE, "40 bytes"},
        {{.row_elements = 1, .dtype = COT_I32, .row_bytes = 16}, 3, COT_OK, ""},
        {{.row_elements = 2, .dtype = COT_F32, .header_bytes = 2}, -1, COT_E_ARG, "multiples of 4"},
        {{.row_elements = 2, .dtype = COT_F32, .header_bytes = -8}, -1, COT_E_ARG, "multiples"},
        {{.row_elements = 2, .dtype = COT_F32, .row_bytes = 4}, -1, COT_E_ARG, "8 bytes or more"},
        {{.row_elements = 2, .dtype = COT_F32, .row_bytes = 10}, -1, COT_E_ARG, "multiples"},
        {{.row_elements = 2, .dtype = COT_F32, .n_rows = -1}, -1, COT_E_ARG, "-1 rows"},
        {{.row_elements = -2, .dtype = COT_F32}, -1, COT_E_ARG, "-2 elements"},
        {{.row_elements = INT64_MAX, .dtype = COT_F32}, -1, COT_E_ARG, "elements"},
        {{.row_elements = 1, .dtype = COT_BOOL}, -1, COT_E_DTYPE, "bool"},
        {{.row_elements = 1, .dtype = (cot_dtype)77}, -1, COT_E_DTYPE, "expected f32"},
    };
    unsigned char data[40] = {0};
    const temporary made = write_file(data, sizeof data);
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_file file = cases[i].file;
        file.path = made.path;
        cot_dataset *set = cot_dataset_map(context, (cot_file_list){&file, 1}, COT_NO_FILES);
        if ((set != NULL) != (cases[i].rows >= 0)) {
            fail_msg("case %zu: %s", i, cot_error_message(context));
        }
        if (set != NULL) {
            assert_int_equal(cot_dataset_n_rows(set), cases[i].rows);
            assert_int_equal(read_all(set), 0);
            cot_dataset_destroy(set);
        } else {
            assert_non_null(strstr(cot_error_message(context), made.path));
            CHECK_ERROR(context, cases[i].status, cases[i].text);
        }
    }
    drop_file(&made);
    cot_context_destroy(context);
}

static void counts_must_agree(void **state) {
    (void)state;
    static const unsigned char idx[10] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
    const float x[3] = {1, 2, 3};
    const temporary labels = write_file(idx, sizeof idx);
    const temporary inputs =
        write_npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", x, sizeof x);
    cot_context *context = new_context(1);
    assert_null(cot_dataset_map(context, COT_FILES({.path = inputs.path}),
                                COT_FILES({.path = labels.path})));
    CHECK_ERROR(context, COT_E_SHAPE, "target 0 has 2 rows, input 0 has 3");
    drop_file(&labels);
    drop_file(&inputs);
    cot_context_destroy(context);
}

/* ---- training ---- */

enum { ROWS = 70, PIXELS = 12 };

static cot_model *make_model(cot_context *context) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(3, 4), "x");
    cot_tensor h = cot_dense(cot_flatten(x), 9, .activation = COT_TANH);
    cot_tensor y = cot_dense(h, 4, .activation = COT_SOFTMAX);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    set_weights(model);
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.01),
                                        .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY));
    return model;
}

/* Fit shuffled, with validation; the first layer's kernel after it. */
static void fit_kernel(cot_context *context, const cot_dataset *data, float *kernel) {
    cot_model *model = make_model(context);
    CHECK_OK(context,
             cot_model_fit(model, data, .batch_size = 16, .epochs = 3, .validation_split = 0.1));
    CHECK_OK(context,
             cot_variable_get(cot_model_weight(model, 0), kernel, PIXELS * 9 * sizeof *kernel));
    cot_model_destroy(model);
}

/* u8 pixels and i64 labels, as NumPy has them: from files and from memory, the same bits. */
static void training_from_files_is_training(void **state) {
    (void)state;
    static unsigned char x[ROWS * PIXELS];
    static int64_t y[ROWS];
    float want[PIXELS * 9], found[PIXELS * 9];
    for (int i = 0; i < ROWS * PIXELS; i++) {
        x[i] = (unsigned char)(i * 89 % 251);
    }
    for (int i = 0; i < ROWS; i++) {
        y[i] = i * 3 % 4;
    }
    const temporary inputs = write_npy(
        1, "{'descr': '|u1', 'fortran_order': False, 'shape': (70, 3, 4), }", x, sizeof x);
    const temporary targets =
        write_npy(2, "{'descr': '<i8', 'fortran_order': False, 'shape': (70,), }", y, sizeof y);
    cot_context *context = new_context(3);
    cot_dataset *memory = cot_dataset_create(
        context,
        COT_ARRAYS({x, COT_U8, .n_rows = ROWS, .row_elements = PIXELS, .scale = 1.0F / 255.0F}),
        COT_ARRAYS({y, COT_I64, .n_rows = ROWS, .row_elements = 1}), COT_BORROW);
    fit_kernel(context, memory, want);
    cot_dataset *mapped =
        cot_dataset_map(context, COT_FILES({.path = inputs.path, .scale = 1.0F / 255.0F}),
                        COT_FILES({.path = targets.path}));
    assert_non_null(mapped);
    fit_kernel(context, mapped, found);
    assert_memory_equal(found, want, sizeof want);
    assert_true(want[0] != 0 && isfinite(want[0]));
    cot_dataset_destroy(memory);
    cot_dataset_destroy(mapped);
    drop_file(&inputs);
    drop_file(&targets);
    cot_context_destroy(context);
}

/* The checks of fit find what is wrong in a file, too. */
static void labels_in_files_are_checked(void **state) {
    (void)state;
    static float x[2 * PIXELS];
    const unsigned char y[2] = {1, 4};
    const temporary inputs = write_file(x, sizeof x), targets = write_file(y, sizeof y);
    cot_context *context = new_context(3);
    cot_model *model = make_model(context);
    cot_dataset *data = cot_dataset_map(
        context, COT_FILES({.path = inputs.path, .row_elements = PIXELS, .dtype = COT_F32}),
        COT_FILES({.path = targets.path, .row_elements = 1, .dtype = COT_U8}));
    assert_int_equal(cot_model_fit(model, data), COT_E_DATA);
    CHECK_ERROR(context, COT_E_DATA, "in row 1 is class 4");
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    drop_file(&inputs);
    drop_file(&targets);
}

/* ---- memory ---- */

/* 64 GiB of zeros that lie nowhere: rows of a megabyte, of which a few are read. */
static void files_may_be_larger_than_memory(void **state) {
    (void)state;
    enum { ROW = 1 << 20, TAKEN = 3 };
    const int64_t rows = 1 << 16;
    temporary file = {"/tmp/cot_mapped_XXXXXX"};
    const int fd = mkstemp(file.path);
    assert_true(fd >= 0);
    const bool made = ftruncate(fd, rows * ROW) == 0;
    close(fd);
    if (!made) {
        drop_file(&file);
        skip(); /* this file system has no such files */
    }
    cot_context *context = new_context(1);
    cot_dataset *data = cot_dataset_map(
        context, COT_FILES({.path = file.path, .row_elements = ROW, .dtype = COT_U8}),
        COT_NO_FILES);
    if (data == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    assert_int_equal(cot_dataset_n_rows(data), rows);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(ROW), "x");
    cot_model *model =
        cot_model_create(context, COT_TENSORS(x), COT_TENSORS(cot_dense(x, 1)), NULL);
    CHECK_OK(context, cot_model_compile(model, .max_batch = TAKEN));
    cot_dataset *last = cot_dataset_slice(data, rows - TAKEN, TAKEN);
    float y[TAKEN] = {1, 1, 1};
    CHECK_OK(context, cot_model_predict(model, last, COT_BUFFERS({y, sizeof y})));
    assert_true(y[0] == 0 && y[TAKEN - 1] == 0);
    cot_dataset_destroy(last);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    drop_file(&file);
}

static void advice_depends_on_memory(void **state) {
    (void)state;
    const int64_t gigabyte = INT64_C(1) << 30;
    assert_int_equal(coti_map_advice(COTI_ACCESS_SHUFFLED, gigabyte, 8 * gigabyte), MADV_NORMAL);
    assert_int_equal(coti_map_advice(COTI_ACCESS_SHUFFLED, 5 * gigabyte, 8 * gigabyte),
                     MADV_RANDOM);
    assert_int_equal(coti_map_advice(COTI_ACCESS_ONCE, gigabyte, 8 * gigabyte), MADV_SEQUENTIAL);
    assert_int_equal(coti_map_advice(COTI_ACCESS_IN_ORDER, 64 * gigabyte, gigabyte), MADV_NORMAL);
    coti_dataset_advise(NULL, COTI_ACCESS_ONCE);
}

static cot_status map_both(cot_context *context, void *user) {
    const temporary *file = user;
    cot_dataset *data =
        cot_dataset_map(context, COT_FILES({.path = file[0].path}, {.path = file[0].path}),
                        COT_FILES({.path = file[1].path, .row_elements = 1, .dtype = COT_U8}));
    cot_dataset *slice = data != NULL ? cot_dataset_slice(data, 0, 1) : NULL;
    cot_status status = slice != NULL ? COT_OK : cot_error_get(context).status;
    cot_dataset_destroy(data);
    cot_dataset_destroy(slice);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    const float x[2] = {1, 2};
    const temporary file[2] = {
        write_npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", x, sizeof x),
        write_file("ab", 2)};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, NULL, map_both, (void *)(uintptr_t)file));
    drop_file(&file[0]);
    drop_file(&file[1]);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpy_files_are_read),
        cmocka_unit_test(dictionaries_are_read_as_python_does),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(crooked_rows_are_refused),
        cmocka_unit_test(damaged_files_are_refused_or_whole),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(records_are_columns),
        cmocka_unit_test(raw_rows_are_checked),
        cmocka_unit_test(counts_must_agree),
        cmocka_unit_test(training_from_files_is_training),
        cmocka_unit_test(labels_in_files_are_checked),
        cmocka_unit_test(files_may_be_larger_than_memory),
        cmocka_unit_test(advice_depends_on_memory),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
