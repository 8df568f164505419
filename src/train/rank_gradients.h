// The gradients of all ranks, added up while the backward pass goes on: each parameter's gradient has its place in one
// of a few flat buckets, last layer first, and a bucket is sent as soon as its last gradient is there.
// Threads: one at a time; Ranks' inside.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "engine/torch_network.h"
#include "train/ranks.h"

namespace yolov3 {

constexpr int64_t kBucketBytes = 25 << 20;  // large enough for the network's full speed, small enough to begin early

class GradientSums {
 public:
  // Both outlive it.
  GradientSums(Ranks& ranks, TorchNetwork& network, int64_t bucket_bytes = kBucketBytes);

  // Whether the pictures of the batch are among those of all ranks (Batch::counts); else nothing of them is sent.
  void count(bool counts) { counts_ = counts; }
  bool counts() const { return counts_; }

  // Before a backward pass: the .grad of every parameter that gets one is its place in a bucket, and zero.
  void begin();
  void ready(int layer);  // the gradients of this layer are there; in the order of the layers, last first
  void finish();          // sends the rest and waits: every .grad is the sum over all ranks

  Ranks& ranks() { return ranks_; }
  size_t buckets() const { return buckets_.size(); }

 private:
  struct Bucket {
    torch::Tensor flat;
    int last_layer = 0;  // that is waited for
  };
  struct Place {
    size_t slot, bucket;
    torch::Tensor gradient;  // with the strides of its parameter
  };
  void send();

  Ranks& ranks_;
  TorchNetwork& network_;
  std::vector<Bucket> buckets_;
  std::vector<Place> places_;
  size_t sent_ = 0;
  bool counts_ = true;
};

}  // namespace yolov3
