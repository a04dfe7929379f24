/*
 * TensorBoard's event files: records of a length, its checksum, bytes, and their checksum; the
 * bytes of each are an Event message.
 *
 *   Event     1 wall_time (double)  2 step  3 file_version  4 graph_def  5 summary
 *   Summary   1 value, of it: 1 tag  2 simple_value (float)  5 histo
 *   histo     1 min  2 max  3 num  4 sum  5 sum_squares  6 bucket_limit  7 bucket (doubles, packed)
 *   GraphDef  1 node, of it: 1 name  2 op  3 input  5 attr      4 versions: 1 producer
 *
 * A file is opened, added to and closed for every group of events, so nothing is held between; a
 * process that is killed leaves at most a last record that is torn, which readers pass over.
 * src: TensorFlow's record format and event.proto, summary.proto, graph.proto
 */
#ifndef COTI_EVENT_FILE_H
#define COTI_EVENT_FILE_H

#include "runtime/base/str.h"

/* CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected. */
uint32_t coti_crc32c(const void *data, size_t bytes);

/* Events that are to be written together. */
typedef struct coti_events {
    cot_context *context;
    coti_str records;
    coti_str event, value, summary; /* being made */
} coti_events;

void coti_events_begin(coti_events *events, cot_context *context);
void coti_events_free(coti_events *events);

void coti_events_scalar(coti_events *events, int64_t step, const char *tag, double value);
/* Counts of n finite and other numbers in 30 equal intervals; those that are not finite are left
 * out. */
void coti_events_histogram(coti_events *events, int64_t step, const char *tag, const double *data,
                           int64_t n);
/* graph: a GraphDef message; it is then empty. */
void coti_events_graph(coti_events *events, coti_str *graph);

/* Make a new file in a directory (made with those above it if it is not there), with its first
 * record. path: of `bytes`, receives its name. fails: COT_E_IO, COT_E_ARG (too long), COT_E_NOMEM
 */
cot_status coti_event_file_create(cot_context *context, const char *directory, char *path,
                                  size_t bytes);
/* Add the events to the file, and forget them. fails: COT_E_IO, COT_E_NOMEM */
cot_status coti_events_write(coti_events *events, const char *path);

#endif
