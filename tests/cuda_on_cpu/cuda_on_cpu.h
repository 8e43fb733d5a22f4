// CUDA C++ on an ordinary C++20 compiler.
//
// Force-included in front of a .cu file, this header turns its kernels into
// functions that g++ compiles and that `cuda_on_cpu::run_grid` runs, one block
// after another. The threads of a block are
//
//   - OS threads (crew_threads.h) under the sanitizers, so that the thread
//     sanitizer sees the races that a GPU would have;
//   - fibers (crew_fibers.h, with -DFIBERS) elsewhere: the same results a
//     hundred times faster, because a barrier costs no system call.
//
// Shared memory is a heap block of exactly the bytes asked for, so that the
// address sanitizer sees a store beside it.
//
// Only what the kernels use is here. A kernel that needs more is an invitation
// to think twice, then to add it.
#pragma once

#include <math.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
// Dynamic shared memory: the one macro of the .cu files.
#define SHARED(type, name) type* const name = reinterpret_cast<type*>(cuda_on_cpu::self->shared)

struct uint3 {
    unsigned x, y, z;
};

namespace cuda_on_cpu {

constexpr unsigned WARP = 32;
constexpr std::size_t SHARED_LIMIT = 48 * 1024;  // what every GPU grants without being asked

using Slots = std::array<std::uint64_t, WARP>;  // through which a warp shuffles

// What a CUDA thread knows about itself.
struct Self {
    uint3 thread{}, block{};
    unsigned linear = 0;
    unsigned char* shared = nullptr;
    Slots* slots = nullptr;
};

inline thread_local Self* self;     // of the CUDA thread that runs
inline uint3 grid_size, block_size;  // of the launch that runs

[[noreturn]] inline void die(const char* message) {
    std::fprintf(stderr, "cuda_on_cpu: %s\n", message);
    std::abort();
}

}  // namespace cuda_on_cpu

// A crew defines sync_block(), sync_warp() and
//     std::string run_crew(threads, blocks, begin(b), enter(self, t, b), kernel)
// which calls, for every block b, begin once, then enter and kernel on every
// thread t, and returns what went wrong, or an empty string.
#ifdef FIBERS
#include "crew_fibers.h"
#else
#include "crew_threads.h"
#endif

namespace cuda_on_cpu {

// Every lane shows its value and reads that of lane `from`.
template <class T>
T exchange(unsigned mask, T value, unsigned from) {
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= sizeof(Slots::value_type));
    if (mask != 0xffffffffu) die("a shuffle needs the full mask: partial warps are not emulated");
    std::memcpy(&(*self->slots)[self->linear % WARP], &value, sizeof(T));
    sync_warp();
    T other;
    std::memcpy(&other, &(*self->slots)[from], sizeof(T));
    sync_warp();
    return other;
}

template <class T>
T atomic_add(T* address, T value) {
    return std::atomic_ref<T>(*address).fetch_add(value, std::memory_order_relaxed);
}

template <class T>
T atomic_min(T* address, T value) {
    std::atomic_ref<T> held(*address);
    T before = held.load(std::memory_order_relaxed);
    while (value < before && !held.compare_exchange_weak(before, value, std::memory_order_relaxed)) {}
    return before;
}

// Runs `kernel()` on every thread of every block. Returns what went wrong, or
// an empty string.
inline std::string run_grid(uint3 grid, uint3 block, std::size_t shared_bytes, const std::function<void()>& kernel) {
    const unsigned threads = block.x * block.y * block.z;
    const std::size_t blocks = std::size_t(grid.x) * grid.y * grid.z;
    if (threads == 0 || blocks == 0) return "an empty grid or block";
    if (threads > 1024) return "more than 1024 threads in a block";
    if (threads % WARP) return "the block is not a multiple of 32 threads: partial warps are not emulated";
    if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) return "the grid is larger than a GPU's";
    if (shared_bytes > SHARED_LIMIT) return "more than 48 KiB of shared memory";

    static std::mutex device;  // one launch at a time
    std::lock_guard<std::mutex> only(device);
    grid_size = grid;
    block_size = block;
    std::unique_ptr<unsigned char[]> shared(new unsigned char[shared_bytes]);
    std::vector<Slots> slots(threads / WARP);

    const auto begin = [&](std::size_t) {
        // As NaN, so that a read before a write shows.
        if (shared_bytes) std::memset(shared.get(), 0xff, shared_bytes);
    };
    const auto enter = [&](Self& me, unsigned t, std::size_t b) {
        me.linear = t;
        me.thread = {t % block.x, t / block.x % block.y, t / block.x / block.y};
        me.block = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
        me.shared = shared.get();
        me.slots = &slots[t / WARP];
    };
    return run_crew(threads, blocks, begin, enter, kernel);
}

