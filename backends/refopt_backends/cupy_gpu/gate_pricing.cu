// Box least squares in R^d on a GPU, a block per right-hand side: none waits for the host.
#include "_warps.cuh"

#define LARGEST 1.7976931348623157e308
#define SWEEPS 4
#define RTOL 1e-11

__device__ static double dot(const double* x, const double* y, int d) {
    double total = 0;
    for (int i = 0; i < d; ++i) total += x[i] * y[i];
    return total;
}

// w = g - sum a_k x_k over all k, or over the `size` rows that `rows` names.
__device__ static void residual(const double* X, const double* g, const double* a, const int* rows, int size, int d,
                                double* w) {
    for (int i = threadIdx.x; i < d; i += blockDim.x) {
        double total = g[i];
        for (int k = 0; k < size; ++k)
            if (a[k] != 0) total -= a[k] * X[(long long)(rows ? rows[k] : k) * d + i];
        w[i] = total;
    }
    __syncthreads();
}

// The lower Cholesky factor, in place.
__device__ static void factor(double* K, int size, int cap) {
    for (int j = 0; j < size; ++j) {
        if (threadIdx.x == 0) K[j * cap + j] = sqrt(fmax(K[j * cap + j], 1e-300));
        __syncthreads();
        for (int i = j + 1 + threadIdx.x; i < size; i += blockDim.x) K[i * cap + j] /= K[j * cap + j];
        __syncthreads();
        const int left = size - j - 1;
        for (int at = threadIdx.x; at < left * left; at += blockDim.x) {
            const int i = j + 1 + at / left, m = j + 1 + at % left;
            if (m <= i) K[i * cap + m] -= K[i * cap + j] * K[m * cap + j];
        }
        __syncthreads();
    }
}

// x <- (K K')^-1 x, by the first warp.
__device__ static void solve(const double* K, int size, int cap, double* x) {
    const int lane = threadIdx.x;
    if (lane < 32) {
        for (int i = 0; i < size; ++i) {
            double total = 0;
            for (int m = lane; m < i; m += 32) total += K[i * cap + m] * x[m];
            total = warp_sum(total);
            if (lane == 0) x[i] = (x[i] - total) / K[i * cap + i];
            __syncwarp();
        }
        for (int i = size - 1; i >= 0; --i) {
            double total = 0;
            for (int m = i + 1 + lane; m < size; m += 32) total += K[m * cap + i] * x[m];
            total = warp_sum(total);
            if (lane == 0) x[i] = (x[i] - total) / K[i * cap + i];
            __syncwarp();
        }
    }
    __syncthreads();
}

__device__ static void rows_dot(const double* X, const int* rows, int size, int d, const double* w, double* out) {
    for (int i = threadIdx.x; i < size; i += blockDim.x) out[i] = dot(X + (long long)rows[i] * d, w, d);
    __syncthreads();
}

// Sweeps of coordinate descent, by the first warp; lane i keeps w_i, w_{i+32}, ...
__device__ static void sweep(const double* X, const double* squares, const double* upper, int n, int d, double* a,
                             double* w) {
    const int lane = threadIdx.x;
    if (lane < 32)
        for (int k = 0; k < n; ++k) {
            if (!(upper[k] > 0 && squares[k] > 0)) continue;
            const double* x = X + (long long)k * d;
            double slope = 0;
            for (int i = lane; i < d; i += 32) slope += x[i] * w[i];
            const double old = a[k], now = fmin(fmax(old + warp_sum(slope) / squares[k], 0.0), upper[k]);
            __syncwarp();
            for (int i = lane; i < d; i += 32) w[i] -= (now - old) * x[i];
            if (lane == 0) a[k] = now;
            __syncwarp();
        }
    __syncthreads();
}

