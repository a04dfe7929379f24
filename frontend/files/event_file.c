/* TensorBoard's event files: contract in event_file.h. */
#include "event_file.h"

#include "protobuf.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WALL_TIME = 1, STEP, FILE_VERSION, GRAPH_DEF, SUMMARY };     /* of Event */
enum { TAG = 1, SIMPLE_VALUE = 2, HISTO = 5 };                      /* of Summary.Value */
enum { MIN = 1, MAX, NUM, SUM, SUM_SQUARES, BUCKET_LIMIT, BUCKET }; /* of HistogramProto */
enum { BUCKETS = 30, MOST_FILES = 1000 };

/* ---- checksums ---- */

uint32_t coti_crc32c(const void *data, size_t bytes) {
    /* What four zero bits behind each value of four bits make of it. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const unsigned char *p = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* The format turns checksums, so that one of data that holds checksums is no weaker. */
static uint32_t masked(uint32_t crc) {
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

static void append_little_endian(coti_str *out, uint64_t value, size_t n) {
    char byte[8];
    for (size_t i = 0; i < n; i++) {
        byte[i] = (char)(value >> (8 * i));
    }
    coti_str_append_bytes(out, byte, n);
}

static void append_record(coti_str *out, coti_str *data) {
    const char *bytes = coti_str_text(data);
    unsigned char length[8];
    for (size_t i = 0; i < sizeof length; i++) {
        length[i] = (unsigned char)((uint64_t)data->count >> (8 * i));
    }
    out->failed = out->failed || data->failed;
    coti_str_append_bytes(out, (const char *)length, sizeof length);
    append_little_endian(out, masked(coti_crc32c(length, sizeof length)), 4);
    coti_str_append_bytes(out, bytes, data->count);
    append_little_endian(out, masked(coti_crc32c(bytes, data->count)), 4);
    coti_str_clear(data);
}

/* ---- events ---- */

void coti_events_begin(coti_events *events, cot_context *context) {
    *events = (coti_events){.context = context};
    coti_str_init(&events->records, context);
    coti_str_init(&events->event, context);
    coti_str_init(&events->value, context);
    coti_str_init(&events->summary, context);
}

void coti_events_free(coti_events *events) {
    coti_str_free(&events->records);
    coti_str_free(&events->event);
    coti_str_free(&events->value);
    coti_str_free(&events->summary);
}

static void begin_event(coti_str *event) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* it cannot fail with this clock */
    coti_protobuf_double(event, WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
}

/* An event of one value of a summary: what `value` holds. */
static void end_summary(coti_events *events, int64_t step) {
    begin_event(&events->event);
    coti_protobuf_varint(&events->event, STEP, (uint64_t)step);
    coti_protobuf_message(&events->summary, 1, &events->value);
    coti_protobuf_message(&events->event, SUMMARY, &events->summary);
    append_record(&events->records, &events->event);
}

void coti_events_scalar(coti_events *events, int64_t step, const char *tag, double value) {
    coti_protobuf_text(&events->value, TAG, tag);
    coti_protobuf_float(&events->value, SIMPLE_VALUE, (float)value);
    end_summary(events, step);
}

/* ---- histograms ---- */

typedef struct histogram {
    double min, max, num, sum, sum_squares;
    double count[BUCKETS];
} histogram;

/* Which of equal intervals from min to max; the last one has both its ends. */
static int32_t bucket_of(const histogram *h, double value) {
    double width = h->max - h->min;
    double at = width > 0.0 ? (value - h->min) / width * BUCKETS : 0.0;
    return at >= BUCKETS ? BUCKETS - 1 : at > 0.0 ? (int32_t)at : 0;
}

static void fill(histogram *h, const double *data, int64_t n) {
    *h = (histogram){.min = INFINITY, .max = -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(data[i])) {
            h->min = data[i] < h->min ? data[i] : h->min;
            h->max = data[i] > h->max ? data[i] : h->max;
            h->num += 1.0;
            h->sum += data[i];
            h->sum_squares += data[i] * data[i];
        }
    }
    if (h->num == 0.0) {
        h->min = h->max = 0.0;
    }
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(data[i])) {
            h->count[bucket_of(h, data[i])] += 1.0;
        }
    }
}

static void append_packed(coti_str *message, int32_t field, const double *value, int32_t n,
                          coti_str *scratch) {
    for (int32_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        memcpy(&bits, &value[i], sizeof bits);
        append_little_endian(scratch, bits, sizeof bits);
    }
    coti_protobuf_message(message, field, scratch);
}

