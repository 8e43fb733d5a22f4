// The sparse plan of entropic optimal transport on a GPU.
//
// Its entries are held twice, as compressed rows and as compressed columns, so
// that sums over either run in a fixed order without atomics. A warp works on a
// row (or column): lanes stride over its entries.
#include "_warps.cuh"

// --- choosing and multiplying -----------------------------------------------------

// Entries with P_ij > threshold * min(own_i, other_j), of compressed rows or
// columns. Called twice, as choose_entries.
extern "C" __global__ void keep_large(const long long* begin, const int* index, const double* plan, const double* own,
                                      const double* other, double threshold, int n, int store, const long long* start,
                                      long long* count, int* kept_index, double* kept_plan) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        long long found = 0;
        for (long long tile = begin[i]; tile < begin[i + 1]; tile += 32) {
            const long long e = tile + lane;
            const int keep = e < begin[i + 1] && plan[e] > threshold * fmin(own[i], other[index[e]]);
            const long long place = sum_before(keep, &found);
            if (keep && store) {
                kept_index[start[i] + place] = index[e];
                kept_plan[start[i] + place] = plan[e];
            }
        }
        if (lane == 0 && !store) count[i] = found;
    }
}

// out_i = sum_e values_e v_index(e) / divisor_i, over compressed rows or columns.
extern "C" __global__ void sparse_product(const long long* begin, const int* index, const double* values, const double* v,
                                          const double* divisor, int n, double* out) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        double sum = 0;
        for (long long e = begin[i] + lane; e < begin[i + 1]; e += 32) sum += values[e] * v[index[e]];
        sum = warp_sum(sum);
        if (lane == 0) out[i] = sum / divisor[i];
    }
}

// --- the Newton matrix: S v = extra v + sum_i P_i. (v - average_i v) --------------------
//
// average_i v = (sum_j P_ij v_j) / W_i, with W_i the sum of row i, 1 if it is empty.

// Per row: W, the column of its largest entry, and the sum of the other entries,
// because W minus the largest entry would cancel.
extern "C" __global__ void newton_rows(const long long* begin, const int* columns, const double* plan, int n,
                                       double* row_sums, int* largest, double* others) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < n; i += warps) {
        double value = 0;
        int column = -1;
        for (long long e = begin[i] + lane; e < begin[i + 1]; e += 32)
            if (plan[e] > value) {
                value = plan[e];
                column = columns[e];
            }
        for (int bit = 16; bit; bit /= 2) {
            const double other_value = __shfl_xor_sync(FULL_WARP, value, bit);
            const int other_column = __shfl_xor_sync(FULL_WARP, column, bit);
            // Of equal ones the last, so that all lanes agree.
            if (other_value > value || (other_value == value && other_column > column)) {
                value = other_value;
                column = other_column;
            }
        }
        double rest = 0;
        for (long long e = begin[i] + lane; e < begin[i + 1]; e += 32)
            if (columns[e] != column) rest += plan[e];
        rest = warp_sum(rest);
        if (lane == 0) {
            row_sums[i] = column < 0 ? 1 : rest + value;
            largest[i] = column;
            others[i] = rest;
        }
    }
}

// Per column: what the kept entries lack of expected_j, that plus shift, and the diagonal of S.
extern "C" __global__ void newton_columns(const long long* begin, const int* rows, const double* plan, const double* row_sums,
                                          const int* largest, const double* others, const double* expected, const double* shift,
                                          int m, double* dropped, double* extra, double* diagonal) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int j = (blockIdx.x * blockDim.x + threadIdx.x) / 32; j < m; j += warps) {
        double sum = 0, coupling = 0;
        for (long long e = begin[j] + lane; e < begin[j + 1]; e += 32) {
            const int i = rows[e];
            const double rest = largest[i] == j ? others[i] : row_sums[i] - plan[e];
            sum += plan[e];
            coupling += plan[e] * rest / row_sums[i];
        }
        sum = warp_sum(sum);
        coupling = warp_sum(coupling);
        if (lane == 0) {
            dropped[j] = fmax(expected[j] - sum, 0.0);
            extra[j] = dropped[j] + shift[j];
            diagonal[j] = extra[j] + coupling;
        }
    }
}

// S v, and per block the sum of its v_j (S v)_j. Shared memory: a double per warp.
extern "C" __global__ void newton_apply(const long long* begin, const int* rows, const double* plan, const double* averages,
                                        const double* extra, const double* v, int m, double* out, double* part) {
    SHARED(double, scratch);
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    double curvature = 0;
    for (int j = (blockIdx.x * blockDim.x + threadIdx.x) / 32; j < m; j += warps) {
        double sum = 0;
        for (long long e = begin[j] + lane; e < begin[j + 1]; e += 32)
            sum += plan[e] * (v[j] - averages[rows[e]]);
        sum = extra[j] * v[j] + warp_sum(sum);
        if (lane == 0) {
            out[j] = sum;
            curvature += v[j] * sum;
        }
    }
    curvature = block_sum(curvature, scratch);
    if (threadIdx.x == 0) part[blockIdx.x] = curvature;
}

// Rows first, first + 1, ... of the sparse plan added to the dense array P.
extern "C" __global__ void scatter_rows(const long long* begin, const int* columns, const double* plan, int first, int rows,
                                        int m, double* P) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < rows; i += warps)
        for (long long e = begin[first + i] + lane; e < begin[first + i + 1]; e += 32)
            P[(long long)i * m + columns[e]] = plan[e];
}

// --- conjugate gradients, preconditioned by the diagonal ----------------------------
//
// The scalars stay on the GPU: rz[k] = r' diag(S)^-1 r before iteration k. Once
// rz[k] <= stop, or the curvature is not positive, nothing changes any more, so
// that the host need not look after every iteration. A breakdown in iteration k
// is marked by rz[k + 1] = -1.

__device__ static double total(const double* part, int parts, double* scratch) {
    double sum = 0;
    for (int k = threadIdx.x; k < parts; k += blockDim.x) sum += part[k];
    return block_sum(sum, scratch);
}

// x += alpha p, r -= alpha q, and the parts of the new r' diag(S)^-1 r.
// Shared memory: a double per warp.
extern "C" __global__ void cg_step(const double* p, const double* q, const double* diagonal, int m, const double* curvature,
                                   int parts, const double* rz, double stop, int k, double* alphas, double* x,
                                   double* r, double* part_rz) {
    SHARED(double, scratch);
    const double pq = total(curvature, parts, scratch);
    const double alpha = rz[k] > stop ? (pq > 0 ? rz[k] / pq : -1) : 0;
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    double product = 0;
    if (j < m) {
        if (alpha > 0) {
            x[j] += alpha * p[j];
            r[j] -= alpha * q[j];
        }
        product = r[j] * r[j] / diagonal[j];
    }
    product = block_sum(product, scratch);
    if (threadIdx.x == 0) part_rz[blockIdx.x] = product;
    if (threadIdx.x == 0 && blockIdx.x == 0) alphas[k] = alpha;
}

// p = z + beta p with z = diag(S)^-1 r; the new rz. Shared memory: a double per warp.
extern "C" __global__ void cg_direction(const double* r, const double* diagonal, int m, const double* part_rz, int parts,
                                        const double* alphas, int k, double* rz, double* p) {
    SHARED(double, scratch);
    const double fresh = total(part_rz, parts, scratch);
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j < m && alphas[k] > 0) p[j] = r[j] / diagonal[j] + fresh / rz[k] * p[j];
    if (j == 0) rz[k + 1] = alphas[k] > 0 ? fresh : alphas[k] < 0 ? -1 : rz[k];
}
