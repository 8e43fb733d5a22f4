// Kernels for test_emulation.py, each about one promise of the header.

extern "C" __global__ void count_threads(int* seen) {
    const int thread = threadIdx.x + blockDim.x * threadIdx.y;
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    seen[block * blockDim.x * blockDim.y + thread] += 1 + thread;
}

extern "C" __global__ void reverse(REAL* y) {
    SHARED(REAL, tile);
    for (int round = 0; round < 3; ++round) {
        tile[threadIdx.x] = 100 * round + threadIdx.x;
        __syncthreads();
        y[round * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
        __syncthreads();
    }
}

extern "C" __global__ void shuffle(double* down, int* mixed) {
    down[threadIdx.x] = __shfl_down_sync(0xffffffffu, (double)threadIdx.x, 4);
    mixed[threadIdx.x] = __shfl_xor_sync(0xffffffffu, (int)threadIdx.x, 5);
}

extern "C" __global__ void count_float32(float* total, float* before) {
    before[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(total, 1.0f);
}

extern "C" __global__ void count_float64(double* total, double* before) {
    before[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(total, 1.0);
}

extern "C" __global__ void count_int32(int* total, int* before) {
    before[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(total, 1);
}

extern "C" __global__ void least_int32(const int* values, int* least, int* seen) {
    const int t = blockIdx.x * blockDim.x + threadIdx.x, before = atomicMin(least, values[t]);
    seen[t] = before > __ldcg(least) || before <= values[t];
}

// A name that the C library has too.
extern "C" __global__ void step(int* done) { *done = 1; }

extern "C" __global__ void read_too_early(REAL* y) {
    SHARED(REAL, tile);
    y[blockIdx.x * blockDim.x + threadIdx.x] = tile[threadIdx.x];
    tile[threadIdx.x] = 1;
}

extern "C" __global__ void barrier_for_some() {
    if (threadIdx.x < 40) __syncthreads();
}

extern "C" __global__ void barrier_after_return() {
    if (threadIdx.x < 32) return;
    __syncthreads();
}

extern "C" __global__ void warp_barrier_for_some() {
    if (threadIdx.x < 7) __syncwarp();
}

extern "C" __global__ void different_barriers() {
    if (threadIdx.x < 9) __syncwarp();
    else __syncthreads();
}