// The a with 0 <= a <= upper for which w = g - a X is shortest. Coefficients inside their bounds that are free are
// solved for; at most d are free at the start, and those that join are independent of them, so that `cap` of 2 d + 1 is
// enough. `free` holds cap rows and their number, `is_free` a flag per row, `room` 2 cap + d numbers.
extern "C" __global__ void box_least_squares(const double* X, const double* squares, const double* upper,
                                             const double* G, int n, int d, int cap, double* A, double* W, int* frees,
                                             unsigned char* flags, double* Ks, double* rooms) {
    SHARED(double, scratch);
    const long long b = blockIdx.x;
    const double* g = G + b * d;
    double *a = A + b * n, *w = W + b * d, *K = Ks + b * cap * cap, *x = rooms + b * (2 * cap + d), *more = x + cap;
    double* trial = more + cap;
    int* free = frees + b * (cap + 1);
    unsigned char* is_free = flags + b * n;
    const double bound = RTOL * sqrt(dot(g, g, d));
    residual(X, g, a, 0, n, d, w);
    for (int s = 0; s < SWEEPS; ++s) sweep(X, squares, upper, n, d, a, w);
    if (threadIdx.x == 0) {
        int size = 0;
        for (int k = 0; k < n; ++k) {
            is_free[k] = 0;
            if (size < d && size < cap - 1 && a[k] > 0 && a[k] < upper[k]) {
                is_free[k] = 1;
                free[size++] = k;
            }
        }
        free[cap] = size;
    }
    __syncthreads();
    double length = LARGEST;
    for (int round = 0; round < 10 * n; ++round) {
        for (int size = free[cap]; size > 0; size = free[cap]) {
            double trace = 0;
            for (int i = threadIdx.x; i < size; i += blockDim.x) trace += squares[free[i]];
            trace = block_sum(trace, scratch);
            for (int at = threadIdx.x; at < size * size; at += blockDim.x) {
                const int i = at / size, j = at % size;
                if (j <= i)
                    K[i * cap + j] = dot(X + (long long)free[i] * d, X + (long long)free[j] * d, d) +
                                     (i == j ? 1e-14 * trace : 0);
            }
            rows_dot(X, free, size, d, w, x);
            factor(K, size, cap);
            solve(K, size, cap, x);
            residual(X, w, x, free, size, d, trial);
            rows_dot(X, free, size, d, trial, more);
            solve(K, size, cap, more);
            double t = 1;
            for (int i = threadIdx.x; i < size; i += blockDim.x) {
                const double s = x[i] += more[i], at = a[free[i]];
                if (s > 0) t = fmin(t, (upper[free[i]] - at) / s);
                else if (s < 0) t = fmin(t, -at / s);
            }
            t = block_min(t, scratch);
            if (threadIdx.x == 0) {
                int kept = 0;
                for (int i = 0; i < size; ++i) {
                    const int k = free[i];
                    const double s = x[i], left = s > 0 ? upper[k] - a[k] : a[k];
                    if (t < 1 && s != 0 && left <= (1 + 1e-12) * t * fabs(s)) {
                        a[k] = s > 0 ? upper[k] : 0;
                        is_free[k] = 0;
                    } else {
                        a[k] = fmin(fmax(a[k] + t * s, 0.0), upper[k]);
                        free[kept++] = k;
                    }
                }
                free[cap] = kept;
            }
            __syncthreads();
            residual(X, g, a, 0, n, d, w);
            if (t >= 1) break;
        }
        double square = 0;
        for (int i = threadIdx.x; i < d; i += blockDim.x) square += w[i] * w[i];
        square = block_sum(square, scratch);
        if (square >= length) break;
        length = square;
        double best = 0, at = n;
        for (int k = threadIdx.x; k < n; k += blockDim.x) {
            if (!(upper[k] > 0 && squares[k] > 0) || is_free[k]) continue;
            const double slope = dot(X + (long long)k * d, w, d) / sqrt(squares[k]);
            const double gain = a[k] <= 0 ? slope : a[k] >= upper[k] ? -slope : fabs(slope);
            if (gain > best) {
                best = gain;
                at = k;
            }
        }
        const double most = block_max(best, scratch);
        const int joins = (int)block_min(best == most ? at : n, scratch);
        const int size = free[cap];
        if (!(most > bound) || joins >= n || size >= cap) break;
        __syncthreads();
        if (threadIdx.x == 0) {
            free[size] = joins;
            is_free[joins] = 1;
            free[cap] = size + 1;
        }
        __syncthreads();
    }
}
