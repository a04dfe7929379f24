/*
 * Hostile texts: every prefix of the sample, every byte of it replaced, removed or doubled, pieces
 * of it moved about. Each gives an error with a place, or a graph that holds its invariants and
 * prints to a text that reads back to itself. Run under the address and undefined sanitizers to
 * see what else goes wrong.
 */
#include "effort.h"
#include "graph_test.h"
#include "sample.h"

enum { N_TEXT = sizeof sample_text - 1 };

/* A fixed sequence of numbers: xorshift64 (Marsaglia 2003). */
static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The text in a block of exactly its size, so that a read beyond it is seen. */
static void check_text(cot_context *context, const char *bytes, size_t n) {
    char *text = malloc(n > 0 ? n : 1);
    assert_non_null(text);
    memcpy(text, bytes, n);
    cot_graph *graph = cot_graph_parse(context, text, n);
    cot_error error = cot_error_get(context);
    free(text);
    if (graph == NULL) {
        assert_int_not_equal(error.status, COT_OK);
        assert_int_not_equal(error.status, COT_E_INTERNAL);
        assert_int_not_equal(error.status, COT_E_NOMEM);
        assert_int_equal(strncmp(error.message, "line ", 5), 0);
        cot_error_clear(context);
        return;
    }
    CHECK_OK(context, coti_graph_verify(graph));
    char *printed = text_of(graph);
    cot_graph *back = parse_text(context, printed);
    char *again = text_of(back);
    assert_string_equal(again, printed);
    free(again);
    free(printed);
    cot_graph_destroy(back);
    cot_graph_destroy(graph);
}

/* Quick: every seventh place, as the work grows with the square of the text. */
static size_t stride(void) {
    return effort_is_quick() ? 7 : 1;
}

static void every_prefix(void **state) {
    fixture *f = *state;
    for (size_t n = 0; n <= N_TEXT; n += stride()) {
        check_text(f->context, sample_text, n);
    }
}

static void every_byte_replaced(void **state) {
    fixture *f = *state;
    static const char worst[] = {'\0', '\n', ' ', '9', 'N', '%', '"', '#', '\xff'};
    char text[N_TEXT];
    for (size_t i = 0; i < N_TEXT; i += stride()) {
        memcpy(text, sample_text, N_TEXT);
        text[i] = worst[i % sizeof worst];
        check_text(f->context, text, N_TEXT);
        text[i] = sample_text[(i * 7 + 3) % N_TEXT];
        check_text(f->context, text, N_TEXT);
        text[i] = (char)(sample_text[i] ^ (1 << (i % 8)));
        check_text(f->context, text, N_TEXT);
    }
}

static void every_byte_removed_or_doubled(void **state) {
    fixture *f = *state;
    char text[N_TEXT + 1];
    for (size_t i = 0; i < N_TEXT; i += stride()) {
        memcpy(text, sample_text, i);
        memcpy(text + i, sample_text + i + 1, N_TEXT - i - 1);
        check_text(f->context, text, N_TEXT - 1);
        memcpy(text, sample_text, i + 1);
        memcpy(text + i + 1, sample_text + i, N_TEXT - i);
        check_text(f->context, text, N_TEXT + 1);
    }
}

/* Lines of the sample in another order, dropped, and with pieces of one in another. */
static void pieces_moved_about(void **state) {
    fixture *f = *state;
    uint64_t seed = 20240229;
    char text[N_TEXT];
    for (size_t round = 0; round < 2000; round += stride()) {
        memcpy(text, sample_text, N_TEXT);
        for (int k = 0; k < 3; k++) {
            size_t n = 1 + next_random(&seed) % 40;
            size_t from = next_random(&seed) % (N_TEXT - n);
            size_t to = next_random(&seed) % (N_TEXT - n);
            memmove(text + to, sample_text + from, n);
        }
        check_text(f->context, text, N_TEXT);
    }
}

/* Numbers in the place of numbers, so that more of the text is taken for a graph. */
static void numbers_replaced(void **state) {
    fixture *f = *state;
    static const char *const numbers[] = {"0",
                                          "1",
                                          "2",
                                          "3",
                                          "-1",
                                          "9",
                                          "2147483648",
                                          "4294967296",
                                          "281474976710656",
                                          "9223372036854775807",
                                          "N",
                                          "2N",
                                          "-0"};
    size_t n_numbers = sizeof numbers / sizeof numbers[0];
    char text[N_TEXT + 32];
    for (size_t i = 0; i < N_TEXT; i++) {
        if (sample_text[i] < '0' || sample_text[i] > '9') {
            continue;
        }
        for (size_t k = 0; k < n_numbers; k++) {
            size_t n = strlen(numbers[k]);
            memcpy(text, sample_text, i);
            memcpy(text + i, numbers[k], n);
            memcpy(text + i + n, sample_text + i + 1, N_TEXT - i - 1);
            check_text(f->context, text, N_TEXT - 1 + n);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_prefix),
        FIXTURE_TEST(every_byte_replaced),
        FIXTURE_TEST(every_byte_removed_or_doubled),
        FIXTURE_TEST(pieces_moved_about),
        FIXTURE_TEST(numbers_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
