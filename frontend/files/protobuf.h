/*
 * Writing protobuf's wire format: fields appended to a string, of which a message is made by
 * putting its fields into a string of its own. Errors are the string's. src: protobuf's published
 * encoding; fields are numbered from 1.
 */
#ifndef COTI_PROTOBUF_H
#define COTI_PROTOBUF_H

#include "runtime/base/str.h"

void coti_protobuf_varint(coti_str *message, int32_t field, uint64_t value);
void coti_protobuf_double(coti_str *message, int32_t field, double value);
void coti_protobuf_float(coti_str *message, int32_t field, float value);
void coti_protobuf_bytes(coti_str *message, int32_t field, const void *data, size_t bytes);
void coti_protobuf_text(coti_str *message, int32_t field, const char *text);
/* Another message, or packed numbers; it is then empty, and may be used again. */
void coti_protobuf_message(coti_str *message, int32_t field, coti_str *inner);

#endif
