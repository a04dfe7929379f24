/* Text for people: the console it goes to, and numbers as Keras shows them. */
#include "frontend/model/model.h"

cot_status coti_console_read(cot_context *context, const cot_console *given, cot_console *out) {
    COTI_TRY(coti_options_copy(context, "cot_console", given, out, sizeof *out));
    if (out->write == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "cot_console: write is NULL");
    }
    if (out->columns < 0) {
        return COTI_FAIL(context, COT_E_ARG, "cot_console: columns is %d, expected 0 or more",
                         (int)out->columns);
    }
    out->columns = out->columns == 0 ? 80 : out->columns;
    return COT_OK;
}

cot_status coti_console_flush(const cot_console *console, coti_str *text) {
    cot_status status = coti_str_status(text);
    if (status == COT_OK && text->count > 0 &&
        !console->write(coti_str_text(text), text->count, console->user)) {
        status = COTI_FAIL(text->context, COT_E_IO, "the console's writer refused %llu bytes",
                           (unsigned long long)text->count);
    }
    coti_str_clear(text);
    return status;
}

void coti_append_thousands(coti_str *text, int64_t value) {
    int64_t unit = 1;
    while (value / unit >= 1000) {
        unit *= 1000;
    }
    coti_str_printf(text, "%lld", (long long)(value / unit));
    while (unit > 1) {
        value %= unit;
        unit /= 1000;
        coti_str_printf(text, ",%03lld", (long long)(value / unit));
    }
}

void coti_append_bytes(coti_str *text, int64_t bytes) {
    static const char *const unit[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    double size = (double)bytes;
    size_t i = 0;
    while (i + 1 < sizeof unit / sizeof unit[0] && size / 1024 >= 1) {
        size /= 1024;
        i++;
    }
    coti_str_printf(text, "%.2f %s", size, unit[i]);
}
