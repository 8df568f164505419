// COCO's JSON: ground truth (instances_*.json) and results files, of any detector. In double, see eval/exact.h;
// Evaluator::add(image.truth, image.detections) of each image in order gives pycocotools' figures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/exact.h"

namespace yolov3 {

struct CocoImage {
  int64_t id = 0;
  std::string file_name;
  int width = 0, height = 0;
  std::vector<TruthBox> truth;        // class_id = index into CocoTruth::names
  std::vector<ScoredBox> detections;  // filled by read_coco_results
};

struct CocoTruth {
  std::vector<std::string> names;  // in order of category id
  std::vector<int64_t> category_ids;
  std::vector<CocoImage> images;  // in order of image id
};

// Errors, with file and entry: not JSON, over 512 MB or 50 million values (segmentations do not count), nested over 8
// levels, missing keys, unknown images or categories, boxes that are no numbers.
CocoTruth read_coco_truth(const std::filesystem::path& path);
// Replaces what detections the images had.
void read_coco_results(const std::filesystem::path& path, CocoTruth& truth);

struct CocoResult {
  int64_t image_id = 0, category_id = 0;
  Box box;
  float score = 0;
};
std::string coco_results_json(const std::vector<CocoResult>& results);  // bbox = x,y,w,h

}  // namespace yolov3
