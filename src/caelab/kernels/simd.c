/* Small convolutional networks, forward and backward, with one image in every lane of a vector.

   If a vector held channels, layers of 3, 8 or 12 channels would leave it partly empty. If each operation ran on the
   whole batch, all numbers would move through memory after each operation. So the innermost axis of a tensor is a group
   of LANES images here, as in cuda-convnet (Krizhevsky 2012):

       (groups, C, H, W, LANES)

   Vectors are full with any number of channels, and a group of images goes through the whole network while its tensors
   are in the cache. A tensor has a border of zeros around its planes, so that no loop checks for padding.

   Every operation with weights is one correlation S between a big tensor and a small one:

       small[o, y, x] = sum over (c, i, j) of weight[o, c, i, j] * big[c, y*stride + i*dilation - padding,
                                                                          x*stride + j*dilation - padding]

   A convolution computes S forward and the transpose of S backward. A transposed convolution computes the transpose of
   S forward and S backward. The formula for the gradient of the weights is the same for both. S skips positions of the
   tensor that it reads. Its transpose skips positions of the tensor that it writes, and so runs once for each phase,
   which is a position modulo the stride. Two loops take nearly all the time: `correlate`, for S and its transpose, and
   `accumulate`, for the gradient of the weights.

   A tap is an element (c, i, j) of a kernel. The tape is memory for tensors that the backward pass needs. Scratch
   memory is needed only during one call.

   The code is C with the vector extension of GCC and Clang, and includes only standard headers. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define ALL(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}
#define LOWER 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX__)
#define LANES 8
#define ALL(x) {x, x, x, x, x, x, x, x}
#define LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LANES 4
#define ALL(x) {x, x, x, x}
#define LOWER 0, 4, 1, 5
#define UPPER 2, 6, 3, 7
#endif

/* Size of the block that is computed at once: DOWN channels at ACROSS positions in correlate(), or DOWN channels for
   DEEP taps in accumulate(). The sums of the block and the factors of one step must fit into the registers: 32 with
   AVX-512, 16 with AVX. Compilers tend to read a factor from memory again for every product. KEEP_IN_REGISTER hides
   from them that memory has the same value, so that they keep it in a register, which is faster. */
#define DOWN 4
#if defined(__SSE__) && !defined(__AVX512F__)
#define ACROSS 3
#define WIDE 4 /* Positions that are computed at once if there are only one or two channels. */
#define DEEP 3
#define KEEP_IN_REGISTER(x) __asm__("" : "+x"(x))
#else
#define ACROSS 4
#define WIDE 8
#define DEEP 4
#define KEEP_IN_REGISTER(x)
#endif
#define MAX_TAPS 8192 /* Largest number of taps of a correlation: channels that it reads times the kernel's area. */
#define BAND 64       /* Positions that all taps read before the next positions: few enough for the L1 cache. */

typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));
typedef int32_t Flags __attribute__((vector_size(4 * LANES)));
typedef int8_t Indices __attribute__((vector_size(LANES), aligned(LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));
typedef double DoubleLanes __attribute__((vector_size(8 * LANES)));

enum { CONVOLUTION, TRANSPOSED, MAXIMUM, AVERAGE, NEAREST, SHUFFLE, UNSHUFFLE };
enum { NONE, RELU, LEAKY };

#define SLOPE 0.01f /* Slope of LEAKY below zero. */
#define RECTIFIED 64 /* Flag, added to the index of a maximum that was not above zero before the activation. */

/* The caller sets the fields on the first line of each structure, the field `side`, and all pointers. lay_out() sets
   the other fields. Positions and sizes in memory are counted in floats. */

/* A tensor of one group of images, with a border of zeros. `value` is its position: in the tape if the tensor is `kept`
   for the backward pass, otherwise in the scratch memory. `gradient` is the position of its gradient in the scratch
   memory. */
typedef struct {
  int32_t channels, height, width;
  int32_t border, kept;
  int64_t value, gradient;
} Tensor;

/* Operation `n` computes tensor `n + 1` from tensor `n`. */
typedef struct {
  int32_t kind, kernel, stride, dilation, padding, activation;
  int32_t side;              /* Side of the convolution's kernel, if the operation is `up conv`; otherwise 0. */
  int64_t summed;            /* Scratch: weights of an `up conv`, which are sums of taps of the convolution's kernel. */
  int64_t indices;           /* Tape: position of each maximum in its window. */
  int64_t forward, backward; /* Scratch: the weights, packed for the forward and the backward pass. */
  int64_t sums, bias_sums;   /* Scratch: the gradients of weights and biases, a number for each lane. */
} Operation;

/* A network. `tape` is the size of the tape for one group of images. Each channel of the input is scaled and shifted
   before the first operation, and each channel of the output after the last operation. */
typedef struct {
  int32_t count;
  int64_t tape;
  Tensor *tensors;
  Operation *operations;
  const float *input_scale, *input_shift, *output_scale, *output_shift;
} Program;

int32_t lanes(void) { return LANES; }

/* Size of a row and of a plane, with their borders; position of the first pixel inside the border. */
static inline int64_t row_of(const Tensor *t) { return (int64_t)(t->width + 2 * t->border) * LANES; }
static inline int64_t plane_of(const Tensor *t) { return (t->height + 2 * t->border) * row_of(t); }
static inline int64_t origin_of(const Tensor *t) { return t->border * (row_of(t) + LANES); }
static inline int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int has_weights(const Operation *op) { return op->kind == CONVOLUTION || op->kind == TRANSPOSED; }

/* Reserves memory after the first `*size` floats, increases `*size`, and returns the position. Positions are multiples
   of the length of the widest vector, so that vectors are aligned. */
static int64_t take(int64_t *size, int64_t floats) {
  const int64_t position = *size;
  *size += (floats + 15) / 16 * 16;
  return position;
}

/* Sets the borders and positions of all tensors and operations. Returns the size of the scratch memory, or -1 if the
   program is too large: a position in a tensor must fit into 32 bits, and there must be at most MAX_TAPS taps.

   Each group of images has its own tape from the forward pass to the backward pass. All groups use the same scratch
   memory. */
int64_t lay_out(Program *program) {
  Tensor *tensors = program->tensors;
  int64_t scratch = 0, tape = 0;
  for (int n = 0; n < program->count; n++) {
    const Operation *op = program->operations + n;
    if (!has_weights(op)) continue;
    const int32_t last_tap = (op->kernel - 1) * op->dilation - op->padding;
    /* The input of a convolution is big, and the input of a transposed convolution is small. */
    Tensor *big = tensors + n + (op->kind == TRANSPOSED), *small = tensors + n + (op->kind == CONVOLUTION);
    if ((int64_t)op->kernel * op->kernel * larger(big->channels, small->channels) > MAX_TAPS) return -1;
    /* Outside the image, taps read zeros of the border. S reads outside the big image, and its transpose reads outside
       the small image. Every layer computes one of them forward and the other backward, so both need a border. */
    for (int axis = 0; axis < 2; axis++) {
      const int32_t large = axis ? big->width : big->height, little = axis ? small->width : small->height;
      const int32_t beyond_large = (little - 1) * op->stride + last_tap - (large - 1);
      const int32_t beyond_little = (large - 1 + op->padding) / op->stride - (little - 1);
      big->border = larger(big->border, larger(op->padding, beyond_large));
      small->border = larger(small->border, larger(last_tap / op->stride, beyond_little));
    }
  }
  for (int n = 0; n <= program->count; n++) {
    Tensor *t = tensors + n;
    const Operation *before = n > 0 ? program->operations + n - 1 : 0;
    const Operation *after = n < program->count ? program->operations + n : 0;
    /* The backward pass needs the inputs of operations with weights, and the outputs of their activations. */
    t->kept = (after && has_weights(after)) || (before && has_weights(before) && before->activation != NONE);
    const int64_t size = t->channels * plane_of(t);
    if (size >= (int64_t)1 << 31) return -1;
    t->value = take(t->kept ? &tape : &scratch, size);
    t->gradient = take(&scratch, size);
  }
  for (int n = 0; n < program->count; n++) {
    Operation *op = program->operations + n;
    const Tensor *to = tensors + n + 1;
    const int64_t taps = has_weights(op) ? (int64_t)op->kernel * op->kernel * tensors[n].channels : 0;
    const int64_t weights = taps * to->channels;
    op->summed = take(&scratch, op->side ? weights : 0);
    /* The index of a maximum is a byte, and memory is counted in floats of four bytes. */
    op->indices = take(&tape, op->kind == MAXIMUM ? (int64_t)to->channels * to->height * to->width * LANES / 4 : 0);
    op->forward = take(&scratch, weights);
    op->backward = take(&scratch, weights);
    op->sums = take(&scratch, weights * LANES);
    op->bias_sums = take(&scratch, taps ? to->channels * LANES : 0);
  }
  program->tape = tape;
  return scratch;
}

/* ---- the correlation ------------------------------------------------------------------------------------------- */

static inline Flags select_flags(Flags where, Flags yes, Flags no) { return (where & yes) | (~where & no); }
static inline Lanes select(Flags where, Lanes yes, Lanes no) {
  return (Lanes)select_flags(where, (Flags)yes, (Flags)no);
}

static inline __attribute__((always_inline)) Lanes rectified(Lanes x, const int activation) {
  const Lanes zero = {0};
  if (activation == RELU) return (Lanes)((Flags)x & ~(x <= zero)); /* NaN stays NaN, so that it is noticed. */
  if (activation == LEAKY) return select(x > zero, x, x * SLOPE);
  return x;
}

/* Computes `down` channels at `across` positions; all sums stay in registers. `offsets` are the positions of the taps'
   inputs, relative to `in`. */
static inline __attribute__((always_inline)) void block(const int down, const int across, const float *in,
                                                        int64_t in_step, const int32_t *offsets, int taps,
                                                        const float *weights, const float *bias, int activation,
                                                        float *out, int64_t out_plane, int64_t out_step) {
  Lanes sums[DOWN][WIDE];
#pragma GCC unroll 8
  for (int c = 0; c < down; c++)
#pragma GCC unroll 8
    for (int x = 0; x < across; x++) sums[c][x] = (Lanes)ALL(bias[c]);
  for (int t = 0; t < taps; t++) {
    const float *at = in + offsets[t];
    Lanes values[WIDE];
#pragma GCC unroll 8
    for (int x = 0; x < across; x++) values[x] = *(const Lanes *)(at + x * in_step);
#pragma GCC unroll 8
    for (int c = 0; c < down; c++) {
      const Lanes weight = (Lanes)ALL(weights[t * down + c]);
#pragma GCC unroll 8
      for (int x = 0; x < across; x++) sums[c][x] += weight * values[x];
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < down; c++)
#pragma GCC unroll 8
    for (int x = 0; x < across; x++)
      *(Lanes *)(out + c * out_plane + x * out_step) = activation == RELU    ? rectified(sums[c][x], RELU)
                                                       : activation == LEAKY ? rectified(sums[c][x], LEAKY)
                                                                             : sums[c][x];
}

/* row_4() computes a row of positions for 4 channels, in blocks of `widest`, two and one positions. */
#define ROW(down, widest)                                                                                            \
  static void row_##down(const float *in, int64_t in_step, const int32_t *offsets, int taps, const float *weights,   \
                         const float *bias, int activation, float *out, int64_t out_plane, int64_t out_step,         \
                         int columns) {                                                                              \
    int x = 0;                                                                                                       \
    for (; x + widest <= columns; x += widest)                                                                       \
      block(down, widest, in + x * in_step, in_step, offsets, taps, weights, bias, activation, out + x * out_step,   \
            out_plane, out_step);                                                                                    \
    for (; x + 2 <= columns; x += 2)                                                                                 \
      block(down, 2, in + x * in_step, in_step, offsets, taps, weights, bias, activation, out + x * out_step,        \
            out_plane, out_step);                                                                                    \
    for (; x < columns; x++)                                                                                         \
      block(down, 1, in + x * in_step, in_step, offsets, taps, weights, bias, activation, out + x * out_step,        \
            out_plane, out_step);                                                                                    \
  }
ROW(1, WIDE)
ROW(2, WIDE)
ROW(3, ACROSS)
ROW(4, ACROSS)

/* Computes all output channels at all positions of a grid of `rows` and `columns`. */
static void correlate(const float *in, int64_t in_row, int64_t in_step, const int32_t *offsets, int taps,
                      const float *packed, const float *bias, int activation, float *out, int64_t out_plane,
                      int64_t out_row, int64_t out_step, int channels, int rows, int columns) {
  for (int y = 0; y < rows; y++)
    for (int c = 0; c < channels; c += DOWN) {
      const int down = channels - c < DOWN ? channels - c : DOWN;
      const float *weights = packed + (int64_t)c * taps;
      float *to = out + c * out_plane + y * out_row;
      (down == 4 ? row_4 : down == 3 ? row_3 : down == 2 ? row_2 : row_1)(
          in + y * in_row, in_step, offsets, taps, weights, bias + c, activation, to, out_plane, out_step, columns);
    }
}

/* ---- the gradient of the weights ------------------------------------------------------------------------------- */

/* Adds to `sums` the products of `deep` taps and `down` channels at all positions. During the loop, the sums stay in
   registers. */
static inline __attribute__((always_inline)) void products(const int deep, const int down, const float *big,
                                                           int64_t big_row, int64_t big_step, const int32_t *offsets,
                                                           const float *small, int64_t small_plane, int64_t small_row,
                                                           int rows, int columns, Lanes *sums) {
  Lanes local[DEEP][DOWN];
#pragma GCC unroll 8
  for (int t = 0; t < deep; t++)
#pragma GCC unroll 8
    for (int c = 0; c < down; c++) local[t][c] = sums[t * down + c];
  for (int y = 0; y < rows; y++)
    for (int x = 0; x < columns; x++) {
      const float *from = big + y * big_row + x * big_step, *with = small + y * small_row + x * LANES;
      Lanes values[DEEP];
#pragma GCC unroll 8
      for (int t = 0; t < deep; t++) {
        values[t] = *(const Lanes *)(from + offsets[t]);
        KEEP_IN_REGISTER(values[t]);
      }
#pragma GCC unroll 8
      for (int c = 0; c < down; c++) {
        Lanes gradient = *(const Lanes *)(with + c * small_plane);
        KEEP_IN_REGISTER(gradient);
#pragma GCC unroll 8
        for (int t = 0; t < deep; t++) local[t][c] += values[t] * gradient;
      }
    }
#pragma GCC unroll 8
  for (int t = 0; t < deep; t++)
#pragma GCC unroll 8
    for (int c = 0; c < down; c++) sums[t * down + c] = local[t][c];
}

/* taps_4() computes the products of all taps and 4 channels, in blocks of DEEP taps. */
#define TAPS(down)                                                                                                   \
  static void taps_##down(const float *big, int64_t big_row, int64_t big_step, const int32_t *offsets, int taps,     \
                          const float *small, int64_t small_plane, int64_t small_row, int rows, int columns,         \
                          Lanes *sums) {                                                                             \
    int t = 0;                                                                                                       \
    for (; t + DEEP <= taps; t += DEEP)                                                                              \
      products(DEEP, down, big, big_row, big_step, offsets + t, small, small_plane, small_row, rows, columns,        \
               sums + t * down);                                                                                     \
    if (taps - t == 3)                                                                                               \
      products(3, down, big, big_row, big_step, offsets + t, small, small_plane, small_row, rows, columns,           \
               sums + t * down);                                                                                     \
    else if (taps - t == 2)                                                                                          \
      products(2, down, big, big_row, big_step, offsets + t, small, small_plane, small_row, rows, columns,           \
               sums + t * down);                                                                                     \
    else if (taps - t == 1)                                                                                          \
      products(1, down, big, big_row, big_step, offsets + t, small, small_plane, small_row, rows, columns,           \
               sums + t * down);                                                                                     \
  }
