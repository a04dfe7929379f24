/* Cotangent: the whole public API. See the README for a complete example. */
#ifndef COTANGENT_H
#define COTANGENT_H
#include "cotangent/base.h"
#include "cotangent/data.h"
#include "cotangent/graph.h"
#include "cotangent/layers.h"
#include "cotangent/model.h"
#include "cotangent/training.h"
#endif
