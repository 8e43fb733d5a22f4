// The multilevel network on padded grids of even extents n0 x n1 x n2 and on graphs.
// Cells with an even sum of indices have colour 0, the others 1; neighbours differ in colour, and
// cells of degree 0, all of the padding among them, have x = 0. Links are fields w0, w1, w2
// towards the next cell along each axis, or all 1 where `unit`.
#include "_warps.cuh"

// The cell of a thread that has the number t among those of a colour.
__device__ static inline long long cell(unsigned int t, int colour, int n1, int n2) {
    const unsigned int half = n2 / 2, row = t / half;
    return (long long)row * n2 + 2 * (t % half) + ((row % n1 + row / n1 + colour) & 1);
}

// The sum of W x over the neighbours of cell v, in both precisions.
#define NEIGHBOURS(TYPE)                                                                                              \
__device__ static inline TYPE neighbours(const float* w0, const float* w1, const float* w2, int unit, const TYPE* x,  \
                                         long long v, int n1, int n2) {                                               \
    const long long plane = (long long)n1 * n2;                                                                       \
    if (unit) return (x[v - plane] + x[v + plane]) + (x[v - n2] + x[v + n2]) + (x[v - 1] + x[v + 1]);                 \
    return w0[v - plane] * x[v - plane] + w0[v] * x[v + plane] + (w1[v - n2] * x[v - n2] + w1[v] * x[v + n2]) +       \
           (w2[v - 1] * x[v - 1] + w2[v] * x[v + 1]);                                                                 \
}
NEIGHBOURS(float)
NEIGHBOURS(double)
#undef NEIGHBOURS

// x = b / D on cells of colour 1, 0 on the others: their solution when the others are zero.
extern "C" __global__ void begin(const float* degree, const float* b, int n0, int n1, int n2, float* x) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long v = cell(t, 1, n1, n2);
    x[v] = degree[v] > 0 ? b[v] / degree[v] : 0.0f;
    x[cell(t, 0, n1, n2)] = 0;
}

// x = (1 - w) x + w (b + W x) / D on the cells of a colour; b = 0 unless `given`.
extern "C" __global__ void relax(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                 const REAL* b, int given, int colour, REAL w, int n0, int n1, int n2, REAL* x) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long v = cell(t, colour, n1, n2);
    REAL value = 0;
    if (degree[v] > 0) {
        value = ((given ? b[v] : 0) + neighbours(w0, w1, w2, unit, x, v, n1, n2)) / degree[v];
        if (w != 1) value = (1 - w) * x[v] + w * value;
    }
    x[v] = value;
}

// r = b - A x on cells of colour 0, 0 on the others.
extern "C" __global__ void residual(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                    const REAL* b, const REAL* x, int n0, int n1, int n2, REAL* r) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long v = cell(t, 0, n1, n2);
    r[v] = degree[v] > 0 ? b[v] + neighbours(w0, w1, w2, unit, x, v, n1, n2) - degree[v] * x[v] : 0;
    r[cell(t, 1, n1, n2)] = 0;
}

// Sums of that residual over blocks of 2 x 2 x 2 cells, on the padded grid m0 x m1 x m2 of blocks.
extern "C" __global__ void residual_restrict(const float* degree, const float* w0, const float* w1, const float* w2,
                                             int unit, const float* b, const float* x, int n0, int n1, int n2, int m0,
                                             int m1, int m2, float* sums) {
    const unsigned int u = blockIdx.x * blockDim.x + threadIdx.x;
    if (u >= (long long)m0 * m1 * m2) return;
    const int k = 2 * (int)(u % m2), j = 2 * (int)(u / m2 % m1), i = 2 * (int)(u / m2 / m1);
    float total = 0;
    if (i > 0 && i < n0 - 1 && j > 0 && j < n1 - 1 && k > 0 && k < n2 - 1)
        for (int s = 0; s < 4; ++s) {  // the four cells from (i - 1, j - 1, k - 1) on with an even sum
            const int a = i - (s >> 1), c = j - (s & 1), d = k - ((a + c) & 1);
            const long long v = ((long long)a * n1 + c) * n2 + d;
            if (degree[v] > 0)
                total += b[v] + neighbours(w0, w1, w2, unit, x, v, n1, n2) - degree[v] * x[v];
        }
    sums[u] = total;
}

// x += factor e on cells of colour 0, each with the value e of its block.
extern "C" __global__ void prolong(const float* degree, const float* e, float factor, int n0, int n1, int n2, int m1,
                                   int m2, float* x) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long v = cell(t, 0, n1, n2);
    if (!(degree[v] > 0)) return;
    const int k = (int)(v % n2), row = (int)(v / n2), j = row % n1, i = row / n1;
    x[v] += factor * e[((long long)((i + 1) / 2) * m1 + (j + 1) / 2) * m2 + (k + 1) / 2];
}

// Graphs of n nodes: row v has `width` links, to the nodes `ends`, n where there is none.
__device__ static inline float linked(const float* links, const int* ends, int width, int n, const float* x, int v) {
    float total = 0;
    for (int s = 0; s < width; ++s) {
        const int to = ends[(long long)v * width + s];
        if (to < n) total += links[(long long)v * width + s] * x[to];
    }
    return total;
}

extern "C" __global__ void begin_rows(const float* degree, const bool* black, const float* b, int n, float* x) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n) return;
    x[v] = !black[v] && degree[v] > 0 ? b[v] / degree[v] : 0.0f;
}

extern "C" __global__ void relax_rows(const float* degree, const bool* black, const float* links, const int* ends,
                                      int width, const float* b, int colour, float w, int n, float* x) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n || black[v] == (colour == 1)) return;
    float value = 0;
    if (degree[v] > 0) {
        value = (b[v] + linked(links, ends, width, n, x, v)) / degree[v];
        if (w != 1) value = (1 - w) * x[v] + w * value;
    }
    x[v] = value;
}

extern "C" __global__ void residual_rows(const float* degree, const bool* black, const float* links, const int* ends,
                                         int width, const float* b, const float* x, int n, float* r) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n) return;
    const bool counts = black[v] && degree[v] > 0;
    r[v] = counts ? b[v] + linked(links, ends, width, n, x, v) - degree[v] * x[v] : 0.0f;
}

// Sums of r over the members of each of n parts; a member that is not among r's `size` is none.
extern "C" __global__ void restrict_parts(const long long* members, int width, const float* r, long long size, int n,
                                          float* sums) {
    const int u = blockIdx.x * blockDim.x + threadIdx.x;
    if (u >= n) return;
    float total = 0;
    for (int s = 0; s < width; ++s) {
        const long long v = members[(long long)u * width + s];
        if (v < size) total += r[v];
    }
    sums[u] = total;
}

// x += factor e, each with the value of its part; a number that is not among the n parts is none.
extern "C" __global__ void prolong_parts(const int* number, const float* e, float factor, int n, long long size,
                                         float* x) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (v < size && number[v] < n) x[v] += factor * e[number[v]];
}

// Conjugate gradients in double precision, on cells of colour 0. Sums are formed by blocks, whose
// parts the caller adds. Shared memory: a double per warp.

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
