// The cycle of the multilevel network, on grids, on graphs, and on all of its coarsest levels by one block.
#include "_levels.cuh"

#define SOLVED(u) (degree[u] > 0 ? b[u] / degree[u] : 0.0f)

// x = w (b + W y) / D on cells of colour 0, where y = b / D on those of colour 1: the first relaxation
// from zero, after theirs. x is left unset on the latter.
extern "C" __global__ void begin(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                 const float* b, float w, int n0, int n1, int n2, float* x) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long v = cell(t, 0, n1, n2), plane = (long long)n1 * n2;
    x[v] = degree[v] > 0 ? w * (b[v] + AROUND(SOLVED)) / degree[v] : 0.0f;
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

// The sum of that residual over block u of 2 x 2 x 2 cells, on the padded grid of blocks with m1 x m2 in a plane.
__device__ static inline float of_block(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                        const float* b, const float* x, int n0, int n1, int n2, int m1, int m2,
                                        unsigned int u) {
    const int k = 2 * (int)(u % m2), j = 2 * (int)(u / m2 % m1), i = 2 * (int)(u / m2 / m1);
    float total = 0;
    if (i > 0 && i < n0 - 1 && j > 0 && j < n1 - 1 && k > 0 && k < n2 - 1)
        for (int s = 0; s < 4; ++s) {  // the four cells from (i - 1, j - 1, k - 1) on with an even sum
            const int a = i - (s >> 1), c = j - (s & 1), d = k - ((a + c) & 1);
            const long long v = ((long long)a * n1 + c) * n2 + d;
            if (degree[v] > 0)
                total += b[v] + neighbours(w0, w1, w2, unit, x, v, n1, n2) - degree[v] * x[v];
        }
    return total;
}

extern "C" __global__ void residual_restrict(const float* degree, const float* w0, const float* w1, const float* w2,
                                             int unit, const float* b, const float* x, int n0, int n1, int n2, int m0,
                                             int m1, int m2, float* sums) {
    const unsigned int u = blockIdx.x * blockDim.x + threadIdx.x;
    if (u < (long long)m0 * m1 * m2) sums[u] = of_block(degree, w0, w1, w2, unit, b, x, n0, n1, n2, m1, m2, u);
}

// The block of a cell.
__device__ static inline long long block_of(long long v, int n1, int n2, int m1, int m2) {
    const int k = (int)(v % n2), row = (int)(v / n2), j = row % n1, i = row / n1;
    return ((long long)((i + 1) / 2) * m1 + (j + 1) / 2) * m2 + (k + 1) / 2;
}

#define CORRECTED(u) (degree[u] > 0 ? x[u] + factor * e[block_of(u, n1, n2, m1, m2)] : 0.0f)

// y = x + factor e on cells of colour 0, each with the value e of its block, and y = (b + W y) / D on the others.
extern "C" __global__ void prolong_relax(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                         const float* b, const float* x, const float* e, float factor, int n0, int n1,
                                         int n2, int m1, int m2, float* y) {
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= (long long)n0 * n1 * (n2 / 2)) return;
    const long long own = cell(t, 0, n1, n2), v = cell(t, 1, n1, n2), plane = (long long)n1 * n2;
    y[own] = CORRECTED(own);
    y[v] = degree[v] > 0 ? (b[v] + AROUND(CORRECTED)) / degree[v] : 0.0f;
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

// The same sum for b / D instead of x.
__device__ static inline float solved(const float* degree, const float* links, const int* ends, int width, int n,
                                      const float* b, int v) {
    float total = 0;
    for (int s = 0; s < width; ++s) {
        const int to = ends[(long long)v * width + s];
        if (to < n && degree[to] > 0) total += links[(long long)v * width + s] * (b[to] / degree[to]);
    }
    return total;
}

// As `begin`, on a graph.
extern "C" __global__ void begin_rows(const float* degree, const bool* black, const float* links, const int* ends,
                                      int width, const float* b, float w, int n, float* x) {
    const int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v < n && black[v]) x[v] = degree[v] > 0 ? w * (b[v] + solved(degree, links, ends, width, n, b, v)) / degree[v] : 0.0f;
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

// The coarsest levels, by one block. A level has a row of `table`: its nodes; links of a row, -1 on a grid and -2 on
// one whose links are all 1; extents; where its arrays begin in `reals`, `ints` and `work`; and how many members a node
// of the next level has, 0 for blocks.
enum { NODES, WIDTH, N0, N1, N2, DEGREE, LINKS, ENDS, BLACK, NUMBER, MEMBERS, SHARE, WORK, COLUMNS };

