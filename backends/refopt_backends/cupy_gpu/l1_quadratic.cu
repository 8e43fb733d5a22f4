// Quadratic problems with an L1 penalty on a GPU: F(w) = w'Gw/2 - q'w + sum_j penalty_j |w_j|,
// perhaps with w >= 0, and products with some columns of a dense matrix.
//
// One block does a batch of sweeps, or follows a whole path: neither then needs the host.
// Nothing depends on how many threads it has but the order of some sums.
#include "_warps.cuh"
#include "_sweeps.cuh"

#define ROUNDING 4e-15         // of max |q|: slopes cannot be told from zero below
#define NOISE 1e-13            // sums below this part of their terms' sizes are rounding
#define NEVER 1e308            // where a coordinate that does not stop stops
#define SETTLED 2              // sweeps that changed no sign before a Newton step is due
#define LEAST_SWEEPS 4

// dist(h, penalty d|w|), h = q - Gw.
__device__ static double violation(double w, double h, double penalty, int positive) {
    if (w != 0) return fabs(h - (w > 0 ? penalty : -penalty));
    return fmax(0.0, (positive ? h : fabs(h)) - penalty);
}

// The minimiser along a coordinate of that curvature.
__device__ static double best(double w, double h, double curvature, double penalty, int positive) {
    if (curvature <= 0) return 0;  // a zero column
    const double z = w * curvature + h;
    if (z > penalty) return (z - penalty) / curvature;
    return z < -penalty && !positive ? (z + penalty) / curvature : 0;
}

// Sweeps from w on, h = q - Gw kept, until no step is above tol/2, no sign changes any more, or
// `sweeps` were made. report = {violation before, tol that rounding allows, largest step of the last sweep}.
extern "C" __global__ void l1_sweeps(const double* G, int k, const double* q, const double* penalty, int positive,
                                     double tol, int sweeps, double* w, double* h, double* report) {
    SHARED(double, steps);
    double *tile = steps + TILE, *scratch = tile + TILE * TILE;
    double largest = 0, moved = 0;
    for (int j = threadIdx.x; j < k; j += blockDim.x) {
        largest = fmax(largest, fabs(q[j]));
        moved = fmax(moved, violation(w[j], h[j], penalty[j], positive));
    }
    tol = fmax(tol, ROUNDING * block_max(largest, scratch));
    moved = block_max(moved, scratch);
    if (threadIdx.x == 0) {
        report[0] = moved;
        report[1] = tol;
    }
    if (moved <= tol) sweeps = 0;
    load_tile(G, k, 0, tile);
    __syncthreads();
    for (int spent = 0, quiet = 0; spent < sweeps && moved > 0.5 * tol && (quiet < SETTLED || spent < LEAST_SWEEPS); ++spent) {
        double most = 0, changes = 0;
        for (int first = 0; first < k; first += TILE) {
            if (threadIdx.x < TILE) {
                const int lane = threadIdx.x, j = first + lane;
                const double old = j < k ? w[j] : 0, weight = j < k ? penalty[j] : 0, curvature = tile[lane * TILE + lane];
                double slope = j < k ? h[j] : 0, now = best(old, slope, curvature, weight, positive);
                const int any = warp_sum(now != old) > 0;
                steps[lane] = 0;
                __syncwarp();
                for (int s = 0; any && s < TILE; ++s) {
                    if (lane == s) {
                        now = best(old, slope, curvature, weight, positive);
                        steps[s] = now - old;
                    }
                    __syncwarp();
                    slope -= steps[s] * tile[s * TILE + lane];
                }
                if (j < k && now != old) {
                    w[j] = now;
                    most = fmax(most, fabs(now - old) * curvature);
                    changes += (now > 0) != (old > 0) || (now < 0) != (old < 0);
                }
            }
            __syncthreads();
            apply_steps(G, k, first, steps, -1, h);
            load_tile(G, k, first + TILE < k ? first + TILE : 0, tile);
            __syncthreads();
        }
        moved = block_max(most, scratch);
        quiet = block_sum(changes, scratch) == 0 ? quiet + 1 : 0;
    }
    if (threadIdx.x == 0) report[2] = moved;
}

