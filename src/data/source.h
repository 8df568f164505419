// From what the user wrote after --data to data sets, with every defect of the files found, counted and listed.
//
// Accepts: a data.yaml, a Darknet .data, a Pascal VOC folder, a COCO instances .json, a folder or list of pictures with
// YOLO txt labels, an annotation-lines .txt, "synthetic[:N]" (docs/formats.md).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace yolov3 {

enum class BadDataPolicy {
  skip,    // leave the bad box or picture out; more than 5% of either stops the run
  repair,  // as skip, but boxes are clipped to the picture, put the right way round and de-duplicated first
  error,   // stop at the first defect
};
BadDataPolicy parse_bad_data_policy(const std::string& text);

struct Defect {
  std::string reason;                  // a short fixed text to count by: "missing image", "box outside image", ...
  std::string where;                   // file:line
  std::string detail;                  // what was expected and found
  bool image = false;                  // the picture is concerned, not just one box
  bool repaired = false;               // mended: the box was kept, or was the copy that de-duplication removes
  bool kept = false;                   // suspicious only: the box or picture was kept as it is
  bool beside = false;                 // lies beside the data set and was never a part of it
  std::filesystem::path picture = {};  // of a box: where it is to be seen
  std::optional<Box> box_image = std::nullopt;
  std::optional<Box> other_image = std::nullopt;  // the box that it is a copy of
};

// What became of the defects of one reason.
struct DefectOutcome {
  int64_t left_out = 0, repaired = 0, kept = 0;
};

struct DefectReport {
  std::vector<Defect> defects;
  int64_t boxes_seen = 0, images_seen = 0;
  std::map<std::string, int64_t> unheld;          // what the files say and a Dataset cannot hold ("outline"), counted
  std::map<std::string, int64_t> counts() const;  // by reason
  std::map<std::string, DefectOutcome> outcomes() const;  // by reason
};

struct DataOptions {
  std::string data;                      // as the user wrote it
  std::filesystem::path names;           // --names: a file of class names; empty = what the data set says
  std::vector<std::string> known_names;  // of another split that was loaded before; found anew when empty
  std::filesystem::path images;          // --images: the pictures of COCO files; empty = looked for around the file
  BadDataPolicy bad_data = BadDataPolicy::skip;
  bool verify_images = true;   // decode every picture once, in parallel, to find broken ones before training; false:
                               // stated sizes are believed, of others the header is read
  double max_left_out = 0.05;  // share of the pictures, and of the boxes, that may be left out; 1 = any: who only looks
  int threads = 0;             // for that; 0 = all
  uint64_t seed = 0;           // of synthetic data
};

constexpr const char* kWholeDataset = "all";

// The splits that load_dataset knows here: of a data.yaml those that it names; of a VOC folder train, val and test
// where ImageSets/Main has them, else all of its lists; of synthetic data all three; kWholeDataset alone of what has no
// splits (a lines file, a VOC folder without ImageSets, FOLDER:SPLIT). Whether they can be read is seen when they are
// loaded. Errors: nothing at that place, a kind of source this version does not read.
std::vector<std::string> splits_of(const DataOptions& options);

// split: "train", "val" or "test", or what splits_of gives. A data set without splits is its own train and val, with a
// warning. Errors: nothing at that place, no such split, too many defects (Kind::bad_data).
// The report is filled also when the function throws.
Dataset load_dataset(const DataOptions& options, const std::string& split, DefectReport& report);

// What lies in the data set and no split of splits_of() reads: annotations of a VOC folder in none of its lists,
// pictures there without annotation, splits of other names. Nothing for data sets that say themselves what they are.
std::vector<Defect> find_unread(const DataOptions& options);

// The folders that are searched for pictures and annotations: nothing may be written into them.
std::vector<std::filesystem::path> source_folders(const DataOptions& options);

// Whether the data set is, or would be, read from a file: what --data and --names name and what that names in turn, and any
// annotation or picture, by its ending, in a folder that is searched or among its labels, whether it is there or not. Not
// known are the pictures of a list, and their labels.
bool is_read_from(const DataOptions& options, const std::filesystem::path& file);

// Class names of the file: BOM, CRLF, blank lines and spaces around are taken off, spaces inside kept; UTF-16 is
// refused.
std::vector<std::string> read_class_names(const std::filesystem::path& path);
std::vector<std::string> parse_class_names(std::string_view text, const std::string& name);

// A table of counts by reason and the first `max_listed` defects, for the log; all of them go to a file of the run.
std::string describe(const DefectReport& report, size_t max_listed);

}  // namespace yolov3
