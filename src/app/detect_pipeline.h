// Pictures through detectors with everything at once: while the network is at one batch, the next pictures are loaded
// and those before are drawn and written.
//
//   load threads -> detectors, a batch each at a time -> collected in order, by the caller's thread -> write threads
//
// Memory: every queue is bounded; most_pictures() says how many pictures there are at a time.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "detect/detector.h"

namespace yolov3 {

struct PipelinePicture {
  size_t index = 0;              // of the picture in its list
  LoadedImage picture;           // its pixels are gone once they are of no use any more, see PipelineSteps::write
  std::exception_ptr error;      // why there is no picture
  std::vector<Detection> found;  // box_image
};

struct PipelineSteps {
  // The picture of that index. An exception makes it a broken one. Called by several threads at once.
  std::function<LoadedImage(size_t index)> load;
  // Called in order, by the caller's thread: one of the two for every picture.
  std::function<void(size_t index, const std::string& why)> broken;
  std::function<void(PipelinePicture& picture)> collect;  // may change `found`
  // Called by several threads at once, in any order, after collect. Pixels that were decoded at reduced size are gone:
  // they are no use for drawing into. Empty = nothing to draw.
  std::function<void(PipelinePicture& picture)> write;
};

struct PipelineOptions {
  int batch = 1;
  size_t batch_bytes = size_t{512} << 20;  // a batch of large pictures runs before it is full
  int detector_threads = 1;                // OpenMP's, of each detector
  size_t loaders = 1, writers = 1;         // threads
  size_t ahead = 4;                        // pictures loaded, or being loaded, beyond those that detectors have taken
};

struct PipelineTimes {
  double load_seconds = 0, write_seconds = 0;  // summed over threads
};

// Runs `count` pictures through the detectors, each in a thread of its own. A batch holds fewer pictures at the end of
// the list, and where pictures are large or broken. Stops after the batches at hand when an interrupt is requested.
// Errors: the first one, in the pictures' order, of a detector; or one of `collect` or `write`. Before it is thrown, all
// pictures before it are collected and written, and all threads have ended.
PipelineTimes run_pipeline(size_t count, std::span<Detector* const> detectors, const PipelineOptions& options,
                           const PipelineSteps& steps);

// Upper bound of the pictures in memory at a time.
size_t most_pictures(size_t detectors, const PipelineOptions& options);

}  // namespace yolov3
