// Batches as pictures with their boxes, to see what the network sees.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/batch.h"

namespace yolov3 {

constexpr int kBatchCellPx = 416;

// A grid of the first 16 pictures at most, each cell_px wide and high, as JPEG.
void save_batch_picture(const std::filesystem::path& path, const Batch& batch, const std::vector<std::string>& names,
                        int cell_px = kBatchCellPx);

// The same with detections (box_net) instead of the annotations.
void save_batch_picture(const std::filesystem::path& path, const Batch& batch,
                        const std::vector<std::vector<Detection>>& detections_net,
                        const std::vector<std::string>& names);

}  // namespace yolov3
