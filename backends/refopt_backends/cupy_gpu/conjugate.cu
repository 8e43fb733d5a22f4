// Steps of conjugate gradients in place. Sums are formed by blocks, whose parts the caller adds.
#include "_warps.cuh"

// d = z + beta d, and the parts of d'd. Shared memory: a double per warp.
extern "C" __global__ void combine(const double* z, double beta, long long n, double* d, double* parts) {
    SHARED(double, scratch);
    double sum = 0;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        const double value = z[i] + beta * d[i];
        d[i] = value;
        sum += value * value;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// x += alpha d and r -= alpha g, and the parts of r'r. Shared memory: a double per warp.
extern "C" __global__ void take_step(double alpha, const double* d, const double* g, long long n, double* x, double* r,
                                     double* parts) {
    SHARED(double, scratch);
    double sum = 0;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        x[i] += alpha * d[i];
        const double value = r[i] - alpha * g[i];
        r[i] = value;
        sum += value * value;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
