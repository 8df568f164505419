// yolov3 compare
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "app/compare_models.h"
#include "app/compare_report.h"
#include "app/model_data.h"
#include "app/open_detector.h"
#include "app/options.h"
#include "app/program.h"
#include "app/report_file.h"
#include "app/sources.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/usage.h"
#include "engine/checked_engine.h"
#include "engine/plan.h"
#include "eval/evaluate.h"
#include "net/coco_names.h"

namespace yolov3 {
namespace {

struct CompareCommand {
  DetectorChoice a;
  // Of B; empty = as A.
  ModelChoice model_b;
  std::string engine_b, precision_b, plan_b, device_b;
  std::string source, split = "val", json;
  DataOptions data;
  double tolerance = 0;
  int layer_pictures = 1;
};

void add_options(Options& options, CompareCommand& c) {
  options.example("yolov3 compare best.h5 last.h5 --source pictures/", "two models, the same engine");
  options.example("yolov3 compare best.h5 --engine reference --engine-b dnnl --source dog.jpg",
                  "one model, two engines: the first layer that differs");
  options.example("yolov3 compare best.h5 best.weights --model-b best.cfg --data voc/ --split test",
                  "what an export costs, in mAP too");
  options.group("Pictures");
  options.add("source", &c.source, "an image, a folder, a glob, or a list.txt; empty = those of --data")
      .placeholder("S");
  options.add("data", &c.data.data, "a data set with truth, to compare mAP on; as for eval").placeholder("D");
  options.add("split", &c.split, "of the data set").choices({"train", "val", "test"});
  options.add("images", &c.data.images, kImagesHelp).placeholder("DIR");
  options.group("A, the measure");
  options.add("names", &c.a.model.names, "class names of A where it has none, of B too where it has none")
      .placeholder("FILE");
  add_detector_options(options, c.a);
  options.group("B, which is judged; empty = as A");
  options.add("weights-b", &c.model_b.weights, "its model").placeholder("FILE");
  options.add("model-b", &c.model_b.model, "its network, where its file does not say it").placeholder("NAME|FILE.cfg");
  options.add("names-b", &c.model_b.names, "its class names, likewise").placeholder("FILE");
  options.add("engine-b", &c.engine_b, "what computes it").placeholder("as --engine");
  options.add("precision-b", &c.precision_b, "of its convolutions").placeholder("as --precision");
  options.add("plan-b", &c.plan_b, "of its dnnl engine").placeholder("as --plan");
  options.add("device-b", &c.device_b, "where it runs").placeholder("DEVICE");
  options.group("What counts as different");
  options
      .add("tolerance", &c.tolerance,
           "distance of a layer's map from A's, by its norm, up to which it is the same; 0 = what rounding in the two "
           "precisions may do")
      .range(0, 1e6);
  options.add("layer-pictures", &c.layer_pictures, "pictures on which every layer is looked at: slow").range(0, 1e6);
  options.add("json", &c.json, "all figures as JSON; - = stdout").placeholder("FILE|-");
}

// "compare A B --source S" is "compare --weights A --weights-b B --source S".
std::vector<std::string> with_names_of_files(const std::vector<std::string>& arguments) {
  std::vector<std::string> named;
  size_t next = 0;
  for (const char* option : {"--weights", "--weights-b"}) {
    if (next >= arguments.size() || arguments[next].starts_with("-") ||
        arguments[next].find('=') != std::string::npos) {
      break;
    }
    named.insert(named.end(), {option, arguments[next++]});
  }
  named.insert(named.end(), arguments.begin() + static_cast<std::ptrdiff_t>(next), arguments.end());
  return named;
}

DetectorChoice choice_of_b(const CompareCommand& c) {
  DetectorChoice b = c.a;
  const bool other_file = !c.model_b.weights.empty() && c.model_b.weights != c.a.model.weights;
  if (other_file) b.model = {c.model_b.weights, "", {}};
  if (!c.model_b.model.empty()) b.model.model = c.model_b.model;
  if (!c.model_b.names.empty()) b.model.names = c.model_b.names;
  const auto take = [](const std::string& given, std::string& target) {
    if (!given.empty()) target = given;
  };
  take(c.engine_b, b.engine.kind);
  take(c.precision_b, b.engine.precision);
  take(c.plan_b, b.engine.plan);
  take(c.device_b, b.engine.device);
  return b;
}

// A's class for each of B's, by name; by number where one of them has no names.
std::vector<int> classes_of_b(const OpenDetector& a, const OpenDetector& b) {
  if (!a.named || !b.named) return {};
  std::vector<int> classes;
  for (const std::string& name : b.names) {
    const auto found = std::ranges::find_if(a.names, [&](const std::string& own) { return same_class(own, name); });
    classes.push_back(found == a.names.end() ? -1 : static_cast<int>(found - a.names.begin()));
  }
  return classes;
}

double tolerance_of(const CompareCommand& c, const DetectorChoice& b, const NetworkSpec& spec) {
  if (c.tolerance > 0) return c.tolerance;
  const size_t convolutions = conv_layers(spec).size();
  return std::max(precision_tolerance(c.a.engine.precision, convolutions),
                  precision_tolerance(b.engine.precision, convolutions));
}

// How many could not be read; the others are compared.
int compare_pictures(const CompareCommand& c, const Dataset& dataset, Comparer& comparer) {
  std::vector<std::pair<std::string, std::function<LoadedImage()>>> pictures;
  if (!c.source.empty()) {
    for (const PictureSource& source : expand_source(c.source)) {
      pictures.emplace_back(source.path.string(), [path = source.path] { return load_image(path); });
    }
  } else {
    for (const Example& example : dataset.examples) {
      pictures.emplace_back(example.image.string(), [&example] { return load_example(example); });
    }
  }
  Progress progress("compare", static_cast<int64_t>(pictures.size()));
  int broken = 0;
  for (size_t i = 0; i < pictures.size(); ++i) {
    progress.update(static_cast<int64_t>(i));
    LoadedImage picture;
    try {
      picture = pictures[i].second();
    } catch (const Error& error) {
      log_warning("left out: {}", error.what());
      ++broken;
      continue;
    }
    comparer.add(picture, pictures[i].first, static_cast<int>(i) - broken < c.layer_pictures);
  }
  progress.update(static_cast<int64_t>(pictures.size()));
  check(broken < static_cast<int>(pictures.size()), "none of the {} pictures could be read", pictures.size());
  return broken;
}

// Errors of B's own options would name A's.
OpenDetector open_b(const DetectorChoice& choice) {
  try {
    return open_detector(choice);
  } catch (const Error& error) {
    throw Error(fmt::format("of B: {}", error.what()), error.kind());
  }
}

// Judged as `eval` judges: low scores too.
Metrics judge(const Dataset& dataset, DetectorChoice choice) {
  DetectOptions options = metrics_detect_options();
  options.letterbox = choice.detect.letterbox;
  options.clip_first = choice.detect.clip_first;
  choice.detect = options;
  OpenDetector open = open_detector(choice);
  check_same_classes(open.names, open.named, class_count(open.detector.spec()), dataset.names);
  return evaluate(dataset, open.detector, {.exact_decode = true});
}

int compare(const CompareCommand& c) {
  const DetectorChoice choice_b = choice_of_b(c);
  Dataset dataset;
  if (!c.data.data.empty()) dataset = load_split(c.data, c.split);
  OpenDetector a = open_detector(c.a), b = open_b(choice_b);
  CompareFigures figures{fmt::format("{} ({})", c.a.model.weights.string(), a.detector.engine().name()),
                         fmt::format("{} ({})", choice_b.model.weights.string(), b.detector.engine().name())};
  figures.classes = a.names;
  figures.tolerance = tolerance_of(c, choice_b, a.detector.spec());
  Comparer comparer(a.detector, b.detector, classes_of_b(a, b), figures.tolerance);
  const int broken = compare_pictures(c, dataset, comparer);
  if (!c.data.data.empty()) {
    figures.metrics_a = judge(dataset, c.a);
    figures.metrics_b = judge(dataset, choice_b);
  }
  const std::string text = compare_table(figures, comparer, a.detector.spec());
  c.json == "-" ? log_line(text) : print(text);
  if (!c.json.empty()) write_text(c.json, compare_json(figures, comparer));
  if (broken == 0) return 0;
  log_info("{} pictures could not be read, see above", broken);
  return static_cast<int>(Error::Kind::bad_data);
}

}  // namespace

int run_compare(const std::vector<std::string>& arguments) {
  CompareCommand c;
  Options options("compare", "two models or engines on the same pictures: where they differ, and by how much");
  add_options(options, c);
  if (!options.parse(with_names_of_files(arguments))) {
    print(options.help());
    return 0;
  }
  options.require("weights", "the models, e.g. yolov3 compare best.h5 last.h5 --source pictures/");
  if (c.source.empty() && c.data.data.empty()) {
    fail_usage("compare needs --source or --data: the pictures to compare on");
  }
  check_report_file("--json", c.json, ReportKind::json, c.data, {c.a.model.weights, c.model_b.weights});
  const bool same =
      std::ranges::none_of(std::array{"weights-b", "model-b", "engine-b", "precision-b", "plan-b", "device-b"},
                           [&](const char* option) { return options.was_given(option); });
  check_usage(!same, "B is A in everything; give a second model, --engine-b, --precision-b, --plan-b or --device-b");
  for (const char* option : {"split", "images"}) {
    if (options.was_given(option) && c.data.data.empty()) fail_usage("--{} goes with --data", option);
  }
  c.data.threads = c.a.engine.threads;
  return compare(c);
}

}  // namespace yolov3
