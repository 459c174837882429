// The kernel on a CPU, for proof and not for speed: a phase is a loop over threads.
//
// `order` is that of the threads in a phase, and of the blocks: 0 as they are numbered, 1
// reversed, above that a seed to shuffle them by. `without` is the phase of the step after
// which the barrier is taken out, or made one among the threads of a block where it is one
// among all blocks; -1 leaves all as they are. The order changes no bit of the numbers
// unless a barrier is missing.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "call.h"
#include "phases.h"

template <int B>
FN const float (*sums_of(Block<B> &s, const Thread<B> &t, int stage, int group))[WIDE] {
  constexpr int OWN = GROUPS / B;
  return (&s)[group / OWN - t.rank].part[stage][group % OWN];
}

class Order {
 public:
  explicit Order(int kind) : kind(kind), random(unsigned(kind)) {}

  std::vector<int> of(int count) {
    std::vector<int> order(count);
    std::iota(order.begin(), order.end(), 0);
    if (kind == 1) std::reverse(order.begin(), order.end());
    if (kind > 1) std::shuffle(order.begin(), order.end(), random);
    return order;
  }

 private:
  int kind;
  std::mt19937 random;
};

template <int B> struct Phase {
  void (*run)(const Run &, Block<B> &, Thread<B> &, int);
  const char *name;
  int waits;  // after it: 0 nobody, 1 the threads of each block, 2 all blocks
};

constexpr int waits(int blocks, Barrier barrier) {
  if (blocks == 1) return barrier == OF_UNIT ? 0 : 1;
  return barrier == OF_NETWORK ? 2 : 1;
}

#define ENTRY(name, barrier) {name<B>, #name, waits(B, barrier)},
#define ONE(name, barrier) +1
constexpr int PHASES = STEP(ONE);
template <int B> const Phase<B> STEPS[PHASES] = {STEP(ENTRY)};

// The first phase after `from` before which so many have waited; the phases of all steps
// are numbered one after the other.
template <int B> int next_wait(int from, int end, int level, int without) {
  for (int i = from; i < end; ++i) {
    const int at = i % PHASES;
    if (STEPS<B>[at].waits - (at == without) >= level) return i + 1;
  }
  return end;
}

template <int B> void train(const Run &run, int kind, int without) {
  std::vector<Block<B>> blocks(B);
  std::vector<Thread<B>> threads(B * THREADS);
  for (int i = 0; i < B * THREADS; ++i)
    threads[i].tid = i % THREADS, threads[i].rank = i / THREADS;
  const int end = *run.steps * PHASES;
  Order order(kind);
  for (auto &t : threads) start(run, blocks[t.rank], t, 0);
  for (int all = 0, next; all < end; all = next) {
    next = next_wait<B>(all, end, 2, without);
    for (int block : order.of(B))
      for (int some = all, until; some < next; some = until) {
        until = next_wait<B>(some, next, 1, without);
        for (int tid : order.of(THREADS))
          for (int i = some; i < until; ++i)
            STEPS<B>[i % PHASES].run(run, blocks[block], threads[block * THREADS + tid],
                                     i / PHASES);
      }
  }
  for (auto &t : threads) finish(run, blocks[t.rank], t, *run.steps);
}

static ffi::Error Prove(ffi::RemainingArgs args, ffi::RemainingRets rets, float eps,
                        float momentum, int ddof, int running_ddof, int blocks, int order,
                        int without) {
  auto call = read_call(args, rets, eps, momentum, ddof, running_ddof);
  if (!call.has_value()) return call.error();
  for (int seed = 0; seed < call->seeds; ++seed) {
    const Run run = of_seed(call->run, seed);
    blocks == 8 ? train<8>(run, order, without) : train<1>(run, order, without);
  }
  return ffi::Error::Success();
}

static ffi::Error Train(ffi::RemainingArgs args, ffi::RemainingRets rets, float eps,
                        float momentum, int ddof, int running_ddof, int blocks) {
  return Prove(args, rets, eps, momentum, ddof, running_ddof, blocks, 0, -1);
}

#define CALL                                                                             \
  ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<float>("eps").Attr<float>(       \
      "momentum").Attr<int32_t>("ddof").Attr<int32_t>("running_ddof").Attr<int32_t>(     \
      "blocks")
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxninjaTrain, Train, CALL);
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxninjaProve, Prove,
                              CALL.Attr<int32_t>("order").Attr<int32_t>("without"));

// What a test asks of the kernel.
extern "C" int jaxninja_shared_bytes(int blocks) {
  return blocks == 8 ? sizeof(Block<8>) : sizeof(Block<1>);
}
extern "C" const char *jaxninja_phase(int i) {
  return i < PHASES ? STEPS<8>[i].name : nullptr;
}
