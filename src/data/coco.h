// COCO's instances JSON as a data set: images, annotations, categories.
//
// The file is streamed (json_stream.h): memory is what its boxes need, whatever its outlines weigh. Of an image `id`,
// `file_name`, `width` and `height` are taken, of an annotation `id`, `image_id`, `category_id`, `bbox` (x, y, width,
// height), `area`, `iscrowd` and `ignore` (which VOC calls difficult), of a category `id` and `name`. Category ids may
// start anywhere and have gaps. Lists may come in any order. Everything else is counted as unheld by its key.
// Units: pixels. Frame: box_image.
// Errors, with file and line: not JSON, a list missing or standing twice, categories that are none, over 5 million
// images or 20 million annotations. What is wrong with one image or annotation becomes a defect.
// Source: cocodataset.org/#format-data; `ignore` as mmdetection's VOC converter writes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/check_boxes.h"

namespace yolov3 {

struct CocoCategory {
  int64_t id = 0;
  std::string name;
};

struct CocoData {
  std::vector<CocoCategory> categories;  // by id; a name may stand twice
  std::vector<StatedPicture> pictures;   // image = file_name as written; class_id = category id
  std::vector<Defect> loose;             // annotations without an image
  std::map<std::string, int64_t> unheld;
};

CocoData parse_coco(std::istream& in, const std::string& name);
CocoData read_coco(const std::filesystem::path& path);

// The categories alone; reading ends behind them.
std::vector<CocoCategory> read_coco_categories(const std::filesystem::path& path);

// Categories to class indices by name; what is not among the names has no class and says so.
void name_classes(CocoData& data, const std::vector<std::string>& names);

// A category id for each class: the file's where it has the name, else numbers that it does not use.
std::vector<int64_t> category_ids(const std::vector<CocoCategory>& categories, const std::vector<std::string>& names);

// Where `file_name` is in the folder: as written, with slashes for Windows' backslashes, or, since files move without
// the folders that were above them, by its last part alone. As written when nowhere.
std::filesystem::path coco_picture(const std::filesystem::path& folder, const std::filesystem::path& file_name);

// Where the pictures of the file are: the first of the usual places around it that has one of them. With a file
// `instances_train2017.json` in `annotations/`: there, `images/`, `../`, `../images/`, `../train2017/`,
// `../images/train2017/` and their like. The file's own folder when none is found.
std::filesystem::path find_coco_images(const std::filesystem::path& path, const CocoData& data);

}  // namespace yolov3
