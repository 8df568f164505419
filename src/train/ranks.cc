#include "train/ranks.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "train/rank_group.h"
#include "train/rank_presence.h"

namespace yolov3 {
namespace {

torch::Tensor flat_view(const torch::Tensor& dense) { return dense.detach().as_strided({dense.numel()}, {1}); }

}  // namespace

struct Ranks::Inside {
  RankPresence presence;
  RankGroup quick, large;  // two, so that small sums never wait for large ones
  std::vector<RankWork> pending;

  Inside(const RankPlace& place, double timeout_s, torch::Device device);
  template <class Call>
  void guarded(Call call);
  void wait_for(const RankWork& work, bool on_streams = false);
};

Ranks::Inside::Inside(const RankPlace& place, double timeout_s, torch::Device device) : presence(place, timeout_s) {
  const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(1000 * presence.patience()));
  quick = presence.connect("quick", [=](const RankStore& store) { return make_gloo_group(store, place, timeout); });
  const auto make_large = device.is_cpu() ? make_gloo_group : make_nccl_group;
  large = presence.connect("large", [=](const RankStore& store) { return make_large(store, place, timeout); });
}

Ranks::Ranks() = default;

Ranks::Ranks(const RankPlace& place, double timeout_s, torch::Device device) : rank_(place.rank), size_(place.ranks) {
  check(size_ >= 1 && rank_ >= 0 && rank_ < size_, "rank {} of {}: expected 0 to {}", rank_, size_, size_ - 1);
  if (size_ > 1) inside_ = std::make_unique<Inside>(place, timeout_s, device);
}

Ranks::~Ranks() {
  if (!inside_ || !inside_->presence.lost()) return;
  inside_->presence.stop();
  static_cast<void>(inside_.release());  // its groups would wait for others for ever
}

// Makes a call that other ranks take part in. Its error is theirs: they are asked whose.
template <class Call>
void Ranks::Inside::guarded(Call call) {
  if (presence.lost()) throw RankLost("the other ranks are lost");
  try {
    call();
  } catch (const std::exception& error) {
    throw RankLost(presence.who_is_lost(error.what()));
  }
}

void Ranks::Inside::wait_for(const RankWork& work, bool on_streams) {
  if (on_streams) {
    work->wait();
    return;
  }
  const auto look = std::chrono::milliseconds(200);
  while (true) {
    try {
      work->wait(look);
      return;
    } catch (const std::exception&) {
      if (work->isCompleted()) {
        if (work->isSuccess()) return;
        throw;
      }
    }
    check(!presence.someone_left(), "another rank ended");
  }
}

void Ranks::sum(std::span<double> numbers) {
  if (alone()) return;
  sum(torch::from_blob(numbers.data(), {static_cast<int64_t>(numbers.size())}, torch::kFloat64));
}

void Ranks::sum(const torch::Tensor& numbers) {
  if (alone() || numbers.numel() == 0) return;
  const torch::Tensor flat = flat_view(numbers), own = flat.clone();  // what is given up may be written to later
  inside_->guarded([&] {
    inside_->presence.count_call();
    inside_->wait_for(inside_->quick.sum(own));
  });
  flat.copy_(own);
}

void Ranks::begin_sum(const torch::Tensor& flat) {
  if (alone()) return;
  inside_->guarded([&] {
    inside_->presence.count_call();
    inside_->pending.push_back(inside_->large.sum(flat));
  });
}

void Ranks::finish_sums() {
  if (alone()) return;
  inside_->guarded([&] {
    for (const RankWork& work : inside_->pending) inside_->wait_for(work, inside_->large.on_streams);
    inside_->pending.clear();
  });
}

void Ranks::copy_from_first(const torch::Tensor& numbers) {
  if (alone() || numbers.numel() == 0) return;
  inside_->guarded([&] {
    inside_->presence.count_call();
    inside_->wait_for(inside_->large.copy_from_first(flat_view(numbers)), inside_->large.on_streams);
  });
}

void Ranks::meet(const std::string& what) {
  if (alone()) return;
  inside_->guarded([&] { inside_->presence.meet(what); });
}

std::string Ranks::text_from_first(const std::string& text, const std::string& what) {
  if (alone()) return text;
  meet(what);
  double size[1] = {first() ? static_cast<double>(text.size()) : 0.0};
  sum(size);
  const torch::Tensor bytes = torch::zeros({static_cast<int64_t>(size[0])}, torch::kUInt8);
  if (bytes.numel() == 0) return "";
  if (first()) std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  inside_->guarded([&] {
    inside_->presence.count_call();
    inside_->wait_for(inside_->quick.copy_from_first(bytes));
  });
  return {bytes.data_ptr<uint8_t>(), bytes.data_ptr<uint8_t>() + bytes.numel()};
}

// A sum, to which each gives its own place: one call for any number of ranks.
std::vector<std::string> Ranks::texts(const std::string& mine, const std::string& what) {
  if (alone()) return {mine};
  meet(what);
  const auto ranks = static_cast<size_t>(size_), me = static_cast<size_t>(rank_);
  std::vector<double> sizes(ranks);
  sizes[me] = static_cast<double>(mine.size());
  sum(sizes);
  size_t total = 0, begin = 0;
  for (size_t r = 0; r < ranks; ++r) {
    if (r == me) begin = total;
    total += static_cast<size_t>(sizes[r]);
  }
  std::string all(total, '\0');
  std::copy(mine.begin(), mine.end(), all.begin() + static_cast<int64_t>(begin));
  sum(torch::from_blob(all.data(), {static_cast<int64_t>(total)}, torch::kUInt8));
  std::vector<std::string> parts;
  begin = 0;
  for (size_t r = 0; r < ranks; ++r) {
    parts.push_back(all.substr(begin, static_cast<size_t>(sizes[r])));
    begin += static_cast<size_t>(sizes[r]);
  }
  return parts;
}

void Ranks::leave() {
  if (alone()) return;
  meet("the end");
  inside_->guarded([&] { inside_->presence.say_bye(); });
}

void Ranks::leave(const std::string& error) {
  if (!alone()) inside_->presence.tell_why(error);
}

}  // namespace yolov3
