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

// Connected parts as disjoint sets: a fluid cell points to itself or to a cell before it in its part, others to -1.
// Threads read with __ldcg what others may be changing: it passes by caches that do not see their atomics.

// Whether there is fluid on both sides of an open face between cell v and the one `step` further on.
__device__ static inline bool joined(const signed char* types, const double* w, int weighted, long long v, int step) {
    return types[v] == 1 && types[v + step] == 1 && (!weighted || w[v] > 0);
}

__device__ static inline int first_known(const int* parent, int v) {
    for (int up = __ldcg(parent + v); up != v; up = __ldcg(parent + v)) v = up;
    return v;
}

__device__ static inline void unite(int* parent, int one, int two) {
    while (true) {
        one = first_known(parent, one);
        two = first_known(parent, two);
        if (one == two) return;
        const int low = min(one, two), high = max(one, two), before = atomicMin(parent + high, low);
        if (before == high) return;
        one = low;  // another thread was faster: `high` had got a parent meanwhile, which remains to be united
        two = before;
    }
}

// Runs along the last axis, up to multiples of RUN.
#define RUN 32
extern "C" __global__ void label_runs(const signed char* types, const double* w2, int weighted, int n, int* parent) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n) return;
    int first = v;
    while (first % RUN && joined(types, w2, weighted, first - 1, 1)) --first;
    parent[v] = types[v] == 1 ? first : -1;
}

extern "C" __global__ void label_unite(const signed char* types, const double* w0, const double* w1, const double* w2,
                                       int weighted, int n0, int n1, int n2, int* parent) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x, plane = n1 * n2;
    if (v >= n0 * plane || types[v] != 1) return;  // fluid has all neighbours
    if (v % RUN == 0 && joined(types, w2, weighted, v - 1, 1)) unite(parent, v - 1, v);
    const bool begins = !joined(types, w2, weighted, v - 1, 1);
    for (int axis = 0; axis < 2; ++axis) {
        const int step = axis ? n2 : plane;
        const double* const w = axis ? w1 : w0;
        if (!joined(types, w, weighted, v, step)) continue;
        // Not where the cells before these join the same runs.
        if (begins || !joined(types, w, weighted, v - 1, step) || !joined(types, w2, weighted, v - 1 + step, 1))
            unite(parent, v, v + step);
    }
}

// The first cell of each one's part, and 1 for these cells themselves.
extern "C" __global__ void label_first(const int* parent, int n, int* first, int* own) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n) return;
    first[v] = parent[v] < 0 ? -1 : first_known(parent, v);
    own[v] = first[v] == v;
}

// The numbers of parts; positive in `air` for those with a cell that touches air.
extern "C" __global__ void label_numbers(const int* first, const int* number, const bool* airy, int n, int* labels,
                                         int* air) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n) return;
    const int label = first[v] < 0 ? 0 : number[first[v]];
    labels[v] = label;
    if (airy[v] && __ldcg(air + label) == 0) atomicAdd(air + label, 1);  // soon all see that one has
}
