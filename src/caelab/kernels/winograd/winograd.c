/* Convolutions with kernels of three by three, by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016).

   Four by four outputs depend on six by six inputs, a tile; neighbouring tiles overlap by two. Taken to another basis,
   the convolution of a tile is a product number by number, 36 products in place of 144:

       tile     B' d B     6x6 inputs  -> 36 numbers
       kernel   G g G'     3x3 weights -> 36 numbers
       output   A' m A     36 numbers  -> 4x4 outputs

   With C channels in and C' out the product is one of matrices for each of the 36 places, (tiles, C) by (C, C'). The
   gradients go the same way back, through the transposes of the three maps.

   Images are (N, H, W, C), channels innermost, so that a vector holds neighbouring channels of a pixel. The matrices are
   parted into panels of PANEL columns, as many as a product computes at once, so that it reads and writes memory in one
   run: (36, panels, rows, PANEL), with the last vector of columns filled up by zeros. Tiles are taken through all three
   steps SOME at once, while they are in the cache. Plain C with the vector extension of GCC and Clang; no header but the
   standard ones. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define DOWN 8 /* Rows of a product, with ACROSS vectors of each, whose sums stay in registers. */
#elif defined(__AVX__)
#define LANES 8
#define DOWN 4
#else
#define LANES 4
#define DOWN 4
#endif
#define ACROSS 3

/* Compilers would rather read a factor from memory for every product; HELD has them believe that the register's is
   another by now. */
#if defined(__SSE__)
#define HELD(x) __asm__("" : "+x"(x))
#else
#define HELD(x)
#endif

#define SIDE 6 /* Of a tile. */
#define STEP 4 /* From a tile to the next, and its outputs' side. */
#define TAPS 3 /* The kernel's side. */
#define PLACES (SIDE * SIDE)
#define SOME 32 /* A multiple of DOWN. */
#define PANEL (ACROSS * LANES)
#define APART 16 /* Floats between one place's matrix and the next's, lest all fall into the same lines of the cache. */

typedef float Lanes __attribute__((vector_size(4 * LANES)));

