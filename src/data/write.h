// Data sets to disk, as annotation lines that load_dataset reads back equal.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "data/dataset.h"

namespace yolov3 {

struct WriteOptions {
  std::string extension = ".png";  // of synthetic pictures: ".png" keeps every pixel, ".jpg" is smaller
  int jpeg_quality = 92;
  int threads = 0;  // 0 = all
};

// Writes FOLDER/data.yaml, names.txt, SPLIT.txt and images/SPLIT/000000.png. Synthetic pictures are drawn, others
// copied byte by byte. `splits` by name ("train", "val", "test"), all with the same class names.
// What the format cannot hold (difficult, crowd, areas other than w*h, category ids) is lost with a warning.
// Errors: FOLDER has a data.yaml already (nothing is ever overwritten), a picture cannot be read, the disk is full.
void write_lines_dataset(const std::filesystem::path& folder, const std::map<std::string, Dataset>& splits,
                         const WriteOptions& options = {});

}  // namespace yolov3
