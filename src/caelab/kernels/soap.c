/* One step of SOAP (Vyas et al. 2024, arXiv 2409.11321) for one small matrix.

   The products of matrices in a step are so small that calls of a library would cost more than the arithmetic.
   Matrices are stored row by row. A product reads the numbers of its left factor one by one, without a copy. Its right
   factor is a copy in scratch memory, in which zeros fill up each row to whole vectors. Only the gradient, which is
   small, and its transpose are copied. The bases, which are large, are only left factors.

   The code is C with the vector extension of GCC and Clang, and includes only standard headers. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
/* A product is computed in blocks of DOWN rows and WIDE columns, which are ACROSS vectors: the sums of a block stay in
   registers. */
#define WIDE 16
#define ACROSS (WIDE / LANES)
#define DOWN (8 / ACROSS)

typedef float Lanes __attribute__((vector_size(4 * LANES)));

typedef struct {
    int64_t rows, columns;
    int64_t pitch; /* Number of floats from one row to the next. */
    float *numbers;
} Matrix;

/* A parameter and SOAP's state. If a side has no basis, its basis and its covariance are NULL. */
typedef struct {
    int64_t rows, columns;
    float *parameter, *mean, *mean_square;
    float *left_covariance, *right_covariance, *left_basis, *right_basis;
} Parameter;

typedef struct {
    float first_beta, second_beta; /* Factors by which the moments decay. */
    float rate;                    /* Step size, which also corrects the bias of the first moment. */
    float correction;              /* Divides the second moment to correct its bias. */
    float epsilon;
    float decay; /* Weight decay: factor by which the parameter is multiplied. */
} Hyperparameters;

static int64_t pitch_of(int64_t columns) { return (columns + WIDE - 1) / WIDE * WIDE; }

/* Takes memory for a matrix from the scratch memory. */
static Matrix allocate(float **scratch, int64_t rows, int64_t columns) {
    Matrix taken = {rows, columns, pitch_of(columns), *scratch};
    *scratch += rows * taken.pitch;
    return taken;
}

/* Returns a copy of the gradient whose columns have the order (tap, channel) instead of (channel, tap). A tap is an
   element of a convolution's kernel. */
static Matrix as_matrix(float **scratch, const Parameter *of, const float *gradient, int64_t taps) {
    Matrix copy = allocate(scratch, of->rows, of->columns);
    int64_t channels = of->columns / taps;
    memset(copy.numbers, 0, sizeof(float) * copy.rows * copy.pitch);
    for (int64_t row = 0; row < copy.rows; row++, gradient += copy.columns)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t channel = 0; channel < channels; channel++)
                copy.numbers[row * copy.pitch + tap * channels + channel] = gradient[channel * taps + tap];
    return copy;
}

static Matrix transposed(float **scratch, Matrix matrix) {
    Matrix copy = allocate(scratch, matrix.columns, matrix.rows);
    memset(copy.numbers, 0, sizeof(float) * copy.rows * copy.pitch);
    for (int64_t row = 0; row < copy.rows; row++)
        for (int64_t column = 0; column < copy.columns; column++)
            copy.numbers[row * copy.pitch + column] = matrix.numbers[column * matrix.pitch + row];
    return copy;
}

/* Returns left times right. The left factor has `rows` rows, which are `row_step` floats apart. The numbers of a row
   are `step_along` floats apart. */
static Matrix product(float **scratch, const float *left, int64_t rows, int64_t row_step, int64_t step_along,
                      Matrix right) {
    Matrix result = allocate(scratch, rows, right.columns);
    for (int64_t row = 0; row < rows; row += DOWN) {
        int64_t left_over = rows - row < DOWN ? rows - row : DOWN;
        const float *factors[DOWN];
        for (int64_t each = 0; each < DOWN; each++)
            factors[each] = left + (row + (each < left_over ? each : 0)) * row_step;
        for (int64_t column = 0; column < result.pitch; column += WIDE) {
            Lanes sums[DOWN][ACROSS] = {};
            for (int64_t term = 0; term < right.rows; term++) {
                Lanes values[ACROSS];
                memcpy(values, right.numbers + term * right.pitch + column, sizeof values);
                for (int64_t each = 0; each < DOWN; each++)
                    for (int64_t part = 0; part < ACROSS; part++)
                        sums[each][part] += factors[each][term * step_along] * values[part];
            }
            for (int64_t each = 0; each < left_over; each++)
                memcpy(result.numbers + (row + each) * result.pitch + column, sums[each], sizeof sums[each]);
        }
    }
    return result;
}

