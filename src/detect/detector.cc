#include "detect/detector.h"

#include <chrono>
#include <utility>

#include "base/error.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

// Adds the time since `start` to `total` and starts anew.
void lap(Clock::time_point& start, double& total) {
  const Clock::time_point now = Clock::now();
  total += std::chrono::duration<double>(now - start).count();
  start = now;
}

Letterbox letterbox_for(const LoadedImage& picture, const NetworkSpec& spec, bool letterbox) {
  const auto width = static_cast<int>(spec.input.width), height = static_cast<int>(spec.input.height);
  return letterbox ? make_letterbox(picture.full_width, picture.full_height, width, height)
                   : make_stretch(picture.full_width, picture.full_height, width, height);
}

}  // namespace

Detector::Detector(const NetworkSpec& spec, std::unique_ptr<Engine> engine, DetectOptions options)
    : spec_(spec), engine_(std::move(engine)), post_(yolov3::heads(spec), options) {
  check(engine_ != nullptr, "a detector needs an engine");
  check(spec_.input.channels == 3, "pictures have 3 channels, the network takes {}", spec_.input.channels);
}

Detector Detector::share() const { return {spec_, engine_->share(), options()}; }

std::vector<Detection> Detector::detect(const LoadedImage& picture) {
  std::vector<std::vector<Detection>> found;
  detect_into({&picture, 1}, found);
  return std::move(found.front());
}

std::vector<std::vector<Detection>> Detector::detect(const std::vector<LoadedImage>& pictures) {
  std::vector<std::vector<Detection>> found;
  detect_into(pictures, found);
  return found;
}

void Detector::detect_into(std::span<const LoadedImage> pictures, std::vector<std::vector<Detection>>& found) {
  found.resize(pictures.size());
  if (pictures.empty()) return;
  Clock::time_point start = Clock::now();
  // 1. Every picture into the network's input size.
  letterbox_all(pictures);
  lap(start, times_.letterbox);
  // 2. The network.
  const std::vector<RawMap> raw_maps = engine_->forward_pictures({inputs_.data(), pictures.size()});
  lap(start, times_.network);
  // 3. Boxes of each picture.
  for (size_t i = 0; i < pictures.size(); ++i) {
    found[i] = post_.run(raw_maps, static_cast<int64_t>(i), slots_[i].letterbox, pictures[i].full_width,
                         pictures[i].full_height);
  }
  lap(start, times_.boxes);
  times_.pictures += static_cast<int64_t>(pictures.size());
}

// An exception may not leave a parallel loop: the first picture's that has one is thrown after it.
void Detector::letterbox_all(std::span<const LoadedImage> pictures) {
  const size_t count = pictures.size();
  if (slots_.size() < count) slots_.resize(count);
  if (inputs_.size() < count) inputs_.resize(count);
#pragma omp parallel for schedule(dynamic) if (count > 1)
  for (size_t i = 0; i < count; ++i) {
    Slot& slot = slots_[i];
    slot.error = nullptr;
    try {
      slot.letterbox = letterbox_for(pictures[i], spec_, options().letterbox);
      apply_letterbox_into(pictures[i].image, slot.letterbox, slot.scratch, inputs_[i]);
    } catch (...) {
      slot.error = std::current_exception();
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (slots_[i].error) std::rethrow_exception(slots_[i].error);
  }
}

}  // namespace yolov3
