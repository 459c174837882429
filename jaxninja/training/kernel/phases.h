// A training step of the lecture's network, phase by phase. The derivation is that of
// by_hand/ninja.py, a line for each gradient, in the same names and the same order.
//
// A phase is what each thread does between two barriers: a function of the memory of its
// block and of what the thread keeps. One text, two compilers: in gpu.h threads are
// threads, in twin.cc a phase is a loop over them, in any order. A barrier is among the
// threads of a unit, of a block, or of all blocks of the network; each is needed.
#pragma once
#include <cmath>

#include "memory.h"

#define PHASE template <int B> FN void
#define GIVEN const Run &run, Block<B> &s, Thread<B> &t, int step

// A group's sums over units, in whichever block has them: gpu.h and twin.cc know where.
template <int B>
FN const float (*sums_of(Block<B> &s, const Thread<B> &t, int stage, int group))[WIDE];

FN int first_row(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __ffs(bits) - 1;
#else
  return __builtin_ctz(bits);
#endif
}

FN float inverse_root(float x) {
#ifdef __CUDA_ARCH__
  return rsqrtf(x);
#else
  return 1 / std::sqrt(x);
#endif
}

// Sums over rows: a thread writes those of its own groups, and reads all of its unit's.
template <int B, class F> FN void sum_rows(Block<B> &s, Thread<B> &t, int which, F value) {
  UNROLL for (int r = 0; r < t.ROWS; r += FEW) {
    float sum = 0;
    UNROLL for (int i = 0; i < FEW; ++i) sum += value(r + i);
    s.sums[which][(t.row() + r) / FEW][t.unit()] = sum;
  }
}

template <int B> FN float all_rows(Block<B> &s, Thread<B> &t, int which) {
  float sum = 0;
  UNROLL for (int g = 0; g < GROUPS; ++g) sum += s.sums[which][g][t.unit()];
  return sum;
}

// sums[n][c] = sum over a group's units of h[unit][n] w[unit][c]: 4 rows a thread.
template <int B, int COLUMNS, int WIDTH_W>
FN void sum_units(Block<B> &s, Thread<B> &t, int stage, const float (*w)[WIDTH_W]) {
  constexpr int GROUP = THREADS * B / GROUPS;  // threads
  constexpr int STRIPS = GROUP / (N / 4), WIDTH = share<COLUMNS, STRIPS>;
  const int group = t.tid / GROUP, n = t.tid % GROUP / STRIPS * 4;
  const int c = t.tid % STRIPS * WIDTH, first = group * (H / GROUPS);
  if (c >= COLUMNS) return;
  float sum[4][WIDTH] = {};
  for (int u = first; u < first + H / GROUPS; ++u)
    UNROLL for (int i = 0; i < 4; ++i)
      UNROLL for (int k = 0; k < WIDTH; ++k) sum[i][k] += s.h[u][n + i] * w[u][c + k];
  UNROLL for (int i = 0; i < 4; ++i)
    UNROLL for (int k = 0; k < WIDTH; ++k) s.part[stage][group][n + i][c + k] = sum[i][k];
}

// The sum over all units, of all blocks.
template <int B>
FN float all_units(Block<B> &s, Thread<B> &t, int stage, int n, int c) {
  float sum = 0;
  UNROLL for (int g = 0; g < GROUPS; ++g) sum += sums_of(s, t, stage, g)[n][c];
  return sum;
}

template <int B> FN void read_batch(const Run &run, Block<B> &s, int n, int step) {
  const long row = long(step) * N + n;
  for (int c = 0; c < T; ++c) s.ids[step % 2][n][c] = run.ids[row * T + c];
  s.labels[step % 2][n] = run.labels[row];
  if (n == 0) s.rate[step % 2] = run.rates[step];
}

PHASE start(GIVEN) {
  const State &from = run.before;
  for (int i = t.tid; i < V * E; i += THREADS) s.C[i / E][i % E] = from.C[i];
  for (int i = t.tid; i < N * WIDE; i += THREADS) s.emb[i / WIDE][i % WIDE] = 0;
  for (int i = t.tid; i < N; i += THREADS) s.logits[i][V] = 0;
  if (t.tid < V) s.b2[t.tid] = from.b2[t.tid];
  if (t.tid < N && *run.steps > 0) read_batch(run, s, t.tid, step);
  const int u = t.unit(), all = t.rank * t.UNITS + u;
  if (!t.has_unit() || t.part() > 0) return;
  for (int k = 0; k < WIDE_K; ++k) s.w1[u][k] = k < K ? from.W1[k * H + all] : 0;
  for (int v = 0; v < WIDE_V; ++v) s.w2[u][v] = v < V ? from.W2[all * V + v] : 0;
  s.bngain[u] = from.bngain[all], s.bnbias[u] = from.bnbias[all];
  s.mean[u] = from.mean[all], s.var[u] = from.var[all], s.b1[u] = run.b1[all];
}

