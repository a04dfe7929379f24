/*
 * Keras's progress bar and its line an epoch.
 *
 * The bar is redrawn in place: backspaces over what was drawn, a carriage return, the line, spaces
 * over what is left of a longer one. Where lines cannot be redrawn each showing is a line of its
 * own. With colour the count is bold, the done part green, the rest white (which Keras shows grey).
 */
#include "frontend/training/training.h"

#include <math.h>
#include <string.h>

enum { BAR_WIDTH = 20 };

void coti_progress_init(coti_progress *progress, cot_context *context, const cot_console *console,
                        bool bar) {
    *progress = (coti_progress){.console = *console, .bar = bar};
    coti_str_init(&progress->text, context);
}

void coti_progress_free(coti_progress *progress) {
    coti_str_free(&progress->text);
}

void coti_progress_begin(coti_progress *progress, int64_t n_steps, double now) {
    progress->n_steps = n_steps;
    progress->begin = now;
    progress->after_first = progress->latest = -1.0;
    progress->drawn = 0;
}

bool coti_progress_is_due(const coti_progress *progress, double now) {
    return progress->bar &&
           (progress->latest < 0.0 || now - progress->latest >= COTI_REDRAW_SECONDS);
}

/* ---- pieces ---- */

/* A piece of the line in a colour; returns its width. */
static int32_t append_piece(coti_progress *progress, const char *escape, const char *piece,
                            int32_t width) {
    if (progress->console.color) {
        coti_str_append(&progress->text, escape);
    }
    coti_str_append(&progress->text, piece);
    if (progress->console.color) {
        coti_str_append(&progress->text, "\x1b[0m");
    }
    return width;
}

/* Text in bold; returns its width. */
static int32_t append_bold(coti_progress *progress, coti_str *piece) {
    return append_piece(progress, "\x1b[1m", coti_str_text(piece), (int32_t)piece->count);
}

static int32_t count_digits(int64_t n) {
    int32_t digits = 1;
    for (; n >= 10; n /= 10) {
        digits++;
    }
    return digits;
}

/* " 12/100". */
static void append_count(const coti_progress *progress, coti_str *text, int64_t done) {
    coti_str_printf(text, "%*lld/%lld", (int)count_digits(progress->n_steps), (long long)done,
                    (long long)progress->n_steps);
}

/* Seconds a step, the first one (which warms caches up) left out when it can be. */
static double step_seconds(coti_progress *progress, int64_t done, double now) {
    double seconds = 0.0;
    if (done > 1 && progress->after_first >= 0.0) {
        seconds = (now - progress->after_first) / (double)(done - 1);
    } else if (done > 0) {
        seconds = (now - progress->begin) / (double)done;
    }
    if (done == 1) {
        progress->after_first = now;
    }
    return seconds;
}

/* " 21ms/step". */
static void append_rate(coti_str *text, double seconds) {
    if (seconds >= 1.0 || seconds == 0.0) {
        coti_str_printf(text, " %.0fs/step", seconds);
    } else if (seconds >= 1e-3) {
        coti_str_printf(text, " %.0fms/step", seconds * 1e3);
    } else {
        coti_str_printf(text, " %.0fus/step", seconds * 1e6);
    }
}

/* "1:05:09", "5:09", "9s". */
static void append_time_left(coti_str *text, double seconds) {
    long long s = seconds < 1e15 ? (long long)seconds : 0;
    if (seconds > 3600) {
        coti_str_printf(text, "%lld:%02lld:%02lld", s / 3600, s % 3600 / 60, s % 60);
    } else if (seconds > 60) {
        coti_str_printf(text, "%lld:%02lld", s / 60, s % 60);
    } else {
        coti_str_printf(text, "%llds", s);
    }
}

