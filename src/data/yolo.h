// YOLO txt: pictures in folders or lists, one text file of boxes for each.
//
// A label line is `class cx cy w h`, centre and size as shares of the picture's sides, or `class x y x y x y ...`, an
// outline of at least three points, of which the box around it is taken. The label of a picture lies where the last
// folder named `images` (or JPEGImages) of its path is named `labels`, with the extension .txt; where there is none, it
// lies beside the picture. A picture without a label is background, and noted; an empty label says so on purpose.
// Errors: no such folder, no pictures, not one label. Broken labels become defects of their picture.
// Source: Darknet's load_data_detection, Ultralytics' img2label_paths.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/check_boxes.h"

namespace yolov3 {

// Where a picture's label is looked for first.
std::filesystem::path yolo_label_path(const std::filesystem::path& image);

// Fills in the boxes of one picture; `file` is for messages.
StatedPicture parse_yolo_labels(std::string_view text, const std::string& file,
                                std::map<std::string, int64_t>* unheld = nullptr);

struct YoloPictures {
  std::vector<StatedPicture> pictures;
  std::vector<Defect> loose;              // labels without a picture (folders only: a list may be a part of them)
  std::map<std::string, int64_t> unheld;  // "outline"
};

// All pictures below the folder, in byte order of their paths; links to folders are followed.
YoloPictures read_yolo_folder(const std::filesystem::path& folder);

// A list of paths, one a line, each relative to the one of `bases` where most of them are (the first when equal).
// Nothing when not one picture of it has a label.
std::optional<YoloPictures> read_yolo_list(const std::filesystem::path& list,
                                           const std::vector<std::filesystem::path>& bases);

// The splits of a data set's folder, of its layouts images/SPLIT and SPLIT/images: folders of pictures by split, where
// train2017 counts as train and valid as val. Key "" = images/ itself, which has no splits. Empty = another layout.
std::map<std::string, std::vector<std::filesystem::path>> yolo_splits(const std::filesystem::path& folder);

// Pictures of such a folder that none of these splits holds: of a folder of another name, or beside the folders.
std::vector<Defect> find_pictures_in_no_split(const std::filesystem::path& folder,
                                              const std::vector<std::string>& splits);

// A corner from centre and side: what is rounding away from the border is the border.
inline double yolo_corner(double center, double half_side) {
  const double share = center + half_side;
  return share > -1e-9 && share < 1e-9 ? 0 : share;
}

// Are there pictures in the folder or below?
bool has_pictures(const std::filesystem::path& folder);

// The path with its last folder "images" (or one of its kind) called `labels`; empty when it has none.
std::filesystem::path with_labels_folder(const std::filesystem::path& path);

}  // namespace yolov3
