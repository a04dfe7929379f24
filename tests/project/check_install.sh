#!/usr/bin/env bash
# Installs the library into a temporary place and uses it from outside the tree: through pkg-config in C17, and through
# find_package from C and C++17. The program is the README's.
#   check_install.sh SOURCE-DIR BUILD-DIR C-COMPILER
set -euo pipefail
source=$1 build=$2 cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
libdir=$(dirname "$(find "$work/prefix" -name 'libcotangent.so' | head -n 1)")
export LD_LIBRARY_PATH=$libdir PKG_CONFIG_PATH=$libdir/pkgconfig

flags=$(pkg-config --cflags --libs cotangent)
# shellcheck disable=SC2086
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$source/tests/project/outside.c" -o "$work/outside" $flags
"$work/outside"

mkdir "$work/project"
cp "$source/tests/project/outside.c" "$source/tests/project/outside.cpp" "$work/project"
cat >"$work/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(outside C CXX)
set(CMAKE_C_STANDARD 17)
set(CMAKE_CXX_STANDARD 17)
find_package(cotangent 0.1 REQUIRED)
add_executable(outside_c outside.c)
target_link_libraries(outside_c PRIVATE Cotangent::cotangent)
add_executable(outside_cpp outside.cpp)
target_link_libraries(outside_cpp PRIVATE Cotangent::cotangent)
CMAKE
cmake -G Ninja -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/project/build" >/dev/null
"$work/project/build/outside_c"
"$work/project/build/outside_cpp"
