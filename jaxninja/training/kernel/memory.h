// The lecture's network as threads hold it: sizes, and what is in which memory.
//
// A network is trained by B blocks of 256 threads. A block has H / B of the hidden units,
// and a unit has B threads, which divide the rows of the batch among themselves: with
// B = 1 a thread has one of 200 units and all 32 rows, with B = 8 one of 25 units and 4
// rows. So most sums need no other thread. Sums over rows are of 8 groups of 4 rows, and
// sums over units of 8 groups of 25 units, in this order whatever B is: one block or eight
// give the same bits. C and b2 are in each block, which all compute the same of them.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define FN __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#else
#define FN inline
#define UNROLL
#endif

constexpr int N = 32, T = 3, E = 10, H = 200, V = 27, K = T * E;  // as in ninja.py
constexpr int THREADS = 256, GROUPS = 8, FEW = N / GROUPS;        // FEW: rows of a group
// Rows of an array begin at multiples of 16 bytes, in different banks of shared memory.
constexpr int WIDE_N = 36, WIDE_K = 36, WIDE_V = 28, WIDE = 32;

template <int COUNT, int AMONG> constexpr int share = (COUNT + AMONG - 1) / AMONG;

struct State {  // of a network; mean and var are the running statistics
  float *C, *W1, *W2, *b2, *bngain, *bnbias, *mean, *var;
};

struct Run {  // of one seed, in global memory; all of its arrays are those of one call
  State before, after;
  const float *b1;     // [H]: batchnorm takes it away, so its gradient is zero
  const int *ids;      // [longest, N, T]
  const int *labels;   // [longest, N]
  const float *rates;  // [longest]
  const int *steps;    // how many to take, at most longest
  float *losses;       // [longest], 0 from steps on
  int longest;
  float eps, momentum;  // of batchnorm; of its running statistics
  int ddof, running_ddof;
};

// The run of a seed, from that of seed 0: each array has an axis of seeds before all.
FN Run of_seed(Run run, int seed) {
  const long n = seed;
  for (State *s : {&run.before, &run.after}) {
    s->C += n * V * E, s->W1 += n * K * H, s->W2 += n * H * V, s->b2 += n * V;
    s->bngain += n * H, s->bnbias += n * H, s->mean += n * H, s->var += n * H;
  }
  run.b1 += n * H, run.steps += n;
  run.ids += n * run.longest * N * T, run.labels += n * run.longest * N;
  run.rates += n * run.longest, run.losses += n * run.longest;
  return run;
}

struct Call {
  Run run;  // of seed 0
  int seeds;
};

template <int B> struct alignas(16) Block {  // in shared memory
  static constexpr int UNITS = H / B;
  float h[UNITS][WIDE_N];  // h transposed; in the backward pass dhprebn
  float w1[UNITS][WIDE_K];  // W1 transposed, and zeros
  float w2[UNITS][WIDE_V];  // W2, and zeros
  float part[B == 1 ? 1 : 2][GROUPS / B][N][WIDE];  // sums over the units of a group
  float emb[N][WIDE];  // embcat
  float demb[N][WIDE];
  float logits[N][WIDE_V];  // and then dlogits
  float sums[2][GROUPS][UNITS];  // sums over the rows of a group
  float bngain[UNITS], bnbias[UNITS], b1[UNITS], mean[UNITS], var[UNITS];
  float C[V][E], b2[V], loss[N];
  uint32_t readers[T][V];  // bit n: row n has symbol v at place t
  int ids[2][N][T], labels[2][N];  // of this step, and of the next
  float rate[2];
};

template <int B> struct Thread {  // in registers
  static constexpr int UNITS = H / B, LANES = THREADS / B, ROWS = N / B;
  int tid, rank;         // of the thread in its block; of the block
  float bnraw[ROWS];     // hprebn, then bndiff, then bnraw
  float dhpreact[ROWS];
  float dW2[share<V, B>];  // of the columns that are this thread's
  float scale;           // bngain * bnvar_inv

  FN int unit() const { return tid % LANES; }
  FN bool has_unit() const { return unit() < UNITS; }
  FN int part() const { return tid / LANES; }  // which of the unit's threads it is
  FN int row() const { return part() * ROWS; }  // the first of its rows
  FN int spare() const { return part() * (LANES - UNITS) + unit() - UNITS; }
};

static_assert(sizeof(Block<1>) <= 163 * 1024, "shared memory of sm_80; sm_90: 227 KB");