static const float TILE[SIDE][SIDE] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                       {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const float KERNEL[SIDE][TAPS] = {{1.f / 4, 0, 0},
                                         {-1.f / 6, -1.f / 6, -1.f / 6},
                                         {-1.f / 6, 1.f / 6, -1.f / 6},
                                         {1.f / 24, 1.f / 12, 1.f / 6},
                                         {1.f / 24, -1.f / 12, 1.f / 6},
                                         {0, 0, 1}};
static const float OUTPUT[STEP][SIDE] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

/* What is convolved, (N, H, W, C) with `padding` zeros around, and what comes out, (N, H', W', C'). */
typedef struct {
  int64_t height, width, channels, padding;
  int64_t out_height, out_width, outputs;
} Convolution;

/* One of the two. */
typedef struct {
  int64_t height, width, channels, padding;
} Images;

static inline int64_t whole(int64_t count, int64_t of) { return (count + of - 1) / of * of; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t down(const Convolution *c) { return whole(c->out_height, STEP) / STEP; }
static inline int64_t across(const Convolution *c) { return whole(c->out_width, STEP) / STEP; }
static inline int64_t inputs_of(const Convolution *c) { return whole(c->channels, LANES); }
static inline int64_t outputs_of(const Convolution *c) { return whole(c->outputs, LANES); }

/* Floats of a matrix with its panels, and those of all matrices of a place where there are SOME tiles or a kernel. */
static inline int64_t plane_of(int64_t rows, int64_t columns) { return rows * whole(columns, PANEL) + APART; }
static inline int64_t given_plane(const Convolution *c) { return plane_of(SOME, c->channels); }
static inline int64_t told_plane(const Convolution *c) { return plane_of(SOME, c->outputs); }
static inline int64_t kernel_plane(const Convolution *c) { return plane_of(inputs_of(c), c->outputs); }
static inline int64_t transposed_plane(const Convolution *c) { return plane_of(outputs_of(c), c->channels); }

/* Where column `column` of row 0 is. */
static inline int64_t place_of(int64_t rows, int64_t column) { return column / PANEL * PANEL * rows + column % PANEL; }

static inline Images given_of(const Convolution *c) { return (Images){c->height, c->width, c->channels, c->padding}; }
static inline Images answer_of(const Convolution *c) { return (Images){c->out_height, c->out_width, c->outputs, 0}; }

/* Tiles of an image; floats of a kernel's numbers, transposed or not; floats of the scratch. */
int64_t tiles(const Convolution *c) { return down(c) * across(c); }
int64_t kernel_floats(const Convolution *c) {
  const int64_t straight = kernel_plane(c), transposed = transposed_plane(c);
  return PLACES * (straight > transposed ? straight : transposed);
}
int64_t scratch_floats(const Convolution *c) { return PLACES * (given_plane(c) + told_plane(c)); }

/* A vector's numbers in memory, of which there may be fewer. */
static inline __attribute__((always_inline)) Lanes load(const float *from, int64_t count) {
  Lanes x = {0};
  if (count >= LANES) memcpy(&x, from, sizeof x);
  else memcpy(&x, from, (size_t)count * sizeof *from);
  return x;
}
static inline __attribute__((always_inline)) void store(float *to, Lanes x, int64_t count) {
  if (count >= LANES) memcpy(to, &x, sizeof x);
  else memcpy(to, &x, (size_t)count * sizeof *to);
}

/* ---- to the other basis, and back ------------------------------------------------------------------------------- */

/* y = M x M', or `transposed` M' x M, where M has `rows` rows and `columns` columns. Zeros are left out by the compiler,
   which unrolls it all. */
static inline __attribute__((always_inline)) void map(const int rows, const int columns, const float *matrix,
                                                      const int transposed, const Lanes *x, Lanes *y) {
  const int out = transposed ? columns : rows, in = transposed ? rows : columns;
  Lanes half[PLACES];
#define FACTOR(i, k) matrix[transposed ? (k) * columns + (i) : (i) * columns + (k)]
#pragma GCC unroll 6
  for (int i = 0; i < out; i++)
#pragma GCC unroll 6
    for (int j = 0; j < in; j++) {
      Lanes sum = {0};
#pragma GCC unroll 6
      for (int k = 0; k < in; k++)
        if (FACTOR(i, k) != 0) sum += FACTOR(i, k) * x[k * in + j];
      half[i * in + j] = sum;
    }
#pragma GCC unroll 6
  for (int i = 0; i < out; i++)
#pragma GCC unroll 6
    for (int j = 0; j < out; j++) {
      Lanes sum = {0};
#pragma GCC unroll 6
      for (int k = 0; k < in; k++)
        if (FACTOR(j, k) != 0) sum += FACTOR(j, k) * half[i * in + k];
      y[i * out + j] = sum;
    }
#undef FACTOR
}

/* Tiles `first` to `last`, of `side` by `side` pixels, from images to `places` by `map`; zeros where no pixels are. */
static inline __attribute__((always_inline)) void there(const Convolution *c, const float *images, Images shape,
                                                        int64_t first, int64_t last, float *places, const int side,
                                                        const int rows, const float *matrix, const int transposed) {
  const int64_t plane = plane_of(SOME, shape.channels);
  for (int64_t tile = first; tile < last; tile++) {
    const float *image = images + tile / tiles(c) * shape.height * shape.width * shape.channels;
    const int64_t top = tile % tiles(c) / across(c) * STEP - shape.padding;
    const int64_t left = tile % across(c) * STEP - shape.padding;
    for (int64_t channel = 0; channel < shape.channels; channel += LANES) {
      Lanes x[PLACES], y[PLACES];
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
          const int64_t row = top + i, column = left + j;
          const int inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
          const float *from = image + (row * shape.width + column) * shape.channels + channel;
          x[i * side + j] = inside ? load(from, shape.channels - channel) : (Lanes){0};
        }
      map(rows, SIDE, matrix, transposed, x, y);
      float *to = places + place_of(SOME, channel) + (tile - first) * PANEL;
      for (int place = 0; place < PLACES; place++) store(to + place * plane, y[place], LANES);
    }
  }
}

/* From `places` to images, with `bias` added, or all added to what is there. */
static inline __attribute__((always_inline)) void back(const Convolution *c, const float *places, Images shape,
                                                       int64_t first, int64_t last, float *images, const int side,
                                                       const int rows, const float *matrix, const int transposed,
                                                       const float *bias, const int adding) {
  const int64_t plane = plane_of(SOME, shape.channels);
  for (int64_t tile = first; tile < last; tile++) {
    float *image = images + tile / tiles(c) * shape.height * shape.width * shape.channels;
    const int64_t top = tile % tiles(c) / across(c) * STEP - shape.padding;
    const int64_t left = tile % across(c) * STEP - shape.padding;
    for (int64_t channel = 0; channel < shape.channels; channel += LANES) {
      const int64_t count = shape.channels - channel;
      const float *from = places + place_of(SOME, channel) + (tile - first) * PANEL;
      Lanes x[PLACES], y[PLACES];
      for (int place = 0; place < PLACES; place++) x[place] = load(from + place * plane, LANES);
      map(rows, SIDE, matrix, transposed, x, y);
      const Lanes more = bias ? load(bias + channel, count) : (Lanes){0};
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
          const int64_t row = top + i, column = left + j;
          if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
          float *to = image + (row * shape.width + column) * shape.channels + channel;
          store(to, y[i * side + j] + (adding ? load(to, count) : more), count);
        }
    }
  }
}

