// One of c10d's groups, whichever kind, as the two operations that training needs of it.
// Errors: whatever c10d throws; Ranks says which rank it was.
#pragma once

#include <torch/torch.h>

#include <chrono>
#include <functional>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

#include "train/options.h"

namespace yolov3 {

using RankWork = c10::intrusive_ptr<c10d::Work>;

// Both begin on the flat, dense tensor and end when the work does.
struct RankGroup {
  std::function<RankWork(torch::Tensor flat)> sum, copy_from_first;
  bool on_streams = false;  // of a GPU: a work is waited for by its stream, and NCCL itself finds who is lost
};

template <class Group>
RankGroup group_of(c10::intrusive_ptr<Group> group) {
  return {[group](const torch::Tensor& flat) {
            std::vector<torch::Tensor> tensors{flat};
            return group->allreduce(tensors, c10d::AllreduceOptions());
          },
          [group](const torch::Tensor& flat) {
            std::vector<torch::Tensor> tensors{flat};
            return group->broadcast(tensors, c10d::BroadcastOptions());
          }};
}

using RankStore = c10::intrusive_ptr<c10d::Store>;

// Between CPUs. The address that the others reach this process at is the one that it reaches rank 0 from, unless
// GLOO_SOCKET_IFNAME names an interface.
RankGroup make_gloo_group(const RankStore& store, const RankPlace& place, std::chrono::milliseconds timeout);

// Between GPUs. Errors: LibTorch has no NCCL.
RankGroup make_nccl_group(const RankStore& store, const RankPlace& place, std::chrono::milliseconds timeout);

}  // namespace yolov3
