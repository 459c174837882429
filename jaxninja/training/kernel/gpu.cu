// The kernel on a GPU: threads are threads, and the blocks of a network are a cluster.
#include <cooperative_groups.h>

#include "call.h"
#include "phases.h"

namespace cg = cooperative_groups;

template <int B>
FN const float (*sums_of(Block<B> &s, const Thread<B> &t, int stage, int group))[WIDE] {
  if constexpr (B == 1) return s.part[stage][group];
#if __CUDA_ARCH__ >= 900
  constexpr int OWN = GROUPS / B;
  float(*own)[WIDE] = s.part[stage][group % OWN];
  return cg::this_cluster().map_shared_rank(own, group / OWN);
#else
  return s.part[stage][0];
#endif
}

template <int B, Barrier AMONG> FN void wait() {
  if constexpr (B == 1 && AMONG == OF_UNIT) return;
#if __CUDA_ARCH__ >= 900
  if constexpr (B > 1 && AMONG == OF_NETWORK) return cg::this_cluster().sync();
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

// Eight blocks for a network where they are a cluster and there is room for all networks
// at once, else one: that gives most networks a second.
static cudaError_t choose(int seeds, int &blocks) {
  int device = 0, major = 0, processors = 0;
  auto error = cudaGetDevice(&device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (blocks == 0) blocks = major >= 9 && seeds * 8 <= processors ? 8 : 1;
  return error;
}

static ffi::Error Train(cudaStream_t stream, ffi::RemainingArgs args,
                        ffi::RemainingRets rets, float eps, float momentum, int ddof,
                        int running_ddof, int blocks) {
  auto call = read_call(args, rets, eps, momentum, ddof, running_ddof);
  if (!call.has_value()) return call.error();
  if (call->seeds == 0) return ffi::Error::Success();
  auto error = choose(call->seeds, blocks);
  if (error == cudaSuccess)
    error = blocks == 8 ? launch<8>(*call, stream) : launch<1>(*call, stream);
  if (error != cudaSuccess) return ffi::Error::Internal(cudaGetErrorString(error));
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxninjaTrain, Train,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<cudaStream_t>>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<float>("eps")
                                  .Attr<float>("momentum")
                                  .Attr<int32_t>("ddof")
                                  .Attr<int32_t>("running_ddof")
                                  .Attr<int32_t>("blocks"));
