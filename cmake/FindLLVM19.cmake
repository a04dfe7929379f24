# LLVM 19 by its own CMake package, and no other major: the C API loses functions between majors without notice.
# Defines the imported target Cotangent::LLVM.
find_package(LLVM 19.1 QUIET CONFIG HINTS /usr/lib/llvm-19/lib/cmake/llvm)
if(NOT LLVM_FOUND OR NOT LLVM_VERSION_MAJOR EQUAL 19)
  message(FATAL_ERROR "LLVM 19 was not found. On Debian: apt-get install llvm-19-dev. "
    "Elsewhere set LLVM_DIR to the folder of LLVMConfig.cmake. Without LLVM: -DCOT_LLVM=OFF.")
endif()
find_library(COT_LLVM_LIBRARY NAMES LLVM-19 LLVM HINTS ${LLVM_LIBRARY_DIR} ${LLVM_LIBRARY_DIRS} REQUIRED)
if(NOT TARGET Cotangent::LLVM)
  add_library(Cotangent::LLVM INTERFACE IMPORTED)
  target_include_directories(Cotangent::LLVM SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
  target_link_libraries(Cotangent::LLVM INTERFACE ${COT_LLVM_LIBRARY})
endif()
