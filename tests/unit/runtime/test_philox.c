/* Philox against the known answers of its authors' Random123 library, and the draws made from it.
 */
#include "check.h"

#include "runtime/base/philox.h"

#include <math.h>

static void known_answers(void **state) {
    (void)state;
    /* Random123, kat_vectors, rows philox4x32 10. */
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } row[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        coti_philox_key key = {{row[i].key[0], row[i].key[1]}};
        uint32_t out[4];
        coti_philox4x32(row[i].counter, key, out);
        assert_memory_equal(out, row[i].out, sizeof out);
    }
}

/* The layout of philox.h, spelt out once more. */
static void words_follow_the_layout(void **state) {
    (void)state;
    const uint64_t seed = UINT64_C(0x0123456789abcdef), stream = 1025;
    const uint64_t step = UINT64_C(0x1122334455667788), element = UINT64_C(0x400000013);
    coti_philox_key key = coti_philox_make_key(seed, stream);
    uint64_t mixed = stream * UINT64_C(0x9E3779B97F4A7C15);
    assert_int_equal(key.k[0], 0x89abcdefu ^ (uint32_t)mixed);
    assert_int_equal(key.k[1], 0x01234567u ^ (uint32_t)(mixed >> 32));
    const uint32_t counter[4] = {0x4, 0x1, 0x55667788, 0x11223344};
    uint32_t out[4];
    coti_philox4x32(counter, key, out);
    assert_int_equal(coti_philox_word(key, step, element), out[3]);
    assert_true(coti_philox_uniform(key, step, element) == (out[3] >> 8) / 16777216.0);
}

static void uniforms_are_uniform(void **state) {
    (void)state;
    enum { N = 100000 };
    coti_philox_key key = coti_philox_make_key(7, 1024);
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = coti_philox_uniform(key, 3, i);
        assert_true(u >= 0 && u < 1 && (double)(float)u == u);
        sum += u;
        squares += u * u;
    }
    /* Five standard deviations of the mean of u and of u^2. */
    assert_true(fabs(sum / N - 1.0 / 2) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(squares / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
}

static void normals_are_normal(void **state) {
    (void)state;
    enum { N = 100000 };
    coti_philox_key key = coti_philox_make_key(7, 1024);
    double moment[5] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double x = coti_philox_normal(key, 0, i), power = 1;
        assert_true(isfinite(x));
        for (int k = 1; k <= 4; k++) {
            power *= x;
            moment[k] += power / N;
        }
    }
    /* Five standard deviations: the variance of x^k is E x^2k - (E x^k)^2, E x^2,4,6,8 = 1 3 15
     * 105. */
    assert_true(fabs(moment[1]) < 5 * sqrt(1.0 / N));
    assert_true(fabs(moment[2] - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(moment[3]) < 5 * sqrt(15.0 / N));
    assert_true(fabs(moment[4] - 3) < 5 * sqrt(96.0 / N));
}

/* The pair of Box-Muller shares a radius: x^2 + y^2 = -2 log u1. */
static void normal_pairs_share_a_radius(void **state) {
    (void)state;
    coti_philox_key key = coti_philox_make_key(99, 2000);
    for (uint64_t i = 0; i < 1000; i += 2) {
        double x = coti_philox_normal(key, 5, i), y = coti_philox_normal(key, 5, i + 1);
        double u = ((coti_philox_word(key, 5, i) >> 8) + 1) / 16777216.0;
        assert_true(fabs(x * x + y * y + 2 * log(u)) < 1e-12);
    }
}

static void below_is_in_range_and_even(void **state) {
    (void)state;
    enum { N = 60000, BOUND = 6 };
    coti_philox_key key = coti_philox_make_key(1, COTI_STREAM_SHUFFLE);
    int count[BOUND] = {0};
    for (uint64_t i = 0; i < N; i++) {
        count[coti_philox_below(key, 0, i, BOUND)]++;
    }
    for (int i = 0; i < BOUND; i++) {
        assert_true(fabs(count[i] - N / (double)BOUND) < 5 * sqrt(N * (5.0 / 36)));
    }
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(coti_philox_below(key, 0, i, 1) == 0);
        /* Just over half of all draws are allowed: refusals happen, and end. */
        assert_true(coti_philox_below(key, i, i, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(words_follow_the_layout),
        cmocka_unit_test(uniforms_are_uniform),
        cmocka_unit_test(normals_are_normal),
        cmocka_unit_test(normal_pairs_share_a_radius),
        cmocka_unit_test(below_is_in_range_and_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
