#include "app/data_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/usage.h"
#include "data/files_below.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

LoadedSplit load_one(const DataOptions& options, const std::string& split) {
  LoadedSplit loaded;
  loaded.split = split;
  try {
    loaded.dataset = load_dataset(options, split, loaded.report);
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::usage) throw;
    loaded.error = error.what();
  }
  return loaded;
}

}  // namespace

void add_data_options(Options& options, DataOptions& data, std::string* bad_data) {
  options.add("data", &data.data, kDataHelp).placeholder("D");
  options.add("names", &data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options.add("images", &data.images, kImagesHelp).placeholder("DIR");
  if (bad_data) {
    options.add("bad-data", bad_data, "defects: leave out, repair (clip, turn, de-duplicate), or stop at the first")
        .choices({"skip", "repair", "error"});
  }
  options.add("threads", &data.threads, "that read and write pictures; 0 = all").range(0, 4096);
  options.add("seed", &data.seed, "of synthetic data, and of what is drawn by lot");
}

std::vector<LoadedSplit> load_splits(const DataOptions& options, const std::string& wanted) {
  const std::vector<std::string> known = splits_of(options);
  const bool whole = known == std::vector<std::string>{kWholeDataset};
  std::vector<std::string> asked;
  for (const std::string& split : known) {
    if (wanted == "all" || wanted == split) asked.push_back(split);
  }
  if (asked.empty() && whole) asked.push_back(wanted);
  if (asked.empty()) {
    throw Error(fmt::format("{}: no split \"{}\"; it has {}", options.data, wanted, fmt::join(known, ", ")));
  }
  DataOptions own = options;
  std::vector<LoadedSplit> loaded;
  for (const std::string& split : asked) {
    loaded.push_back(load_one(own, split));
    if (own.known_names.empty()) own.known_names = loaded.back().dataset.names;  // are those of all splits
  }
  if (wanted == "all") {
    std::vector<Defect>& defects = loaded.front().report.defects;
    for (Defect& defect : find_unread(options)) defects.push_back(std::move(defect));
  }
  return loaded;
}

std::map<std::string, Dataset> splits_to_write(std::vector<LoadedSplit>& loaded) {
  std::map<std::string, Dataset> splits;
  for (LoadedSplit& one : loaded) {
    if (!one.error.empty()) throw Error(one.split + ": " + one.error, Error::Kind::bad_data);
    splits[one.split == kWholeDataset ? "train" : one.split] = std::move(one.dataset);
  }
  return splits;
}

std::string findings_of(const std::vector<LoadedSplit>& loaded, size_t max_listed) {
  std::string text;
  for (const LoadedSplit& one : loaded) {
    if (!one.report.defects.empty()) text += one.split + ": " + describe(one.report, max_listed);
    for (const auto& [what, count] : one.report.unheld) {
      text += fmt::format("{}: {} is not read: {} times\n", one.split, what, count);
    }
  }
  return text;
}

void check_outside(const fs::path& out, const char* option, const DataOptions& data) {
  for (const fs::path& folder : source_folders(data)) {
    if (is_below(out, folder)) {
      fail_usage(
          "{} {}: lies in {}, which belongs to the data set and is never touched; choose another "
          "place",
          option, out.string(), folder.string());
    }
  }
}

void check_out_folder(const fs::path& out, const char* option, const DataOptions& data) {
  check_outside(out, option, data);
  check_new_folder(out);
}

std::vector<Loss> write_folder(const fs::path& folder, DataFormat format, const std::map<std::string, Dataset>& splits,
                               const WriteOptions& options) {
  install_interrupt_handlers();
  return write_dataset(folder, format, splits, options);
}

}  // namespace yolov3
