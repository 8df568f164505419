// A detector over a list of pictures: loading ahead in a thread of its own, boxes, drawn copies, results.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "app/open_detector.h"
#include "app/results.h"
#include "app/sources.h"

namespace yolov3 {

struct DetectRun {
  int batch = 1;
  bool exact_decode = false;
  bool draw = true;
  ResultFormat format = ResultFormat::none;
  std::vector<int> classes;      // kept; empty = all
  std::filesystem::path folder;  // empty: results go to stdout
};

struct DetectSummary {
  int64_t wanted = 0, pictures = 0, broken = 0, not_drawn = 0, objects = 0;
  double seconds = 0;                                              // from first to last
  double load_seconds = 0, detect_seconds = 0, write_seconds = 0;  // loading runs beside the others
  bool interrupted = false;
};

constexpr size_t kPicturesAhead = 4;
constexpr size_t kMaxBatchBytes = size_t{512} << 20;

// Results come in the order of `sources`. A picture that cannot be read is reported on stderr and counted, and the
// others go on. The network sees the same pixels whether or not pictures are drawn. Memory: kPicturesAhead decoded
// pictures beyond a batch, and a batch of large pictures runs before it is full (kMaxBatchBytes).
// An interrupt ends the run after the pictures at hand. Errors: those of the detector and of writing; the results up to
// there are kept, with a warning.
DetectSummary detect_pictures(const std::vector<PictureSource>& sources, Detector& detector,
                              const std::vector<std::string>& names, const DetectRun& run);

}  // namespace yolov3
