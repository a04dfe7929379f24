/*
 * The text form of graphs: what its printer and its parser share.
 *
 *     graph @name(%x: f32[N,784], state %w: f32[784,10]) {
 *       %0 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,10]  # "dense_1"
 *       update %w <- %7
 *       return loss=%5, y=%0
 *     }
 *
 * Graphs that nodes run stand before the graph that runs them, and go by their names there:
 *
 *     graph @twice(%x: f32[3]) {
 *       %0 = add %x, %x : f32[3]
 *       return y=%0
 *     }
 *
 *     graph @main(%a: f32[3]) {
 *       %0 = custom %a {forward=@twice, backward=@other} : f32[3]
 *       return y=%0
 *     }
 *
 * Grammar. Space, line ends and comments (from # to the end of the line) are free between tokens.
 *
 *     text      graph {graph}
 *     graph     "graph" "@" WORD "(" [leaf {"," leaf}] ")" ["backward"] "{" {node | update}
 *               "return" [result {"," result}] "}"
 *     leaf      ["state"] value ":" type
 *     node      value "=" OP [value {"," value}] ["{" field {"," field} "}"] ":" type
 *               ["remat" digits]
 *     update    "update" value "<-" value
 *     result    name "=" value
 *     value     "%" (name | digits)
 *     name      a letter or '_', then letters, digits and any of _ . / -   or a quoted string
 *     field     WORD "=" (scalar | "[" [scalar {"," scalar}] "]")
 *     type      DTYPE "[" [extent {"," extent}] "]"       extent: digits, N or digits N
 *     scalar    an integer, a decimal, inf, -inf, nan, nan(0xBITS), true, false, a WORD or
 *               "@" WORD, a graph that stands before
 *
 * A comment that stands behind a node's type on the same line and holds nothing but a quoted string
 * names the node's layer. Quoted strings know \" \\ \xHH; all bytes but printable ASCII are printed
 * as \xHH. Lists that are empty are not printed. "remat" is the region of recomputation that a node
 * belongs to (cot_graph_set_remat). "backward" says that the graph holds a backward
 * part. The last graph is the text's result; every graph before it must be run by a node of one
 * that follows: one that is not is an error, as are two of one name. An attribute's data follow the
 * type's dtype: floats read back to the same bits.
 */
#ifndef COTI_TEXT_H
#define COTI_TEXT_H

#include "attr.h"
#include "body.h"

static inline bool coti_is_digit(char c) {
    return c >= '0' && c <= '9';
}

static inline bool coti_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* May c stand in a plain name after its first letter? */
static inline bool coti_is_name_char(char c) {
    return coti_is_letter(c) || coti_is_digit(c) || c == '.' || c == '/' || c == '-';
}

/* The bits of the NaN that is printed as plain "nan". */
#define COTI_NAN_BITS_F32 UINT32_C(0x7fc00000)
#define COTI_NAN_BITS_F64 UINT64_C(0x7ff8000000000000)

/* "uniform", "normal"; NULL for a value that is no distribution. */
const char *coti_distribution_name(cot_distribution distribution);

/* ---- printing (print.c) ---- */

/* name as it is where it is plain, else quoted. */
void coti_text_name(coti_str *out, const char *name);
/* "text", with escapes. */
void coti_text_quoted(coti_str *out, const char *text);
/* Element i of data of this dtype. */
void coti_text_element(coti_str *out, cot_dtype dtype, const void *data, int64_t i);
/* What tells a body from all others of equal hash: its text without its own name, layers, and the
 * names of its bodies, which are their places in graph->body. */
cot_status coti_text_identity(coti_str *out, const cot_graph *graph);

#endif
