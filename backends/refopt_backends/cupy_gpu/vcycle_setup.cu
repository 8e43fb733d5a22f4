// The matrices of the multilevel network's coarse grids.
#include "_warps.cuh"
#include "_levels.cuh"

// The link from cell v to the next one, `step` further on; where `unit`, between any two cells with volume.
__device__ static inline float link(const float* w, const float* volume, int unit, long long v, long long step) {
    return unit ? (float)(volume[v] > 0 && volume[v + step] > 0) : w[v];
}

// What lies within a block along an axis: the links between its halves, the volumes of these, and the links ahead.
// The block's first cell is v; `step` leads along the axis, s1 and s2 across it.
struct Halves {
    float inner, low, high, ahead;
};
__device__ static inline Halves halves(const float* w, const float* volume, int unit, long long v, long long step,
                                       long long s1, long long s2) {
    Halves h = {0, 0, 0, 0};
    for (int s = 0; s < 4; ++s) {
        const long long low = v + (s >> 1) * s1 + (s & 1) * s2, high = low + step;
        h.inner += link(w, volume, unit, low, step);
        h.ahead += link(w, volume, unit, high, step);
        h.low += volume[low];
        h.high += volume[high];
    }
    return h;
}

// How many parts links connect the block's cells of positive degree to.
__device__ static inline int parts_of(const float* degree, const float* w0, const float* w1, const float* w2,
                                      const float* volume, int unit, long long v, const long long* steps) {
    const float* const w[3] = {w0, w1, w2};
    unsigned int left = 0, joined[8] = {};
    for (int s = 0; s < 8; ++s) {
        const long long own = v + (s >> 2) * steps[0] + (s >> 1 & 1) * steps[1] + (s & 1) * steps[2];
        if (degree[own] > 0) left |= 1u << s;
        for (int a = 0; a < 3; ++a)
            if (!(s & 4 >> a) && link(w[a], volume, unit, own, steps[a]) > 0) {
                joined[s] |= 1u << (s | 4 >> a);
                joined[s | 4 >> a] |= 1u << s;
            }
    }
    int parts = 0;
    for (; left; ++parts) {
        unsigned int part = left & (0u - left), before = 0;
        while (part != before) {
            before = part;
            for (int s = 0; s < 8; ++s)
                if (before >> s & 1) part |= joined[s];
        }
        left &= ~part;
    }
    return parts;
}

// Links, ground and volume of the grid m0 x m1 x m2 of blocks of 2 x 2 x 2 cells; and added to `counts`, how many
// blocks have cells of positive degree, and how many parts these have beyond the first. A link is the four through
// the common face in series with what lies between it and the two centres of mass. Shared memory: a double per warp.
extern "C" __global__ void coarsen(const float* degree, const float* w0, const float* w1, const float* w2, int unit,
                                   const float* ground, const float* volume, float scale, int n0, int n1, int n2, int m0,
                                   int m1, int m2, float* c0, float* c1, float* c2, float* coarse_ground,
                                   float* coarse_volume, int* counts) {
    SHARED(double, scratch);
    const unsigned int u = blockIdx.x * blockDim.x + threadIdx.x;
    const int k = (int)(u % m2), j = (int)(u / m2 % m1), i = (int)(u / m2 / m1);
    const int at[3] = {i, j, k}, most[3] = {n0 / 2 - 1, n1 / 2 - 1, n2 / 2 - 1};
    const long long steps[3] = {(long long)n1 * n2, n2, 1};
    const bool inside = i > 0 && i <= most[0] && j > 0 && j <= most[1] && k > 0 && k <= most[2];
    double blocks = 0, more = 0;
    if (u < (long long)m0 * m1 * m2) {
        const float* const w[3] = {w0, w1, w2};
        float* const c[3] = {c0, c1, c2};
        const long long v = ((long long)(2 * i - 1) * n1 + 2 * j - 1) * n2 + 2 * k - 1;
        float total = 0, size = 0;
        for (int a = 0; a < 3; ++a) {
            float value = 0;
            if (inside) {
                const long long step = steps[a], s1 = steps[(a + 1) % 3], s2 = steps[(a + 2) % 3];
                const Halves own = halves(w[a], volume, unit, v, step, s1, s2);
                float behind = own.inner > 0 ? own.low / ((own.low + own.high) * own.inner) : 0;
                if (own.ahead > 0 && at[a] < most[a]) {
                    const Halves next = halves(w[a], volume, unit, v + 2 * step, step, s1, s2);
                    if (next.inner > 0) behind += next.high / ((next.low + next.high) * next.inner);
                }
                value = own.ahead / (1 + own.ahead * behind);
            }
            c[a][u] = value;
        }
        for (int s = 0; s < 8 && inside; ++s) {
            const long long own = v + (s >> 2) * steps[0] + (s >> 1 & 1) * steps[1] + (s & 1);
            total += ground[own];
            size += volume[own];
        }
        coarse_ground[u] = scale * total;
        coarse_volume[u] = size;
        const int parts = inside ? parts_of(degree, w0, w1, w2, volume, unit, v, steps) : 0;
        blocks = parts > 0;
        more = parts > 1 ? parts - 1 : 0;
    }
    blocks = block_sum(blocks, scratch);
    more = block_sum(more, scratch);
    if (threadIdx.x == 0 && blocks > 0) {
        atomicAdd(counts, (int)blocks);
        atomicAdd(counts + 1, (int)more);
    }
}

// D: a cell's links and what leads to the ground.
extern "C" __global__ void links_degree(const float* w0, const float* w1, const float* w2, const float* ground, int n0,
                                        int n1, int n2, float* degree) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = (long long)n1 * n2;
    if (v >= n0 * plane) return;
    const int k = (int)(v % n2), j = (int)(v / n2 % n1), i = (int)(v / plane);
    float total = 0;
    if (i > 0 && j > 0 && k > 0) {
        total = ground[v] + w0[v] + w0[v - plane] + w1[v] + w1[v - n2] + w2[v] + w2[v - 1];
    }
    degree[v] = total;
}
