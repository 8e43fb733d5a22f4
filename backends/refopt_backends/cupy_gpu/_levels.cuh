// Levels of the multilevel network: padded grids of even extents n0 x n1 x n2, and graphs.
// Cells with an even sum of indices have colour 0, the others 1; neighbours differ in colour, and
// cells of degree 0, all of the padding among them, have x = 0. Links are fields w0, w1, w2
// towards the next cell along each axis, or all 1 where `unit`.

// The cell of a thread that has the number t among those of a colour.
__device__ static inline long long cell(unsigned int t, int colour, int n1, int n2) {
    const unsigned int half = n2 / 2, row = t / half;
    return (long long)row * n2 + 2 * (t % half) + ((row % n1 + row / n1 + colour) & 1);
}

// The sum of W y over the neighbours of cell v, where at(u) is y in cell u.
#define AROUND(at)                                                                                                    \
    (unit ? (at(v - plane) + at(v + plane)) + (at(v - n2) + at(v + n2)) + (at(v - 1) + at(v + 1))                     \
          : w0[v - plane] * at(v - plane) + w0[v] * at(v + plane) + (w1[v - n2] * at(v - n2) + w1[v] * at(v + n2)) +  \
                (w2[v - 1] * at(v - 1) + w2[v] * at(v + 1)))

#define HERE(u) x[u]
#define NEIGHBOURS(TYPE)                                                                                              \
    __device__ static inline TYPE neighbours(const float* w0, const float* w1, const float* w2, int unit,             \
                                             const TYPE* x, long long v, int n1, int n2) {                            \
        const long long plane = (long long)n1 * n2;                                                                   \
        return AROUND(HERE);                                                                                          \
    }
NEIGHBOURS(float)
NEIGHBOURS(double)
#undef NEIGHBOURS
#undef HERE
