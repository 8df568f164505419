#include "app/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/usage.h"
#include "net/coco_names.h"

namespace yolov3 {
namespace {

// RFC 4180: quoted where needed, quotes doubled.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c;
    if (c == '"') quoted += '"';
  }
  return quoted + '"';
}

const char* file_name(ResultFormat format) {
  switch (format) {
    case ResultFormat::json: return "detections.jsonl";
    case ResultFormat::csv: return "detections.csv";
    case ResultFormat::coco: return "detections.json";
    default: return nullptr;
  }
}

}  // namespace

ResultFormat parse_result_format(const std::string& text) {
  static const std::pair<const char*, ResultFormat> kFormats[] = {{"none", ResultFormat::none},
                                                                  {"json", ResultFormat::json},
                                                                  {"csv", ResultFormat::csv},
                                                                  {"txt", ResultFormat::txt},
                                                                  {"coco", ResultFormat::coco}};
  for (const auto& [name, format] : kFormats) {
    if (text == name) return format;
  }
  fail_usage("unknown result format \"{}\": expected none, json, csv, txt or coco", text);
}

std::string json_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string class_name(int class_id, const std::vector<std::string>& names) {
  const auto index = static_cast<size_t>(class_id);
  return class_id >= 0 && index < names.size() ? names[index] : fmt::format("{}", class_id);
}

std::string json_result(const PictureResult& result, const std::vector<std::string>& names) {
  std::string line =
      fmt::format("{{\"source\":{},\"frame\":0,\"time_s\":0.0,\"width\":{},\"height\":{},\"detections\":[",
                  json_string(result.source), result.width, result.height);
  const char* comma = "";
  for (const Detection& d : result.detections) {
    line += fmt::format("{}{{\"class_id\":{},\"class\":{},\"score\":{},\"box\":[{},{},{},{}]}}", comma, d.class_id,
                        json_string(class_name(d.class_id, names)), d.score, d.box.x0, d.box.y0, d.box.x1, d.box.y1);
    comma = ",";
  }
  return line + "]}";
}

std::string csv_result(const PictureResult& result, const std::vector<std::string>& names) {
  std::string lines;
  for (const Detection& d : result.detections) {
    lines += fmt::format("{},0,0,{},{},{},{},{},{},{},{},{}\n", csv_field(result.source), result.width, result.height,
                         d.class_id, csv_field(class_name(d.class_id, names)), d.score, d.box.x0, d.box.y0, d.box.x1,
                         d.box.y1);
  }
  return lines;
}

std::string txt_result(const PictureResult& result) {
  const auto width = static_cast<float>(result.width), height = static_cast<float>(result.height);
  std::string lines;
  for (const Detection& d : result.detections) {
    lines += fmt::format("{} {} {} {} {} {}\n", d.class_id, d.box.center_x() / width, d.box.center_y() / height,
                         d.box.width() / width, d.box.height() / height, d.score);
  }
  return lines;
}

std::string coco_result(const PictureResult& result, const std::vector<int>& category_ids) {
  std::string entries;
  const char* comma = "";
  for (const Detection& d : result.detections) {
    const auto index = static_cast<size_t>(d.class_id);
    entries +=
        fmt::format("{}{{\"image_id\":{},\"file_name\":{},\"category_id\":{},\"bbox\":[{},{},{},{}],\"score\":{}}}",
                    comma, result.image_id, json_string(std::filesystem::path(result.source).filename().string()),
                    index < category_ids.size() ? category_ids[index] : d.class_id, d.box.x0, d.box.y0, d.box.width(),
                    d.box.height(), d.score);
    comma = ",\n";
  }
  return entries;
}

ResultWriter::ResultWriter(ResultFormat format, std::filesystem::path folder, std::vector<std::string> names)
    : format_(format), folder_(std::move(folder)), names_(std::move(names)), category_ids_(coco_category_ids(names_)) {
  if (folder_.empty() && (format_ == ResultFormat::txt || format_ == ResultFormat::none)) {
    fail_usage(
        "--out - writes results to stdout as --format json, csv or coco; txt is a file a picture and none is nothing");
  }
  if (!folder_.empty() && file_name(format_)) file_ = std::make_unique<AtomicFile>(folder_ / file_name(format_));
  if (!folder_.empty() && format_ == ResultFormat::txt) make_directories(folder_ / "labels");
  if (format_ == ResultFormat::csv) put(kCsvHeader);
  if (format_ == ResultFormat::coco) put("[");
}

ResultWriter::~ResultWriter() = default;

void ResultWriter::put(const std::string& text) {
  if (file_) {
    try {
      file_->write(text);
      written_ += text.size();
    } catch (const Error&) {
      cut_back();
      throw;
    }
  } else if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fail("cannot write results to stdout: {}", std::strerror(errno));
  }
}

// Takes half an entry off again. The file's own position is then past its end, so finish() must not write through it.
void ResultWriter::cut_back() {
  std::error_code ignored;  // the error of the write is the one to tell
  std::filesystem::resize_file(file_->temporary(), written_, ignored);
  damaged_ = true;
}

void ResultWriter::add(const PictureResult& result) {
  switch (format_) {
    case ResultFormat::none: return;
    case ResultFormat::json: return put(json_result(result, names_) + "\n");
    case ResultFormat::csv: return put(csv_result(result, names_));
    case ResultFormat::txt: return write_file(folder_ / "labels" / (result.stem + ".txt"), txt_result(result));
    case ResultFormat::coco: {
      if (result.detections.empty()) return;
      put((first_ ? "\n" : ",\n") + coco_result(result, category_ids_));
      first_ = false;
    }
  }
}

void ResultWriter::finish() {
  if (format_ == ResultFormat::coco && !damaged_) put("\n]\n");
  if (damaged_) {
    check(std::filesystem::file_size(file_->temporary()) == written_, "{}: half an entry cannot be taken off again",
          (folder_ / file_name(format_)).string());
  }
  if (format_ == ResultFormat::coco && damaged_) {
    std::ofstream end(file_->temporary(), std::ios::binary | std::ios::app);
    end << "\n]\n" << std::flush;
    check(end.good(), "{}: cannot write", (folder_ / file_name(format_)).string());
  }
  if (file_) file_->commit();
}

}  // namespace yolov3
