#include "app/model_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "app/program.h"
#include "base/log.h"
#include "base/usage.h"
#include "net/coco_names.h"

namespace yolov3 {
namespace {

constexpr size_t kListedDefects = 10;

// "cat, dog, ... and 78 more"
std::string few_of(const std::vector<std::string>& names) {
  constexpr size_t kFew = 3;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kFew));
  const std::string few = fmt::format("{}", fmt::join(names.begin(), end, ", "));
  return names.size() > kFew ? fmt::format("{} and {} more", few, names.size() - kFew) : few;
}

}  // namespace

void check_same_classes(const std::vector<std::string>& model, bool named, int model_classes,
                        const std::vector<std::string>& data) {
  if (static_cast<size_t>(model_classes) != data.size()) {
    fail_usage(
        "the model has {} classes ({}), the data set {} ({}); give the data set that the model was "
        "trained for, or its names in the model's order with --names",
        model_classes, few_of(model), data.size(), few_of(data));
  }
  if (!named) {
    log_info("the model's file names no classes; they are taken as the data set's, in its order: {}",
             fit_for_terminal(fmt::format("{}", fmt::join(data, ", "))));
    return;
  }
  for (size_t k = 0; k < model.size() && k < data.size(); ++k) {
    if (same_class(model[k], data[k])) continue;
    fail_usage(
        "class {} is \"{}\" in the model and \"{}\" in the data set; give the data set's names in the "
        "model's order, or with --names",
        k, model[k], data[k]);
  }
}

void add_split_options(Options& options, DataOptions& data, std::string& split, std::string& bad_data) {
  options.add("data", &data.data, kDataHelp).placeholder("D");
  options.add("split", &split, "of the data set").choices({"train", "val", "test"});
  options.add("names", &data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options.add("images", &data.images, kImagesHelp).placeholder("DIR");
  options
      .add("bad-data", &bad_data,
           "defects of the data: leave out, repair (clip, turn, de-duplicate), or stop at the first")
      .choices({"skip", "repair", "error"});
}

Dataset load_split(const DataOptions& options, const std::string& split) {
  DefectReport defects;
  const auto list_defects = [&] {
    if (defects.defects.empty()) return;
    log_line(fit_for_terminal(describe(defects, kListedDefects)));
    if (defects.defects.size() <= kListedDefects) return;
    log_line("  yolov3 data check --json FILE with the same --data, --names, --split and --bad-data lists them all");
  };
  try {
    Dataset dataset = load_dataset(options, split, defects);
    list_defects();
    return dataset;
  } catch (const Error&) {
    list_defects();
    throw;
  }
}

}  // namespace yolov3
