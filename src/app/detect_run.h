// A detector over a list of pictures: boxes, drawn copies, results, by a pipeline of threads (app/detect_pipeline.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "app/open_detector.h"
#include "app/results.h"
#include "app/sources.h"

namespace yolov3 {

// How the network's threads are used: all of them on one batch, or one each on batches side by side.
enum class DetectMode { latency, throughput };
DetectMode parse_detect_mode(const std::string& text);

struct DetectRun {
  int batch = 1;
  DetectMode mode = DetectMode::latency;
  int threads = 1;  // of the network, in all
  bool exact_decode = false;
  bool draw = true;
  ResultFormat format = ResultFormat::none;
  std::vector<int> classes;      // kept; empty = all
  std::filesystem::path folder;  // empty: results go to stdout
};

struct DetectSummary {
  int64_t wanted = 0, pictures = 0, broken = 0, not_drawn = 0, objects = 0;
  double seconds = 0;  // from first to last
  // Summed over threads; all of it runs at once.
  double load_seconds = 0, write_seconds = 0;
  DetectTimes detect;
  bool interrupted = false;
};

// Results come in the order of `sources`, and are the same in either mode by the same plan. A picture that cannot be read is reported on
// stderr and counted, and the others go on. The network sees the same pixels whether or not pictures are drawn.
// Throughput: `detector` was made for one thread, and its engine must be able to share().
// Memory: a bounded number of pictures, and a batch of large pictures runs before it is full.
// An interrupt ends the run after the pictures at hand. Errors: those of the detector and of writing; the results up to
// there are kept, with a warning.
DetectSummary detect_pictures(const std::vector<PictureSource>& sources, Detector& detector,
                              const std::vector<std::string>& names, const DetectRun& run);

}  // namespace yolov3
