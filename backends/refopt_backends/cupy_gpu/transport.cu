// Entropic optimal transport on a GPU.
//
// Row i of the plan, divided by its mass a_i, is the softmax over j of
// (g_j - C_ij) / reg. It is carried as a pair (top, sum) with
//
//     top = max_j (g_j - C_ij),   sum = sum_j exp((g_j - C_ij - top) / reg),
//
// so that no exponent is ever positive. A forbidden pair has C_ij = +inf and an
// exponent of -inf: it adds exactly 0.
//
// The cost is a stored matrix (REAL, row-major) or a function of two point
// clouds, evaluated where it is needed. All sums are double and run in a fixed
// order without atomics: the same input gives the same bits.
//
// Here are the passes over all n x m pairs and the choice of entries; what is
// done with those is in transport_sparse.cu.
#include "_warps.cuh"

#define LOWEST (-1.7976931348623157e308)  // -inf would turn "nothing yet" into inf - inf
#define LOWEST_SINGLE (-3.4028234e38f)
#define BIGGEST_EXPONENT 700.0            // instead of an overflow
#define UNDERFLOW (-745.2)                // below, exp is exactly 0
#define NEGLIGIBLE 50.0                   // e^-50 beside a sum >= 1

enum { SQEUCLIDEAN, EUCLIDEAN, CITYBLOCK, STORED };

// --- building blocks ---------------------------------------------------------

// (top, sum) += one term exp(z / reg).
__device__ static void add_term(double z, double per_reg, double* top, double* sum) {
    const double rise = z - *top, exponent = fabs(rise) * per_reg;
    const double e = exponent < NEGLIGIBLE ? exp(-exponent) : 0;
    *sum = rise > 0 ? *sum * e + 1 : *sum + e;
    *top = rise > 0 ? z : *top;
}

__device__ static void add_term(float z, float per_reg, float* top, float* sum) {
    const float rise = z - *top, exponent = fabsf(rise) * per_reg;
    const float e = exponent < (float)NEGLIGIBLE ? expf(-exponent) : 0;
    *sum = rise > 0 ? *sum * e + 1 : *sum + e;
    *top = rise > 0 ? z : *top;
}

// (top, sum) += (other_top, other_sum).
__device__ static void add_pair(double other_top, double other_sum, double per_reg, double* top, double* sum) {
    const double both = fmax(*top, other_top);
    *sum = *sum * exp((*top - both) * per_reg) + other_sum * exp((other_top - both) * per_reg);
    *top = both;
}

// The pair of a whole warp, in every lane.
__device__ static void warp_pair(double per_reg, double* top, double* sum) {
    for (int bit = 16; bit; bit /= 2) {
        const double other_top = __shfl_xor_sync(FULL_WARP, *top, bit);
        const double other_sum = __shfl_xor_sync(FULL_WARP, *sum, bit);
        add_pair(other_top, other_sum, per_reg, top, sum);
    }
}

// The potential of a point of mass `mass` whose softmax is (top, sum).
__device__ static double potential(double mass, double top, double sum, double reg) {
    return reg * (log(mass) - log(sum)) - top;
}

// Factor that turns the terms of a softmax into plan entries.
__device__ static double plan_factor(double mass, double sum) {
    return sum > 0 ? mass / sum : 0;  // all pairs forbidden: no plan
}

// exp without infinities; NaN stays NaN.
__device__ static double bounded_exp(double exponent) {
    return exponent < UNDERFLOW ? 0 : exp(exponent > BIGGEST_EXPONENT ? BIGGEST_EXPONENT : exponent);
}

