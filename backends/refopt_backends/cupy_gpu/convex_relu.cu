// Alternating directions for convex programs of ReLU networks on a GPU.
#include "_warps.cuh"

// One thread per sample takes a piece of the columns: h <- relax g + (1 - relax) s + nu and XU <- S (s - nu), where
// s = max(h, 0), nu = min(h, 0), g = S XU. `z` has a row per piece of columns, `squares` five numbers per block.
extern "C" __global__ void slack_pass(double* XU, const bool* masks, const long long* of, const double* sign, double* h,
                                      int C, int n, double relax, int piece, double* z, double* squares) {
    SHARED(double, scratch);
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * piece, last = min(first + piece, C);
    double total = 0, off = 0, moved = 0, size = 0, slack = 0, dual = 0;
    if (k < n) {
        for (int j = first; j < last; ++j) {
            const long long at = (long long)j * n + k;
            const bool on = masks[of[j] * n + k];
            const double xu = XU[at], was = h[at], g = on ? xu : -xu, before = fmax(was, 0.0);
            const double now = relax * g + (1 - relax) * before + fmin(was, 0.0);
            const double s = fmax(now, 0.0), nu = fmin(now, 0.0);
            h[at] = now;
            XU[at] = on ? s - nu : nu - s;
            if (on) total += sign[j] * xu;
            off += (g - s) * (g - s);
            moved += (s - before) * (s - before);
            size += g * g;
            slack += s * s;
            dual += nu * nu;
        }
        z[(long long)blockIdx.y * n + k] = total;
    }
    const double sums[5] = {off, moved, size, slack, dual};
    double* out = squares + 5ll * ((long long)blockIdx.y * gridDim.x + blockIdx.x);
    for (int i = 0; i < 5; ++i) {
        const double sum = block_sum(sums[i], scratch);
        if (threadIdx.x == 0) out[i] = sum;
    }
}

// V = (1 - threshold/||u||)_+ u and L = U - V, one warp per row.
extern "C" __global__ void group_soft(const double* U, int C, int d, double threshold, double* V, double* L) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int j = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; j < C; j += warps) {
        const double* u = U + (long long)j * d;
        double square = 0;
        for (int i = lane; i < d; i += 32) square += u[i] * u[i];
        const double norm = sqrt(warp_sum(square));
        const double keep = norm > 0 ? fmax(1 - threshold / norm, 0.0) : 0.0;
        for (int i = lane; i < d; i += 32) {
            const double v = keep * u[i];
            V[(long long)j * d + i] = v;
            L[(long long)j * d + i] = u[i] - v;
        }
    }
}
