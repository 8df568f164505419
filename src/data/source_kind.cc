#include "data/source_kind.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/files_below.h"
#include "data/text_guard.h"
#include "data/voc.h"
#include "data/yolo.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

std::optional<Source> parse_synthetic(const std::string& text) {
  if (text != "synthetic" && !text.starts_with("synthetic:")) return std::nullopt;
  Source source{.kind = SourceKind::synthetic, .path = {}, .own_split = {}, .count = kSyntheticPictures};
  if (text == "synthetic") return source;
  const std::optional<int64_t> count = parse_integer(std::string_view(text).substr(10));
  check(count && *count >= 1 && *count <= 10'000'000, "{}: expected synthetic:N with N from 1 to 10000000",
        shown(text));
  source.count = *count;
  return source;
}

// The files that a data set could be read from, for a hint; some at the most.
std::string data_files_in(const fs::path& folder) {
  constexpr size_t kMost = 4;
  std::vector<std::string> files;
  for (const fs::path& place : {folder, folder / "annotations"}) {
    if (!is_folder(place)) continue;
    for (const fs::path& file : list_files(place)) {
      const std::string name = file.string();
      const bool fits = is_yaml(name) || is_darknet_data(name) || ends_with_ignoring_case(name, ".json");
      if (fits && files.size() < kMost) files.push_back(name);
    }
  }
  return fmt::format("{}", fmt::join(files, ", "));
}

Source parse_folder(const fs::path& path) {
  if (is_voc_folder(path)) return {SourceKind::voc, path, "", 0};
  if (!yolo_splits(path).empty() || has_pictures(path)) return {SourceKind::yolo_folder, path, "", 0};
  const std::string files = data_files_in(path);
  fail(
      "{}: expected a Pascal VOC folder with Annotations and JPEGImages, or pictures with YOLO txt labels (images/ and "
      "labels/), found neither; {}",
      path.string(), files.empty() ? "is the path right?" : "did you mean a file in it: " + files + "?");
}

Source parse_file(const WrittenSource& written) {
  const fs::path& path = written.path;
  const std::string text = path.string();
  check(!is_yaml(text) && !is_darknet_data(text), "{}: a data.yaml or .data inside another is not read", text);
  if (ends_with_ignoring_case(text, ".json")) return {SourceKind::coco, path, "", 0};
  check(ends_with_ignoring_case(text, ".txt"), "{}: expected {}", text, kReadable);
  if (!written.bases.empty()) return {SourceKind::yolo_list, path, "", 0, written.bases};
  const fs::path main = path.parent_path(), sets = main.parent_path();
  if (main.filename() == "Main" && sets.filename() == "ImageSets" && is_voc_folder(sets.parent_path())) {
    return {SourceKind::voc, sets.parent_path(), path.stem().string(), 0};
  }
  return {SourceKind::lines, path, "", 0};
}

}  // namespace

bool is_yaml(const std::string& text) {
  return ends_with_ignoring_case(text, ".yaml") || ends_with_ignoring_case(text, ".yml");
}

bool is_darknet_data(const std::string& text) { return ends_with_ignoring_case(text, ".data"); }

Source parse_source(const WrittenSource& written) {
  if (std::optional<Source> synthetic = parse_synthetic(written.text)) return *synthetic;
  if (is_folder(written.path)) return parse_folder(written.path);
  if (is_there(written.path)) return parse_file(written);
  const std::string whole = written.path.string();
  const size_t colon = whole.rfind(':');
  if (colon != std::string::npos && is_voc_folder(whole.substr(0, colon))) {
    return {SourceKind::voc, whole.substr(0, colon), whole.substr(colon + 1), 0};
  }
  fail("{}: no such file or folder; expected {}", shown(whole, 300), kReadable);
}

std::vector<Source> parse_sources(const std::vector<WrittenSource>& written) {
  std::vector<Source> sources;
  for (const WrittenSource& source : written) sources.push_back(parse_source(source));
  return sources;
}

}  // namespace yolov3
