#include "data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/check_boxes.h"
#include "data/data_sources.h"
#include "data/figures.h"
#include "data/parallel_each.h"
#include "data/synthetic.h"
#include "data/text_guard.h"
#include "image/size.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// What opening a picture's file gave.
struct Measured {
  int width = 0, height = 0;
  std::string reason, detail;  // of the defect; empty = the picture is sound
};

// At the smallest size that the decoder offers: every byte is still read and checked.
PictureSize decoded_size(const fs::path& path) {
  const LoadedImage loaded = load_image(path, {.net_width = 1, .net_height = 1});
  return {loaded.full_width, loaded.full_height};
}

Measured measure(const StatedPicture& picture, bool verify) {
  Measured measured;
  std::error_code reason;
  if (!fs::exists(picture.image, reason)) {
    measured.reason = "missing image";
    measured.detail = fmt::format("there is no {}", shown(picture.image.string(), 300));
    return measured;
  }
  if (!verify && picture.width > 0 && picture.height > 0) {
    measured.width = picture.width;
    measured.height = picture.height;
    return measured;
  }
  try {
    const PictureSize size = verify ? decoded_size(picture.image) : read_picture_size(picture.image);
    measured.width = size.width;
    measured.height = size.height;
  } catch (const std::exception& error) {
    const std::string path = picture.image.string() + ": ";
    std::string_view message = error.what();
    if (message.starts_with(path)) message.remove_prefix(path.size());
    measured.reason = "broken image";
    measured.detail = fmt::format("{}: {}", shown(picture.image.string(), 300), shown(message, 300));
  }
  return measured;
}

std::vector<Measured> measure_all(const std::vector<StatedPicture>& pictures, const DataOptions& options) {
  std::vector<Measured> measured(pictures.size());
  parallel_each(static_cast<int64_t>(pictures.size()), options.threads, "checking pictures", [&](int64_t i) {
    const StatedPicture& picture = pictures[static_cast<size_t>(i)];
    if (!picture.defect) measured[static_cast<size_t>(i)] = measure(picture, options.verify_images);
  });
  return measured;
}

// What keeps a picture out before its file is opened. A second line about the same picture would teach that its own
// objects are background.
void find_unusable(std::vector<StatedPicture>& pictures) {
  std::unordered_map<std::string, size_t> first_of;
  for (size_t i = 0; i < pictures.size(); ++i) {
    StatedPicture& picture = pictures[i];
    if (picture.defect) continue;
    if (picture.boxes.size() > kMaxBoxesOfAPicture) {
      picture.defect =
          Defect{"too many boxes", picture.origin(),
                 fmt::format("{} boxes, expected at most {}", picture.boxes.size(), kMaxBoxesOfAPicture), true, false};
      continue;
    }
    const auto [first, added] = first_of.emplace(picture.image.lexically_normal().string(), i);
    if (added) continue;
    picture.defect = Defect{
        "duplicate image", picture.origin(),
        fmt::format("{} was named at {} already", shown(picture.image.string(), 300), pictures[first->second].origin()),
        true, false};
  }
}

// The defect that keeps the picture out, if any.
std::optional<Defect> picture_defect(const StatedPicture& picture, const Measured& measured) {
  if (picture.defect) return picture.defect;
  if (!measured.reason.empty()) return Defect{measured.reason, picture.origin(), measured.detail, true, false};
  return std::nullopt;
}

// Of boxes that were drawn on a picture of another size, or turned another way, every one is wrong.
std::optional<Defect> size_defect(const StatedPicture& stated, const Measured& real) {
  if (stated.width <= 0 || stated.height <= 0) return std::nullopt;
  if (stated.width == real.width && stated.height == real.height) return std::nullopt;
  const bool turned = stated.width == real.height && stated.height == real.width;
  return Defect{"other size",
                stated.origin(),
                fmt::format("{}x{} stated, {} has {}x{}, which counts{}", stated.width, stated.height,
                            shown(stated.image.filename().string()), real.width, real.height,
                            turned ? "; were the boxes drawn before it was turned?" : ""),
                true,
                false,
                true,
                false,
                stated.image};
}

// Labels and annotations without a picture count as seen: they are left out as much as a box of a picture.
void add_loose(std::vector<Defect> loose, DefectSink& sink, DefectReport& report) {
  for (Defect& defect : loose) {
    if (!defect.kept && !defect.beside) ++(defect.image ? report.images_seen : report.boxes_seen);
    sink.add(std::move(defect));
  }
}

// Ids of the data set's own as long as no two pictures share one: several sources may count from 1 each.
void number_pictures(const std::vector<std::optional<int64_t>>& own, Dataset& dataset) {
  std::unordered_set<int64_t> ids;
  bool unique = true;
  for (const std::optional<int64_t>& id : own) unique = unique && id && ids.insert(*id).second;
  if (!unique && !ids.empty()) log_warning("image ids stand twice or not everywhere; pictures are numbered from 0");
  for (size_t i = 0; i < dataset.examples.size(); ++i) {
    dataset.examples[i].image_id = unique ? *own[i] : static_cast<int64_t>(i);
  }
}

