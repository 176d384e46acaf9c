/* A step of SOAP for one small matrix, without a library's calls for each of its small products.

   Matrices come as they lie in memory, row by row. In a product, numbers of the left factor are taken one by one from
   where they are; the right one is a copy in scratch memory, its rows filled up with zeros to whole vectors. That is
   the gradient, which is small, or its transpose: the bases, which are large, are not copied. Plain C with the vector
   extension of GCC and Clang; no header but the standard ones. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define WIDE 16 /* Columns, */
#define ACROSS (WIDE / LANES)
#define DOWN (8 / ACROSS) /* and rows of a product whose sums stay in registers. */

typedef float Lanes __attribute__((vector_size(4 * LANES)));

typedef struct {
    int64_t rows, columns;
    int64_t pitch; /* Floats from a row to the next. */
    float *numbers;
} Matrix;

/* A parameter and what is known of it; a side that has no basis has NULL for its covariance, too. */
typedef struct {
    int64_t rows, columns;
    float *parameter, *mean, *mean_square;
    float *left_covariance, *right_covariance, *left_basis, *right_basis;
} Parameter;

typedef struct {
    float first_beta, second_beta; /* Kept of the moments. */
    float rate;                    /* The step size, the first moment's bias undone. */
    float share;                   /* Divides the second moment, to undo its bias. */
    float epsilon;
    float decay; /* Multiplies the parameter. */
} Numbers;

static int64_t pitch_of(int64_t columns) { return (columns + WIDE - 1) / WIDE * WIDE; }

static Matrix take(float **scratch, int64_t rows, int64_t columns) {
    Matrix taken = {rows, columns, pitch_of(columns), *scratch};
    *scratch += rows * taken.pitch;
    return taken;
}

/* The gradient, whose columns are (tap, channel) and lie in memory as (channel, tap). */
static Matrix as_matrix(float **scratch, const Parameter *of, const float *gradient, int64_t taps) {
    Matrix copy = take(scratch, of->rows, of->columns);
    int64_t channels = of->columns / taps;
    memset(copy.numbers, 0, sizeof(float) * copy.rows * copy.pitch);
    for (int64_t row = 0; row < copy.rows; row++, gradient += copy.columns)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t channel = 0; channel < channels; channel++)
                copy.numbers[row * copy.pitch + tap * channels + channel] = gradient[channel * taps + tap];
    return copy;
}

static Matrix transposed(float **scratch, Matrix given) {
    Matrix copy = take(scratch, given.columns, given.rows);
    memset(copy.numbers, 0, sizeof(float) * copy.rows * copy.pitch);
    for (int64_t row = 0; row < copy.rows; row++)
        for (int64_t column = 0; column < copy.columns; column++)
            copy.numbers[row * copy.pitch + column] = given.numbers[column * given.pitch + row];
    return copy;
}

/* left right, of which left has so many rows, `down` floats apart, its numbers `along` floats apart. */
static Matrix product(float **scratch, const float *left, int64_t rows, int64_t down, int64_t along, Matrix right) {
    Matrix answer = take(scratch, rows, right.columns);
    for (int64_t row = 0; row < rows; row += DOWN) {
        int64_t left_over = rows - row < DOWN ? rows - row : DOWN;
        const float *factors[DOWN];
        for (int64_t each = 0; each < DOWN; each++)
            factors[each] = left + (row + (each < left_over ? each : 0)) * down;
        for (int64_t column = 0; column < answer.pitch; column += WIDE) {
            Lanes sums[DOWN][ACROSS] = {};
            for (int64_t term = 0; term < right.rows; term++) {
                Lanes values[ACROSS];
                memcpy(values, right.numbers + term * right.pitch + column, sizeof values);
                for (int64_t each = 0; each < DOWN; each++)
                    for (int64_t part = 0; part < ACROSS; part++)
                        sums[each][part] += factors[each][term * along] * values[part];
            }
            for (int64_t each = 0; each < left_over; each++)
                memcpy(answer.numbers + (row + each) * answer.pitch + column, sums[each], sizeof sums[each]);
        }
    }
    return answer;
}

static Matrix turned(float **scratch, const float *basis, Matrix given) {
    return product(scratch, basis, given.rows, 1, given.rows, given);
}

static Matrix turned_back(float **scratch, const float *basis, Matrix given) {
    return product(scratch, basis, given.rows, given.rows, 1, given);
}

static void mix(float *covariance, Matrix seen, float keep) {
    for (int64_t row = 0; row < seen.rows; row++)
        for (int64_t column = 0; column < seen.columns; column++) {
            float *number = covariance + row * seen.columns + column;
            *number = keep * *number + (1 - keep) * seen.numbers[row * seen.pitch + column];
        }
}

/* Take a gradient into the covariances: left <- keep left + (1 - keep) G G', and right by G' G. */
void observe(const Parameter *of, const float *gradient, int64_t taps, float keep, float *scratch) {
    Matrix given = as_matrix(&scratch, of, gradient, taps);
    if (of->left_covariance) {
        Matrix back = transposed(&scratch, given);
        mix(of->left_covariance, product(&scratch, given.numbers, given.rows, given.pitch, 1, back), keep);
    }
    if (of->right_covariance)
        mix(of->right_covariance, product(&scratch, given.numbers, given.columns, 1, given.pitch, given), keep);
}

/* Move the parameter by Adam on P' G Q, taken back by P and Q'. */
void update(const Parameter *of, const float *gradient, int64_t taps, const Numbers *numbers, float *scratch) {
    const float *left = of->left_basis, *right = of->right_basis;
    int64_t rows = of->rows, columns = of->columns;
    Matrix step = as_matrix(&scratch, of, gradient, taps);
    if (left)
        step = turned(&scratch, left, step);
    if (right)
        step = transposed(&scratch, turned(&scratch, right, transposed(&scratch, step)));
    Numbers by = *numbers;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) {
            float *first = of->mean + row * columns + column, *second = of->mean_square + row * columns + column;
            float *number = step.numbers + row * step.pitch + column, seen = *number;
            *first += (1 - by.first_beta) * (seen - *first);
            *second += (1 - by.second_beta) * (seen * seen - *second);
            *number = by.rate * *first / (__builtin_sqrtf(*second / by.share) + by.epsilon);
        }
    if (right)
        step = transposed(&scratch, turned_back(&scratch, right, transposed(&scratch, step)));
    if (left)
        step = turned_back(&scratch, left, step);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) {
            float *number = of->parameter + row * columns + column;
            *number = by.decay * *number - step.numbers[row * step.pitch + column];
        }
}

/* Floats of scratch memory that either of them needs. */
int64_t scratch_floats(const Parameter *of) {
    int64_t rows = of->rows, columns = of->columns;
    int64_t plain = rows * pitch_of(columns), back = columns * pitch_of(rows);
    int64_t observed = plain + back + rows * pitch_of(rows) + columns * pitch_of(columns);
    int64_t updated = 5 * plain + 4 * back;
    return observed > updated ? observed : updated;
}