static void tiles_of(const Convolution *c, const float *images, int64_t first, int64_t last, float *places) {
  there(c, images, given_of(c), first, last, places, SIDE, SIDE, *TILE, 0);
}
static void add_tiles(const Convolution *c, const float *places, int64_t first, int64_t last, float *images) {
  back(c, places, given_of(c), first, last, images, SIDE, SIDE, *TILE, 1, 0, 1);
}
static void outputs_from(const Convolution *c, const float *places, const float *bias, int64_t first, int64_t last,
                         float *answer) {
  back(c, places, answer_of(c), first, last, answer, STEP, STEP, *OUTPUT, 0, bias, 0);
}
static void by_outputs(const Convolution *c, const float *gradient, int64_t first, int64_t last, float *places) {
  there(c, gradient, answer_of(c), first, last, places, STEP, STEP, *OUTPUT, 1);
}

/* Weights, of which `below` and `next` tell the distances of rows and columns, to (36, rows, columns). */
static void kernel_to(const float *weights, int64_t rows, int64_t below, int64_t columns, int64_t next, float *places) {
  const int64_t plane = plane_of(whole(rows, LANES), columns);
  for (int64_t column = 0; column < columns; column += LANES)
    for (int64_t row = 0; row < rows; row++) {
      float taps[TAPS * TAPS][LANES] = {0};
      for (int lane = 0; lane < least(columns - column, LANES); lane++)
        for (int tap = 0; tap < TAPS * TAPS; tap++)
          taps[tap][lane] = weights[row * below + (column + lane) * next + tap];
      Lanes x[TAPS * TAPS], y[PLACES];
      memcpy(x, taps, sizeof x);
      map(SIDE, TAPS, *KERNEL, 0, x, y);
      float *to = places + place_of(whole(rows, LANES), column) + row * PANEL;
      for (int place = 0; place < PLACES; place++) store(to + place * plane, y[place], LANES);
    }
}

/* Weights (C', C, 3, 3) -> (36, C, C'). */
void kernel(const Convolution *c, const float *weights, float *places) {
  kernel_to(weights, c->channels, TAPS * TAPS, c->outputs, c->channels * TAPS * TAPS, places);
}
/* Weights (C', C, 3, 3) -> (36, C', C). */
void kernel_transposed(const Convolution *c, const float *weights, float *places) {
  kernel_to(weights, c->outputs, c->channels * TAPS * TAPS, c->channels, TAPS * TAPS, places);
}
/* The gradient by (36, C, C') -> the gradient by the weights. */
void kernel_gradient(const Convolution *c, const float *places, float *weights) {
  for (int64_t output = 0; output < c->outputs; output += LANES)
    for (int64_t input = 0; input < c->channels; input++) {
      Lanes x[PLACES], y[TAPS * TAPS];
      const float *from = places + place_of(inputs_of(c), output) + input * PANEL;
      for (int place = 0; place < PLACES; place++) x[place] = load(from + place * kernel_plane(c), LANES);
      map(SIDE, TAPS, *KERNEL, 1, x, y);
      for (int lane = 0; lane < least(c->outputs - output, LANES); lane++)
        for (int tap = 0; tap < TAPS * TAPS; tap++)
          weights[((output + lane) * c->channels + input) * TAPS * TAPS + tap] = y[tap][lane];
    }
}

/* ---- products of matrices ---------------------------------------------------------------------------------------- */

/* DOWN rows and `wide` vectors of a product, or added to what is there. Columns of the left matrix are `next` apart, but
   in panels if `panels` tells how far apart these are. */
