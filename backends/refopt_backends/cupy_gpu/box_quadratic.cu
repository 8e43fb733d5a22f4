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

// Dual coordinate descent of the hinge loss, rows in random order, with shrinking; see the reference. `order` begins as
// 0 to n - 1. Rows of Z are compressed, or all p entries of each where `dense`. Every thread takes the same decisions.
extern "C" __global__ void hinge_sweeps(const double* values, const int* places, const long long* starts, int dense,
                                        int n, int p, const double* norms, const double* C, int sweeps, long long seed,
                                        int* order, double* a, double* w) {
    SHARED(double, scratch);
    long long state = seed, live = n;
    double highest = FINITE, lowest = -FINITE;
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        double most = -FINITE, least = FINITE;
        for (long long s = 0; s < live;) {
            state = (1103515245LL * state + 12345) % 2147483648LL;
            const long long other = s + (state >> 8) % (live - s);
            const int i = order[other], away = order[s], last = order[live - 1];
            const long long begin = dense ? (long long)i * p : starts[i], end = dense ? begin + p : starts[i + 1];
            const double old = a[i], cap = C[i], q = norms[i];
            double slope = 0;
            for (long long e = begin + threadIdx.x; e < end; e += blockDim.x)
                slope += values[e] * w[dense ? e - begin : places[e]];
            slope = block_sum(slope, scratch) - 1;  // behind its barriers all have read what is written below
            const bool leaves = (old == 0 && slope > highest) || (old == cap && slope < lowest);
            const bool inactive = (old == 0 && slope > 0) || (old == cap && slope < 0);
            double step = 0;
            if (!leaves) {
                const double projected = inactive ? 0 : slope;
                most = fmax(most, projected);
                least = fmin(least, projected);
                if (projected != 0 && q > 0) step = fmin(fmax(old - slope / q, 0.0), cap) - old;
            }
            for (long long e = begin + threadIdx.x; step != 0 && e < end; e += blockDim.x)
                w[dense ? e - begin : places[e]] += step * values[e];
            if (threadIdx.x == 0) {
                order[other] = away;
                order[s] = i;
                if (leaves) {
                    order[s] = s == live - 1 ? i : other == live - 1 ? away : last;
                    order[live - 1] = i;
                }
                if (step != 0) a[i] = old + step;
            }
            if (leaves) --live;
            else ++s;
            __syncthreads();
        }
        highest = most > 0 ? most : FINITE;
        lowest = least < 0 ? least : -FINITE;
    }
}