// The first minimiser on x + t d, t >= 0, of the quadratic with matrix H and the negative gradient
// slope, where coordinates with a sign stop at zero; Hd = H d. x, slope, d and Hd are used up; counts the stops.
extern "C" __global__ void l1_bent_path(const double* H, int m, const double* sign, double* x, double* slope, double* d,
                                        double* Hd, double* stop, int* stops) {
    SHARED(double, scratch);
    for (int a = threadIdx.x; a < m; a += blockDim.x) stop[a] = sign[a] * d[a] < 0 ? -x[a] / d[a] : NEVER;
    double t = 0;
    int zeros = 0;
    for (;;) {
        double descent = 0, curvature = 0, size = 0, flat = 0, next = NEVER;
        for (int a = threadIdx.x; a < m; a += blockDim.x) {
            descent += slope[a] * d[a];
            curvature += Hd[a] * d[a];
            size += fabs(slope[a] * d[a]);
            flat += H[(long long)a * m + a] * d[a] * d[a];
            next = fmin(next, stop[a]);
        }
        descent = block_sum(descent, scratch);
        curvature = block_sum(curvature, scratch);
        size = block_sum(size, scratch);
        flat = block_sum(flat, scratch);
        next = block_min(next, scratch);
        const int bounded = next < NEVER, curved = curvature > NOISE * flat;
        if (!(descent > NOISE * size) || !(curved || bounded)) break;  // NaN ends here too
        const double whole = curved ? descent / curvature : NEVER;
        const int last = !bounded || t + whole < next;
        const double step = last ? whole : next - t;
        double who = m;
        for (int a = threadIdx.x; a < m; a += blockDim.x) {
            x[a] += step * d[a];
            slope[a] -= step * Hd[a];
            if (stop[a] == next) who = fmin(who, (double)a);
        }
        if (last) break;
        const int gone = block_min(who, scratch);
        const int mine = gone % blockDim.x == threadIdx.x;
        const double v = block_sum(mine ? d[gone] : 0, scratch);
        if (mine) {
            x[gone] = d[gone] = 0;
            stop[gone] = NEVER;
        }
        for (int a = threadIdx.x; a < m; a += blockDim.x) Hd[a] -= v * H[(long long)gone * m + a];
        t = next;
        ++zeros;
    }
    for (int a = threadIdx.x; a < m; a += blockDim.x)
        if (x[a] * sign[a] < 0) x[a] = 0;  // by rounding
    if (threadIdx.x == 0) *stops = zeros;
}

// From x along the null vectors of H, one after another: row c of V (n x k) holds its entries in
// the basis, and 1 stands at others_c. Along it only the penalty changes, which is followed downwards
// to the first zero: others_c, or a member of the basis, whose place it then takes.
extern "C" __global__ void l1_leave_dependent(double* V, int n, int k, const double* weight, const double* sign,
                                              const long long* others, long long* basis, double* x) {
    SHARED(double, scratch);
    for (int c = 0; c < n; ++c) {
        const double* v = V + (long long)c * k;
        const long long a = others[c];
        const double own = x[a];
        double rise = 0, size = 0;
        for (int b = threadIdx.x; b < k; b += blockDim.x) {
            const double slope = weight[basis[b]] * v[b];
            rise += sign[basis[b]] * slope;
            size += fabs(slope);
        }
        rise = block_sum(rise, scratch) + weight[a] * sign[a];
        size = block_sum(size, scratch) + weight[a];
        double to = fabs(rise) > NOISE * size ? (rise > 0 ? -1 : 1) : (own > 0 ? -1 : 1);
        double t = NEVER, out = k;  // k: the other column itself
        for (int turn = 0; turn < 2 && t == NEVER; ++turn, to = turn < 2 && t == NEVER ? -to : to) {
            double next = NEVER, who = k;
            for (int b = threadIdx.x; b < k; b += blockDim.x)
                if (sign[basis[b]] * to * v[b] < 0) next = fmin(next, fabs(x[basis[b]] / v[b]));
            next = block_min(next, scratch);
            for (int b = threadIdx.x; b < k && next < NEVER; b += blockDim.x)
                if (sign[basis[b]] * to * v[b] < 0 && fabs(x[basis[b]] / v[b]) == next) who = fmin(who, (double)b);
            who = block_min(who, scratch);
            if (own * to < 0) t = fabs(own);
            if (next < t) {
                t = next;
                out = who;
            }
        }
        if (t == NEVER) t = 0;
        const int gone = (int)out;
        for (int b = threadIdx.x; b < k; b += blockDim.x) x[basis[b]] = b == gone ? 0 : x[basis[b]] + to * t * v[b];
        if (threadIdx.x == 0) x[a] = gone < k ? own + to * t : 0;
        if (gone == k) {
            __syncthreads();
            continue;
        }
        // The column that left the basis has no null vector: it is zero and stays so.
        for (int e = c + 1 + threadIdx.x / 32; e < n; e += blockDim.x / 32) {
            double* row = V + (long long)e * k;
            const double ratio = row[gone] / v[gone];
            __syncwarp();
            for (int b = threadIdx.x % 32; b < k; b += 32) row[b] = b == gone ? -ratio : row[b] - ratio * v[b];
        }
        __syncthreads();
        if (threadIdx.x == 0) basis[gone] = a;
        __syncthreads();
    }
}

// out_a = column index_a of X times r, columns = X' (p x n). A block for each.
extern "C" __global__ void dense_dots(const double* columns, const long long* index, const double* r, int n, double* out) {
    SHARED(double, scratch);
    const double* column = columns + index[blockIdx.x] * n;
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += column[i] * r[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// part_(b, i) = sum_a w_a X_(i, index_a) over piece b of the index.
extern "C" __global__ void dense_combination(const double* columns, const long long* index, const double* w, int n, int k,
                                             int piece, double* part) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, first = blockIdx.y * piece;
    if (i >= n) return;
    double sum = 0;
    for (int a = first; a < min(k, first + piece); ++a)
        if (w[a] != 0) sum += w[a] * columns[index[a] * n + i];
    part[(long long)blockIdx.y * n + i] = sum;
}