__device__ static double plan_entry(double f, double g, double cost, double per_reg) {
    return bounded_exp((f + g - cost) * per_reg);
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

// C_ij of either kind of cost: a matrix C, or points X (n x d) and YT (d x m).
__device__ static double cost_at(const REAL* C, const double* X, const double* YT, int m, int d, int metric, double scale,
                                 int i, int j) {
    if (metric == STORED) return C[(long long)i * m + j];
    return point_cost(YT + j, m, X + (long long)i * d, d, metric, scale);
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

// --- softmax over rows or columns -----------------------------------------------

// The pair of a whole block, from those of its threads, to what is kept of a row.
// `pairs` is shared memory, two doubles per warp.
__device__ static void finish_row(double top, double sum, double mass, double reg, double* pairs,
                                  double* f, double* row_top, double* factor) {
    const double per_reg = 1 / reg;
    warp_pair(per_reg, &top, &sum);
    if (threadIdx.x % 32 == 0) {
        pairs[threadIdx.x / 32 * 2] = top;
        pairs[threadIdx.x / 32 * 2 + 1] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < (int)blockDim.x / 32; ++w) add_pair(pairs[2 * w], pairs[2 * w + 1], per_reg, &top, &sum);
        *f = potential(mass, top, sum, reg);
        *row_top = top;
        *factor = plan_factor(mass, sum);
    }
}

// One block per row. Shared memory: two doubles per warp.
extern "C" __global__ void dense_rows(const REAL* C, const double* g, const double* a, int m, double reg,
                                      double* f, double* tops, double* factors) {
    SHARED(double, pairs);
    const int i = blockIdx.x;
    const REAL* row = C + (long long)i * m;
    double top = LOWEST, sum = 0;
    for (int j = threadIdx.x; j < m; j += blockDim.x) add_term(g[j] - row[j], 1 / reg, &top, &sum);
    finish_row(top, sum, a[i], reg, pairs, f + i, tops + i, factors + i);
}

// The same in single precision: cheap where a GPU has few double units.
extern "C" __global__ void estimate_rows(const float* C, const float* g, const double* a, int m, double reg,
                                         double* f, double* tops, double* factors) {
    SHARED(double, pairs);
    const int i = blockIdx.x;
    const float* row = C + (long long)i * m;
    const float per_reg = (float)(1 / reg);
    float top = LOWEST_SINGLE, sum = 0;
    for (int j = threadIdx.x; j < m; j += blockDim.x) add_term(g[j] - row[j], per_reg, &top, &sum);
    finish_row(top, sum, a[i], reg, pairs, f + i, tops + i, factors + i);
}

// One thread per column, one grid row per piece of the rows: partial pairs.
extern "C" __global__ void dense_columns(const REAL* C, const double* f, int n, int m, double reg, int piece,
                                         double* part_top, double* part_sum) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= m) return;
    const int first = blockIdx.y * piece, last = min(first + piece, n);
    double top = LOWEST, sum = 0;
    for (int i = first; i < last; ++i) add_term(f[i] - C[(long long)i * m + j], 1 / reg, &top, &sum);
    part_top[(long long)blockIdx.y * m + j] = top;
    part_sum[(long long)blockIdx.y * m + j] = sum;
}

// One thread per own point, one grid row per piece of the other cloud: partial
// pairs. `own` is d x n, so that neighbouring threads read neighbouring numbers.
// Shared memory: tile * d doubles if use_staged.
extern "C" __global__ void points_pairs(const double* own, const double* other, const double* g, int n, int m, int d,
                                        int metric, double scale, double reg, int piece, int tile, int use_staged,
                                        double* part_top, double* part_sum) {
    SHARED(double, staged);
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * piece, last = min(first + piece, m);
    double top = LOWEST, sum = 0;
    for (int start = first; start < last; start += tile) {
        const int count = min(tile, last - start);
        const double* y = stage(other + (long long)start * d, count, d, use_staged, staged);
        if (i < n)
            for (int j = 0; j < count; ++j) {
                const double cost = point_cost(own + i, n, y + (long long)j * d, d, metric, scale);
                add_term(g[start + j] - cost, 1 / reg, &top, &sum);
            }
    }
    if (i < n) {
        part_top[(long long)blockIdx.y * n + i] = top;
        part_sum[(long long)blockIdx.y * n + i] = sum;
    }
}

extern "C" __global__ void finish_pairs(const double* part_top, const double* part_sum, const double* a, int n, int pieces,
                                        double reg, double* f, double* tops, double* factors) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double top = LOWEST, sum = 0;
    for (int p = 0; p < pieces; ++p)
        add_pair(part_top[(long long)p * n + i], part_sum[(long long)p * n + i], 1 / reg, &top, &sum);
    f[i] = potential(a[i], top, sum, reg);
    tops[i] = top;
    factors[i] = plan_factor(a[i], sum);
}

