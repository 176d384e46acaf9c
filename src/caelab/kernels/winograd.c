/* Convolutions with 3x3 kernels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016, arXiv 1509.09308).

   A tile is a square of 6x6 inputs, on which 4x4 outputs depend; neighboring tiles overlap by two pixels. In another
   basis, a tile has 36 numbers, which are called points, and a kernel has 36 points, too. In this basis, the convolution
   multiplies each point of the tile by the same point of the kernel: 36 products instead of 144. Three linear maps
   change the basis (B' is TILE, G is KERNEL, A' is OUTPUT; a prime means transposed):

       tile d     B' d B     6x6 inputs  -> 36 points
       kernel g   G g G'     3x3 weights -> 36 points
       output m   A' m A     36 points   -> 4x4 outputs

   With C input and C' output channels, this is one product of matrices for each point, (tiles, C) by (C, C'). The
   gradients are computed backward, with the transposes of the three maps.

   Images are (N, H, W, C), channels innermost, so that a vector holds neighboring channels of a pixel. The matrices are
   divided into panels of PANEL columns: (36, panels, rows, PANEL). A product computes one panel at a time, and so reads
   and writes neighboring memory. Zeros fill up the last vector of columns. TILES_AT_ONCE tiles go through all three
   steps while they are in the cache.

   The code is C with the vector extension of GCC and Clang, and includes only standard headers. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define DOWN 8 /* Rows that a product computes at once, with ACROSS vectors each: their sums stay in registers. */
#elif defined(__AVX__)
#define LANES 8
#define DOWN 4
#else
#define LANES 4
#define DOWN 4
#endif
#define ACROSS 3

/* Compilers tend to read a factor from memory again for every product. KEEP_IN_REGISTER hides from them that memory has
   the same value, so that they keep it in a register, which is faster. */
#if defined(__SSE__)
#define KEEP_IN_REGISTER(x) __asm__("" : "+x"(x))
#else
#define KEEP_IN_REGISTER(x)
#endif

#define SIDE 6 /* Side of a tile. */
#define STEP 4 /* Pixels from one tile to the next, and side of the outputs of a tile. */
#define TAPS 3 /* Side of the kernel. */
#define POINTS (SIDE * SIDE)
#define TILES_AT_ONCE 32 /* A multiple of DOWN; few enough for the L2 cache. */
#define PANEL (ACROSS * LANES)
/* Unused floats between the matrices of two points. Without them, the distance of the matrices could be a power of two,
   so that they would displace each other from the cache. */
#define PLANE_GAP 16

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

/* Shapes of the input, (N, H, W, C) with `padding` zeros around each image, and of the output, (N, H', W', C'). */
typedef struct {
  int64_t height, width, channels, padding;
  int64_t out_height, out_width, outputs;
} Convolution;

/* Shape of the input or of the output. */
typedef struct {
  int64_t height, width, channels, padding;
} Images;

static inline int64_t round_up(int64_t count, int64_t of) { return (count + of - 1) / of * of; }
static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
/* Numbers of rows and columns of tiles in an image; numbers of channels, rounded up to whole vectors. */
static inline int64_t down(const Convolution *c) { return round_up(c->out_height, STEP) / STEP; }
static inline int64_t across(const Convolution *c) { return round_up(c->out_width, STEP) / STEP; }
static inline int64_t inputs_of(const Convolution *c) { return round_up(c->channels, LANES); }
static inline int64_t outputs_of(const Convolution *c) { return round_up(c->outputs, LANES); }

/* Number of floats of the matrix of one point: for TILES_AT_ONCE tiles of the input or output, or for the kernel. */
static inline int64_t plane_of(int64_t rows, int64_t columns) { return rows * round_up(columns, PANEL) + PLANE_GAP; }
static inline int64_t input_plane(const Convolution *c) { return plane_of(TILES_AT_ONCE, c->channels); }
static inline int64_t output_plane(const Convolution *c) { return plane_of(TILES_AT_ONCE, c->outputs); }
static inline int64_t kernel_plane(const Convolution *c) { return plane_of(inputs_of(c), c->outputs); }
static inline int64_t transposed_plane(const Convolution *c) { return plane_of(outputs_of(c), c->channels); }

/* Position of a column in row 0 of a matrix that is divided into panels. */
static inline int64_t position_of(int64_t rows, int64_t column) {
  return column / PANEL * PANEL * rows + column % PANEL;
}

static inline Images input_shape(const Convolution *c) { return (Images){c->height, c->width, c->channels, c->padding}; }
static inline Images output_shape(const Convolution *c) { return (Images){c->out_height, c->out_width, c->outputs, 0}; }

