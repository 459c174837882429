// The kernel on a GPU: threads are threads, and the blocks of a network are a cluster.
#ifndef JAXNINJA_GPU
#define JAXNINJA_GPU
#include "phases.h"

template <int B>
FN const float (*sums_of(Block<B> &s, const Thread<B> &t, int stage, int group))[WIDE] {
  if constexpr (B == 1) return s.part[stage][group];
#if __CUDA_ARCH__ >= 900
  constexpr int OWN = GROUPS / B;
  void *place = s.part[stage][group % OWN];
  return (float(*)[WIDE])__cluster_map_shared_rank(place, group / OWN);
#else
  return s.part[stage][0];
#endif
}

template <int B, Barrier AMONG> FN void wait() {
  if constexpr (B == 1 && AMONG == OF_UNIT) return;
#if __CUDA_ARCH__ >= 900
  if constexpr (B > 1 && AMONG == OF_NETWORK) {
    __cluster_barrier_arrive();
    return __cluster_barrier_wait();
  }
#endif
  __syncthreads();
}

template <int B> __global__ void __launch_bounds__(THREADS, 1) train(Run first) {
  extern __shared__ __align__(16) char memory[];
  Block<B> &s = *reinterpret_cast<Block<B> *>(memory);
  Thread<B> t;
  t.tid = threadIdx.x, t.rank = blockIdx.x % B;
  const Run run = of_seed(first, blockIdx.x / B);
  const int steps = *run.steps;
#define DO(phase, barrier) phase(run, s, t, step), wait<B, barrier>();
  start(run, s, t, 0), wait<B, OF_BLOCK>();
  for (int step = 0; step < steps; ++step) { STEP(DO) }
  finish(run, s, t, steps);
  wait<B, OF_NETWORK>();  // no block ends while another may read its memory
}

template <int B> cudaError_t launch(const Call &call, cudaStream_t stream) {
  auto limit = cudaFuncAttributeMaxDynamicSharedMemorySize;
  auto error = cudaFuncSetAttribute(train<B>, limit, sizeof(Block<B>));
  if (error != cudaSuccess) return error;
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = B, cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(call.seeds * B), config.blockDim = dim3(THREADS);
  config.dynamicSmemBytes = sizeof(Block<B>), config.stream = stream;
  config.attrs = &cluster, config.numAttrs = B > 1;
  return cudaLaunchKernelEx(&config, train<B>, call.run);
}

// Eight blocks a network where they can be a cluster, and all networks have room at once or
// one block would not fit: they take less time for a step. One block otherwise: more
// networks then train at the same time.
inline cudaError_t choose(int seeds, int &blocks) {
  int device = 0, major = 0, processors = 0, memory = 0;
  cudaError_t error = cudaGetDevice(&device);
  auto ask = [&](int &answer, cudaDeviceAttr what) {
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&answer, what, device);
  };
  ask(major, cudaDevAttrComputeCapabilityMajor);
  ask(processors, cudaDevAttrMultiProcessorCount);
  ask(memory, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  const bool roomy = seeds * 8 <= processors || memory < int(sizeof(Block<1>));
  if (blocks == 0) blocks = major >= 9 && roomy ? 8 : 1;
  return error;
}

inline cudaError_t launch(const Call &call, int blocks, cudaStream_t stream) {
  if (call.seeds == 0) return cudaSuccess;
  const cudaError_t error = choose(call.seeds, blocks);
  if (error != cudaSuccess) return error;
  return blocks == 8 ? launch<8>(call, stream) : launch<1>(call, stream);
}
#endif