// --- column sums: c_j = sum_i factor_i exp((g_j - C_ij - top_i) / reg) --------------

// One thread per column, one grid row per piece of the rows: partial sums.
extern "C" __global__ void dense_sums(const REAL* C, const double* g, const double* tops, const double* factors,
                                      int n, int m, double reg, int piece, double* part) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= m) return;
    const int first = blockIdx.y * piece, last = min(first + piece, n);
    const double per_reg = 1 / reg;
    double sum = 0;
    for (int i = first; i < last; ++i)
        sum += factors[i] * bounded_exp((g[j] - C[(long long)i * m + j] - tops[i]) * per_reg);
    part[(long long)blockIdx.y * m + j] = sum;
}

// The same in single precision.
extern "C" __global__ void estimate_sums(const float* C, const float* g, const double* tops, const double* factors,
                                         int n, int m, double reg, int piece, double* part) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= m) return;
    const int first = blockIdx.y * piece, last = min(first + piece, n);
    const float per_reg = (float)(1 / reg);
    float sum = 0;
    for (int i = first; i < last; ++i) {
        const float exponent = (g[j] - C[(long long)i * m + j] - (float)tops[i]) * per_reg;
        sum += (float)factors[i] * expf(exponent);
    }
    part[(long long)blockIdx.y * m + j] = sum;
}

// The same for points: `own` are the columns, d x m, and the rows come in tiles.
extern "C" __global__ void points_sums(const double* own, const double* other, const double* g, const double* tops,
                                       const double* factors, int n, int m, int d, int metric, double scale,
                                       double reg, int piece, int tile, int use_staged, double* part) {
    SHARED(double, staged);
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * piece, last = min(first + piece, n);
    const double per_reg = 1 / reg;
    double sum = 0;
    for (int start = first; start < last; start += tile) {
        const int count = min(tile, last - start);
        const double* x = stage(other + (long long)start * d, count, d, use_staged, staged);
        if (j < m)
            for (int i = 0; i < count; ++i) {
                const double cost = point_cost(own + j, m, x + (long long)i * d, d, metric, scale);
                sum += factors[start + i] * bounded_exp((g[j] - cost - tops[start + i]) * per_reg);
            }
    }
    if (j < m) part[(long long)blockIdx.y * m + j] = sum;
}

extern "C" __global__ void finish_sums(const double* part, int m, int pieces, double* c) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= m) return;
    double sum = 0;
    for (int p = 0; p < pieces; ++p) sum += part[(long long)p * m + j];
    c[j] = sum;
}

// --- the plan P_ij = exp((f_i + g_j - C_ij) / reg), entry by entry -------------------
//
// From here on a warp works on a row (or column): lanes stride over its entries.

// Row sums of P and of P * C.
extern "C" __global__ void plan_sums(const REAL* C, const double* X, const double* YT, int d, int metric, double scale,
                                     const double* f, const double* g, int n, int m, double reg,
                                     double* mass, double* cost) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        double row_mass = 0, row_cost = 0;
        for (int j = lane; j < m; j += 32) {
            const double c = cost_at(C, X, YT, m, d, metric, scale, i, j), p = plan_entry(f[i], g[j], c, 1 / reg);
            row_mass += p;
            row_cost += p > 0 ? p * c : 0;  // 0 * inf is not 0
        }
        row_mass = warp_sum(row_mass);
        row_cost = warp_sum(row_cost);
        if (lane == 0) {
            mass[i] = row_mass;
            cost[i] = row_cost;
        }
    }
}

// Rows first, first + 1, ... of P, `rows` of them.
extern "C" __global__ void plan_rows(const REAL* C, const double* X, const double* YT, int d, int metric, double scale,
                                     const double* f, const double* g, int first, int rows, int m, double reg, double* P) {
    const long long size = (long long)rows * m, threads = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < size; e += threads) {
        const int i = first + (int)(e / m), j = (int)(e % m);
        P[e] = plan_entry(f[i], g[j], cost_at(C, X, YT, m, d, metric, scale, i, j), 1 / reg);
    }
}

