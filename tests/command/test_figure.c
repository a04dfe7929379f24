/*
 * The examples' figures: places of points on linear and logarithmic axes, gaps where a number has
 * no place, contours that lie where the function has its level, names with special characters.
 */
#include "../../examples/lecture/figure.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A plot's frame in the picture: of the first panel with a legend of one row. */
static const double left = 70.0, right = 424.0;

static void assert_near(double value, double expected, double tolerance) {
    assert_true(fabs(value - expected) <= tolerance);
}

/* The figure of one panel as text, which the caller frees. */
static char *draw(const figure_panel *panel) {
    char path[] = "/tmp/test_figure_XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_true(figure_write(path, "a < b & c", panel, 1, 1));
    enum { MOST = 1 << 20 };
    char *text = calloc(MOST, 1);
    assert_non_null(text);
    assert_true(read(file, text, MOST - 1) > 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(unlink(path), 0);
    return text;
}

/* The places of the first line's path: n of them, and how many begin anew. */
static int places_of(const char *text, double (*place)[2], int most, int *n_gaps) {
    const char *at = strstr(text, "<g clip-path");
    assert_non_null(at);
    at = strstr(at, "class=\"l s");
    assert_non_null(at);
    at = strstr(at, " d=\"");
    assert_non_null(at);
    at += 4;
    int n = 0;
    *n_gaps = -1;
    while (*at == 'M' || *at == 'L') {
        *n_gaps += *at == 'M';
        char *end = NULL;
        assert_true(n < most);
        place[n][0] = strtod(at + 1, &end);
        place[n++][1] = strtod(end, &end);
        at = end;
    }
    assert_int_equal(*at, '"');
    return n;
}

static void test_linear(void **state) {
    (void)state;
    const double x[] = {0.0, 1.0, 4.0}, y[] = {0.0, 10.0, 5.0};
    const figure_line line = {.label = "l", .n = 3, .x = x, .y = y};
    const figure_panel panel = {.title = "t",
                                .x_label = "x",
                                .y_label = "y",
                                .x_high = 4.0,
                                .y_high = 10.0,
                                .line = &line,
                                .n = 1};
    char *text = draw(&panel);
    double place[8][2];
    int n_gaps = 0;
    assert_int_equal(places_of(text, place, 8, &n_gaps), 3);
    assert_int_equal(n_gaps, 0);
    double height = place[0][1] - place[1][1];
    assert_true(height > 100.0);
    assert_near(place[0][0], left, 0.06);
    assert_near(place[1][0], left + (right - left) / 4.0, 0.06);
    assert_near(place[2][0], right, 0.06);
    assert_near(place[2][1], place[0][1] - height / 2.0, 0.06);
    assert_non_null(strstr(text, "<title>a &#60; b &#38; c</title>"));
    free(text);
}

/* On a logarithmic axis equal ratios are equal distances; what is not positive or finite leaves a
 * gap; x counts from 1 in steps of x_step. */
static void test_logarithmic_with_gaps(void **state) {
    (void)state;
    const double y[] = {1.0, 10.0, 0.0, 100.0, NAN, 1000.0, INFINITY, -1.0};
    const figure_line line = {.label = "l", .n = 8, .x_step = 5.0, .y = y};
    const figure_panel panel = {.title = "t",
                                .x_label = "x",
                                .y_label = "y",
                                .log_y = true,
                                .x_low = 5.0,
                                .x_high = 40.0,
                                .y_low = 1.0,
                                .y_high = 1000.0,
                                .line = &line,
                                .n = 1};
    char *text = draw(&panel);
    double place[8][2];
    int n_gaps = 0;
    assert_int_equal(places_of(text, place, 8, &n_gaps), 4);
    assert_int_equal(n_gaps, 2);
    double decade = place[0][1] - place[1][1];
    assert_true(decade > 50.0);
    assert_near(place[1][1] - place[2][1], decade, 0.11);
    assert_near(place[2][1] - place[3][1], decade, 0.11);
    assert_near(place[0][0], left, 0.06);
    assert_near(place[3][0], left + (right - left) * 5.0 / 7.0, 0.06);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
}

/* A line of many points is thinned, but ends where it ends. */
static void test_many_points(void **state) {
    (void)state;
    enum { MANY = 12345 };
    static double y[MANY];
    for (int i = 0; i < MANY; i++) {
        y[i] = i;
    }
    const figure_line line = {.label = "l", .n = MANY, .y = y};
    const figure_panel panel = {.title = "t",
                                .x_label = "x",
                                .y_label = "y",
                                .x_low = 1.0,
                                .x_high = MANY,
                                .line = &line,
                                .n = 1};
    char *text = draw(&panel);
    static double place[400][2];
    int n_gaps = 0, n = places_of(text, place, 400, &n_gaps);
    assert_in_range(n, 100, 300);
    assert_int_equal(n_gaps, 0);
    assert_near(place[n - 1][0], right, 0.06);
    free(text);
}

static double circle(double x, double y) {
    return x * x + y * y;
}

/* Every place of the contour of level 1 is on the ellipse that the unit circle is in the picture,
 * and the contour goes all the way round. */
static void test_contour(void **state) {
    (void)state;
    const double level = 1.0;
    const figure_panel panel = {.title = "t",
                                .x_label = "x",
                                .y_label = "y",
                                .x_low = -2.0,
                                .x_high = 2.0,
                                .y_low = -2.0,
                                .y_high = 2.0,
                                .hills = {circle, &level, 1}};
    char *text = draw(&panel);
    const char *at = strstr(text, "class=\"h\"");
    assert_non_null(at);
    at = strstr(at, " d=\"") + 4;
    double x = 0.0, y = 0.0, low = 1e9, high = -1e9, middle = 0.0;
    const double radius = (right - left) / 4.0;
    const char *frame = strstr(text, "<rect x=");
    assert_non_null(frame);
    double top = strtod(strstr(frame, " y=\"") + 4, NULL) + 2.0;
    middle = top + 110.0; /* plots are 220 high */
    while (*at == 'M' || *at == 'l') {
        char *end = NULL;
        bool moves = *at == 'M';
        double dx = strtod(at + 1, &end) / 10.0, dy = strtod(end, &end) / 10.0;
        x = moves ? dx : x + dx;
        y = moves ? dy : y + dy;
        at = end;
        double u = (x - (left + right) / 2.0) / radius, v = (y - middle) / 55.0;
        assert_true(fabs(hypot(u, v) - 1.0) < 0.02);
        low = fmin(low, u);
        high = fmax(high, u);
    }
    assert_true(low < -0.97 && high > 0.97);
    free(text);
}

static void test_no_file(void **state) {
    (void)state;
    const figure_panel panel = {.title = "t", .x_label = "x", .y_label = "y"};
    assert_false(figure_write("/nowhere/at/all.svg", "t", &panel, 1, 1));
    char *text = draw(&panel); /* no lines, no range */
    assert_null(strstr(text, "nan"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),      cmocka_unit_test(test_logarithmic_with_gaps),
        cmocka_unit_test(test_many_points), cmocka_unit_test(test_contour),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
