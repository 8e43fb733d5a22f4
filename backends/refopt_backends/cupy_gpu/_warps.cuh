// Pieces that kernels of several files share; _launch.py pastes them in. A file need not
// use all of them: `inline` keeps nvcc from warning.
#ifndef SHARED
#define SHARED(type, name) extern __shared__ type name[]
#endif

#define FULL_WARP 0xffffffffu

__device__ static inline double warp_sum(double value) {  // in every lane
    for (int bit = 16; bit; bit /= 2) value += __shfl_xor_sync(FULL_WARP, value, bit);
    return value;
}

// *total plus the sum over the lanes before; then *total grows by the sum over the
// whole warp.
__device__ static inline long long sum_before(long long value, long long* total) {
    long long before = 0, all = value;
    for (int bit = 1; bit < 32; bit *= 2) {
        const long long other = __shfl_xor_sync(FULL_WARP, all, bit);
        if (threadIdx.x & bit) before += other;
        all += other;
    }
    before += *total;
    *total += all;
    return before;
}

__device__ static inline double warp_max(double value) {  // in every lane
    for (int bit = 16; bit; bit /= 2) value = fmax(value, __shfl_xor_sync(FULL_WARP, value, bit));
    return value;
}

// The sum over a block, in every thread. `scratch` holds a double per warp.
__device__ static inline double block_sum(double value, double* scratch) {
    value = warp_sum(value);
    __syncthreads();  // scratch may still be read from the last sum
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    double total = 0;
    for (int w = 0; w < (int)blockDim.x / 32; ++w) total += scratch[w];
    return total;
}

// The largest value of a block, in every thread.
__device__ static inline double block_max(double value, double* scratch) {
    value = warp_max(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    double most = scratch[0];
    for (int w = 1; w < (int)blockDim.x / 32; ++w) most = fmax(most, scratch[w]);
    return most;
}

__device__ static inline double block_min(double value, double* scratch) { return -block_max(-value, scratch); }
