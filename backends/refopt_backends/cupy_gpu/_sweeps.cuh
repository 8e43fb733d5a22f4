// Sweeps of coordinate descent by one block on a k x k matrix G.
//
// The first warp moves TILE coordinates in turn, a lane for each, seeing their own part of G
// only; then all threads bring the slopes of all coordinates up to date. The iterates
// are those of plain cyclic descent, at two barriers per tile and not per coordinate.
#define TILE 32  // a warp

// The part of G of the coordinates from `first` on. Ends before a barrier.
__device__ static inline void load_tile(const double* G, int k, int first, double* tile) {
    for (int e = threadIdx.x; e < TILE * TILE; e += blockDim.x) {
        const int i = first + e / TILE, j = first + e % TILE;
        tile[e] = i < k && j < k ? G[(long long)i * k + j] : 0;
    }
}

// slopes += sign * sum_s steps_s G_(first + s). Ends before a barrier.
__device__ static inline void apply_steps(const double* G, int k, int first, const double* steps, double sign, double* slopes) {
    const int count = min(TILE, k - first);
    for (int t = threadIdx.x; t < k; t += blockDim.x) {
        double sum = 0;
        for (int s = 0; s < count; ++s)
            if (steps[s] != 0) sum += steps[s] * G[(long long)(first + s) * k + t];
        if (sum != 0) slopes[t] += sign * sum;
    }
}
