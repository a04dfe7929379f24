/*
 * The strings of a graph: interned once, each with what it names (graph.h, coti_symbol).
 */
#ifndef COTI_SYMBOL_H
#define COTI_SYMBOL_H

#include "graph.h"

/*
 * The symbol of a text, made if it is new. Symbols move when more are made: use the pointer at
 * once. NULL with COT_E_NOMEM recorded.
 */
coti_symbol *coti_graph_symbol(cot_graph *graph, const char *text);

/* The symbol of a text if there is one; NULL otherwise. */
coti_symbol *coti_graph_find_symbol(const cot_graph *graph, const char *text);

#endif
