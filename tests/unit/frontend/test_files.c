/*
 * The parts under checkpoints: JSON (what RFC 8259 allows and what it does not), safetensors
 * headers that lie, and files that are whole or not there, also where the disk is full.
 */
#include "checkpoint_support.h"

#include "frontend/files/atomic_file.h"
#include "frontend/files/json.h"
#include "frontend/files/safetensors.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- JSON ---- */

static const char *const good_json[] = {
    "0",
    "-0",
    "-1.5e+10",
    "1E5",
    "0.25",
    "true",
    "false",
    "null",
    " [ ] ",
    "{}",
    "[1,[2,[3]],{}]",
    "{\"a\":1,\"b\":[true,null],\"a\":2}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
    "\t\r\n1 ",
};

static const struct {
    const char *text, *complaint;
} bad_json[] = {
    {"", "expected a value"},
    {"01", "a number begins with 0"},
    {"-00", "a number begins with 0"},
    {"1.", "expected a digit"},
    {".5", "expected a value"},
    {"-", "expected a digit"},
    {"1e", "expected a digit"},
    {"+1", "expected a value"},
    {"NaN", "expected a value"},
    {"tru", "expected a value"},
    {"'a'", "expected a value"},
    {"[1,]", "expected a value"},
    {"[1 2]", "expected ',' or ']'"},
    {"[", "expected a value"},
    {"{\"a\"}", "expected ':'"},
    {"{\"a\":1,}", "expected a string"},
    {"{a:1}", "expected a string"},
    {"{\"a\":1", "expected ',' or '}'"},
    {"1 1", "something follows"},
    {"[]]", "something follows"},
    {"\"a", "has no end"},
    {"\"\n\"", "control character"},
    {"\"\\x\"", "unknown escape"},
    {"\"\\u12\"", "four hexadecimal digits"},
    {"\"\\u0000\"", "a NUL"},
    {"\"\\ud800\"", "surrogate"},
    {"\"\\ud800\\u0041\"", "surrogate"},
    {"\"\\udc00\"", "surrogate"},
    {"\"\xff\"", "not UTF-8"},
    {"\"\xc0\x80\"", "not UTF-8"},
    {"\"\xe0\x80\x80\"", "not UTF-8"},
    {"\"\xed\xa0\x80\"", "not UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
    {"\"\xe2\x82\"", "not UTF-8"},
};

/* In a block of its own size, so that a sanitizer sees what is read past the end. */
static cot_status read_json(cot_context *context, const char *text, size_t n) {
    char *copy = malloc(n > 0 ? n : 1);
    coti_json json;
    assert_non_null(copy);
    memcpy(copy, text, n);
    coti_json_init(&json, context, "test", copy, n);
    cot_status status = coti_json_skip(&json);
    if (status == COT_OK) {
        status = coti_json_end(&json);
    }
    free(copy);
    return status;
}

static void json_as_it_is_defined(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof good_json / sizeof good_json[0]; i++) {
        CHECK_OK(context, read_json(context, good_json[i], strlen(good_json[i])));
    }
    for (size_t i = 0; i < sizeof bad_json / sizeof bad_json[0]; i++) {
        assert_int_equal(read_json(context, bad_json[i].text, strlen(bad_json[i].text)),
                         COT_E_PARSE);
        CHECK_ERROR(context, COT_E_PARSE, bad_json[i].complaint);
    }
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    CHECK_OK(context, read_json(context, deep + 36, 128));
    assert_int_equal(read_json(context, deep + 35, 130), COT_E_PARSE);
    CHECK_ERROR(context, COT_E_PARSE, "nested deeper than 64");
    cot_context_destroy(context);
}

static void json_values(void **state) {
    (void)state;
    static const char text[] = "{\"k\\u00e9y\" : [0, 9223372036854775807, \"a\\ud83d\\ude00\"]}";
    cot_context *context = new_context(1);
    coti_json json;
    coti_str key;
    bool more = false;
    int64_t number = -1;
    coti_str_init(&key, context);
    coti_json_init(&json, context, "test", text, sizeof text - 1);
    CHECK_OK(context, coti_json_enter(&json, '{'));
    CHECK_OK(context, coti_json_key(&json, &key, &more));
    assert_string_equal(coti_str_text(&key), "k\xc3\xa9y");
    CHECK_OK(context, coti_json_enter(&json, '['));
    CHECK_OK(context, coti_json_element(&json, &more));
    CHECK_OK(context, coti_json_integer(&json, &number));
    assert_true(more && number == 0);
    CHECK_OK(context, coti_json_element(&json, &more));
    CHECK_OK(context, coti_json_integer(&json, &number));
    assert_true(number == INT64_MAX);
    CHECK_OK(context, coti_json_element(&json, &more));
    CHECK_OK(context, coti_json_string(&json, &key));
    assert_string_equal(coti_str_text(&key), "a\xf0\x9f\x98\x80");
    CHECK_OK(context, coti_json_element(&json, &more));
    assert_false(more);
    CHECK_OK(context, coti_json_key(&json, &key, &more));
    assert_false(more);
    CHECK_OK(context, coti_json_end(&json));
    static const char *const no_integers[] = {
        "9223372036854775808", "-1", "1.0", "1e3", "\"1\"", "007"};
    for (size_t i = 0; i < sizeof no_integers / sizeof no_integers[0]; i++) {
        coti_json_init(&json, context, "test", no_integers[i], strlen(no_integers[i]));
        assert_int_equal(coti_json_integer(&json, &number), COT_E_PARSE);
        cot_error_clear(context);
    }
    coti_str_clear(&key);
    coti_json_append(&key, "a\"b\\\n");
    assert_string_equal(coti_str_text(&key), "\"a\\\"b\\\\\\u000a\"");
    coti_str_free(&key);
    cot_context_destroy(context);
}

