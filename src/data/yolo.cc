#include "data/yolo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_set>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/files_below.h"
#include "data/text_guard.h"
#include "image/load.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr uint64_t kMaxLabelBytes = 16 << 20;
constexpr uint64_t kMaxListBytes = 256 << 20;
constexpr size_t kMaxListed = 20'000'000;
constexpr size_t kMaxPathBytes = 4096;
constexpr size_t kMaxOutlineWords = 100'000;
constexpr double kMaxShare = 1e6;  // a share beyond this is a defect, and sums would overflow

// Text files that stand among labels and are none.
bool is_other_list(const fs::path& file) {
  static const std::set<std::string> kNames = {"classes.txt", "names.txt", "obj_names.txt", "train.txt",      "val.txt",
                                               "valid.txt",   "test.txt",  "readme.txt",    "_darknet.labels"};
  return kNames.contains(to_lower(file.filename().string()));
}

// The label of a picture that is there: at the usual place, else beside it.
std::optional<fs::path> find_label(const fs::path& image) {
  const fs::path usual = yolo_label_path(image);
  if (is_there(usual)) return usual;
  fs::path beside = image;
  beside.replace_extension(".txt");
  if (beside != usual && is_there(beside)) return beside;
  return std::nullopt;
}

bool read_numbers(const std::vector<std::string_view>& words, std::vector<double>& numbers) {
  numbers.clear();
  for (const std::string_view word : words) {
    const std::optional<double> number = parse_number(word);
    if (!number || std::abs(*number) > kMaxShare) return false;
    numbers.push_back(*number);
  }
  return true;
}

// v = class, then four numbers or an outline.
void set_corners(const std::vector<double>& v, StatedBox& box) {
  box.class_id = static_cast<int64_t>(v[0]);
  if (v.size() == 5) {
    box.x0 = yolo_corner(v[1], -v[3] / 2), box.x1 = yolo_corner(v[1], v[3] / 2);
    box.y0 = yolo_corner(v[2], -v[4] / 2), box.y1 = yolo_corner(v[2], v[4] / 2);
    return;
  }
  box.x0 = box.x1 = v[1];
  box.y0 = box.y1 = v[2];
  for (size_t i = 3; i + 1 < v.size(); i += 2) {
    box.x0 = std::min(box.x0, v[i]), box.x1 = std::max(box.x1, v[i]);
    box.y0 = std::min(box.y0, v[i + 1]), box.y1 = std::max(box.y1, v[i + 1]);
  }
}

StatedBox parse_label(std::string_view line, std::vector<double>& numbers, bool& outline) {
  StatedBox box;
  const std::vector<std::string_view> words = split_words(line);
  outline = words.size() >= 7 && words.size() % 2 == 1 && words.size() <= kMaxOutlineWords;
  const bool fits =
      (words.size() == 5 || outline) && read_numbers(words, numbers) && numbers[0] == std::floor(numbers[0]);
  if (fits) {
    set_corners(numbers, box);
  } else {
    outline = false;
    box.unreadable = true;
    box.problem = fmt::format("expected `class cx cy w h` in numbers, found \"{}\"", shown(line, 60));
  }
  return box;
}

Defect unusable(const char* reason, std::string where, std::string detail) {
  return {reason, std::move(where), std::move(detail), true, false};
}

// `where` = what names the picture: the list's line, or the picture itself.
StatedPicture read_picture(const fs::path& image, const std::string& where, YoloPictures& all, bool& labelled) {
  StatedPicture picture;
  const std::optional<fs::path> label = find_label(image);
  labelled = label.has_value();
  if (label) {
    try {
      picture = parse_yolo_labels(read_text(*label, kMaxLabelBytes), label->string(), &all.unheld);
    } catch (const Error& error) {  // too large, binary, not readable
      picture.file = label->string();
      picture.defect = unusable("broken annotation", label->string(), error.what());
    }
  } else {
    picture.file = where;
    if (is_there(image)) {
      picture.note = unusable("image without label", where,
                              fmt::format("there is no {}; taken as background", yolo_label_path(image).string()));
      picture.note->kept = true;
      picture.note->picture = image;
    }
  }
  picture.image = image;
  return picture;
}

// A folder's labels that no picture has.
void find_orphans(const fs::path& folder, YoloPictures& all) {
  const fs::path labels = with_labels_folder(folder);
  const bool apart = !labels.empty() && is_there(labels);
  std::unordered_set<std::string> used;
  for (const StatedPicture& picture : all.pictures) used.insert(picture.file);
  for (const fs::path& file : files_below(apart ? labels : folder)) {
    if (to_lower(file.extension().string()) != ".txt" || is_other_list(file) || is_shadow_of_macos(file)) continue;
    if (used.contains(file.string())) continue;
    all.loose.push_back(unusable("label without image", file.string(), "no picture has this label"));
  }
}

struct ListedPath {
  std::string path;
  int64_t line;
};

std::vector<ListedPath> read_list(const fs::path& list) {
  const std::string text = read_text(list, kMaxListBytes);
  std::vector<ListedPath> listed;
  int64_t number = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++number;
    const std::string_view path = trim(raw);
    if (path.empty()) continue;
    check(path.size() <= kMaxPathBytes, "{}:{}: a path of {} bytes, expected at most {}", list.string(), number,
          path.size(), kMaxPathBytes);
    check(listed.size() < kMaxListed, "{}: more than {} lines", list.string(), kMaxListed);
    listed.push_back({std::string(path), number});
  }
  check(!listed.empty(), "{}: expected paths of pictures, one a line, found none", list.string());
  return listed;
}

