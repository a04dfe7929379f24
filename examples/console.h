/*
 * The process's terminal as the library's cot_console: where a host that has a terminal lets text
 * go. Shared by the examples and the cotangent command.
 */
#ifndef EXAMPLES_CONSOLE_H
#define EXAMPLES_CONSOLE_H

#include <cotangent.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A cot_write_fn that writes to the FILE given as user. */
static inline bool console_write(const char *text, size_t bytes, void *user) {
    FILE *file = user;
    return fwrite(text, 1, bytes, file) == bytes && fflush(file) == 0;
}

/* The console of a stream: redrawn lines on a terminal, colours unless NO_COLOR or TERM=dumb says
 * otherwise. */
static inline cot_console console_of(FILE *file) {
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool terminal = isatty(fileno(file)) != 0 && term != NULL && strcmp(term, "dumb") != 0;
    cot_console console = COT_CONSOLE_INIT;
    console.write = console_write;
    console.user = file;
    console.terminal = terminal;
    console.color = terminal && (no_color == NULL || no_color[0] == '\0');
    struct winsize size;
    if (terminal && ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        console.columns = size.ws_col;
    }
    return console;
}

#endif