struct Level {
    int n, width, n0, n1, n2;
    const float *degree, *links;
    const int *ends, *black;
};

__device__ static inline Level level_of(const int* row, const float* reals, const int* ints) {
    return {row[NODES], row[WIDTH], row[N0], row[N1], row[N2], reals + row[DEGREE], reals + row[LINKS],
            ints + row[ENDS], ints + row[BLACK]};
}

// The node that a thread has as its t-th of a colour, -1 for none; of so many.
__device__ static inline int tasks(const Level& l) { return l.width >= 0 ? l.n : l.n / 2; }
__device__ static inline int node(const Level& l, int t, int colour) {
    if (l.width >= 0) return (l.black[t] == 0) == (colour == 1) ? t : -1;
    return (int)cell(t, colour, l.n1, l.n2);
}

__device__ static inline float near(const Level& l, const float* x, int v) {
    if (l.width >= 0) return linked(l.links, l.ends, l.width, l.n, x, v);
    return neighbours(l.links, l.links + l.n, l.links + 2 * l.n, l.width == -2, x, v, l.n1, l.n2);
}

__device__ static inline void relax_all(const Level& l, const float* b, int colour, float w, float* x) {
    __syncthreads();
    for (int t = threadIdx.x; t < tasks(l); t += blockDim.x) {
        const int v = node(l, t, colour);
        if (v < 0) continue;
        float value = 0;
        if (l.degree[v] > 0) {
            value = (b[v] + near(l, x, v)) / l.degree[v];
            if (w != 1) value = (1 - w) * x[v] + w * value;
        }
        x[v] = value;
    }
}

extern "C" __global__ void bottom_levels(const int* table, const float* numbers, int levels, const float* reals,
                                         const int* ints, const float* b, float* work, float* x) {
    for (int k = 0; k < levels; ++k) {
        const int* row = table + k * COLUMNS;
        const Level l = level_of(row, reals, ints);
        float* const here = k ? work + row[WORK] : x;
        const float* const rhs = k ? here + l.n : b;
        for (int v = threadIdx.x; v < l.n; v += blockDim.x) here[v] = 0;
        relax_all(l, rhs, 1, 1, here);
        for (int s = 0; s < 2; ++s)
            if (s == 0 || numbers[3 * k + s] != 0) {
                relax_all(l, rhs, 0, numbers[3 * k + s], here);
                relax_all(l, rhs, 1, 1, here);
            }
        if (k + 1 == levels) break;
        const int *next = row + COLUMNS, count = next[NODES];
        float* const sums = work + next[WORK] + count;
        __syncthreads();
        for (int u = threadIdx.x; u < count; u += blockDim.x) {
            float total = 0;
            if (row[SHARE] == 0)
                total = of_block(l.degree, l.links, l.links + l.n, l.links + 2 * l.n, l.width == -2, rhs, here, l.n0, l.n1, l.n2,
                                 next[N1], next[N2], u);
            for (int s = 0; s < row[SHARE]; ++s) {
                const int v = ints[row[MEMBERS] + u * row[SHARE] + s];
                if (v < l.n && ints[row[NUMBER] + v] < count) total += rhs[v] + near(l, here, v) - l.degree[v] * here[v];
            }
            sums[u] = total;
        }
    }
    for (int k = levels - 1; k >= 0; --k) {
        const int* row = table + k * COLUMNS;
        const Level l = level_of(row, reals, ints);
        float* const here = k ? work + row[WORK] : x;
        const float* const rhs = k ? here + l.n : b;
        if (k + 1 < levels) {
            const int* next = row + COLUMNS;
            const float *e = work + next[WORK], factor = numbers[3 * k + 2];
            __syncthreads();
            for (int t = threadIdx.x; t < tasks(l); t += blockDim.x) {
                const int v = node(l, t, 0);
                if (v < 0 || !(l.degree[v] > 0)) continue;
                const long long u = row[SHARE] ? ints[row[NUMBER] + v] : block_of(v, l.n1, l.n2, next[N1], next[N2]);
                if (u < next[NODES]) here[v] += factor * e[u];
            }
            relax_all(l, rhs, 1, 1, here);
        }
        for (int s = 1; s >= 0; --s)
            if (s == 0 || numbers[3 * k + s] != 0) {
                relax_all(l, rhs, 0, numbers[3 * k + s], here);
                relax_all(l, rhs, 1, 1, here);
            }
    }
}
