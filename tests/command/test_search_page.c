/*
 * The page of a search whose texts are longer than a label has room for: they are cut between
 * characters, so that the page is UTF-8 wherever the cut falls.
 */
#include "../../tools/report/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cot_model *build(const cot_trial *trial, cot_fit_options *fit, void *user) {
    cot_tensor x = cot_input(cot_trial_context(trial), COT_F32, COT_SHAPE(1), "x");
    cot_model *model = cot_model_create(cot_trial_context(trial), COT_TENSORS(x),
                                        COT_TENSORS(cot_dense(x, 1)), NULL);
    (void)user;
    fit->batch_size = 4;
    assert_int_equal(cot_model_compile(model, .loss = COT_MEAN_SQUARED_ERROR,
                                       .optimizer = cot_sgd(.learning_rate = 0.01)),
                     COT_OK);
    return model;
}

/* Bytes of the character that begins here; 0: it is none. */
static size_t character(const unsigned char *text) {
    size_t n = text[0] < 0x80             ? 1
               : (text[0] & 0xe0) == 0xc0 ? 2
               : (text[0] & 0xf0) == 0xe0 ? 3
               : (text[0] & 0xf8) == 0xf0 ? 4
                                          : 0;
    for (size_t i = 1; i < n; i++) {
        n = (text[i] & 0xc0) == 0x80 ? n : 0;
    }
    return n;
}

/* `skip` one-byte characters, then characters of two to four bytes, 160 bytes in all. */
static void fill(char text[200], int skip, const char *letter) {
    size_t n = 0;
    for (int i = 0; i < skip; i++) {
        text[n++] = 'a';
    }
    while (n < 160) {
        memcpy(text + n, letter, strlen(letter));
        n += strlen(letter);
    }
    text[n] = '\0';
}

static void check_page(const char *const text[2]) {
    float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    char *page = NULL;
    size_t bytes = 0;
    const cot_options options = {
        .struct_size = sizeof options, .environment = COT_OFF, .jit = COT_OFF, .threads = 1};
    cot_context *context = cot_context_create(&options);
    cot_dataset *data = cot_dataset_create(
        context, COT_ARRAYS({.data = x, .dtype = COT_F32, .n_rows = 8, .row_elements = 1}),
        COT_ARRAYS({.data = x, .dtype = COT_F32, .n_rows = 8, .row_elements = 1}), COT_BORROW);
    const cot_range range = {.name = "way", .kind = COT_RANGE_TEXTS, .text = text, .n = 2};
    cot_search_result *result = NULL;
    assert_int_equal(cot_search(context, &result, build, .ranges = (cot_range_list){&range, 1},
                                .data = data, .validation_split = 0.5, .method = COT_SEARCH_GRID,
                                .epochs = 1),
                     COT_OK);
    FILE *out = open_memstream(&page, &bytes);
    assert_non_null(out);
    report_search_write(out, "test", result);
    assert_int_equal(fclose(out), 0);
    for (size_t at = 0, n = 0; at < bytes; at += n) {
        n = character((const unsigned char *)page + at);
        if (n == 0) {
            fail_msg("no character at byte %zu: %.20s", at, page + (at > 10 ? at - 10 : 0));
        }
    }
    free(page);
    cot_search_result_destroy(result);
    cot_dataset_destroy(data);
    cot_context_destroy(context);
}

static void texts_are_cut_between_characters(void **state) {
    (void)state;
    static const char *const letters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (int skip = 0; skip < 4; skip++) {
        for (int i = 0; i < 3; i++) {
            char one[200], other[200];
            fill(one, skip, letters[i]);
            fill(other, skip + 1, letters[i]);
            check_page((const char *const[]){one, other});
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_cut_between_characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
