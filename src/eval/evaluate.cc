#include "eval/evaluate.h"

#include <string>

#include "base/error.h"
#include "base/progress.h"
#include "data/loader.h"

namespace yolov3 {
namespace {

LoaderOptions loader_options(const Detector& detector, const EvaluateOptions& options) {
  LoaderOptions loader;
  loader.batch = options.batch;
  loader.width = static_cast<int>(detector.spec().input.width);
  loader.height = static_cast<int>(detector.spec().input.height);
  loader.letterbox = detector.options().letterbox;
  loader.exact_decode = options.exact_decode;
  return loader;
}

void check_classes(const Dataset& dataset, const Detector& detector) {
  const auto expected = static_cast<size_t>(class_count(detector.spec()));
  check(dataset.names.size() == expected,
        "the model knows {} classes, the data set has {}; evaluate it on the data set it was made for", expected,
        dataset.names.size());
  check(dataset.category_ids.empty() || dataset.category_ids.size() == expected,
        "the data set has {} category ids for {} classes", dataset.category_ids.size(), expected);
}

void append_results(const Dataset& dataset, const Example& example, const std::vector<Detection>& detections,
                    std::vector<CocoResult>& results) {
  for (const Detection& d : detections) {
    const int64_t category =
        dataset.category_ids.empty() ? d.class_id : dataset.category_ids[static_cast<size_t>(d.class_id)];
    results.push_back({example.image_id, category, d.box, d.score});
  }
}

}  // namespace

Metrics evaluate(const Dataset& dataset, Detector& detector, const EvaluateOptions& options,
                 std::vector<CocoResult>* results, Findings* findings) {
  check_classes(dataset, detector);
  std::vector<double> pixels;  // of the network's input for one of each picture
  Evaluator evaluator(class_count(detector.spec()));
  Loader loader(dataset, loader_options(detector, options));
  Progress progress("evaluate", static_cast<int64_t>(dataset.examples.size()));
  int64_t done = 0;
  loader.start_epoch(0);
  while (const std::optional<Batch> batch = loader.next()) {
    const std::vector<Tensor> raw_maps = detector.engine().forward(batch->images);
    const std::vector<RawMap> views = views_of(raw_maps);
    for (size_t i = 0; i < batch->examples.size(); ++i) {
      // The truth as the data set has it, in the picture's pixels: the batch's boxes are clipped and filtered.
      const Example& example = dataset.examples[static_cast<size_t>(batch->examples[i])];
      const auto [width, height] = batch->image_sizes[i];
      const std::vector<Detection>& detections =
          detector.post_processor().run(views, static_cast<int64_t>(i), batch->letterboxes[i], width, height);
      evaluator.add(example.objects, detections);
      pixels.push_back(net_pixels(batch->letterboxes[i]));
      if (results != nullptr) append_results(dataset, example, detections, *results);
      progress.update(++done);
    }
  }
  check(done == static_cast<int64_t>(dataset.examples.size()), "evaluated {} of {} pictures", done,
        dataset.examples.size());
  if (findings != nullptr) *findings = evaluator.find({}, pixels);
  return evaluator.compute();
}

}  // namespace yolov3