// --- choosing entries --------------------------------------------------------------

// Entries with P_ij >= min(floor_i, ceiling_j). Called twice: to count them per
// row (store = 0), then with `start`, the place of each row's first, to store them.
extern "C" __global__ void choose_entries(const REAL* C, const double* X, const double* YT, int d, int metric, double scale,
                                          const double* f, const double* g, int n, int m, double reg, const double* floor,
                                          const double* ceiling, int store, const long long* start, long long* count,
                                          double* cost, int* rows, int* columns, double* plan) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        long long found = 0;
        for (int tile = 0; tile < m; tile += 32) {
            const int j = tile + lane;
            double c = 0, p = 0;
            int keep = 0;
            if (j < m) {
                c = cost_at(C, X, YT, m, d, metric, scale, i, j);
                p = plan_entry(f[i], g[j], c, 1 / reg);
                keep = p >= fmin(floor[i], ceiling[j]) && c < -LOWEST;
            }
            const long long place = sum_before(keep, &found);
            if (keep && store) {
                rows[start[i] + place] = i;
                columns[start[i] + place] = j;
                cost[start[i] + place] = c;
                plan[start[i] + place] = p;
            }
        }
        if (lane == 0 && !store) count[i] = found;
    }
}

// Chances are counted in this many parts: whole numbers add up alike in any order.
#define CHANCE_BITS 52
#define CHANCE_PARTS (1LL << CHANCE_BITS)

// A thinning of each row to about per_row entries. An entry whose chance,
// P_ij per_row / a_i, is 1 or more is kept as it is; of the others those where the
// running sum of chances passes a whole number, as a_i / per_row. The sum starts
// between 0 and 1, elsewhere in each row. Called twice, as choose_entries.
extern "C" __global__ void sample_entries(const REAL* C, const double* X, const double* YT, int d, int metric, double scale,
                                          const double* f, const double* g, int n, int m, double reg, const double* a,
                                          double per_row, int store, const long long* start, long long* count, int* rows,
                                          int* columns, double* plan) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        const double golden = 0.6180339887498949 * (i + 1.0);
        long long sum = (long long)((golden - floor(golden)) * CHANCE_PARTS), found = 0;
        for (int tile = 0; tile < m; tile += 32) {
            const int j = tile + lane;
            double p = 0, chance = 0;
            if (j < m) {
                p = plan_entry(f[i], g[j], cost_at(C, X, YT, m, d, metric, scale, i, j), 1 / reg);
                chance = per_row * p / a[i];
            }
            const long long step = chance < 1 ? (long long)(chance * CHANCE_PARTS) : 0;
            const long long before = sum_before(step, &sum);
            sum %= CHANCE_PARTS;
            const int whole = chance >= 1, drawn = (before + step) / CHANCE_PARTS > before / CHANCE_PARTS;
            const long long place = sum_before(whole || drawn, &found);
            if ((whole || drawn) && store) {
                rows[start[i] + place] = i;
                columns[start[i] + place] = j;
                plan[start[i] + place] = whole ? p : a[i] / per_row;
            }
        }
        if (lane == 0 && !store) count[i] = found;
    }
}

// --- the pass over chosen entries ----------------------------------------------------

// The softmax over the entries of each row: its potential and new plan entries.
extern "C" __global__ void entries_rows(const long long* begin, const int* columns, const double* cost, const double* g,
                                        const double* a, int n, double reg, double* f, double* plan) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    const double per_reg = 1 / reg;
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        double top = LOWEST, sum = 0;
        for (long long e = begin[i] + lane; e < begin[i + 1]; e += 32) add_term(g[columns[e]] - cost[e], per_reg, &top, &sum);
        warp_pair(per_reg, &top, &sum);
        const double factor = plan_factor(a[i], sum);
        for (long long e = begin[i] + lane; e < begin[i + 1]; e += 32)
            plan[e] = factor * exp((g[columns[e]] - cost[e] - top) * per_reg);
        if (lane == 0) f[i] = potential(a[i], top, sum, reg);
    }
}