TAPS(1)
TAPS(2)
TAPS(3)
TAPS(4)

/* Adds the products at all positions to `sums`, which has a block (taps, DOWN) for every DOWN channels. All taps go
   through one band of rows before the next band begins, so that they read the band from the cache. */
static void accumulate(const float *big, int64_t big_row, int64_t big_step, const int32_t *offsets, int taps,
                       const float *small, int64_t small_plane, int64_t small_row, int channels, int rows, int columns,
                       Lanes *sums) {
  const int band = columns >= BAND ? 1 : BAND / columns;
  for (int y = 0; y < rows; y += band)
    for (int c = 0; c < channels; c += DOWN) {
      const int down = channels - c < DOWN ? channels - c : DOWN;
      (down == 4 ? taps_4 : down == 3 ? taps_3 : down == 2 ? taps_2 : taps_1)(
          big + y * big_row, big_row, big_step, offsets, taps, small + c * small_plane + y * small_row, small_plane,
          small_row, rows - y < band ? rows - y : band, columns, sums + (int64_t)c * taps);
    }
}

/* ---- the correlation S of an operation with weights, and its transpose ------------------------------------------- */

static inline const Tensor *big_of(const Operation *op, const Tensor *from) {
  return op->kind == CONVOLUTION ? from : from + 1;
}
static inline const Tensor *small_of(const Operation *op, const Tensor *from) {
  return op->kind == CONVOLUTION ? from + 1 : from;
}