// emb = C[ids], embcat = emb.reshape(N, T E)
PHASE embed(GIVEN) {
  const auto &ids = s.ids[step % 2];
  for (int i = t.tid; i < N * K; i += THREADS) {
    const int n = i / K, k = i % K;
    s.emb[n][k] = s.C[ids[n][k / E]][k % E];
  }
  for (int i = t.tid; i < T * V; i += THREADS) {
    uint32_t bits = 0;
    for (int n = 0; n < N; ++n) bits |= uint32_t(ids[n][i / V] == i % V) << n;
    s.readers[i / V][i % V] = bits;
  }
}

// hprebn = embcat @ W1 + b1, but for b1, which drops out of hprebn - bnmean
PHASE hidden(GIVEN) {
  if (!t.has_unit()) return;
  float w[K];
  UNROLL for (int k = 0; k < K; ++k) w[k] = s.w1[t.unit()][k];
  UNROLL for (int r = 0; r < t.ROWS; ++r) {
    float sum = 0;
    UNROLL for (int k = 0; k < K; ++k) sum += s.emb[t.row() + r][k] * w[k];
    t.bnraw[r] = sum;
  }
  sum_rows(s, t, 0, [&](int r) { return t.bnraw[r]; });
}

// bnmean = hprebn.mean(0), bndiff = hprebn - bnmean
PHASE centre(GIVEN) {
  if (!t.has_unit()) return;
  const float bnmean = all_rows(s, t, 0) / N;
  UNROLL for (int r = 0; r < t.ROWS; ++r) t.bnraw[r] -= bnmean;
  sum_rows(s, t, 1, [&](int r) { return t.bnraw[r] * t.bnraw[r]; });
}

// bnvar = (bndiff**2).sum(0) / (N - ddof), bnvar_inv = rsqrt(bnvar + eps)
// bnraw = bndiff * bnvar_inv, h = tanh(bngain * bnraw + bnbias); running statistics
PHASE activate(GIVEN) {
  if (!t.has_unit()) return;
  const int u = t.unit();
  const float squares = all_rows(s, t, 1), gain = s.bngain[u], bias = s.bnbias[u];
  const float bnvar_inv = inverse_root(squares / (N - run.ddof) + run.eps);
  UNROLL for (int r = 0; r < t.ROWS; ++r) {
    t.bnraw[r] *= bnvar_inv;
    s.h[u][t.row() + r] = tanhf(gain * t.bnraw[r] + bias);
  }
  t.scale = gain * bnvar_inv;
  if (t.part() > 0) return;
  s.mean[u] += run.momentum * (all_rows(s, t, 0) / N + s.b1[u] - s.mean[u]);
  s.var[u] += run.momentum * (squares / (N - run.running_ddof) - s.var[u]);
}

// logits = h @ W2 + b2
PHASE output(GIVEN) { sum_units<B, WIDE_V>(s, t, 0, s.w2); }

PHASE add_output(GIVEN) {
  for (int i = t.tid; i < N * V; i += THREADS) {
    const int n = i / V, v = i % V;
    s.logits[n][v] = all_units(s, t, 0, n, v) + s.b2[v];
  }
}

// counts = exp(logits - logits.max(1)), loss = (log(counts.sum(1)) - picked).mean()
// dlogits = (counts / counts.sum(1) - onehot) / N
PHASE softmax(GIVEN) {
  if (N <= t.tid && t.tid < 2 * N && step + 1 < *run.steps)
    read_batch(run, s, t.tid - N, step + 1);
  if (t.tid >= N) return;
  float *row = s.logits[t.tid], most = row[0], counts_sum = 0;
  const int label = s.labels[step % 2][t.tid];
  UNROLL for (int v = 1; v < V; ++v) most = fmaxf(most, row[v]);
  const float picked = row[label] - most;
  UNROLL for (int v = 0; v < V; ++v) counts_sum += row[v] = expf(row[v] - most);
  s.loss[t.tid] = logf(counts_sum) - picked;
  UNROLL for (int v = 0; v < V; ++v) row[v] = (row[v] / counts_sum - (v == label)) / N;
}

// dW2 = h.T @ dlogits, dh = dlogits @ W2.T, dhpreact = (1 - h) * (1 + h) * dh
PHASE through_tanh(GIVEN) {
  if (!t.has_unit()) return;
  const int u = t.unit();
  UNROLL for (int i = 0; i < share<V, B>; ++i) t.dW2[i] = 0;
  UNROLL for (int n = 0; n < N; ++n)
    UNROLL for (int i = 0; i < share<V, B>; ++i) {
      const int v = t.part() * share<V, B> + i;
      if (v < V) t.dW2[i] += s.h[u][n] * s.logits[n][v];
    }
  float w[V];
  UNROLL for (int v = 0; v < V; ++v) w[v] = s.w2[u][v];
  UNROLL for (int r = 0; r < t.ROWS; ++r) {
    float dh = 0;
    UNROLL for (int v = 0; v < V; ++v) dh += s.logits[t.row() + r][v] * w[v];
    const float h = s.h[u][t.row() + r];
    t.dhpreact[r] = (1 - h) * (1 + h) * dh;
  }
  sum_rows(s, t, 0, [&](int r) { return t.bnraw[r] * t.dhpreact[r]; });
  sum_rows(s, t, 1, [&](int r) { return t.dhpreact[r]; });
}

