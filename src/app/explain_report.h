// What `yolov3 explain` has found, as text, as JSON and as a picture a scale.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/target_options.h"
#include "detect/explain.h"
#include "image/image.h"

namespace yolov3 {

// One picture of a data set as the network sees it.
struct ExplainedPicture {
  std::string source;
  Image input;                      // letterboxed
  std::vector<Annotation> objects;  // box_net
  std::vector<std::string> names;
  std::vector<Head> heads;
  AssignOptions assign;
  TargetWords words;  // of `assign`
  double ignore_iou = 0.5;
  Explanation explanation;
  std::optional<Answers> answers;  // with weights
};

std::string explain_text(const ExplainedPicture& picture);

// "an anchor answers above IoU 0.3"
std::string matching_text(const ExplainedPicture& picture);

// docs/formats.md has the keys. Boxes are cx, cy, w, h in network pixels.
std::string explain_json(const ExplainedPicture& picture);

// The cells of one scale over the picture: who answers for what, with a heading and a legend.
Image explain_picture(const ExplainedPicture& picture, size_t scale);

}  // namespace yolov3