/* Writes the offsets of the taps (channel, row, column) of S in the big tensor; returns the number of taps. */
static int taps_of(const Operation *op, const Tensor *big, int32_t *offsets) {
  int taps = 0;
  for (int c = 0; c < big->channels; c++)
    for (int i = 0; i < op->kernel; i++)
      for (int j = 0; j < op->kernel; j++)
        offsets[taps++] = (int32_t)(c * plane_of(big) + (i * op->dilation - op->padding) * row_of(big) +
                                    (j * op->dilation - op->padding) * LANES);
  return taps;
}

/* Writes the offsets of those taps that the transpose of S needs at positions that are (phase_row, phase_column) modulo
   the stride; returns their number. `chosen` receives the indices of these taps in the weights. */
static int phase_taps(const Operation *op, const Tensor *small, int phase_row, int phase_column, int32_t *offsets,
                      int32_t *chosen) {
  int taps = 0;
  for (int c = 0; c < small->channels; c++)
    for (int i = 0; i < op->kernel; i++) {
      const int y = phase_row + op->padding - i * op->dilation;
      if (y % op->stride) continue;
      for (int j = 0; j < op->kernel; j++) {
        const int x = phase_column + op->padding - j * op->dilation;
        if (x % op->stride) continue;
        offsets[taps] = (int32_t)(c * plane_of(small) + y / op->stride * row_of(small) + x / op->stride * LANES);
        chosen[taps++] = (c * op->kernel + i) * op->kernel + j;
      }
    }
  return taps;
}

/* Upsampling and then convolving with weight[big, small, side, side] equals one transposed convolution. This function
   computes its weights, which are sums of taps of the convolution's kernel. */
static void add_taps(const Operation *op, const float *weight, int big, int small, float *sums) {
  const int side = op->side, kernel = op->kernel, stride = op->stride;
  memset(sums, 0, sizeof(float) * big * small * kernel * kernel);
  for (int b = 0; b < big; b++)
    for (int s = 0; s < small; s++)
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++, weight++)
          for (int y = side - 1 - i; y < side - 1 - i + stride; y++)
            for (int x = side - 1 - j; x < side - 1 - j + stride; x++)
              sums[((int64_t)(s * big + b) * kernel + y) * kernel + x] += *weight;
}

/* Computes the gradient `weight` of the convolution's kernel from the gradient `sums` of the summed weights. */
static void add_taps_backward(const Operation *op, float *weight, int big, int small, const float *sums) {
  const int side = op->side, kernel = op->kernel, stride = op->stride;
  for (int b = 0; b < big; b++)
    for (int s = 0; s < small; s++)
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++, weight++) {
          *weight = 0;
          for (int y = side - 1 - i; y < side - 1 - i + stride; y++)
            for (int x = side - 1 - j; x < side - 1 - j + stride; x++)
              *weight += sums[((int64_t)(s * big + b) * kernel + y) * kernel + x];
        }
}

/* Returns the weights of the operation: for an `up conv` their sums, which are computed here. */
static const float *weights_of(const Operation *op, const float *weight, const Tensor *big, const Tensor *small,
                               float *scratch) {
  if (!op->side) return weight;
  add_taps(op, weight, big->channels, small->channels, scratch + op->summed);
  return scratch + op->summed;
}

/* Packs weight[small, big, kernel, kernel] for S, with a block (taps, DOWN) for every DOWN channels. */
static void pack(const float *weight, float *packed, int channels, int taps) {
  for (int c = 0; c < channels; c += DOWN) {
    const int down = channels - c < DOWN ? channels - c : DOWN;
    for (int t = 0; t < taps; t++)
      for (int k = 0; k < down; k++) *packed++ = weight[(int64_t)(c + k) * taps + t];
  }
}

/* Packs the same weights for the transpose of S, one phase after the other. */
static void pack_transposed(const Operation *op, const float *weight, float *packed, const Tensor *big,
                            const Tensor *small) {
  const int area = op->kernel * op->kernel;
  int32_t offsets[MAX_TAPS], chosen[MAX_TAPS];
  for (int r = 0; r < op->stride; r++)
    for (int s = 0; s < op->stride; s++) {
      const int taps = phase_taps(op, small, r, s, offsets, chosen);
      for (int c = 0; c < big->channels; c += DOWN) {
        const int down = big->channels - c < DOWN ? big->channels - c : DOWN;
        for (int t = 0; t < taps; t++)
          for (int k = 0; k < down; k++)
            *packed++ = weight[((int64_t)(chosen[t] / area) * big->channels + c + k) * area + chosen[t] % area];
      }
    }
}

/* Computes S, from the big tensor to the small one. */
static void apply(const Operation *op, const Tensor *big, const float *in, const Tensor *small, float *out,
                  const float *packed, const float *bias, int activation) {
  int32_t offsets[MAX_TAPS];
  const int taps = taps_of(op, big, offsets);
  correlate(in + origin_of(big), op->stride * row_of(big), op->stride * LANES, offsets, taps, packed, bias, activation,
            out + origin_of(small), plane_of(small), row_of(small), LANES, small->channels, small->height,
            small->width);
}

/* Computes the transpose of S, from the small tensor to the big one, one phase after the other. */
static void apply_transposed(const Operation *op, const Tensor *small, const float *in, const Tensor *big, float *out,
                             const float *packed, const float *bias, int activation) {
  int32_t offsets[MAX_TAPS], chosen[MAX_TAPS];
  for (int r = 0; r < op->stride; r++)
    for (int s = 0; s < op->stride; s++) {
      const int taps = phase_taps(op, small, r, s, offsets, chosen);
      correlate(in + origin_of(small), row_of(small), LANES, offsets, taps, packed, bias, activation,
                out + origin_of(big) + r * row_of(big) + s * LANES, plane_of(big), op->stride * row_of(big),
                op->stride * LANES, big->channels, (big->height - r + op->stride - 1) / op->stride,
                (big->width - s + op->stride - 1) / op->stride);
      packed += (int64_t)taps * big->channels;
    }
}

