// The processes ("ranks") that train one network together, as one of them sees the others: LibTorch's c10d, Gloo between
// CPUs, NCCL between GPUs where LibTorch has it. Rank 0 holds the store that they meet at, and alone writes files.
//
// All ranks make the same calls in the same order. Sums are the same bits on every rank.
// Errors: a rank that ends, dies or does not come within the time is an Error that names it, at whatever call waits for
// it; no call after that one can succeed.
// Threads: one at a time; inside, one that tells the others that this process lives, and c10d's.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/options.h"

namespace yolov3 {

// Another rank ended or is lost.
class RankLost : public Error {
 public:
  using Error::Error;
};

class Ranks {
 public:
  Ranks();  // alone: every call below returns at once
  // Meets the others. device: where gradients are. Errors: who has not come within the time, two of one number, another
  // number of ranks.
  Ranks(const RankPlace& place, double timeout_s, torch::Device device);
  ~Ranks();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool alone() const { return size_ == 1; }
  bool first() const { return rank_ == 0; }

  // In place, over all ranks. For numbers of this process's work that the others wait for: small, at once.
  void sum(std::span<double> numbers);
  void sum(const torch::Tensor& numbers);  // on the CPU, contiguous

  // Large sums that go on while this process computes; finish_sums() waits for all of them. flat: contiguous, and not
  // to be touched until then.
  void begin_sum(const torch::Tensor& flat);
  void finish_sums();

  void copy_from_first(const torch::Tensor& numbers);  // contiguous, or channels last

  // Waits for all ranks however long they take, as long as they are alive: what only one of them has to do may take its
  // time before it. what: that they come to, for the log.
  void meet(const std::string& what);
  std::string text_from_first(const std::string& text, const std::string& what);  // meets first; so does the next
  std::vector<std::string> texts(const std::string& mine, const std::string& what);

  // Ends. Without an error: rank 0 stays until the others have left. With one: the others learn why.
  void leave();
  void leave(const std::string& error);

 private:
  struct Inside;
  int rank_ = 0, size_ = 1;
  std::unique_ptr<Inside> inside_;
};

}  // namespace yolov3