/* ---- safetensors ---- */

/* A file of this header and so many zero bytes of data. */
static void write_tensors(const char *path, const char *header, size_t data_bytes) {
    char file[4096] = {0};
    size_t n = strlen(header);
    assert_true(8 + n + data_bytes <= sizeof file);
    for (size_t i = 0; i < 8; i++) {
        file[i] = (char)(n >> (8 * i));
    }
    memcpy(file + 8, header, n);
    write_content(path, file, 8 + n + data_bytes);
}

static const struct {
    const char *header;
    size_t data_bytes;
    const char *complaint;
} bad_headers[] = {
    {"", 0, "expected an object"},
    {"[]", 0, "expected an object"},
    {"{}", 1, "has 1 bytes of data, its tensors have 0"},
    {"{\"a\":{}}", 0, "expected dtype, shape and data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
     "expected dtype, shape and data_offsets, once each"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "once each"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"F33\" is no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
     "tensor \"a\" lies at 0 to 4, expected 8 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "lies at 4 to 0"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "within the file's 3"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
     "\"a\" begins at 4, expected 0"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "expected two offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "two offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
     "the rank is more than 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
     "no whole number of bytes"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,0]}}", 0, "no whole number"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
     2, "\"a\": the name stands there twice"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, "\"b\" begins at 1, expected 2"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "expected a string"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "stands there twice"},
    {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "stands there twice"},
    {"{\"__metadata__\":{\"checksum\":\"xyz\"}}", 0, "no 16 hexadecimal digits"},
    {"{\"__metadata__\":{\"checksum\":\"0000000000000000\"}}", 0, "the header's checksum is"},
    {"{\"__metadata__\":{\"cotangent\":\"0.1.0\"}}", 0, "its header has no checksum"},
    {"{}x", 0, "something follows"},
};

static void headers_that_lie(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "file");
    cot_context *context = new_context(1);
    coti_safetensors *file = NULL;
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        write_tensors(path.text, bad_headers[i].header, bad_headers[i].data_bytes);
        assert_int_equal(coti_safetensors_open(context, path.text, &file), COT_E_PARSE);
        assert_null(file);
        CHECK_ERROR(context, COT_E_PARSE, bad_headers[i].complaint);
    }
    static const unsigned char huge[12] = {0, 0, 0, 0, 0, 0, 0, 0x80, '{', '}'};
    write_content(path.text, huge, sizeof huge);
    assert_int_equal(coti_safetensors_open(context, path.text, &file), COT_E_PARSE);
    CHECK_ERROR(context, COT_E_PARSE, "9223372036854775808 bytes, expected at most 4");
    cot_context_destroy(context);
    directory_remove(&d);
}

/* Of others: no checksums, padding, dtypes that we lack, tensors in another order, empty ones. */
static void a_foreign_file(void **state) {
    (void)state;
    static const char header[] =
        "{\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[8,8]},"
        "\"a\":{\"data_offsets\":[0,8],\"shape\":[],\"dtype\":\"F64\"},"
        "\"__metadata__\":{\"format\":\"pt\"}}      ";
    directory d = directory_make();
    file_path path = path_in(&d, "file");
    cot_context *context = new_context(1);
    coti_safetensors *file = NULL;
    write_tensors(path.text, header, 14);
    CHECK_OK(context, coti_safetensors_open(context, path.text, &file));
    CHECK_OK(context, coti_safetensors_load(file));
    assert_int_equal(file->tensor.count, 3);
    assert_string_equal(coti_safetensors_metadata(file, "format"), "pt");
    assert_null(coti_safetensors_find(file, "c"));
    const coti_tensor_entry *b = coti_safetensors_find(file, "b");
    assert_non_null(b);
    assert_int_equal(b->bytes, 6);
    const cot_shape three = {.rank = 1, .dim = {3}}, scalar = {.rank = 0};
    assert_int_equal(coti_safetensors_check(file, b, COT_F32, &three), COT_E_PARSE);
    CHECK_ERROR(context, COT_E_PARSE, "tensor \"b\" is BF16[3], expected F32[3]");
    const coti_tensor_entry *a = coti_safetensors_find(file, "a");
    CHECK_OK(context, coti_safetensors_check(file, a, COT_F64, &scalar));
    coti_safetensors_close(file);
    cot_context_destroy(context);
    directory_remove(&d);
}

