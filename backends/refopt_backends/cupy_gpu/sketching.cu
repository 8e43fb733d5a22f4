// Randomised sketches on a GPU.
#include "_warps.cuh"

// x <- x - weights_i (A_i x - b_i) A_i + momentum (x - previous) for each index i in turn.
// One block; a thread keeps its entries of x to itself. Shared memory: a double per warp.
extern "C" __global__ void rk_dense(const double* A, int n, const double* b, const double* weights, double* x,
                                    double* previous, const long long* index, int steps, double momentum,
                                    double* moves) {
    SHARED(double, parts);
    for (int k = 0; k < steps; ++k) {
        const long long i = index[k];
        const double* row = A + i * n;
        double total = 0;
        for (int j = threadIdx.x; j < n; j += blockDim.x) total += row[j] * x[j];
        const double move = weights[i] * (block_sum(total, parts) - b[i]);
        if (threadIdx.x == 0) moves[i] += move;
        for (int j = threadIdx.x; j < n; j += blockDim.x) {
            const double here = x[j];
            x[j] = here - move * row[j] + momentum * (here - previous[j]);
            previous[j] = here;
        }
    }
}

// The same for compressed rows. The step before the last one is kept in `previous`.
extern "C" __global__ void rk_csr(const double* values, const int* columns, const long long* starts, int n,
                                  const double* b, const double* weights, double* x, double* previous,
                                  const long long* index, int steps, double momentum, double* moves) {
    SHARED(double, parts);
    for (int k = 0; k < steps; ++k) {
        const long long i = index[k], first = starts[i], end = starts[i + 1];
        double total = 0;
        for (long long e = first + threadIdx.x; e < end; e += blockDim.x) total += values[e] * x[columns[e]];
        const double move = weights[i] * (block_sum(total, parts) - b[i]);
        if (threadIdx.x == 0) moves[i] += move;
        if (momentum != 0 || k == steps - 1) {
            for (int j = threadIdx.x; j < n; j += blockDim.x) {
                const double here = x[j];
                x[j] = here + momentum * (here - previous[j]);
                previous[j] = here;
            }
            __syncthreads();
        }
        for (long long e = first + threadIdx.x; e < end; e += blockDim.x) x[columns[e]] -= move * values[e];
        __syncthreads();  // x is whole
    }
}

// Steps with the row of the largest r_i^2 weights_i, on r = A x - b alone. One block; the
// first of equal rows. Shared memory: a double per warp.
extern "C" __global__ void greedy(const double* gram, int rows, double* r, const double* weights, int steps,
                                  double* moves) {
    SHARED(double, parts);
    for (int k = 0; k < steps; ++k) {
        double most = -1;
        int mine = rows;
        for (int j = threadIdx.x; j < rows; j += blockDim.x) {
            const double gain = r[j] * r[j] * weights[j];
            if (gain > most) most = gain, mine = j;
        }
        const double best = block_max(most, parts);
        const int i = (int)block_min(most == best ? mine : rows, parts);
        const double move = r[i] * weights[i];
        __syncthreads();  // r_i was read
        if (threadIdx.x == 0) moves[i] += move;
        for (int j = threadIdx.x; j < rows; j += blockDim.x) r[j] -= move * gram[(long long)i * rows + j];
        __syncthreads();
    }
}

// Rows of the result are sums over the rows of A in their buckets, listed one bucket after the
// other in `members`, so that the order of summation is fixed. A block per bucket.
extern "C" __global__ void bucket_sums(const double* A, int n, const long long* first, const long long* members,
                                       const double* signs, double* sketch) {
    const long long s = blockIdx.x;
    for (int j = threadIdx.x; j < n; j += blockDim.x) {
        double total = 0;
        for (long long e = first[s]; e < first[s + 1]; ++e) total += signs[e] * A[members[e] * n + j];
        sketch[s * n + j] = total;
    }
}

// The same for compressed rows, whose columns differ within a row. `sketch` holds zeros.
extern "C" __global__ void bucket_sums_csr(const double* values, const int* columns, const long long* starts, int n,
                                           const long long* first, const long long* members, const double* signs,
                                           double* sketch) {
    const long long s = blockIdx.x;
    for (long long e = first[s]; e < first[s + 1]; ++e) {
        const long long i = members[e];
        for (long long f = starts[i] + threadIdx.x; f < starts[i + 1]; f += blockDim.x)
            sketch[s * n + columns[f]] += signs[e] * values[f];
        __syncthreads();
    }
}