// --- kernels by name ---------------------------------------------------------

// One letter per parameter type, as NumPy's dtype.char; a pointer has a '*'.
template <class T>
std::string type_name() {
    using Bare = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<Bare>) return "*" + type_name<std::remove_pointer_t<Bare>>();
    else if constexpr (std::is_same_v<Bare, double>) return "d";
    else if constexpr (std::is_same_v<Bare, float>) return "f";
    else if constexpr (std::is_same_v<Bare, int>) return "i";
    else if constexpr (std::is_same_v<Bare, unsigned>) return "I";
    else if constexpr (std::is_same_v<Bare, long long>) return "q";
    else if constexpr (std::is_same_v<Bare, unsigned long long>) return "Q";
    else if constexpr (std::is_same_v<Bare, signed char>) return "b";
    else if constexpr (std::is_same_v<Bare, unsigned char>) return "B";
    else if constexpr (std::is_same_v<Bare, bool>) return "?";
    else static_assert(sizeof(T) == 0, "a kernel parameter of a type that type_name does not list");
}

struct Entry {
    std::string name, signature;
    std::string (*launch)(uint3, uint3, std::size_t, void**);
};

template <auto kernel>
struct Launcher;

template <class... Parameter, void (*kernel)(Parameter...)>
struct Launcher<kernel> {
    static std::string signature() { return (std::string() + ... + (type_name<Parameter>() + " ")); }
    static std::string launch(uint3 grid, uint3 block, std::size_t shared_bytes, void** arguments) {
        return call(grid, block, shared_bytes, arguments, std::index_sequence_for<Parameter...>());
    }
    template <std::size_t... k>
    static std::string call(uint3 grid, uint3 block, std::size_t shared_bytes, void** arguments, std::index_sequence<k...>) {
        return run_grid(grid, block, shared_bytes, [=] { kernel(*static_cast<std::remove_cv_t<Parameter>*>(arguments[k])...); });
    }
};

template <auto kernel>
Entry entry(const char* name) {
    return {name, Launcher<kernel>::signature(), Launcher<kernel>::launch};
}

extern const std::vector<Entry> kernels;  // defined by KERNELS below

inline const Entry* find(const std::string& name) {
    for (const Entry& candidate : kernels)
        if (candidate.name == name) return &candidate;
    return nullptr;
}

}  // namespace cuda_on_cpu

// Written behind the .cu file by compiler.py: KERNELS(KERNEL(first), KERNEL(second))
#define KERNEL(name) cuda_on_cpu::entry<name>(#name)
#define KERNELS(...) const std::vector<cuda_on_cpu::Entry> cuda_on_cpu::kernels{__VA_ARGS__};

// --- the names that a kernel uses ----------------------------------------------

#define threadIdx (cuda_on_cpu::self->thread)
#define blockIdx (cuda_on_cpu::self->block)
#define blockDim (cuda_on_cpu::block_size)
#define gridDim (cuda_on_cpu::grid_size)

inline void __syncthreads() { cuda_on_cpu::sync_block(); }
inline void __syncwarp() { cuda_on_cpu::sync_warp(); }

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
    const unsigned lane = cuda_on_cpu::self->linear % cuda_on_cpu::WARP, from = lane + delta;
    return cuda_on_cpu::exchange(mask, value, from < cuda_on_cpu::WARP ? from : lane);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned bits) {
    return cuda_on_cpu::exchange(mask, value, cuda_on_cpu::self->linear % cuda_on_cpu::WARP ^ bits);
}

inline float atomicAdd(float* address, float value) { return cuda_on_cpu::atomic_add(address, value); }
inline double atomicAdd(double* address, double value) { return cuda_on_cpu::atomic_add(address, value); }
inline int atomicAdd(int* address, int value) { return cuda_on_cpu::atomic_add(address, value); }
inline int atomicMin(int* address, int value) { return cuda_on_cpu::atomic_min(address, value); }

// Past the caches of a multiprocessor: what other threads' atomics have written.
inline int __ldcg(const int* address) {
    return std::atomic_ref<int>(*const_cast<int*>(address)).load(std::memory_order_relaxed);
}

using std::max;
using std::min;
