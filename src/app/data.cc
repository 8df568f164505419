// yolov3 data check, yolov3 data synth
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/options.h"
#include "app/program.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "data/source.h"
#include "data/synthetic.h"
#include "data/write.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kListedDefects = 20;

// What is in one split, and what is wrong with it.
struct SplitCheck {
  std::string split;
  Dataset dataset;
  DefectReport report;
  std::string error;  // why it could not be loaded, empty = it was
};

SplitCheck check_split(const DataOptions& options, const std::string& split) {
  SplitCheck result;
  result.split = split;
  try {
    result.dataset = load_dataset(options, split, result.report);
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::usage) throw;
    result.error = error.what();
  }
  return result;
}

std::vector<int64_t> objects_a_class(const Dataset& dataset) {
  std::vector<int64_t> counts(dataset.names.size());
  for (const Example& example : dataset.examples) {
    for (const Annotation& object : example.objects) ++counts.at(static_cast<size_t>(object.class_id));
  }
  return counts;
}

std::string text_of(const SplitCheck& check) {
  std::string out = check.split + ": ";
  if (check.error.empty()) {
    const std::vector<int64_t> counts = objects_a_class(check.dataset);
    int64_t objects = 0;
    for (const int64_t count : counts) objects += count;
    const auto background = std::count_if(check.dataset.examples.begin(), check.dataset.examples.end(),
                                          [](const Example& example) { return example.objects.empty(); });
    out += fmt::format("{} pictures ({} without objects), {} objects\n", check.dataset.examples.size(), background,
                       objects);
    for (size_t k = 0; k < counts.size(); ++k) {
      out += fmt::format("  {:>8}  {}{}\n", counts[k], check.dataset.names[k], counts[k] == 0 ? "   <- none" : "");
    }
  } else {
    out += check.error + "\n";
  }
  if (!check.report.defects.empty()) out += describe(check.report, kListedDefects);
  if (check.report.defects.size() > kListedDefects) out += "  --json FILE lists them all\n";
  return fit_for_terminal(out.ends_with('\n') ? out : out + "\n");
}

Json json_of(const SplitCheck& check) {
  Json json;
  json["split"] = check.split;
  json["images"] = check.dataset.examples.size();
  json["images_seen"] = check.report.images_seen;
  json["boxes_seen"] = check.report.boxes_seen;
  json["classes"] = Json::array();
  const std::vector<int64_t> counts = objects_a_class(check.dataset);
  for (size_t k = 0; k < counts.size(); ++k) {
    json["classes"].push_back({{"class", check.dataset.names[k]}, {"objects", counts[k]}});
  }
  json["error"] = check.error.empty() ? Json() : Json(check.error);
  json["defect_counts"] = check.report.counts();
  json["defects"] = Json::array();
  for (const Defect& defect : check.report.defects) {
    json["defects"].push_back({{"reason", defect.reason},
                               {"where", defect.where},
                               {"detail", defect.detail},
                               {"image", defect.image},
                               {"repaired", defect.repaired},
                               {"kept", defect.kept}});
  }
  return json;
}

// `all`: every split that there is, once. A split that is there and cannot be loaded is a finding, not the end.
std::vector<SplitCheck> check_splits(const DataOptions& options, const std::string& wanted) {
  const std::vector<std::string> known = splits_of(options);
  std::vector<SplitCheck> checks;
  for (const std::string& split : known) {
    if (wanted == "all" || wanted == split) checks.push_back(check_split(options, split));
  }
  if (!checks.empty()) return checks;
  if (known == std::vector<std::string>{kWholeDataset}) return {check_split(options, wanted)};
  throw Error(fmt::format("{}: no split \"{}\"; it has {}", options.data, wanted, fmt::join(known, ", ")));
}

int run_check(const std::vector<std::string>& arguments) {
  DataOptions data;
  std::string bad_data = "skip", split = "all", json;
  Options options("data check",
                  "reads every picture and annotation, and lists what is wrong; exit code 3 when something is");
  options.example("yolov3 data check --data voc/", "counts, classes and defects of every split");
  options.add("data", &data.data, "a data.yaml, a VOC folder, an annotation-lines .txt or synthetic[:N]")
      .placeholder("D");
  options.add("split", &split, "which part").choices({"all", "train", "val", "test"});
  options.add("names", &data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options.add("bad-data", &bad_data, "what training would do with defects: leave out, repair, or stop at the first")
      .choices({"skip", "repair", "error"});
  options.add("verify-images", &data.verify_images, "decode every picture; false looks at the annotations only");
  options.add("threads", &data.threads, "that read pictures; 0 = all").range(0, 4096);
  options.add("seed", &data.seed, "of synthetic data");
  options.add("json", &json, "everything as JSON, every defect listed; - = stdout").placeholder("FILE|-");
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  check_writable(json);
  data.bad_data = parse_bad_data_policy(bad_data);
  const std::vector<SplitCheck> checks = check_splits(data, split);
  Json all = Json::array();
  bool defects = false;
  for (const SplitCheck& check : checks) {
    defects = defects || !check.error.empty() || !check.report.defects.empty();
    all.push_back(json_of(check));
    if (json != "-") print(text_of(check));
  }
  if (!json.empty()) write_text(json, all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  return defects ? static_cast<int>(Error::Kind::bad_data) : 0;
}

int run_synth(const std::vector<std::string>& arguments) {
  std::filesystem::path out;
  int count = 240;
  uint64_t seed = 0;
  WriteOptions write;
  Options options("data synth", "writes the built-in data set (digits 0 to 9 on textured grounds) as files");
  options.example("yolov3 data synth --out digits --count 240",
                  "240 training, 48 validation and 48 test pictures; train with --data digits/data.yaml");
  options.add("out", &out, "folder to make").placeholder("DIR");
  options.add("count", &count, "of training pictures; validation and test get a fifth each").range(1, 10000000);
  options.add("seed", &seed, "the same seed gives the same bytes");
  options.add("extension", &write.extension, "of the pictures; .png keeps every pixel, .jpg is smaller")
      .choices({".png", ".jpg"});
  options.add("threads", &write.threads, "that draw; 0 = all").range(0, 4096);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("out", "the folder to make, e.g. --out digits");
  const int64_t fifth = std::max(1, count / 5);
  write_dataset(out, DataFormat::lines,
                      {{"train", synthetic_dataset(seed, "train", count)},
                       {"val", synthetic_dataset(seed, "val", fifth)},
                       {"test", synthetic_dataset(seed, "test", fifth)}},
                      write);
  print((out / "data.yaml").string() + "\n");
  return 0;
}

}  // namespace

int run_data(const std::vector<std::string>& arguments) {
  static const std::vector<std::string> kParts = {"check", "synth"};
  const std::string part = arguments.empty() ? "" : arguments[0];
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (part == "check") return run_check(rest);
  if (part == "synth") return run_synth(rest);
  const std::string help =
      "yolov3 data: look at data sets and make them\n\n"
      "  data check   reads every picture and annotation, and lists what is wrong\n"
      "  data synth   writes the built-in data set as files\n\nyolov3 data check --help, yolov3 data synth --help\n";
  if (part == "--help" || part == "-h") {
    print(help);
    return 0;
  }
  if (part.empty()) {
    log_line(help);
    return static_cast<int>(Error::Kind::usage);
  }
  const std::string near = closest_match(part, kParts);
  throw Error(fmt::format("there is no command \"data {}\"; {}", part,
                          near.empty() ? "see yolov3 data --help" : fmt::format("did you mean data {}?", near)),
              Error::Kind::usage);
}

}  // namespace yolov3