void coti_events_histogram(coti_events *events, int64_t step, const char *tag, const double *data,
                           int64_t n) {
    histogram h;
    double limit[BUCKETS];
    coti_str histo;
    fill(&h, data, n);
    int32_t n_buckets = h.num == 0.0 ? 0 : h.max > h.min ? BUCKETS : 1;
    for (int32_t i = 0; i < n_buckets; i++) {
        limit[i] = h.min + (h.max - h.min) * (i + 1) / BUCKETS;
    }
    if (n_buckets > 0) {
        limit[n_buckets - 1] = h.max;
    }
    coti_str_init(&histo, events->context);
    coti_protobuf_double(&histo, MIN, h.min);
    coti_protobuf_double(&histo, MAX, h.max);
    coti_protobuf_double(&histo, NUM, h.num);
    coti_protobuf_double(&histo, SUM, h.sum);
    coti_protobuf_double(&histo, SUM_SQUARES, h.sum_squares);
    append_packed(&histo, BUCKET_LIMIT, limit, n_buckets, &events->summary);
    append_packed(&histo, BUCKET, h.count, n_buckets, &events->summary);
    coti_protobuf_text(&events->value, TAG, tag);
    coti_protobuf_message(&events->value, HISTO, &histo);
    coti_str_free(&histo);
    end_summary(events, step);
}

void coti_events_graph(coti_events *events, coti_str *graph) {
    begin_event(&events->event);
    coti_protobuf_message(&events->event, GRAPH_DEF, graph);
    append_record(&events->records, &events->event);
}

/* ---- files ---- */

static cot_status fail_errno(cot_context *context, const char *path, const char *what) {
    return COTI_FAIL(context, COT_E_IO, "\"%.300s\" cannot be %s: %s", path, what, strerror(errno));
}

/* The directory and those above it. `path` is changed and put right again. */
static cot_status make_directories(cot_context *context, char *path) {
    for (char *end = path + 1;; end++) {
        if (*end != '/' && *end != '\0') {
            continue;
        }
        char kept = *end;
        *end = '\0';
        bool made = mkdir(path, 0777) == 0 || errno == EEXIST;
        cot_status status = made ? COT_OK : fail_errno(context, path, "made");
        *end = kept;
        if (status != COT_OK || kept == '\0') {
            return status;
        }
    }
}

/* A file of a name that is not taken. */
static cot_status create(cot_context *context, const char *directory, char *path, size_t bytes) {
    char host[64] = "localhost";
    int fd = -1;
    (void)gethostname(host, sizeof host - 1);
    host[strcspn(host, "/")] = '\0';
    errno = EEXIST;
    for (int32_t i = 0; i < MOST_FILES && fd < 0 && errno == EEXIST; i++) {
        int n = snprintf(path, bytes, "%s/events.out.tfevents.%010lld.%s.%d.%d.v2", directory,
                         (long long)time(NULL), host, (int)getpid(), (int)i);
        if (n < 0 || (size_t)n >= bytes) {
            return COTI_FAIL(context, COT_E_ARG, "\"%.300s\" is too long for a log's directory",
                             directory);
        }
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        return fail_errno(context, path, "made");
    }
    (void)close(fd);
    return COT_OK;
}

cot_status coti_event_file_create(cot_context *context, const char *directory, char *path,
                                  size_t bytes) {
    char *own = coti_strdup(context, directory);
    if (own == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = own[0] != '\0' ? make_directories(context, own) : COT_OK;
    if (status == COT_OK) {
        status = create(context, directory, path, bytes);
    }
    coti_free(context, own);
    if (status != COT_OK) {
        path[0] = '\0';
        return status;
    }
    coti_events events;
    coti_events_begin(&events, context);
    begin_event(&events.event);
    coti_protobuf_text(&events.event, FILE_VERSION, "brain.Event:2");
    append_record(&events.records, &events.event);
    status = coti_events_write(&events, path);
    coti_events_free(&events);
    return status;
}

static cot_status write_bytes(cot_context *context, int fd, const char *path, const coti_str *str) {
    for (size_t done = 0; done < str->count;) {
        ssize_t n = write(fd, str->data + done, str->count - done);
        if (n < 0 && errno != EINTR) {
            return fail_errno(context, path, "written");
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return COT_OK;
}

cot_status coti_events_write(coti_events *events, const char *path) {
    COTI_TRY(coti_str_status(&events->records));
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_errno(events->context, path, "opened");
    }
    cot_status status = write_bytes(events->context, fd, path, &events->records);
    if (close(fd) != 0 && status == COT_OK) {
        status = fail_errno(events->context, path, "written");
    }
    coti_str_clear(&events->records);
    return status;
}