/* Number of tiles of an image; number of floats of a transformed kernel, whether transposed or not; number of floats of
   the scratch memory. */
int64_t tiles(const Convolution *c) { return down(c) * across(c); }
int64_t kernel_floats(const Convolution *c) {
  const int64_t straight = kernel_plane(c), transposed = transposed_plane(c);
  return POINTS * (straight > transposed ? straight : transposed);
}
int64_t scratch_floats(const Convolution *c) { return POINTS * (input_plane(c) + output_plane(c)); }

/* Load and store a vector, or only its first `count` numbers. */
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

/* ---- to the other basis and back -------------------------------------------------------------------------------- */

/* Computes y = M x M', or M' x M if `transposed`, where M has `rows` rows and `columns` columns. All loops are
   unrolled, so that the compiler leaves out the products with zeros. */
static inline __attribute__((always_inline)) void map(const int rows, const int columns, const float *matrix,
                                                      const int transposed, const Lanes *x, Lanes *y) {
  const int out = transposed ? columns : rows, in = transposed ? rows : columns;
  Lanes half[POINTS];
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

/* Transforms the tiles from `first` to `last` - 1, of `side` by `side` pixels, from images to `points`. Pixels outside
   an image count as zero. */
static inline __attribute__((always_inline)) void to_points(const Convolution *c, const float *images, Images shape,
                                                        int64_t first, int64_t last, float *points, const int side,
                                                        const int rows, const float *matrix, const int transposed) {
  const int64_t plane = plane_of(TILES_AT_ONCE, shape.channels);
  for (int64_t tile = first; tile < last; tile++) {
    const float *image = images + tile / tiles(c) * shape.height * shape.width * shape.channels;
    const int64_t top = tile % tiles(c) / across(c) * STEP - shape.padding;
    const int64_t left = tile % across(c) * STEP - shape.padding;
    for (int64_t channel = 0; channel < shape.channels; channel += LANES) {
      Lanes x[POINTS], y[POINTS];
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
          const int64_t row = top + i, column = left + j;
          const int inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
          const float *from = image + (row * shape.width + column) * shape.channels + channel;
          x[i * side + j] = inside ? load(from, shape.channels - channel) : (Lanes){0};
        }
      map(rows, SIDE, matrix, transposed, x, y);
      float *to = points + position_of(TILES_AT_ONCE, channel) + (tile - first) * PANEL;
      for (int point = 0; point < POINTS; point++) store(to + point * plane, y[point], LANES);
    }
  }
}

/* Transforms tiles from `points` to images. If `adding`, adds the result to the images; otherwise adds `bias`, unless
   it is NULL, and overwrites the images. */