/* ---- the other operations ---------------------------------------------------------------------------------------- */

/* Returns the address of a pixel's vector. */
static inline float *at(float *data, const Tensor *t, int c, int y, int x) {
  return data + origin_of(t) + c * plane_of(t) + y * row_of(t) + (int64_t)x * LANES;
}

/* Computes max pooling with windows of `side` by `side` pixels, and writes each maximum's position in its window. */
static inline __attribute__((always_inline)) void maximum_of(const int side, int activation, const Tensor *from,
                                                             float *in, const Tensor *to, float *out,
                                                             Indices *indices) {
  for (int c = 0; c < to->channels; c++)
    for (int y = 0; y < to->height; y++) {
      Lanes *result = (Lanes *)at(out, to, c, y, 0);
      for (int x = 0; x < to->width; x++) {
        const float *corner = at(in, from, c, side * y, side * x);
        Lanes best = *(const Lanes *)corner;
        Flags index = {0};
        for (int i = 0; i < side; i++)
          for (int j = 0; j < side; j++) {
            const Lanes other = *(const Lanes *)(corner + i * row_of(from) + j * LANES);
            const Flags larger = (other > best) | (other != other);
            best = select(larger, other, best);
            index = select_flags(larger, (Flags)ALL(i * side + j), index);
          }
        if (activation != NONE) index = select_flags(best > (Lanes){0}, index, index + RECTIFIED);
        result[x] = activation == RELU    ? rectified(best, RELU)
                    : activation == LEAKY ? rectified(best, LEAKY)
                                          : best;
        *indices++ = __builtin_convertvector(index, Indices);
      }
    }
}

/* Computes the gradient `in` from the gradient `out`, with the positions of the maxima. */
static inline __attribute__((always_inline)) void maximum_of_backward(const int side, int activation, const Tensor *from,
                                                                  float *in, const Tensor *to, float *out,
                                                                  const Indices *indices) {
  const float slope = activation == LEAKY ? SLOPE : 0.0f;
  for (int c = 0; c < to->channels; c++)
    for (int y = 0; y < to->height; y++) {
      const Lanes *gradients = (const Lanes *)at(out, to, c, y, 0);
      for (int x = 0; x < to->width; x++) {
        float *corner = at(in, from, c, side * y, side * x);
        const Flags index = __builtin_convertvector(*indices++, Flags), where = index & (RECTIFIED - 1);
        const Lanes gradient =
            activation == NONE ? gradients[x] : select(index >= RECTIFIED, gradients[x] * slope, gradients[x]);
        for (int i = 0; i < side; i++)
          for (int j = 0; j < side; j++)
            *(Lanes *)(corner + i * row_of(from) + j * LANES) =
                (Lanes)((Flags)gradient & (where == (Flags)ALL(i * side + j)));
      }
    }
}

/* A constant side, for the usual windows of 2 by 2, lets the compiler unroll the loops. */
static void maximum(const Operation *op, const Tensor *from, float *in, const Tensor *to, float *out, Indices *indices) {
  if (op->kernel == 2)
    maximum_of(2, op->activation, from, in, to, out, indices);
  else
    maximum_of(op->kernel, op->activation, from, in, to, out, indices);
}

static void maximum_backward(const Operation *op, const Tensor *from, float *in, const Tensor *to, float *out,
                         const Indices *indices) {
  if (op->kernel == 2)
    maximum_of_backward(2, op->activation, from, in, to, out, indices);
  else
    maximum_of_backward(op->kernel, op->activation, from, in, to, out, indices);
}

/* Computes `out` from `in` by average pooling; if `is_backward`, computes the gradient `in` from the gradient `out`. */
static void average(const Operation *op, const Tensor *from, float *in, const Tensor *to, float *out, int is_backward) {
  const int side = op->kernel;
  const float share = 1.0f / (float)(side * side);
  for (int c = 0; c < to->channels; c++)
    for (int y = 0; y < to->height; y++)
      for (int x = 0; x < to->width; x++) {
        Lanes *mean = (Lanes *)at(out, to, c, y, x), sum = {0};
        for (int k = 0; k < side * side; k++) {
          Lanes *part = (Lanes *)at(in, from, c, side * y + k / side, side * x + k % side);
          if (is_backward)
            *part = *mean * share;
          else
            sum += *part;
        }
        if (!is_backward) *mean = sum * share;
      }
}

/* Computes `out` from `in` by upsampling; if `is_backward`, computes the gradient `in` from the gradient `out`. */
static void nearest(const Operation *op, const Tensor *from, float *in, const Tensor *to, float *out, int is_backward) {
  const int side = op->kernel;
  (void)to;
  for (int c = 0; c < from->channels; c++)
    for (int y = 0; y < from->height; y++)
      for (int x = 0; x < from->width; x++) {
        Lanes *one = (Lanes *)at(in, from, c, y, x), sum = {0};
        for (int k = 0; k < side * side; k++) {
          Lanes *copy = (Lanes *)at(out, to, c, side * y + k / side, side * x + k % side);
          if (is_backward)
            sum += *copy;
          else
            *copy = *one;
        }
        if (is_backward) *one = sum;
      }
}

/* Pixel shuffle: fine[c, y*r + i, x*r + j] is coarse[(c*r + i)*r + j, y, x]. Copies from coarse to fine if `to_fine`,
   otherwise from fine to coarse. */
