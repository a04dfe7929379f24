/*
 * Event files, as the TensorBoard callback writes them: records with checksums, in each of them an
 * Event of protobuf. Of these the scalars "epoch_..." and "batch_..." and the graph are taken, the
 * rest is passed over. A record that ends with the file before it is whole was being written by a
 * process that was killed: it is passed over as well. Several files are read by name, which is by
 * time; later numbers replace earlier ones.
 */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_FILE_BYTES = 1 << 30, PATH_ROOM = 4096, HEAD_BYTES = 12, TAIL_BYTES = 4 };
enum { VARINT = 0, EIGHT_BYTES = 1, DELIMITED = 2, FOUR_BYTES = 5 };

typedef struct span {
    const unsigned char *at, *end;
} span;

typedef struct field {
    uint64_t number, value;
    int layout;
    span bytes;
} field;

/* ---- the wire format ---- */

static uint64_t little_endian(const unsigned char *p, size_t n) {
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;) {
        value = value << 8 | p[i];
    }
    return value;
}

static bool take_varint(span *s, uint64_t *value_out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char byte = *s->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *value_out = value;
            return true;
        }
    }
    return false;
}

/* The next field of a message. false: there is none, or it is malformed. */
static bool next_field(span *s, field *f) {
    uint64_t key = 0, n = 0;
    if (s->at == s->end || !take_varint(s, &key)) {
        return false;
    }
    *f = (field){.number = key >> 3, .layout = (int)(key & 7)};
    if (f->layout == VARINT) {
        return take_varint(s, &f->value);
    }
    n = f->layout == EIGHT_BYTES ? 8 : 4;
    bool known = f->layout == EIGHT_BYTES || f->layout == FOUR_BYTES;
    if (f->layout == DELIMITED) {
        known = take_varint(s, &n);
    }
    if (!known || n > (uint64_t)(s->end - s->at)) {
        return false;
    }
    f->bytes = (span){s->at, s->at + n};
    f->value = f->layout == DELIMITED ? 0 : little_endian(s->at, (size_t)n);
    s->at += n;
    return true;
}

static char *text_of(span s) {
    return report_copy((const char *)s.at, (size_t)(s.end - s.at));
}

/* ---- the graph ---- */

/* attr {value {list {shape {dim {size}}}}}: "?, 28, 28". */
static char *shape_of(span attribute) {
    char text[128] = "";
    size_t used = 0;
    field value, list, shape, dim, size;
    while (next_field(&attribute, &value) && value.number != 2) {
    }
    if (value.number != 2 || !next_field(&value.bytes, &list) || list.number != 1 ||
        !next_field(&list.bytes, &shape) || shape.number != 7) {
        return report_copy("", 0);
    }
    while (next_field(&shape.bytes, &dim) && used < sizeof text - 32) {
        if (dim.number == 2 && next_field(&dim.bytes, &size) && size.number == 1) {
            const char *comma = used > 0 ? ", " : "";
            long long extent = (long long)size.value;
            used += (size_t)(extent < 0 ? snprintf(text + used, sizeof text - used, "%s?", comma)
                                        : snprintf(text + used, sizeof text - used, "%s%lld", comma,
                                                   extent));
        }
    }
    return report_copy(text, strlen(text));
}

static void read_node(span s, report_node *node) {
    for (field f; next_field(&s, &f);) {
        if (f.number == 1 && node->name == NULL) {
            node->name = text_of(f.bytes);
        } else if (f.number == 2 && node->op == NULL) {
            node->op = text_of(f.bytes);
        } else if (f.number == 3) {
            node->input = report_grow((void *)node->input, node->n_inputs + 1, sizeof *node->input);
            node->input[node->n_inputs++] = text_of(f.bytes);
        } else if (f.number == 5 && node->shape == NULL) {
            node->shape = shape_of(f.bytes);
        }
    }
    node->name = node->name != NULL ? node->name : report_copy("", 0);
    node->op = node->op != NULL ? node->op : report_copy("", 0);
    node->shape = node->shape != NULL ? node->shape : report_copy("", 0);
}

/* The first graph is the run's. */
static void read_graph(report_run *run, span s) {
    if (run->n_nodes > 0) {
        return;
    }
    for (field f; next_field(&s, &f);) {
        if (f.number != 1) {
            continue;
        }
        if (run->n_nodes == run->node_capacity) {
            run->node_capacity = run->node_capacity == 0 ? 32 : 2 * run->node_capacity;
            run->node = report_grow(run->node, run->node_capacity, sizeof *run->node);
        }
        run->node[run->n_nodes] = (report_node){.name = NULL};
        read_node(f.bytes, &run->node[run->n_nodes++]);
    }
}

/* ---- scalars ---- */