fs::path choose_base(const std::vector<ListedPath>& listed, const std::vector<fs::path>& bases, const fs::path& list) {
  constexpr size_t kLooked = 1000;
  const size_t step = std::max<size_t>(1, listed.size() / kLooked);
  size_t best = 0, best_found = 0;
  for (size_t b = 0; b < bases.size(); ++b) {
    size_t found = 0;
    for (size_t i = 0; i < listed.size(); i += step) found += is_there(existing_path(bases[b] / listed[i].path));
    if (found > best_found) best = b, best_found = found;
  }
  if (best > 0) {
    log_info("{}: its paths are taken relative to {}, where the pictures are", list.string(),
             bases[best].empty() ? "the working directory" : bases[best].string());
  }
  return bases[best];
}

std::string split_key(const std::string& folder) {
  const std::string name = to_lower(folder);
  for (const char* split : {"train", "val", "test"}) {
    if (name.starts_with(split)) return split;
  }
  return folder;
}

}  // namespace

fs::path yolo_label_path(const fs::path& image) {
  fs::path label = with_labels_folder(image.parent_path());
  label = label.empty() ? image : label / image.filename();
  return label.replace_extension(".txt");
}

fs::path with_labels_folder(const fs::path& path) {
  std::vector<fs::path> parts(path.begin(), path.end());
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i] != "images" && parts[i] != "JPEGImages") continue;
    parts[i] = "labels";
    fs::path changed;
    for (const fs::path& part : parts) changed /= part;
    return changed;
  }
  return {};
}

StatedPicture parse_yolo_labels(std::string_view text, const std::string& file,
                                std::map<std::string, int64_t>* unheld) {
  check_is_text(text, file);
  StatedPicture picture;
  picture.file = file;
  picture.relative = true;
  std::vector<double> numbers;
  int64_t number = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty()) continue;
    if (picture.boxes.size() > kMaxBoxesOfAPicture) break;  // is a defect as it is
    bool outline = false;
    picture.boxes.push_back(parse_label(line, numbers, outline));
    picture.boxes.back().line = number;
    if (outline && unheld) ++(*unheld)["outline"];
  }
  return picture;
}

bool has_pictures(const fs::path& folder) {
  std::error_code reason;
  return fs::is_directory(folder, reason) &&
         any_file_below(folder, [](const fs::path& file) { return has_image_extension(file); });
}

YoloPictures read_yolo_folder(const fs::path& folder) {
  YoloPictures all;
  bool any_label = false;
  for (const fs::path& file : files_below(folder)) {
    if (!has_image_extension(file)) continue;
    if (is_shadow_of_macos(file)) {
      ++all.unheld[kShadowOfMacos];
      continue;
    }
    bool labelled = false;
    all.pictures.push_back(read_picture(file, file.string(), all, labelled));
    any_label = any_label || labelled;
  }
  check(!all.pictures.empty(), "{}: expected pictures in this folder or below, found none", folder.string());
  check(any_label, "{}: not one of its {} pictures has a label; expected YOLO txt files such as {}", folder.string(),
        all.pictures.size(), yolo_label_path(all.pictures.front().image).string());
  find_orphans(folder, all);
  return all;
}

std::optional<YoloPictures> read_yolo_list(const fs::path& list, const std::vector<fs::path>& bases) {
  const std::vector<ListedPath> listed = read_list(list);
  const fs::path base = choose_base(listed, bases, list);
  YoloPictures all;
  bool any_label = false;
  for (const ListedPath& one : listed) {
    bool labelled = false;
    const std::string where = fmt::format("{}:{}", list.string(), one.line);
    all.pictures.push_back(read_picture(existing_path(base / one.path).lexically_normal(), where, all, labelled));
    any_label = any_label || labelled;
  }
  if (!any_label) return std::nullopt;
  return all;
}

std::map<std::string, std::vector<fs::path>> yolo_splits(const fs::path& folder) {
  std::map<std::string, std::vector<fs::path>> splits;
  std::error_code reason;
  std::vector<fs::path> folders;
  for (const fs::path& root : {folder / "images", folder}) {
    fs::directory_iterator entry(root, reason);
    for (const fs::directory_iterator end; !reason && entry != end; entry.increment(reason)) {
      if (entry->is_directory(reason)) folders.push_back(entry->path());
    }
    reason.clear();
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& one : folders) {
    if (one.parent_path() == folder) {
      if (fs::is_directory(one / "images", reason))
        splits[split_key(one.filename().string())].push_back(one / "images");
    } else if (has_pictures(one)) {
      splits[split_key(one.filename().string())].push_back(one);
    }
  }
  if (splits.empty() && has_pictures(folder / "images")) splits[""].push_back(folder / "images");
  return splits;
}

std::vector<Defect> find_pictures_in_no_split(const fs::path& folder, const std::vector<std::string>& splits) {
  std::vector<Defect> unread;
  const std::map<std::string, std::vector<fs::path>> known = yolo_splits(folder);
  if (known.empty() || known.contains("")) return unread;  // no splits: everything is read
  std::set<fs::path> read, all;
  for (const auto& [split, folders] : known) {
    const bool is_read = std::find(splits.begin(), splits.end(), split) != splits.end();
    for (const fs::path& one : folders) {
      for (fs::path& file : files_below(one)) (is_read ? read : all).insert(std::move(file));
    }
  }
  std::error_code reason;
  if (fs::is_directory(folder / "images", reason)) {
    for (fs::path& file : files_below(folder / "images")) all.insert(std::move(file));
  }
  for (const fs::path& file : all) {
    if (!has_image_extension(file) || is_shadow_of_macos(file) || read.contains(file)) continue;
    unread.push_back({"image in no split", file.string(),
                      fmt::format("not in a folder of the splits {}; not used", fmt::join(splits, ", ")), true});
    unread.back().beside = true;
    unread.back().picture = file;
  }
  return unread;
}

}  // namespace yolov3