// `pictures` are used up: of a large data set what is stated and what is kept do not fit into memory side by side.
Dataset check_pictures(std::vector<StatedPicture> pictures, const std::vector<std::string>& names,
                       const DataOptions& options, DefectSink& sink, DefectReport& report) {
  find_unusable(pictures);
  const std::vector<Measured> measured = measure_all(pictures, options);
  std::vector<std::optional<int64_t>> own_ids;
  Dataset dataset;
  dataset.names = names;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const StatedPicture picture = std::move(pictures[i]);
    ++report.images_seen;
    report.boxes_seen += static_cast<int64_t>(picture.boxes.size());
    if (std::optional<Defect> defect = picture_defect(picture, measured[i])) {
      sink.add(std::move(*defect));
      continue;
    }
    if (picture.note) sink.add(*picture.note);
    if (std::optional<Defect> defect = size_defect(picture, measured[i])) sink.add(std::move(*defect));
    Example example;
    example.image = picture.image;
    example.objects = check_boxes(picture, measured[i].width, measured[i].height, names, sink);
    example.width = measured[i].width;
    example.height = measured[i].height;
    example.origin = picture.origin();
    own_ids.push_back(picture.image_id);
    dataset.examples.push_back(std::move(example));
  }
  number_pictures(own_ids, dataset);
  return dataset;
}

void append_synthetic(const StatedSplit& stated, Dataset& dataset, DefectReport& report) {
  for (const SyntheticPart& part : stated.synthetic) {
    Dataset drawn = synthetic_dataset(part.seed, part.split, part.count);
    std::vector<int> class_of(drawn.names.size());
    for (size_t i = 0; i < drawn.names.size(); ++i) {
      const auto found = std::find(dataset.names.begin(), dataset.names.end(), drawn.names[i]);
      check(found != dataset.names.end(), "synthetic data has the classes 0 to 9, but the class names lack \"{}\"",
            drawn.names[i]);
      class_of[i] = static_cast<int>(found - dataset.names.begin());
    }
    for (Example& example : drawn.examples) {
      for (Annotation& object : example.objects) object.class_id = class_of[static_cast<size_t>(object.class_id)];
      example.image_id = static_cast<int64_t>(dataset.examples.size());
      report.boxes_seen += static_cast<int64_t>(example.objects.size());
      ++report.images_seen;
      dataset.examples.push_back(std::move(example));
    }
  }
}

Dataset load_checked(const DataOptions& options, const std::string& split, DefectReport& report) {
  StatedSplit stated = read_split(options, split);
  report.unheld = stated.unheld;
  DefectSink sink(options.bad_data, report);
  add_loose(std::move(stated.loose), sink, report);
  Dataset dataset = check_pictures(std::move(stated.pictures), stated.names, options, sink, report);
  dataset.category_ids = std::move(stated.category_ids);
  append_synthetic(stated, dataset, report);
  check_limits(report, fmt::format("{} ({})", options.data, split), options.max_left_out);
  if (dataset.examples.empty()) {
    throw Error(fmt::format("{}: no usable picture in split \"{}\"\n{}", options.data, split, describe(report, 10)),
                report.defects.empty() ? Error::Kind::failure : Error::Kind::bad_data);
  }
  return dataset;
}

void append(const DefectReport& from, DefectReport& to) {
  to.defects.insert(to.defects.end(), from.defects.begin(), from.defects.end());
  to.boxes_seen += from.boxes_seen;
  to.images_seen += from.images_seen;
  for (const auto& [what, count] : from.unheld) to.unheld[what] += count;
}

}  // namespace

BadDataPolicy parse_bad_data_policy(const std::string& text) {
  if (text == "skip") return BadDataPolicy::skip;
  if (text == "repair") return BadDataPolicy::repair;
  if (text == "error") return BadDataPolicy::error;
  const std::string near = closest_match(text, {"skip", "repair", "error"});
  fail_usage("--bad-data: expected skip, repair or error, found \"{}\"{}", shown(text),
             near.empty() ? "" : "; did you mean " + near + "?");
}

Dataset load_dataset(const DataOptions& options, const std::string& split, DefectReport& report) {
  DefectReport own;  // the limits are those of this split, whatever `report` holds already
  try {
    Dataset dataset = load_checked(options, split, own);
    append(own, report);
    return dataset;
  } catch (...) {
    append(own, report);
    throw;
  }
}

std::map<std::string, int64_t> DefectReport::counts() const {
  std::map<std::string, int64_t> counts;
  for (const Defect& defect : defects) ++counts[defect.reason];
  return counts;
}

std::map<std::string, DefectOutcome> DefectReport::outcomes() const {
  std::map<std::string, DefectOutcome> outcomes;
  for (const Defect& defect : defects) {
    DefectOutcome& one = outcomes[defect.reason];
    ++(defect.kept ? one.kept : defect.repaired ? one.repaired : one.left_out);
  }
  return outcomes;
}

std::string describe(const DefectReport& report, size_t max_listed) {
  std::string text =
      fmt::format("{}, {}, {}\n", counted(report.images_seen, "picture"), counted(report.boxes_seen, "box"),
                  counted(static_cast<int64_t>(report.defects.size()), "defect"));
  if (report.defects.empty()) return text;
  text += fmt::format("  {:<24} {:>9} {:>9} {:>9}\n", "reason", "left out", "repaired", "kept");
  for (const auto& [reason, count] : report.outcomes()) {
    text += fmt::format("  {:<24} {:>9} {:>9} {:>9}\n", reason, count.left_out, count.repaired, count.kept);
  }
  const size_t listed = std::min(max_listed, report.defects.size());
  for (size_t i = 0; i < listed; ++i) {
    const Defect& defect = report.defects[i];
    text += fmt::format("  {}: {}: {}{}\n", defect.where, defect.reason, defect.detail,
                        defect.kept       ? " (kept)"
                        : defect.repaired ? " (repaired)"
                                          : "");
  }
  if (listed < report.defects.size()) text += fmt::format("  ... and {} more\n", report.defects.size() - listed);
  return text;
}

}  // namespace yolov3
