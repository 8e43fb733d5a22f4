// The C entry points of a .cu file compiled as a shared library.
#pragma once

extern "C" const char* kernel_signature(const char* name) {
    const cuda_on_cpu::Entry* kernel = cuda_on_cpu::find(name);
    return kernel ? kernel->signature.c_str() : nullptr;
}

// `sizes`: grid x, y, z, block x, y, z, bytes of shared memory. Returns what
// went wrong or an empty text, which lives until this thread's next launch.
extern "C" const char* kernel_launch(const char* name, const long long* sizes, void** arguments) {
    static thread_local std::string failure;
    const auto at = [&](int k) { return static_cast<unsigned>(sizes[k]); };
    failure = cuda_on_cpu::find(name)->launch({at(0), at(1), at(2)}, {at(3), at(4), at(5)}, sizes[6], arguments);
    return failure.c_str();
}
