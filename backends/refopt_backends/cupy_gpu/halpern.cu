// Monotone inclusions and games on a GPU.
#include "_warps.cuh"

// p = max(v - tau, 0) with sum radius, by Newton's method on tau. One block, so that
// no number leaves the device. Shared memory: a double per warp.
extern "C" __global__ void project_simplex(const REAL* v, int n, double radius, double tau0, REAL* p, double* tau_out) {
    SHARED(double, parts);
    double top = v[0];
    for (int i = threadIdx.x; i < n; i += blockDim.x) top = fmax(top, (double)v[i]);
    top = block_max(top, parts);
    double tau = fmin(fmax(tau0 - top, -radius), -radius / n);
    for (bool first = true;; first = false) {
        double count = 0, total = 0;
        for (int i = threadIdx.x; i < n; i += blockDim.x) {
            const double shifted = (double)v[i] - top;
            if (!(shifted <= tau)) {  // what is not a number stays so
                count += 1;
                total += shifted;
            }
        }
        count = block_sum(count, parts);
        total = block_sum(total, parts);
        const double better = fmax((total - radius) / count, -radius);
        if (!(better > tau || first)) break;  // the same in every thread
        tau = better;
    }
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const double shifted = (double)v[i] - top;
        p[i] = (REAL)(shifted <= tau ? 0.0 : shifted - tau);
    }
    if (threadIdx.x == 0) *tau_out = tau + top;
}
