// What detect found, for programs: JSON lines, CSV, YOLO label files or a COCO results file (docs/formats.md).
//
// Frame: pixels of the picture, origin top left, x1 and y1 exclusive.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/objects.h"

namespace yolov3 {

struct PictureResult {
  std::string source;  // as the user named it
  std::string stem;    // of files written for it
  int64_t image_id = 0;
  int width = 0, height = 0;
  std::vector<Detection> detections;
};

enum class ResultFormat { none, json, csv, txt, coco };
ResultFormat parse_result_format(const std::string& text);

// `text` as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string json_string(const std::string& text);

// The name of a class; its number where there is no name.
std::string class_name(int class_id, const std::vector<std::string>& names);

// One object, no line end.
std::string json_result(const PictureResult& result, const std::vector<std::string>& names);

constexpr const char* kCsvHeader = "source,frame,time_s,width,height,class_id,class,score,x0,y0,x1,y1\n";
std::string csv_result(const PictureResult& result, const std::vector<std::string>& names);  // a line a box

// "class cx cy w h score", a line a box, centre and size as fractions of the picture.
std::string txt_result(const PictureResult& result);

// An object a box, comma separated; file_name beside COCO's own keys. category_ids: of each class.
std::string coco_result(const PictureResult& result, const std::vector<int>& category_ids);

// Writes the results of a run into its folder (detections.jsonl, detections.csv, detections.json, labels/STEM.txt), or
// to stdout when the folder is empty. Files appear whole at finish(); label files at once. After an add() that failed
// (a full disk), finish() still gives a whole file of the pictures before.
class ResultWriter {
 public:
  ResultWriter(ResultFormat format, std::filesystem::path folder, std::vector<std::string> names);
  ~ResultWriter();

  void add(const PictureResult& result);
  void finish();

 private:
  void put(const std::string& text);
  void cut_back();

  ResultFormat format_;
  std::filesystem::path folder_;
  std::vector<std::string> names_;
  std::vector<int> category_ids_;
  std::unique_ptr<AtomicFile> file_;
  uint64_t written_ = 0;  // bytes of file_ that are whole entries
  bool first_ = true, damaged_ = false;
};

}  // namespace yolov3
