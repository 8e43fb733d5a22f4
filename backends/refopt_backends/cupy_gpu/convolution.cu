// Convolutions of 3 x 3 x 3 with zero padding, on a GPU: fields (channels, n0, n1, n2).
#include "_warps.cuh"

#define GROUP 4  // channels of the result that share what is read of x

// y_o(v) = bias_o + sum over i and s of W[o, i, s] x_i(v + s - 1), cut off at 0 if `relu`, plus
// residual_o(v) if `add`. A thread has a cell v and GROUP channels o, those of its block row.
// Shared memory: the weights of a channel of x, 27 GROUP numbers.
extern "C" __global__ void forward(const REAL* x, const REAL* weights, const REAL* bias, const REAL* residual, int c,
                                   int o, int n0, int n1, int n2, int relu, int add, REAL* y) {
    SHARED(REAL, w);
    const long long cells = (long long)n0 * n1 * n2, v = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    const int first = blockIdx.y * GROUP;
    const int k = (int)(v % n2), j = (int)(v / n2 % n1), p = (int)(v / n2 / n1);
    REAL sums[GROUP];
    for (int g = 0; g < GROUP; ++g) sums[g] = first + g < o ? bias[first + g] : (REAL)0;
    for (int i = 0; i < c; ++i) {
        __syncthreads();  // the weights before were read
        for (int s = threadIdx.x; s < 27 * GROUP; s += blockDim.x) {
            const int to = first + s / 27;
            w[s] = to < o ? weights[((long long)to * c + i) * 27 + s % 27] : (REAL)0;
        }
        __syncthreads();
        if (v < cells)
            for (int s = 0; s < 27; ++s) {
                const int a = p + s / 9 - 1, b = j + s / 3 % 3 - 1, d = k + s % 3 - 1;
                if (a < 0 || a >= n0 || b < 0 || b >= n1 || d < 0 || d >= n2) continue;
                const REAL value = x[i * cells + ((long long)a * n1 + b) * n2 + d];
                for (int g = 0; g < GROUP; ++g) sums[g] += w[g * 27 + s] * value;
            }
    }
    if (v >= cells) return;
    for (int g = 0; g < GROUP && first + g < o; ++g) {
        const long long at = (first + g) * cells + v;
        REAL value = sums[g];
        if (relu && value < 0) value = 0;  // NaN stays
        y[at] = add ? value + residual[at] : value;
    }
}

// parts[piece, o, i, s] = sum over the cells v of a piece of dy_o(v) x_i(v + s - 1). A block has
// a pair (o, i) and a piece. Shared memory: a double per warp.
extern "C" __global__ void weights(const REAL* x, const REAL* dy, int c, int n0, int n1, int n2, long long piece,
                                   double* parts) {
    SHARED(double, scratch);
    const long long cells = (long long)n0 * n1 * n2, first = blockIdx.y * piece;
    const long long last = first + piece < cells ? first + piece : cells;
    const REAL* from = x + blockIdx.x % c * cells;
    const REAL* by = dy + blockIdx.x / c * cells;
    REAL sums[27];
    for (int s = 0; s < 27; ++s) sums[s] = 0;
    for (long long v = first + threadIdx.x; v < last; v += blockDim.x) {
        const int k = (int)(v % n2), j = (int)(v / n2 % n1), p = (int)(v / n2 / n1);
        const REAL factor = by[v];
        for (int s = 0; s < 27; ++s) {
            const int a = p + s / 9 - 1, b = j + s / 3 % 3 - 1, d = k + s % 3 - 1;
            if (a < 0 || a >= n0 || b < 0 || b >= n1 || d < 0 || d >= n2) continue;
            sums[s] += factor * from[((long long)a * n1 + b) * n2 + d];
        }
    }
    for (int s = 0; s < 27; ++s) {
        const double total = block_sum(sums[s], scratch);
        if (threadIdx.x == 0) parts[((long long)blockIdx.y * gridDim.x + blockIdx.x) * 27 + s] = total;
    }
}

// Means over blocks of 2 x 2 x 2 of fields of 2 n0 x 2 n1 x 2 n2 cells; channels and first axis as one of `rows`.
extern "C" __global__ void pool(const REAL* x, long long rows, int n1, int n2, REAL* y) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (v >= rows * n1 * n2) return;
    const long long row = 2LL * n2, plane = 2 * n1 * row;
    const REAL* from = x + v / n2 / n1 * 2 * plane + v / n2 % n1 * 2 * row + v % n2 * 2;
    REAL sum = 0;
    for (int s = 0; s < 8; ++s) sum += from[(s >> 2) * plane + (s >> 1 & 1) * row + (s & 1)];
    y[v] = sum / 8;
}

// y = fine + coarse, each value of coarse (rows, n1, n2) on its block of 2 x 2 x 2; a thread has a cell of fine.
extern "C" __global__ void upsample(const REAL* coarse, const REAL* fine, long long rows, int n1, int n2, REAL* y) {
    const long long v = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (v >= 8 * rows * n1 * n2) return;
    const long long line = v / (2 * n2), plane = line / (2 * n1);
    y[v] = fine[v] + coarse[((plane / 2) * n1 + line % (2 * n1) / 2) * n2 + v % (2 * n2) / 2];
}
