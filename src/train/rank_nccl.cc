// Compiled to more than a refusal only where LibTorch has NCCL. Not run by its authors: they had no such machine.
#include "base/usage.h"
#include "train/rank_group.h"

#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace yolov3 {

RankGroup make_nccl_group(const RankStore& store, const RankPlace& place, std::chrono::milliseconds timeout) {
#ifdef USE_C10D_NCCL
  using Group = c10d::ProcessGroupNCCL;
  const auto options = Group::Options::create();
  options->timeout = timeout;
  RankGroup group = group_of(c10::make_intrusive<Group>(store, place.rank, place.ranks, options));
  group.on_streams = true;
  return group;
#else
  fail_usage("--device cuda with several ranks needs a LibTorch with NCCL, which this one is not");
#endif
}

}  // namespace yolov3
