/*
 * Runs a lowered kernel from its description (codegen/kernel.h), one point at a time in plain C:
 * what compiled kernels must do, bit for bit but for the functions (exp, log, ...), which are the C
 * library's.
 */
#ifndef KERNEL_INTERPRET_H
#define KERNEL_INTERPRET_H

#include "codegen/kernel.h"
#include "runtime/kernel_abi.h"

/*
 * Run the kernel on [begin, end) of its partition axis, as the compiled function would be called.
 * Products and sums are in the order that kernel.h fixes, with fma in products only. args->scratch
 * is not used. u8 inputs become x * scale + offset, without fma.
 * fails: COT_E_NOMEM, and what coti_eval_node fails with.
 */
cot_status coti_kernel_interpret(cot_context *context, const coti_kernel *kernel,
                                 const cotr_args *args, int64_t begin, int64_t end);

#endif
