// Data sets to disk, in any of the formats that are read: what is written reads back equal, as far as the format goes.
//
// What the format cannot say is listed, nothing is dropped silently. Pictures are copied byte by byte and keep their
// names where these are free and plain; synthetic ones are drawn.
// FOLDER appears whole or not at all: it is built beside its place and renamed.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace yolov3 {

// lines  data.yaml, names.txt, SPLIT.txt, images/SPLIT/
// voc    Annotations/, ImageSets/Main/SPLIT.txt, JPEGImages/, names.txt
// coco   data.yaml, annotations/instances_SPLIT.json, images/SPLIT/
// yolo   data.yaml, images/SPLIT/, labels/SPLIT/
enum class DataFormat { lines, voc, coco, yolo };
DataFormat parse_data_format(const std::string& text);
std::string to_string(DataFormat format);

struct WriteOptions {
  std::string extension = ".png";  // of synthetic pictures: ".png" keeps every pixel, ".jpg" is smaller
  int jpeg_quality = 92;
  int threads = 0;    // 0 = all
  std::string notes;  // put before the losses in FOLDER/not-converted.txt
};

// What the new files do not say.
struct Loss {
  std::string what;    // to count by: "crowd region", "area of its own", "name of the picture", ...
  std::string where;   // the origin of the picture
  bool gone = false;   // the whole box is left out, not just a property of it
  std::string detail;  // which box
  int64_t count = 1;   // objects; properties are told a picture at a time: a large data set may have them everywhere
};

// Before a long run: the Error that write_dataset would end with, if there is something at the place already.
void check_new_folder(const std::filesystem::path& folder);

// `splits` by name ("train", "val", "test"; of VOC any word), all with the same class names.
// Errors: FOLDER holds something already (nothing is ever overwritten), a picture cannot be read, the disk is full.
std::vector<Loss> write_dataset(const std::filesystem::path& folder, DataFormat format,
                                const std::map<std::string, Dataset>& splits, const WriteOptions& options = {});

// What to give to --data afterwards: FOLDER/data.yaml, or FOLDER of VOC.
std::filesystem::path written_data(const std::filesystem::path& folder, DataFormat format);

// A table of counts and the first `max_listed`.
std::string describe(const std::vector<Loss>& losses, size_t max_listed);

}  // namespace yolov3
