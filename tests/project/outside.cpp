// The same library from C++17: the header compiles, the context reports an error and survives it.
#include <cotangent.h>

#include <cstring>

int main() {
    cot_context *context = cot_context_create(nullptr);
    if (context == nullptr) {
        return 1;
    }
    cot_graph *graph = cot_graph_create(context, "bad");
    cot_shape two{};
    two.rank = 1;
    two.dim[0] = 2;
    cot_shape three = two;
    three.dim[0] = 3;
    cot_value sum = cot_op_binary(COT_OP_ADD, cot_op_input(graph, COT_F32, two, "a"),
                                  cot_op_input(graph, COT_F32, three, "b"));
    cot_error error = cot_error_get(context);
    bool good = sum.graph == nullptr && error.status == COT_E_SHAPE && std::strstr(error.message, "f32[2]") != nullptr;
    cot_error_clear(context);
    good = good && cot_error_get(context).status == COT_OK;
    cot_graph_destroy(graph);
    cot_context_destroy(context);
    return good ? 0 : 1;
}