static void read_value(report_run *run, span s, bool validation, double step) {
    static const char by_epoch[] = "epoch_", by_step[] = "batch_";
    char *tag = NULL;
    float value = 0.0f;
    bool has_value = false;
    for (field f; next_field(&s, &f);) {
        if (f.number == 1 && f.layout == DELIMITED && tag == NULL) {
            tag = text_of(f.bytes);
        } else if (f.number == 2 && f.layout == FOUR_BYTES) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&value, &bits, sizeof value);
            has_value = true;
        }
    }
    bool is_step = tag != NULL && strncmp(tag, by_step, sizeof by_step - 1) == 0;
    if (has_value && tag != NULL && (is_step || strncmp(tag, by_epoch, sizeof by_epoch - 1) == 0)) {
        report_add(run, tag + sizeof by_epoch - 1, validation, is_step, step, (double)value);
    }
    free(tag);
}

static void read_event(report_run *run, span s, bool validation) {
    double step = 0.0;
    span summary = {NULL, NULL};
    for (field f; next_field(&s, &f);) {
        if (f.number == 2) {
            step = (double)(int64_t)f.value;
        } else if (f.number == 4 && f.layout == DELIMITED) {
            read_graph(run, f.bytes);
        } else if (f.number == 5 && f.layout == DELIMITED) {
            summary = f.bytes;
        }
    }
    for (field f; next_field(&summary, &f);) {
        if (f.number == 1 && f.layout == DELIMITED) {
            read_value(run, f.bytes, validation, step);
        }
    }
}

/* ---- records ---- */

/* CRC-32C, masked as the format has it. */
static uint32_t checksum(const unsigned char *p, size_t n) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ UINT32_C(0x82F63B78) : crc >> 1;
        }
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

/* 1: a record; 0: the file's end, or a torn record; -1: damage. */
static int take_record(span *s, span *data_out) {
    size_t left = (size_t)(s->end - s->at);
    if (left < HEAD_BYTES) {
        return 0;
    }
    uint64_t n = little_endian(s->at, 8);
    if (little_endian(s->at + 8, 4) != checksum(s->at, 8)) {
        return -1;
    }
    if (n > left - HEAD_BYTES || left - HEAD_BYTES - n < TAIL_BYTES) {
        return 0;
    }
    *data_out = (span){s->at + HEAD_BYTES, s->at + HEAD_BYTES + n};
    s->at = data_out->end + TAIL_BYTES;
    return little_endian(data_out->end, 4) == checksum(data_out->at, (size_t)n) ? 1 : -1;
}

static bool read_records(report_run *run, span s, const char *path, bool validation) {
    span data;
    int taken = take_record(&s, &data);
    for (; taken > 0; taken = take_record(&s, &data)) {
        read_event(run, data, validation);
    }
    if (taken < 0) {
        (void)fprintf(stderr, "cotangent report: %s: a record's checksum is wrong\n", path);
    }
    return taken == 0;
}

static bool read_file(report_run *run, const char *path, bool validation) {
    struct stat facts;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &facts) != 0 || facts.st_size > MOST_FILE_BYTES) {
        (void)fprintf(stderr, "cotangent report: %s: %s\n", path,
                      file == NULL ? strerror(errno) : "more than 1 GiB");
        if (file != NULL) {
            (void)fclose(file);
        }
        return false;
    }
    unsigned char *data = report_grow(NULL, (size_t)facts.st_size + 1, 1);
    size_t n = fread(data, 1, (size_t)facts.st_size, file);
    (void)fclose(file);
    bool fine = read_records(run, (span){data, data + n}, path, validation);
    free(data);
    return fine;
}

/* ---- directories ---- */

static int is_event_file(const struct dirent *entry) {
    return strstr(entry->d_name, "tfevents") != NULL;
}

/* *n_out: files that were read. A directory that is not there has none. */
static bool read_directory(report_run *run, const char *directory, bool validation, int *n_out) {
    struct dirent **entry = NULL;
    int n = scandir(directory, &entry, is_event_file, alphasort);
    bool fine = true;
    for (int i = 0; i < n; i++) {
        char path[PATH_ROOM];
        int length = snprintf(path, sizeof path, "%s/%s", directory, entry[i]->d_name);
        fine = fine && length > 0 && length < PATH_ROOM && read_file(run, path, validation);
        *n_out += 1;
        free(entry[i]);
    }
    free((void *)entry);
    return fine;
}

bool report_read_events(report_run *run, const char *directory) {
    char path[PATH_ROOM];
    int n = 0;
    bool fine = read_directory(run, directory, false, &n);
    (void)snprintf(path, sizeof path, "%s/train", directory);
    fine = fine && read_directory(run, path, false, &n);
    (void)snprintf(path, sizeof path, "%s/validation", directory);
    fine = fine && read_directory(run, path, true, &n);
    if (fine && n == 0) {
        (void)fprintf(stderr, "cotangent report: %s: no event files in it or in train/\n",
                      directory);
    }
    return fine && n > 0;
}