static void shuffle(int r, const Tensor *coarse, float *few, const Tensor *fine, float *many, int to_fine) {
  for (int c = 0; c < fine->channels; c++)
    for (int y = 0; y < fine->height; y++)
      for (int x = 0; x < fine->width; x++) {
        Lanes *here = (Lanes *)at(many, fine, c, y, x);
        Lanes *there = (Lanes *)at(few, coarse, (c * r + y % r) * r + x % r, y / r, x / r);
        if (to_fine)
          *here = *there;
        else
          *there = *here;
      }
}

/* Multiplies the gradient, in place, by the slope of an activation. The slope follows from the activation's output
   `value`. */
static void activation_backward(int activation, const Tensor *t, float *value, float *gradient) {
  const float slope = activation == LEAKY ? SLOPE : 0.0f;
  for (int c = 0; c < t->channels; c++)
    for (int y = 0; y < t->height; y++) {
      const Lanes *outputs = (const Lanes *)at(value, t, c, y, 0);
      Lanes *gradients = (Lanes *)at(gradient, t, c, y, 0);
      for (int x = 0; x < t->width; x++)
        gradients[x] = select(outputs[x] > (Lanes){0}, gradients[x], gradients[x] * slope);
    }
}

static inline float sum_of_lanes(const float *lanes) {
  float sums[LANES];
  memcpy(sums, lanes, sizeof(sums));
  for (int half = LANES / 2; half; half /= 2)
    for (int lane = 0; lane < half; lane++) sums[lane] += sums[lane + half];
  return sums[0];
}

/* Adds the numbers of each channel to `sums`. There are four partial sums, because an addition to a single sum would
   wait for the addition before it. */