/* Returns the transpose of the basis times the matrix. */
static Matrix rotated(float **scratch, const float *basis, Matrix matrix) {
    return product(scratch, basis, matrix.rows, 1, matrix.rows, matrix);
}

/* Returns the basis times the matrix. */
static Matrix rotated_back(float **scratch, const float *basis, Matrix matrix) {
    return product(scratch, basis, matrix.rows, matrix.rows, 1, matrix);
}

/* Computes covariance <- keep covariance + (1 - keep) seen. */
static void mix(float *covariance, Matrix seen, float keep) {
    for (int64_t row = 0; row < seen.rows; row++)
        for (int64_t column = 0; column < seen.columns; column++) {
            float *number = covariance + row * seen.columns + column;
            *number = keep * *number + (1 - keep) * seen.numbers[row * seen.pitch + column];
        }
}

/* Updates the covariances with a gradient G, where G' is its transpose:
   left <- keep left + (1 - keep) G G', and right <- keep right + (1 - keep) G' G. */
void observe_gradient(const Parameter *of, const float *gradient, int64_t taps, float keep, float *scratch) {
    Matrix matrix = as_matrix(&scratch, of, gradient, taps);
    if (of->left_covariance) {
        Matrix back = transposed(&scratch, matrix);
        mix(of->left_covariance, product(&scratch, matrix.numbers, matrix.rows, matrix.pitch, 1, back), keep);
    }
    if (of->right_covariance)
        mix(of->right_covariance, product(&scratch, matrix.numbers, matrix.columns, 1, matrix.pitch, matrix), keep);
}

/* Computes Adam's step S for the gradient P' G Q in the bases P (left) and Q (right), and moves the parameter by
   P S Q'. */
void update(const Parameter *of, const float *gradient, int64_t taps, const Hyperparameters *hyperparameters,
            float *scratch) {
    const float *left = of->left_basis, *right = of->right_basis;
    int64_t rows = of->rows, columns = of->columns;
    Matrix step = as_matrix(&scratch, of, gradient, taps);
    if (left)
        step = rotated(&scratch, left, step);
    if (right)
        step = transposed(&scratch, rotated(&scratch, right, transposed(&scratch, step)));
    const Hyperparameters h = *hyperparameters;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) {
            float *first = of->mean + row * columns + column, *second = of->mean_square + row * columns + column;
            float *number = step.numbers + row * step.pitch + column, seen = *number;
            *first += (1 - h.first_beta) * (seen - *first);
            *second += (1 - h.second_beta) * (seen * seen - *second);
            *number = h.rate * *first / (__builtin_sqrtf(*second / h.correction) + h.epsilon);
        }
    if (right)
        step = transposed(&scratch, rotated_back(&scratch, right, transposed(&scratch, step)));
    if (left)
        step = rotated_back(&scratch, left, step);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) {
            float *number = of->parameter + row * columns + column;
            *number = h.decay * *number - step.numbers[row * step.pitch + column];
        }
}

/* Returns the number of floats of scratch memory with which both observe_gradient() and update() can run. */
int64_t scratch_floats(const Parameter *of) {
    int64_t rows = of->rows, columns = of->columns;
    int64_t plain = rows * pitch_of(columns), back = columns * pitch_of(rows);
    int64_t observed = plain + back + rows * pitch_of(rows) + columns * pitch_of(columns);
    int64_t updated = 5 * plain + 4 * back;
    return observed > updated ? observed : updated;
}