/* " - loss: 0.2761 - ...". */
static void append_logs(coti_str *text, const cot_logs *logs) {
    for (int32_t i = 0; logs != NULL && i < logs->n; i++) {
        double value = logs->log[i].value;
        if (strchr(logs->log[i].name, '/') != NULL) {
            continue; /* an instrument: there may be thousands */
        }
        coti_str_printf(text, fabs(value) > 1e-3 ? " - %s: %.4f" : " - %s: %.4e", logs->log[i].name,
                        value);
    }
}

/* ---- the two forms ---- */

static int32_t append_bar(coti_progress *progress, int64_t done) {
    static const char cell[] = "━";
    coti_str part;
    int64_t n_done = BAR_WIDTH * done / (progress->n_steps > 0 ? progress->n_steps : 1);
    coti_str_init(&part, progress->text.context);
    for (int64_t i = 0; i < n_done; i++) {
        coti_str_append(&part, cell);
    }
    if (n_done > 0) {
        append_piece(progress, "\x1b[32m", coti_str_text(&part), 0);
    }
    coti_str_clear(&part);
    for (int64_t i = n_done; i < BAR_WIDTH; i++) {
        coti_str_append(&part, progress->console.color ? cell : "─");
    }
    append_piece(progress, "\x1b[37m", coti_str_text(&part), 0);
    progress->text.failed = progress->text.failed || part.failed;
    coti_str_free(&part);
    return BAR_WIDTH;
}

/* The line between its moves; returns its width on the screen. */
static int32_t append_line(coti_progress *progress, int64_t done, const cot_logs *logs, double now,
                           bool last) {
    coti_str piece;
    double seconds = step_seconds(progress, done, now);
    coti_str_init(&piece, progress->text.context);
    append_count(progress, &piece, done);
    int32_t width = append_bold(progress, &piece);
    coti_str_append(&progress->text, " ");
    width += 1 + append_bar(progress, done) + 1;
    coti_str_append(&progress->text, " ");
    coti_str_clear(&piece);
    if (last) {
        coti_str_printf(&piece, "%.0fs", now - progress->begin);
    } else {
        append_time_left(&piece, seconds * (double)(progress->n_steps - done));
    }
    width += append_bold(progress, &piece);
    coti_str_clear(&piece);
    append_rate(&piece, seconds);
    append_logs(&piece, logs);
    coti_str_append(&progress->text, coti_str_text(&piece));
    width += (int32_t)piece.count;
    progress->text.failed = progress->text.failed || piece.failed;
    coti_str_free(&piece);
    return width;
}

static void append_redraw(coti_progress *progress, int64_t done, const cot_logs *logs, double now,
                          bool last) {
    bool redraws = progress->console.terminal;
    for (int32_t i = 0; redraws && i < progress->drawn; i++) {
        coti_str_append(&progress->text, "\b");
    }
    coti_str_append(&progress->text, redraws ? "\r" : progress->latest < 0.0 ? "" : "\n");
    int32_t width = append_line(progress, done, logs, now, last);
    for (int32_t i = width; redraws && i < progress->drawn; i++) {
        coti_str_append(&progress->text, " ");
    }
    if (last) {
        coti_str_append(&progress->text, "\n");
    }
    progress->drawn = width;
}

cot_status coti_progress_show(coti_progress *progress, int64_t done, const cot_logs *logs,
                              double now, bool last) {
    if (progress->bar && (last || coti_progress_is_due(progress, now))) {
        append_redraw(progress, done, logs, now, last);
        progress->latest = now;
    } else if (!progress->bar && last) {
        append_count(progress, &progress->text, done);
        coti_str_printf(&progress->text, " - %.0fs -", now - progress->begin);
        append_rate(&progress->text, step_seconds(progress, done, now));
        append_logs(&progress->text, logs);
        coti_str_append(&progress->text, "\n");
    } else {
        step_seconds(progress, done, now);
    }
    return coti_console_flush(&progress->console, &progress->text);
}

cot_status coti_progress_break(coti_progress *progress) {
    if (progress->drawn > 0) {
        coti_str_append(&progress->text, "\n");
        progress->drawn = 0;
    }
    return coti_console_flush(&progress->console, &progress->text);
}
