// Conjugate gradients with the multilevel network in double precision, on cells of colour 0. Sums are
// formed by blocks, whose parts the caller adds. Shared memory: a double per warp.
#include "_warps.cuh"
#include "_levels.cuh"

extern "C" __global__ void scaled(const double* r, double norm, long long n, float* out) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (v < n) out[v] = (float)(r[v] / norm);
}

// Parts of norm z'r.
extern "C" __global__ void dot(const float* z, const double* r, double norm, int n0, int n1, int n2, double* parts) {
    SHARED(double, scratch);
    const long long half = (long long)n0 * n1 * (n2 / 2);
    double sum = 0;
    for (long long t = blockIdx.x * (long long)blockDim.x + threadIdx.x; t < half; t += gridDim.x * blockDim.x) {
        const long long v = cell((unsigned int)t, 0, n1, n2);
        sum += norm * z[v] * r[v];
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// p = norm z + (rho / before) p, without the second term where `first`.
extern "C" __global__ void direction(const float* z, double norm, const double* rho, const double* before, int first,
                                     int n0, int n1, int n2, double* p) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long v = cell(t, 0, n1, n2);
    p[v] = norm * z[v] + (first ? 0.0 : *rho / *before * p[v]);
}

// q = D p - W p and parts of p'q.
extern "C" __global__ void product_dot(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                       const double* p, int n0, int n1, int n2, double* q, double* parts) {
    SHARED(double, scratch);
    const long long half = (long long)n0 * n1 * (n2 / 2);
    double sum = 0;
    for (long long t = blockIdx.x * (long long)blockDim.x + threadIdx.x; t < half; t += gridDim.x * blockDim.x) {
        const long long v = cell((unsigned int)t, 0, n1, n2);
        const double value = degree[v] > 0 ? degree[v] * p[v] - neighbours(w0, w1, w2, unit, p, v, n1, n2) : 0;
        q[v] = value;
        sum += p[v] * value;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// x += alpha p and r -= alpha q with alpha = rho / curvature, and parts of r'r.
extern "C" __global__ void update_norm(const double* rho, const double* curvature, const double* p, const double* q,
                                       int n0, int n1, int n2, double* x, double* r, double* parts) {
    SHARED(double, scratch);
    const long long half = (long long)n0 * n1 * (n2 / 2);
    const double alpha = *rho / *curvature;
    double sum = 0;
    for (long long t = blockIdx.x * (long long)blockDim.x + threadIdx.x; t < half; t += gridDim.x * blockDim.x) {
        const long long v = cell((unsigned int)t, 0, n1, n2);
        x[v] += alpha * p[v];
        const double value = r[v] - alpha * q[v];
        r[v] = value;
        sum += value * value;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// Parts of r'r and of x'(b + r) with r = b - A x, over the cells of both colours.
extern "C" __global__ void true_residual(const float* degree, const float* w0, const float* w1, const float* w2,
                                         int unit, const double* b, const double* x, long long n, int n1, int n2,
                                         double* squares, double* products) {
    SHARED(double, scratch);
    double square = 0, product = 0;
    for (long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x; v < n; v += gridDim.x * blockDim.x) {
        double r = b[v];
        if (degree[v] > 0) r += neighbours(w0, w1, w2, unit, x, v, n1, n2) - degree[v] * x[v];
        square += r * r;
        product += x[v] * (b[v] + r);
    }
    square = block_sum(square, scratch);
    product = block_sum(product, scratch);
    if (threadIdx.x == 0) squares[blockIdx.x] = square;
    if (threadIdx.x == 0) products[blockIdx.x] = product;
}
