// yolov3 data split
#include <fmt/format.h>

#include <limits>
#include <set>

#include "app/data_parts.h"
#include "app/program.h"
#include "base/error.h"
#include "base/log.h"
#include "data/data_kind.h"
#include "data/look.h"
#include "data/similar.h"
#include "data/stats.h"
#include "data/stratify.h"
#include "data/write.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// All pictures of the splits, each file once; ids stay unique.
Dataset merged(const std::map<std::string, Dataset>& splits) {
  Dataset all;
  std::set<fs::path> seen;
  std::set<int64_t> ids;
  for (const auto& [split, dataset] : splits) {
    check(all.names.empty() || all.names == dataset.names, "the splits have different class names");
    all.names = dataset.names;
    if (all.category_ids.empty()) all.category_ids = dataset.category_ids;
    for (const Example& example : dataset.examples) {
      if (!seen.insert(example.image.lexically_normal()).second) continue;
      all.examples.push_back(example);
      ids.insert(example.image_id);
    }
  }
  if (ids.size() == all.examples.size()) return all;
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

std::map<std::string, Dataset> deal_out(const Dataset& all, const SplitCommand& c) {
  const std::vector<std::vector<size_t>> groups =
      c.keep_copies ? copies_in(all, c.data.threads) : std::vector<std::vector<size_t>>();
  if (!groups.empty()) log_info("{} groups of alike pictures stay together", groups.size());
  const std::vector<size_t> split_of =
      stratify(all.examples, all.names.size(), groups, {1 - c.val - c.test, c.val, c.test}, c.data.seed);
  static const char* const kNames[] = {"train", "val", "test"};
  std::map<std::string, Dataset> splits;
  for (size_t i = 0; i < all.examples.size(); ++i) {
    Dataset& split = splits[kNames[split_of[i]]];
    split.names = all.names;
    split.category_ids = all.category_ids;
    split.examples.push_back(all.examples[i]);
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
  if (c.val + c.test >= 1) throw Error("--val and --test: expected to leave a share to train", Error::Kind::usage);
  check_outside(c.out, c.data.data);
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  std::vector<LoadedSplit> loaded = load_splits(c.data, "all");
  WriteOptions write;
  write.threads = c.data.threads;
  write.notes = findings_of(loaded, std::numeric_limits<size_t>::max());
  const std::map<std::string, Dataset> splits = deal_out(merged(splits_to_write(loaded)), c);
  const DataFormat format = c.to.empty() ? format_of(c.data) : parse_data_format(c.to);
  const std::vector<Loss> losses = write_dataset(c.out, format, splits, write);
  std::string text = findings_of(loaded, 20);
  if (!losses.empty()) text += "not said by the new files:\n" + describe(losses, 20);
  for (const auto& [name, dataset] : splits) text += name + ": " + describe(dataset_stats(dataset, 416, 416), 416, 416);
  log_line(fit_for_terminal(text));
  print(written_data(c.out, format).string() + "\n");
  return 0;
}

}  // namespace yolov3
