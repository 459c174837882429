// A call of the kernel from XLA: its operands and results as the runs of some seeds.
#pragma once
#include "memory.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using F32 = ffi::Buffer<ffi::F32>;
using S32 = ffi::Buffer<ffi::S32>;

inline ffi::ErrorOr<Call> read_call(ffi::RemainingArgs args, ffi::RemainingRets rets,
                                    float eps, float momentum, int ddof, int running_ddof) {
  if (args.size() != 13 || rets.size() != 9)
    return ffi::Unexpected(ffi::Error::InvalidArgument("expected 13 operands, 9 results"));
  bool fits = true;
  auto given = [&](int i) -> float * {
    auto buffer = args.get<F32>(i);
    fits = fits && buffer.has_value();
    return buffer.has_value() ? buffer->typed_data() : nullptr;
  };
  auto whole = [&](int i) -> int * {
    auto buffer = args.get<S32>(i);
    fits = fits && buffer.has_value();
    return buffer.has_value() ? buffer->typed_data() : nullptr;
  };
  auto result = [&](int i) -> float * {
    auto buffer = rets.get<F32>(i);
    fits = fits && buffer.has_value();
    return buffer.has_value() ? (*buffer)->typed_data() : nullptr;
  };
  Run run{};
  run.before = {given(0), given(1), given(2), given(3), given(4), given(5), given(6), given(7)};
  run.after = {result(0), result(1), result(2), result(3),
               result(4), result(5), result(6), result(7)};
  run.b1 = given(8), run.ids = whole(9), run.labels = whole(10);
  run.rates = given(11), run.steps = whole(12), run.losses = result(8);
  if (!fits) return ffi::Unexpected(ffi::Error::InvalidArgument("float32 and int32 only"));
  const int seeds = args.get<S32>(12)->element_count();
  run.longest = seeds ? args.get<F32>(11)->element_count() / seeds : 0;
  run.eps = eps, run.momentum = momentum, run.ddof = ddof, run.running_ddof = running_ddof;
  return Call{run, seeds};
}
