// yolov3 data split
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "app/data_parts.h"
#include "app/program.h"
#include "base/error.h"
#include "base/log.h"
#include "base/usage.h"
#include "data/data_kind.h"
#include "data/figures.h"
#include "data/look.h"
#include "data/similar.h"
#include "data/stats.h"
#include "data/stratify.h"
#include "data/write.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kListed = 20;

// All pictures of the splits, each file once; ids stay unique. What is passed over is written into `notes`.
Dataset merged(const std::map<std::string, Dataset>& splits, std::string& notes) {
  Dataset all;
  std::set<fs::path> seen;
  std::set<int64_t> ids;
  for (const auto& [split, dataset] : splits) {
    check(all.names.empty() || all.names == dataset.names, "the splits have different class names");
    all.names = dataset.names;
    if (all.category_ids.empty()) all.category_ids = dataset.category_ids;
    for (const Example& example : dataset.examples) {
      if (!seen.insert(example.image.lexically_normal()).second) {
        notes += fmt::format("{}: {} is in an earlier split too; taken once\n", example.origin, example.image.string());
        continue;
      }
      all.examples.push_back(example);
      ids.insert(example.image_id);
    }
  }
  if (ids.size() == all.examples.size()) return all;
  if (!all.category_ids.empty()) notes += "the splits share ids of pictures; these are numbered anew\n";
  for (size_t i = 0; i < all.examples.size(); ++i) all.examples[i].image_id = static_cast<int64_t>(i);
  return all;
}

std::vector<std::vector<size_t>> copies_in(const Dataset& dataset, int threads) {
  const std::vector<PictureLook> looks = look_at(dataset, threads);
  std::vector<const PictureLook*> all;
  for (const PictureLook& look : looks) all.push_back(&look);
  std::vector<std::vector<size_t>> groups;
  for (SimilarGroup& group : find_similar(all, threads)) groups.push_back(std::move(group.pictures));
  return groups;
}

struct SplitCommand {
  DataOptions data;
  std::string bad_data = "skip", to;
  fs::path out;
  double val = 0.2, test = 0;
  bool keep_copies = true;
};

[[noreturn]] void fail_without(const char* split, double share, size_t pictures,
                               const std::vector<std::vector<size_t>>& groups) {
  size_t largest = 1;
  for (const std::vector<size_t>& group : groups) largest = std::max(largest, group.size());
  const std::string reason =
      groups.empty() ? fmt::format("{:g} of {} is less than one; give it a larger share", share,
                                   counted(static_cast<int64_t>(pictures), "picture"))
                     : fmt::format(
                           "there are {} pictures, {} of them alike or nearly so (as frames of one camera are) "
                           "and kept together; --keep-copies false deals them out one by one",
                           pictures, largest);
  throw Error(fmt::format("no picture is left for {}: {}", split, reason), Error::Kind::bad_data);
}

std::map<std::string, Dataset> deal_out(const Dataset& all, const SplitCommand& c) {
  const std::vector<std::vector<size_t>> groups =
      c.keep_copies ? copies_in(all, c.data.threads) : std::vector<std::vector<size_t>>();
  if (!groups.empty())
    log_info("alike pictures stay together: {}", counted(static_cast<int64_t>(groups.size()), "group"));
  const std::vector<double> shares = {1 - c.val - c.test, c.val, c.test};
  const std::vector<size_t> split_of = stratify(all.examples, all.names.size(), groups, shares, c.data.seed);
  static const char* const kNames[] = {"train", "val", "test"};
  std::map<std::string, Dataset> splits;
  for (size_t i = 0; i < all.examples.size(); ++i) {
    Dataset& split = splits[kNames[split_of[i]]];
    split.names = all.names;
    split.category_ids = all.category_ids;
    split.examples.push_back(all.examples[i]);
  }
  for (size_t s = 0; s < shares.size(); ++s) {
    if (shares[s] > 0 && !splits.contains(kNames[s])) fail_without(kNames[s], shares[s], all.examples.size(), groups);
  }
  return splits;
}

}  // namespace

int run_data_split(const std::vector<std::string>& arguments) {
  SplitCommand c;
  Options options("data split", "deals all pictures of a data set out to train, val and test, by lot, class by class");
  options.example("yolov3 data split --data images/ --names names.txt --val 0.1 --test 0.1 --out split",
                  "8 : 1 : 1, each class in the same share; pictures that are alike stay together");
  add_data_options(options, c.data, &c.bad_data);
  options.add("val", &c.val, "share of the validation").range(0, 1);
  options.add("test", &c.test, "share of the test").range(0, 1);
  options.add("keep-copies", &c.keep_copies, "identical and nearly identical pictures go to the same split");
  options.add("to", &c.to, "the format to write; empty = as the data set").choices({"lines", "voc", "coco", "yolo"});
  options.add("out", &c.out, "folder to make").placeholder("DIR");
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  options.require("out", "the folder to make, e.g. --out split");
  if (c.val + c.test >= 1) fail_usage("--val and --test: expected to leave a share to train");
  check_out_folder(c.out, "--out", c.data);
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  std::vector<LoadedSplit> loaded = load_splits(c.data, "all");
  WriteOptions write;
  write.threads = c.data.threads;
  std::string notes;
  const Dataset all = merged(splits_to_write(loaded), notes);
  write.notes = findings_of(loaded, std::numeric_limits<size_t>::max()) + notes;
  const std::map<std::string, Dataset> splits = deal_out(all, c);
  const DataFormat format = c.to.empty() ? format_of(c.data) : parse_data_format(c.to);
  const std::vector<Loss> losses = write_folder(c.out, format, splits, write);
  const auto noted = std::count(notes.begin(), notes.end(), '\n');
  std::string text = findings_of(loaded, kListed) + (noted <= static_cast<ptrdiff_t>(kListed) ? notes : "");
  if (noted > static_cast<ptrdiff_t>(kListed)) text += fmt::format("{} pictures are in more than one split\n", noted);
  if (!losses.empty()) text += "not said by the new files:\n" + describe(losses, kListed);
  for (const auto& [name, dataset] : splits) text += name + ": " + describe(dataset_stats(dataset, 416, 416), 416, 416);
  log_line(fit_for_terminal(text));
  print(written_data(c.out, format).string() + "\n");
  return 0;
}

}  // namespace yolov3
