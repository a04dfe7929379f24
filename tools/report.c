/* `cotangent report`: a run's log as one page of HTML. */
#include "command.h"

#include "report/run.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const char *const command_report_help =
    "usage: cotangent report LOG [--output FILE]\n\n"
    "  LOG            a directory of event files, as the TensorBoard callback and\n"
    "                 `cotangent train --log` write it, or a file of the CSVLogger callback\n"
    "  --output FILE  report.html; \"-\": standard output\n\n"
    "Makes one HTML file that needs nothing else: curves of losses, metrics and the learning "
    "rate,\n"
    "of instruments a line a layer, and from event files the model's picture.\n";

static bool read_log(report_run *run, const char *path) {
    struct stat facts;
    if (stat(path, &facts) != 0) {
        (void)fprintf(stderr, "cotangent report: %s: %s\n", path, strerror(errno));
        return false;
    }
    bool fine = S_ISDIR(facts.st_mode) ? report_read_events(run, path) : report_read_csv(run, path);
    if (fine && run->n_series == 0) {
        (void)fprintf(stderr, "cotangent report: %s: there are no numbers in it\n", path);
    }
    return fine && run->n_series > 0;
}

static bool write_page(const report_run *run, const char *path) {
    bool standard = strcmp(path, "-") == 0;
    FILE *out = standard ? stdout : fopen(path, "w");
    if (out != NULL) {
        report_page_write(out, run);
    }
    bool written = out != NULL && fflush(out) == 0 && !ferror(out);
    if (!written) {
        (void)fprintf(stderr, "cotangent report: %s: %s\n", path, strerror(errno));
    }
    if (out != NULL && !standard) {
        written = fclose(out) == 0 && written;
    }
    return written;
}

int command_report(int argc, char **argv) {
    const char *log = NULL, *output = "report.html";
    const command_option table[] = {{"--output", 's', (void *)&output}, {NULL, 0, NULL}};
    if (command_parse(argc, argv, table, &log, 1) != 1) {
        (void)fputs(command_report_help, stderr);
        return COMMAND_USAGE;
    }
    report_run run = {.source = log};
    bool fine = read_log(&run, log) && write_page(&run, output);
    report_free(&run);
    return fine ? COMMAND_OK : COMMAND_FAILED;
}
