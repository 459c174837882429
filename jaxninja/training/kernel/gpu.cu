// The kernel as a call of XLA's on a GPU.
#include "call.h"
#include "gpu.h"

static ffi::Error Train(cudaStream_t stream, ffi::RemainingArgs args,
                        ffi::RemainingRets rets, float eps, float momentum, int ddof,
                        int running_ddof, int blocks) {
  auto call = read_call(args, rets, eps, momentum, ddof, running_ddof);
  if (!call.has_value()) return call.error();
  auto error = launch(*call, blocks, stream);
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
