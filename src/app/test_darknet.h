// For tests: Darknet's own program (Debian's package "darknet", of 2018) as a detector.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/objects.h"
#include "image/load.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3::test {

inline bool have_darknet() { return std::system("command -v darknet >/dev/null 2>&1") == 0; }

// By the stem of the picture's name.
using BoxesOfPictures = std::map<std::string, std::vector<Detection>>;

// A line "ID SCORE X0 Y0 X1 Y1".
inline void read_darknet_boxes(const std::filesystem::path& file, int class_id, BoxesOfPictures& boxes) {
  std::istringstream lines(read_file(file));
  std::string id;
  Detection d;
  d.class_id = class_id;
  for (Box& b = d.box; lines >> id >> d.score >> b.x0 >> b.y0 >> b.x1 >> b.y1;) boxes.at(id).push_back(d);
}

// Boxes as Darknet's program writes them: pixels count from 1, and what is less or beyond the picture is cut there.
inline void count_pixels_from_one(const std::vector<std::filesystem::path>& pictures, BoxesOfPictures& boxes) {
  for (const std::filesystem::path& picture : pictures) {
    const LoadedImage image = load_image(picture);
    const auto width = static_cast<float>(image.full_width), height = static_cast<float>(image.full_height);
    for (Detection& d : boxes[picture.stem()]) {
      const Box& b = d.box;
      d.box = {std::max(1.0f, b.x0 + 1), std::max(1.0f, b.y0 + 1), std::min(width, b.x1 + 1),
               std::min(height, b.y1 + 1)};
    }
  }
}

// What `darknet detector valid` finds: letterboxed, every class over 0.005, NMS at 0.45. At least four pictures, or it
// reads behind its list. Pixels count from 1 (count_pixels_from_one). Works in `folder`, which holds nothing else.
inline BoxesOfPictures boxes_by_darknet(const std::string& cfg, const std::string& weights, int classes,
                                        const std::vector<std::filesystem::path>& pictures,
                                        const std::filesystem::path& folder) {
  check(pictures.size() >= 4, "Darknet wants four pictures");
  make_directories(folder / "results");
  std::string list, names;
  BoxesOfPictures boxes;
  for (const std::filesystem::path& picture : pictures) {
    boxes[picture.stem()];
    list += std::filesystem::absolute(picture).string() + "\n";
  }
  for (int k = 0; k < classes; ++k) names += std::to_string(k) + "\n";
  write_file(folder / "list.txt", list);
  write_file(folder / "names.txt", names);
  write_file(folder / "set.data",
             fmt::format("classes={}\nvalid=list.txt\nnames=names.txt\nresults=results\n", classes));
  const std::string command = fmt::format("cd '{}' && darknet detector valid set.data '{}' '{}' -out of_ >log 2>&1",
                                          folder.string(), cfg, weights);
  const int status = std::system(command.c_str());
  const std::string log = read_file(folder / "log");
  EXPECT_EQ(status, 0) << log.substr(log.size() - std::min<size_t>(log.size(), 500));
  for (int k = 0; k < classes; ++k) read_darknet_boxes(folder / fmt::format("results/of_{}.txt", k), k, boxes);
  return boxes;
}

// The weights with which a network of ours computes what Darknet's program does on a CPU: it divides by
// sqrt(variance) + 1e-6 where others divide by sqrt(variance + 1e-5). (On a GPU, where models are trained, it adds 1e-5
// under the root too.)
inline Weights as_darknet_normalises(const NetworkSpec& spec, Weights weights) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind != ParamKind::gamma) continue;
    const Tensor& variance = weights.tensors[i + 2];
    for (int64_t f = 0; f < variance.size(); ++f) {
      const double v = std::max(0.0, double{variance[f]});
      weights.tensors[i][f] =
          static_cast<float>(weights.tensors[i][f] * std::sqrt(v + spec.bn_epsilon) / (std::sqrt(v) + 1e-6));
    }
  }
  return weights;
}

}  // namespace yolov3::test
