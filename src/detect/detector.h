// The whole way from a picture to boxes: letterbox, network, decode, NMS, back to the picture's pixels.
// Threads: a Detector belongs to one thread at a time; those that share() made run side by side.
#pragma once

#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "detect/post_process.h"
#include "engine/engine.h"
#include "image/letterbox.h"
#include "image/load.h"

namespace yolov3 {

// Where the time went, in seconds since the detector was made or its times were reset.
struct DetectTimes {
  double letterbox = 0, network = 0, boxes = 0;
  int64_t pictures = 0;
};

class Detector {
 public:
  // The engine must have been made from `spec`; pictures are letterboxed to spec.input, those of a batch in parallel
  // (OpenMP).
  Detector(const NetworkSpec& spec, std::unique_ptr<Engine> engine, DetectOptions options);

  // box_image of the full picture, clipped to it, empty ones left out, highest score first.
  std::vector<Detection> detect(const LoadedImage& picture);
  std::vector<std::vector<Detection>> detect(const std::vector<LoadedImage>& pictures);  // one batch
  // The same into `found`, whose memory is reused, as the detector's own is: nothing is allocated here for pictures no
  // more crowded than those before.
  void detect_into(std::span<const LoadedImage> pictures, std::vector<std::vector<Detection>>& found);

  // Another detector over the same weights, for another thread. Errors: an engine that stands alone.
  Detector share() const;

  const NetworkSpec& spec() const { return spec_; }
  const std::vector<Head>& heads() const { return post_.heads(); }
  const DetectOptions& options() const { return post_.options(); }
  Engine& engine() { return *engine_; }
  PostProcessor& post_processor() { return post_; }  // for raw maps that engine() was asked for itself

  const DetectTimes& times() const { return times_; }
  void reset_times() { times_ = {}; }

 private:
  // What belongs to a place in the batch; its letterboxed picture is in inputs_, where pictures lie side by side.
  struct Slot {
    Letterbox letterbox;
    LetterboxScratch scratch;
    std::exception_ptr error;
  };
  void letterbox_all(std::span<const LoadedImage> pictures);

  NetworkSpec spec_;
  std::unique_ptr<Engine> engine_;
  PostProcessor post_;
  std::vector<Slot> slots_;
  std::vector<Image> inputs_;
  DetectTimes times_;
};

}  // namespace yolov3
