/* Protobuf's wire format: contract in protobuf.h. */
#include "protobuf.h"

#include <string.h>

/* How a field's value is laid out. */
enum { VARINT = 0, EIGHT_BYTES = 1, DELIMITED = 2, FOUR_BYTES = 5 };

/* Seven bits a byte, the lowest first; the high bit says that another one follows. */
static void append_varint(coti_str *message, uint64_t value) {
    char byte[10];
    size_t n = 0;
    do {
        byte[n] = (char)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        value >>= 7;
        n++;
    } while (value > 0);
    coti_str_append_bytes(message, byte, n);
}

static void append_key(coti_str *message, int32_t field, int32_t layout) {
    append_varint(message, (uint64_t)field << 3 | (uint64_t)layout);
}

static void append_little_endian(coti_str *message, uint64_t bits, size_t n) {
    char byte[8];
    for (size_t i = 0; i < n; i++) {
        byte[i] = (char)(bits >> (8 * i));
    }
    coti_str_append_bytes(message, byte, n);
}

void coti_protobuf_varint(coti_str *message, int32_t field, uint64_t value) {
    append_key(message, field, VARINT);
    append_varint(message, value);
}

void coti_protobuf_double(coti_str *message, int32_t field, double value) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    append_key(message, field, EIGHT_BYTES);
    append_little_endian(message, bits, sizeof bits);
}

void coti_protobuf_float(coti_str *message, int32_t field, float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    append_key(message, field, FOUR_BYTES);
    append_little_endian(message, bits, sizeof bits);
}

void coti_protobuf_bytes(coti_str *message, int32_t field, const void *data, size_t bytes) {
    append_key(message, field, DELIMITED);
    append_varint(message, bytes);
    coti_str_append_bytes(message, data, bytes);
}

void coti_protobuf_text(coti_str *message, int32_t field, const char *text) {
    coti_protobuf_bytes(message, field, text, strlen(text));
}

void coti_protobuf_message(coti_str *message, int32_t field, coti_str *inner) {
    message->failed = message->failed || inner->failed;
    coti_protobuf_bytes(message, field, coti_str_text(inner), inner->count);
    coti_str_clear(inner);
}
