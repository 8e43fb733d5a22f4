// Quadratic problems with bounds on a GPU. One block does the whole of a kernel: neither needs the host.
#include "_warps.cuh"
#include "_sweeps.cuh"

#define FINITE 1.7976931348623157e308
#define TRIALS 60
#define FALLEN 1e-10  // of the value at the start

// The best value of a coordinate in its bounds; without curvature the bound that its slope asks for.
__device__ static double best(double x, double slope, double curvature, double low, double high) {
    double to = x;
    if (curvature > 0) to = fmin(fmax(x - slope / curvature, low), high);
    else if (slope > 0) to = low;
    else if (slope < 0) to = high;
    return fabs(to) <= FINITE ? to : x;
}

// Sweeps on x'Gx/2 + c'x in a box, g = Gx + c kept.
extern "C" __global__ void box_sweeps(const double* G, int k, const double* lower, const double* upper, int sweeps,
                                      double* x, double* g) {
    SHARED(double, steps);
    double* tile = steps + TILE;
    load_tile(G, k, 0, tile);
    __syncthreads();
    for (int sweep = 0; sweep < sweeps; ++sweep)
        for (int first = 0; first < k; first += TILE) {
            if (threadIdx.x < TILE) {
                const int lane = threadIdx.x, j = first + lane;
                const double old = j < k ? x[j] : 0, low = j < k ? lower[j] : 0, high = j < k ? upper[j] : 0;
                const double curvature = tile[lane * TILE + lane];
                double slope = j < k ? g[j] : 0, now = best(old, slope, curvature, low, high);
                const int any = warp_sum(now != old) > 0;
                steps[lane] = 0;
                __syncwarp();
                for (int s = 0; any && s < TILE; ++s) {
                    if (lane == s) {
                        now = best(old, slope, curvature, low, high);
                        steps[s] = now - old;
                    }
                    __syncwarp();
                    slope += steps[s] * tile[s * TILE + lane];
                }
                if (j < k) x[j] = now;
            }
            __syncthreads();
            apply_steps(G, k, first, steps, 1, g);
            load_tile(G, k, first + TILE < k ? first + TILE : 0, tile);
            __syncthreads();
        }
}

// The root t > 0 of slope + curvature t - u'clip(base - sigma t u, 0, C), which rises in t:
// Newton's method within a bracket.
extern "C" __global__ void hinge_step(const double* base, const double* u, const double* C, int n, double sigma,
                                      double slope, double curvature, double* root) {
    SHARED(double, scratch);
    double low = 0, high = FINITE, t = 0, start = 0;
    for (int trial = 0; trial < TRIALS; ++trial) {
        double taken = 0, free = 0;
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            const double at = base[i] - sigma * t * u[i];
            taken += u[i] * fmin(fmax(at, 0.0), C[i]);
            free += at > 0 && at < C[i] ? u[i] * u[i] : 0;
        }
        const double value = slope + curvature * t - block_sum(taken, scratch);
        const double rise = curvature + sigma * block_sum(free, scratch);
        if (trial == 0) start = fabs(value);
        if (!(fabs(value) > FALLEN * start && fabs(value) <= FINITE)) break;
        if (value < 0) low = t;
        else high = t;
        t = rise > 0 ? t - value / rise : 2 * t + 1;
        if (!(low < t && t < high)) t = high < FINITE ? 0.5 * (low + high) : 2 * low + 1;
    }
    if (threadIdx.x == 0) *root = t;
}
