// Pieces that kernels of several files share; _launch.py pastes them in.
#ifndef SHARED
#define SHARED(type, name) extern __shared__ type name[]
#endif

#define FULL_WARP 0xffffffffu

__device__ static double warp_sum(double value) {  // in every lane
    for (int bit = 16; bit; bit /= 2) value += __shfl_xor_sync(FULL_WARP, value, bit);
    return value;
}

// *total plus the sum over the lanes before; then *total grows by the sum over the
// whole warp.
__device__ static long long sum_before(long long value, long long* total) {
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
