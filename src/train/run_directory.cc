#include "train/run_directory.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr const char* kHeader =
    "epoch,time,train/box_loss,train/obj_loss,train/cls_loss,metrics/precision,metrics/recall,metrics/mAP_0.5,"
    "metrics/mAP_0.5:0.95,val/box_loss,val/obj_loss,val/cls_loss,x/lr0";

std::string csv_row(const EpochRecord& r) {
  std::string row =
      fmt::format("{},{:.2f},{:.6g},{:.6g},{:.6g},", r.epoch, r.seconds, r.box_loss, r.obj_loss, r.cls_loss);
  if (r.validated) {
    row += fmt::format("{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},", r.precision, r.recall, r.map50, r.map50_95,
                       r.val_box_loss, r.val_obj_loss, r.val_cls_loss);
  } else {
    row += ",,,,,,,";
  }
  return row + fmt::format("{:.6g}", r.lr);
}

// As fmt writes it: a loss may be no number.
std::optional<double> parse_value(std::string_view text) {
  if (text.empty()) return 0.0;
  const std::string_view size = text.starts_with('-') ? text.substr(1) : text;
  if (size == "nan") return NAN;
  if (size == "inf") return text == size ? INFINITY : -INFINITY;
  return parse_number(text);
}

// Nothing for the header and for lines that are not ours.
std::optional<EpochRecord> parse_row(std::string_view line) {
  const std::vector<std::string_view> fields = split(line, ',');
  if (fields.size() != 13) return std::nullopt;
  std::array<double, 13> values{};
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::optional<double> value = parse_value(fields[i]);
    if (!value || (i == 0 && !std::isfinite(*value))) return std::nullopt;
    values[i] = *value;
  }
  const auto& v = values;
  return EpochRecord{static_cast<int>(v[0]), v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12],
                     !fields[7].empty()};
}

}  // namespace

fs::path make_run_directory(const fs::path& project, const std::string& name) {
  make_directories(project);
  for (int number = 1; number < 100000; ++number) {
    const fs::path directory = project / (number == 1 ? name : name + std::to_string(number));
    std::error_code reason;
    if (fs::create_directory(directory, reason)) {  // false when it is there already: made by one process only
      make_directories(directory / "weights");
      return directory;
    }
    check(!reason, "{}: cannot create the folder: {}", directory.string(), reason.message());
  }
  fail("{}: 99999 runs of that name; choose another --name", (project / name).string());
}

void ResultsCsv::take_over(const std::string& text, int end) {
  records_.clear();
  for (const std::string_view line : split_lines(text)) {
    const std::optional<EpochRecord> record = parse_row(line);
    if (record && record->epoch < end) records_.push_back(*record);
  }
}

void ResultsCsv::add(const EpochRecord& record) {
  records_.push_back(record);
  write_file(path_, text());
}

std::string ResultsCsv::text() const {
  std::string text = std::string(kHeader) + "\n";
  for (const EpochRecord& row : records_) text += csv_row(row) + "\n";
  return text;
}

std::vector<std::pair<std::string, float>> epoch_scalars(const EpochRecord& r) {
  std::vector<std::pair<std::string, double>> values = {
      {"train/box_loss", r.box_loss}, {"train/obj_loss", r.obj_loss}, {"train/cls_loss", r.cls_loss}, {"x/lr0", r.lr}};
  if (r.validated) {
    values.insert(values.end(), {{"metrics/precision", r.precision},
                                 {"metrics/recall", r.recall},
                                 {"metrics/mAP_0.5", r.map50},
                                 {"metrics/mAP_0.5:0.95", r.map50_95},
                                 {"val/box_loss", r.val_box_loss},
                                 {"val/obj_loss", r.val_obj_loss},
                                 {"val/cls_loss", r.val_cls_loss}});
  }
  return {values.begin(), values.end()};
}

}  // namespace yolov3
