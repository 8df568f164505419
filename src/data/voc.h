// Pascal VOC folders: Annotations/*.xml, JPEGImages/, ImageSets/Main/<split>.txt; also annotations/*.xml with images/,
// and pictures with *.xml beside them in one folder, as labelImg writes them.
//
// A picture's image is the one in JPEGImages with the annotation's stem and any image extension, case ignored (the
// development kit's rule); where there is none or more than one, <filename> decides. Corners stay as written (1-based,
// inclusive): check_boxes.h converts them. `difficult` is kept. <size> is taken but only trusted when nothing better is
// known. Class names are those of all annotations of the folder, whatever the split, sorted by bytes.
// Errors: no such folder, no such split. Missing and broken XML files become defects of their picture.
// Source: the VOC 2007 development kit's documentation.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/check_boxes.h"

namespace yolov3 {

// Is it one of the layouts above? An Annotations folder is enough.
bool is_voc_folder(const std::filesystem::path& folder);

// Names of the splits in ImageSets/Main, sorted; empty = the whole folder is every split. Class files (`dog_train.txt`)
// count too: they list pictures.
std::vector<std::string> voc_splits(const std::filesystem::path& folder);

std::vector<std::string> voc_class_names(const std::filesystem::path& folder);

// What annotations say and a Dataset cannot hold, by key: "object truncated", "annotation owner".
using Unheld = std::map<std::string, int64_t>;

struct VocPictures {
  std::vector<StatedPicture> pictures;
  std::vector<Defect> loose;  // of a folder without ImageSets: pictures without annotation
  Unheld unheld;
};

// `names` give the class ids.
VocPictures read_voc(const std::filesystem::path& folder, const std::string& split,
                     const std::vector<std::string>& names);

// Annotations that none of these lists names, and pictures that have no annotation and are in none of them either.
std::vector<Defect> find_unlisted(const std::filesystem::path& folder, const std::vector<std::string>& splits);

// One annotation. `file` is for messages; `picture.image` is <filename> as written.
StatedPicture parse_voc_xml(std::string_view text, const std::string& file, const std::vector<std::string>& names,
                            Unheld* unheld = nullptr);

}  // namespace yolov3
