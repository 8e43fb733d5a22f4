// Entropic optimal transport on a GPU: passes over the cost.
//
// Row i of the plan, divided by its mass a_i, is the softmax of
// z_ij = (g_j - C_ij) / reg over j. It is carried as a pair (top, sum) with
//
//     top = max_j (g_j - C_ij),   sum = sum_j exp((g_j - C_ij - top) / reg),
//
// so that no exponent is ever positive. A forbidden pair has C_ij = +inf and an
// exponent of -inf: it adds exactly 0.
//
// The cost is either a stored matrix (REAL, row-major) or a function of two
// point clouds, evaluated where it is needed. All sums are double and run in a
// fixed order: the same input gives the same bits.
#ifndef SHARED
#define SHARED(type, name) extern __shared__ type name[]
#endif

#define FULL_WARP 0xffffffffu
#define LOWEST (-1.7976931348623157e308)  // -inf would turn "nothing yet" into inf - inf

enum { SQEUCLIDEAN, EUCLIDEAN, CITYBLOCK };

// --- building blocks ---------------------------------------------------------

// (top, sum) += one term of value z, with one exponential.
__device__ static void add_term(double z, double per_reg, double* top, double* sum) {
    const double rise = z - *top;
    const double e = exp(-fabs(rise) * per_reg);
    *sum = rise > 0 ? *sum * e + 1 : *sum + e;
    *top = rise > 0 ? z : *top;
}

// (top, sum) += (other_top, other_sum).
__device__ static void add_pair(double other_top, double other_sum, double per_reg, double* top, double* sum) {
    const double both = fmax(*top, other_top);
    *sum = *sum * exp((*top - both) * per_reg) + other_sum * exp((other_top - both) * per_reg);
    *top = both;
}

// What the columns need to know of a row, and its potential.
__device__ static void finish_row(int i, double mass, double top, double sum, double reg,
                                  double* f, double* row_top, double* row_share) {
    f[i] = reg * (log(mass) - log(sum)) - top;
    row_top[i] = top;
    row_share[i] = sum > 0 ? mass / sum : 0;  // a row of forbidden pairs has no plan
}

// Between a point whose coordinates lie `stride` apart and one stored in a row.
__device__ static double point_cost(const double* own, int stride, const double* other, int d, int metric, double scale) {
    double total = 0;
    if (metric == CITYBLOCK) {
        for (int k = 0; k < d; ++k) total += fabs(own[(long long)k * stride] - other[k]);
    } else {
        for (int k = 0; k < d; ++k) {
            const double difference = own[(long long)k * stride] - other[k];
            total += difference * difference;
        }
        if (metric == EUCLIDEAN) total = sqrt(total);
    }
    return scale * total;
}

// `count` points of the other cloud, in shared memory if `staged` is to be used.
// All threads of the block call it; the barriers keep a tile in use from being
// overwritten and a half-written one from being used.
__device__ static const double* stage(const double* points, int count, int d, int use_staged, double* staged) {
    if (!use_staged) return points;
    __syncthreads();
    for (int k = threadIdx.x; k < count * d; k += blockDim.x) staged[k] = points[k];
    __syncthreads();
    return staged;
}

// --- rows: f, and the pair (top, share) of every row ----------------------------

// One block per row. Shared memory: two doubles per warp.
extern "C" __global__ void rows_dense(const REAL* C, const double* g, const double* a, int m, double reg,
                                      double* f, double* row_top, double* row_share) {
    SHARED(double, pairs);
    const int i = blockIdx.x;
    const REAL* row = C + (long long)i * m;
    const double per_reg = 1 / reg;
    double top = LOWEST, sum = 0;
    for (int j = threadIdx.x; j < m; j += blockDim.x) add_term(g[j] - row[j], per_reg, &top, &sum);

    for (int step = 16; step; step /= 2) {
        const double other_top = __shfl_down_sync(FULL_WARP, top, step);
        const double other_sum = __shfl_down_sync(FULL_WARP, sum, step);
        add_pair(other_top, other_sum, per_reg, &top, &sum);
    }
    if (threadIdx.x % 32 == 0) {
        pairs[threadIdx.x / 32 * 2] = top;
        pairs[threadIdx.x / 32 * 2 + 1] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < (int)blockDim.x / 32; ++w) add_pair(pairs[2 * w], pairs[2 * w + 1], per_reg, &top, &sum);
        finish_row(i, a[i], top, sum, reg, f, row_top, row_share);
    }
}

