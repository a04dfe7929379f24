# The emitter's version: a hash over all sources that decide which code a kernel becomes. It is part of every key of
# the object cache, so that code of another emitter is never found, whoever forgets to count a version up.
#
# Included by the top level it adds the rule for codegen/llvm/emitter_version.h; run as a script it is the rule.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "")
  foreach(source IN LISTS SOURCES)
    file(SHA256 "${source}" hash)
    string(APPEND text "${hash}\n")
  endforeach()
  string(SHA256 hash "${text}")
  string(SUBSTRING "${hash}" 0 32 hash)
  file(WRITE "${OUT}" "/* Made by cmake/EmitterVersion.cmake. */\n#define COTI_EMITTER_VERSION \"${hash}\"\n")
  return()
endif()

file(GLOB emitter_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/codegen/llvm/*.[ch])
list(APPEND emitter_sources ${CMAKE_SOURCE_DIR}/codegen/jit.h ${CMAKE_SOURCE_DIR}/codegen/kernel.h
  ${CMAKE_SOURCE_DIR}/codegen/kernel.c ${CMAKE_SOURCE_DIR}/codegen/cache.c ${CMAKE_SOURCE_DIR}/runtime/kernel_abi.h
  ${CMAKE_SOURCE_DIR}/runtime/base/philox.h ${CMAKE_SOURCE_DIR}/graph/ops.def
  ${CMAKE_SOURCE_DIR}/frontend/include/cotangent/base.h)
set(emitter_version ${CMAKE_BINARY_DIR}/generated/emitter_version.h)
add_custom_command(OUTPUT ${emitter_version}
  COMMAND ${CMAKE_COMMAND} "-DSOURCES=${emitter_sources}" -DOUT=${emitter_version} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${emitter_sources} ${CMAKE_CURRENT_LIST_FILE} VERBATIM)
target_sources(cotangent_objects PRIVATE ${emitter_version})
target_include_directories(cotangent_objects PRIVATE ${CMAKE_BINARY_DIR}/generated)