// dbngain = (bnraw * dhpreact).sum(0), dbnbias = dhpreact.sum(0)
// dhprebn = bngain * bnvar_inv
//           * (dhpreact - dbnbias / N - bnraw * (dbngain / (N - ddof)))
// db2 = dlogits.sum(0); and the steps of W2, b2, bngain, bnbias
PHASE through_batchnorm(GIVEN) {
  const float rate = s.rate[step % 2];
  if (!t.has_unit()) {
    float sum = 0;
    for (int n = 0; n < N && t.spare() < V; ++n) sum += s.logits[n][t.spare()];
    if (t.spare() < V) s.b2[t.spare()] -= rate * sum;
    for (int n = 0; n < N && t.spare() == V; ++n) sum += s.loss[n];
    if (t.spare() == V && t.rank == 0) run.losses[step] = sum / N;
    return;
  }
  const int u = t.unit();
  const float dbngain = all_rows(s, t, 0), dbnbias = all_rows(s, t, 1);
  UNROLL for (int r = 0; r < t.ROWS; ++r) {
    const float through_var = t.bnraw[r] * (dbngain / (N - run.ddof));
    s.h[u][t.row() + r] = t.scale * (t.dhpreact[r] - dbnbias / N - through_var);
  }
  UNROLL for (int i = 0; i < share<V, B>; ++i) {
    const int v = t.part() * share<V, B> + i;
    if (v < V) s.w2[u][v] -= rate * t.dW2[i];
  }
  if (t.part() > 0) return;
  s.bngain[u] -= rate * dbngain, s.bnbias[u] -= rate * dbnbias;
}

// demb = dhprebn @ W1.T
PHASE input(GIVEN) { sum_units<B, WIDE>(s, t, B > 1, s.w1); }

// and dW1 = embcat.T @ dhprebn, and the step of W1
PHASE add_input(GIVEN) {
  for (int i = t.tid; i < N * K; i += THREADS)
    s.demb[i / K][i % K] = all_units(s, t, B > 1, i / K, i % K);
  if (!t.has_unit()) return;
  const int u = t.unit();
  UNROLL for (int i = 0; i < share<K, B>; ++i) {
    const int k = t.part() * share<K, B> + i;
    float dW1 = 0;
    UNROLL for (int n = 0; n < N; ++n) dW1 += s.emb[n][k] * s.h[u][n];
    s.w1[u][k] -= s.rate[step % 2] * dW1;
  }
}

// dC = zeros.at[ids].add(demb), in the order of places and rows; and the step of C
PHASE table(GIVEN) {
  for (int i = t.tid; i < V * E; i += THREADS) {
    const int v = i / E, e = i % E;
    float dC = 0;
    for (int c = 0; c < T; ++c)
      for (uint32_t bits = s.readers[c][v]; bits; bits &= bits - 1)
        dC += s.demb[first_row(bits)][c * E + e];
    s.C[v][e] -= s.rate[step % 2] * dC;
  }
}

PHASE finish(GIVEN) {
  const State &to = run.after;
  const int u = t.unit(), all = t.rank * t.UNITS + u;
  if (t.rank == 0) {
    for (int i = t.tid; i < V * E; i += THREADS) to.C[i] = s.C[i / E][i % E];
    for (int i = step + t.tid; i < run.longest; i += THREADS) run.losses[i] = 0;
    if (t.tid < V) to.b2[t.tid] = s.b2[t.tid];
  }
  if (!t.has_unit() || t.part() > 0) return;
  for (int k = 0; k < K; ++k) to.W1[k * H + all] = s.w1[u][k];
  for (int v = 0; v < V; ++v) to.W2[all * V + v] = s.w2[u][v];
  to.bngain[all] = s.bngain[u], to.bnbias[all] = s.bnbias[u];
  to.mean[all] = s.mean[u], to.var[all] = s.var[u];
}

// The phases of a step, and among whom the barrier after each of them is.
enum Barrier { OF_UNIT, OF_BLOCK, OF_NETWORK };
#define STEP(DO)                                                                       \
  DO(embed, OF_BLOCK)                                                                  \
  DO(hidden, OF_UNIT)                                                                  \
  DO(centre, OF_UNIT)                                                                  \
  DO(activate, OF_BLOCK)                                                               \
  DO(output, OF_NETWORK)                                                               \
  DO(add_output, OF_BLOCK)                                                             \
  DO(softmax, OF_BLOCK)                                                                \
  DO(through_tanh, OF_UNIT)                                                            \
  DO(through_batchnorm, OF_BLOCK)                                                      \
  DO(input, OF_NETWORK)                                                                \
  DO(add_input, OF_BLOCK)                                                              \
  DO(table, OF_BLOCK)
