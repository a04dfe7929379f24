/*
 * The LLVM C API, and the one place that knows which LLVM it is.
 *
 * Everything in codegen/llvm/ includes this header rather than LLVM's own. One major is supported:
 * the C API has no promise of stability, and the pass pipeline's text and the textual target
 * features change with it.
 */
#ifndef COTI_LLVM_COMPAT_H
#define COTI_LLVM_COMPAT_H

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
/* Metadata helpers are declared here, though they have nothing to do with debug information. */
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <llvm/Config/llvm-config.h>

#if LLVM_VERSION_MAJOR != 19
#error "Cotangent's code generator is written against LLVM 19 (Debian: llvm-19-dev)"
#endif

/* All that the emitted IR wants: it is in SSA form with explicit vectors, and what equal
 * subexpressions remain are cheap to find. The code generator does the rest. */
#define COTI_LLVM_PIPELINE "function(early-cse)"

#endif
