// What kind of data source a text names, by looking at what lies there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace yolov3 {

enum class SourceKind { lines, voc, coco, yolo_folder, yolo_list, synthetic };

// A source as written, not looked at yet: a split that nobody asked for need not be there.
struct WrittenSource {
  std::string text;
  std::filesystem::path path;                // the same, relative to the file that names it
  std::vector<std::filesystem::path> bases;  // of a Darknet list: what its paths may be relative to
};

struct Source {
  SourceKind kind = SourceKind::lines;
  std::filesystem::path path;
  std::string own_split;  // of a VOC folder; empty = the split that is asked for
  int64_t count = 0;      // of synthetic pictures
  std::vector<std::filesystem::path> bases = {};
};

constexpr int64_t kSyntheticPictures = 200;  // of "synthetic" without a number

constexpr const char* kReadable =
    "a data.yaml, a Darknet .data, a Pascal VOC folder, a COCO instances .json, a folder or list of pictures with YOLO "
    "txt labels, annotation lines (.txt) or synthetic[:N]";

bool is_yaml(const std::string& text);
bool is_darknet_data(const std::string& text);

// Errors: nothing there, or nothing that is known.
Source parse_source(const WrittenSource& written);
std::vector<Source> parse_sources(const std::vector<WrittenSource>& written);

}  // namespace yolov3