static void add_positions(const Tensor *t, float *gradient, Lanes *sums) {
  for (int c = 0; c < t->channels; c++) {
    Lanes sum[4] = {{0}};
    for (int y = 0; y < t->height; y++) {
      const Lanes *row = (const Lanes *)at(gradient, t, c, y, 0);
      int x = 0;
      for (; x + 4 <= t->width; x += 4)
        for (int k = 0; k < 4; k++) sum[k] += row[x + k];
      for (; x < t->width; x++) sum[0] += row[x];
    }
    sums[c] += (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
}

/* ---- images in and out: (N, H, W, C) in memory, LANES images at a time ------------------------------------------- */

/* Transposes a square of numbers. Each step interleaves rows that are half a square apart, and log2(LANES) steps move
   every number to its place. This is much faster than LANES * LANES single stores. */
static inline void transpose(Lanes square[LANES]) {
  for (int times = 1; times < LANES; times *= 2) {
    Lanes next[LANES];
    for (int k = 0; k < LANES / 2; k++) {
      next[2 * k] = __builtin_shufflevector(square[k], square[k + LANES / 2], LOWER);
      next[2 * k + 1] = __builtin_shufflevector(square[k], square[k + LANES / 2], UPPER);
    }
    memcpy(square, next, sizeof(next));
  }
}

/* A position that moves through a tensor in the order of an image in memory, (H, W, C). */
typedef struct {
  int channel, column;
  float *pixel;
} Walk;

/* Returns the address of the vector at the position, and moves to the next one. */
static inline Lanes *next_of(Walk *walk, const Tensor *t) {
  float *here = walk->pixel + walk->channel * plane_of(t);
  if (++walk->channel == t->channels) {
    walk->channel = 0;
    walk->pixel += LANES;
    if (++walk->column == t->width) {
      walk->column = 0;
      walk->pixel += 2 * t->border * LANES;
    }
  }
  return (Lanes *)here;
}

static inline void copy(void *to, const void *from, int length) {
  if (length == LANES)
    memcpy(to, from, sizeof(Lanes)); /* The compiler knows this length, so that it needs only one instruction. */
  else
    memcpy(to, from, sizeof(float) * length);
}

/* put() writes and get() reads the next `length` numbers of every image. Each number is multiplied by `scale` and
   increased by `shift` of its channel. In put(), `shift` may be NULL. */
static inline void put(Walk *walk, const Tensor *t, const Lanes *square, int length, const float *scale,
                       const float *shift) {
  for (int k = 0; k < length; k++) {
    const int c = walk->channel;
    *next_of(walk, t) = square[k] * scale[c] + (shift ? shift[c] : 0.0f);
  }
}

static inline void get(Walk *walk, const Tensor *t, Lanes *square, int length, const float *scale,
                       const float *shift) {
  for (int k = 0; k < length; k++) {
    const int c = walk->channel;
    square[k] = *next_of(walk, t) * scale[c] + shift[c];
  }
}

/* Copies `count` images, at most LANES, from memory to a tensor. */
static void images_in(const Tensor *t, const float *images, int count, const float *scale, const float *shift,
                      float *data) {
  const int size = t->channels * t->height * t->width;
  Walk walk = {0, 0, data + origin_of(t)};
  for (int start = 0; start < size; start += LANES) {
    const int length = size - start < LANES ? size - start : LANES;
    Lanes square[LANES] = {{0}};
    for (int n = 0; n < count; n++) copy(&square[n], images + (int64_t)n * size + start, length);
    transpose(square);
    put(&walk, t, square, length, scale, shift);
  }
}

/* Copies `count` images, at most LANES, from a tensor to memory. */
static void images_out(const Tensor *t, float *data, int count, const float *scale, const float *shift,
                       float *images) {
  const int size = t->channels * t->height * t->width;
  Walk walk = {0, 0, data + origin_of(t)};
  for (int start = 0; start < size; start += LANES) {
    const int length = size - start < LANES ? size - start : LANES;
    Lanes square[LANES] = {{0}};
    get(&walk, t, square, length, scale, shift);
    transpose(square);
    for (int n = 0; n < count; n++) copy(images + (int64_t)n * size + start, &square[n], length);
  }
}

/* ---- a network --------------------------------------------------------------------------------------------------- */

static const float ZEROS[MAX_TAPS];

static float *value_of(const Tensor *t, float *tape, float *scratch) { return (t->kept ? tape : scratch) + t->value; }

/* Packs the weights for the forward pass. */
static void pack_forward(const Program *program, const float *const *weights, float *scratch) {
  for (int n = 0; n < program->count; n++) {
    const Operation *op = program->operations + n;
    const Tensor *from = program->tensors + n, *to = from + 1;
    if (op->kind == CONVOLUTION)
      pack(weights[2 * n], scratch + op->forward, to->channels, from->channels * op->kernel * op->kernel);
    if (op->kind == TRANSPOSED)
      pack_transposed(op, weights_of(op, weights[2 * n], to, from, scratch), scratch + op->forward, to, from);
  }
}

/* Computes all tensors after the first one, for one group of images. */
static void group_forward(const Program *program, const float *const *weights, float *tape, float *scratch) {
  for (int n = 0; n < program->count; n++) {
    const Operation *op = program->operations + n;
    const Tensor *from = program->tensors + n, *to = from + 1;
    float *in = value_of(from, tape, scratch), *out = value_of(to, tape, scratch);
    const float *packed = scratch + op->forward, *bias = weights[2 * n + 1] ? weights[2 * n + 1] : ZEROS;
    switch (op->kind) {
      case CONVOLUTION: apply(op, from, in, to, out, packed, bias, op->activation); break;
      case TRANSPOSED: apply_transposed(op, from, in, to, out, packed, bias, op->activation); break;
      case MAXIMUM: maximum(op, from, in, to, out, (Indices *)(tape + op->indices)); break;
      case AVERAGE: average(op, from, in, to, out, 0); break;
      case NEAREST: nearest(op, from, in, to, out, 0); break;
      case SHUFFLE: shuffle(op->kernel, from, in, to, out, 1); break;
      case UNSHUFFLE: shuffle(op->kernel, to, out, from, in, 0); break;
    }
  }
}

/* Returns the index of the first operation with weights; the operations before it need no gradient. */
static int first_with_weights(const Program *program) {
  int first = 0;
  while (first < program->count && !has_weights(program->operations + first)) first++;
  return first;
}

/* Packs the weights for the backward pass, and sets the sums of the gradients to zero. */
static void pack_backward(const Program *program, const float *const *weights, float *scratch) {
  const int first = first_with_weights(program);
  for (int n = first; n < program->count; n++) {
    const Operation *op = program->operations + n;
    const Tensor *from = program->tensors + n, *big = big_of(op, from), *small = small_of(op, from);
    if (!has_weights(op)) continue;
    const int taps = big->channels * op->kernel * op->kernel;
    memset(scratch + op->sums, 0, sizeof(Lanes) * taps * small->channels);
    memset(scratch + op->bias_sums, 0, sizeof(Lanes) * from[1].channels);
    if (n == first) continue;
    if (op->kind == CONVOLUTION)
      pack_transposed(op, weights[2 * n], scratch + op->backward, big, small);
    else
      pack(weights_of(op, weights[2 * n], big, small, scratch), scratch + op->backward, small->channels, taps);
  }
}

/* Computes gradients for one group of images, from the last tensor back to the first operation with weights, and adds
   the gradients of weights and biases to their sums. */
static void group_backward(const Program *program, float *tape, float *scratch) {
  const int first = first_with_weights(program);
  for (int n = program->count - 1; n >= first; n--) {
    const Operation *op = program->operations + n;
    const Tensor *from = program->tensors + n, *to = from + 1;
    float *value = value_of(from, tape, scratch), *in = scratch + from->gradient, *out = scratch + to->gradient;
    const float *packed = scratch + op->backward;
    Lanes *sums = (Lanes *)(scratch + op->sums);
    int32_t offsets[MAX_TAPS];
    if (has_weights(op)) {
      if (op->activation != NONE) activation_backward(op->activation, to, value_of(to, tape, scratch), out);
      add_positions(to, out, (Lanes *)(scratch + op->bias_sums));
    }
    switch (op->kind) {
      case CONVOLUTION: {
        const int taps = taps_of(op, from, offsets);
        accumulate(value + origin_of(from), op->stride * row_of(from), op->stride * LANES, offsets, taps,
                   out + origin_of(to), plane_of(to), row_of(to), to->channels, to->height, to->width, sums);
        if (n > first) apply_transposed(op, to, out, from, in, packed, ZEROS, NONE);
        break;
      }
      case TRANSPOSED: {
        const int taps = taps_of(op, to, offsets);
        accumulate(out + origin_of(to), op->stride * row_of(to), op->stride * LANES, offsets, taps,
                   value + origin_of(from), plane_of(from), row_of(from), from->channels, from->height, from->width,
                   sums);
        if (n > first) apply(op, to, out, from, in, packed, ZEROS, NONE);
        break;
      }
      case MAXIMUM: maximum_backward(op, from, in, to, out, (const Indices *)(tape + op->indices)); break;
      case AVERAGE: average(op, from, in, to, out, 1); break;
      case NEAREST: nearest(op, from, in, to, out, 1); break;
      case SHUFFLE: shuffle(op->kernel, from, in, to, out, 0); break;
      case UNSHUFFLE: shuffle(op->kernel, to, out, from, in, 1); break;
    }
  }
}

/* Adds up the lanes of the sums, which gives the gradients of weights and biases. */
static void add_lanes(const Program *program, float *scratch, float *const *gradients) {
  for (int n = 0; n < program->count; n++) {
    const Operation *op = program->operations + n;
    const Tensor *from = program->tensors + n, *big = big_of(op, from), *small = small_of(op, from);
    if (!has_weights(op)) continue;
    const int taps = big->channels * op->kernel * op->kernel;
    const float *sums = scratch + op->sums;
    float *gradient = op->side ? scratch + op->summed : gradients[2 * n];
    for (int c = 0; c < small->channels; c += DOWN) {
      const int down = small->channels - c < DOWN ? small->channels - c : DOWN;
      for (int t = 0; t < taps; t++)
        for (int k = 0; k < down; k++, sums += LANES) gradient[(int64_t)(c + k) * taps + t] = sum_of_lanes(sums);
    }
    if (op->side) add_taps_backward(op, gradients[2 * n], big->channels, small->channels, gradient);
    if (gradients[2 * n + 1])
      for (int c = 0; c < from[1].channels; c++)
        gradients[2 * n + 1][c] = sum_of_lanes(scratch + op->bias_sums + c * LANES);
  }
}

static inline int64_t size_of(const Tensor *t) { return (int64_t)t->channels * t->height * t->width; }

/* Computes the network's outputs for `count` images. `weights` has two pointers for each operation: weights and biases.
   If `keep`, each group of images has its own part of `tape` for backward(); otherwise all groups use the same part.
   Borders in `tape` and `scratch` must be zero, and stay zero. */
void forward(const Program *program, float *scratch, int64_t count, const float *images, const float *const *weights,
             float *tape, float *outputs, int32_t keep) {
  const Tensor *first = program->tensors, *last = first + program->count;
  pack_forward(program, weights, scratch);
  for (int64_t start = 0; start < count; start += LANES, tape += keep ? program->tape : 0) {
    const int here = count - start < LANES ? (int)(count - start) : LANES;
    images_in(first, images + start * size_of(first), here, program->input_scale, program->input_shift,
              value_of(first, tape, scratch));
    group_forward(program, weights, tape, scratch);
    images_out(last, value_of(last, tape, scratch), here, program->output_scale, program->output_shift,
               outputs + start * size_of(last));
  }
}

/* Computes the gradients of weights and biases from the gradient of the outputs. `gradients` has two pointers for each
   operation: gradients of weights and of biases. */
void backward(const Program *program, float *scratch, int64_t count, const float *output_gradients,
              const float *const *weights, float *tape, float *const *gradients) {
  const Tensor *last = program->tensors + program->count;
  pack_backward(program, weights, scratch);
  const int64_t groups = (count + LANES - 1) / LANES;
  for (int64_t group = groups - 1; group >= 0; group--) { /* The last group's tensors are still in the cache. */
    const int64_t start = group * LANES;
    const int here = count - start < LANES ? (int)(count - start) : LANES;
    images_in(last, output_gradients + start * size_of(last), here, program->output_scale, 0,
              scratch + last->gradient);
    group_backward(program, tape + group * program->tape, scratch);
  }
  add_lanes(program, scratch, gradients);
}

/* ---- an autoencoder, from bytes to the gradient of the weights ---------------------------------------------------- */

/* Reads `length` bytes of each image as numbers in [0, 1]. Row k of `square` holds byte k of all images, and lane n
   holds image n. */
static inline void pixels_at(const uint8_t *images, const int64_t *rows, int count, int64_t size, int64_t start,
                             int length, Lanes square[LANES]) {
  for (int n = 0; n < LANES; n++) {
    Bytes bytes = {0};
    if (n < count) memcpy(&bytes, images + rows[n] * size + start, length == LANES ? LANES : length);
    square[n] = __builtin_convertvector(bytes, Lanes) * (1.0f / 255.0f);
  }
  transpose(square);
}

/* Computes the gradients of the mean squared error between images and the network's outputs for them, and returns the
   sum of the squared errors. Each group runs backward directly after its forward pass, while its tape is in the cache,
   so that all groups can use the same tape.

   images  bytes (H, W, C) of each image
   rows    `count` indices of images */
double mse_gradient(const Program *program, float *scratch, int64_t count, const uint8_t *images,
                    const int64_t *rows, const float *const *weights, float *tape, float *const *gradients) {
  const Tensor *first = program->tensors, *last = first + program->count;
  const int64_t size = size_of(first);
  const float slope = 2.0f / (float)(count * size);
  DoubleLanes total = {0};
  pack_forward(program, weights, scratch);
  pack_backward(program, weights, scratch);
  for (int64_t group = 0; group < count; group += LANES, rows += LANES) {
    const int here = count - group < LANES ? (int)(count - group) : LANES;
    Lanes square[LANES], present = {0};
    for (int n = 0; n < here; n++) present[n] = 1; /* It stays 0 in lanes without an image. */
    Walk input = {0, 0, value_of(first, tape, scratch) + origin_of(first)};
    for (int64_t start = 0; start < size; start += LANES) {
      const int length = size - start < LANES ? (int)(size - start) : LANES;
      pixels_at(images, rows, here, size, start, length, square);
      put(&input, first, square, length, program->input_scale, program->input_shift);
    }
    group_forward(program, weights, tape, scratch);
    Walk output = {0, 0, value_of(last, tape, scratch) + origin_of(last)};
    Walk gradient = {0, 0, scratch + last->gradient + origin_of(last)};
    for (int64_t start = 0; start < size; start += LANES) {
      const int length = size - start < LANES ? (int)(size - start) : LANES;
      Lanes errors[LANES], sum = {0};
      pixels_at(images, rows, here, size, start, length, square);
      get(&output, last, errors, length, program->output_scale, program->output_shift);
      for (int k = 0; k < length; k++) {
        errors[k] = (errors[k] - square[k]) * present;
        sum += errors[k] * errors[k];
        errors[k] *= slope;
      }
      put(&gradient, last, errors, length, program->output_scale, 0);
      total += __builtin_convertvector(sum, DoubleLanes);
    }
    group_backward(program, tape, scratch);
  }
  add_lanes(program, scratch, gradients);
  double errors = 0;
  for (int lane = 0; lane < LANES; lane++) errors += total[lane];
  return errors;
}