static inline __attribute__((always_inline)) void from_points(const Convolution *c, const float *points, Images shape,
                                                       int64_t first, int64_t last, float *images, const int side,
                                                       const int rows, const float *matrix, const int transposed,
                                                       const float *bias, const int adding) {
  const int64_t plane = plane_of(TILES_AT_ONCE, shape.channels);
  for (int64_t tile = first; tile < last; tile++) {
    float *image = images + tile / tiles(c) * shape.height * shape.width * shape.channels;
    const int64_t top = tile % tiles(c) / across(c) * STEP - shape.padding;
    const int64_t left = tile % across(c) * STEP - shape.padding;
    for (int64_t channel = 0; channel < shape.channels; channel += LANES) {
      const int64_t count = shape.channels - channel;
      const float *from = points + position_of(TILES_AT_ONCE, channel) + (tile - first) * PANEL;
      Lanes x[POINTS], y[POINTS];
      for (int point = 0; point < POINTS; point++) x[point] = load(from + point * plane, LANES);
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

static void input_to_points(const Convolution *c, const float *images, int64_t first, int64_t last, float *points) {
  to_points(c, images, input_shape(c), first, last, points, SIDE, SIDE, *TILE, 0);
}
static void add_points_to_input(const Convolution *c, const float *points, int64_t first, int64_t last, float *images) {
  from_points(c, points, input_shape(c), first, last, images, SIDE, SIDE, *TILE, 1, 0, 1);
}
static void points_to_output(const Convolution *c, const float *points, const float *bias, int64_t first, int64_t last,
                         float *output) {
  from_points(c, points, output_shape(c), first, last, output, STEP, STEP, *OUTPUT, 0, bias, 0);
}
static void output_gradient_to_points(const Convolution *c, const float *gradient, int64_t first, int64_t last,
                                      float *points) {
  to_points(c, gradient, output_shape(c), first, last, points, STEP, STEP, *OUTPUT, 1);
}

/* Transforms 3x3 kernels to points, (36, rows, columns). The kernels of neighboring rows are `row_step` floats apart,
   and those of neighboring columns `column_step` floats. */
static void kernel_to_points(const float *weights, int64_t rows, int64_t row_step, int64_t columns,
                             int64_t column_step, float *points) {
  const int64_t plane = plane_of(round_up(rows, LANES), columns);
  for (int64_t column = 0; column < columns; column += LANES)
    for (int64_t row = 0; row < rows; row++) {
      float taps[TAPS * TAPS][LANES] = {0};
      for (int lane = 0; lane < smaller(columns - column, LANES); lane++)
        for (int tap = 0; tap < TAPS * TAPS; tap++)
          taps[tap][lane] = weights[row * row_step + (column + lane) * column_step + tap];
      Lanes x[TAPS * TAPS], y[POINTS];
      memcpy(x, taps, sizeof x);
      map(SIDE, TAPS, *KERNEL, 0, x, y);
      float *to = points + position_of(round_up(rows, LANES), column) + row * PANEL;
      for (int point = 0; point < POINTS; point++) store(to + point * plane, y[point], LANES);
    }
}

/* Transforms weights (C', C, 3, 3) -> (36, C, C'). */
void kernel(const Convolution *c, const float *weights, float *points) {
  kernel_to_points(weights, c->channels, TAPS * TAPS, c->outputs, c->channels * TAPS * TAPS, points);
}
/* Transforms weights (C', C, 3, 3) -> (36, C', C), for the gradient of the input. */
void kernel_transposed(const Convolution *c, const float *weights, float *points) {
  kernel_to_points(weights, c->outputs, c->channels * TAPS * TAPS, c->channels, TAPS * TAPS, points);
}
/* Transforms the gradient of the transformed kernel, (36, C, C'), to the gradient of the weights, (C', C, 3, 3). */
void kernel_gradient(const Convolution *c, const float *points, float *weights) {
  for (int64_t output = 0; output < c->outputs; output += LANES)
    for (int64_t input = 0; input < c->channels; input++) {
      Lanes x[POINTS], y[TAPS * TAPS];
      const float *from = points + position_of(inputs_of(c), output) + input * PANEL;
      for (int point = 0; point < POINTS; point++) x[point] = load(from + point * kernel_plane(c), LANES);
      map(SIDE, TAPS, *KERNEL, 1, x, y);
      for (int lane = 0; lane < smaller(c->outputs - output, LANES); lane++)
        for (int tap = 0; tap < TAPS * TAPS; tap++)
          weights[((output + lane) * c->channels + input) * TAPS * TAPS + tap] = y[tap][lane];
    }
}

/* ---- products of matrices ---------------------------------------------------------------------------------------- */

/* Computes DOWN rows and `wide` vectors of a product; if `adding`, adds them to the numbers in `product`. In the left
   matrix, neighboring rows are `row_step`, columns `column_step` and panels `panels` floats apart. */
static inline __attribute__((always_inline)) void block(const int wide, const int adding, int64_t depth,
                                                        const float *left, int64_t row_step, int64_t column_step,
                                                        int64_t panels, const float *right, float *product) {
  Lanes sums[DOWN][ACROSS];
  for (int i = 0; i < DOWN; i++)
    for (int j = 0; j < wide; j++) sums[i][j] = adding ? load(product + i * PANEL + j * LANES, LANES) : (Lanes){0};
  if (adding)
    for (int i = 0; i < DOWN * PANEL; i += 16) /* Load the next block of the product into the cache. */
      __builtin_prefetch(product + DOWN * PANEL + i, 1);
  for (int64_t first = 0; first < depth; first += PANEL, left += panels)
    for (int64_t k = 0; k < smaller(depth - first, PANEL); k++, right += PANEL) {
      Lanes factors[ACROSS];
      for (int j = 0; j < wide; j++) {
        factors[j] = load(right + j * LANES, LANES);
        KEEP_IN_REGISTER(factors[j]);
      }
      for (int i = 0; i < DOWN; i++)
        for (int j = 0; j < wide; j++) sums[i][j] += left[i * row_step + k * column_step] * factors[j];
    }
  for (int i = 0; i < DOWN; i++)
    for (int j = 0; j < wide; j++) store(product + i * PANEL + j * LANES, sums[i][j], LANES);
}

/* Calls block() with a constant number of vectors: as many as `columns` fill, but at most ACROSS. */
static inline __attribute__((always_inline)) void blocks(const int adding, int64_t columns, int64_t depth,
                                                         const float *left, int64_t row_step, int64_t column_step,
                                                         int64_t panels, const float *right, float *product) {
  switch (columns / LANES) {
    case 1: block(1, adding, depth, left, row_step, column_step, panels, right, product); break;
    case 2: block(2, adding, depth, left, row_step, column_step, panels, right, product); break;
    default: block(ACROSS, adding, depth, left, row_step, column_step, panels, right, product);
  }
}

/* Computes product = left x right for each point. `rows` is at most TILES_AT_ONCE, and `depth` is the number of columns
   of the left matrix. */
static void multiply(int64_t rows, int64_t depth, int64_t columns, const float *left, const float *right,
                     float *product) {
  for (int point = 0; point < POINTS; point++) {
    for (int64_t column = 0; column < columns; column += PANEL)
      for (int64_t row = 0; row < rows; row += DOWN)
        blocks(0, round_up(columns - column, LANES), depth, left + row * PANEL, PANEL, 1, TILES_AT_ONCE * PANEL,
               right + position_of(round_up(depth, LANES), column),
               product + position_of(TILES_AT_ONCE, column) + row * PANEL);
    left += plane_of(TILES_AT_ONCE, depth);
    right += plane_of(round_up(depth, LANES), columns);
    product += plane_of(TILES_AT_ONCE, columns);
  }
}

/* Computes product = left' x right for each point; if `adding`, adds it to the numbers in `product`. Both factors have
   `depth` rows, at most TILES_AT_ONCE. */
static inline __attribute__((always_inline)) void correlate(const int adding, int64_t rows, int64_t depth,
                                                            int64_t columns, const float *left, const float *right,
                                                            float *product) {
  for (int point = 0; point < POINTS; point++) {
    for (int64_t column = 0; column < columns; column += PANEL)
      for (int64_t row = 0; row < rows; row += DOWN)
        blocks(adding, round_up(columns - column, LANES), depth, left + position_of(TILES_AT_ONCE, row), 1, PANEL,
               PANEL * PANEL, right + position_of(TILES_AT_ONCE, column),
               product + position_of(round_up(rows, LANES), column) + row * PANEL);
    left += plane_of(TILES_AT_ONCE, rows);
    right += plane_of(TILES_AT_ONCE, columns);
    product += plane_of(round_up(rows, LANES), columns);
  }
}

/* ---- the convolution, and its gradients -------------------------------------------------------------------------- */

/* Convolves the tiles from `first` to `last` - 1, counted over all images. */
void convolve(const Convolution *c, int64_t first, int64_t last, const float *images, const float *kernel,
              const float *bias, float *output, float *scratch) {
  float *input = scratch, *output_points = scratch + POINTS * input_plane(c);
  for (int64_t from = first; from < last; from += TILES_AT_ONCE) {
    const int64_t to = smaller(from + TILES_AT_ONCE, last);
    input_to_points(c, images, from, to, input);
    multiply(to - from, c->channels, c->outputs, input, kernel, output_points);
    points_to_output(c, output_points, bias, from, to, output);
  }
}

/* Adds the gradient of the images, from the same tiles, to `images`, which must begin as zeros: neighboring tiles
   overlap. */
void input_gradient(const Convolution *c, int64_t first, int64_t last, const float *gradient, const float *transposed,
               float *images, float *scratch) {
  float *input = scratch, *output_points = scratch + POINTS * input_plane(c);
  for (int64_t from = first; from < last; from += TILES_AT_ONCE) {
    const int64_t to = smaller(from + TILES_AT_ONCE, last);
    output_gradient_to_points(c, gradient, from, to, output_points);
    multiply(to - from, c->outputs, c->channels, output_points, transposed, input);
    add_points_to_input(c, input, from, to, images);
  }
}

/* Computes the gradient of the transformed kernel, (36, C, C'), summed over the same tiles. */
void kernel_sums(const Convolution *c, int64_t first, int64_t last, const float *images, const float *gradient,
               float *kernel, float *scratch) {
  float *input = scratch, *output_points = scratch + POINTS * input_plane(c);
  for (int64_t from = first; from < last; from += TILES_AT_ONCE) {
    const int64_t to = smaller(from + TILES_AT_ONCE, last);
    input_to_points(c, images, from, to, input);
    output_gradient_to_points(c, gradient, from, to, output_points);
    if (from == first) correlate(0, c->channels, to - from, c->outputs, input, output_points, kernel);
    else correlate(1, c->channels, to - from, c->outputs, input, output_points, kernel);
  }
}