static inline __attribute__((always_inline)) void block(const int wide, const int adding, int64_t depth,
                                                        const float *left, int64_t below, int64_t next, int64_t panels,
                                                        const float *right, float *product) {
  Lanes sums[DOWN][ACROSS];
  for (int i = 0; i < DOWN; i++)
    for (int j = 0; j < wide; j++) sums[i][j] = adding ? load(product + i * PANEL + j * LANES, LANES) : (Lanes){0};
  if (adding)
    for (int i = 0; i < DOWN * PANEL; i += 16) __builtin_prefetch(product + DOWN * PANEL + i, 1); /* The next one's. */
  for (int64_t first = 0; first < depth; first += PANEL, left += panels)
    for (int64_t k = 0; k < least(depth - first, PANEL); k++, right += PANEL) {
      Lanes factors[ACROSS];
      for (int j = 0; j < wide; j++) {
        factors[j] = load(right + j * LANES, LANES);
        HELD(factors[j]);
      }
      for (int i = 0; i < DOWN; i++)
        for (int j = 0; j < wide; j++) sums[i][j] += left[i * below + k * next] * factors[j];
    }
  for (int i = 0; i < DOWN; i++)
    for (int j = 0; j < wide; j++) store(product + i * PANEL + j * LANES, sums[i][j], LANES);
}

static inline __attribute__((always_inline)) void blocks(const int adding, int64_t columns, int64_t depth,
                                                         const float *left, int64_t below, int64_t next, int64_t panels,
                                                         const float *right, float *product) {
  switch (columns / LANES) {
    case 1: block(1, adding, depth, left, below, next, panels, right, product); break;
    case 2: block(2, adding, depth, left, below, next, panels, right, product); break;
    default: block(ACROSS, adding, depth, left, below, next, panels, right, product);
  }
}

/* product = left x right for each place: `rows` rows, of at most SOME, and `columns` columns. */
static void multiply(int64_t rows, int64_t depth, int64_t columns, const float *left, const float *right,
                     float *product) {
  for (int place = 0; place < PLACES; place++) {
    for (int64_t column = 0; column < columns; column += PANEL)
      for (int64_t row = 0; row < rows; row += DOWN)
        blocks(0, whole(columns - column, LANES), depth, left + row * PANEL, PANEL, 1, SOME * PANEL,
               right + place_of(whole(depth, LANES), column), product + place_of(SOME, column) + row * PANEL);
    left += plane_of(SOME, depth), right += plane_of(whole(depth, LANES), columns), product += plane_of(SOME, columns);
  }
}

/* product = left' x right, or added to what is there: of `depth` rows, at most SOME. */
static inline __attribute__((always_inline)) void correlate(const int adding, int64_t rows, int64_t depth,
                                                            int64_t columns, const float *left, const float *right,
                                                            float *product) {
  for (int place = 0; place < PLACES; place++) {
    for (int64_t column = 0; column < columns; column += PANEL)
      for (int64_t row = 0; row < rows; row += DOWN)
        blocks(adding, whole(columns - column, LANES), depth, left + place_of(SOME, row), 1, PANEL, PANEL * PANEL,
               right + place_of(SOME, column), product + place_of(whole(rows, LANES), column) + row * PANEL);
    left += plane_of(SOME, rows), right += plane_of(SOME, columns), product += plane_of(whole(rows, LANES), columns);
  }
}

/* ---- the convolution, and its gradients -------------------------------------------------------------------------- */

/* Tiles `first` to `last`, counted through all images. */
void convolve(const Convolution *c, int64_t first, int64_t last, const float *images, const float *kernel,
              const float *bias, float *answer, float *scratch) {
  float *given = scratch, *told = scratch + PLACES * given_plane(c);
  for (int64_t from = first; from < last; from += SOME) {
    const int64_t to = least(from + SOME, last);
    tiles_of(c, images, from, to, given);
    multiply(to - from, c->channels, c->outputs, given, kernel, told);
    outputs_from(c, told, bias, from, to, answer);
  }
}

/* The gradient by the images, added to what is there. */
void by_images(const Convolution *c, int64_t first, int64_t last, const float *gradient, const float *transposed,
               float *images, float *scratch) {
  float *given = scratch, *told = scratch + PLACES * given_plane(c);
  for (int64_t from = first; from < last; from += SOME) {
    const int64_t to = least(from + SOME, last);
    by_outputs(c, gradient, from, to, told);
    multiply(to - from, c->outputs, c->channels, told, transposed, given);
    add_tiles(c, given, from, to, images);
  }
}

/* The gradient by (36, C, C'). */
void by_kernel(const Convolution *c, int64_t first, int64_t last, const float *images, const float *gradient,
               float *kernel, float *scratch) {
  float *given = scratch, *told = scratch + PLACES * given_plane(c);
  for (int64_t from = first; from < last; from += SOME) {
    const int64_t to = least(from + SOME, last);
    tiles_of(c, images, from, to, given);
    by_outputs(c, gradient, from, to, told);
    if (from == first) correlate(0, c->channels, to - from, c->outputs, given, told, kernel);
    else correlate(1, c->channels, to - from, c->outputs, given, told, kernel);
  }
}
