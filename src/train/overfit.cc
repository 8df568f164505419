#include "train/overfit.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "data/loader.h"
#include "detect/anchors.h"
#include "eval/evaluate.h"
#include "train/step.h"

namespace yolov3 {
namespace {

constexpr double kPoorAnchorIou = 0.25;  // of an object and the anchor most like it
// Of two objects of a class that are closer than this one is never found.
double nms_iou() { return metrics_detect_options().nms.iou_threshold; }

double total(const EpochRecord& record) { return record.box_loss + record.obj_loss + record.cls_loss; }

int64_t trained_objects(const Example& example) {
  return std::ranges::count_if(example.objects, [](const Annotation& object) { return !object.crowd; });
}

int64_t trained_objects(const Dataset& dataset) {
  int64_t objects = 0;
  for (const Example& example : dataset.examples) objects += trained_objects(example);
  return objects;
}

// Of each picture, as the network sees them.
std::vector<std::vector<Annotation>> objects_net(const Dataset& dataset, const TrainOptions& options) {
  std::vector<std::vector<Annotation>> all;
  for (const Example& example : dataset.examples) {
    std::vector<Annotation> objects;
    if (example.width > 0 && example.height > 0) {
      const Letterbox letterbox = make_letterbox(example.width, example.height, options.width, options.height);
      for (Annotation object : example.objects) {
        object.box = clip(net_from_image(letterbox, object.box), static_cast<float>(options.width),
                          static_cast<float>(options.height));
        if (object.box.area() > 0) objects.push_back(object);
      }
    }
    all.push_back(std::move(objects));
  }
  return training_objects(std::move(all));
}

// Objects that lie so close to an earlier one of their class that NMS keeps only one of them.
int64_t count_suppressed(const std::vector<std::vector<Annotation>>& pictures) {
  int64_t suppressed = 0;
  for (const auto& objects : pictures) {
    for (size_t i = 0; i < objects.size(); ++i) {
      suppressed += std::any_of(objects.begin(), objects.begin() + static_cast<ptrdiff_t>(i), [&](const Annotation& o) {
        return o.class_id == objects[i].class_id && iou(o.box, objects[i].box) > nms_iou();
      });
    }
  }
  return suppressed;
}

int64_t count_poor_anchors(const std::vector<std::vector<Annotation>>& pictures, const std::vector<Head>& net_heads) {
  int64_t poor = 0;
  for (const auto& objects : pictures) {
    for (const Annotation& object : objects) {
      double best = 0;
      for (const Head& head : net_heads) {
        for (const Anchor& anchor : head.anchors) {
          best = std::max(best, size_iou({object.box.width(), object.box.height()}, anchor));
        }
      }
      poor += best < kPoorAnchorIou;
    }
  }
  return poor;
}

}  // namespace

void reduce_to_overfit(RunData& data, const TrainOptions& options) {
  std::vector<Example> chosen;
  const auto wanted = static_cast<size_t>(options.overfit);
  for (const Example& example : data.train.examples) {
    if (trained_objects(example) > 0 && chosen.size() < wanted) chosen.push_back(example);
  }
  if (chosen.empty()) {
    const bool crowds = std::ranges::any_of(data.train.examples, [](const Example& e) { return !e.objects.empty(); });
    fail("--overfit {}: none of the {} training pictures has an object{}; yolov3 data check --data {} says more",
         options.overfit, data.train.examples.size(),
         crowds ? " other than crowd regions, which training ignores" : ": are labels missing or all left out?",
         options.data.data);
  }
  if (chosen.size() < wanted) log_warning("--overfit {}: only {} pictures have objects", wanted, chosen.size());
  data.val.names = data.train.names;
  data.val.category_ids = data.train.category_ids;
  data.val.examples = chosen;
  const size_t pictures = static_cast<size_t>(kOverfitBatches) * static_cast<size_t>(options.batch);
  data.train.examples.clear();
  while (data.train.examples.size() < pictures) {
    data.train.examples.insert(data.train.examples.end(), chosen.begin(), chosen.end());
  }
  log_info("overfit: {} pictures with {} objects, each {} times an epoch, until mAP50 on themselves is over {}",
           chosen.size(), trained_objects(data.val), data.train.examples.size() / chosen.size(), kOverfitMap50);
}

OverfitTest::OverfitTest(const RunData& data, const NetworkSpec& spec, const TrainOptions& options)
    : data_(data), spec_(spec), options_(options) {}

void OverfitTest::add(const EpochRecord& record, const Validation& validation) {
  records_.push_back(record);
  last_ = validation;
}

bool OverfitTest::passed() const {
  return std::ranges::any_of(records_, [](const EpochRecord& record) { return record.map50 > kOverfitMap50; });
}

std::string OverfitTest::verdict() const {
  if (records_.empty()) return "overfit: no epoch was finished, so there is nothing to judge";
  const auto best = std::ranges::max_element(records_, {}, &EpochRecord::map50);
  const std::string reached = fmt::format(
      "mAP50 {:.4f} on {} pictures with {} objects after {} of {} epochs, {}", best->map50, data_.val.examples.size(),
      trained_objects(data_.val), records_.back().epoch + 1, options_.epochs, human_seconds(records_.back().seconds));
  if (passed()) return fmt::format("overfit: passed: {}", reached);
  std::string text = fmt::format("overfit: FAILED: {}; it must be over {}", reached, kOverfitMap50);
  for (const std::string& finding : findings()) text += "\n  - " + finding;
  return text;
}

std::vector<std::string> OverfitTest::findings() const {
  std::vector<std::string> found;
  if (!data_.train_defects.empty()) {
    std::string counts;
    for (const auto& [reason, count] : data_.train_defects) counts += fmt::format(", {} times {}", count, reason);
    found.push_back(fmt::format("the train split's files have defects ({}); yolov3 data check --data {} shows them",
                                counts.substr(2), options_.data.data));
  }
  find_in_boxes(found);
  find_in_classes(found);
  find_in_losses(found);
  if (found.empty()) {
    found.emplace_back(
        "boxes, anchors and losses show nothing; look whether the boxes lie on the objects: val_batch0_labels.jpg, and "
        "at what was found: val_batch0_pred.jpg");
  }
  return found;
}

void OverfitTest::find_in_boxes(std::vector<std::string>& found) const {
  LoaderOptions loader;
  loader.width = options_.width;
  loader.height = options_.height;
  const TinyObjects tiny = find_tiny_objects(data_.val, loader);
  if (tiny.tiny > 0) {
    found.push_back(
        fmt::format("{} of {} boxes are under {} px at {}x{} and left out of training, {}; a larger --imgsz, or yolov3 "
                    "data check if "
                    "such boxes are not meant",
                    tiny.tiny, tiny.objects, loader.min_box_px, options_.width, options_.height, tiny.first));
  }
  const std::vector<std::vector<Annotation>> objects = objects_net(data_.val, options_);
  const std::vector<Head> net_heads = heads(with_input_size(spec_, options_.width, options_.height));
  const int64_t poor = count_poor_anchors(objects, net_heads);
  if (poor > 0) {
    found.push_back(fmt::format(
        "{} of {} boxes overlap no anchor by {} or more, so the network must stretch an anchor far; yolov3 anchors "
        "--data {} finds anchors that fit",
        poor, tiny.objects, kPoorAnchorIou, options_.data.data));
  }
  const AnchorTargets targets = count_targets(objects, net_heads, options_.assign);
  if (targets.lost > 0) {
    found.push_back(
        fmt::format("{} of {} boxes share their cell and anchor with a later box and are trained by nothing; a larger "
                    "--imgsz parts them",
                    targets.lost, tiny.objects));
  }
  const int64_t suppressed = count_suppressed(objects);
  if (suppressed > 0) {
    found.push_back(fmt::format(
        "{} of {} boxes overlap another of their class by more than {:.2g}, so that only one of the two can be "
        "found: an object marked twice?",
        suppressed, tiny.objects, nms_iou()));
  }
}

void OverfitTest::find_in_classes(std::vector<std::string>& found) const {
  const double blind = last_.class_blind_map50.value_or(0);
  const bool places_found = blind > kOverfitMap50 && records_.back().map50 <= kOverfitMap50;
  std::vector<std::pair<double, std::string>> weak;
  for (size_t k = 0; k < last_.metrics.classes.size(); ++k) {
    const ClassMetrics& one = last_.metrics.classes[k];
    if (one.objects == 0 || one.ap50.value_or(0) > kOverfitMap50) continue;
    weak.push_back({one.ap50.value_or(0), fmt::format("{} (AP50 {:.2f}, {} objects)", data_.val.names[k],
                                                      one.ap50.value_or(0), one.objects)});
  }
  std::ranges::sort(weak);
  weak.resize(std::min<size_t>(weak.size(), 8));
  std::vector<std::string> names;
  for (const auto& [ap, text] : weak) names.push_back(text);
  if (places_found) {
    found.push_back(
        fmt::format("the boxes are found (mAP50 without regard to classes is {:.3f}), their classes are not: "
                    "do like objects have different class ids? Weakest: {}",
                    blind, fmt::join(names, ", ")));
  } else if (!names.empty()) {
    found.push_back(fmt::format("weakest classes: {}", fmt::join(names, ", ")));
  }
}

void OverfitTest::find_in_losses(std::vector<std::string>& found) const {
  const double first = total(records_.front()), last = total(records_.back());
  const auto least = std::ranges::min_element(records_, {}, total);
  if (last > 2 * total(*least)) {
    found.push_back(fmt::format("the loss rose from {:.3f} at epoch {} to {:.3f}: a smaller --lr0 than {}",
                                total(*least), least->epoch + 1, last, options_.lr0));
  } else if (records_.size() > 1 && last > 0.5 * first) {
    found.push_back(fmt::format("the loss fell only from {:.3f} to {:.3f}: --lr0 {} is too {}{}", first, last,
                                options_.lr0, options_.lr0 < 1e-4 ? "small" : "small or too large",
                                options_.freeze == "0" ? "" : ", or too much is frozen by --freeze"));
  } else if (records_.size() >= 10) {
    const double earlier = total(records_[records_.size() * 4 / 5]);
    if (last < 0.8 * earlier) {
      found.push_back(
          fmt::format("the loss was still falling, from {:.3f} to {:.3f} in the last fifth: more --epochs "
                      "than {}",
                      earlier, last, options_.epochs));
    }
  } else {
    found.push_back(fmt::format("{} epochs are few: more --epochs", records_.size()));
  }
}

}  // namespace yolov3
