// Steps with one component each, on a GPU: one block runs through all of them.
#include "_warps.cuh"

// v after soft thresholding and clipping.
__device__ static inline double soft_clip(double v, double threshold, double lower, double upper) {
    v = v > threshold ? v - threshold : v < -threshold ? v + threshold : v * 0.0;
    return fmin(fmax(v, lower), upper);
}

// For each index i in turn, with z = u - w and the row (a, b) of i cut at `split`:
// z <- J(w + (mix - eta mu) z - eta (g + factor (a alpha, b beta))) - w, where alpha, beta
// are the coupling of s = a'z and t = b'z. A thread keeps its entries of z to itself.
// Shared memory: a double per warp.
extern "C" __global__ void svrg_rows(const REAL* rows, int d, int split, double c11, double c12, double c21, double c22,
                                     double keep, double eta, const REAL* w, const REAL* g, int bounded,
                                     const REAL* weights, const REAL* lower, const REAL* upper, const long long* index,
                                     int steps, int weighted, const REAL* factors, double* z) {
    SHARED(double, parts);
    for (int k = 0; k < steps; ++k) {
        const REAL* row = rows + index[k] * d;
        double s = 0, t = 0;
        for (int j = threadIdx.x; j < d; j += blockDim.x) {
            const double product = row[j] * z[j];
            if (j < split) s += product;
            else t += product;
        }
        s = block_sum(s, parts);
        if (split < d) t = block_sum(t, parts);
        const double scale = eta * (weighted ? (double)factors[k] : 1.0);
        const double alpha = scale * (c11 * s + c12 * t), beta = scale * (c21 * s + c22 * t);
        for (int j = threadIdx.x; j < d; j += blockDim.x) {
            double v = keep * z[j] - (eta * g[j] + (j < split ? alpha : beta) * row[j]);
            if (bounded) v = soft_clip(w[j] + v, eta * weights[j], lower[j], upper[j]) - w[j];
            z[j] = v;
        }
    }
}

// The same for components of columns: n sum_c z_c columns[c, :] over the s places c of i.
extern "C" __global__ void svrg_columns(const REAL* columns, int d, const long long* places, int n, int s, double keep,
                                        double eta, const REAL* w, const REAL* g, int bounded, const REAL* weights,
                                        const REAL* lower, const REAL* upper, const long long* index, int steps,
                                        int weighted, const REAL* factors, double* z, double* change) {
    for (int k = 0; k < steps; ++k) {
        const double scale = n * (weighted ? (double)factors[k] : 1.0);
        __syncthreads();  // z is whole
        for (int j = threadIdx.x; j < d; j += blockDim.x) {
            double total = 0;
            for (int e = 0; e < s; ++e) {
                const long long c = places[index[k] * s + e];
                total += scale * z[c] * columns[c * d + j];
            }
            change[j] = total;
        }
        __syncthreads();  // z was read
        for (int j = threadIdx.x; j < d; j += blockDim.x) {
            double v = keep * z[j] - eta * (g[j] + change[j]);
            if (bounded) v = soft_clip(w[j] + v, eta * weights[j], lower[j], upper[j]) - w[j];
            z[j] = v;
        }
    }
}