/* ---- files that are whole ---- */

static cot_status write_whole(cot_context *context, const char *path, const void *data, size_t n) {
    coti_atomic_file file;
    cot_status status = coti_atomic_open(context, path, &file);
    if (status == COT_OK) {
        status = coti_atomic_write(&file, data, n);
        if (status == COT_OK) {
            return coti_atomic_commit(&file);
        }
        coti_atomic_abandon(&file);
    }
    return status;
}

static void check_content(const char *path, const char *expected) {
    content c = read_content(path);
    assert_int_equal(c.n, strlen(expected));
    assert_memory_equal(c.data, expected, c.n);
    free(c.data);
}

static void whole_files(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "file"), temporary = path_in(&d, "file.tmp"),
              name = path_in(&d, "link");
    cot_context *context = new_context(1);
    CHECK_OK(context, write_whole(context, path.text, "one", 3));
    check_content(path.text, "one");
    assert_int_equal(chmod(path.text, 0640), 0);
    CHECK_OK(context, write_whole(context, path.text, "three", 5));
    check_content(path.text, "three");
    struct stat facts;
    assert_int_equal(stat(path.text, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0640);
    /* A link stays one; what it stands for is replaced. */
    assert_int_equal(symlink("file", name.text), 0);
    CHECK_OK(context, write_whole(context, name.text, "four", 4));
    assert_int_equal(lstat(name.text, &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    check_content(path.text, "four");
    /* Left over by a process that was killed: written over, for it may be longer. */
    write_content(temporary.text, "left over", 9);
    CHECK_OK(context, write_whole(context, path.text, "five", 4));
    check_content(path.text, "five");
    assert_int_equal(count_entries(d.path), 2);
    /* Another writer is at it: ours goes beside. */
    coti_atomic_file other;
    CHECK_OK(context, coti_atomic_open(context, path.text, &other));
    CHECK_OK(context, coti_atomic_write(&other, "late", 4));
    CHECK_OK(context, write_whole(context, path.text, "early", 5));
    check_content(path.text, "early");
    CHECK_OK(context, coti_atomic_commit(&other));
    check_content(path.text, "late");
    CHECK_OK(context, coti_atomic_open(context, path.text, &other));
    coti_atomic_abandon(&other);
    assert_int_equal(count_entries(d.path), 2);
    cot_context_destroy(context);
    directory_remove(&d);
}

static void files_that_cannot_be(void **state) {
    (void)state;
    directory d = directory_make();
    file_path nowhere = path_in(&d, "no/where");
    cot_context *context = new_context(1);
    assert_int_equal(write_whole(context, nowhere.text, "x", 1), COT_E_IO);
    CHECK_ERROR(context, COT_E_IO, "no/where\" cannot be written: No such file");
    assert_int_equal(write_whole(context, d.path, "x", 1), COT_E_IO);
    CHECK_ERROR(context, COT_E_IO, "cannot be written: no regular file");
    assert_int_equal(write_whole(context, "/dev/full", "x", 1), COT_E_IO);
    CHECK_ERROR(context, COT_E_IO, "\"/dev/full\" cannot be written: no regular file");
    cot_context_destroy(context);
    directory_remove(&d);
}

/* In a process that may write files of at most `limit` bytes: 0 when saving fails as it should. */
static int save_with_limit(const char *path, rlim_t limit) {
    const struct rlimit small = {limit, limit};
    trainee *t = trainee_make(cot_adam(), 3);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &small) != 0) {
        return 1;
    }
    if (cot_model_save_checkpoint(t->model, path) != COT_E_IO ||
        strstr(cot_error_message(t->context), "cannot be written: File too large") == NULL) {
        return 2;
    }
    return 0;
}

/* Where the disk has no room for the new file, the old one stays, and nothing else is left. */
static void a_full_disk(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "state");
    trainee *t = trainee_make(cot_adam(), 3);
    CHECK_OK(t->context, cot_model_save_checkpoint(t->model, path.text));
    content before = read_content(path.text);
    const rlim_t limits[] = {0, 1, 8, 100, before.n / 2, before.n - 1};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(save_with_limit(path.text, limits[i]));
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        content after = read_content(path.text);
        assert_int_equal(before.n, after.n);
        assert_memory_equal(before.data, after.data, before.n);
        free(after.data);
        assert_int_equal(count_entries(d.path), 1);
    }
    CHECK_OK(t->context, cot_model_restore_checkpoint(t->model, path.text));
    free(before.data);
    trainee_free(t);
    directory_remove(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_as_it_is_defined), cmocka_unit_test(json_values),
        cmocka_unit_test(headers_that_lie),      cmocka_unit_test(a_foreign_file),
        cmocka_unit_test(whole_files),           cmocka_unit_test(files_that_cannot_be),
        cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