// One thread per row, one grid row per piece of the columns: a partial pair for
// rows_merge. XT is d x n, so that neighbouring threads read neighbouring numbers.
// Shared memory: tile * d doubles if use_staged.
extern "C" __global__ void rows_points(const double* XT, const double* Y, const double* g, int n, int m, int d,
                                       int metric, double scale, double reg, int piece, int tile, int use_staged,
                                       double* part_top, double* part_sum) {
    SHARED(double, staged);
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * piece, last = min(first + piece, m);
    const double per_reg = 1 / reg;
    double top = LOWEST, sum = 0;
    for (int start = first; start < last; start += tile) {
        const int count = min(tile, last - start);
        const double* y = stage(Y + (long long)start * d, count, d, use_staged, staged);
        if (i < n)
            for (int j = 0; j < count; ++j)
                add_term(g[start + j] - point_cost(XT + i, n, y + (long long)j * d, d, metric, scale), per_reg, &top, &sum);
    }
    if (i < n) {
        part_top[(long long)blockIdx.y * n + i] = top;
        part_sum[(long long)blockIdx.y * n + i] = sum;
    }
}

extern "C" __global__ void rows_merge(const double* part_top, const double* part_sum, const double* a, int n, int pieces,
                                      double reg, double* f, double* row_top, double* row_share) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double top = LOWEST, sum = 0;
    for (int p = 0; p < pieces; ++p)
        add_pair(part_top[(long long)p * n + i], part_sum[(long long)p * n + i], 1 / reg, &top, &sum);
    finish_row(i, a[i], top, sum, reg, f, row_top, row_share);
}

// --- columns: c_j = sum_i share_i exp((g_j - C_ij - top_i) / reg) ------------------

// One thread per column, one grid row per piece of the rows: partial sums for
// columns_merge. Neighbouring threads read neighbouring entries of C.
extern "C" __global__ void columns_dense(const REAL* C, const double* g, const double* row_top, const double* row_share,
                                         int n, int m, double reg, int piece, double* part) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= m) return;
    const int first = blockIdx.y * piece, last = min(first + piece, n);
    const double per_reg = 1 / reg;
    double sum = 0;
    for (int i = first; i < last; ++i)
        sum += row_share[i] * exp((g[j] - C[(long long)i * m + j] - row_top[i]) * per_reg);
    part[(long long)blockIdx.y * m + j] = sum;
}

// The same for points; the tiles are rows, YT is d x m.
extern "C" __global__ void columns_points(const double* X, const double* YT, const double* g, const double* row_top,
                                          const double* row_share, int n, int m, int d, int metric, double scale,
                                          double reg, int piece, int tile, int use_staged, double* part) {
    SHARED(double, staged);
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * piece, last = min(first + piece, n);
    const double per_reg = 1 / reg;
    double sum = 0;
    for (int start = first; start < last; start += tile) {
        const int count = min(tile, last - start);
        const double* x = stage(X + (long long)start * d, count, d, use_staged, staged);
        if (j < m)
            for (int i = 0; i < count; ++i) {
                const double cost = point_cost(YT + j, m, x + (long long)i * d, d, metric, scale);
                sum += row_share[start + i] * exp((g[j] - cost - row_top[start + i]) * per_reg);
            }
    }
    if (j < m) part[(long long)blockIdx.y * m + j] = sum;
}

extern "C" __global__ void columns_merge(const double* part, int m, int pieces, double* c) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= m) return;
    double sum = 0;
    for (int p = 0; p < pieces; ++p) sum += part[(long long)p * m + j];
    c[j] = sum;
}
