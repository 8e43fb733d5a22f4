// The pressure matrix on padded fields of n0 x n1 x n2 cells; a thread has a cell.

// Whether cell v has all six neighbours, as fluid cells do.
__device__ static inline bool inside(long long v, int n0, int n1, int n2) {
    const int k = (int)(v % n2), j = (int)(v / n2 % n1), i = (int)(v / n2 / n1);
    return i > 0 && i < n0 - 1 && j > 0 && j < n1 - 1 && k > 0 && k < n2 - 1;
}

// How many faces of each fluid cell are not solid, and how many of these lie towards air.
extern "C" __global__ void degree(const signed char* types, int n0, int n1, int n2, unsigned char* open,
                                  unsigned char* dirichlet) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = (long long)n1 * n2;
    if (v >= n0 * plane) return;
    int faces = 0, air = 0;
    if (inside(v, n0, n1, n2) && types[v] == 1) {
        const long long steps[3] = {plane, n2, 1};
        for (int a = 0; a < 3; ++a)
            for (int side = -1; side < 2; side += 2) {
                const int other = types[v + side * steps[a]];
                faces += other != 0;
                air += other == 2;
            }
    }
    open[v] = (unsigned char)faces;
    dirichlet[v] = (unsigned char)air;
}

// y = scale (D x - W x), all weights 1.
extern "C" __global__ void apply_unit(const unsigned char* degree, const REAL* x, double scale, int n0, int n1, int n2,
                                      double* y) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = (long long)n1 * n2;
    if (v >= n0 * plane) return;
    double value = 0;
    if (degree[v] > 0 && inside(v, n0, n1, n2)) {
        const double near = ((double)x[v - plane] + (double)x[v + plane]) + ((double)x[v - n2] + (double)x[v + n2]) +
                            ((double)x[v - 1] + (double)x[v + 1]);
        value = scale * (degree[v] * (double)x[v] - near);
    }
    y[v] = value;
}

// y = scale (D x - W x); w0, w1, w2 are the weights between a cell and the next along each axis.
extern "C" __global__ void apply_weighted(const double* degree, const double* w0, const double* w1, const double* w2,
                                          const REAL* x, double scale, int n0, int n1, int n2, double* y) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = (long long)n1 * n2;
    if (v >= n0 * plane) return;
    double value = 0;
    if (degree[v] > 0 && inside(v, n0, n1, n2)) {
        const double near = w0[v - plane] * x[v - plane] + w0[v] * x[v + plane] + w1[v - n2] * x[v - n2] +
                            w1[v] * x[v + n2] + w2[v - 1] * x[v - 1] + w2[v] * x[v + 1];
        value = scale * (degree[v] * (double)x[v] - near);
    }
    y[v] = value;
}
